"""Bins of confidence: what correctness turns out to be in each, and how far confidence is off.

NaN comes out for a NaN, or a label that is no class, of an item that has weight, for a weight that
is negative or not finite, and without items, or if none has weight. Types are cast as
:mod:`ferjax.arrays` says. Order of the items never counts, and a weight of 2 is the item twice.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.arrays import as_floats, as_weights, check_items, nan_where
from ferjax.metrics._items import classified
from ferjax.metrics._weighted_ranks import below_and_up_to, ties

__all__ = ["Bins", "Gaps", "calibration_gaps", "classwise_gaps", "reliability_bins"]


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
      equal_mass: bins with equally many items instead of equal width on [0, 1] (static). Items of
        one confidence stay together, in the bin where the first of them falls.

    Returns:
      :class:`Bins`, float32. Bins of equal width are open below and closed above, ``(low, high]``.
      A NaN confidence makes every confidence NaN; a NaN of ``correct``, every correctness; an
      impossible weight, everything.

    Raises:
      ValueError: if the arrays are not ``[item]`` of one length, or there is no bin.

    References:
      Guo et al., On Calibration of Modern Neural Networks, 2017, https://arxiv.org/abs/1706.04599.

    >>> reliability_bins(jnp.array([0.2, 0.9]), jnp.array([0, 1]), bins=2).share.tolist()
    [0.5, 0.5]
    """
    confidence, correct = as_floats(confidence, correct)
    check_items(confidence=confidence, correct=correct)
    mass, sums = _by_bin(
        confidence, (confidence, correct), as_weights(weights, confidence), bins, equal_mass
    )
    total = jnp.sum(mass)
    some = mass > 0
    held = jnp.where(some, mass, 1)
    share = nan_where(~(total > 0), mass / jnp.where(total > 0, total, 1))
    return Bins(share, nan_where(~some, sums[0] / held), nan_where(~some, sums[1] / held))


def _by_bin(
    confidence: jax.Array,
    values: tuple[jax.Array, ...],
    weights: jax.Array,
    bins: int,
    equal_mass: bool,
) -> tuple[jax.Array, list[jax.Array]]:
    """Weight of each bin ``[bin]``, and its weighted sum of each of the values."""
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    edges = jnp.arange(1, bins, dtype=confidence.dtype)[:, None]
    if equal_mass:
        # Compared as products: a quotient would round a position across an edge.
        below, _ = below_and_up_to(ties(confidence), weights)
        past = (below * bins)[None] >= edges * jnp.sum(weights)
    else:
        # (low, high] as in Guo et al.: confidence 1 belongs to the last bin, 0 to the first.
        past = jnp.ceil(confidence * bins)[None] > edges
    inside = jax.nn.one_hot(jnp.sum(past, axis=0), bins, axis=0, dtype=confidence.dtype)

    def summed(values: jax.Array) -> jax.Array:
        held = jnp.where(weights != 0, weights * jnp.where(weights != 0, values, 0), 0)
        return jnp.matmul(inside, held, precision=jax.lax.Precision.HIGHEST)

    return summed(jnp.ones_like(weights)), [summed(of) for of in values]


class Gaps(NamedTuple):
    """Bins of confidence, and how far each is off; what calibration errors are norms of."""

    share: jax.Array
    """``[..., bin]``: share of the items."""
    gap: jax.Array
    """``[..., bin]``: mean confidence less mean correctness, above 0 where predictions are too
    sure; 0 in empty bins."""
    deviation: jax.Array
    """``[..., bin]``: standard deviation that the gap has where predictions are calibrated and
    every item is right or wrong: noise alone makes a gap of this size; 0 in empty bins."""


def calibration_gaps(
    log_probs: ArrayLike,
    labels: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    bins: int = 15,
    equal_mass: bool = False,
) -> Gaps:
    """Confidence of the top class less accuracy, bin by bin.

    :func:`ece` is the mean of the absolute gaps, :func:`l2_ece` their root mean square, :func:`mce`
    the largest. Of gaps that are 0 in truth the sample's are not, so that all three come out too
    large, the more so the fewer items a bin holds; the gaps themselves do not.

    Args:
      log_probs: ``[item, class]``.
      labels: ``[item]`` class indices.
      weights: ``[item]`` >= 0, or None for one each.
      bins: number of bins (static).
      equal_mass: see :func:`reliability_bins` (static).

    Returns:
      :class:`Gaps`, float32 ``[bin]``; NaN where an input is undefined (see above), or if no item
      has weight.

    Raises:
      ValueError: if there is not one label and one weight for each item.

    References:
      Kumar, Liang & Ma, Verified Uncertainty Calibration, 2019, https://arxiv.org/abs/1909.10155.

    >>> sure = jnp.log(jnp.array([[0.75, 0.25], [0.75, 0.25]]))
    >>> found = calibration_gaps(sure, jnp.array([0, 1]), bins=2)
    >>> found.gap.tolist(), round(float(found.deviation[1]), 3)
    ([0.0, 0.25], 0.306)
    """
    rows, of, w, undefined = classified(log_probs, labels, weights)
    confidence = jnp.minimum(jnp.exp(jnp.max(rows, -1)), 1)
    correct = (jnp.argmax(rows, -1) == of).astype(rows.dtype)
    return _gaps_of(confidence, correct, w, undefined, bins, equal_mass)


def classwise_gaps(
    log_probs: ArrayLike,
    labels: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    bins: int = 15,
    equal_mass: bool = False,
) -> Gaps:
    """Probability of each class less how often it is the label, bin by bin.

    Args:
      log_probs: ``[item, class]``.
      labels: ``[item]`` class indices.
      weights: ``[item]`` >= 0, or None for one each.
      bins: number of bins (static).
      equal_mass: see :func:`reliability_bins` (static).

    Returns:
      :class:`Gaps`, float32 ``[class, bin]``, of which :func:`classwise_ece` is the mean over
      classes of the mean absolute gap; NaN as in :func:`calibration_gaps`.

    Raises:
      ValueError: if there is not one label and one weight for each item.

    References:
      Kull et al., Beyond Temperature Scaling, 2019, https://arxiv.org/abs/1910.12656.

    >>> sure = jnp.log(jnp.array([[0.75, 0.25], [0.75, 0.25]]))
    >>> classwise_gaps(sure, jnp.array([0, 1]), bins=2).gap.tolist()
    [[0.0, 0.25], [-0.25, 0.0]]
    """
    rows, of, w, undefined = classified(log_probs, labels, weights)
    is_class = jax.nn.one_hot(of, rows.shape[1], dtype=rows.dtype)

    def of_class(confidence: jax.Array, correct: jax.Array) -> Gaps:
        return _gaps_of(confidence, correct, w, undefined, bins, equal_mass)

    return jax.vmap(of_class, (1, 1))(jnp.minimum(jnp.exp(rows), 1), is_class)


def _gaps_of(
    confidence: jax.Array,
    correct: jax.Array,
    w: jax.Array,
    undefined: jax.Array,
    bins: int,
    equal_mass: bool,
) -> Gaps:
    unusable = jnp.any(undefined & (w != 0))
    over = nan_where(undefined, confidence - correct)
    variance = nan_where(undefined, w * confidence * (1 - confidence))
    mass, (difference, variance) = _by_bin(confidence, (over, variance), w, bins, equal_mass)
    total = jnp.sum(mass)
    unusable |= ~(total > 0)
    held = jnp.where(mass > 0, mass, 1)
    found = mass / jnp.where(total > 0, total, 1), difference / held, jnp.sqrt(variance) / held
    return Gaps(*(nan_where(unusable, of) for of in found))
