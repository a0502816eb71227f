"""Metrics of predictions, and calibration, against scipy, scikit-learn and slow loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial.distance
import scipy.special
import sklearn.metrics

from ferjax import metrics

ITEMS = 120
CLASSES = 5

BY_VOTES = ("vote_accuracy", "nll", "brier", "kl", "jensen_shannon")
BINNED = ("ece", "mce", "l2_ece", "classwise_ece")
BY_LABEL = ("accuracy", "balanced_accuracy", "label_nll", "label_brier", *BINNED)

ece = jax.jit(metrics.ece, static_argnames=("bins", "equal_mass"))
one_program = {name: jax.jit(getattr(metrics, name)) for name in (*BY_VOTES, *BY_LABEL)}


def weighted(name):
    """A metric always with weights, so that it is one program."""

    def call(log_probs, target, weights=None):
        weights = np.ones(ITEMS) if weights is None else weights
        return one_program[name](log_probs, target, np.asarray(weights, np.float32))

    return call


jitted = {name: weighted(name) for name in one_program}


@pytest.fixture(scope="module")
def predicted():
    """Log-probabilities, vote distributions of ten votes, and the labels they make."""
    rng = np.random.default_rng(6)
    log_probs = scipy.special.log_softmax(2 * rng.normal(size=(ITEMS, CLASSES)), -1)
    shifted = log_probs + rng.normal(size=log_probs.shape)
    q = rng.multinomial(10, scipy.special.softmax(shifted, -1)) / 10
    labels = q.argmax(-1)
    return jnp.asarray(log_probs, jnp.float32), jnp.asarray(q, jnp.float32), jnp.asarray(labels)


@pytest.fixture(scope="module")
def weights():
    """As many in all as there are items, so that repeating them keeps the shape."""
    return np.random.default_rng(5).multinomial(ITEMS, np.full(ITEMS, 1 / ITEMS))


def close(got, expected, tolerance=1e-6):
    np.testing.assert_allclose(float(got), float(expected), atol=tolerance, rtol=0)


def by_target(predicted):
    """``(metric, target)`` of every metric of predictions."""
    _, q, labels = predicted
    return [*((name, q) for name in BY_VOTES), *((name, labels) for name in BY_LABEL)]


def test_weights_are_repetition_for_predictions(predicted, weights):
    log_probs = predicted[0]
    rows = np.repeat(np.arange(ITEMS), weights)
    for name, target in by_target(predicted):
        expected = jitted[name](log_probs[rows], target[rows])
        close(jitted[name](log_probs, target, weights), expected, 2e-6)


def test_an_item_left_out_may_hold_anything(predicted):
    broken = predicted[0].at[0].set(jnp.nan)
    all_but_first = jnp.ones(ITEMS).at[0].set(0)
    for name, target in by_target(predicted):
        assert np.isfinite(jitted[name](broken, target, all_but_first)), name


def test_a_nan_among_the_inputs_gives_nan(predicted):
    log_probs, q, _ = predicted
    for name, target in by_target(predicted):
        assert np.isnan(jitted[name](log_probs.at[3].set(jnp.nan), target)), name
    for name in BY_VOTES:
        assert np.isnan(jitted[name](log_probs, q.at[3].set(jnp.nan))), name


def test_predictions_against_scipy_and_scikit_learn(predicted):
    log_probs, q, labels = predicted
    p = np.exp(np.asarray(log_probs, np.float64))
    p /= p.sum(-1, keepdims=True)
    one_hot = np.eye(CLASSES, dtype=np.float32)[labels]
    right = sklearn.metrics.accuracy_score(labels, p.argmax(-1))
    close(jitted["accuracy"](log_probs, labels), right)
    balanced = sklearn.metrics.balanced_accuracy_score(labels, p.argmax(-1))
    close(jitted["balanced_accuracy"](log_probs, labels), balanced)
    recall = sklearn.metrics.recall_score(labels, p.argmax(-1), average=None)
    np.testing.assert_allclose(metrics.class_recall(log_probs, labels), recall, atol=1e-6)
    close(jitted["nll"](log_probs, one_hot), sklearn.metrics.log_loss(labels, p))
    brier = sklearn.metrics.brier_score_loss(labels, p, scale_by_half=False)
    close(jitted["brier"](log_probs, one_hot), brier)
    close(jitted["label_brier"](log_probs, labels), brier)
    close(jitted["label_nll"](log_probs, labels), sklearn.metrics.log_loss(labels, p))
    wanted = np.asarray(q, np.float64)
    close(jitted["nll"](log_probs, q), -(wanted * np.log(p)).sum(-1).mean())
    close(jitted["kl"](log_probs, q), scipy.special.rel_entr(wanted, p).sum(-1).mean())
    root = scipy.spatial.distance.jensenshannon(p, wanted, axis=1)
    close(jitted["jensen_shannon"](log_probs, q), (root**2).mean())
    close(jitted["vote_accuracy"](log_probs, q), wanted[np.arange(ITEMS), p.argmax(-1)].mean())


def test_a_class_that_nobody_has_is_left_out_of_the_balance(predicted):
    log_probs, _, labels = predicted
    some = labels != 2
    recall = np.asarray(metrics.class_recall(log_probs, labels, some.astype(np.float32)))
    assert np.flatnonzero(np.isnan(recall)).tolist() == [2]
    balanced = jitted["balanced_accuracy"](log_probs, labels, some)
    close(balanced, np.nanmean(recall))


def test_equal_probabilities_choose_the_first_class(predicted):
    _, q, labels = predicted
    flat = jnp.full((ITEMS, CLASSES), -np.log(CLASSES), jnp.float32)
    close(jitted["accuracy"](flat, labels), (labels == 0).mean())
    close(jitted["vote_accuracy"](flat, q), q[:, 0].mean())


def test_impossible_classes_without_votes_cost_nothing():
    q = np.eye(CLASSES, dtype=np.float32)[np.arange(ITEMS) % CLASSES]
    log_probs = jnp.log(q)
    for name in ("nll", "kl", "jensen_shannon", "brier"):
        assert float(jitted[name](log_probs, q)) == 0.0
    assert float(jitted["nll"](log_probs, q[:, ::-1])) == np.inf


def slow_ece(log_probs, labels, bins, equal_mass):
    confidence = np.exp(log_probs.max(-1))
    right = log_probs.argmax(-1) == labels
    if equal_mass:
        groups = [[] for _ in range(bins)]
        for position, item in enumerate(np.argsort(confidence, kind="stable")):
            groups[position * bins // len(confidence)].append(item)
    else:
        groups = [
            [i for i, c in enumerate(confidence) if b / bins < c <= (b + 1) / bins]
            for b in range(bins)
        ]
    gaps = [abs(confidence[g].mean() - right[g].mean()) * len(g) for g in groups if g]
    return sum(gaps) / len(confidence)


@pytest.mark.parametrize("equal_mass", [False, True])
@pytest.mark.parametrize("bins", [1, 7, 15])
def test_calibration_error_is_the_slow_one(predicted, bins, equal_mass):
    log_probs, _, labels = predicted
    expected = slow_ece(np.asarray(log_probs), np.asarray(labels), bins, equal_mass)
    ones = np.ones(ITEMS, np.float32)
    close(ece(log_probs, labels, ones, bins=bins, equal_mass=equal_mass), expected)


def test_certainty_falls_into_the_last_bin_and_empty_bins_are_undefined():
    reliability_bins = jax.jit(metrics.reliability_bins, static_argnames="bins")
    bins = reliability_bins(jnp.array([0.0, 1.0, 1.0]), jnp.array([0, 1, 0]), bins=4)
    np.testing.assert_allclose(bins.share, [1 / 3, 0, 0, 2 / 3], rtol=1e-6)
    np.testing.assert_array_equal(np.isnan(bins.confidence), [False, True, True, False])
    assert float(bins.correct[-1]) == 0.5
    # An inner edge belongs to the bin below it.
    bins = reliability_bins(jnp.array([0.25, 0.5, 0.75]), jnp.array([0, 1, 0]), bins=4)
    np.testing.assert_allclose(bins.share, [1 / 3, 1 / 3, 1 / 3, 0], rtol=1e-6)


def test_other_calibration_errors_are_the_slow_ones(predicted):
    log_probs, _, labels = predicted
    p = np.exp(np.asarray(log_probs, np.float64))
    labels = np.asarray(labels)

    def gaps(confidence, right):
        groups = [(confidence > b / 15) & (confidence <= (b + 1) / 15) for b in range(15)]
        some = [g for g in groups if g.any()]
        shares = np.array([g.mean() for g in some])
        return shares, np.array([abs(confidence[g].mean() - right[g].mean()) for g in some])

    shares, gap = gaps(p.max(-1), p.argmax(-1) == labels)
    close(jitted["ece"](log_probs, labels), shares @ gap)
    close(jitted["mce"](log_probs, labels), gap.max())
    close(jitted["l2_ece"](log_probs, labels), np.sqrt(shares @ gap**2))
    of_classes = [gaps(p[:, c], labels == c) for c in range(CLASSES)]
    close(jitted["classwise_ece"](log_probs, labels), np.mean([a @ b for a, b in of_classes]))


def test_equal_mass_knows_no_order_and_weights_are_repetition(predicted, weights, rng):
    log_probs, _, labels = predicted
    tied = np.log(np.round(np.exp(np.asarray(log_probs)), 1) + 0.02).astype(np.float32)
    options = {"bins": 7, "equal_mass": True}
    rows = np.repeat(np.arange(ITEMS), weights)
    ones = np.ones(ITEMS, np.float32)
    whole = np.float32(weights)
    expected = ece(tied[rows], labels[rows], ones, **options)
    close(ece(tied, labels, whole, **options), expected)
    for _ in range(5):
        shuffled = rng.permutation(ITEMS)
        got = ece(tied[shuffled], labels[shuffled], whole[shuffled], **options)
        close(got, expected)
