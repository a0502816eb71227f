"""Resampled sums over items: one matrix product for all figures, one set of weights for all."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ferjax import bootstrap, metrics
from ferjax.evaluation.resampling import draw_weights

__all__ = ["Weights", "all_weights", "means", "ratios", "spearmans", "table_spearmans"]

Weights = jax.Array
"""float32 ``[1 + resample, item]``: all ones first, then how often each item was drawn."""


def all_weights(seed: int, resamples: int, groups: np.ndarray) -> Weights:
    """Weights of all items, and of each resample; copies of a text are drawn together."""
    drawn = draw_weights(jax.random.key(seed), len(groups), resamples, groups)
    return jnp.concatenate([jnp.ones((1, len(groups)), jnp.float32), drawn.astype(jnp.float32)])


@jax.jit
def _ratios(weights: jax.Array, over: jax.Array, under: jax.Array) -> jax.Array:
    fine = ~(jnp.isnan(over) | jnp.isnan(under))
    rows = over.shape[:-1]
    both = jnp.stack([jnp.where(fine, over, 0.0), jnp.where(fine, under, 0.0)])
    sums = weights @ both.reshape(-1, over.shape[-1]).T
    top, bottom = jnp.split(sums, 2, -1)
    result = jnp.where(bottom != 0, top / jnp.where(bottom != 0, bottom, 1.0), jnp.nan)
    return result.reshape(-1, *rows)


def ratios(weights: Weights, over: ArrayLike, under: ArrayLike) -> np.ndarray:
    """Sum over items of ``over`` by that of ``under``, both ``[..., item]``, for each resample.

    Items where either is NaN count in neither. ``[1 + resample, ...]`` float64.
    """
    over, under = np.broadcast_arrays(np.asarray(over), np.asarray(under))
    found = _ratios(weights, np.asarray(over, np.float32), np.asarray(under, np.float32))
    return np.asarray(found, np.float64)


def means(weights: Weights, values: ArrayLike) -> np.ndarray:
    """Weighted means over items of ``[..., item]``, ``[1 + resample, ...]``; NaN is left out."""
    return ratios(weights, values, np.ones_like(np.asarray(values, np.float32)))


@jax.jit
def _spearmans(weights: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    def one(row: tuple[jax.Array, jax.Array]) -> jax.Array:
        a, b = row
        fine = ~(jnp.isnan(a) | jnp.isnan(b))
        a = jnp.where(fine, a, 0.0)
        b = jnp.where(fine, b, 0.0)
        keep = fine.astype(jnp.float32)
        return bootstrap.resampled(lambda w: metrics.spearman(a, b, w * keep), weights[1:])

    return jax.lax.map(one, (x, y))


def spearmans(weights: Weights, x: ArrayLike, y: ArrayLike) -> np.ndarray:
    """Rank correlations over items of ``x`` and ``y``, each ``[row, item]``; items where either is
    NaN are left out. ``[1 + resample, row]``."""
    x, y = np.broadcast_arrays(np.asarray(x, np.float32), np.asarray(y, np.float32))
    return np.asarray(_spearmans(weights, x, y), np.float64).T


@jax.jit
def _cells(weights: jax.Array, x: jax.Array, y: jax.Array, levels: jax.Array) -> jax.Array:
    wide = levels.shape[0]
    high = levels.shape[1]

    def one(row: tuple[jax.Array, jax.Array]) -> jax.Array:
        a, b = row
        fine = (a >= 0) & (b >= 0)
        cell = jax.nn.one_hot(jnp.where(fine, a * high + b, -1), wide * high)
        tables = (weights @ cell).reshape(-1, wide, high)
        return _table_spearman(tables)

    return jax.lax.map(one, (x, y))


def _table_spearman(tables: jax.Array) -> jax.Array:
    """Spearman's correlation from weighted counts ``[..., x, y]`` of two ordered variables."""
    rows = jnp.sum(tables, -1)
    columns = jnp.sum(tables, -2)
    total = jnp.sum(rows, -1, keepdims=True)

    def ranks(counts: jax.Array) -> jax.Array:
        return (jnp.cumsum(counts, -1) - counts / 2) / total - 0.5

    x = ranks(rows)
    y = ranks(columns)
    covariance = jnp.einsum("...xy,...x,...y->...", tables, x, y)
    variance = jnp.sum(rows * x**2, -1) * jnp.sum(columns * y**2, -1)
    several = (jnp.sum(rows > 0, -1) > 1) & (jnp.sum(columns > 0, -1) > 1)
    return jnp.where(several, covariance / jnp.sqrt(jnp.where(several, variance, 1.0)), jnp.nan)


def table_spearmans(weights: Weights, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """As :func:`spearmans`, for variables of few different values: from counted tables.

    Args:
      weights: ``[1 + resample, item]``.
      x: ``[row, item]``; NaN is left out.
      y: ``[row, item]``.

    Returns:
      ``[1 + resample, row]``.
    """
    a, wide = _levels(x)
    b, high = _levels(y)
    if wide * high > 400:
        return spearmans(weights, x, y)
    return np.asarray(_cells(weights, a, b, np.zeros((wide, high))), np.float64).T


def _levels(values: np.ndarray) -> tuple[np.ndarray, int]:
    """The rank of each value among the different ones of its row, −1 for NaN; and how many there
    are at most."""
    values = np.asarray(values, np.float32)
    ranks = np.full(values.shape, -1, np.int32)
    most = 1
    for row, line in enumerate(values):
        there = ~np.isnan(line)
        # Shares are quotients of small whole numbers: equal ones are equal up to rounding.
        found, rank = np.unique(np.round(line[there], 6), return_inverse=True)
        ranks[row, there] = rank
        most = max(most, len(found))
    return ranks, most
