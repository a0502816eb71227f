"""Losses against independent arithmetic, exact where a probability or a vote is 0."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from ferjax import losses, votes

ITEMS = 6
CLASSES = 5


@pytest.fixture
def predicted(rng):
    logits = rng.normal(size=(ITEMS, CLASSES)).astype(np.float32)
    return jax.nn.log_softmax(logits), rng.dirichlet(np.full(CLASSES, 0.5), ITEMS)


def test_cross_entropy_is_the_kl_divergence_and_the_entropy_of_the_votes(predicted):
    log_probs, q = predicted
    expected = scipy.stats.entropy(q, np.exp(log_probs), axis=1) + votes.entropy(q)
    np.testing.assert_allclose(losses.cross_entropy(log_probs, q), expected, rtol=1e-5)


def test_on_hard_targets_it_is_the_log_probability_of_the_label(predicted):
    log_probs, q = predicted
    hard = losses.hard_targets(q)
    chex.assert_shape(hard, (ITEMS, CLASSES))
    np.testing.assert_array_equal(hard, np.eye(CLASSES)[votes.hard_labels(q)])
    picked = -np.asarray(log_probs)[np.arange(ITEMS), votes.hard_labels(q)]
    np.testing.assert_allclose(losses.cross_entropy(log_probs, hard), picked, rtol=1e-6)


def test_its_gradient_by_the_logits_is_p_minus_q(predicted):
    log_probs, q = predicted

    def loss(logits):
        return losses.cross_entropy(jax.nn.log_softmax(logits), q).sum()

    np.testing.assert_allclose(jax.grad(loss)(log_probs), np.exp(log_probs) - q, atol=1e-6)


def test_a_class_without_votes_and_without_probability_costs_nothing():
    """Also in both gradients, where 0 times infinity would be NaN."""
    log_probs = jnp.array([[jnp.log(0.5), jnp.log(0.5), -jnp.inf]])
    q = jnp.array([[0.25, 0.75, 0.0]])
    value, gradients = jax.value_and_grad(
        lambda log_probs, q: losses.cross_entropy(log_probs, q)[0], (0, 1)
    )(log_probs, q)
    assert float(value) == pytest.approx(np.log(2))
    chex.assert_tree_all_finite(gradients)
    np.testing.assert_array_equal(gradients[0], -q)


def test_a_class_with_votes_and_without_probability_is_infinitely_surprising():
    log_probs = jnp.array([[0.0, -jnp.inf]])
    assert losses.cross_entropy(log_probs, jnp.array([[0.5, 0.5]])).tolist() == [np.inf]


@pytest.mark.parametrize("where", ["log_probs", "q"])
def test_a_nan_is_never_hidden(predicted, where):
    given = dict(zip(("log_probs", "q"), (np.array(part, np.float32) for part in predicted)))
    given[where][2, 1] = np.nan
    np.testing.assert_array_equal(np.isnan(losses.cross_entropy(**given)), np.arange(ITEMS) == 2)


def test_half_precision_is_summed_in_float32(predicted):
    log_probs, q = predicted
    rough = losses.cross_entropy(jnp.asarray(log_probs, jnp.bfloat16), q)
    assert rough.dtype == jnp.float32
    np.testing.assert_allclose(rough, losses.cross_entropy(log_probs, q), rtol=0.02)


def test_wrong_shapes_are_refused_by_both(predicted):
    log_probs, q = predicted
    with pytest.raises(ValueError, match=r"both be \[item, class\], got \(6, 5\) and \(6, 4\)"):
        losses.cross_entropy(log_probs, q[:, 1:])
