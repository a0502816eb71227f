"""Priors: exact on Gaussian classes, estimated without labels, refused where they mislead."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from ferjax import priors

CLASSES = 4
ITEMS = 1500
TRAINING = np.array([0.55, 0.25, 0.15, 0.05])
CENTRES = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])


def draw(rng, prior, moved=0.0, items=ITEMS):
    """Items of known classes, and the exact posterior under the training prior."""
    labels = rng.choice(CLASSES, items, p=prior)
    x = CENTRES[labels] + rng.normal(size=(items, 2)) + moved
    return labels, exact(x, TRAINING)


def exact(x, prior):
    density = [scipy.stats.multivariate_normal(c).logpdf(x) for c in CENTRES]
    joint = np.stack(density, -1) + np.log(prior)
    return joint - np.log(np.exp(joint).sum(-1, keepdims=True))


@pytest.fixture(scope="module")
def valid():
    rng = np.random.default_rng(1)
    labels, log_probs = draw(rng, TRAINING)
    return np.eye(CLASSES)[labels], log_probs


shifted = jax.jit(priors.label_shift, static_argnames="resamples")


def test_adjusted_probabilities_are_the_posterior_under_the_new_prior(rng):
    x = rng.normal(size=(50, 2))
    new = np.array([0.1, 0.2, 0.3, 0.4])
    got = priors.adjust(exact(x, TRAINING), TRAINING, new)
    np.testing.assert_allclose(got, exact(x, new), atol=1e-5)
    np.testing.assert_allclose(priors.adjust(got, new, TRAINING), exact(x, TRAINING), atol=1e-5)


def test_adjusting_regains_accuracy_and_costs_none_without_shift(rng, valid):
    new = np.array([0.1, 0.2, 0.3, 0.4])
    labels, log_probs = draw(rng, new)
    found = priors.estimate(log_probs, TRAINING)
    before = (log_probs.argmax(-1) == labels).mean()
    after = (np.asarray(priors.adjust(log_probs, TRAINING, found)).argmax(-1) == labels).mean()
    assert after > before + 0.1
    q, log_probs = valid
    found = priors.estimate(log_probs, TRAINING)
    same = np.asarray(priors.adjust(log_probs, TRAINING, found)).argmax(-1)
    assert (same == q.argmax(-1)).mean() > (log_probs.argmax(-1) == q.argmax(-1)).mean() - 0.01


@pytest.mark.parametrize("new", [TRAINING, [0.1, 0.2, 0.3, 0.4], [0.01, 0.9, 0.04, 0.05]])
def test_estimates_find_the_prior_and_label_shift_is_believed(rng, valid, new):
    _, log_probs = draw(rng, new)
    q, valid_log_probs = valid
    found = shifted(
        jax.random.key(0), log_probs, valid_log_probs, q, jnp.asarray(TRAINING), resamples=99
    )
    np.testing.assert_allclose(found.prior, new, atol=0.05)
    assert found.p_value > 0.02


def test_another_appearance_of_the_classes_is_no_label_shift(rng, valid):
    _, log_probs = draw(rng, TRAINING, moved=np.array([1.5, -1.5]))
    q, valid_log_probs = valid
    found = shifted(
        jax.random.key(0), log_probs, valid_log_probs, q, jnp.asarray(TRAINING), resamples=99
    )
    assert found.p_value == pytest.approx(0.01)


def test_p_values_are_uniform_where_there_is_label_shift_alone():
    """Over both draws: of the valid items and of the others."""
    rng = np.random.default_rng(3)
    values = []
    for seed in range(20):
        labels, valid_log_probs = draw(rng, TRAINING)
        _, log_probs = draw(rng, [0.2, 0.3, 0.3, 0.2])
        q = np.eye(CLASSES)[labels]
        prior = jnp.asarray(TRAINING)
        found = shifted(jax.random.key(seed), log_probs, valid_log_probs, q, prior, resamples=99)
        values.append(float(found.p_value))
    assert np.mean(np.array(values) <= 0.1) <= 0.3 and 0.3 < np.mean(values) < 0.7


def test_weights_are_repetitions_and_strength_pulls_to_the_training_prior(rng):
    _, log_probs = draw(rng, [0.1, 0.2, 0.3, 0.4], items=60)
    times = rng.integers(0, 4, 60)
    once = priors.estimate(np.repeat(log_probs, times, 0), TRAINING)
    np.testing.assert_allclose(priors.estimate(log_probs, TRAINING, times), once, atol=1e-5)
    firm = priors.estimate(log_probs, TRAINING, strength=1e6)
    np.testing.assert_allclose(firm, TRAINING, atol=1e-3)
    assert np.isnan(priors.estimate(np.full((3, CLASSES), np.nan), TRAINING)).all()


def test_what_is_no_prior_is_refused():
    with pytest.raises(ValueError, match="needs 4 shares, one per class; got \\(3,\\)"):
        priors.check_prior([1, 1, 1], CLASSES)
    with pytest.raises(ValueError, match="prior of class 2 is 0.0; it must be above 0"):
        priors.check_prior([1, 1, 0, 1], CLASSES)
    with pytest.raises(ValueError, match="a share for each of 4 classes"):
        priors.adjust(np.zeros((2, 4)), np.ones(3) / 3, np.ones(4) / 4)
    with pytest.raises(ValueError, match=r"expected log_probs \[item, class\]"):
        priors.estimate(np.zeros(4), np.ones(4) / 4)


def test_an_adjustment_is_adjusting_under_a_temperature_and_reads_as_it_was_written(rng):
    log_probs = exact(rng.normal(size=(20, 2)), TRAINING)
    new = np.array([0.1, 0.2, 0.3, 0.4])
    found = priors.Adjustment.of("there", TRAINING, 10 * new, 2.0)
    np.testing.assert_allclose(
        found.apply(log_probs), priors.adjust(log_probs / 2, TRAINING, new), atol=1e-5
    )
    assert priors.Adjustment.from_json(json.loads(json.dumps(found.to_json()))) == found
    same = priors.Adjustment.of("training", TRAINING, TRAINING)
    assert not same.changes and found.changes
    np.testing.assert_array_equal(same.apply(log_probs), jnp.asarray(log_probs))
    assert np.isnan(priors.Adjustment.from_json(same.to_json()).p_value)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"temperature": -1}, "temperature must be above 0, got -1"),
        ({"prior": [0.5, 0.5]}, "a prior needs 4 shares"),
        ({"prior": [1, 2, 3, 4]}, "shares must sum to 1, got 10"),
        ({"training": "all"}, "no class prior: expected a list of shares"),
        ({"prior": [0.5, 0.5, 0, 0]}, "must be above 0"),
    ],
)
def test_what_is_no_adjustment_is_refused(change, message):
    written = priors.Adjustment.of("x", TRAINING, TRAINING).to_json()
    with pytest.raises(ValueError, match=message):
        priors.Adjustment.from_json({**written, **change})
    with pytest.raises(ValueError, match="no class prior: expected an object"):
        priors.Adjustment.from_json([1])


def test_training_priors_count_targets():
    q = np.array([[0.6, 0.4], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    assert priors.training_prior(q) == pytest.approx((2.1 / 4, 1.9 / 4))
    assert priors.training_prior(q, hard=True) == pytest.approx((2.5 / 4, 1.5 / 4))
