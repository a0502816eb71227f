"""Accept, defer or reject: decisions, whole threshold grids by counting, and what a reject score
costs.

The router takes any two scores; uncertainty-aware routing (UAR) gives it (aleatoric, epistemic), in
nats: reject if ``epistemic > τ_e`` (the face is unfamiliar); else defer if ``aleatoric > τ_a``
(people would disagree: report the whole distribution); else accept the label. Larger scores always
mean "more of it".

Pure functions; jit them at your outermost call. Where thresholds come from:
:mod:`ferjax.conformal`. Reference: arXiv 2606.22725 (UAR, matched comparison).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

__all__ = [
    "ACTIONS",
    "Cell",
    "Curve",
    "Grid",
    "Matched",
    "Thresholds",
    "best_cell",
    "curve_of",
    "decide",
    "grid",
    "matched",
    "outside_bins",
    "pareto_front",
    "retention_at",
    "routing_auc",
    "routing_curve",
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
      int32 ``[face...]``, indices into :data:`ACTIONS`. A NaN score is rejected: what cannot be
      scored is not accepted.

    >>> decide(jnp.array([0.1, 0.9, 0.1]), jnp.array([0.0, 0.0, 0.5]), Thresholds(0.5, 0.2)).tolist()
    [0, 1, 2]
    """
    aleatoric = jnp.asarray(aleatoric)
    epistemic = jnp.asarray(epistemic)
    reject = ~(epistemic <= thresholds.epistemic) | jnp.isnan(aleatoric)
    return jnp.where(reject, 2, jnp.where(aleatoric > thresholds.aleatoric, 1, 0)).astype(jnp.int32)


class Grid(NamedTuple):
    """Counts of each action at each pair of thresholds, each ``[group, T_a, T_e]``, exact;
    ``errors`` counts the accepted faces that are wrong (None where it was not asked)."""

    accept: jax.Array
    defer: jax.Array
    reject: jax.Array
    errors: jax.Array | None = None


def _exceeded(thresholds: jax.Array, scores: jax.Array) -> jax.Array:
    """How many ascending thresholds lie strictly below each score, as :func:`decide` compares them;
    0 for NaN.

    A binary search of fixed steps, which XLA makes one loop over the faces: on a CPU four times
    faster than ``jnp.searchsorted``, which sorts NaN too.
    """
    size = 1 << thresholds.shape[0].bit_length()
    largest = (
        jnp.inf
        if jnp.issubdtype(thresholds.dtype, jnp.floating)
        else jnp.iinfo(thresholds.dtype).max
    )
    table = jnp.pad(
        thresholds, (0, size - thresholds.shape[0]), constant_values=largest
    )  # nothing lies above the padding
    found = jnp.zeros(scores.shape, jnp.int32)
    for step in (size >> k for k in range(1, size.bit_length())):
        found += jnp.where(
            table.at[found + step - 1].get(mode="promise_in_bounds") < scores, step, 0
        )
    return found


def grid(
    aleatoric: jax.Array,
    epistemic: jax.Array,
    aleatoric_thresholds: jax.Array,
    epistemic_thresholds: jax.Array,
    *,
    groups: jax.Array | None = None,
    num_groups: int = 1,
    weights: jax.Array | None = None,
    wrong: jax.Array | None = None,
    chunk: int | None = None,
) -> Grid:
    """How many faces every pair of thresholds accepts, defers and rejects, by counting instead of
    broadcasting.

    Each face falls into one cell of a 2-D histogram (how many thresholds it exceeds on either
    axis); two cumulative sums turn cells into counts for every pair of thresholds. O(N log T + T_a
    T_e) instead of O(N T_a T_e), and equal to :func:`decide` at every cell, ties at a threshold
    included. Under ``vmap`` over ``weights`` faces are looked up once.

    Args:
      aleatoric: ``[face]`` scores, or whole numbers (bins) with whole thresholds.
      epistemic: ``[face]`` likewise.
      aleatoric_thresholds: ``[T_a]``, ascending.
      epistemic_thresholds: ``[T_e]``, ascending.
      groups: optional ``[face]`` int in 0..num_groups-1; faces outside that range are not counted.
      num_groups: static number of groups.
      weights: optional ``[face]`` whole weights (bootstrap counts, or 0 for padding).
      wrong: optional ``[face]`` bool; asks for ``errors``.
      chunk: faces looked up at a time (static), which bounds the memory; all at once by default.

    Returns:
      :class:`Grid` of int32 counts.

    >>> g = grid(jnp.array([0.1, 0.9]), jnp.array([0.2, 0.2]), jnp.array([0.5]), jnp.array([0.1, 0.2]))
    >>> g.accept.tolist(), g.defer.tolist(), g.reject.tolist()
    ([[[0, 1]]], [[[0, 1]]], [[[2, 0]]])
    """
    aleatoric = jnp.asarray(aleatoric)
    epistemic = jnp.asarray(epistemic)
    t_a = jnp.asarray(aleatoric_thresholds)
    t_e = jnp.asarray(epistemic_thresholds)
    if aleatoric.ndim != 1 or aleatoric.shape != epistemic.shape:
        raise ValueError(
            f"expected two score arrays [face] of one length, got {aleatoric.shape} and {epistemic.shape}"
        )
    if t_a.ndim != 1 or t_e.ndim != 1:
        raise ValueError(f"thresholds must be [T_a] and [T_e], got {t_a.shape} and {t_e.shape}")
    faces = aleatoric.shape[0]
    group = jnp.zeros(faces, jnp.int32) if groups is None else jnp.asarray(groups, jnp.int32)
    group = jnp.where((group >= 0) & (group < num_groups), group, num_groups)
    weights = jnp.ones(faces, jnp.int32) if weights is None else jnp.asarray(weights)
    counted = [weights] if wrong is None else [weights, weights * jnp.asarray(wrong, weights.dtype)]
    shape = (num_groups, t_a.shape[0] + 1, t_e.shape[0] + 1)

    def histogram(part: tuple[jax.Array, jax.Array, jax.Array, list[jax.Array]]) -> list[jax.Array]:
        aleatoric, epistemic, group, counted = part
        row = _exceeded(t_a, aleatoric)
        column = _exceeded(t_e, epistemic)
        # Unscorable faces are rejected at every threshold, as decide() does.
        column = jnp.where(jnp.isnan(aleatoric) | jnp.isnan(epistemic), shape[2] - 1, column)
        cell = (group * shape[1] + row) * shape[2] + column
        return [
            jnp.zeros(shape[0] * shape[1] * shape[2], w.dtype).at[cell].add(w, mode="drop")
            for w in counted
        ]

    everything = (aleatoric, epistemic, group, counted)
    if chunk is None or chunk >= faces:
        counts = histogram(everything)
    else:

        def pad(x: jax.Array) -> jax.Array:
            return jnp.pad(x, (0, -faces % chunk)).reshape(-1, chunk)

        def add(total: list[jax.Array], part: Any) -> tuple[list[jax.Array], None]:
            return jax.tree.map(jnp.add, total, histogram(part)), None

        empty = [jnp.zeros(shape[0] * shape[1] * shape[2], w.dtype) for w in counted]
        counts, _ = jax.lax.scan(add, empty, jax.tree.map(pad, everything))  # padding has weight 0
    below = [jnp.cumsum(jnp.cumsum(c.reshape(shape), axis=1), axis=2) for c in counts]
    accept = below[0][:, :-1, :-1]
    kept = below[0][:, -1:, :-1]
    everyone = below[0][:, -1:, -1:]
    errors = None if wrong is None else below[1][:, :-1, :-1]
    return Grid(accept, kept - accept, jnp.broadcast_to(everyone - kept, accept.shape), errors)


class Cell(NamedTuple):
    """A cell of a grid, and whether any cell was allowed at all."""

    row: jax.Array
    column: jax.Array
    found: jax.Array


def best_cell(objective: jax.Array, allowed: jax.Array) -> Cell:
    """The allowed cell where the objective is largest; the first of equals.

    Args:
      objective: ``[T_a, T_e]``, e.g. accepted clean faces.
      allowed: bool ``[T_a, T_e]``, e.g. ``reject <= 5 %`` and ``errors <= 10 % of accept``.

    >>> best_cell(jnp.array([[1, 5], [4, 9]]), jnp.array([[True, True], [True, False]]))[:2]
    (Array(0, dtype=int32), Array(1, dtype=int32))
    """
    objective = jnp.asarray(objective)
    allowed = jnp.asarray(allowed)
    if objective.ndim != 2 or objective.shape != allowed.shape:
        raise ValueError(
            f"objective and allowed must be [T_a, T_e] alike, got {objective.shape} and {allowed.shape}"
        )
    best = jnp.argmax(jnp.where(allowed, objective.astype(jnp.float32), -jnp.inf))
    row, column = jnp.unravel_index(best, objective.shape)
    return Cell(row, column, jnp.any(allowed))


def pareto_front(gain: jax.Array, cost: jax.Array) -> jax.Array:
    """The cells that no other beats: none has at least the gain for less cost, or more gain for at
    most the cost.

    Args:
      gain: any shape, to be large.
      cost: same shape, to be small.

    Returns:
      bool, same shape; equals on the front are all on it.

    >>> pareto_front(jnp.array([1, 2, 3, 3]), jnp.array([0.1, 0.3, 0.2, 0.2])).tolist()
    [True, False, True, True]
    """
    gain = jnp.asarray(gain)
    cost = jnp.asarray(cost, jnp.float32)
    if gain.shape != cost.shape:
        raise ValueError(f"gain and cost must be of one shape, got {gain.shape} and {cost.shape}")
    g = gain.reshape(-1)
    c = cost.reshape(-1)
    order = jnp.lexsort((c, -g))  # most gain first, cheapest first among equals
    g = g[order]
    c = c[order]
    cheapest = jax.lax.cummin(c)
    new_gain = jnp.concatenate([jnp.ones(1, bool), g[1:] < g[:-1]])
    # Equal gain: only the cheapest of them, that is, as cheap as the first of its run.
    run_start = jax.lax.cummax(jnp.where(new_gain, jnp.arange(g.shape[0]), 0))
    before = jnp.where(run_start > 0, cheapest[run_start - 1], jnp.inf)
    on_front = (c == c[run_start]) & (c < before)
    return jnp.zeros(g.shape, bool).at[order].set(on_front).reshape(gain.shape)


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
