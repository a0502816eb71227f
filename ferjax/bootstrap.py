"""How sure can one be of a statistic: percentile intervals from resampling faces.

A resample is a row of whole-number weights (how often each face was drawn), never a gather of the
data: metrics that take ``weights`` sort once and re-weigh 2,000 times. Two statistics evaluated on
the *same* weight rows are paired, so an interval of their difference is the interval of a
difference of scores on the same faces.

References:
  Efron, Bootstrap Methods: Another Look at the Jackknife, 1979.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

__all__ = [
    "Estimate",
    "difference",
    "estimate",
    "percentile_interval",
    "resample_weights",
    "resampled",
    "summarise",
]


class Estimate(NamedTuple):
    """A statistic with its percentile interval; each a scalar, or whatever shape the statistic
    returns."""

    value: jax.Array
    low: jax.Array
    high: jax.Array


def resample_weights(
    key: jax.Array, faces: int, resamples: int, groups: jax.Array | None = None
) -> jax.Array:
    """How often each face is drawn in each bootstrap resample.

    Args:
      key: random key.
      faces: number of faces N.
      resamples: number of resamples R.
      groups: optional ``[face]`` ids in 0..G-1 of faces that are drawn together (pixel-identical
        copies, frames of one video): G groups are drawn with replacement and every face takes its
        group's count.

    Returns:
      ``[resample, face]`` int32; rows sum to N (to G, counted in groups, when groups are given).

    >>> w = resample_weights(jax.random.key(0), faces=5, resamples=3)
    >>> w.shape, w.sum(1).tolist()
    ((3, 5), [5, 5, 5])
    """
    if groups is not None:
        groups = jnp.asarray(groups)
        if groups.shape != (faces,):
            raise ValueError(f"groups must be [face] ({faces},), got {groups.shape}")
        return resample_weights(key, int(groups.max()) + 1, resamples)[:, groups]
    drawn = jax.random.randint(key, (resamples, faces), 0, faces)
    rows = jnp.arange(resamples)[:, None]
    return jnp.zeros((resamples, faces), jnp.int32).at[rows, drawn].add(1)


def percentile_interval(samples: jax.Array, level: float = 0.95) -> tuple[jax.Array, jax.Array]:
    """The central ``level`` of resampled statistics along the first axis, ignoring undefined (NaN)
    resamples."""
    tail = (1 - level) / 2
    low, high = jnp.nanquantile(samples, jnp.array([tail, 1 - tail]), axis=0)
    return low, high


def resampled(statistic: Callable[[jax.Array], Any], weights: jax.Array, *, batch: int = 64) -> Any:
    """A statistic on all faces and on every resample: leaves gain a first axis ``1 + R``, all faces
    first.

    Resamples are worked through in batches, so that memory stays bounded whatever their number;
    what does not depend on the weights (sorts above all) is the same for a whole batch.

    Args:
      statistic: maps weights ``[face]`` to an array or a tree of arrays; all ones gives the plain
        statistic.
      weights: ``[resample, face]`` from :func:`resample_weights`.
      batch: resamples per batch (static).
    """
    rows = 1 + weights.shape[0]
    batch = min(batch, rows)
    ones = jnp.ones(
        (1 + -rows % batch, weights.shape[1]), jnp.float32
    )  # all faces; the others fill the last batch
    stacked = jnp.concatenate([ones[:1], weights.astype(jnp.float32), ones[1:]]).reshape(
        -1, batch, weights.shape[1]
    )
    samples = jax.lax.map(jax.vmap(statistic), stacked)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:rows], samples)


def summarise(samples: jax.Array, *, level: float = 0.95) -> Estimate:
    """The estimate that ``[1 + resample, ...]`` of :func:`resampled` holds.

    Differences, ratios and means of several statistics' samples, taken row by row, are paired:
    summarise those.
    """
    low, high = percentile_interval(samples[1:], level)
    return Estimate(samples[0], low, high)


def estimate(
    statistic: Callable[[jax.Array], jax.Array], weights: jax.Array, *, level: float = 0.95
) -> Estimate:
    """A statistic on all faces, with its percentile bootstrap interval.

    Args:
      statistic: maps weights ``[face]`` to a scalar or array; all ones gives the plain statistic.
      weights: ``[resample, face]`` from :func:`resample_weights`.
      level: coverage of the interval.

    Returns:
      :class:`Estimate`. Nothing is jitted here: wrap the caller in :func:`jax.jit`.

    >>> x = jnp.arange(8.0)
    >>> e = estimate(lambda w: jnp.sum(w * x) / jnp.sum(w), resample_weights(jax.random.key(0), 8, 500))
    >>> float(e.value), bool(e.low < 3.5 < e.high)
    (3.5, True)
    """
    return summarise(resampled(statistic, weights), level=level)


def difference(
    first: Callable[[jax.Array], jax.Array],
    second: Callable[[jax.Array], jax.Array],
    weights: jax.Array,
    *,
    level: float = 0.95,
) -> Estimate:
    """How much larger the first statistic is than the second on the same faces: a paired interval.

    >>> x, y = jnp.arange(8.0), jnp.arange(8.0) - 1
    >>> w = resample_weights(jax.random.key(0), 8, 100)
    >>> [float(v) for v in difference(lambda w: jnp.sum(w * x) / 8, lambda w: jnp.sum(w * y) / 8, w)]
    [1.0, 1.0, 1.0]
    """
    return estimate(lambda w: first(w) - second(w), weights, level=level)
