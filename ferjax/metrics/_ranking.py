"""How well scores put items in order: exact under ties, weighted.

Axis legend: scores, labels and weights are ``[item]``. Only the order of scores counts, and
:mod:`ferjax.arrays` says how it is kept. NaN comes out for a NaN score, whatever its weight, for a
label that is neither 0 nor 1 (NaN, -1, a class index) of an item that has weight, for a weight that
is negative or not finite, and without items.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.arrays import as_floats, as_orders, as_weights, descending, nan_where
from ferjax.metrics._items import paired, with_labels
from ferjax.metrics._weighted_ranks import (
    Ties,
    below_and_up_to,
    running_sum,
    ties,
    weighted_mean,
)

__all__ = [
    "aupr",
    "auroc",
    "auroc_between",
    "fpr_at_tpr",
    "misclassification_aupr",
    "misclassification_auroc",
    "spearman",
]


def auroc(scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """Area under the ROC curve: the chance that a positive scores above a negative.

    Args:
      scores: ``[item]``; higher should mean positive.
      labels: ``[item]`` bool or 0/1.
      weights: ``[item]`` >= 0, or None for one each.

    Returns:
      float32 scalar in [0, 1]; ties count one half, so a constant score gives 0.5. NaN where
      an input is undefined (see above), or if one class is absent or without weight.

    Raises:
      ValueError: if the arrays are not ``[item]`` of one length.

    References:
      Hanley & McNeil, The Meaning and Use of the Area under a ROC Curve, 1982,
      https://doi.org/10.1148/radiology.143.1.7063747.

    >>> float(auroc(jnp.array([1.0, 2.0, 2.0, 3.0]), jnp.array([0, 0, 1, 1])))
    0.875
    """
    order, positive, w, undefined = with_labels(scores, labels, weights)
    negatives = jnp.where(positive, 0, w)
    below, up_to = below_and_up_to(ties(order), negatives)
    # Shares before products: counts of pairs would blur in float32.
    beaten = (below + up_to) / (2 * jnp.sum(negatives))
    return nan_where(undefined, weighted_mean(beaten, jnp.where(positive, w, 0)))


def auroc_between(
    negatives: ArrayLike,
    positives: ArrayLike,
    negative_weights: ArrayLike | None = None,
    positive_weights: ArrayLike | None = None,
) -> jax.Array:
    """:func:`auroc` of two samples that are already apart: clean against corrupted items, say.

    Half the work of pooling them, and each side keeps its own weights: pass the same weights twice
    when both sides are the same items, so that a bootstrap resamples items, not scores.

    Args:
      negatives: ``[n]`` scores that should be low.
      positives: ``[m]`` scores that should be high.
      negative_weights: ``[n]`` >= 0, or None for one each.
      positive_weights: ``[m]`` >= 0, or None for one each.

    Returns:
      float32 scalar in [0, 1]; NaN where an input is undefined (see above), or if either side is
      empty or has no weight.

    Raises:
      ValueError: if scores are not ``[n]`` and ``[m]``, or weights are not of their lengths.

    >>> float(auroc_between(jnp.array([1.0, 2.0]), jnp.array([2.0, 3.0])))
    0.875
    """
    low, high = as_orders(negatives, positives)
    if low.ndim != 1 or high.ndim != 1:
        raise ValueError(f"expected scores [n] and [m], got {low.shape} and {high.shape}")
    w_n = as_weights(negative_weights, low)
    w_p = as_weights(positive_weights, high).astype(w_n.dtype)
    order = jnp.argsort(low)
    ordered = low[order]
    running = jnp.concatenate([jnp.zeros(1, w_n.dtype), running_sum(w_n[order])])
    below = running[jnp.searchsorted(ordered, high, side="left")]
    up_to = running[jnp.searchsorted(ordered, high, side="right")]
    beaten = (below + up_to) / (2 * running[-1])
    undefined = jnp.any(jnp.isnan(low)) | jnp.any(jnp.isnan(high)) | jnp.any(jnp.isnan(w_n))
    return nan_where(undefined, weighted_mean(beaten, w_p))


def aupr(scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """Area under the precision-recall curve as average precision, tied scores entering together.

    Args:
      scores: ``[item]``; higher should mean positive.
      labels: ``[item]`` bool or 0/1.
      weights: ``[item]`` >= 0, or None for one each.

    Returns:
      float32 scalar in [0, 1]; the share of positives for a constant score. NaN where an input is
      undefined (see above), or without positives that have weight.

    Raises:
      ValueError: if the arrays are not ``[item]`` of one length.

    References:
      Davis & Goadrich, The Relationship Between Precision-Recall and ROC Curves, 2006,
      https://doi.org/10.1145/1143844.1143874.

    >>> round(float(aupr(jnp.array([1.0, 2.0, 2.0, 3.0]), jnp.array([0, 0, 1, 1]))), 4)
    0.8333
    """
    order, positive, w, undefined = with_labels(scores, labels, weights)
    tied = ties(descending(order))
    positives = jnp.where(positive, w, 0)
    _, hits = below_and_up_to(tied, positives)
    _, called = below_and_up_to(tied, w)
    return nan_where(undefined, weighted_mean(hits / jnp.maximum(called, 1e-30), positives))


def misclassification_auroc(
    uncertainty: ArrayLike, wrong: ArrayLike, weights: ArrayLike | None = None
) -> jax.Array:
    """How well an uncertainty tells wrong predictions from right ones: the AUROC of errors.

    Args:
      uncertainty: ``[item]``; higher should mean wrong.
      wrong: ``[item]`` bool or 0/1.
      weights: ``[item]`` >= 0, or None for one each.

    Returns:
      float32 scalar in [0, 1]; NaN where an input is undefined (see above), or if all predictions
      that have weight are wrong, or none is.

    Raises:
      ValueError: if the arrays are not ``[item]`` of one length.

    References:
      Hendrycks & Gimpel, A Baseline for Detecting Misclassified and Out-of-Distribution Examples,
      2017, https://arxiv.org/abs/1610.02136.

    >>> float(misclassification_auroc(jnp.array([0.1, 0.4, 0.3]), jnp.array([False, True, False])))
    1.0
    """
    return auroc(uncertainty, wrong, weights)


def misclassification_aupr(
    uncertainty: ArrayLike,
    wrong: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    successes: bool = False,
) -> jax.Array:
    """The area under the precision-recall curve of errors, or of successes.

    Args:
      uncertainty: ``[item]``; higher should mean wrong.
      wrong: ``[item]`` bool or 0/1.
      weights: ``[item]`` >= 0, or None for one each.
      successes: right predictions are what is to be found, by low uncertainty (static).

    Returns:
      float32 scalar in [0, 1]; NaN where an input is undefined (see above), or without errors
      (successes) that have weight.

    Raises:
      ValueError: if the arrays are not ``[item]`` of one length.

    References:
      Hendrycks & Gimpel, A Baseline for Detecting Misclassified and Out-of-Distribution Examples,
      2017, https://arxiv.org/abs/1610.02136.

    >>> float(misclassification_aupr(jnp.array([0.1, 0.4]), jnp.array([0, 1]), successes=True))
    1.0
    """
    if not successes:
        return aupr(uncertainty, wrong, weights)
    (order,) = as_orders(uncertainty)
    (errors,) = as_floats(wrong)
    return aupr(descending(order), 1 - errors, weights)


def fpr_at_tpr(
    scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None, *, tpr: float = 0.95
) -> jax.Array:
    """Share of negatives called positive at the threshold that finds ``tpr`` of the positives.

    Args:
      scores: ``[item]``; higher should mean positive.
      labels: ``[item]`` bool or 0/1.
      weights: ``[item]`` >= 0, or None for one each.
      tpr: share of the positives to be found, in (0, 1]; of the thresholds that do, the highest is
        taken.

    Returns:
      float32 scalar in [0, 1]; 1 for a constant score. NaN where an input is undefined (see
      above), or if one class is absent or without weight.

    Raises:
      ValueError: if the arrays are not ``[item]`` of one length.

    >>> float(fpr_at_tpr(jnp.array([1.0, 2.0, 3.0, 4.0]), jnp.array([0, 1, 0, 1])))
    0.5
    """
    order, positive, w, undefined = with_labels(scores, labels, weights)
    tied = ties(descending(order))
    positives = jnp.where(positive, w, 0)
    negatives = jnp.where(positive, 0, w)
    _, hits = below_and_up_to(tied, positives)
    _, false = below_and_up_to(tied, negatives)
    enough = hits >= tpr * jnp.sum(positives) * (1 - 1e-6)
    rate = jnp.min(jnp.where(enough, false / jnp.sum(negatives), jnp.inf))
    return nan_where(undefined | ~(jnp.sum(positives) > 0), rate)


def _centred_ranks(tied: Ties, weights: jax.Array) -> jax.Array:
    """Weighted mid-ranks in item order, as shares of the total weight, centred on 0."""
    below, up_to = below_and_up_to(tied, weights)
    total = jnp.max(up_to, initial=0)
    # Centred before dividing: a constant is then exactly 0, also where a compiler divides by
    # multiplying.
    return (below + up_to - total) / (2 * total)


def spearman(x: ArrayLike, y: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """Spearman's rank correlation with average ranks for ties.

    Args:
      x: ``[item]``; only the order counts.
      y: ``[item]``.
      weights: ``[item]`` >= 0, or None for one each.

    Returns:
      float32 scalar in [-1, 1]; NaN where an input is undefined (see above), if either side is
      constant, or if fewer than two items have weight.

    Raises:
      ValueError: if the arrays are not ``[item]`` of one length.

    References:
      Spearman, The Proof and Measurement of Association between Two Things, 1904,
      https://doi.org/10.2307/1412159.

    >>> float(spearman(jnp.array([1.0, 2.0, 3.0]), jnp.array([1.0, 5.0, 9.0])))
    1.0
    >>> bool(jnp.isnan(spearman(jnp.ones(3), jnp.arange(3.0))))
    True
    """
    first, second, w, undefined = paired(x, y, weights)
    # Side by side in a loop: its results are stored, where XLA would gather the ranks anew in each
    # of the three means below, at several times the cost of the rest.
    sides = jax.tree.map(lambda *leaves: jnp.stack(leaves), ties(first), ties(second))
    rx, ry = jax.lax.map(lambda tied: _centred_ranks(tied, w), sides)
    covariance = weighted_mean(rx * ry, w)
    var_x = weighted_mean(rx * rx, w)
    var_y = weighted_mean(ry * ry, w)
    vary = (var_x > 0) & (var_y > 0)
    rho = covariance / jnp.sqrt(jnp.where(vary, var_x * var_y, 1))
    return nan_where(undefined | ~vary, jnp.clip(rho, -1, 1))
