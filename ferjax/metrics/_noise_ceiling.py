"""The reliability ceiling of human disagreement, from random halves of each item's votes."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ferjax.arrays import as_weights, is_traced, nan_where

__all__ = ["noise_ceiling"]


def noise_ceiling(
    key: jax.Array,
    votes: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    splits: int = 200,
    max_votes: int | None = None,
) -> jax.Array:
    """The highest Spearman correlation with human disagreement that a predictor can reach.

    Splits each item's own votes into two random halves, correlates the halves' disagreements, steps
    the reliability up to the full number of votes (Spearman-Brown) and takes the square root. So
    few votes have few different disagreements: a correlation is that of a small table, and under a
    vmap over weights the votes are split once.

    Args:
      key: random key of the splits.
      votes: ``[item, class]`` whole counts >= 0.
      weights: ``[item]`` >= 0, or None for one each.
      splits: how many random splits to average (static).
      max_votes: the most votes an item has (static); read from ``votes`` unless given, which needs
        them outside of jit.

    Returns:
      float32 scalar in [0, 1]; about 0.82 for FER+. NaN if disagreement is constant, if the
      halves are correlated negatively, for a negative, broken or missing count of an item that has
      weight, for an impossible weight, or without items.

    Raises:
      ValueError: if ``votes`` is not ``[item, class]``, there is not one weight for each item, or
        ``max_votes`` is missing under jit.

    References:
      Spearman, Correlation Calculated from Faulty Data, 1910,
      https://doi.org/10.1111/j.2044-8295.1910.tb00206.x; Brown, Some Experimental Results in the
      Correlation of Mental Abilities, 1910, https://doi.org/10.1111/j.2044-8295.1910.tb00207.x.

    >>> votes = jnp.array([[5, 5], [5, 5], [10, 0], [0, 10]])
    >>> ceiling = jax.jit(lambda key: noise_ceiling(key, votes, splits=5, max_votes=10))
    >>> bool(ceiling(jax.random.key(0)) > 0.8)
    True
    """
    if max_votes is None:
        if is_traced(votes):
            raise ValueError("noise_ceiling under jit needs max_votes, the most votes of any item")
        max_votes = int(np.asarray(votes).sum(-1).max(initial=0))
    given = jnp.asarray(votes)
    if given.ndim != 2:
        raise ValueError(f"votes must be [item, class], got {given.shape}")
    if given.shape[0] == 0:
        return jnp.asarray(jnp.nan, jnp.float32)
    w = as_weights(weights, jnp.zeros(given.shape[:1], jnp.float32))
    impossible = ~jnp.all((given >= 0) & (given == jnp.round(given)), -1)
    undefined = jnp.any(jnp.isnan(w)) | jnp.any(impossible & (w > 0))
    votes = jnp.where(impossible[:, None], 0, given).astype(jnp.int32)
    levels, level_of = _levels(-(-max_votes // 2))
    total = jnp.sum(votes, -1, keepdims=True)
    past = jnp.cumsum(votes, -1)
    slot_class = jnp.sum(jnp.arange(max_votes)[None, :, None] >= past[:, None, :], -1)

    def level(counts: jax.Array) -> jax.Array:
        return jnp.asarray(level_of)[jnp.sum(counts, -1), jnp.max(counts, -1)]

    def one_split(key: jax.Array) -> jax.Array:
        uniform = jax.random.uniform(key, slot_class.shape)
        uniform = jnp.where(slot_class < votes.shape[-1], uniform, jnp.inf)
        first = jnp.argsort(jnp.argsort(uniform, -1), -1) < total // 2
        chosen = jax.nn.one_hot(slot_class, votes.shape[-1], dtype=jnp.int32)
        half = jnp.sum(jnp.where(first[..., None], chosen, 0), 1)
        return jnp.stack([level(half), level(votes - half)])

    def correlation(halves: jax.Array) -> jax.Array:
        table = jnp.zeros((levels, levels)).at[halves[0], halves[1]].add(w)
        return _spearman_of_table(table)

    halves = jax.lax.map(one_split, jax.random.split(key, splits))
    reliability = jnp.mean(jax.lax.map(correlation, halves))
    halved = nan_where(~(reliability >= 0), reliability)
    return nan_where(undefined, jnp.sqrt(2 * halved / (1 + halved)))


def _levels(most: int) -> tuple[int, np.ndarray]:
    """The disagreements that up to ``most`` votes can have: how many different ones, and the rank
    of ``1 - max / sum`` among them as a table ``[sum, max]``."""
    counts = range(most + 1)
    share = [[Fraction(min(m, n), n) if n else Fraction(0) for m in counts] for n in counts]
    ordered = sorted({1 - s for row in share for s in row})
    rank = {value: place for place, value in enumerate(ordered)}
    return len(ordered), np.array([[rank[1 - s] for s in row] for row in share], np.int32)


def _spearman_of_table(table: jax.Array) -> jax.Array:
    """Spearman's correlation of two ordered variables from their weighted counts ``[x, y]``; NaN
    if either is constant."""
    total = jnp.sum(table)

    def centred_ranks(counts: jax.Array) -> jax.Array:
        return (jnp.cumsum(counts) - counts / 2 - total / 2) / total

    rows = jnp.sum(table, 1)
    columns = jnp.sum(table, 0)
    x = centred_ranks(rows)
    y = centred_ranks(columns)
    covariance = jnp.sum(table * x[:, None] * y[None, :])
    variance_x = jnp.sum(rows * x**2)
    variance_y = jnp.sum(columns * y**2)
    several = (jnp.sum(rows > 0) > 1) & (jnp.sum(columns > 0) > 1)
    rho = covariance / jnp.sqrt(jnp.where(several, variance_x * variance_y, 1))
    return jnp.where(several, jnp.clip(rho, -1.0, 1.0), jnp.nan)
