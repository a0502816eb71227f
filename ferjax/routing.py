"""Accept, defer or reject: thresholds, decisions, whole threshold grids by counting, and what a reject score costs.

The router takes any two scores; uncertainty-aware routing (UAR) gives it (aleatoric, epistemic), in nats:
reject if ``epistemic > τ_e`` (the face is unfamiliar); else defer if ``aleatoric > τ_a`` (people would disagree: report the
whole distribution); else accept the label. Larger scores always mean "more of it".

Pure functions; jit them at your outermost call. References: arXiv 2606.22725 (UAR, matched comparison);
Vovk et al., Algorithmic Learning in a Random World, 2005 (split-conformal thresholds).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

__all__ = [
    "ACTIONS",
    "Grid",
    "Thresholds",
    "conformal_threshold",
    "decide",
    "grid",
    "retention_at",
    "routing_auc",
    "routing_curve",
    "share_threshold",
]

ACTIONS = ("accept", "defer", "reject")


class Thresholds(NamedTuple):
    """τ_a and τ_e; scalars, or arrays that broadcast against the scores."""

    aleatoric: jax.Array | float
    epistemic: jax.Array | float


def decide(aleatoric: jax.Array, epistemic: jax.Array, thresholds: Thresholds) -> jax.Array:
    """One action per face.

    Args:
      aleatoric: ``[face...]`` defer score.
      epistemic: ``[face...]`` reject score.
      thresholds: τ_a and τ_e in the scores' units.

    Returns:
      int32 ``[face...]``, indices into :data:`ACTIONS`. A NaN score is rejected: what cannot be scored is not accepted.

    >>> decide(jnp.array([0.1, 0.9, 0.1]), jnp.array([0.0, 0.0, 0.5]), Thresholds(0.5, 0.2)).tolist()
    [0, 1, 2]
    """
    aleatoric, epistemic = jnp.asarray(aleatoric), jnp.asarray(epistemic)
    reject = ~(epistemic <= thresholds.epistemic) | jnp.isnan(aleatoric)
    return jnp.where(reject, 2, jnp.where(aleatoric > thresholds.aleatoric, 1, 0)).astype(jnp.int32)


def conformal_threshold(scores: jax.Array, false_rejection: float) -> jax.Array:
    """The split-conformal threshold: a fresh face like these exceeds it with probability at most ``false_rejection``.

    The ``ceil((n + 1)(1 - α))``-th smallest calibration score; the promise holds for any score and any distribution as
    long as fresh and calibration faces are exchangeable. Ties only make it safer.

    Args:
      scores: ``[face]`` reject scores of clean calibration faces (valid, never test).
      false_rejection: α in (0, 1).

    Returns:
      Scalar threshold; ``inf`` (reject nothing) when there are too few faces to promise α.

    Raises:
      ValueError: if α is outside (0, 1) or there is no score.

    References:
      Papadopoulos et al., Inductive Confidence Machines for Regression, 2002.

    >>> float(conformal_threshold(jnp.arange(1.0, 20.0), 0.05))
    19.0
    >>> float(conformal_threshold(jnp.arange(1.0, 10.0), 0.05))
    inf
    """
    scores = jnp.asarray(scores)
    if scores.ndim != 1 or scores.size == 0:
        raise ValueError(f"calibration scores must be [face] and not empty, got shape {scores.shape}")
    if not 0 < false_rejection < 1:
        raise ValueError(f"false_rejection must lie strictly between 0 and 1, got {false_rejection}")
    n = scores.shape[0]
    rank = -int(-(n + 1) * (1 - false_rejection) // 1)
    # (n + 1)(1 - α) is often whole; do not let 1 - 0.05 = 0.95000000001 push it up a rank.
    if (n + 1) * (1 - false_rejection) - (rank - 1) < 1e-9 * n:
        rank -= 1
    if rank > n:
        return jnp.array(jnp.inf, scores.dtype)
    return jnp.sort(scores)[rank - 1]


def share_threshold(scores: jax.Array, share: float) -> jax.Array:
    """The threshold that at most ``share`` of these scores exceed, as closely as their ties allow.

    >>> float(share_threshold(jnp.arange(1.0, 10.0), 1 / 3))
    6.0
    """
    scores = jnp.asarray(scores)
    if not 0 < share < 1:
        raise ValueError(f"share must lie strictly between 0 and 1, got {share}")
    n = scores.shape[0]
    above = int(n * share + 1e-9)
    return jnp.sort(scores)[n - above - 1]


class Grid(NamedTuple):
    """Counts of each action at each pair of thresholds, each ``[group, T_a, T_e]``, exact."""

    accept: jax.Array
    defer: jax.Array
    reject: jax.Array


def grid(
    aleatoric: jax.Array,
    epistemic: jax.Array,
    aleatoric_thresholds: jax.Array,
    epistemic_thresholds: jax.Array,
    *,
    groups: jax.Array | None = None,
    num_groups: int = 1,
    weights: jax.Array | None = None,
) -> Grid:
    """How many faces every pair of thresholds accepts, defers and rejects, by counting instead of broadcasting.

    Each face falls into one cell of a 2-D histogram (how many thresholds it exceeds on either axis); two cumulative sums
    turn cells into counts for every pair of thresholds. O(N log T + T_a T_e) instead of O(N T_a T_e), and equal to
    :func:`decide` at every cell, ties at a threshold included.

    Args:
      aleatoric: ``[face]``.
      epistemic: ``[face]``.
      aleatoric_thresholds: ``[T_a]``, ascending.
      epistemic_thresholds: ``[T_e]``, ascending.
      groups: optional ``[face]`` int in 0..num_groups-1; faces outside that range are not counted.
      num_groups: static number of groups.
      weights: optional ``[face]`` whole weights (bootstrap counts, or 0 for padding).

    Returns:
      :class:`Grid` of int32 counts.

    >>> g = grid(jnp.array([0.1, 0.9]), jnp.array([0.2, 0.2]), jnp.array([0.5]), jnp.array([0.1, 0.2]))
    >>> g.accept.tolist(), g.defer.tolist(), g.reject.tolist()
    ([[[0, 1]]], [[[0, 1]]], [[[2, 0]]])
    """
    aleatoric, epistemic = jnp.asarray(aleatoric), jnp.asarray(epistemic)
    t_a, t_e = jnp.asarray(aleatoric_thresholds), jnp.asarray(epistemic_thresholds)
    if aleatoric.ndim != 1 or aleatoric.shape != epistemic.shape:
        raise ValueError(f"expected two score arrays [face] of one length, got {aleatoric.shape} and {epistemic.shape}")
    if t_a.ndim != 1 or t_e.ndim != 1:
        raise ValueError(f"thresholds must be [T_a] and [T_e], got {t_a.shape} and {t_e.shape}")
    rows, columns = t_a.shape[0] + 1, t_e.shape[0] + 1
    # side="left" counts the thresholds strictly below a score: a score equal to a threshold does not exceed it.
    row = jnp.searchsorted(t_a, aleatoric, side="left")
    column = jnp.searchsorted(t_e, epistemic, side="left")
    # Unscorable faces are rejected at every threshold, as decide() does.
    column = jnp.where(jnp.isnan(aleatoric) | jnp.isnan(epistemic), columns - 1, column)
    group = jnp.zeros(aleatoric.shape, jnp.int32) if groups is None else jnp.asarray(groups, jnp.int32)
    group = jnp.where((group >= 0) & (group < num_groups), group, num_groups)
    weights = jnp.ones(aleatoric.shape, jnp.int32) if weights is None else jnp.asarray(weights)
    cell = (group * rows + row) * columns + column
    counts = jnp.zeros(num_groups * rows * columns, weights.dtype).at[cell].add(weights, mode="drop")
    counts = counts.reshape(num_groups, rows, columns)
    below = jnp.cumsum(jnp.cumsum(counts, axis=1), axis=2)
    accept = below[:, :-1, :-1]
    kept = below[:, -1:, :-1]
    everyone = below[:, -1:, -1:]
    return Grid(accept, kept - accept, jnp.broadcast_to(everyone - kept, accept.shape))


class Curve(NamedTuple):
    """``retention [point]`` of in-distribution faces against ``rejection [point]`` of out-of-distribution ones."""

    rejection: jax.Array
    retention: jax.Array


def routing_curve(inside: jax.Array, outside: jax.Array) -> Curve:
    """What every reject threshold keeps of the one and removes of the other, from strictest to most lenient.

    One point per distinct threshold (every score is one), plus the point that rejects everything; exact, not gridded.

    Args:
      inside: ``[n]`` reject scores of faces that should be kept (ambiguous clean faces).
      outside: ``[m]`` reject scores of out-of-distribution faces.

    Returns:
      :class:`Curve` of ``n + m + 1`` points; rejection falls from 1, retention rises to 1.
    """
    inside, outside = jnp.sort(jnp.asarray(inside)), jnp.sort(jnp.asarray(outside))
    thresholds = jnp.concatenate([jnp.full(1, -jnp.inf, inside.dtype), jnp.sort(jnp.concatenate([inside, outside]))])
    kept = jnp.searchsorted(inside, thresholds, side="right") / inside.shape[0]
    passed = jnp.searchsorted(outside, thresholds, side="right") / outside.shape[0]
    return Curve(1.0 - passed, kept)


def routing_auc(inside: jax.Array, outside: jax.Array) -> jax.Array:
    """Area under the routing curve: equal to AUROC of ``outside`` against ``inside``, so a random router has 0.5.

    >>> float(routing_auc(jnp.array([0.1, 0.2]), jnp.array([0.3, 0.4])))
    1.0
    >>> float(routing_auc(jnp.array([0.1, 0.2]), jnp.array([0.1, 0.2])))
    0.5
    """
    curve = routing_curve(inside, outside)
    return -jnp.trapezoid(curve.retention, curve.rejection)


def retention_at(inside: jax.Array, outside: jax.Array, rejection: float) -> jax.Array:
    """The share of ``inside`` kept by the most lenient threshold that rejects at least ``rejection`` of ``outside``.

    Between thresholds the router may flip a coin, so the value is linear between the curve's points; a random router keeps
    exactly ``1 - rejection``.

    Args:
      inside: ``[n]`` reject scores of faces that should be kept.
      outside: ``[m]`` reject scores of out-of-distribution faces.
      rejection: matched out-of-distribution rejection rate in [0, 1].

    >>> round(float(retention_at(jnp.array([0.1, 0.2, 0.9]), jnp.array([0.3, 0.4]), 0.5)), 4)
    0.6667
    """
    curve = routing_curve(inside, outside)
    # interp wants ascending x; at equal rejection the largest retention is the one a router would choose.
    return _interp_upper(rejection, curve.rejection[::-1], curve.retention[::-1])


def _interp_upper(x: float, xs: jax.Array, ys: jax.Array) -> jax.Array:
    """Linear interpolation on ascending ``xs`` with repeats; at a repeated x, the first (here largest) y."""
    right = jnp.clip(jnp.searchsorted(xs, x, side="left"), 1, xs.shape[0] - 1)
    left = right - 1
    span = xs[right] - xs[left]
    between = ys[left] + (ys[right] - ys[left]) * (x - xs[left]) / jnp.where(span > 0, span, 1.0)
    exact = jnp.searchsorted(xs, x, side="left")
    return jnp.where(xs[jnp.minimum(exact, xs.shape[0] - 1)] == x, ys[jnp.minimum(exact, xs.shape[0] - 1)], between)
