"""Routing curves: what a reject score keeps in distribution while it rejects out of distribution.

Reference: https://arxiv.org/abs/2606.22725, 2026 (matched comparison).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

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
      outside: ``[m]`` out-of-distribution scores; NaN counts as the largest.

    Returns:
      int32 ``[m]`` in 0..2n: odd bins are ties, even bins lie between.

    >>> outside = jnp.array([0.0, 0.1, 0.15, 0.3])
    >>> outside_bins(jnp.array([0.2, 0.1]), outside).tolist()
    [0, 1, 2, 4]
    """
    ordered = jnp.sort(jnp.asarray(inside))
    below = jnp.searchsorted(ordered, outside, side="left")
    up_to = jnp.searchsorted(ordered, outside, side="right")
    return 2 * below + (up_to > below)


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
      :class:`Curve` of ``2n + 2`` points, float32; see :func:`routing_curve`.

    >>> curve_of(jnp.array([0.1]), jnp.array([0, 0, 2])).rejection.tolist()
    [1.0, 1.0, 1.0, 0.0]
    """
    inside = jnp.asarray(inside)
    outside_mass = jnp.asarray(outside_mass, jnp.float32)
    weights = _weights_or_ones(inside_weights, inside)
    order = jnp.argsort(inside)
    bins = outside_bins(inside, inside[order])  # equal scores share the bin of the first of them
    mass = jnp.zeros(outside_mass.shape).at[bins].add(weights[order])

    def passing(mass: jax.Array) -> jax.Array:
        running = jnp.concatenate([jnp.zeros(1), jnp.cumsum(mass)])
        # Divided by multiplying, the end may come out below 1: a compiler may do that.
        return jnp.where(running == running[-1], 1.0, running / running[-1])

    return Curve(1.0 - passing(outside_mass), passing(mass))


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
      :class:`Curve` of ``2n + 2`` points, float32. A NaN score counts as the largest; ``retention``
      is NaN without ``inside`` items, ``rejection`` without ``outside`` ones.

    Raises:
      ValueError: if scores are not ``[n]`` and ``[m]``.

    References:
      Uncertainty-aware routing, 2026, https://arxiv.org/abs/2606.22725.

    >>> curve = routing_curve(jnp.array([0.1]), jnp.array([0.3, 0.4]))
    >>> curve.retention.tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    inside = jnp.asarray(inside)
    outside = jnp.asarray(outside)
    if inside.ndim != 1 or outside.ndim != 1:
        raise ValueError(f"expected scores [n] and [m], got {inside.shape} and {outside.shape}")
    weights = _weights_or_ones(outside_weights, outside)
    mass = jnp.zeros(2 * inside.shape[0] + 1).at[outside_bins(inside, outside)].add(weights)
    return curve_of(inside, mass, inside_weights)


def _weights_or_ones(weights: ArrayLike | None, like: jax.Array) -> jax.Array:
    return jnp.ones(like.shape) if weights is None else jnp.asarray(weights, jnp.float32)


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
    kept = _interp_upper(
        jnp.asarray(rejections, jnp.float32), curve.rejection[::-1], curve.retention[::-1]
    )
    return Matched(-jnp.trapezoid(curve.retention, curve.rejection), kept)


def routing_auc(inside: ArrayLike, outside: ArrayLike) -> jax.Array:
    """Area under the routing curve: the AUROC of ``outside`` against ``inside``.

    Args:
      inside: ``[n]`` reject scores of items that should be kept.
      outside: ``[m]`` reject scores of out-of-distribution items.

    Returns:
      float32 scalar in [0, 1]; a random router has 0.5. A NaN score counts as the largest; NaN if
      either side is empty.

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
      float32 scalar in [0, 1]. A NaN score counts as the largest; NaN if either side is empty.

    Raises:
      ValueError: if scores are not ``[n]`` and ``[m]``.

    >>> kept = jax.jit(retention_at)(jnp.array([0.1, 0.2, 0.9]), jnp.array([0.3, 0.4]), 0.5)
    >>> round(float(kept), 4)
    0.6667
    """
    return matched(routing_curve(inside, outside), jnp.asarray(rejection)[None]).retention[0]


def _interp_upper(x: jax.Array, xs: jax.Array, ys: jax.Array) -> jax.Array:
    """Linear interpolation on ascending ``xs`` with repeats; at one, the first (largest) y."""
    exact = jnp.searchsorted(xs, x, side="left")
    right = jnp.clip(exact, 1, xs.shape[0] - 1)
    span = xs[right] - xs[right - 1]
    share = (x - xs[right - 1]) / jnp.where(span > 0, span, 1.0)
    between = ys[right - 1] + (ys[right] - ys[right - 1]) * share
    at = jnp.minimum(exact, xs.shape[0] - 1)
    return jnp.where(xs[at] == x, ys[at], between)
