"""Transparency of classes: do judges follow people better where texts say it in so many words?

The texts that make a class's score are not those that hold it against people: a class is scored on
one half of the texts and validated on the other (copies of a text stay together), both ways, and
the mean is taken. Words
match whole words only. Every correlation with people is held against its ceiling, because people
agree on some classes far better than on others; an interval comes from resampling texts, a p-value
from permuting classes.
"""

import re
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from ferjax.evaluation.intervals import interval
from ferjax.evaluation.judgments.classes import ClassSamples
from ferjax.evaluation.judgments.resampling import Weights, table_spearmans
from ferjax.evaluation.judgments.results import Transparency, TransparencyRow
from ferjax.evaluation.judgments.sides import Sides

__all__ = ["mentions", "transparency"]

HALVES = 2
PERMUTATIONS = 10_000


def mentions(texts: Sequence[str], lexicon: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Whether each text holds one of each class's words, as whole words, whatever their case.

    Args:
      texts: the texts.
      lexicon: class -> words or phrases; none for a class: never.

    Returns:
      bool ``[text, class]``.

    >>> mentions(["made me laugh", "so mad!"], {"anger": ["mad"], "fear": []}).tolist()
    [[False, False], [True, False]]
    """
    patterns = [
        re.compile(r"\b(?:" + "|".join(map(re.escape, words)) + r")\b", re.IGNORECASE)
        if words
        else None
        for words in lexicon.values()
    ]
    return np.array(
        [[p is not None and p.search(text) is not None for p in patterns] for text in texts], bool
    ).reshape(len(texts), len(lexicon))


def transparency(
    key: jax.Array,
    sides: Sides,
    samples: ClassSamples,
    weights: Weights,
    lexicon: Mapping[str, Sequence[str]],
    *,
    embeddings: np.ndarray | None = None,
    class_embeddings: np.ndarray | None = None,
) -> Transparency:
    """Scores every class, and holds the scores against how well judges follow people.

    Args:
      key: random key of halves and permutations.
      sides: people and judges; the panel needs texts.
      samples: resampled figures of the classes.
      weights: of texts, the same resamples.
      lexicon: class -> words.
      embeddings: ``[item, width]`` of the texts, from any model, or None.
      class_embeddings: ``[class, width]`` of the classes' names, of the same model.

    Raises:
      ValueError: if there are no texts, a class of the lexicon is unknown, or embeddings do not
        fit.
    """
    texts = sides.ratings.texts
    classes = sides.ratings.classes
    _check(sides, lexicon, embeddings, class_embeddings)
    assert texts is not None
    held = mentions(texts, {name: lexicon.get(name, ()) for name in classes})
    chosen = sides.people_shares > 0
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    groups = sides.ratings.groups
    half = rng.permutation(int(groups.max()) + 1)[groups] % HALVES
    inside = (half[None] == np.arange(HALVES)[:, None]).astype(np.float32)
    lexical, similarity = _scores(1 - inside, chosen, held, embeddings, class_embeddings)
    score = _ranks(lexical)
    if similarity is not None:
        score = (score + _ranks(similarity)) / 2
    # [half, 1 + resample, class]: how well judges follow people on the half that did not score.
    rho = np.stack([_followed(sides, weights * row[None]) for row in inside])
    ceiling = samples["ceiling"]
    corrected = rho / ceiling
    agreement = samples["agreement"][0]
    frequency = samples["rate"][0]
    fixed = _ranks(np.stack([np.log(np.maximum(frequency, 1e-9)), agreement]))
    fine = ~np.isnan(corrected[:, 0]).any(0)
    none = np.zeros((0, int(fine.sum())))
    orders = np.array([rng.permutation(int(fine.sum())) for _ in range(PERMUTATIONS)])

    def over(values: np.ndarray, given: np.ndarray) -> np.ndarray:
        """Mean over halves of the correlation over classes, ``[1 + resample]``."""
        return np.mean([_partial(a[fine], b[:, fine], given) for a, b in zip(score, values)], 0)

    def chance(given: np.ndarray) -> float:
        """Share of permutations of the classes that are as far from 0."""
        seen = np.mean([_partial(a[fine], b[:1, fine], given) for a, b in zip(score, corrected)])
        null = np.mean(
            [_partial(b[0, fine], a[fine][orders], given) for a, b in zip(score, corrected)], 0
        )
        return float((np.abs(null) >= abs(seen) - 1e-9).mean())

    return Transparency(
        classes={
            name: TransparencyRow(
                lexical=float(lexical[:, c].mean()),
                similarity=None if similarity is None else float(similarity[:, c].mean()),
                score=float(score[:, c].mean()),
                correlation=float(rho[:, 0, c].mean()),
                share_of_ceiling=float(corrected[:, 0, c].mean()),
                frequency=float(frequency[c]),
                agreement=float(agreement[c]),
            )
            for c, name in enumerate(classes)
        },
        spearman=interval(over(rho, none)),
        corrected=interval(over(corrected, none)),
        partial=interval(over(corrected, fixed[:, fine])),
        permutation=chance(none),
        partial_permutation=chance(fixed[:, fine]),
        words=sum(len(words) for words in lexicon.values()),
    )


def _check(
    sides: Sides,
    lexicon: Mapping[str, Sequence[str]],
    embeddings: np.ndarray | None,
    class_embeddings: np.ndarray | None,
) -> None:
    classes = sides.ratings.classes
    if sides.ratings.texts is None:
        raise ValueError("transparency needs the texts, and the panel has none")
    unknown = [name for name in lexicon if name not in classes]
    if unknown:
        raise ValueError(f"lexicon: {unknown[0]!r} is none of the classes {', '.join(classes)}")
    if (embeddings is None) != (class_embeddings is None):
        raise ValueError("embeddings of texts need those of the classes' names, and the reverse")
    for what, array, rows in (
        ("texts", embeddings, len(sides.ratings.ids)),
        ("classes", class_embeddings, len(classes)),
    ):
        if array is not None and (array.ndim != 2 or len(array) != rows):
            raise ValueError(f"embeddings of {what} must be [{rows}, width], got {array.shape}")


def _scores(
    outside: np.ndarray,
    chosen: np.ndarray,
    held: np.ndarray,
    embeddings: np.ndarray | None,
    class_embeddings: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Lexical share and similarity ``[half, class]``, from the texts of the other half."""
    lexical = outside @ (chosen & held) / np.maximum(outside @ chosen, 1)
    if embeddings is None or class_embeddings is None:
        return lexical, None
    centre = np.einsum("fi,ic,id->fcd", outside, chosen, embeddings)
    length = np.linalg.norm(centre, axis=-1) * np.linalg.norm(class_embeddings, axis=-1)
    return lexical, np.sum(centre * class_embeddings, -1) / np.maximum(length, 1e-12)


def _followed(sides: Sides, weights: Weights) -> np.ndarray:
    """Mean over judges of the correlation of rates with people's, ``[1 + resample, class]``."""
    assert sides.shares is not None
    judges, _, classes = sides.shares.shape
    p = np.moveaxis(np.where((sides.answers > 0)[..., None], sides.shares, np.nan), -1, 1)
    q = np.tile(sides.people_shares.T, (judges, 1))
    rho = table_spearmans(weights, p.reshape(judges * classes, -1), q)
    return rho.reshape(-1, judges, classes).mean(1)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Mid-ranks in (0, 1) along the last axis, of few values."""
    below = (values[..., None, :] < values[..., :, None]).sum(-1)
    same = (values[..., None, :] == values[..., :, None]).sum(-1)
    return (below + same / 2) / values.shape[-1]


def _partial(x: np.ndarray, y: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """Rank correlations of ``x [class]`` with every row of ``y [row, class]``, each without what
    the ranks ``fixed [variable, class]`` explain; NaN where either has nothing left."""
    design = np.column_stack([np.ones(len(x)), *fixed])
    if len(x) < len(fixed) + 3:
        return np.full(len(y), np.nan)
    rest = np.eye(len(x)) - design @ np.linalg.pinv(design)
    a = _ranks(x) @ rest
    b = _ranks(y) @ rest
    length = np.sqrt(np.sum(a * a) * np.sum(b * b, -1))
    undefined = np.isnan(y).any(-1) | ~(length > 1e-9)
    return np.where(undefined, np.nan, b @ a / np.where(undefined, 1.0, length))
