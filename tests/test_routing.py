"""Routing against brute force: every cell of the grid, slow curves, and the Pareto front."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import metrics, routing

ITEMS = 90
GROUPS = 3
INSIDE = 30
OUTSIDE = 40

decide = jax.jit(routing.decide)
grid = jax.jit(routing.grid, static_argnames=("num_groups", "chunk"))
routing_auc = jax.jit(routing.routing_auc)
routing_curve = jax.jit(routing.routing_curve)
retention_at = jax.jit(routing.retention_at)
matched = jax.jit(routing.matched)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_grid_is_a_decision_per_item_at_every_cell(rng, grouped, weighted):
    defer, reject = np.float32(rng.integers(0, 12, (2, ITEMS)) / 8)
    defer[:4] = np.nan
    reject[3:7] = np.nan
    defer[8] = np.inf
    reject[9] = -np.inf
    # On the scores themselves, between them, beyond them, and twice the same.
    t_d = np.float32([-1, 0, 0.25, 0.3, 0.75, 0.75, 2])
    t_r = np.float32([-np.inf, 0.125, 0.5, 1.4, np.inf])
    group = rng.integers(-1, GROUPS + 1, ITEMS) if grouped else np.zeros(ITEMS, int)
    weights = rng.integers(0, 4, ITEMS) if weighted else np.ones(ITEMS, int)
    got = grid(
        defer,
        reject,
        t_d,
        t_r,
        weights=weights if weighted else None,
        **({"groups": group, "num_groups": GROUPS} if grouped else {}),
    )
    for i, defer_above in enumerate(t_d):
        for j, reject_above in enumerate(t_r):
            rule = routing.RouterRule(defer_above, reject_above)
            action = np.asarray(decide(defer, reject, rule))
            for code, counts in enumerate(got[:3]):
                expected = [
                    weights[(action == code) & (group == g)].sum()
                    for g in range(GROUPS if grouped else 1)
                ]
                cell = f"{routing.ACTIONS[code]} {defer_above} {reject_above}"
                np.testing.assert_array_equal(counts[:, i, j], expected, err_msg=cell)


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 7, 8, 9])
def test_any_number_of_thresholds_is_searched_to_its_ends(number):
    t = np.sort(np.linspace(-1, 1, number)).astype(np.float32)
    scores = np.r_[t, t + 1e-3, t - 1e-3, -0.0, 0.0, np.inf, -np.inf, np.nan]
    scores = np.float32(np.resize(scores, ITEMS))
    zeros = np.zeros(ITEMS, np.float32)
    got = grid(zeros, scores, np.zeros(1, np.float32), t)
    rules = [routing.RouterRule(np.float32(0), tau) for tau in t]
    actions = [np.asarray(decide(zeros, scores, rule)) for rule in rules]
    expected = [[int((action == code).sum()) for action in actions] for code in (0, 2)]
    assert [got.accept[0, 0].tolist(), got.reject[0, 0].tolist()] == expected


def test_a_hundred_thousand_cells_cost_no_broadcast():
    """Counting, not broadcasting: nothing of shape [item, T_d, T_r] may appear."""
    items = 1000
    side = 300
    jaxpr = jax.make_jaxpr(routing.grid)(*(jnp.zeros(n) for n in (items, items, side, side)))
    largest = max(math.prod(v.aval.shape) for e in jaxpr.jaxpr.eqns for v in e.outvars)
    assert largest < 2 * (side + 1) ** 2


def test_errors_chunks_and_whole_bins_are_the_same_counts(rng):
    items = 1003
    defer, reject = rng.integers(0, 40, (2, items))
    t = np.arange(0, 40, 3)
    weights = rng.integers(0, 4, items)
    wrong = rng.random(items) < 0.3
    given = {"groups": rng.integers(0, GROUPS, items), "num_groups": GROUPS}
    whole = grid(defer, reject, t, t, wrong=wrong, weights=weights, **given)
    real = [array / 1.0 for array in (defer, reject, t, t)]
    chunked = grid(*real, wrong=wrong, weights=weights, chunk=100, **given)
    jax.tree.map(np.testing.assert_array_equal, chunked, whole)
    # One group of nothing but the wrong ones: the same program, and its errors are all it accepts.
    only_wrong = grid(defer, reject, t, t, wrong=wrong, weights=weights * wrong, **given)
    np.testing.assert_array_equal(whole.errors, only_wrong.accept)
    assert jax.eval_shape(routing.grid, defer, reject, t, t).errors is None


def test_resamples_and_sub_ensembles_go_through_vmap(rng):
    defer, reject = jnp.asarray(rng.random((2, 4, ITEMS)), jnp.float32)
    t = jnp.linspace(0, 1, 5)
    weights = rng.integers(0, 3, (6, ITEMS))
    resampled = jax.jit(jax.vmap(lambda w: routing.grid(defer[0], reject[0], t, t, weights=w)))
    one = grid(defer[0], reject[0], t, t, weights=weights[2])
    np.testing.assert_array_equal(resampled(weights).accept[2], one.accept)
    subsets = jax.jit(jax.vmap(lambda d, r: routing.grid(d, r, t, t)))(defer, reject)
    alone = grid(defer[3], reject[3], t, t, weights=np.ones(ITEMS, int))
    np.testing.assert_array_equal(subsets.reject[3], alone.reject)


def test_pareto_front_is_what_no_cell_beats(rng):
    gain = rng.integers(0, 8, (5, 6))
    cost = rng.integers(0, 8, (5, 6))
    front = np.asarray(jax.jit(routing.pareto_front)(gain, cost))
    for i, j in np.ndindex(gain.shape):
        cheaper = (gain >= gain[i, j]) & (cost < cost[i, j])
        better = (gain > gain[i, j]) & (cost <= cost[i, j])
        assert front[i, j] == (not (cheaper | better).any())


def test_best_cell_says_when_nothing_is_allowed():
    best_cell = jax.jit(routing.best_cell)
    objective = np.arange(12).reshape(3, 4)
    row, column, found = best_cell(objective, objective % 4 == 1)
    assert (int(row), int(column), bool(found)) == (2, 1, True)
    assert not bool(best_cell(objective, objective < 0).found)
    row, column, _ = best_cell(objective // 6, objective > 0)
    assert (int(row), int(column)) == (1, 2)  # the first of equals


def drawn(rng, levels):
    """Tied scores of items to keep, and somewhat larger ones of items to reject."""
    inside = rng.integers(0, levels, INSIDE)
    outside = rng.integers(0, levels, OUTSIDE) + levels // 4
    return np.float32(inside), np.float32(outside)


@pytest.mark.parametrize("levels", [3, 20, 1000])
def test_routing_auc_is_auroc(rng, levels):
    inside, outside = drawn(rng, levels)
    expected = float(jax.jit(metrics.auroc_between)(inside, outside))
    assert float(routing_auc(inside, outside)) == pytest.approx(expected, abs=1e-6)


def test_a_random_router_keeps_what_it_does_not_reject(rng):
    inside, outside = jnp.asarray(rng.random((2, 4000)), jnp.float32)
    rejections = jnp.array([0.1, 0.5, 0.7, 0.8, 0.9])
    got = jax.jit(lambda a, b: routing.matched(routing.routing_curve(a, b), rejections))
    area, kept = got(inside, outside)
    assert float(area) == pytest.approx(0.5, abs=0.03)
    np.testing.assert_allclose(kept, 1 - rejections, atol=0.04)


def slow_retention(inside, outside, rejection):
    """The best a router with a coin can keep: mixes of two thresholds, tried one by one."""
    thresholds = [-np.inf, *np.unique(np.concatenate([inside, outside]))]
    points = [((outside > t).mean(), (inside <= t).mean()) for t in thresholds]
    exact = [kept for rejected, kept in points if np.isclose(rejected, rejection)]
    if exact:
        return max(exact)
    # Thresholds are nested, so the router can only mix neighbours.
    for (r1, k1), (r0, k0) in zip(points, points[1:]):
        if r0 < rejection < r1:
            return k1 + (k0 - k1) * (r1 - rejection) / (r1 - r0)
    raise AssertionError(rejection)


@pytest.mark.parametrize("levels", [1, 2, 6, 500])
def test_retention_is_the_slow_one(rng, levels):
    inside, outside = drawn(rng, levels)
    for rejection in (0.0, 0.05, 0.25, 0.5, 0.7, 0.8, 0.9, 1.0):
        got = float(retention_at(inside, outside, rejection))
        assert got == pytest.approx(slow_retention(inside, outside, rejection), abs=1e-5), rejection


def test_the_curve_runs_from_rejecting_everything_to_nothing(rng):
    curve = routing.routing_curve(*drawn(rng, 500))
    assert (float(curve.rejection[0]), float(curve.retention[0])) == (1.0, 0.0)
    assert (float(curve.rejection[-1]), float(curve.retention[-1])) == (0.0, 1.0)
    assert len(curve.rejection) == 2 * INSIDE + 2
    assert (np.diff(curve.rejection) <= 0).all()
    assert (np.diff(curve.retention) >= 0).all()


@pytest.mark.parametrize("levels", [4, 400])
def test_a_weight_is_a_repeat(rng, levels):
    inside, outside = drawn(rng, levels)
    w_in = rng.multinomial(INSIDE, np.full(INSIDE, 1 / INSIDE))
    w_out = rng.multinomial(OUTSIDE, np.full(OUTSIDE, 1 / OUTSIDE))
    rejections = np.float32([0.0, 0.3, 0.7, 0.8, 0.9, 1.0])
    got = matched(routing_curve(inside, outside, 1.0 * w_in, 1.0 * w_out), rejections)
    repeated = (np.repeat(inside, w_in), np.repeat(outside, w_out))
    whole = routing_curve(*repeated, np.ones(INSIDE), np.ones(OUTSIDE))
    expected = matched(whole, rejections)
    np.testing.assert_allclose(got.auc, expected.auc, atol=1e-5)
    np.testing.assert_allclose(got.retention, expected.retention, atol=1e-5)


@pytest.mark.parametrize("levels", [1, 4, 400])
def test_bins_are_all_that_a_curve_needs_of_the_outside(rng, levels):
    inside, outside = drawn(rng, levels)
    bins = np.asarray(jax.jit(routing.outside_bins)(inside, outside))
    ordered = np.sort(inside)
    below = (ordered[None] < outside[:, None]).sum(1)
    tied = (ordered[None] == outside[:, None]).any(1)
    np.testing.assert_array_equal(bins, 2 * below + tied)
    mass = np.float32(np.bincount(bins, minlength=2 * INSIDE + 1))
    got = jax.jit(routing.curve_of)(inside, mass, np.ones(INSIDE))
    whole = routing_curve(inside, outside, np.ones(INSIDE), np.ones(OUTSIDE))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), got, whole)


@pytest.mark.parametrize(
    "call",
    [
        lambda: routing.best_cell(jnp.ones((2, 2)), jnp.ones((2, 3), bool)),
        lambda: routing.pareto_front(jnp.ones(2), jnp.ones(3)),
        lambda: routing.routing_curve(jnp.ones((2, 2)), jnp.ones(3)),
        lambda: routing.grid(jnp.ones(3), jnp.ones(4), jnp.ones(1), jnp.ones(1)),
        lambda: routing.grid(jnp.ones(3), jnp.ones(3), jnp.ones((1, 1)), jnp.ones(1)),
    ],
)
def test_refusals(call):
    with pytest.raises(ValueError, match="got"):
        call()
