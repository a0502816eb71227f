"""Counts of every action over a whole grid of two thresholds, and the best cells of it.

Reference: https://arxiv.org/abs/2606.22725, 2026 (uncertainty-aware routing).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.arrays import as_orders, descending

__all__ = ["Cell", "Grid", "best_cell", "grid", "pareto_front"]


class Grid(NamedTuple):
    """Counts at each pair of thresholds, each ``[group, T_d, T_r]``, exact."""

    accept: jax.Array
    """Items accepted."""
    defer: jax.Array
    """Items deferred."""
    reject: jax.Array
    """Items rejected."""
    errors: jax.Array | None = None
    """Accepted items that are wrong; None where it was not asked."""


def _exceeded(thresholds: jax.Array, scores: jax.Array) -> jax.Array:
    """How many ascending thresholds lie strictly below each score; 0 for NaN.

    A binary search of fixed steps, which XLA makes one loop over the items: on a CPU four times
    faster than ``jnp.searchsorted``, which sorts NaN too.
    """
    size = 1 << thresholds.shape[0].bit_length()
    floating = jnp.issubdtype(thresholds.dtype, jnp.floating)
    # Nothing lies above the padding.
    padding = jnp.inf if floating else jnp.iinfo(thresholds.dtype).max
    table = jnp.pad(thresholds, (0, size - thresholds.shape[0]), constant_values=padding)
    found = jnp.zeros(scores.shape, jnp.int32)
    for step in (size >> k for k in range(1, size.bit_length())):
        middle = table.at[found + step - 1].get(mode="promise_in_bounds")
        found += jnp.where(middle < scores, step, 0)
    return found


def grid(
    defer: ArrayLike,
    reject: ArrayLike,
    defer_thresholds: ArrayLike,
    reject_thresholds: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    num_groups: int = 1,
    weights: ArrayLike | None = None,
    wrong: ArrayLike | None = None,
    chunk: int | None = None,
) -> Grid:
    """How many items every pair of thresholds accepts, defers and rejects, by counting.

    Each item falls into one cell of a 2-D histogram (how many thresholds it exceeds on either
    axis); two cumulative sums turn cells into counts for every pair of thresholds. O(N log T + T_d
    T_r) instead of the O(N T_d T_r) of a broadcast, and equal to :func:`decide` at every cell, ties
    at a threshold included. Under ``vmap`` over ``weights`` items are looked up once.

    Args:
      defer: ``[item]`` scores, or whole numbers (bins) with whole thresholds.
      reject: ``[item]`` likewise.
      defer_thresholds: ``[T_d]``, ascending.
      reject_thresholds: ``[T_r]``, ascending.
      groups: ``[item]`` int in 0..num_groups-1, or None for one group; items outside that range are
        not counted.
      num_groups: number of groups (static).
      weights: ``[item]`` whole weights (bootstrap counts, or 0 for padding), or None for one each.
      wrong: ``[item]`` bool; asks for ``errors``.
      chunk: items looked up at a time (static), which bounds the memory; all at once by default.

    Returns:
      :class:`Grid` of int32 counts (of the weights' dtype). An item with a NaN score is rejected at
      every pair of thresholds; without items all counts are 0.

    Raises:
      ValueError: if the scores are not ``[item]`` of one length, or thresholds not ``[T]``.

    References:
      Uncertainty-aware routing, 2026, https://arxiv.org/abs/2606.22725.

    >>> t = jnp.array([0.1, 0.2])
    >>> g = grid(jnp.array([0.1, 0.9]), jnp.array([0.2, 0.2]), jnp.array([0.5]), t)
    >>> g.accept.tolist(), g.defer.tolist(), g.reject.tolist()
    ([[[0, 1]]], [[[0, 1]]], [[[2, 0]]])
    """
    defer = jnp.asarray(defer)
    reject = jnp.asarray(reject)
    t_d = jnp.asarray(defer_thresholds)
    t_r = jnp.asarray(reject_thresholds)
    if defer.ndim != 1 or defer.shape != reject.shape:
        raise ValueError(
            f"expected two score arrays [item] of one length, got {defer.shape} and {reject.shape}"
        )
    if t_d.ndim != 1 or t_r.ndim != 1:
        raise ValueError(f"thresholds must be [T_d] and [T_r], got {t_d.shape} and {t_r.shape}")
    items = defer.shape[0]
    group = jnp.zeros(items, jnp.int32) if groups is None else jnp.asarray(groups, jnp.int32)
    group = jnp.where((group >= 0) & (group < num_groups), group, num_groups)
    weights = jnp.ones(items, jnp.int32) if weights is None else jnp.asarray(weights)
    counted = [weights] if wrong is None else [weights, weights * jnp.asarray(wrong, weights.dtype)]
    shape = (num_groups, t_d.shape[0] + 1, t_r.shape[0] + 1)

    def histogram(part: tuple[jax.Array, jax.Array, jax.Array, list[jax.Array]]) -> list[jax.Array]:
        defer, reject, group, counted = part
        row = _exceeded(t_d, defer)
        column = _exceeded(t_r, reject)
        # Unscorable items are rejected at every threshold, as decide() does.
        column = jnp.where(jnp.isnan(defer) | jnp.isnan(reject), shape[2] - 1, column)
        cell = (group * shape[1] + row) * shape[2] + column
        return [
            jnp.zeros(shape[0] * shape[1] * shape[2], w.dtype).at[cell].add(w, mode="drop")
            for w in counted
        ]

    everything = (defer, reject, group, counted)
    if chunk is None or chunk >= items:
        counts = histogram(everything)
    else:

        def pad(x: jax.Array) -> jax.Array:
            return jnp.pad(x, (0, -items % chunk)).reshape(-1, chunk)

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
    """A cell of a grid, scalars."""

    row: jax.Array
    """int32 index of the defer threshold."""
    column: jax.Array
    """int32 index of the reject threshold."""
    found: jax.Array
    """bool: whether any cell was allowed at all; if not, the cell is (0, 0)."""


def best_cell(objective: ArrayLike, allowed: ArrayLike) -> Cell:
    """The allowed cell where the objective is largest; the first of equals.

    Args:
      objective: ``[T_d, T_r]``, e.g. accepted clean items; at least one cell. A NaN cell is not
        allowed.
      allowed: bool ``[T_d, T_r]``, e.g. ``reject <= 5 %`` and ``errors <= 10 % of accept``.

    Returns:
      :class:`Cell`.

    Raises:
      ValueError: if the arrays are not ``[T_d, T_r]`` alike, or empty.

    >>> allowed = jnp.array([[True, True], [True, False]])
    >>> [int(i) for i in best_cell(jnp.array([[1, 5], [4, 9]]), allowed)]
    [0, 1, 1]
    """
    objective = jnp.asarray(objective)
    allowed = jnp.asarray(allowed)
    if objective.size == 0:
        raise ValueError(f"objective must have at least one cell, got {objective.shape}")
    if objective.ndim != 2 or objective.shape != allowed.shape:
        raise ValueError(
            "objective and allowed must be [T_d, T_r] alike, "
            f"got {objective.shape} and {allowed.shape}"
        )
    allowed = allowed.astype(bool) & ~jnp.isnan(objective)
    (values,) = as_orders(objective)
    floating = jnp.issubdtype(values.dtype, jnp.floating)
    lowest = -jnp.inf if floating else jnp.iinfo(values.dtype).min
    largest = jnp.max(jnp.where(allowed, values, lowest))
    best = jnp.argmax(allowed & (values == largest))
    row, column = jnp.unravel_index(best, objective.shape)
    return Cell(row, column, jnp.any(allowed))


def pareto_front(gain: ArrayLike, cost: ArrayLike) -> jax.Array:
    """The cells that no other beats.

    A cell is beaten by one with at least its gain for less cost, or more gain for at most its cost.

    Args:
      gain: any shape, to be large.
      cost: same shape, to be small.

    Returns:
      bool, same shape; equals on the front are all on it. A cell with a NaN is never on it, and
      hides no other.

    Raises:
      ValueError: if the shapes differ.

    >>> pareto_front(jnp.array([1, 2, 3, 3]), jnp.array([0.1, 0.3, 0.2, 0.2])).tolist()
    [True, False, True, True]
    """
    (gains,) = as_orders(gain)
    (costs,) = as_orders(cost)
    if gains.shape != costs.shape:
        raise ValueError(f"gain and cost must be of one shape, got {gains.shape} and {costs.shape}")
    if gains.size == 0:
        return jnp.zeros(gains.shape, bool)
    shape = gains.shape
    g = descending(gains.reshape(-1))
    c = costs.reshape(-1)
    broken = jnp.isnan(g) | jnp.isnan(c)
    order = jnp.lexsort((c, g, broken))  # most gain first, cheapest first among equals
    g = g[order]
    c = c[order]
    cheapest = jax.lax.cummin(c)
    new_gain = jnp.concatenate([jnp.ones(1, bool), g[1:] != g[:-1]])
    # Equal gain: only the cheapest of them, that is, as cheap as the first of its run.
    run_start = jax.lax.cummax(jnp.where(new_gain, jnp.arange(g.shape[0]), 0))
    cheaper = (run_start == 0) | (c < cheapest[jnp.maximum(run_start - 1, 0)])
    on_front = (c == c[run_start]) & cheaper & ~broken[order]
    return jnp.zeros(g.shape, bool).at[order].set(on_front).reshape(shape)
