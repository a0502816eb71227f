"""A small world of texts with known truth: people, judges that are right and wrong, and files."""

import numpy as np
import pytest

from ferjax.evaluation.judgments.align import align
from ferjax.judgments import Judge, Judgments
from ferjax.ratings import Ratings

ITEMS = 240
CLASSES = ("joy", "anger", "fear", "neutral")
RATERS = 6


def make_ratings(kind, seed=0, raters=5, items=ITEMS):
    """Ratings of raters 0..5, each item by five of them, and the truth they come from."""
    rng = np.random.default_rng(seed)
    who = np.array([rng.permutation(RATERS)[:raters] for _ in range(items)])
    item = np.repeat(np.arange(items), raters)
    common = {
        "ids": np.array([f"t{k}" for k in range(items)]),
        "item": item,
        "rater": who.ravel(),
        "raters": tuple(f"r{k}" for k in range(RATERS)),
        "texts": tuple(f"text number {k}" for k in range(items)),
        "unclear": np.zeros(items, int),
    }
    if kind == "ordinal":
        truth = rng.dirichlet(np.full(5, 0.7), (items, 2))
        drawn = (rng.random((items, raters, 2, 1)) > truth.cumsum(-1)[:, None]).sum(-1) + 1.0
        values = drawn.reshape(-1, 2)
        dims = ("valence", "arousal")
        levels = (1.0, 2.0, 3.0, 4.0, 5.0)
        return Ratings(kind=kind, classes=dims, values=values, levels=levels, **common), truth
    if kind == "multi":
        truth = rng.beta(0.3, 0.9, (items, 4))
        chosen = rng.random((items, raters, 4)) < truth[:, None]
    else:
        truth = rng.dirichlet(np.full(4, 0.5), items)
        chosen = rng.random((items, raters, 1)) < truth.cumsum(-1)[:, None]
        chosen = chosen & ~np.pad(chosen, ((0, 0), (0, 0), (1, 0)))[..., :4]
    return Ratings(kind=kind, classes=CLASSES, chosen=chosen.reshape(-1, 4), **common), truth


def make_judgments(ratings, truth, samples=10, seed=1):
    """Judges: right at two temperatures, over-confident, and the constant mean."""
    rng = np.random.default_rng(seed)
    judges = (Judge("right", 0.7), Judge("right", 1.0), Judge("sharp", 1.0), Judge("mean", 1.0))
    sharp = truth**3 / (truth**3).sum(-1, keepdims=True) if ratings.kind != "multi" else None
    if sharp is None:
        sharp = truth**3 / (truth**3 + (1 - truth) ** 3)
    mean = np.broadcast_to(truth.mean(0), truth.shape)
    shape = (len(judges), len(ratings.ids))
    asked = np.full(shape, samples + 1, np.int32)
    answers = {"asked": asked, "unparsed": np.ones(shape, np.int32)}
    if ratings.kind == "single":  # what the answers of the second took is not known
        taken = np.array([[500.0], [np.nan], [2000.0], [500.0]], np.float32)
        answers["tokens"] = np.broadcast_to(taken, shape).copy()
    common = {"kind": ratings.kind, "classes": ratings.classes, "judges": judges}
    common |= {"ids": ratings.ids, "hashes": ratings.hashes, **answers}
    if ratings.kind == "ordinal":
        values = np.stack(
            [
                (rng.random((shape[1], samples, 2, 1)) > p.cumsum(-1)[:, None]).sum(-1) + 1.0
                for p in (truth, truth, sharp, mean)
            ]
        )
        return Judgments(values=values.astype(np.float32), levels=ratings.levels, **common)
    models = np.stack([truth, truth, sharp, mean])
    if ratings.kind == "multi":
        sets = rng.random((*shape, samples, 4)) < models[:, :, None]
        return Judgments(counts=sets.sum(2).astype(np.int32), sets=sets, **common)
    counts = rng.multinomial(samples, models)
    return Judgments(counts=counts.astype(np.int32), **common)


@pytest.fixture(scope="package")
def worlds():
    """Kind -> ratings, truth, judgments, both sides; made once."""
    made = {}
    for kind in ("single", "multi", "ordinal"):
        ratings, truth = make_ratings(kind)
        judgments = make_judgments(ratings, truth)
        made[kind] = (ratings, truth, judgments, align(ratings, {"judges": judgments}))
    return made
