"""Selective risk: what leaving the most uncertain items out gains, at every coverage.

Axis legend: ``[item]`` uncertainty (larger is left out first), loss and weights. Only the order of
the uncertainty counts, and :mod:`ferjax.arrays` says how it is kept. NaN comes out for a NaN
uncertainty, whatever its weight, for a NaN loss of an item that has weight, for a weight that is
negative or not finite, and without items, or if none has weight.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.arrays import as_orders, nan_where
from ferjax.metrics._items import filled, scored
from ferjax.metrics._weighted_ranks import Ties, below_and_up_to, ties, weighted_mean

__all__ = [
    "augrc",
    "aurc",
    "coverage_at_risk",
    "excess_augrc",
    "excess_aurc",
    "ideal_aurc",
    "risk_at_coverage",
]


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
      float32 scalar; NaN where an input is undefined (see above), or if no item has weight.

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
    order, losses, w, undefined = scored(uncertainty, loss, weights)
    below, up_to = below_and_up_to(ties(order), w)
    tie_group = jnp.where(up_to > below, up_to - below, 1)
    kept = jnp.clip((coverage * jnp.sum(w) - below) / tie_group, 0, 1)
    return nan_where(undefined, weighted_mean(losses, w * kept))


def coverage_at_risk(
    uncertainty: ArrayLike,
    loss: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    risk: ArrayLike = 0.05,
) -> jax.Array:
    """The largest share of items that a threshold keeps with a mean loss of at most ``risk``.

    Args:
      uncertainty: ``[item]``; tied items are kept together or not at all, as by a threshold.
      loss: ``[item]``, e.g. 0/1 error or one minus the share of votes for the predicted class.
      weights: ``[item]`` >= 0, or None for one each.
      risk: the loss allowed, scalar.

    Returns:
      float32 scalar in [0, 1]; 0 where no threshold keeps anything at that loss. NaN where an input
      is undefined (see above), or if no item has weight.

    Raises:
      ValueError: if the arrays are not ``[item]`` of one length.

    References:
      El-Yaniv & Wiener, On the Foundations of Noise-free Selective Classification, 2010,
      https://jmlr.org/papers/v11/el-yaniv10a.html.

    >>> float(coverage_at_risk(jnp.array([0.1, 0.2, 0.3, 0.4]), jnp.array([0, 0, 1, 1]), risk=0.4))
    0.75
    """
    order, losses, w, undefined = scored(uncertainty, loss, weights)
    tied = ties(order)
    _, kept = below_and_up_to(tied, w)
    _, lost = below_and_up_to(tied, w * losses)
    # Sums of float32 losses are off by a few units in the last place.
    allowed = lost <= jnp.asarray(risk, w.dtype) * kept * (1 + 1e-6)
    total = jnp.sum(w)
    return nan_where(undefined, jnp.max(jnp.where(allowed, kept, 0)) / total)


def aurc(uncertainty: ArrayLike, loss: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """Area under the risk-coverage curve: mean selective risk over all coverages.

    The risk of an item's coverage is that of the threshold which keeps it, tied items included.

    Args:
      uncertainty: ``[item]``.
      loss: ``[item]``, e.g. 0/1 error or one minus the share of votes for the predicted class.
      weights: ``[item]`` >= 0, or None for one each.

    Returns:
      float32 scalar, lower is better; NaN where an input is undefined (see above), or if no item
      has weight.

    Raises:
      ValueError: if the arrays are not ``[item]`` of one length.

    References:
      Geifman, Uziel & El-Yaniv, Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers,
      2019, https://arxiv.org/abs/1805.08206.

    >>> round(float(aurc(jnp.array([0.1, 0.2]), jnp.array([0.0, 1.0]))), 4)
    0.25
    """
    order, losses, w, undefined = scored(uncertainty, loss, weights)
    tied = ties(order)
    _, kept = below_and_up_to(tied, w)
    _, lost = below_and_up_to(tied, w * losses)
    return nan_where(undefined, weighted_mean(lost / jnp.where(kept > 0, kept, 1), w))


def excess_aurc(
    uncertainty: ArrayLike, loss: ArrayLike, weights: ArrayLike | None = None
) -> jax.Array:
    """AURC above that of the best possible ordering (by the loss itself); 0 is perfect.

    Tied items, and the copies that a weight stands for, are left out one by one in random order, on
    both sides: an ordering by the loss is perfect however many losses are equal. Without ties this
    is :func:`aurc` less :func:`ideal_aurc`.

    Args:
      uncertainty: ``[item]``.
      loss: ``[item]``, e.g. 0/1 error or one minus the share of votes for the predicted class.
      weights: ``[item]`` >= 0, whole (items are counted one by one), or None for one each.

    Returns:
      float32 scalar >= 0 up to rounding; NaN where an input is undefined (see above), or if no item
      has weight.

    Raises:
      ValueError: if the arrays are not ``[item]`` of one length.

    References:
      Geifman, Uziel & El-Yaniv, Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers,
      2019, https://arxiv.org/abs/1805.08206.

    >>> round(float(excess_aurc(jnp.array([0.2, 0.1]), jnp.array([0.0, 1.0]))), 4)
    0.5
    >>> float(excess_aurc(jnp.array([0.0, 1.0, 1.0]), jnp.array([0.0, 1.0, 1.0])))
    0.0
    """
    order, losses, w, undefined = scored(uncertainty, loss, weights)
    excess = _one_by_one(ties(order), losses, w) - _one_by_one(_by_loss(loss), losses, w)
    return nan_where(undefined, excess)


def ideal_aurc(loss: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """AURC of the best possible ordering: the items one by one, smallest loss first.

    Args:
      loss: ``[item]``.
      weights: ``[item]`` >= 0, whole (items are counted one by one), or None for one each.

    Returns:
      float32 scalar; NaN for a NaN loss or an impossible weight, or if no item has weight.

    Raises:
      ValueError: if there is not one weight for each item.

    >>> round(float(ideal_aurc(jnp.array([1.0, 0.0]))), 4)
    0.25
    """
    _, losses, w, undefined = scored(loss, loss, weights)
    return nan_where(undefined, _one_by_one(_by_loss(loss), losses, w))


def _by_loss(loss: ArrayLike) -> Ties:
    """The best possible ordering; it does not depend on weights."""
    return ties(filled(as_orders(loss)[0]))


def _one_by_one(tied: Ties, losses: jax.Array, w: jax.Array) -> jax.Array:
    """Mean risk over coverages where tied items enter one by one, in expectation over their order.

    A group of weight w and mean loss l, behind items of weight K and loss L, enters as w items, and
    ``sum_{j=1..w} (L + j l) / (K + j) = w l + (L - K l) (1 / (K + 1) + ... + 1 / (K + w))``.
    """
    before, up_to = below_and_up_to(tied, w)
    lost_before, lost_up_to = below_and_up_to(tied, w * losses)
    group = up_to - before
    size = jnp.where(group > 0, group, 1)
    mean = (lost_up_to - lost_before) / size
    behind = (lost_before - before * mean) * _harmonic(before, group) / size
    return jnp.sum(w * (mean + behind)) / jnp.sum(w)


def _harmonic(start: jax.Array, count: jax.Array) -> jax.Array:
    """``1 / (start + 1) + ... + 1 / (start + count)``, of real numbers too: a difference of two
    digammas without its cancellation."""
    steps = 8  # beyond which three terms of the asymptotic series are exact in float32
    total = jnp.zeros_like(start)
    for step in range(1, steps + 1):
        total += count / ((start + step) * (start + count + step))
    low = start + steps + 0.5
    high = low + count

    def correction(z: jax.Array) -> jax.Array:
        return (1 / 24 - 7 / 960 / z**2) / z**2

    return total + jnp.log1p(count / low) + correction(high) - correction(low)


def augrc(uncertainty: ArrayLike, loss: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """Area under the *generalised* risk-coverage curve, risk × coverage over coverage.

    The curve starts at (0, 0) and is straight between thresholds, so that tied items enter along a
    line: a score that tells nothing has half the mean loss.

    Args:
      uncertainty: ``[item]``.
      loss: ``[item]``, e.g. 0/1 error or one minus the share of votes for the predicted class.
      weights: ``[item]`` >= 0, or None for one each.

    Returns:
      float32 scalar in [0, 1/2] for losses in [0, 1]; lower is better. NaN where an input is
      undefined (see above), or if no item has weight.

    Raises:
      ValueError: if the arrays are not ``[item]`` of one length.

    References:
      Traub et al., Overcoming Common Flaws in the Evaluation of Selective Classification Systems,
      2024, https://arxiv.org/abs/2407.01032.

    >>> float(augrc(jnp.array([0.1, 0.2]), jnp.array([0.0, 1.0])))
    0.125
    >>> float(augrc(jnp.array([0.3, 0.3]), jnp.array([1.0, 1.0])))
    0.5
    """
    order, losses, w, undefined = scored(uncertainty, loss, weights)
    return nan_where(undefined, _generalised(ties(order), losses, w))


def _generalised(tied: Ties, losses: jax.Array, w: jax.Array) -> jax.Array:
    lost_before, lost_up_to = below_and_up_to(tied, w * losses)
    return weighted_mean((lost_before + lost_up_to) / 2, w) / jnp.sum(w)


def excess_augrc(
    uncertainty: ArrayLike, loss: ArrayLike, weights: ArrayLike | None = None
) -> jax.Array:
    """AUGRC above that of the best possible ordering (by the loss itself); 0 is perfect.

    Args:
      uncertainty: ``[item]``.
      loss: ``[item]``, e.g. 0/1 error or one minus the share of votes for the predicted class.
      weights: ``[item]`` >= 0, or None for one each.

    Returns:
      float32 scalar >= 0 up to rounding; NaN where an input is undefined (see above), or if no item
      has weight.

    Raises:
      ValueError: if the arrays are not ``[item]`` of one length.

    References:
      Traub et al., Overcoming Common Flaws in the Evaluation of Selective Classification Systems,
      2024, https://arxiv.org/abs/2407.01032.

    >>> round(float(excess_augrc(jnp.array([0.2, 0.1]), jnp.array([0.0, 1.0]))), 4)
    0.25
    """
    order, losses, w, undefined = scored(uncertainty, loss, weights)
    excess = _generalised(ties(order), losses, w) - _generalised(_by_loss(loss), losses, w)
    return nan_where(undefined, excess)
