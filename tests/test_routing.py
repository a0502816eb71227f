"""Routing against brute force: every cell of the grid, exact ranks, simulated coverage, slow curves."""

import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import metrics, routing


def test_decisions_of_every_kind_of_score():
    nan, inf = np.nan, np.inf
    aleatoric = jnp.array([0.5, 0.6, 0.5, 0.6, nan, 0.1, nan, inf, -inf])
    epistemic = jnp.array([0.2, 0.2, 0.3, 0.3, 0.1, nan, nan, 0.1, -inf])
    decided = routing.decide(aleatoric, epistemic, routing.Thresholds(0.5, 0.2))
    assert [routing.ACTIONS[a] for a in decided] == [
        "accept", "defer", "reject", "reject", "reject", "reject", "reject", "defer", "accept"]
    per_face = routing.decide(aleatoric[:2], epistemic[:2], routing.Thresholds(jnp.array([0.4, 0.7]), jnp.array([1.0, 0.1])))
    assert [routing.ACTIONS[a] for a in per_face] == ["defer", "reject"]


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_grid_is_a_decision_per_face_at_every_cell(rng, grouped, weighted):
    faces, groups = 90, 3
    aleatoric, epistemic = rng.integers(0, 12, (2, faces)) / 8
    aleatoric[:4], epistemic[3:7] = np.nan, np.nan
    aleatoric[8], epistemic[9] = np.inf, -np.inf
    # On the scores themselves, between them, beyond them, and twice the same.
    t_a, t_e = np.array([-1, 0, 0.25, 0.3, 0.75, 0.75, 2]), np.array([-np.inf, 0.125, 0.5, 1.4, np.inf])
    group = rng.integers(-1, groups + 1, faces) if grouped else np.zeros(faces, int)
    weights = rng.integers(0, 4, faces) if weighted else np.ones(faces, int)
    got = routing.grid(aleatoric, epistemic, t_a, t_e, weights=weights if weighted else None,
                       **({"groups": group, "num_groups": groups} if grouped else {}))
    for i, tau_a in enumerate(t_a):
        for j, tau_e in enumerate(t_e):
            action = np.asarray(routing.decide(aleatoric, epistemic, routing.Thresholds(tau_a, tau_e)))
            for code, counts in enumerate(got):
                expected = [weights[(action == code) & (group == g)].sum() for g in range(groups if grouped else 1)]
                np.testing.assert_array_equal(counts[:, i, j], expected, err_msg=f"{routing.ACTIONS[code]} {tau_a} {tau_e}")


def test_a_hundred_thousand_cells_cost_no_broadcast():
    """Counting, not broadcasting: nothing of shape [face, T_a, T_e] may appear."""
    faces, side = 1000, 300
    jaxpr = jax.make_jaxpr(routing.grid)(*(jnp.zeros(n) for n in (faces, faces, side, side)))
    largest = max(math.prod(v.aval.shape) for e in jaxpr.jaxpr.eqns for v in e.outvars)
    assert largest < 2 * (side + 1) ** 2


@pytest.mark.parametrize("alpha", ["0.05", "0.1", "0.2", "0.25", "0.3", "0.01"])
def test_conformal_rank_is_exact(alpha):
    for n in [*range(1, 45), 99, 199, 999, 3569]:
        rank = math.ceil((n + 1) * (1 - Fraction(alpha)))
        got = float(routing.conformal_threshold(np.arange(1.0, n + 1), float(alpha)))
        assert got == (rank if rank <= n else math.inf), n


@pytest.mark.parametrize("distinct", [None, 5])
def test_conformal_promise_holds_for_fresh_faces(rng, distinct):
    n, alpha, trials = 49, 0.1, 800
    scores = rng.exponential(size=(trials, n + 1)).astype(np.float32)
    if distinct:
        scores = np.round(scores * distinct)
    thresholds = jax.vmap(lambda s: routing.conformal_threshold(s, alpha))(scores[:, :n])
    rate, error = (scores[:, n] > np.asarray(thresholds)).mean(), 3 * np.sqrt(alpha * (1 - alpha) / trials)
    assert rate <= alpha + error
    if not distinct:
        assert rate >= alpha - 1 / (n + 1) - error


@pytest.mark.parametrize("share", [0.05, 1 / 3, 0.5, 0.9])
def test_share_threshold_defers_as_many_as_ties_allow(rng, share):
    for scores in (rng.normal(size=57), rng.integers(0, 6, 57) * 1.0, np.ones(57)):
        scores = scores.astype(np.float32)
        threshold = float(routing.share_threshold(scores, share))
        assert (scores > threshold).mean() <= share
        lower = [t for t in np.unique(scores) if t < threshold]
        assert all((scores > t).mean() > share for t in lower)


@pytest.mark.parametrize("levels", [3, 20, 1000])
def test_routing_auc_is_auroc(rng, levels):
    inside = jnp.asarray(rng.integers(0, levels, 70), jnp.float32)
    outside = jnp.asarray(rng.integers(0, levels, 110) + levels // 4, jnp.float32)
    assert float(routing.routing_auc(inside, outside)) == pytest.approx(float(metrics.auroc_between(inside, outside)), abs=1e-6)


def test_a_random_router_keeps_what_it_does_not_reject(rng):
    inside, outside = jnp.asarray(rng.random(4000), jnp.float32), jnp.asarray(rng.random(4000), jnp.float32)
    assert float(routing.routing_auc(inside, outside)) == pytest.approx(0.5, abs=0.03)
    for rejection in (0.1, 0.5, 0.7, 0.8, 0.9):
        assert float(routing.retention_at(inside, outside, rejection)) == pytest.approx(1 - rejection, abs=0.04)


def slow_retention(inside, outside, rejection):
    """The best a router with a coin can keep: mixes of two thresholds that reject enough, tried one by one."""
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
    inside, outside = rng.integers(0, levels, 30) * 1.0, (rng.integers(0, levels, 40) + levels // 5) * 1.0
    for rejection in (0.0, 0.05, 0.25, 0.5, 0.7, 0.8, 0.9, 1.0):
        got = float(routing.retention_at(jnp.asarray(inside), jnp.asarray(outside), rejection))
        assert got == pytest.approx(slow_retention(inside, outside, rejection), abs=1e-5), rejection


def test_the_curve_runs_from_rejecting_everything_to_nothing(rng):
    curve = routing.routing_curve(jnp.asarray(rng.random(9)), jnp.asarray(rng.random(11)))
    assert (float(curve.rejection[0]), float(curve.retention[0])) == (1.0, 0.0)
    assert (float(curve.rejection[-1]), float(curve.retention[-1])) == (0.0, 1.0)
    assert len(curve.rejection) == 21
    assert (np.diff(curve.rejection) <= 0).all()
    assert (np.diff(curve.retention) >= 0).all()


@pytest.mark.parametrize("call", [
    lambda: routing.conformal_threshold(jnp.ones(0), 0.1),
    lambda: routing.conformal_threshold(jnp.ones((2, 2)), 0.1),
    lambda: routing.conformal_threshold(jnp.ones(3), 0.0),
    lambda: routing.conformal_threshold(jnp.ones(3), 1.0),
    lambda: routing.share_threshold(jnp.ones(3), 1.0),
    lambda: routing.grid(jnp.ones(3), jnp.ones(4), jnp.ones(1), jnp.ones(1)),
    lambda: routing.grid(jnp.ones(3), jnp.ones(3), jnp.ones((1, 1)), jnp.ones(1)),
])
def test_refusals(call):
    with pytest.raises(ValueError, match="got"):
        call()
