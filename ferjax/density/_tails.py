"""How rare a score would be among known items, from the tail of theirs."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.arrays import as_floats, check_items, nan_where

__all__ = ["Tail", "fit_tail", "tail_surprise"]

_LEAST = 1e-6
"""A mean excess below this is taken for it: known scores that are all alike have no tail."""


class Tail(NamedTuple):
    """The tail of a score: ``P(score > s) = share exp(-(s - start) / mean_excess)``."""

    start: jax.Array
    """Scalar: where the tail begins, in the score's unit."""
    mean_excess: jax.Array
    """Scalar > 0: by how much scores beyond the start exceed it, in the score's unit."""
    share: jax.Array
    """Scalar in (0, 1): of known items beyond the start."""


def fit_tail(known: ArrayLike, *, share: float = 0.1) -> Tail:
    """The tail of a score among known items.

    Args:
      known: ``[known]`` scores of clean items, larger = stranger; of a distance, its logarithm.
      share: of the items that the tail is fitted to, in (0, 1).

    Returns:
      :class:`Tail`, float32; all NaN but ``share`` without items or for a NaN among them.

    Raises:
      ValueError: if the scores are not ``[known]``, or ``share`` does not lie in (0, 1).

    References:
      Hill, A Simple General Approach to Inference About the Tail of a Distribution, 1975,
      https://doi.org/10.1214/aos/1176343247: of the logarithms of a distance, the mean excess is
      his estimate.

    >>> tail = fit_tail(jnp.arange(100.0), share=0.1)
    >>> [round(float(part), 2) for part in tail]
    [89.1, 5.4, 0.1]
    """
    (values,) = as_floats(known)
    check_items(known=values)
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, got {share}")
    if not values.shape[0]:
        nan = jnp.full((), jnp.nan, values.dtype)
        return Tail(nan, nan, jnp.asarray(share, values.dtype))
    start = jnp.quantile(values, 1 - share)
    beyond = values > start
    count = jnp.maximum(jnp.sum(beyond.astype(values.dtype)), 1.0)
    excess = jnp.sum(jnp.where(beyond, values - start, 0.0)) / count
    excess = nan_where(jnp.isnan(start), jnp.maximum(excess, _LEAST))
    return Tail(start, excess, jnp.asarray(share, values.dtype))


def tail_surprise(tail: Tail, scores: ArrayLike) -> jax.Array:
    """Minus the logarithm of the share of known items that would score higher.

    Scores of different kinds become comparable: the largest of several surprises is that of the
    smallest of their tail probabilities (Tippett's combination).

    Args:
      tail: from :func:`fit_tail`.
      scores: ``[item]``.

    Returns:
      float32 ``[item]``, nats; ``-log(share)`` at the start. Below the start the same line goes on,
      into negative numbers: the order is kept, the share is not.

    Raises:
      ValueError: if the scores are not ``[item]``.

    References:
      Tippett, The Methods of Statistics, 1931.

    >>> tail = Tail(jnp.array(1.0), jnp.array(0.5), jnp.array(0.1))
    >>> [round(float(s), 3) for s in tail_surprise(tail, jnp.array([1.0, 2.0]))]
    [2.303, 4.303]
    """
    (values,) = as_floats(scores)
    check_items(scores=values)
    return (values - tail.start) / tail.mean_excess - jnp.log(tail.share)
