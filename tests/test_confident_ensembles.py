"""Scores of almost certain ensembles keep their digits, against fifty digits of mpmath."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from ferjax import metrics, uncertainty
from ferjax.evaluation import scores as scores_of
from ferjax.routing import RouterRule
from ferjax.serving.program import router_output

MEMBERS = 4
ITEMS = 60
CLASSES = 5


def exact(logits):
    """Scores of logits ``[member, item, class]`` from their definitions, rounded to float64."""
    with mpmath.workdps(60):
        p = np.vectorize(mpmath.mpf)(logits)
        p = np.vectorize(mpmath.exp)(p)
        p = p / p.sum(-1, keepdims=True)
        log_p = np.vectorize(mpmath.log)(p)
        mean = p.sum(0) / MEMBERS
        log_mean = np.vectorize(mpmath.log)(mean)
        pairs = [(i, j) for i in range(MEMBERS) for j in range(MEMBERS) if i != j]
        found = {
            "total": -(mean * log_mean).sum(-1),
            "aleatoric": -(p * log_p).sum((0, -1)) / MEMBERS,
            "epistemic": (p * (log_p - log_mean[None])).sum((0, -1)) / MEMBERS,
            "max_prob": 1 - mean.max(-1),
            "single_max_prob": 1 - p[0].max(-1),
            "expected_pairwise_kl": sum((p[i] * (log_p[i] - log_p[j])).sum(-1) for i, j in pairs)
            / len(pairs),
            "log_mean": log_mean,
            "variance_epistemic": ((p - mean[None]) ** 2).sum((0, -1)) / MEMBERS,
            "variance_aleatoric": (1 - (p**2).sum(-1)).sum(0) / MEMBERS,
            "spread_of_max": np.array([p[:, i].max(-1) for i in range(ITEMS)]),
        }
        return {name: np.array(of, np.float64) for name, of in found.items()}


@pytest.fixture(scope="module", params=["float64", "float32"])
def confident(request):
    """Members with a median largest probability of about .999995, normalised in the network's
    float32 or in float64, and what they are in truth."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(1, ITEMS, CLASSES)) + 0.5 * rng.normal(size=(MEMBERS, ITEMS, CLASSES))
    top = rng.integers(0, CLASSES, ITEMS)
    logits[:, np.arange(ITEMS), top] += rng.uniform(6, 20, ITEMS)
    logits = np.float32(logits).astype(np.float64)
    if request.param == "float64":
        log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    else:
        log_probs = jax.nn.log_softmax(jnp.asarray(logits, jnp.float32))
    truth = exact(logits)
    assert 0.99999 < 1 - np.median(truth["max_prob"]) < 0.999999
    return jnp.asarray(log_probs, jnp.float32), truth


@pytest.fixture(scope="module")
def scored(confident):
    return scores_of.score(confident[0])


def test_scores_keep_their_digits(confident, scored):
    _, truth = confident
    for name in ("epistemic", "max_prob", "single_max_prob", "expected_pairwise_kl"):
        np.testing.assert_allclose(scored.scores[name], truth[name], rtol=2e-5, err_msg=name)
        assert len(np.unique(scored.scores[name])) == ITEMS
    # An entropy of log-probabilities that float32 rounded is that of the rounded ones.
    for name in ("aleatoric", "total"):
        np.testing.assert_allclose(scored.scores[name], truth[name], rtol=0.06, err_msg=name)
    np.testing.assert_allclose(scored.features[:, 5], truth["spread_of_max"].std(1), rtol=2e-5)


def test_a_router_reads_the_same_scores(confident):
    log_probs, truth = confident
    rule = {"uar": RouterRule(np.float32(1), np.float32(1e-7))}
    output = jax.jit(router_output)(log_probs, {}, rule)
    for name in ("epistemic", "max_prob", "single_max_prob"):
        np.testing.assert_allclose(output.scores[name], truth[name], rtol=2e-5, err_msg=name)
    rejected = truth["epistemic"] > 1e-7
    assert 0 < rejected.sum() < ITEMS
    np.testing.assert_array_equal(output.action["uar"] == 2, rejected)


def test_order_is_that_of_exact_scores(confident, scored):
    _, truth = confident
    labels = np.arange(ITEMS) % 3 == 0
    for name in ("epistemic", "max_prob"):
        order = np.argsort(np.argsort(truth[name])).astype(np.float32)
        wanted = float(metrics.auroc(order, labels))
        assert float(metrics.auroc(scored.scores[name], labels)) == pytest.approx(wanted, abs=1e-6)


def test_other_forms_keep_their_digits(confident):
    log_probs, truth = confident
    variance = jax.jit(uncertainty.decompose_variance)(log_probs)
    np.testing.assert_allclose(variance.epistemic, truth["variance_epistemic"], rtol=1e-4)
    np.testing.assert_allclose(variance.aleatoric, truth["variance_aleatoric"], rtol=1e-4)
    subsets = uncertainty.decompose_subsets(log_probs, np.ones((1, MEMBERS), bool))
    np.testing.assert_allclose(subsets.epistemic[0], truth["epistemic"], rtol=2e-5)
    by_class = uncertainty.epistemic_contributions(log_probs)
    np.testing.assert_allclose(by_class.sum(-1), truth["epistemic"], rtol=2e-5)
    assert float(by_class.min()) >= 0
    log_mean = np.asarray(uncertainty.mean_log_probs(log_probs))
    tolerance = 3e-7 if np.abs(log_probs).max() < 1 else 2e-6
    np.testing.assert_allclose(log_mean, truth["log_mean"], rtol=tolerance, atol=1e-7)


def test_members_that_almost_agree_keep_their_divergence():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(1, ITEMS, CLASSES)) + 1e-4 * rng.normal(
        size=(MEMBERS, ITEMS, CLASSES)
    )
    truth = exact(logits)
    log_probs = np.float32(logits - np.log(np.exp(logits).sum(-1, keepdims=True)))
    got = uncertainty.decompose(log_probs).epistemic
    # Ratios of 1e-4 between numbers of seven digits have three.
    np.testing.assert_allclose(got, truth["epistemic"], rtol=5e-3)
