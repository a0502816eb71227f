"""Counting faces more than once: sums, means and tied ranks under weights.

``weights [face]`` are whole or real numbers >= 0: weight 2 means "this face twice", weight 0 "left
out". Everything that depends on the scores alone (the sort, its tie groups) is computed without
them, so that under ``jax.vmap`` over weights it is computed once.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

__all__ = ["Ties", "below_and_through", "mean", "pair", "running_sum", "ties", "weights_of"]

_BLOCK = 64


class Ties(NamedTuple):
    """A sort of scores. ``order`` sorts; face by face, ``first`` and ``past`` bound its tie group
    in the sort."""

    order: jax.Array
    first: jax.Array
    past: jax.Array


def ties(scores: jax.Array) -> Ties:
    """Sorts ``scores [face]`` and finds who is tied with whom.

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


def below_and_through(tied: Ties, weights: jax.Array) -> tuple[jax.Array, jax.Array]:
    """For each face, the weight strictly below its score, and up to and including its tie group; in
    face order."""
    running = jnp.concatenate([jnp.zeros(1), running_sum(weights[tied.order])])
    return running[tied.first], running[tied.past]


def weights_of(weights: jax.Array | None, like: jax.Array) -> jax.Array:
    """The weights as given, or ones, as float32 ``[face]``.

    Raises:
      ValueError: if there is not one for each face.
    """
    if weights is None:
        return jnp.ones(like.shape[:1], jnp.float32)
    weights = jnp.asarray(weights)
    if weights.shape != like.shape[:1]:
        raise ValueError(f"weights must be [face] {like.shape[:1]}, got {weights.shape}")
    return weights.astype(jnp.float32)


def pair(scores: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Two arrays ``[face]`` of one length.

    Raises:
      ValueError: if they are not.
    """
    scores = jnp.asarray(scores)
    labels = jnp.asarray(labels)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise ValueError(
            f"expected two arrays [face] of one length, got {scores.shape} and {labels.shape}"
        )
    return scores, labels


def mean(values: jax.Array, weights: jax.Array | None) -> jax.Array:
    """Weighted mean over faces; NaN when no face has weight. A face of weight 0 is left out even
    where it is undefined.

    >>> float(mean(jnp.array([1.0, jnp.nan]), jnp.array([3, 0])))
    1.0
    """
    w = weights_of(weights, values)
    return jnp.sum(jnp.where(w > 0, w * values, 0.0)) / jnp.sum(w)
