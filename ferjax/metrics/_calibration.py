"""Calibration errors: how far confidence is from what correctness turns out to be.

NaN comes out for a NaN, or a label that is no class, of an item that has weight, for a weight that
is negative or not finite, and without items, or if none has weight. Types are cast as
:mod:`ferjax.arrays` says. Order of the items never counts, and a weight of 2 is the item twice.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.metrics._confidence_bins import calibration_gaps, classwise_gaps

__all__ = ["classwise_ece", "ece", "l2_ece", "mce"]


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
      float32 scalar in [0, 1]; NaN where an input is undefined (see above), or if no item has
      weight.

    Raises:
      ValueError: if there is not one label and one weight for each item.

    References:
      Guo et al., On Calibration of Modern Neural Networks, 2017, https://arxiv.org/abs/1706.04599.

    >>> round(float(ece(jnp.log(jnp.array([[0.8, 0.2], [0.8, 0.2]])), jnp.array([0, 1]))), 4)
    0.3
    """
    of = calibration_gaps(log_probs, labels, weights, bins=bins, equal_mass=equal_mass)
    return jnp.sum(of.share * jnp.abs(of.gap))


def mce(
    log_probs: ArrayLike,
    labels: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    bins: int = 15,
    equal_mass: bool = False,
) -> jax.Array:
    """Maximum calibration error of the top class: the largest gap of any bin that holds an item.

    Args:
      log_probs: ``[item, class]``.
      labels: ``[item]`` class indices.
      weights: ``[item]`` >= 0, or None for one each.
      bins: number of bins (static).
      equal_mass: see :func:`reliability_bins` (static).

    Returns:
      float32 scalar in [0, 1]; NaN where an input is undefined (see above), or if no item has
      weight.

    Raises:
      ValueError: if there is not one label and one weight for each item.

    References:
      Naeini et al., Obtaining Well Calibrated Probabilities Using Bayesian Binning, 2015,
      https://doi.org/10.1609/aaai.v29i1.9602.

    >>> round(float(mce(jnp.log(jnp.array([[0.8, 0.2], [0.4, 0.6]])), jnp.array([0, 0]))), 4)
    0.6
    """
    of = calibration_gaps(log_probs, labels, weights, bins=bins, equal_mass=equal_mass)
    return jnp.max(jnp.abs(of.gap) + 0 * of.share)  # no share: no items


def l2_ece(
    log_probs: ArrayLike,
    labels: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    bins: int = 15,
    equal_mass: bool = False,
) -> jax.Array:
    """Root mean squared calibration error of the top class over bins.

    Args:
      log_probs: ``[item, class]``.
      labels: ``[item]`` class indices.
      weights: ``[item]`` >= 0, or None for one each.
      bins: number of bins (static).
      equal_mass: see :func:`reliability_bins` (static).

    Returns:
      float32 scalar in [0, 1], between :func:`ece` and :func:`mce`; NaN where an input is undefined
      (see above), or if no item has weight.

    Raises:
      ValueError: if there is not one label and one weight for each item.

    References:
      Kumar, Liang & Ma, Verified Uncertainty Calibration, 2019, https://arxiv.org/abs/1909.10155.

    >>> round(float(l2_ece(jnp.log(jnp.array([[0.8, 0.2], [0.4, 0.6]])), jnp.array([0, 0]))), 4)
    0.4472
    """
    of = calibration_gaps(log_probs, labels, weights, bins=bins, equal_mass=equal_mass)
    return jnp.sqrt(jnp.sum(of.share * of.gap**2))


def classwise_ece(
    log_probs: ArrayLike,
    labels: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    bins: int = 15,
    equal_mass: bool = False,
) -> jax.Array:
    """Class-wise calibration error: the mean over classes of the error of their own probability.

    Each class is one question, "is the label this class", and its probability the confidence.

    Args:
      log_probs: ``[item, class]``.
      labels: ``[item]`` class indices.
      weights: ``[item]`` >= 0, or None for one each.
      bins: number of bins (static).
      equal_mass: see :func:`reliability_bins` (static).

    Returns:
      float32 scalar in [0, 1]; NaN where an input is undefined (see above), or if no item has
      weight.

    Raises:
      ValueError: if there is not one label and one weight for each item.

    References:
      Kull et al., Beyond Temperature Scaling, 2019, https://arxiv.org/abs/1910.12656; Nixon et al.,
      Measuring Calibration in Deep Learning, 2019, https://arxiv.org/abs/1904.01685.

    >>> round(float(classwise_ece(jnp.log(jnp.array([[0.8, 0.2]])), jnp.array([1]))), 4)
    0.8
    """
    of = classwise_gaps(log_probs, labels, weights, bins=bins, equal_mass=equal_mass)
    return jnp.mean(jnp.sum(of.share * jnp.abs(of.gap), axis=-1))
