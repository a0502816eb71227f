"""Dirichlet algebra against scipy, Monte Carlo and its limits; finite in value and gradient."""

import chex
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.special
import scipy.stats

from ferjax import dirichlet

ITEMS = 40
CLASSES = 8

log_likelihood = jax.jit(dirichlet.log_likelihood, static_argnames="max_votes")
expected_entropy = jax.jit(dirichlet.expected_entropy)
expected_disagreement = jax.jit(dirichlet.expected_disagreement)
mutual_information = jax.jit(dirichlet.mutual_information)
kl = jax.jit(dirichlet.kl)


def entropy_of(log_probs):
    return scipy.special.entr(np.exp(np.float64(log_probs))).sum(-1)


@pytest.fixture(scope="module")
def given():
    """Means from blunt to sharp, concentrations from far below 1 to far above."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(ITEMS, CLASSES)) * np.linspace(0, 6, ITEMS)[:, None]
    log_probs = scipy.special.log_softmax(logits, -1).astype(np.float32)
    return log_probs, rng.uniform(-4, 7, ITEMS).astype(np.float32)


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(1)
    return rng.multinomial(rng.integers(0, 11, ITEMS), np.full(CLASSES, 1 / CLASSES))


def parameters(log_probs, log_concentration):
    return np.exp(np.float64(log_probs) + np.float64(log_concentration)[:, None])


def scipy_log_likelihood(counts, alpha):
    """Scipy's Dirichlet-multinomial without the multinomial coefficient."""
    total = counts.sum(-1)
    coefficient = scipy.special.gammaln(total + 1) - scipy.special.gammaln(counts + 1).sum(-1)
    return scipy.stats.dirichlet_multinomial.logpmf(counts, alpha, total) - coefficient


def test_likelihood_is_that_of_scipy(given, counts):
    expected = scipy_log_likelihood(counts, parameters(*given))
    np.testing.assert_allclose(log_likelihood(counts, *given), expected, rtol=2e-6, atol=2e-6)
    np.testing.assert_array_equal(
        log_likelihood(counts, *given, max_votes=10), dirichlet.log_likelihood(counts, *given)
    )


def test_more_votes_than_are_multiplied_out_follow_a_series(given, counts):
    """Whether the bound was given right, or far too small."""
    many = counts * np.random.default_rng(2).integers(1, 400, ITEMS)[:, None]
    expected = scipy_log_likelihood(many, parameters(*given))
    assert many.sum(-1).max() > 2000
    np.testing.assert_allclose(log_likelihood(many, *given), expected, rtol=2e-6, atol=1e-5)
    few = log_likelihood(many, *given, max_votes=10)
    np.testing.assert_allclose(few, expected, rtol=3e-6, atol=3e-5)


def test_its_gradients_are_those_of_the_log_gammas(given, counts):
    """By mean (as if it were free to leave the simplex) and by concentration."""
    log_probs, log_s = given
    alpha = parameters(log_probs, log_s)
    psi = scipy.special.digamma
    by_alpha = psi(counts + alpha) - psi(alpha)
    s = np.exp(np.float64(log_s))
    total = counts.sum(-1)
    by_s = (by_alpha * alpha).sum(-1) - s * (psi(total + s) - psi(s))
    gradients = jax.jit(jax.grad(lambda *of: log_likelihood(counts, *of).sum(), (0, 1)))(*given)
    np.testing.assert_allclose(gradients[1], by_s, atol=2e-5)
    np.testing.assert_allclose(gradients[0], by_alpha * alpha, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("log_s", [-np.inf, -80.0, 0.0, 80.0, np.inf])
def test_likelihood_and_gradients_are_finite_at_the_ends(log_s):
    """α → 0: unanimous votes cost the mean alone. S = inf: the multinomial's. And at S = 1, where
    the two scalings meet; all with a class of probability 0."""
    log_probs = jnp.log(jnp.array([[0.5, 0.3, 0.2, 0.0]] * 3))
    votes = np.array([[0, 4, 0, 0], [3, 2, 0, 0], [0, 0, 0, 0]])
    s = jnp.full(3, log_s)
    found = dirichlet.log_likelihood(votes, log_probs, s)
    assert float(found[2]) == 0
    by_mean, by_s = jax.grad(
        lambda *of: jnp.sum(dirichlet.log_likelihood(votes, *of)[::2]), (0, 1)
    )(log_probs, s)
    chex.assert_tree_all_finite((by_mean, by_s))
    if log_s == np.inf:
        np.testing.assert_allclose(found[:2], [4 * np.log(0.3), np.log(0.5**3 * 0.3**2)], rtol=1e-6)
    elif log_s > 0:
        np.testing.assert_allclose(found[1], np.log(0.5**3 * 0.3**2), rtol=1e-6)
    elif log_s < 0:
        np.testing.assert_allclose(found[0], np.log(0.3), rtol=1e-6)
        assert float(found[1]) < -79
        np.testing.assert_allclose(by_mean[0], [0, 1, 0, 0], atol=1e-6)
    else:
        np.testing.assert_allclose(
            found[:2],
            scipy_log_likelihood(votes[:2], np.array([[0.5, 0.3, 0.2, 1e-30]])),
            rtol=1e-6,
        )


def test_votes_for_an_impossible_class_are_infinitely_surprising():
    log_probs = jnp.log(jnp.array([0.5, 0.5, 0.0]))
    assert float(dirichlet.log_likelihood(np.array([1, 0, 1]), log_probs, 0.0)) == -np.inf


def test_the_true_concentration_is_the_likeliest(given):
    """Among many, on counts drawn from it."""
    rng = np.random.default_rng(3)
    pi = np.full(CLASSES, 1 / CLASSES)
    votes = np.stack([rng.multinomial(10, rng.dirichlet(3 * pi)) for _ in range(2000)])
    tried = np.linspace(-2, 4, 25, dtype=np.float32)
    log_probs = np.broadcast_to(np.log(pi), votes.shape).astype(np.float32)
    total = jax.jit(
        jax.vmap(lambda s: dirichlet.log_likelihood(votes, log_probs, jnp.full(2000, s)).sum())
    )(tried)
    assert tried[int(np.argmax(total))] == pytest.approx(np.log(3), abs=0.26)


def test_expectations_agree_with_draws(given):
    log_probs, log_s = given
    rng = np.random.default_rng(4)
    for row in range(0, ITEMS, 4):
        alpha = parameters(log_probs, log_s)[row]
        # Log gammas of small shape: G(α) = G(α + 1) U^(1/α).
        shape = (40_000, CLASSES)
        logs = np.log(rng.gamma(alpha + 1, size=shape)) + np.log(rng.random(shape)) / alpha
        drawn = scipy.special.softmax(logs, -1)
        for values, found in (
            (scipy.special.entr(drawn).sum(-1), expected_entropy(log_probs, log_s)[row]),
            (1 - drawn.max(-1), expected_disagreement(log_probs, log_s)[row]),
        ):
            error = values.std() / np.sqrt(len(values))
            assert float(found) == pytest.approx(values.mean(), abs=4.5 * error + 2e-4)


def test_expected_entropy_is_the_difference_of_digammas(given):
    log_probs, log_s = given
    alpha = parameters(log_probs, log_s)
    psi = scipy.special.digamma
    p = np.exp(np.float64(log_probs))
    expected = psi(np.exp(np.float64(log_s)) + 1) - (p * psi(alpha + 1)).sum(-1)
    np.testing.assert_allclose(expected_entropy(log_probs, log_s), expected, rtol=2e-5)
    information = entropy_of(log_probs) - expected
    np.testing.assert_allclose(mutual_information(log_probs, log_s), information, rtol=3e-5)


@pytest.mark.parametrize("log_s", [-25.0, -12.0, 12.0, 25.0])
def test_small_figures_keep_their_digits(log_s):
    """Where digammas subtracted from each other in float32 would have none left."""
    p = [mpmath.mpf(x) for x in (0.7, 0.2, 0.1)]
    with mpmath.workdps(50):
        total = sum(p)
        p = [x / total for x in p]
        s = mpmath.e**log_s
        entropy = -sum(x * mpmath.log(x) for x in p)
        expected = mpmath.digamma(s + 1) - sum(x * mpmath.digamma(s * x + 1) for x in p)
        exact = float(expected), float(entropy - expected)
    log_probs = np.log(np.array([[float(x) for x in p]])).astype(np.float32)
    s = np.array([log_s], np.float32)
    np.testing.assert_allclose(expected_entropy(log_probs, s), exact[0], rtol=1e-5)
    np.testing.assert_allclose(mutual_information(log_probs, s), exact[1], rtol=1e-5)


@pytest.mark.parametrize("log_s, share", [(-np.inf, 0.0), (-60.0, 0.0), (60.0, 1.0), (np.inf, 1.0)])
def test_limits_of_the_concentration(given, log_s, share):
    log_probs, _ = given
    s = np.full(ITEMS, log_s, np.float32)
    entropy = entropy_of(log_probs)
    np.testing.assert_allclose(expected_entropy(log_probs, s), share * entropy, atol=2e-6)
    np.testing.assert_allclose(mutual_information(log_probs, s), (1 - share) * entropy, atol=2e-6)
    disagreement = 1 - np.exp(log_probs.max(-1))
    np.testing.assert_allclose(expected_disagreement(log_probs, s), share * disagreement, atol=2e-6)


def test_expected_disagreement_is_within_its_bound_over_the_whole_range():
    """Against adaptive quadrature, also where the ways of computing it meet."""
    rng = np.random.default_rng(5)
    means = [np.full(8, 1 / 8), np.array([0.5, 0.5, *[0.0] * 6]), *rng.dirichlet(np.ones(8), 3)]
    with np.errstate(divide="ignore"):
        log_probs = np.log(np.array(means, np.float32))
    for log_s in (-9.0, -4.5, -4.0, -2.0, 0.0, 1.6, 2.0, 3.0, 5.0, 8.0, 12.0):
        found = expected_disagreement(log_probs, np.full(len(means), log_s, np.float32))
        for mean, of in zip(means, found):
            alpha = np.maximum(mean, 1e-30) * np.exp(log_s)
            m = alpha.max()
            edges = sorted(
                {
                    0,
                    *np.geomspace(1e-12 * m, max(m, 30), 60),
                    *(m + np.linspace(0, 40, 60) * max(1, m**0.5)),
                }
            )
            node, weight = np.polynomial.legendre.leggauss(16)
            low, high = np.array(edges[:-1])[:, None], np.array(edges[1:])[:, None]
            x = ((low + high) / 2 + (high - low) / 2 * node).ravel()
            w = ((high - low) / 2 * weight).ravel()
            # 1 - prod F, from the complements: small shapes leave no digits to 1 - F.
            outside = scipy.special.gammaincc(alpha[:, None], x)
            integrand = -np.expm1(np.log1p(-np.minimum(outside, 1 - 1e-16)).sum(0))
            exact = 1 - (integrand * w).sum() / np.exp(log_s)
            assert float(of) == pytest.approx(exact, abs=2e-4), (log_s, mean)


def test_gradients_are_finite_with_impossible_classes_and_at_the_ends():
    log_probs = jnp.log(jnp.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.2, 0.3, 0.5]]))
    for function in (expected_entropy, mutual_information, expected_disagreement):
        for log_s in (-np.inf, -70.0, 0.0, 3.0, 70.0, np.inf):
            value, gradients = jax.value_and_grad(
                lambda *of, function=function: function(*of).sum(), (0, 1)
            )(log_probs, jnp.full(3, log_s))
            chex.assert_tree_all_finite((value, gradients))


def test_kl_is_that_of_draws_and_zero_to_itself(given):
    log_probs, log_s = given
    other = (log_probs[::-1], log_s[::-1])
    # In float64 the other way round: expected log-density ratio by scipy's digammas.
    alpha = parameters(log_probs, log_s)
    beta = alpha[::-1]
    gammaln = scipy.special.gammaln
    psi = scipy.special.digamma
    total, other_total = alpha.sum(-1), beta.sum(-1)
    expected = gammaln(total) - gammaln(other_total) - (gammaln(alpha) - gammaln(beta)).sum(-1)
    expected += ((alpha - beta) * (psi(alpha) - psi(total)[:, None])).sum(-1)
    np.testing.assert_allclose(kl(log_probs, log_s, *other), expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(kl(log_probs, log_s, log_probs, log_s), 0, atol=1e-6)


def test_kl_keeps_its_digits_at_any_concentration():
    """Against scipy's gammas in float64, where these have digits left: Σ α <= 1e6."""
    pairs = [
        ((1e5, 1e5, 1.0), (1e5, 1e5, 2.0)),
        ((1e6, 1e6, 1.0), (1.0, 1.0, 1.0)),
        ((1.0, 1.0, 1.0), (1e6, 1e6, 1.0)),
        ((1e-3, 1e-3, 1e-3), (1.0, 1.0, 1.0)),
        ((0.3, 0.2, 5.0), (2.0, 0.1, 0.4)),
    ]
    alpha, beta = (np.array(of) for of in zip(*pairs))
    gammaln = scipy.special.gammaln
    psi = scipy.special.digamma
    total, other = alpha.sum(-1), beta.sum(-1)
    expected = gammaln(total) - gammaln(other) - (gammaln(alpha) - gammaln(beta)).sum(-1)
    expected += ((alpha - beta) * (psi(alpha) - psi(total)[:, None])).sum(-1)
    one, two = (dirichlet.from_alpha(of.astype(np.float32)) for of in (alpha, beta))
    np.testing.assert_allclose(kl(*one, *two), expected, rtol=2e-5, atol=1e-4)
    # Beyond that, by mpmath: one mean, twice the concentration.
    far = dirichlet.from_alpha(np.array([[1e8, 1e8], [2e8, 2e8]], np.float32))
    found = kl(far.log_probs[:1], far.log_concentration[:1], *(of[1:] for of in far))
    np.testing.assert_allclose(found, 0.15342641, atol=1e-4)


@pytest.mark.parametrize("wanted, expected", [(0.0, 12.0), (np.nan, np.nan)])
def test_a_mean_that_is_certain_has_the_largest_concentration(wanted, expected):
    mean = np.log(np.array([1.0, 1e-45, 1e-45], np.float32))
    found = dirichlet.concentration_of_entropy(mean, np.float32(wanted))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_alpha_becomes_mean_and_concentration():
    found = dirichlet.from_alpha(np.array([[0.0, 0.5, 1.5], [1e-30, 1e-30, 2e-30]], np.float32))
    np.testing.assert_allclose(
        np.exp(found.log_probs), [[0, 0.25, 0.75], [0.25, 0.25, 0.5]], rtol=1e-6
    )
    np.testing.assert_allclose(found.log_concentration, [np.log(2), np.log(4e-30)], rtol=1e-5)


@pytest.mark.parametrize("where", [0, 1])
def test_a_nan_makes_its_own_item_nan(given, counts, where):
    spoilt = [np.array(part) for part in given]
    spoilt[where][3] = np.nan
    for found in (
        log_likelihood(np.maximum(counts, 1), *spoilt),
        expected_entropy(*spoilt),
        mutual_information(*spoilt),
        expected_disagreement(*spoilt),
    ):
        np.testing.assert_array_equal(np.isnan(found), np.arange(ITEMS) == 3)


def test_what_does_not_fit_is_refused(given, counts):
    log_probs, log_s = given
    with pytest.raises(
        ValueError, match=r"log_concentration must be \[item...\] \(40,\), .* got \(39,\)"
    ):
        dirichlet.expected_entropy(log_probs, log_s[1:])
    with pytest.raises(ValueError, match=r"counts must be .* \(40, 8\), got \(40, 7\)"):
        dirichlet.log_likelihood(counts[:, 1:], log_probs, log_s)
    with pytest.raises(ValueError, match="log_probs must be floating point, got dtype int32"):
        dirichlet.expected_entropy(counts.astype(np.int32), log_s)
