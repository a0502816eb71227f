"""Selective risk: what leaving the most uncertain items out gains, at every coverage.

Axis legend: ``[item]`` uncertainty (larger is left out first), loss and weights. A NaN uncertainty
gives NaN, and so does a NaN loss of an item that has weight.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.metrics._weighted_ranks import (
    below_and_up_to,
    check_same_length,
    running_sum,
    ties,
    weighted_mean,
    weights_or_ones,
)

__all__ = ["augrc", "aurc", "excess_aurc", "ideal_aurc", "risk_at_coverage"]


def _kept_and_lost(
    uncertainty: jax.Array, loss: jax.Array, w: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Weight, and lost weight, of the items at most as uncertain as each item."""
    tied = ties(uncertainty)
    _, kept = below_and_up_to(tied, w)
    _, lost = below_and_up_to(tied, jnp.where(w > 0, w * loss, 0.0))
    return kept, jnp.where(jnp.any(jnp.isnan(uncertainty)), jnp.nan, lost)


def risk_at_coverage(
    uncertainty: ArrayLike,
    loss: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    coverage: float = 0.8,
) -> jax.Array:
    """Mean loss among the ``coverage`` least uncertain items.

    One minus this is selective accuracy: against hard labels when the loss is the 0/1 error,
    against people when it is one minus the share of votes for the predicted class.

    Args:
      uncertainty: ``[item]``.
      loss: ``[item]``, e.g. 0/1 error or one minus the share of votes for the predicted class.
      weights: ``[item]`` >= 0, or None for one each.
      coverage: share of the weight that is kept, in (0, 1]; a tie group that straddles the cut
        counts in part.

    Returns:
      float32 scalar; NaN for a NaN among the kept, or if no item has weight.

    Raises:
      ValueError: if the arrays are not ``[item]`` of one length.

    References:
      El-Yaniv & Wiener, On the Foundations of Noise-free Selective Classification, 2010,
      https://jmlr.org/papers/v11/el-yaniv10a.html.

    >>> float(risk_at_coverage(jnp.array([0.1, 0.2]), jnp.array([0.0, 1.0]), coverage=0.5))
    0.0
    >>> float(risk_at_coverage(jnp.array([0.2, 0.2]), jnp.array([0.0, 1.0]), coverage=0.5))
    0.5
    """
    uncertainty, loss = check_same_length(uncertainty, jnp.asarray(loss, jnp.float32))
    w = weights_or_ones(weights, uncertainty)
    below, up_to = below_and_up_to(ties(uncertainty), w)
    tie_group = jnp.where(up_to > below, up_to - below, 1.0)
    kept = jnp.clip((coverage * jnp.sum(w) - below) / tie_group, 0.0, 1.0)
    undefined = jnp.any(jnp.isnan(uncertainty))
    return jnp.where(undefined, jnp.nan, weighted_mean(loss, w * kept))


def aurc(uncertainty: ArrayLike, loss: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """Area under the risk-coverage curve: mean selective risk over all coverages.

    Args:
      uncertainty: ``[item]``.
      loss: ``[item]``, e.g. 0/1 error or one minus the share of votes for the predicted class.
      weights: ``[item]`` >= 0, or None for one each.

    Returns:
      float32 scalar, lower is better; NaN for a NaN input, or if no item has weight.

    Raises:
      ValueError: if the arrays are not ``[item]`` of one length.

    References:
      Geifman, Uziel & El-Yaniv, Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers,
      2019, https://arxiv.org/abs/1805.08206.

    >>> round(float(aurc(jnp.array([0.1, 0.2]), jnp.array([0.0, 1.0]))), 4)
    0.25
    """
    uncertainty, loss = check_same_length(uncertainty, jnp.asarray(loss, jnp.float32))
    w = weights_or_ones(weights, uncertainty)
    kept, lost = _kept_and_lost(uncertainty, loss, w)
    return weighted_mean(lost / kept, w)


def excess_aurc(
    uncertainty: ArrayLike, loss: ArrayLike, weights: ArrayLike | None = None
) -> jax.Array:
    """AURC above that of the best possible ordering (by the loss itself); 0 is perfect.

    Args:
      uncertainty: ``[item]``.
      loss: ``[item]``, e.g. 0/1 error or one minus the share of votes for the predicted class.
      weights: ``[item]`` >= 0, whole (the ideal counts items one by one), or None for one each.

    Returns:
      float32 scalar >= 0 up to rounding; NaN for a NaN input, or if no item has weight.

    Raises:
      ValueError: if the arrays are not ``[item]`` of one length.

    References:
      Geifman, Uziel & El-Yaniv, Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers,
      2019, https://arxiv.org/abs/1805.08206.

    >>> round(float(excess_aurc(jnp.array([0.2, 0.1]), jnp.array([0.0, 1.0]))), 4)
    0.5
    """
    return aurc(uncertainty, loss, weights) - ideal_aurc(loss, weights)


def ideal_aurc(loss: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """AURC of the best possible ordering: the items one by one, smallest loss first.

    An item of weight w and loss l, behind items of weight K and loss L, enters as w items, and
    ``sum_{j=1..w} (L + j l) / (K + j) = w l + (L - K l) (ψ(K + w + 1) - ψ(K + 1))``.

    Args:
      loss: ``[item]``.
      weights: ``[item]`` >= 0, whole, or None for one each.

    Returns:
      float32 scalar; NaN for a NaN loss, whatever its weight, or if no item has weight.

    Raises:
      ValueError: if there is not one weight for each item.

    >>> round(float(ideal_aurc(jnp.array([1.0, 0.0]))), 4)
    0.25
    """
    loss = jnp.asarray(loss, jnp.float32)
    order = jnp.argsort(loss)
    w = weights_or_ones(weights, loss)[order]
    ordered = loss[order]
    kept = running_sum(w)
    lost = running_sum(w * ordered)
    before = jnp.concatenate([jnp.zeros(1), kept[:-1]])
    lost_before = jnp.concatenate([jnp.zeros(1), lost[:-1]])
    harmonic = jax.scipy.special.digamma(kept + 1) - jax.scipy.special.digamma(before + 1)
    return jnp.sum(w * ordered + (lost_before - before * ordered) * harmonic) / jnp.sum(w)


def augrc(uncertainty: ArrayLike, loss: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """Area under the *generalised* risk-coverage curve: the mean of risk × coverage.

    Args:
      uncertainty: ``[item]``.
      loss: ``[item]``, e.g. 0/1 error or one minus the share of votes for the predicted class.
      weights: ``[item]`` >= 0, or None for one each.

    Returns:
      float32 scalar in [0, 1], about 1/2 at most where no scores are tied; lower is better. NaN for
      a NaN input, or if no item has weight.

    Raises:
      ValueError: if the arrays are not ``[item]`` of one length.

    References:
      Traub et al., Overcoming Common Flaws in the Evaluation of Selective Classification Systems,
      2024, https://arxiv.org/abs/2407.01032.

    >>> round(float(augrc(jnp.array([0.1, 0.2]), jnp.array([0.0, 1.0]))), 4)
    0.25
    """
    uncertainty, loss = check_same_length(uncertainty, jnp.asarray(loss, jnp.float32))
    w = weights_or_ones(weights, uncertainty)
    _, lost = _kept_and_lost(uncertainty, loss, w)
    return weighted_mean(lost, w) / jnp.sum(w)
