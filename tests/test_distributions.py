"""Probabilities, logits and counts are refused where log-probabilities or shares are expected."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import density, dirichlet, losses, metrics, priors, recalibration, uncertainty, votes
from ferjax.distributions import ROWS, require_log_probs, require_no_probs, require_shares

LOGITS = np.random.default_rng(0).normal(0, 3, (2, 5, 3)).astype(np.float32)
LOG_PROBS = np.asarray(jax.nn.log_softmax(LOGITS))
PROBS = np.exp(LOG_PROBS)
COUNTS = np.array([[5, 3, 2]] * 5)
Q = COUNTS / 10
LABELS = np.zeros(5, int)
ONE = np.zeros(5, np.float32)
TWO = np.zeros((2, 5), np.float32)
PRIOR = np.float32([0.2, 0.3, 0.5])
KNOWN = np.log(np.full((3, 3), 1 / 3, np.float32))

OF_MEMBERS = {
    "decompose": uncertainty.decompose,
    "decompose, known": lambda x: uncertainty.decompose(x, TWO),
    "decompose_variance": uncertainty.decompose_variance,
    "decompose_subsets": lambda x: uncertainty.decompose_subsets(x, np.ones((1, 2), bool)),
    "aleatoric_contributions": uncertainty.aleatoric_contributions,
    "epistemic_contributions": uncertainty.epistemic_contributions,
    "expected_pairwise_kl": uncertainty.expected_pairwise_kl,
    "credal_width": uncertainty.credal_width,
    "mean_log_probs": uncertainty.mean_log_probs,
    "entropy": uncertainty.entropy,
    "least_confidence": uncertainty.least_confidence,
    "expected_entropy": lambda x: dirichlet.expected_entropy(x, TWO),
    "mutual_information": lambda x: dirichlet.mutual_information(x, TWO),
    "expected_disagreement": lambda x: dirichlet.expected_disagreement(x, TWO),
    "gen": density.gen,
}
BY_LABELS = (
    *("ece", "mce", "l2_ece", "classwise_ece", "calibration_gaps", "classwise_gaps"),
    *("label_nll", "label_brier"),
)
BY_VOTES = ("nll", "brier", "kl", "jensen_shannon")


def of_metric(name, other):
    return lambda x: getattr(metrics, name)(x, other)


OF_ITEMS = {
    **{name: of_metric(name, LABELS) for name in BY_LABELS},
    **{name: of_metric(name, Q) for name in BY_VOTES},
    "cross_entropy": lambda x: losses.cross_entropy(x, Q),
    "fit_kl_matching": density.fit_kl_matching,
    "kl_matching": lambda x: density.kl_matching(KNOWN, x),
    "log_likelihood": lambda x: dirichlet.log_likelihood(COUNTS, x, ONE, max_votes=10),
    "concentration_of_entropy": lambda x: dirichlet.concentration_of_entropy(x, ONE + 0.1),
    "prior estimate": lambda x: priors.estimate(x, PRIOR),
}
SCALE_FREE = {
    "adjust": lambda x: priors.adjust(x, PRIOR, PRIOR),
    "temperature": lambda x: recalibration.Temperature(jnp.float32(2)).apply(x),
    "fit": lambda x: recalibration.Temperature.fit(COUNTS, x),
}
OF_SHARES = {
    "nll": lambda q: metrics.nll(LOG_PROBS[0], q),
    "vote_accuracy": lambda q: metrics.vote_accuracy(LOG_PROBS[0], q),
    "cross_entropy": lambda q: losses.cross_entropy(LOG_PROBS[0], q),
    "evidential_risk": lambda q: losses.evidential_risk(1 + PROBS[0], q),
    "mean_prior": priors.mean_prior,
    "disagreement": votes.disagreement,
    "vote entropy": votes.entropy,
    "ambiguity": votes.ambiguity,
}


@pytest.mark.parametrize("name", [*OF_MEMBERS, *OF_ITEMS])
def test_probabilities_and_logits_are_refused_by_name(name):
    several = name in OF_MEMBERS
    function = OF_MEMBERS[name] if several else OF_ITEMS[name]
    probs, logits = (x if several else x[0] for x in (PROBS, LOGITS))
    with pytest.raises(ValueError, match="looks like probabilities: take their logarithm"):
        function(probs)
    with pytest.raises(ValueError, match="looks like logits or scores: take jax.nn.log_softmax"):
        function(logits)


@pytest.mark.parametrize("name", SCALE_FREE)
def test_what_normalises_by_itself_refuses_probabilities_too(name):
    with pytest.raises(ValueError, match="looks like probabilities"):
        SCALE_FREE[name](PROBS[0])


@pytest.mark.parametrize("name", OF_SHARES)
def test_counts_are_no_shares(name):
    with pytest.raises(ValueError, match=r"got \[5.0, 3.0, 2.0\], which sums to 10: divide counts"):
        OF_SHARES[name](COUNTS)


def test_nothing_is_looked_at_under_jit():
    jitted = jax.jit(uncertainty.decompose)
    assert np.isfinite(jitted(PROBS).total).all()
    jax.vmap(uncertainty.entropy)(PROBS)
    jax.grad(lambda x: uncertainty.entropy(x).sum())(PROBS)


def test_undefined_rows_and_rounded_ones_pass():
    broken = LOG_PROBS.copy()
    broken[0, 1, 2] = np.nan
    require_log_probs(broken)
    require_log_probs(jnp.asarray(LOG_PROBS, jnp.bfloat16))
    require_log_probs(np.moveaxis(LOG_PROBS, -1, 0), axis=0)
    require_log_probs(np.array([[0.0, -np.inf]]))
    require_log_probs(LOGITS[0], weights=np.zeros(5))
    require_shares([[0, 0, 0], [np.nan, 0, 0], [-1, 3, 0]])
    require_no_probs(np.zeros((0, 3)))
    require_no_probs(LOGITS)  # what is normalised later


def test_of_many_rows_a_sample_is_looked_at():
    many = np.tile(LOG_PROBS[0], (ROWS, 1))
    require_log_probs(many)
    with pytest.raises(ValueError, match="looks like probabilities"):
        require_log_probs(np.exp(many))
    one_wrong = many.copy()
    one_wrong[1] = 0  # not among them
    require_log_probs(one_wrong)
