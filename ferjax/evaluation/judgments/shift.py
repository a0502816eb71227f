"""Do models disagree more about items that are unlike the texts? Paraphrases, other languages,
shuffled words, empty texts, another domain: whatever was asked of the same judges."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import metrics, panels
from ferjax.evaluation.intervals import interval
from ferjax.evaluation.judgments.resampling import Weights, all_weights
from ferjax.evaluation.judgments.results import ShiftRow
from ferjax.evaluation.judgments.sides import Sides
from ferjax.judgments import Judgments
from ferjax.panels import Moments

__all__ = ["shift"]


def _parts(moments: Moments, models: list[list[int]]) -> np.ndarray:
    """Variance between and within models, ``[2, item]``; between is NaN with one model."""
    pools = [panels.pool(jax.tree.map(lambda x, p=p: x[np.array(p)], moments)) for p in models]
    stacked = Moments(*(jnp.stack(leaves) for leaves in zip(*pools)))
    within = np.asarray(jnp.mean(panels.spread(stacked), 0))
    if len(models) < 2:
        return np.stack([np.full_like(within, np.nan), within])
    return np.stack([np.asarray(panels.jury_split(stacked).between), within])


def _moments(sides: Sides, file: Judgments) -> Moments:
    """Of the same judges and classes, in the order of ``sides``."""
    theirs = [judge.name for judge in file.judges]
    missing = [name for name in sides.names if name not in theirs]
    if missing or file.kind != sides.ratings.kind:
        what = f"judge {missing[0]!r} is missing" if missing else f"it is of kind {file.kind}"
        raise ValueError(f"shifted items need the same judges, asked the same way: {what}")
    unknown = [name for name in sides.ratings.classes if name not in file.classes]
    if unknown:
        raise ValueError(f"shifted items need the same classes: {unknown[0]!r} is missing")
    order = [theirs.index(name) for name in sides.names]
    classes = [file.classes.index(name) for name in sides.ratings.classes]
    if file.values is not None:
        return panels.of_values(file.values[order][..., classes], *sides.scale)
    assert file.counts is not None
    return panels.of_counts(file.counts[order][..., classes], file.answered[order])


@jax.jit
def _aurocs(clean: jax.Array, other: jax.Array, w: jax.Array, v: jax.Array) -> jax.Array:
    fine = (~jnp.isnan(clean)).astype(jnp.float32)
    there = (~jnp.isnan(other)).astype(jnp.float32)
    a = jnp.nan_to_num(clean)
    b = jnp.nan_to_num(other)
    return jax.lax.map(
        lambda row: metrics.auroc_between(a, b, row[0] * fine, row[1] * there),
        (w, v),
        batch_size=64,
    )


def shift(
    sides: Sides, files: Mapping[str, Judgments], weights: Weights, seed: int
) -> dict[str, ShiftRow]:
    """How well each part of the jury's uncertainty tells shifted items from the texts.

    Args:
      sides: people and judges.
      files: name -> judgments of the same judges, of other items.
      weights: of the texts; shifted items are resampled by themselves.
      seed: of their resamples.

    Raises:
      ValueError: naming the set, if its judges or classes are not the same.
    """
    models: dict[str, list[int]] = {}
    for place, judge in enumerate(sides.judges):
        models.setdefault(judge.model, []).append(place)
    clean = _parts(sides.machines, list(models.values()))
    found = {}
    for name, file in files.items():
        try:
            moments = _moments(sides, file)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        other = _parts(moments, list(models.values()))
        drawn = all_weights(seed + 1, len(weights) - 1, np.arange(other.shape[1]))
        between, within = (
            interval(np.asarray(_aurocs(a, b, weights, drawn), np.float64))
            for a, b in zip(clean, other)
        )
        asked = max(int(file.asked.sum()), 1)
        found[name] = ShiftRow(other.shape[1], float(file.unparsed.sum() / asked), between, within)
    return found
