"""The rules of all metrics, held by panels, priors and Dirichlets too: undefined in, NaN out; left
out is left out, whatever it holds; shapes that do not fit are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import dirichlet, panels, prediction_powered, priors

ITEMS = 12
CLASSES = 3
rng = np.random.default_rng(0)
COUNTS = rng.multinomial(6, np.full(CLASSES, 1 / CLASSES), ITEMS)
LOG_PROBS = np.float32(np.log(rng.dirichlet(np.ones(CLASSES), ITEMS)))
PRIOR = np.full(CLASSES, 1 / CLASSES, np.float32)
ONES = np.ones(ITEMS, np.float32)
KEY = jax.random.key(0)
NAN_ROW = np.where(np.arange(ITEMS)[:, None] == 3, np.nan, LOG_PROBS)
NEGATIVE = np.where(np.arange(ITEMS)[:, None] == 3, -1.0, COUNTS)
WITHOUT = np.float32(np.arange(ITEMS) != 3)


def undefined(tree):
    return all(np.isnan(leaf).all() for leaf in jax.tree.leaves(tree))


def test_priors_of_undefined_items_are_undefined():
    estimate = jax.jit(priors.estimate)
    expected = estimate(LOG_PROBS, PRIOR, WITHOUT)
    np.testing.assert_array_equal(estimate(NAN_ROW, PRIOR, WITHOUT), expected)
    assert undefined(estimate(NAN_ROW, PRIOR, ONES))
    assert undefined(estimate(LOG_PROBS, PRIOR, -ONES))
    with pytest.raises(ValueError, match=r"weights must be \[item\]"):
        priors.estimate(LOG_PROBS, PRIOR, ONES[:, None])
    with pytest.raises(ValueError, match=r"must be \[item, class\], got \(3,\)"):
        priors.mean_prior(PRIOR)
    assert undefined(priors.mean_prior(LOG_PROBS[:0]))


def test_an_undefined_item_gives_no_p_value_of_label_shift():
    q = COUNTS / COUNTS.sum(1, keepdims=True)
    shift = jax.jit(priors.label_shift, static_argnames="resamples")
    assert 0 < float(shift(KEY, LOG_PROBS, LOG_PROBS, q, PRIOR, resamples=9).p_value) <= 1
    for given in (
        (NAN_ROW, LOG_PROBS, q),
        (LOG_PROBS, NAN_ROW, q),
        (LOG_PROBS, LOG_PROBS, q + NAN_ROW * 0),
    ):
        assert np.isnan(shift(KEY, *given, PRIOR, resamples=9).p_value)
    assert undefined(priors.label_shift(KEY, LOG_PROBS[:0], LOG_PROBS, q, PRIOR))
    with pytest.raises(ValueError, match=r"expected log_probs \[item, class\], valid_log_probs"):
        priors.label_shift(KEY, LOG_PROBS[:, 1:], LOG_PROBS, q, PRIOR)
    with pytest.raises(ValueError, match=r"expected log_probs \[item, class\], valid_log_probs"):
        priors.label_shift(KEY, LOG_PROBS, LOG_PROBS, q[1:], PRIOR)


def test_no_undefined_gap_is_the_best_one():
    gaps = np.float32([0.1, 0.3, np.nan])
    spreads = np.float32([0.5, 0.7, np.nan])
    two = np.float32([1, 1, 0])
    assert float(panels.people_equivalents(gaps, spreads, two)) == pytest.approx(3)
    assert float(panels.skill(gaps, 2 * gaps, two)) == pytest.approx(0.5)
    for function in (panels.people_equivalents, panels.skill):
        assert np.isnan(function(gaps, np.ones(3), np.ones(3)))
        assert np.isnan(function(np.ones(3), spreads, np.ones(3)))
        assert np.isnan(function(np.ones(3), np.ones(3), -np.ones(3)))
        for wrong in ((gaps, spreads[:2], two), (gaps, spreads, two[:, None])):
            with pytest.raises(ValueError, match="expected"):
                function(*wrong)
    assert float(panels.people_equivalents(np.uint8([0, 0]), np.ones(2), [1, 1])) == np.inf


def test_answers_that_cannot_be_have_no_moments():
    for counts, answers in (([[3, -1]], [2]), ([[3, 0]], [2]), ([[np.nan, 1]], [2])):
        found = panels.of_counts(np.array(counts), np.array(answers))
        assert undefined((found.mean, found.pairs, found.square))
    people = panels.of_counts(COUNTS, COUNTS.sum(1))
    for one in (panels.gap, panels.expected_score):
        for other in (COUNTS[1:], COUNTS[:1], COUNTS[:, 1:]):
            with pytest.raises(ValueError, match="of the same items and columns"):
                one(people, panels.of_counts(other, other.sum(1)))
    with pytest.raises(ValueError, match="answers must be"):
        panels.of_counts(COUNTS, COUNTS.sum(1)[:, None])
    assert np.isnan(panels.reliability(people, ONES * 0))
    assert np.isnan(panels.reliability(people, -ONES))
    with pytest.raises(ValueError, match=r"weights must be \[item\]"):
        panels.reliability(people, ONES[1:])


def test_powered_means_of_undefined_items_are_undefined():
    y = np.exp(LOG_PROBS)
    for given in ((y + 0 * NAN_ROW, y, y), (y, y + 0 * NAN_ROW, y), (y, y, y + 0 * NAN_ROW)):
        found = prediction_powered.powered_mean(*given)
        assert undefined((found.mean, found.low, found.high))


def test_parameters_and_votes_that_cannot_be_have_no_dirichlet():
    found = dirichlet.from_alpha(np.array([[1, 3], [-1, 3], [0, 0]]))
    assert np.isnan(found.log_probs).all(-1).tolist() == [False, True, True]
    assert np.isnan(found.log_concentration[1])
    assert float(found.log_concentration[0]) == pytest.approx(np.log(4))
    likely = dirichlet.log_likelihood(NEGATIVE, LOG_PROBS, jnp.zeros(ITEMS))
    assert np.isnan(likely).tolist() == [i == 3 for i in range(ITEMS)]
