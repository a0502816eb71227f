"""Thresholds with a promise, held to it: exact ranks, and simulated calibrations."""

import functools
import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import conformal

ALPHAS = ("0.05", "0.1", "0.2", "0.25", "0.29", "0.3", "0.45", "0.01", "0.13", "0.21")

conformal_threshold = jax.jit(conformal.conformal_threshold, static_argnums=1)
group_conformal_thresholds = jax.jit(conformal.group_conformal_thresholds, static_argnums=(2, 3))
learn_then_test = jax.jit(conformal.learn_then_test, static_argnames=("max_error", "delta"))


@pytest.mark.parametrize("alpha", ALPHAS)
def test_conformal_rank_is_exact(alpha):
    for n in [*range(1, 301), 999, 3569]:
        rank = math.ceil((n + 1) * (1 - Fraction(alpha)))
        assert conformal.conformal_rank(n, float(alpha)) == rank, n
    for n in (9, 99):
        rank = math.ceil((n + 1) * (1 - Fraction(alpha)))
        scores = np.random.default_rng(n).permutation(n) + 1.0
        got = float(conformal.conformal_threshold(scores, float(alpha)))
        assert got == (rank if rank <= n else math.inf), n


@pytest.mark.parametrize("alpha", ALPHAS)
def test_rank_in_a_group_is_exact(alpha):
    """Also where (n + 1) alpha is whole, and float32 would take it for less (n = 299, 0.21)."""
    sizes = [*range(1, 61), 99, 199, 299, 899]
    groups = np.repeat(np.arange(len(sizes)), sizes)
    scores = np.concatenate([np.arange(1.0, n + 1) for n in sizes])
    got = group_conformal_thresholds(scores, groups, len(sizes), float(alpha))
    for n, threshold in zip(sizes, got):
        rank = math.ceil((n + 1) * (1 - Fraction(alpha)))
        assert float(threshold) == (rank if rank <= n else math.inf), n


@pytest.mark.parametrize("distinct", [None, 5])
def test_conformal_promise_holds_for_fresh_items(rng, distinct):
    n = 49
    alpha = 0.1
    trials = 800
    scores = rng.exponential(size=(trials, n + 1)).astype(np.float32)
    if distinct:
        scores = np.round(scores * distinct)
    chosen = jax.jit(jax.vmap(lambda s: conformal.conformal_threshold(s, alpha)))(scores[:, :n])
    rate = (scores[:, n] > np.asarray(chosen)).mean()
    error = 3 * np.sqrt(alpha * (1 - alpha) / trials)
    assert rate <= alpha + error
    if not distinct:
        assert rate >= alpha - 1 / (n + 1) - error


@pytest.mark.parametrize("share", ["0.05", "0.29", "1/3", "0.5", "0.57", "0.9"])
def test_share_threshold_defers_as_many_as_ties_allow(rng, share):
    for scores in (rng.normal(size=100), rng.integers(0, 6, 100) * 1.0, np.ones(100)):
        scores = scores.astype(np.float32)
        threshold = float(conformal.quantile_threshold(scores, float(Fraction(share))))
        above = math.floor(100 * Fraction(share))
        assert (scores > threshold).sum() <= above
        lower = [t for t in np.unique(scores) if t < threshold]
        assert all((scores > t).sum() > above for t in lower)


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_each_group_has_the_threshold_it_would_have_alone(rng, alpha):
    scores = rng.integers(0, 30, 200).astype(np.float32)
    groups = rng.choice([-1, 0, 1, 2], 200, p=[0.1, 0.6, 0.27, 0.03])
    got = group_conformal_thresholds(scores, groups, 4, alpha)
    for group in range(3):
        assert float(got[group]) == float(
            conformal.conformal_threshold(scores[groups == group], alpha)
        )
    assert np.isinf(got[3])


@pytest.mark.slow
def test_ten_thousand_calibrations_reject_no_more_than_promised():
    """Pooled, per group, and with one threshold for both groups, whose tied scores differ."""
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
    # Accept a share of the items, most certain first; error grows with the share.
    grid = jnp.linspace(0.1, 1, 10)
    key = jax.random.key(0)
    certainty = jax.random.uniform(key, (trials, n))
    wrong = jax.random.uniform(jax.random.fold_in(key, 1), (trials, n)) < 0.3 * certainty
    accept = certainty[:, :, None] <= grid[None, None]
    accepted = accept.sum(1)
    errors = (wrong[:, :, None] & accept).sum(1)
    true_error = 0.15 * grid
    test = functools.partial(conformal.learn_then_test, max_error=max_error, delta=delta, first=2)
    certified = np.asarray(jax.jit(jax.vmap(test))(errors, accepted))
    broken = (certified & (np.asarray(true_error) > max_error)).any(1).mean()
    assert broken <= delta + 3 * np.sqrt(delta * (1 - delta) / trials)
    assert certified[:, 2].mean() > 0.5  # it does certify what is safe
    assert not certified[:, :2].any()
    # A walk that ended does not go on.
    assert not (np.diff(certified[:, 2:].astype(int), axis=1) > 0).any()

    losses = (wrong[:2000, :, None] & accept[:2000]).astype(jnp.float32)
    control = jax.jit(jax.vmap(lambda x: conformal.risk_controlling_index(x, 0.05)))
    index = np.asarray(control(losses))
    loss = np.where(index >= 0, np.asarray(true_error * grid)[index], 0.0)
    assert loss.mean() <= 0.05 + 1e-3
    assert loss.mean() > 0.02


def test_binomial_tail_is_exact():
    cases = ((50, 3, 0.1), (1, 0, 0.5), (200, 30, 0.1), (7, 7, 0.3), (0, 0, 0.1))
    binomial_tail = jax.jit(conformal.binomial_tail)
    for accepted, errors, max_error in cases:
        terms = (
            math.comb(accepted, k) * max_error**k * (1 - max_error) ** (accepted - k)
            for k in range(errors + 1)
        )
        got = float(binomial_tail(errors, accepted, max_error))
        assert got == pytest.approx(sum(terms), rel=1e-4, abs=1e-7)


def test_rows_of_a_grid_share_the_risk():
    errors = np.array([[0, 1], [0, 1]])
    accepted = np.array([[40, 60], [40, 60]])
    alone = learn_then_test(errors[0], accepted[0], max_error=0.1, delta=0.02)
    together = learn_then_test(errors, accepted, max_error=0.1, delta=0.02)
    assert alone.tolist() == [True, True]
    assert together.tolist() == [[False, False], [False, False]]


def test_a_walk_ends_at_the_first_threshold_that_fails_and_begins_where_it_is_told():
    errors = np.array([[0, 30, 0, 0], [30, 0, 0, 30]])
    accepted = np.full((2, 4), 100)
    got = learn_then_test(errors, accepted, max_error=0.1, delta=0.2, first=np.array([0, 1]))
    assert got.tolist() == [[True, False, False, False], [False, True, True, False]]


def test_risk_control_counts_one_more_loss_than_it_saw():
    """(sum + 1) / (n + 1) must be at most the bound, and stay so."""
    losses = np.array([[0, 0, 0, 1], [0, 0, 1, 1], [0, 0, 0, 1]])
    index = jax.jit(conformal.risk_controlling_index)
    assert [int(index(losses, bound)) for bound in (0.24, 0.25, 0.49, 0.5, 1.0)] == [-1, 1, 1, 2, 3]
    falling = np.array([[0, 1, 0, 0]] * 3)  # no loss may fall; a gap ends the walk all the same
    assert int(index(falling, 0.5)) == 0


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
