"""Routing curves: what a reject score keeps in distribution while it rejects out of distribution.

Only the order of scores counts, and :mod:`ferjax.arrays` says how it is kept. A NaN score is of no
order: curves that hold one are NaN, however a router would treat the item.

Reference: https://arxiv.org/abs/2606.22725, 2026 (matched comparison).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.arrays import as_floats, as_orders, as_weights, nan_where

__all__ = [
    "Curve",
    "Matched",
    "curve_of",
    "matched",
    "outside_bins",
    "retention_at",
    "routing_auc",
    "routing_curve",
]


class Matched(NamedTuple):
    """A reject score against out-of-distribution items."""

    auc: jax.Array
    """Scalar: area under the routing curve."""
    retention: jax.Array
    """``[rejection]``: share of the items to be kept that is kept at each rejection rate."""


class Curve(NamedTuple):
    """A routing curve, from the strictest threshold to the most lenient."""

    rejection: jax.Array
    """``[point]``: share of out-of-distribution items rejected; falls from 1 to 0."""
    retention: jax.Array
    """``[point]``: share of in-distribution items kept; rises from 0 to 1."""


def outside_bins(inside: ArrayLike, outside: ArrayLike) -> jax.Array:
    """Position of each out-of-distribution score among the sorted in-distribution scores.

    All that a routing curve needs to know of ``outside``; weights of ``outside`` summed by bin are
    its ``outside_mass``.

    Args:
      inside: ``[n]`` in-distribution scores.
      outside: ``[m]`` out-of-distribution scores.

    Returns:
      int32 ``[m]`` in 0..2n: odd bins are ties, even bins lie between. A NaN score has no position;
      it gets that of the largest, and its curve must be made NaN.

    >>> outside = jnp.array([0.0, 0.1, 0.15, 0.3])
    >>> outside_bins(jnp.array([0.2, 0.1]), outside).tolist()
    [0, 1, 2, 4]
    """
    kept, others = as_orders(inside, outside)
    ordered = jnp.sort(kept)
    below = jnp.searchsorted(ordered, others, side="left")
    up_to = jnp.searchsorted(ordered, others, side="right")
    return 2 * below + (up_to > below).astype(below.dtype)


def curve_of(
    inside: ArrayLike, outside_mass: ArrayLike, inside_weights: ArrayLike | None = None
) -> Curve:
    """The routing curve from weights by bin, at a cost that does not depend on ``outside``.

    It is what a bootstrap recomputes.

    Args:
      inside: ``[n]`` reject scores of items that should be kept.
      outside_mass: ``[2n + 1]`` weight of out-of-distribution items in each of
        :func:`outside_bins`.
      inside_weights: ``[n]`` >= 0, or None for one each.

    Returns:
      :class:`Curve` of ``2n + 2`` points, float32; see :func:`routing_curve`. NaN for a NaN score,
      an impossible weight, or where a side has no weight.

    Raises:
      ValueError: if the scores are not ``[n]`` or the mass is not ``[2n + 1]``.

    >>> curve_of(jnp.array([0.1]), jnp.array([0, 0, 2])).rejection.tolist()
    [1.0, 1.0, 1.0, 0.0]
    """
    (kept,) = as_orders(inside)
    (mass_outside,) = as_floats(outside_mass)
    weights = as_weights(inside_weights, mass_outside[: kept.shape[0]])
    order = jnp.argsort(kept)
    bins = outside_bins(kept, kept[order])  # equal scores share the bin of the first of them
    mass = jnp.zeros_like(mass_outside).at[bins].add(weights[order])

    def passing(mass: jax.Array) -> jax.Array:
        running = jnp.concatenate([jnp.zeros_like(mass[:1]), jnp.cumsum(mass)])
        total = jnp.where(running[-1] > 0, running[-1], jnp.nan)  # no items: nothing is defined
        # Divided by multiplying, the end may come out below 1: a compiler may do that.
        return jnp.where(running == total, 1, running / total)

    undefined = jnp.any(jnp.isnan(kept))
    return Curve(
        nan_where(undefined, 1 - passing(mass_outside)), nan_where(undefined, passing(mass))
    )


def routing_curve(
    inside: ArrayLike,
    outside: ArrayLike,
    inside_weights: ArrayLike | None = None,
    outside_weights: ArrayLike | None = None,
) -> Curve:
    """What every reject threshold keeps in distribution and rejects out of distribution.

    Exact, not gridded: between its points the curve is straight, whether a threshold lies there or
    not.

    Args:
      inside: ``[n]`` reject scores of items that should be kept (ambiguous clean items).
      outside: ``[m]`` reject scores of out-of-distribution items.
      inside_weights: ``[n]`` >= 0, or None for one each.
      outside_weights: ``[m]`` >= 0, or None for one each.

    Returns:
      :class:`Curve` of ``2n + 2`` points, float32, NaN for a NaN score or an impossible weight;
      ``retention`` is NaN without ``inside`` items, ``rejection`` without ``outside`` ones.

    Raises:
      ValueError: if scores are not ``[n]`` and ``[m]``.

    References:
      Uncertainty-aware routing, 2026, https://arxiv.org/abs/2606.22725.

    >>> curve = routing_curve(jnp.array([0.1]), jnp.array([0.3, 0.4]))
    >>> curve.retention.tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    kept, others = as_orders(inside, outside)
    if kept.ndim != 1 or others.ndim != 1:
        raise ValueError(f"expected scores [n] and [m], got {kept.shape} and {others.shape}")
    weights = as_weights(outside_weights, others)
    weights = nan_where(jnp.any(jnp.isnan(others)), weights)
    mass = jnp.zeros(2 * kept.shape[0] + 1, weights.dtype)
    return curve_of(kept, mass.at[outside_bins(kept, others)].add(weights), inside_weights)


def matched(curve: Curve, rejections: ArrayLike) -> Matched:
    """Area of a routing curve, and what it keeps at given rejection rates.

    Args:
      curve: from :func:`routing_curve`.
      rejections: ``[rejection]`` shares of out-of-distribution items rejected, in [0, 1].

    Returns:
      :class:`Matched`, float32; NaN where the curve is.

    >>> curve = Curve(jnp.array([1.0, 0.5, 0.0]), jnp.array([0.0, 1.0, 1.0]))
    >>> area, kept = matched(curve, jnp.array([0.75, 0.5]))
    >>> float(area), kept.tolist()
    (0.75, [0.5, 1.0])
    """
    # interp wants ascending x; at equal rejection the largest retention is the one a router would
    # choose.
    rejection, retention, at = as_floats(curve.rejection, curve.retention, rejections)
    kept = _interp_upper(at, rejection[::-1], retention[::-1])
    kept = nan_where(jnp.any(jnp.isnan(rejection)) | jnp.any(jnp.isnan(retention)), kept)
    return Matched(-jnp.trapezoid(retention, rejection), kept)


def routing_auc(inside: ArrayLike, outside: ArrayLike) -> jax.Array:
    """Area under the routing curve: the AUROC of ``outside`` against ``inside``.

    Args:
      inside: ``[n]`` reject scores of items that should be kept.
      outside: ``[m]`` reject scores of out-of-distribution items.

    Returns:
      float32 scalar in [0, 1]; a random router has 0.5. NaN for a NaN score, or if either side
      is empty.

    Raises:
      ValueError: if scores are not ``[n]`` and ``[m]``.

    >>> float(jax.jit(routing_auc)(jnp.array([0.1, 0.2]), jnp.array([0.1, 0.4])))
    0.625
    """
    return matched(routing_curve(inside, outside), jnp.zeros(1)).auc


def retention_at(inside: ArrayLike, outside: ArrayLike, rejection: ArrayLike) -> jax.Array:
    """The share of ``inside`` kept by the threshold that rejects ``rejection`` of ``outside``.

    The most lenient threshold that rejects at least so much. Between thresholds the router may flip
    a coin, so the value is linear between the curve's points; a random router keeps exactly
    ``1 - rejection``.

    Args:
      inside: ``[n]`` reject scores of items that should be kept.
      outside: ``[m]`` reject scores of out-of-distribution items.
      rejection: scalar, matched out-of-distribution rejection rate in [0, 1].

    Returns:
      float32 scalar in [0, 1]; NaN for a NaN score, a rejection outside [0, 1], or if either side
      is empty.

    Raises:
      ValueError: if scores are not ``[n]`` and ``[m]``.

    >>> kept = jax.jit(retention_at)(jnp.array([0.1, 0.2, 0.9]), jnp.array([0.3, 0.4]), 0.5)
    >>> round(float(kept), 4)
    0.6667
    """
    (at,) = as_floats(rejection)
    kept = matched(routing_curve(inside, outside), at[None]).retention[0]
    return nan_where(~((at >= 0) & (at <= 1)), kept)


def _interp_upper(x: jax.Array, xs: jax.Array, ys: jax.Array) -> jax.Array:
    """Linear interpolation on ascending ``xs`` with repeats; at one, the first (largest) y."""
    exact = jnp.searchsorted(xs, x, side="left")
    right = jnp.clip(exact, 1, xs.shape[0] - 1)
    span = xs[right] - xs[right - 1]
    share = (x - xs[right - 1]) / jnp.where(span > 0, span, 1.0)
    between = ys[right - 1] + (ys[right] - ys[right - 1]) * share
    at = jnp.minimum(exact, xs.shape[0] - 1)
    return jnp.where(xs[at] == x, ys[at], between)
