"""Risk control: exact tails, bounds that hold, several risks at once; against scipy and loops."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.special
import scipy.stats

from ferjax import conformal
from ferjax.conformal._binomial import binomial_cdf


@pytest.mark.parametrize("items", [1, 7, 100, 3569, 30_000, 100_000, 10**6, 10**7])
@pytest.mark.parametrize("error", [0.01, 0.1, 0.5])
def test_the_tail_is_exact_at_any_size(items, error):
    spread = np.sqrt(items * error * (1 - error))
    errors = np.round(items * error + np.linspace(-6, 2, 9) * spread)
    errors = np.unique(np.clip(errors, 0, items))
    expected = scipy.stats.binom.cdf(errors, items, error)
    got = conformal.binomial_tail(errors, items, error)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_the_tail_is_that_of_many_digits():
    """Summed term by term, downward from the count."""
    items = 1_000_000
    count = 98_500
    with mpmath.workdps(40):
        chance = mpmath.mpf("0.1")
        term = mpmath.binomial(items, count) * chance**count * (1 - chance) ** (items - count)
        total = mpmath.mpf(0)
        k = count
        while term > total * mpmath.mpf("1e-25"):
            total += term
            term *= k * (1 - chance) / ((items - k + 1) * chance)
            k -= 1
    np.testing.assert_allclose(binomial_cdf(count, items, 0.1), float(total), rtol=1e-9)
    np.testing.assert_allclose(conformal.binomial_tail(count, items, 0.1), float(total), rtol=1e-6)


def test_the_tail_inside_a_program_is_the_same():
    errors = np.array([[3, 40], [900, 98_500]])
    accepted = np.array([[100, 500], [10_000, 1_000_000]])
    expected = scipy.stats.binom.cdf(errors, accepted, float(np.float32(0.1)))
    got = jax.jit(conformal.binomial_tail)(errors, accepted, np.float32(0.1))
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    rows = jax.jit(jax.vmap(lambda k, n: conformal.binomial_tail(k, n, 0.1)))(errors, accepted)
    np.testing.assert_allclose(rows, scipy.stats.binom.cdf(errors, accepted, 0.1), rtol=1e-6)
    # Errors batched over levels: the one is in front of the other's axes.
    levels = np.float32([0.1, 0.2, 0.3])
    by_level = jax.jit(jax.vmap(lambda e: conformal.binomial_tail(errors[0], accepted[0], e)))
    expected = scipy.stats.binom.cdf(errors[0], accepted[0], np.float64(levels)[:, None])
    np.testing.assert_allclose(by_level(levels), expected, rtol=1e-6)


def test_edges_of_the_tail():
    assert conformal.binomial_tail([0, 5, 7, 0], [0, 5, 5, 10**7], 0.3).tolist() == [1, 1, 1, 0]
    for wrong in ((np.nan, 5, 0.3), (-1, 5, 0.3), (2, 5, 1.5), (2, 5, np.nan)):
        assert np.isnan(conformal.binomial_tail(*wrong))
    counts = np.array([2**24, 2**24 + 1])
    tails = binomial_cdf(counts, 10 * counts[0], 0.1)
    assert tails[1] > tails[0]


def test_hoeffding_bentkus_is_its_definition():
    risk = np.array([0.0, 0.02, 0.05, 0.09, 0.1, 0.3])
    n = 400
    low = np.minimum(risk, 0.1)
    divergence = scipy.special.rel_entr(low, 0.1) + scipy.special.rel_entr(1 - low, 0.9)
    bentkus = np.e * scipy.stats.binom.cdf(np.ceil(np.round(n * risk, 6)), n, 0.1)
    expected = np.minimum(np.minimum(np.exp(-n * divergence), bentkus), 1)
    np.testing.assert_allclose(conformal.hoeffding_bentkus(risk, n, 0.1), expected, rtol=1e-6)
    bound = np.asarray(conformal.risk_upper_bound(risk, n, 0.1))
    assert (bound > risk).all()
    at_bound = conformal.hoeffding_bentkus(risk, n, bound)
    np.testing.assert_allclose(at_bound, 0.1, rtol=2e-3)
    assert float(conformal.risk_upper_bound(0.0, 0, 0.1)) == 1
    assert np.isnan(conformal.hoeffding_bentkus(1.2, n, 0.1))


@pytest.mark.slow
def test_a_controlling_set_breaks_no_more_often_than_promised():
    trials = 1500
    n = 150
    alpha = 0.2
    delta = 0.1
    rng = np.random.default_rng(0)
    true_risk = np.linspace(0.05, 0.4, 12)
    # Losses between 0 and 1 that never fall along the thresholds.
    uniform = rng.random((trials, n, 1))
    losses = np.clip(2 * true_risk[None, None] * uniform, 0, 1).astype(np.float32)
    chosen = np.array([int(conformal.risk_controlling_set(of, alpha, delta)) for of in losses])
    broken = (chosen >= 0) & (true_risk[np.maximum(chosen, 0)] > alpha)
    assert broken.mean() <= delta + 3 * np.sqrt(delta * (1 - delta) / trials)
    assert (chosen >= 1).mean() > 0.9
    traced = jax.jit(conformal.risk_controlling_set)
    assert [int(traced(of, alpha, delta)) for of in losses[:20]] == chosen[:20].tolist()


def test_a_broken_loss_promises_nothing_from_its_threshold_on():
    losses = np.zeros((100, 4), np.float32)
    assert int(conformal.risk_controlling_set(losses, 0.1, 0.1)) == 3
    for value in (np.nan, 1.5, -0.5):
        wrong = losses.copy()
        wrong[5, 2] = value
        assert int(conformal.risk_controlling_set(wrong, 0.1, 0.1)) == 1
        assert int(conformal.risk_controlling_index(wrong, 0.1)) == 1
    assert int(conformal.risk_controlling_set(losses[:0], 0.1, 0.1)) == -1


def slow_holm(p, delta):
    rejected = np.zeros(len(p), bool)
    for step, index in enumerate(np.argsort(p, kind="stable")):
        if not p[index] * (len(p) - step) <= delta:
            break
        rejected[index] = True
    return rejected


def test_holm_is_the_slow_one(rng):
    p = np.float32(np.round(rng.random((200, 5)) ** 3, 2))  # tied
    p[::7, 2] = np.nan
    expected = np.array([slow_holm(row, 0.1) for row in p])
    holm = jax.jit(conformal.holm, static_argnames="axis")
    np.testing.assert_array_equal(holm(p, 0.1, axis=1), expected)
    np.testing.assert_array_equal(holm(p.T, 0.1, axis=0), expected.T)
    assert 0.1 < expected.mean() < 0.9


def test_holm_over_risks_keeps_its_level():
    """Two of three risks are exceeded; either is certified at most as often as δ."""
    rng = np.random.default_rng(1)
    true = np.array([0.12, 0.1, 0.02])
    counts = rng.binomial(300, true, (4000, 3))
    p = conformal.binomial_tail(counts, 300, 0.1)
    certified = np.asarray(conformal.holm(p, 0.1, axis=1))
    assert certified[:, :2].any(1).mean() <= 0.1 + 3 * np.sqrt(0.09 / 4000)
    assert certified[:, 2].mean() > 0.9


def test_a_walk_stops_at_what_it_cannot_reject():
    p = jnp.array([[0.01, 0.01, 0.5, 0.01], [0.01, jnp.nan, 0.0, 0.0]])
    walked = jax.jit(conformal.fixed_sequence)(p, 0.1)
    assert walked.tolist() == [[True, True, False, False], [True, False, False, False]]
    later = conformal.fixed_sequence(p, 0.1, first=jnp.array([3, 2]))
    assert later.tolist() == [[False, False, False, True], [False, False, True, True]]
