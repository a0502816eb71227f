"""Routing curves: what a reject score keeps in distribution while it rejects out of distribution.

Reference: arXiv 2606.22725 (matched comparison).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

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
    """A reject score against out-of-distribution faces: ``auc``, and ``retention [rejection]`` of
    the faces to be kept."""

    auc: jax.Array
    retention: jax.Array


class Curve(NamedTuple):
    """``retention [point]`` of in-distribution faces against ``rejection [point]`` of
    out-of-distribution ones."""

    rejection: jax.Array
    retention: jax.Array


def outside_bins(inside: jax.Array, outside: jax.Array) -> jax.Array:
    """Where out-of-distribution scores fall among the scores to be kept: ``[m]`` in 0..2n, ``2i``
    between them, ``2i + 1`` on one.

    All that a routing curve needs to know of ``outside``; weights of ``outside`` summed by bin are
    its ``outside_mass``.

    >>> outside_bins(jnp.array([0.2, 0.1]), jnp.array([0.0, 0.1, 0.15, 0.3])).tolist()
    [0, 1, 2, 4]
    """
    ordered = jnp.sort(jnp.asarray(inside))
    below, through = (jnp.searchsorted(ordered, outside, side=side) for side in ("left", "right"))
    return 2 * below + (through > below)


def curve_of(
    inside: jax.Array, outside_mass: jax.Array, inside_weights: jax.Array | None = None
) -> Curve:
    """The routing curve from weights by bin; what a bootstrap recomputes, at a cost that does not
    depend on ``outside``.

    Args:
      inside: ``[n]`` reject scores of faces that should be kept.
      outside_mass: ``[2n + 1]`` weight of out-of-distribution faces in each of
        :func:`outside_bins`.
      inside_weights: optional ``[n]``.

    Returns:
      :class:`Curve` of ``2n + 2`` points; see :func:`routing_curve`.
    """
    inside = jnp.asarray(inside)
    weights = (
        jnp.ones(inside.shape)
        if inside_weights is None
        else jnp.asarray(inside_weights, jnp.float32)
    )
    order = jnp.argsort(inside)
    bins = outside_bins(inside, inside[order])  # equal scores share the bin of the first of them
    mass = jnp.zeros(outside_mass.shape).at[bins].add(weights[order])

    def passing(mass: jax.Array) -> jax.Array:
        running = jnp.concatenate([jnp.zeros(1), jnp.cumsum(mass)])
        return running / running[-1]

    return Curve(1.0 - passing(jnp.asarray(outside_mass, jnp.float32)), passing(mass))


def routing_curve(
    inside: jax.Array,
    outside: jax.Array,
    inside_weights: jax.Array | None = None,
    outside_weights: jax.Array | None = None,
) -> Curve:
    """What every reject threshold keeps of the one and removes of the other, from strictest to most
    lenient.

    Exact, not gridded: between its points the curve is straight, whether a threshold lies there or
    not.

    Args:
      inside: ``[n]`` reject scores of faces that should be kept (ambiguous clean faces).
      outside: ``[m]`` reject scores of out-of-distribution faces.
      inside_weights: optional ``[n]``.
      outside_weights: optional ``[m]``.

    Returns:
      :class:`Curve` of ``2n + 2`` points; rejection falls from 1, retention rises to 1.
    """
    inside = jnp.asarray(inside)
    outside = jnp.asarray(outside)
    if inside.ndim != 1 or outside.ndim != 1:
        raise ValueError(f"expected scores [n] and [m], got {inside.shape} and {outside.shape}")
    weights = (
        jnp.ones(outside.shape)
        if outside_weights is None
        else jnp.asarray(outside_weights, jnp.float32)
    )
    mass = jnp.zeros(2 * inside.shape[0] + 1).at[outside_bins(inside, outside)].add(weights)
    return curve_of(inside, mass, inside_weights)


def matched(curve: Curve, rejections: jax.Array) -> Matched:
    """Area of a routing curve, and its retention where ``rejections [rejection]`` of
    out-of-distribution faces are rejected."""
    # interp wants ascending x; at equal rejection the largest retention is the one a router would
    # choose.
    kept = _interp_upper(
        jnp.asarray(rejections, jnp.float32), curve.rejection[::-1], curve.retention[::-1]
    )
    return Matched(-jnp.trapezoid(curve.retention, curve.rejection), kept)


def routing_auc(inside: jax.Array, outside: jax.Array) -> jax.Array:
    """Area under the routing curve: equal to AUROC of ``outside`` against ``inside``, so a random
    router has 0.5.

    >>> float(routing_auc(jnp.array([0.1, 0.2]), jnp.array([0.3, 0.4])))
    1.0
    >>> float(routing_auc(jnp.array([0.1, 0.2]), jnp.array([0.1, 0.2])))
    0.5
    """
    return matched(routing_curve(inside, outside), jnp.zeros(1)).auc


def retention_at(inside: jax.Array, outside: jax.Array, rejection: float) -> jax.Array:
    """The share of ``inside`` kept by the most lenient threshold that rejects at least
    ``rejection`` of ``outside``.

    Between thresholds the router may flip a coin, so the value is linear between the curve's
    points; a random router keeps exactly ``1 - rejection``.

    Args:
      inside: ``[n]`` reject scores of faces that should be kept.
      outside: ``[m]`` reject scores of out-of-distribution faces.
      rejection: matched out-of-distribution rejection rate in [0, 1].

    >>> round(float(retention_at(jnp.array([0.1, 0.2, 0.9]), jnp.array([0.3, 0.4]), 0.5)), 4)
    0.6667
    """
    return matched(routing_curve(inside, outside), jnp.array([rejection])).retention[0]


def _interp_upper(x: jax.Array, xs: jax.Array, ys: jax.Array) -> jax.Array:
    """Linear interpolation on ascending ``xs`` with repeats; at a repeated x, the first (here
    largest) y."""
    exact = jnp.searchsorted(xs, x, side="left")
    right = jnp.clip(exact, 1, xs.shape[0] - 1)
    span = xs[right] - xs[right - 1]
    between = ys[right - 1] + (ys[right] - ys[right - 1]) * (x - xs[right - 1]) / jnp.where(
        span > 0, span, 1.0
    )
    at = jnp.minimum(exact, xs.shape[0] - 1)
    return jnp.where(xs[at] == x, ys[at], between)
