"""Posterior of disagreement against the beta distribution, and against a known truth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from ferjax import posterior

DRAWS = 20_000


def test_two_classes_are_a_folded_beta():
    """With two classes, 1 - max q = min(q, 1 - q) of a beta variable."""
    key = jax.random.key(0)
    got = posterior.disagreement_posterior(key, jnp.array([[7, 3]]), draws=DRAWS)  # prior 1 / 2
    beta = scipy.stats.beta(3.5, 7.5)
    mean = beta.expect(lambda q: np.minimum(q, 1 - q))
    assert float(got.mean[0]) == pytest.approx(mean, abs=0.003)
    square = beta.expect(lambda q: np.minimum(q, 1 - q) ** 2)
    assert float(got.deviation[0]) == pytest.approx(np.sqrt(square - mean**2), abs=0.003)
    for bound, tail in ((got.low, 0.025), (got.high, 0.975)):
        reached = float(bound[0])
        assert beta.cdf(reached) + beta.sf(1 - reached) == pytest.approx(tail, abs=0.004)


def test_intervals_cover_the_truth_and_its_reliability(rng):
    truth = rng.dirichlet(np.full(8, 1 / 8), 400)
    votes = rng.multinomial(10, truth)
    got = jax.jit(posterior.disagreement_posterior, static_argnames="draws")(
        jax.random.key(1), votes, draws=250
    )
    disagreement = 1 - truth.max(1)
    covered = (got.low <= disagreement) & (disagreement <= got.high)
    assert covered.mean() == pytest.approx(0.95, abs=0.03)
    squared = np.corrcoef(got.mean, disagreement)[0, 1] ** 2
    assert float(posterior.intraclass_reliability(got)) == pytest.approx(squared, abs=0.06)


def test_reliability_is_the_share_of_the_variance_between_items():
    mean = jnp.array([0.0, 1.0])  # variance 1 / 4
    deviation = jnp.array([0.0, 1.0])  # mean variance 1 / 2
    given = posterior.DisagreementPosterior(mean, deviation, mean, mean)
    assert float(posterior.intraclass_reliability(given)) == pytest.approx(1 / 3, rel=1e-6)


def test_no_votes_leave_the_prior_and_nonsense_is_refused():
    none = jnp.zeros((1, 2))
    got = posterior.disagreement_posterior(jax.random.key(0), none, prior=1e-3, draws=DRAWS)
    assert np.isfinite(got.mean).all()
    assert float(got.mean[0]) < 0.01  # a prior this small is sure of one class or the other
    beta = scipy.stats.beta(50, 50)
    got = posterior.disagreement_posterior(jax.random.key(0), none, prior=50, draws=DRAWS)
    expected = beta.expect(lambda q: np.minimum(q, 1 - q))
    assert float(got.mean[0]) == pytest.approx(expected, abs=0.003)
    with pytest.raises(ValueError, match=r"votes must be \[item, class\], got \(4,\)"):
        posterior.disagreement_posterior(jax.random.key(0), jnp.zeros(4))
    with pytest.raises(ValueError, match="prior must be positive"):
        posterior.disagreement_posterior(jax.random.key(0), jnp.zeros((1, 4)), prior=0.0)
