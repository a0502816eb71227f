"""Percentile intervals of any statistic, from resampling items.

A resample is a row of whole-number weights (how often each item was drawn), never a gather of the
data: metrics that take ``weights`` sort once and re-weigh 2,000 times. Two statistics evaluated on
the *same* weight rows are paired, so an interval of their difference is the interval of a
difference of scores on the same items.

References:
  Efron, Bootstrap Methods: Another Look at the Jackknife, 1979,
  https://doi.org/10.1214/aos/1176344552.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import threefry_2x32
from jax.typing import ArrayLike

from ferjax.arrays import as_floats, nan_where

__all__ = [
    "Estimate",
    "difference",
    "estimate",
    "p_value",
    "percentile_interval",
    "resample_weights",
    "resampled",
    "summarise",
]


class Estimate(NamedTuple):
    """A statistic with its percentile interval; each of the shape the statistic returns."""

    value: jax.Array
    """The statistic of all items, each counted once."""
    low: jax.Array
    """Lower end of the interval."""
    high: jax.Array
    """Upper end of the interval."""


def resample_weights(
    key: jax.Array, items: int, resamples: int, groups: ArrayLike | None = None
) -> jax.Array:
    """How often each item is drawn in each bootstrap resample.

    Args:
      key: random key.
      items: number of items N (static).
      resamples: number of resamples R (static).
      groups: ``[item]`` ids in 0..G-1 of items that are drawn together (pixel-identical copies,
        frames of one video), or None. G groups are drawn with replacement and every item takes its
        group's count. Never traced: under jit, close over them.

    Returns:
      int32 ``[resample, item]``; rows sum to N (to G, counted in groups, when groups are given).

    Raises:
      ValueError: if there is not one group for each item.

    >>> w = resample_weights(jax.random.key(0), items=5, resamples=3)
    >>> w.shape, w.sum(1).tolist()
    ((3, 5), [5, 5, 5])
    """
    if groups is not None:
        groups = np.asarray(groups)
        if groups.shape != (items,):
            raise ValueError(f"groups must be [item] ({items},), got {groups.shape}")
        return resample_weights(key, int(groups.max()) + 1, resamples)[:, groups]
    if not _has_blocks(key, items, resamples):
        return _counted(jax.random.randint(key, (resamples, items), 0, items))
    return jax.lax.platform_dependent(
        key,
        cpu=lambda key: _counted_in_blocks(key, items, resamples),
        default=lambda key: _counted(jax.random.randint(key, (resamples, items), 0, items)),
    )


def _counted(drawn: jax.Array) -> jax.Array:
    """How often each item is among those drawn, row by row."""
    rows = jnp.arange(drawn.shape[0])[:, None]
    return jnp.zeros(drawn.shape, jnp.int32).at[rows, drawn].add(1)


_BLOCK = 2**15
"""Draws at once on CPUs: what random bits are made of then stays in the caches."""


def _has_blocks(key: jax.Array, items: int, resamples: int) -> bool:
    """Whether :func:`_counted_in_blocks` says what :func:`jax.random.randint` says."""
    return (
        _BLOCK < items * resamples < 2**32
        and str(jax.random.key_impl(key)) == "threefry2x32"
        and jax.config.jax_threefry_partitionable  # type: ignore[attr-defined]
        and jnp.result_type(int) == jnp.int32  # not under jax_enable_x64
    )


def _counted_in_blocks(key: jax.Array, items: int, resamples: int) -> jax.Array:
    """``_counted(jax.random.randint(key, (resamples, items), 0, items))``, several times faster.

    Threefry's bits are a function of the key and of the place in the array, so that a few rows can
    be drawn at a time; as in JAX, two of them make a number below ``items``.
    """
    block = max(8, _BLOCK // items // 8 * 8)  # what is a multiple of 8 is vectorised
    keys = [jax.random.key_data(half) for half in jax.random.split(key)]
    span = np.uint32(items)
    carry = np.uint32((2**16 % items) ** 2 % 2**32 % items)
    places = jax.lax.iota(jnp.uint32, block * items)

    def count(start: jax.Array) -> jax.Array:
        counters = jnp.concatenate([jnp.zeros_like(places), start + places])
        high, low = (
            jnp.bitwise_xor(*jnp.split(threefry_2x32(half, counters), 2)) % span for half in keys
        )
        return _counted(((high * carry + low) % span).astype(jnp.int32).reshape(block, items))

    starts = np.arange(0, resamples * items, block * items, dtype=np.uint32)
    counts = jax.lax.map(count, jnp.asarray(starts))
    return counts.reshape(-1, items)[:resamples]


def percentile_interval(samples: ArrayLike, level: float = 0.95) -> tuple[jax.Array, jax.Array]:
    """The central interval of resampled statistics.

    Args:
      samples: ``[resample, ...]``, at least one resample; undefined (NaN) ones are left out.
      level: mass of the interval, in (0, 1).

    Returns:
      ``(low, high)``, each ``[...]``; NaN where every resample is.

    >>> [round(float(end), 2) for end in percentile_interval(jnp.arange(101.0), level=0.9)]
    [5.0, 95.0]
    """
    tail = (1 - level) / 2
    low, high = jnp.nanquantile(jnp.asarray(samples), jnp.array([tail, 1 - tail]), axis=0)
    return low, high


def p_value(samples: ArrayLike, null: ArrayLike = 0.0) -> jax.Array:
    """The two-sided bootstrap p-value of a statistic against a value, beside its interval.

    The smallest level at which the percentile interval would not hold the value: twice the share of
    resamples on the lesser side of it, those that equal it counting for both, and the observed
    statistic counting as one more. Of a difference on paired weights it asks whether two differ.

    Args:
      samples: ``[resample, ...]``, at least one resample; undefined (NaN) ones are left out.
      null: the value, scalar or ``[...]``.

    Returns:
      ``[...]`` in (0, 1], at least ``2 / (R + 1)``; NaN where every resample is.

    References:
      Davison & Hinkley, Bootstrap Methods and their Application, 1997, section 4.2,
      https://doi.org/10.1017/CBO9780511802843.

    >>> round(float(p_value(jnp.array([0.1, 0.2, 0.3, -0.1]))), 2)
    0.8
    """
    (samples, null) = as_floats(samples, null)
    count = jnp.sum(~jnp.isnan(samples), axis=0)
    null = jnp.broadcast_to(null, samples.shape[1:])[None]
    below = jnp.sum(samples <= null, axis=0)
    above = jnp.sum(samples >= null, axis=0)
    share = (1 + jnp.minimum(below, above)).astype(samples.dtype) / (1 + count).astype(
        samples.dtype
    )
    return nan_where(count == 0, jnp.minimum(2 * share, 1))


def resampled(statistic: Callable[[jax.Array], Any], weights: ArrayLike, *, batch: int = 64) -> Any:
    """A statistic of all items, and of every resample.

    Resamples are worked through in batches, so that memory stays bounded whatever their number;
    what does not depend on the weights (sorts above all) is the same for a whole batch.

    Args:
      statistic: maps float32 weights ``[item]`` to an array or a tree of arrays; all ones gives the
        plain statistic.
      weights: ``[resample, item]`` from :func:`resample_weights`, at least one item.
      batch: resamples per batch (static).

    Returns:
      The statistic's tree, leaves ``[1 + resample, ...]``: all items first, then each resample.
      NaN where the statistic is.

    >>> w = jnp.array([[2, 0], [1, 1]])
    >>> resampled(lambda w: w @ jnp.array([1.0, 10.0]), w).tolist()
    [11.0, 2.0, 11.0]
    """
    weights = jnp.asarray(weights, jnp.float32)
    items = weights.shape[1]
    rows = 1 + weights.shape[0]
    batch = min(batch, rows)
    # The first row is the plain statistic; others fill the last batch and are cut off again.
    all_items = jnp.ones((1, items), jnp.float32)
    padding = jnp.ones((-rows % batch, items), jnp.float32)
    batches = jnp.concatenate([all_items, weights, padding]).reshape(-1, batch, items)
    samples = jax.lax.map(jax.vmap(statistic), batches)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:rows], samples)


def summarise(samples: ArrayLike, *, level: float = 0.95) -> Estimate:
    """The estimate that samples of :func:`resampled` hold.

    Differences, ratios and means of several statistics' samples, taken row by row, are paired:
    summarise those.

    Args:
      samples: ``[1 + resample, ...]``, at least one resample; undefined (NaN) ones are left out.
      level: mass of the interval, in (0, 1).

    Returns:
      :class:`Estimate`, each part ``[...]``.

    >>> [float(v) for v in summarise(jnp.array([2.0, 1.0, 2.0, 3.0]), level=0.5)]
    [2.0, 1.5, 2.5]
    """
    samples = jnp.asarray(samples)
    low, high = percentile_interval(samples[1:], level)
    return Estimate(samples[0], low, high)


def estimate(
    statistic: Callable[[jax.Array], jax.Array], weights: ArrayLike, *, level: float = 0.95
) -> Estimate:
    """A statistic of all items, with its percentile bootstrap interval.

    Args:
      statistic: maps weights ``[item]`` to a scalar or array; all ones gives the plain statistic.
      weights: ``[resample, item]`` from :func:`resample_weights`.
      level: mass of the interval, in (0, 1).

    Returns:
      :class:`Estimate`; resamples whose statistic is NaN are left out of the interval. Nothing is
      jitted here: wrap the caller in :func:`jax.jit`.

    References:
      Efron, Bootstrap Methods: Another Look at the Jackknife, 1979,
      https://doi.org/10.1214/aos/1176344552.

    >>> x = jnp.arange(8.0)
    >>> weights = resample_weights(jax.random.key(0), 8, 100)
    >>> e = estimate(lambda w: jnp.sum(w * x) / 8, weights)
    >>> float(e.value), bool(e.low < 3.5 < e.high)
    (3.5, True)
    """
    return summarise(resampled(statistic, weights), level=level)


def difference(
    first: Callable[[jax.Array], jax.Array],
    second: Callable[[jax.Array], jax.Array],
    weights: ArrayLike,
    *,
    level: float = 0.95,
) -> Estimate:
    """How much larger the first statistic is than the second on the same items: a paired interval.

    Args:
      first: maps weights ``[item]`` to a scalar or array.
      second: likewise.
      weights: ``[resample, item]`` from :func:`resample_weights`.
      level: mass of the interval, in (0, 1).

    Returns:
      :class:`Estimate` of ``first - second``.

    >>> x = jnp.arange(8.0)
    >>> w = resample_weights(jax.random.key(0), 8, 100)
    >>> e = difference(lambda w: jnp.sum(w * x) / 8, lambda w: jnp.sum(w * (x - 1)) / 8, w)
    >>> [float(v) for v in e]
    [1.0, 1.0, 1.0]
    """
    return estimate(lambda w: first(w) - second(w), weights, level=level)
