"""Thresholds with a promise, held to it: exact ranks, and simulated calibrations."""

import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import conformal


@pytest.mark.parametrize("alpha", ["0.05", "0.1", "0.2", "0.25", "0.3", "0.01"])
def test_conformal_rank_is_exact(alpha):
    for n in [*range(1, 45), 99, 199, 999, 3569]:
        rank = math.ceil((n + 1) * (1 - Fraction(alpha)))
        got = float(conformal.conformal_threshold(np.arange(1.0, n + 1), float(alpha)))
        assert got == (rank if rank <= n else math.inf), n


@pytest.mark.parametrize("distinct", [None, 5])
def test_conformal_promise_holds_for_fresh_faces(rng, distinct):
    n = 49
    alpha = 0.1
    trials = 800
    scores = rng.exponential(size=(trials, n + 1)).astype(np.float32)
    if distinct:
        scores = np.round(scores * distinct)
    chosen = jax.vmap(lambda s: conformal.conformal_threshold(s, alpha))(scores[:, :n])
    rate = (scores[:, n] > np.asarray(chosen)).mean()
    error = 3 * np.sqrt(alpha * (1 - alpha) / trials)
    assert rate <= alpha + error
    if not distinct:
        assert rate >= alpha - 1 / (n + 1) - error


@pytest.mark.parametrize("share", [0.05, 1 / 3, 0.5, 0.9])
def test_share_threshold_defers_as_many_as_ties_allow(rng, share):
    for scores in (rng.normal(size=57), rng.integers(0, 6, 57) * 1.0, np.ones(57)):
        scores = scores.astype(np.float32)
        threshold = float(conformal.quantile_threshold(scores, share))
        assert (scores > threshold).mean() <= share
        lower = [t for t in np.unique(scores) if t < threshold]
        assert all((scores > t).mean() > share for t in lower)


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_each_group_has_the_threshold_it_would_have_alone(rng, alpha):
    scores = rng.integers(0, 30, 200).astype(np.float32)
    groups = rng.choice([-1, 0, 1, 2], 200, p=[0.1, 0.6, 0.27, 0.03])
    got = conformal.group_conformal_thresholds(scores, groups, 4, alpha)
    for group in range(3):
        assert float(got[group]) == float(
            conformal.conformal_threshold(scores[groups == group], alpha)
        )
    assert np.isinf(got[3])


@pytest.mark.slow
def test_ten_thousand_calibrations_reject_no_more_than_promised():
    """Pooled, per group, and with one threshold for both groups, on tied scores whose groups differ
    in level."""
    trials = 10_000
    n = 60
    alpha = 0.1
    key = jax.random.key(0)
    groups = jax.random.bernoulli(jax.random.fold_in(key, 1), 0.4, (trials, n + 400)).astype(
        jnp.int32
    )
    scores = jnp.round(4 * (jax.random.exponential(key, groups.shape) * (1 + groups))) / 4

    @jax.jit
    @jax.vmap
    def rejected(scores, groups):
        by_group = conformal.group_conformal_thresholds(scores[:n], groups[:n], 2, alpha)
        fresh = scores[n:]
        of = groups[n:]
        one = conformal.conformal_threshold(scores[:n], alpha)
        above = jnp.stack([fresh > one, fresh > by_group[of], fresh > by_group.max()])
        counts = jnp.stack([jnp.ones_like(of), 1 - of, of])
        return jnp.einsum("tf,gf->tg", above * 1.0, counts * 1.0) / counts.sum(1)[None]

    rate = np.asarray(rejected(scores, groups).mean(0))
    slack = 3 * np.sqrt(alpha * (1 - alpha) / trials)
    assert rate[0, 0] <= alpha + slack
    assert rate[0, 2] > alpha + 0.03  # the pooled threshold promises nothing to the higher group
    assert (rate[1] <= alpha + slack).all()
    assert (rate[2] <= alpha + slack).all()
    assert rate[1, 1:].min() > alpha / 2  # and the promise is not kept by rejecting nothing


@pytest.mark.slow
def test_ten_thousand_certificates_break_no_more_often_than_promised():
    trials = 10_000
    n = 400
    max_error = 0.1
    delta = 0.1
    grid = jnp.linspace(
        0.1, 1, 10
    )  # accept a share of the faces, most certain first; error grows with the share
    key = jax.random.key(0)
    certainty = jax.random.uniform(key, (trials, n))
    wrong = jax.random.uniform(jax.random.fold_in(key, 1), (trials, n)) < 0.3 * certainty
    accept = certainty[:, :, None] <= grid[None, None]
    accepted = accept.sum(1)
    errors = (wrong[:, :, None] & accept).sum(1)
    true_error = 0.15 * grid
    certified = np.asarray(
        jax.vmap(
            lambda e, a: conformal.learn_then_test(e, a, max_error=max_error, delta=delta, first=2)
        )(errors, accepted)
    )
    broken = (certified & (np.asarray(true_error) > max_error)).any(1).mean()
    assert broken <= delta + 3 * np.sqrt(delta * (1 - delta) / trials)
    assert certified[:, 2].mean() > 0.5  # it does learn_then_test what is safe
    assert not certified[:, :2].any()
    assert not (
        np.diff(certified[:, 2:].astype(int), axis=1) > 0
    ).any()  # a walk that ended does not go on

    losses = (wrong[:2000, :, None] & accept[:2000]).astype(jnp.float32)
    index = np.asarray(
        jax.jit(jax.vmap(lambda x: conformal.risk_controlling_index(x, 0.05)))(losses)
    )
    loss = np.where(index >= 0, np.asarray(true_error * grid)[index], 0.0)
    assert loss.mean() <= 0.05 + 1e-3
    assert loss.mean() > 0.02


def test_binomial_tail_is_exact():
    for accepted, errors, max_error in (
        (50, 3, 0.1),
        (1, 0, 0.5),
        (200, 30, 0.1),
        (7, 7, 0.3),
        (0, 0, 0.1),
    ):
        exact = sum(
            math.comb(accepted, k) * max_error**k * (1 - max_error) ** (accepted - k)
            for k in range(errors + 1)
        )
        assert float(conformal.binomial_tail(errors, accepted, max_error)) == pytest.approx(
            exact, rel=1e-4, abs=1e-7
        )


def test_rows_of_a_grid_share_the_risk():
    errors = np.array([[0, 1], [0, 1]])
    accepted = np.array([[40, 60], [40, 60]])
    alone = conformal.learn_then_test(errors[0], accepted[0], max_error=0.1, delta=0.02)
    together = conformal.learn_then_test(errors, accepted, max_error=0.1, delta=0.02)
    assert alone.tolist() == [True, True]
    assert together.tolist() == [[False, False], [False, False]]


@pytest.mark.parametrize(
    "call",
    [
        lambda: conformal.conformal_threshold(jnp.ones(0), 0.1),
        lambda: conformal.conformal_threshold(jnp.ones((2, 2)), 0.1),
        lambda: conformal.conformal_threshold(jnp.ones(3), 0.0),
        lambda: conformal.conformal_threshold(jnp.ones(3), 1.0),
        lambda: conformal.group_conformal_thresholds(jnp.ones(3), jnp.zeros(4, int), 2, 0.1),
        lambda: conformal.group_conformal_thresholds(jnp.ones(3), jnp.zeros(3, int), 2, 1.5),
        lambda: conformal.quantile_threshold(jnp.ones(3), 1.0),
        lambda: conformal.quantile_threshold(jnp.ones(0), 0.5),
        lambda: conformal.learn_then_test(jnp.ones(3), jnp.ones(3), max_error=0.0, delta=0.1),
        lambda: conformal.learn_then_test(jnp.ones(3), jnp.ones(4), max_error=0.1, delta=0.1),
        lambda: conformal.risk_controlling_index(jnp.ones(3), 0.1),
    ],
)
def test_refusals(call):
    with pytest.raises(ValueError, match="got"):
        call()
