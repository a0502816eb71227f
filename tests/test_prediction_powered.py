"""Prediction-powered means: unbiased whatever the judge, and never wider than ratings alone."""

import jax
import numpy as np
import pytest

from ferjax.prediction_powered import powered_mean

powered = jax.jit(powered_mean)


@pytest.mark.parametrize("quality", [0.0, 0.5, 0.95])
def test_intervals_hold_what_they_promise(quality):
    """Over 300 draws of the rated items: covered 95 % of the time, and the narrower the better the
    judge is."""
    rng = np.random.default_rng(0)
    truth = 0.3
    inside = 0
    ratios = []
    for _ in range(300):
        y = (rng.random((2200, 1)) < truth).astype(np.float32)
        judged = np.where(rng.random((2200, 1)) < quality, y, rng.random((2200, 1)) < 0.6)
        done = powered(y[:200], judged[:200], judged[200:])
        inside += bool(done.low[0] <= truth <= done.high[0])
        ratios.append(float((done.high - done.low)[0] / (done.ratings_high - done.ratings_low)[0]))
    assert inside / 300 == pytest.approx(0.95, abs=0.035)
    assert np.mean(ratios) == pytest.approx({0.0: 1.0, 0.5: 0.92, 0.95: 0.45}[quality], abs=0.06)


def test_a_judge_that_says_nothing_is_not_listened_to():
    y = np.random.default_rng(1).random((50, 3)).astype(np.float32)
    done = powered(y, np.zeros_like(y), np.zeros((99, 3)))
    np.testing.assert_allclose(done.mean, y.mean(0), rtol=1e-5)
    np.testing.assert_allclose(done.low, done.ratings_low, rtol=1e-5)
    assert done.power.tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="at least two rated and two other items, got 1 and 9"):
        powered_mean(y[:1], y[:1], y[:9])
    with pytest.raises(ValueError, match=r"expected ratings and judged \[rated, class\]"):
        powered_mean(y, y[:3], y)
