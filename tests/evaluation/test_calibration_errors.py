"""Calibration errors lie in their intervals, and so does the truth, about as often as it says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import bootstrap, metrics
from ferjax.evaluation.calibration_errors import NORMS, FigureSamples, calibration_interval
from ferjax.evaluation.intervals import by_label
from ferjax.evaluation.quality import CALIBRATION_ERRORS

ITEMS = 300
CLASSES = 4
REPEATS = 40


def drawn(key, items, sharpness):
    """Predictions ``sharpness`` times as sure as they should be, and labels."""
    first, second = jax.random.split(key)
    logits = 2 * jax.random.normal(first, (items, CLASSES))
    labels = jax.random.categorical(second, logits)
    return jax.nn.log_softmax(sharpness * logits), labels


def gaps(log_probs, labels, weights=None):
    return {
        "": metrics.calibration_gaps(log_probs, labels, weights),
        "_equal_mass": metrics.calibration_gaps(log_probs, labels, weights, equal_mass=True),
        "_classwise": metrics.classwise_gaps(log_probs, labels, weights),
    }


def row(of):
    return np.asarray(of, np.float64)[None]


@jax.jit
def resampled(key, sharpness):
    first, second = jax.random.split(key)
    log_probs, labels = drawn(first, ITEMS, sharpness)
    weights = bootstrap.resample_weights(second, ITEMS, 100)
    return bootstrap.resampled(lambda w: gaps(log_probs, labels, w), weights)


@pytest.mark.parametrize("sharpness", [1.0, 1.3, 2.5])
def test_intervals_hold_the_error_and_mostly_the_truth(sharpness):
    many = jax.jit(gaps)(*drawn(jax.random.key(99), 200_000, sharpness))
    outside_before = 0
    covered = dict.fromkeys(CALIBRATION_ERRORS, 0)
    for repeat in range(REPEATS):
        samples = jax.device_get(resampled(jax.random.key(repeat), sharpness))
        for name, (of, norm) in CALIBRATION_ERRORS.items():
            found = calibration_interval(samples[of], ITEMS, norm)
            assert 0 <= found.low <= found.value <= found.high
            truth = float(NORMS[norm](row(many[of].share), row(many[of].gap))[0])
            covered[name] += found.low <= truth <= found.high
            plain = NORMS[norm](samples[of].share, samples[of].gap)
            outside_before += (
                not np.quantile(plain[1:], 0.025) <= truth <= np.quantile(plain[1:], 0.975)
            )
    assert all(count >= 0.8 * REPEATS for count in covered.values()), covered
    if sharpness < 2:  # plain percentiles leave the truth out more often than not
        assert outside_before > len(covered) * REPEATS / 2


def test_the_error_is_the_metric():
    log_probs, labels = drawn(jax.random.key(0), ITEMS, 1.5)
    weights = bootstrap.resample_weights(jax.random.key(1), ITEMS, 3)
    samples = jax.device_get(bootstrap.resampled(lambda w: gaps(log_probs, labels, w), weights))
    found = {
        name: calibration_interval(samples[of], ITEMS, norm).value
        for name, (of, norm) in CALIBRATION_ERRORS.items()
    }
    expected = {name: getattr(metrics, name) for name in ("ece", "l2_ece", "mce", "classwise_ece")}
    for name, metric in expected.items():
        np.testing.assert_allclose(found[name], metric(log_probs, labels), rtol=1e-5)
    equal_mass = metrics.ece(log_probs, labels, equal_mass=True)
    np.testing.assert_allclose(found["ece_equal_mass"], equal_mass, rtol=1e-5)


def test_undefined_errors_have_no_interval():
    log_probs = jnp.full((5, 3), jnp.nan)
    samples = bootstrap.resampled(
        lambda w: metrics.calibration_gaps(log_probs, jnp.zeros(5, int), w), np.ones((3, 5))
    )
    assert not calibration_interval(samples, 5).defined


def test_paired_differences_take_back_what_resampling_adds():
    gap = np.array([[0.02], [-0.05], [0.07], [0.06], [-0.04]])
    noisy = metrics.Gaps(np.ones_like(gap), gap, 0 * gap)
    one = FigureSamples(np.abs(gap[:, 0]), noisy, 100)
    none = FigureSamples(np.zeros(5), noisy, 100)
    found = one.minus(none)
    assert found.value == 0.02
    assert found.low < 0 < found.high


def test_rounding_puts_no_figure_beside_its_interval():
    ends = by_label(np.float32([0.9999999, 0.9999998, 0.9999998]))
    assert ends.low <= ends.value <= ends.high
    assert by_label(np.float32([np.inf, np.inf, 2.0])).value == np.inf
    apart = by_label(np.float32([0.5, 0.6, 0.7]))  # what is biased is not hidden
    assert apart.value < apart.low
