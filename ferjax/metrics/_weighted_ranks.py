"""Sums, means and tied ranks in which an item may count more than once.

``weights [item]`` are whole or real numbers >= 0: weight 2 means "this item twice", weight 0 "left
out". Everything that depends on the scores alone (the sort, its tie groups) is computed without
them, so that under ``jax.vmap`` over weights it is computed once.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

__all__ = [
    "Ties",
    "below_and_up_to",
    "check_same_length",
    "running_sum",
    "ties",
    "weighted_mean",
    "weights_or_ones",
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
    """Cumulative sum of ``[n]`` as float32, exact for whole numbers up to 2^24.

    Two levels of small triangular matrix products: under a vmap over resamples that is one large
    product, many times faster than :func:`jax.numpy.cumsum`, whose passes over memory dominate a
    bootstrap otherwise.

    >>> running_sum(jnp.arange(4)).tolist()
    [0.0, 1.0, 3.0, 6.0]
    """
    n = values.shape[0]
    blocks = jnp.pad(values.astype(jnp.float32), (0, -n % _BLOCK)).reshape(-1, _BLOCK)
    upper = jnp.triu(jnp.ones((_BLOCK, _BLOCK)))
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
      Two float32 ``[item]``, in item order.

    >>> below, up_to = below_and_up_to(ties(jnp.array([5.0, 1.0, 5.0])), jnp.ones(3))
    >>> below.tolist(), up_to.tolist()
    ([1.0, 0.0, 1.0], [3.0, 1.0, 3.0])
    """
    running = jnp.concatenate([jnp.zeros(1), running_sum(weights[tied.order])])
    return running[tied.first], running[tied.past]


def weights_or_ones(weights: ArrayLike | None, like: jax.Array) -> jax.Array:
    """The weights as given, or ones, as float32 ``[item]``.

    Raises:
      ValueError: if there is not one for each item of ``like [item, ...]``.

    >>> weights_or_ones(None, jnp.zeros((2, 5))).tolist()
    [1.0, 1.0]
    """
    if weights is None:
        return jnp.ones(like.shape[:1], jnp.float32)
    weights = jnp.asarray(weights)
    if weights.shape != like.shape[:1]:
        raise ValueError(f"weights must be [item] {like.shape[:1]}, got {weights.shape}")
    return weights.astype(jnp.float32)


def check_same_length(first: ArrayLike, second: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """Two arrays ``[item]``, refused if they are not of one length.

    Raises:
      ValueError: if they are not ``[item]`` of one length.

    >>> [len(array) for array in check_same_length([1, 2], [3, 4])]
    [2, 2]
    """
    first = jnp.asarray(first)
    second = jnp.asarray(second)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(
            f"expected two arrays [item] of one length, got {first.shape} and {second.shape}"
        )
    return first, second


def weighted_mean(values: jax.Array, weights: ArrayLike | None) -> jax.Array:
    """Weighted mean over ``[item]``, float32; NaN when no item has weight.

    An item of weight 0 is left out even where its value is undefined.

    >>> float(weighted_mean(jnp.array([1.0, jnp.nan]), jnp.array([3, 0])))
    1.0
    """
    w = weights_or_ones(weights, values)
    return jnp.sum(jnp.where(w > 0, w * values, 0.0)) / jnp.sum(w)
