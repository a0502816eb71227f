"""Posterior of disagreement against the beta distribution and against a crowd whose truth is
known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from ferjax import posterior


def test_two_classes_are_a_folded_beta():
    """With two classes, 1 - max q = min(q, 1 - q) of a beta variable."""
    got = posterior.disagreement_posterior(
        jnp.array([[7, 3]]), jax.random.key(0), prior=0.5, draws=20_000
    )
    beta = scipy.stats.beta(3.5, 7.5)
    assert float(got.mean[0]) == pytest.approx(
        beta.expect(lambda q: np.minimum(q, 1 - q)), abs=0.003
    )
    for bound, tail in ((got.low, 0.025), (got.high, 0.975)):
        reached = float(bound[0])
        assert beta.cdf(reached) + beta.sf(1 - reached) == pytest.approx(tail, abs=0.004)


def test_intervals_cover_the_truth_and_its_reliability(rng):
    truth = rng.dirichlet(np.full(8, 1 / 8), 400)
    votes = rng.multinomial(10, truth)
    got = posterior.disagreement_posterior(votes, jax.random.key(1), draws=500)
    disagreement = 1 - truth.max(1)
    assert ((got.low <= disagreement) & (disagreement <= got.high)).mean() == pytest.approx(
        0.95, abs=0.03
    )
    squared = np.corrcoef(got.mean, disagreement)[0, 1] ** 2
    assert float(posterior.reliability(got)) == pytest.approx(squared, abs=0.06)


def test_no_votes_leave_the_prior_and_nonsense_is_refused():
    got = posterior.disagreement_posterior(jnp.zeros((1, 4)), jax.random.key(0), prior=1e-3)
    assert np.isfinite(got.mean).all()
    with pytest.raises(ValueError, match=r"votes must be \[face, class\], got \(4,\)"):
        posterior.disagreement_posterior(jnp.zeros(4), jax.random.key(0))
    with pytest.raises(ValueError, match="prior must be positive"):
        posterior.disagreement_posterior(jnp.zeros((1, 4)), jax.random.key(0), prior=0.0)
