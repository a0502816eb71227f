"""The reliability ceiling of human disagreement, from random halves of each item's votes."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ferjax.metrics._ranking import spearman

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
    the reliability up to the full number of votes (Spearman-Brown) and takes the square root.

    Args:
      key: random key of the splits.
      votes: ``[item, class]`` whole counts >= 0, at least one item.
      weights: ``[item]`` >= 0, or None for one each.
      splits: how many random splits to average (static).
      max_votes: the most votes an item has (static); read from ``votes`` unless given, which needs
        them outside of jit.

    Returns:
      float32 scalar in [0, 1]; about 0.82 for FER+. NaN if disagreement is constant, or if the
      halves are correlated negatively.

    Raises:
      ValueError: if there is no item, or not one weight for each.

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
        max_votes = int(np.asarray(votes).sum(-1).max())
    votes = jnp.asarray(votes, jnp.int32)
    total = jnp.sum(votes, -1, keepdims=True)
    past = jnp.cumsum(votes, -1)
    slot_class = jnp.sum(jnp.arange(max_votes)[None, :, None] >= past[:, None, :], -1)

    def disagreement(counts: jax.Array) -> jax.Array:
        return 1 - jnp.max(counts, -1) / jnp.maximum(jnp.sum(counts, -1), 1)

    def one_split(key: jax.Array) -> jax.Array:
        uniform = jax.random.uniform(key, slot_class.shape)
        uniform = jnp.where(slot_class < votes.shape[-1], uniform, jnp.inf)
        first = jnp.argsort(jnp.argsort(uniform, -1), -1) < total // 2
        chosen = jax.nn.one_hot(slot_class, votes.shape[-1], dtype=jnp.int32)
        half = jnp.sum(chosen * first[..., None], 1)
        return spearman(disagreement(half), disagreement(votes - half), weights)

    reliability = jnp.mean(jax.lax.map(one_split, jax.random.split(key, splits)))
    return jnp.sqrt(2 * reliability / (1 + reliability))
