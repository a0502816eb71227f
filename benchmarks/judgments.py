"""Judges beside people: `compare` with all of its intervals, beside a loop of numpy and scipy.

    python -m benchmarks.judgments [--quick] [--out FOLDER]

2,000 texts, 28 classes of which several may apply, 5 raters a text; 4 models at 4 temperatures with
20 samples each, 640,000 answers in all; 2,000 resamples of the texts. The loop does part of the
same: per resample the mean gap, score, divergences and cross-entropy of each judge, the correlation
of entropies, and scipy's Spearman of each judge's and class's rates (448 of them). It has the
figures of every text given, computed once, and runs a few resamples, from which its time for all is
reckoned. ferjax's time is all of `compare`: with pools, ceilings, floors, strata, the jury and the
alternative annotator test, once compiled; the first call, which compiles, stands beside it.
"""

import time

import jax
import numpy as np
import scipy.stats

from benchmarks import results
from ferjax.evaluation.judgments.align import align
from ferjax.evaluation.judgments.compare import compare
from ferjax.evaluation.judgments.rows import figures, line_up
from ferjax.evaluation.judgments.sides import Sides
from ferjax.judgments import Judge, Judgments
from ferjax.ratings import Ratings

MODELS = 4
TEMPERATURES = (0.3, 0.7, 1.0, 1.3)
SAMPLES = 20
RATERS = 80


def world(texts: int, classes: int, seed: int = 0) -> Sides:
    """People and judges of drawn texts; models are wrong in different ways."""
    rng = np.random.default_rng(seed)
    rates = rng.beta(0.12, 2.5, (texts, classes))
    item = np.repeat(np.arange(texts), 5)
    rater = np.array([rng.permutation(RATERS)[:5] for _ in range(texts)]).ravel()
    names = tuple(f"class {k}" for k in range(classes))
    ratings = Ratings(
        kind="multi",
        classes=names,
        ids=np.array([f"t{k}" for k in range(texts)]),
        item=item,
        chosen=rng.random((len(item), classes)) < rates[item],
        rater=rater,
        raters=tuple(f"r{k}" for k in range(RATERS)),
        texts=tuple(f"text {k}" for k in range(texts)),
    )
    judges = []
    counts = []
    for model in range(MODELS):
        mine = 0.7 * rates + 0.3 * rng.permutation(rates)
        for heat in TEMPERATURES:
            odds = (mine / (1 - mine)) ** (1 / (0.5 + heat))
            judges.append(Judge(f"model {model}", heat))
            counts.append(rng.binomial(SAMPLES, odds / (1 + odds)))
    shape = (len(judges), texts)
    judgments = Judgments(
        kind="multi",
        classes=names,
        judges=tuple(judges),
        ids=ratings.ids,
        asked=np.full(shape, SAMPLES, np.int32),
        unparsed=np.zeros(shape, np.int32),
        counts=np.stack(counts).astype(np.int32),
    )
    return align(ratings, {"judges": judgments})


def loop(sides: Sides, resamples: int, seed: int = 0) -> np.ndarray:
    """The resamples one after the other: ``[resample, 7 + class, judge]``."""
    assert sides.shares is not None
    found = figures(sides, line_up(sides))
    judges = len(sides.judges)
    per_item = [found.gap, found.score, found.jsd, found.kl, found.cross_entropy]
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(resamples):
        drawn = rng.integers(0, len(sides.ratings.ids), len(sides.ratings.ids))
        row = [np.nanmean(x[:judges, drawn], 1) for x in per_item if x is not None]
        skill = 1 - np.nansum(found.gap[:judges, drawn], 1) / np.nansum(found.reference[drawn])
        entropies = []
        for judge in range(judges):
            assert found.entropy is not None and found.people_entropy is not None
            both = np.stack([found.entropy[judge, drawn], found.people_entropy[drawn]])
            both = both[:, ~np.isnan(both).any(0)]
            entropies.append(scipy.stats.spearmanr(both[0], both[1]).statistic)
        classes = [
            [
                scipy.stats.spearmanr(
                    sides.shares[judge, drawn, c], sides.people_shares[drawn, c]
                ).statistic
                for judge in range(judges)
            ]
            for c in range(len(sides.ratings.classes))
        ]
        rows.append([*row, skill, entropies, *classes])
    return np.array(rows)


def run(found: results.Results) -> None:
    """One size."""
    texts, classes, resamples, few = (60, 5, 20, 2) if found.quick else (2_000, 28, 2_000, 4)
    sides = world(texts, classes)
    seconds = []
    for _ in range(2):
        start = (time.perf_counter(), time.process_time())
        jax.block_until_ready(compare(sides, resamples=resamples).judges)
        seconds.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    start = (time.perf_counter(), time.process_time())
    loop(sides, few)
    slow = (time.perf_counter() - start[0], time.process_time() - start[1])
    found.table(
        f"{texts:,} texts × {classes} classes × {MODELS} models × {len(TEMPERATURES)} "
        f"temperatures, {resamples:,} resamples",
        "clock",
        "compare, s",
        "compare with compiling, s",
        "loop, s (reckoned)",
        "× loop",
    )
    for place, name in enumerate(("wall", "processor")):
        reckoned = slow[place] * resamples / few
        ours = seconds[1][place]
        found.row(name, ours, seconds[0][place], reckoned, reckoned / ours)


if __name__ == "__main__":
    results.main(run, __doc__)
