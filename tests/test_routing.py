"""Routing against brute force: every cell of the grid, exact ranks, simulated coverage, slow
curves."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import metrics, routing


def test_decisions_of_every_kind_of_score():
    nan = np.nan
    inf = np.inf
    aleatoric = jnp.array([0.5, 0.6, 0.5, 0.6, nan, 0.1, nan, inf, -inf])
    epistemic = jnp.array([0.2, 0.2, 0.3, 0.3, 0.1, nan, nan, 0.1, -inf])
    decided = routing.decide(aleatoric, epistemic, routing.Thresholds(0.5, 0.2))
    assert [routing.ACTIONS[a] for a in decided] == [
        "accept",
        "defer",
        "reject",
        "reject",
        "reject",
        "reject",
        "reject",
        "defer",
        "accept",
    ]
    per_face = routing.decide(
        aleatoric[:2],
        epistemic[:2],
        routing.Thresholds(jnp.array([0.4, 0.7]), jnp.array([1.0, 0.1])),
    )
    assert [routing.ACTIONS[a] for a in per_face] == ["defer", "reject"]


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_grid_is_a_decision_per_face_at_every_cell(rng, grouped, weighted):
    faces = 90
    groups = 3
    aleatoric, epistemic = rng.integers(0, 12, (2, faces)) / 8
    aleatoric[:4] = np.nan
    epistemic[3:7] = np.nan
    aleatoric[8] = np.inf
    epistemic[9] = -np.inf
    # On the scores themselves, between them, beyond them, and twice the same.
    t_a = np.array([-1, 0, 0.25, 0.3, 0.75, 0.75, 2])
    t_e = np.array([-np.inf, 0.125, 0.5, 1.4, np.inf])
    group = rng.integers(-1, groups + 1, faces) if grouped else np.zeros(faces, int)
    weights = rng.integers(0, 4, faces) if weighted else np.ones(faces, int)
    got = routing.grid(
        aleatoric,
        epistemic,
        t_a,
        t_e,
        weights=weights if weighted else None,
        **({"groups": group, "num_groups": groups} if grouped else {}),
    )
    for i, tau_a in enumerate(t_a):
        for j, tau_e in enumerate(t_e):
            action = np.asarray(
                routing.decide(aleatoric, epistemic, routing.Thresholds(tau_a, tau_e))
            )
            for code, counts in enumerate(got[:3]):
                expected = [
                    weights[(action == code) & (group == g)].sum()
                    for g in range(groups if grouped else 1)
                ]
                np.testing.assert_array_equal(
                    counts[:, i, j], expected, err_msg=f"{routing.ACTIONS[code]} {tau_a} {tau_e}"
                )


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 7, 8, 9])
def test_any_number_of_thresholds_is_searched_to_its_ends(number):
    t = np.sort(np.linspace(-1, 1, number)).astype(np.float32)
    scores = np.r_[t, t + 1e-3, t - 1e-3, -0.0, 0.0, np.inf, -np.inf, np.nan].astype(np.float32)
    got = routing.grid(jnp.zeros(len(scores)), scores, jnp.zeros(1), t)
    expected = [
        [
            int(
                (
                    np.asarray(routing.decide(jnp.zeros(1), scores, routing.Thresholds(0.0, tau)))
                    == a
                ).sum()
            )
            for tau in t
        ]
        for a in (0, 2)
    ]
    assert [got.accept[0, 0].tolist(), got.reject[0, 0].tolist()] == expected


def test_a_hundred_thousand_cells_cost_no_broadcast():
    """Counting, not broadcasting: nothing of shape [face, T_a, T_e] may appear."""
    faces = 1000
    side = 300
    jaxpr = jax.make_jaxpr(routing.grid)(*(jnp.zeros(n) for n in (faces, faces, side, side)))
    largest = max(math.prod(v.aval.shape) for e in jaxpr.jaxpr.eqns for v in e.outvars)
    assert largest < 2 * (side + 1) ** 2


def test_errors_chunks_and_whole_bins_are_the_same_counts(rng):
    faces = 1003
    groups = 3
    aleatoric, epistemic = rng.integers(0, 40, (2, faces))
    t = np.arange(0, 40, 3)
    group = rng.integers(0, groups, faces)
    weights = rng.integers(0, 4, faces)
    wrong = rng.random(faces) < 0.3
    given = {"groups": group, "num_groups": groups, "weights": weights}
    whole = routing.grid(aleatoric, epistemic, t, t, wrong=wrong, **given)
    chunked = routing.grid(
        aleatoric / 1.0, epistemic / 1.0, t / 1.0, t / 1.0, wrong=wrong, chunk=100, **given
    )
    jax.tree.map(np.testing.assert_array_equal, chunked, whole)
    only_wrong = routing.grid(aleatoric, epistemic, t, t, **{**given, "weights": weights * wrong})
    np.testing.assert_array_equal(whole.errors, only_wrong.accept)
    assert routing.grid(aleatoric, epistemic, t, t).errors is None


def test_resamples_and_sub_ensembles_go_through_vmap(rng):
    aleatoric, epistemic = jnp.asarray(rng.random((2, 4, 50)), jnp.float32)
    t = jnp.linspace(0, 1, 5)
    weights = rng.integers(0, 3, (6, 50))
    resampled = jax.vmap(lambda w: routing.grid(aleatoric[0], epistemic[0], t, t, weights=w))(
        weights
    )
    np.testing.assert_array_equal(
        resampled.accept[2],
        routing.grid(aleatoric[0], epistemic[0], t, t, weights=weights[2]).accept,
    )
    subsets = jax.vmap(lambda a, e: routing.grid(a, e, t, t))(aleatoric, epistemic)
    np.testing.assert_array_equal(
        subsets.reject[3], routing.grid(aleatoric[3], epistemic[3], t, t).reject
    )


def test_pareto_front_is_what_no_cell_beats(rng):
    gain = rng.integers(0, 8, (5, 6))
    cost = rng.integers(0, 8, (5, 6))
    front = np.asarray(routing.pareto_front(gain, cost))
    for i, j in np.ndindex(gain.shape):
        beaten = ((gain >= gain[i, j]) & (cost < cost[i, j])) | (
            (gain > gain[i, j]) & (cost <= cost[i, j])
        )
        assert front[i, j] == (not beaten.any())


def test_best_cell_says_when_nothing_is_allowed():
    objective = np.arange(12).reshape(3, 4)
    row, column, found = routing.best_cell(objective, objective % 4 == 1)
    assert (int(row), int(column), bool(found)) == (2, 1, True)
    assert not bool(routing.best_cell(objective, objective < 0).found)


@pytest.mark.parametrize("levels", [3, 20, 1000])
def test_routing_auc_is_auroc(rng, levels):
    inside = jnp.asarray(rng.integers(0, levels, 70), jnp.float32)
    outside = jnp.asarray(rng.integers(0, levels, 110) + levels // 4, jnp.float32)
    assert float(routing.routing_auc(inside, outside)) == pytest.approx(
        float(metrics.auroc_between(inside, outside)), abs=1e-6
    )


def test_a_random_router_keeps_what_it_does_not_reject(rng):
    inside = jnp.asarray(rng.random(4000), jnp.float32)
    outside = jnp.asarray(rng.random(4000), jnp.float32)
    assert float(routing.routing_auc(inside, outside)) == pytest.approx(0.5, abs=0.03)
    for rejection in (0.1, 0.5, 0.7, 0.8, 0.9):
        assert float(routing.retention_at(inside, outside, rejection)) == pytest.approx(
            1 - rejection, abs=0.04
        )


def slow_retention(inside, outside, rejection):
    """The best a router with a coin can keep: mixes of two thresholds that reject enough, tried one
    by one."""
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
    inside = rng.integers(0, levels, 30) * 1.0
    outside = (rng.integers(0, levels, 40) + levels // 5) * 1.0
    for rejection in (0.0, 0.05, 0.25, 0.5, 0.7, 0.8, 0.9, 1.0):
        got = float(routing.retention_at(jnp.asarray(inside), jnp.asarray(outside), rejection))
        assert got == pytest.approx(slow_retention(inside, outside, rejection), abs=1e-5), rejection


def test_the_curve_runs_from_rejecting_everything_to_nothing(rng):
    curve = routing.routing_curve(jnp.asarray(rng.random(9)), jnp.asarray(rng.random(11)))
    assert (float(curve.rejection[0]), float(curve.retention[0])) == (1.0, 0.0)
    assert (float(curve.rejection[-1]), float(curve.retention[-1])) == (0.0, 1.0)
    assert len(curve.rejection) == 20
    assert (np.diff(curve.rejection) <= 0).all()
    assert (np.diff(curve.retention) >= 0).all()


@pytest.mark.parametrize("levels", [4, 400])
def test_a_weight_is_a_repeat(rng, levels):
    inside = rng.integers(0, levels, 30) * 1.0
    outside = (rng.integers(0, levels, 40) + levels // 5) * 1.0
    w_in = rng.integers(0, 4, 30)
    w_out = rng.integers(0, 4, 40)
    rejections = jnp.array([0.0, 0.3, 0.7, 0.8, 0.9, 1.0])
    got = routing.matched(routing.routing_curve(inside, outside, w_in, w_out), rejections)
    expected = routing.matched(
        routing.routing_curve(np.repeat(inside, w_in), np.repeat(outside, w_out)), rejections
    )
    np.testing.assert_allclose(got.auc, expected.auc, atol=1e-5)
    np.testing.assert_allclose(got.retention, expected.retention, atol=1e-5)


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
