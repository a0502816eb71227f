"""Calibration: whether confidence is what correctness turns out to be, bin by bin."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.metrics._weighted_ranks import check_same_length, running_sum, weights_or_ones

__all__ = ["Bins", "ece", "reliability_bins"]


class Bins(NamedTuple):
    """A reliability diagram."""

    share: jax.Array
    """``[bin]``: share of the items; NaN if no item has weight."""
    confidence: jax.Array
    """``[bin]``: their mean confidence; NaN in empty bins."""
    correct: jax.Array
    """``[bin]``: their mean correctness; NaN in empty bins."""


def reliability_bins(
    confidence: ArrayLike,
    correct: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    bins: int = 15,
    equal_mass: bool = False,
) -> Bins:
    """Confidence against correctness in bins.

    Args:
      confidence: ``[item]`` in [0, 1].
      correct: ``[item]`` 0/1, or the share of votes for the predicted class.
      weights: ``[item]`` >= 0, or None for one each.
      bins: number of bins (static).
      equal_mass: bins with equally many items (cut by position in the sort) instead of equal width
        on [0, 1] (static).

    Returns:
      :class:`Bins`, float32. Bins of equal width are open below and closed above, ``(low, high]``.
      A NaN confidence makes every confidence NaN; a NaN of ``correct``, every correctness.

    Raises:
      ValueError: if the arrays are not ``[item]`` of one length.

    >>> reliability_bins(jnp.array([0.2, 0.9]), jnp.array([0, 1]), bins=2).share.tolist()
    [0.5, 0.5]
    """
    confidence, correct = check_same_length(
        jnp.asarray(confidence, jnp.float32), jnp.asarray(correct, jnp.float32)
    )
    w = weights_or_ones(weights, confidence)
    confidence = jnp.where(w > 0, confidence, 0.0)
    correct = jnp.where(w > 0, correct, 0.0)
    if equal_mass:
        order = jnp.argsort(confidence)
        before = running_sum(w[order]) - w[order]
        in_order = (before * bins / jnp.sum(w)).astype(jnp.int32)
        bin_of = jnp.zeros(confidence.shape, jnp.int32).at[order].set(in_order)
    else:
        # (low, high] as in Guo et al.: confidence 1 belongs to the last bin, 0 to the first.
        bin_of = jnp.ceil(confidence * bins).astype(jnp.int32) - 1
    inside = jax.nn.one_hot(jnp.clip(bin_of, 0, bins - 1), bins, axis=0)

    def by_bin(values: jax.Array) -> jax.Array:
        return jnp.matmul(inside, values, precision=jax.lax.Precision.HIGHEST)

    mass = by_bin(w)
    return Bins(mass / jnp.sum(w), by_bin(w * confidence) / mass, by_bin(w * correct) / mass)


def ece(
    log_probs: ArrayLike,
    labels: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    bins: int = 15,
    equal_mass: bool = False,
) -> jax.Array:
    """Expected calibration error of the top class: mean gap of confidence and accuracy over bins.

    Args:
      log_probs: ``[item, class]``.
      labels: ``[item]`` class indices.
      weights: ``[item]`` >= 0, or None for one each.
      bins: number of bins (static).
      equal_mass: see :func:`reliability_bins` (static).

    Returns:
      float32 scalar in [0, 1]; NaN for a NaN log-probability of an item that has weight; 0 without
      items, or if none has weight.

    Raises:
      ValueError: if there is not one label and one weight for each item.

    References:
      Guo et al., On Calibration of Modern Neural Networks, 2017, https://arxiv.org/abs/1706.04599.

    >>> round(float(ece(jnp.log(jnp.array([[0.8, 0.2], [0.8, 0.2]])), jnp.array([0, 1]))), 4)
    0.3
    """
    log_probs = jnp.asarray(log_probs, jnp.float32)
    confidence = jnp.minimum(jnp.exp(jnp.max(log_probs, -1)), 1.0)
    correct = jnp.argmax(log_probs, -1) == jnp.asarray(labels)
    b = reliability_bins(confidence, correct, weights, bins=bins, equal_mass=equal_mass)
    return jnp.sum(jnp.where(b.share > 0, b.share * jnp.abs(b.confidence - b.correct), 0.0))
