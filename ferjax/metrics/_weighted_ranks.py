"""Sums, means and tied ranks in which an item may count more than once.

``weights [item]`` are whole or real numbers >= 0: weight 2 means "this item twice", weight 0 "left
out". Everything that depends on the scores alone (the sort, its tie groups) is computed without
them, so that under ``jax.vmap`` over weights it is computed once.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

__all__ = [
    "Ties",
    "below_and_up_to",
    "running_sum",
    "ties",
    "weighted_mean",
]

_BLOCK = 64


class Ties(NamedTuple):
    """A sort of scores, and the tie group of each item in it."""

    order: jax.Array
    """int32 ``[item]``; sorts the scores."""
    first: jax.Array
    """int32 ``[item]``, in item order: where the item's tie group begins in the sort."""
    past: jax.Array
    """int32 ``[item]``, in item order: just past the end of its tie group."""


def ties(scores: jax.Array) -> Ties:
    """Sorts ``scores [item]`` and finds who is tied with whom; NaN is sorted last.

    >>> t = ties(jnp.array([5.0, 1.0, 5.0]))
    >>> t.order.tolist(), t.first.tolist(), t.past.tolist()
    ([1, 0, 2], [1, 0, 1], [3, 1, 3])
    """
    order = jnp.argsort(scores)
    ordered = scores[order]
    return Ties(
        order,
        jnp.searchsorted(ordered, scores, side="left"),
        jnp.searchsorted(ordered, scores, side="right"),
    )


def running_sum(values: jax.Array) -> jax.Array:
    """Cumulative sum of floats ``[n]``; in float32 exact for whole numbers up to 2^24.

    Two levels of small triangular matrix products: under a vmap over resamples that is one large
    product, many times faster than :func:`jax.numpy.cumsum`, whose passes over memory dominate a
    bootstrap otherwise.

    >>> running_sum(jnp.arange(4.0)).tolist()
    [0.0, 1.0, 3.0, 6.0]
    """
    n = values.shape[0]
    blocks = jnp.pad(values, (0, -n % _BLOCK)).reshape(-1, _BLOCK)
    upper = jnp.triu(jnp.ones((_BLOCK, _BLOCK), values.dtype))
    inside = jnp.matmul(blocks, upper, precision=jax.lax.Precision.HIGHEST)
    total = inside[:, -1]
    before = running_sum(total) - total if total.shape[0] > _BLOCK else jnp.cumsum(total) - total
    return (inside + before[:, None]).reshape(-1)[:n]


def below_and_up_to(tied: Ties, weights: jax.Array) -> tuple[jax.Array, jax.Array]:
    """For each item, the weight strictly below its score, and up to the end of its tie group.

    Args:
      tied: from :func:`ties`.
      weights: ``[item]``.

    Returns:
      Two ``[item]`` of the weights' type, in item order.

    >>> below, up_to = below_and_up_to(ties(jnp.array([5.0, 1.0, 5.0])), jnp.ones(3))
    >>> below.tolist(), up_to.tolist()
    ([1.0, 0.0, 1.0], [3.0, 1.0, 3.0])
    """
    running = jnp.concatenate([jnp.zeros(1, weights.dtype), running_sum(weights[tied.order])])
    return running[tied.first], running[tied.past]


def weighted_mean(values: jax.Array, weights: jax.Array) -> jax.Array:
    """Weighted mean over ``[item]``; NaN when no item has weight.

    An item of weight 0 is left out even where its value is undefined.

    >>> float(weighted_mean(jnp.array([1.0, jnp.nan]), jnp.array([3.0, 0.0])))
    1.0
    """
    some = weights != 0  # a NaN weight is none that may be left out
    return jnp.sum(jnp.where(some, weights * jnp.where(some, values, 0), 0)) / jnp.sum(weights)
