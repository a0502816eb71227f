"""The test by betting: valid, and stronger where losses vary little."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import conformal


def by_loop(losses, risk, delta=0.1):
    """The same, item by item, in float64."""
    capital = most = 1.0
    mean_sum = 0.5
    variance_sum = 0.25
    for seen, loss in enumerate(losses, 1):
        stake = min(1.0, np.sqrt(2 * np.log(1 / delta) / (len(losses) * variance_sum / seen)))
        capital *= 1 - stake * (loss - risk)
        most = max(most, capital)
        mean_sum += loss
        variance_sum += (loss - mean_sum / (1 + seen)) ** 2
    return 1 / most


def test_it_is_the_loop(rng):
    for losses in (rng.random(50), rng.beta(8, 30, 200), (rng.random(80) < 0.2) * 1.0):
        found = conformal.betting_tail(losses, 0.4)
        assert found == pytest.approx(by_loop(losses, 0.4), rel=1e-4)


@pytest.mark.parametrize("kind", ["two", "beta", "rare"])
def test_no_more_than_delta_of_true_hypotheses_are_rejected(rng, kind):
    """Risks that are exactly at the bound, where an invalid test errs most often."""
    runs, items, risk = 4000, 60, 0.25
    losses = {
        "two": (rng.random((runs, items)) < risk) * 1.0,
        "beta": rng.beta(2, 6, (runs, items)),
        "rare": (rng.random((runs, items)) < risk / 0.9) * 0.9,
    }[kind]
    p = np.asarray(conformal.betting_tail(losses, risk))
    for delta in (0.05, 0.1, 0.3):
        assert (p <= delta).mean() < delta + 3 * np.sqrt(delta / runs)
    assert (p < 0.3).any()


def test_it_beats_hoeffding_and_bentkus_where_losses_vary_little(rng):
    losses = rng.beta(20, 60, 80)
    p = conformal.betting_tail(losses, 0.3)
    assert p < 0.05 < 0.15 < conformal.hoeffding_bentkus(losses.mean(), 80, 0.3)


def test_items_left_out_are_not_there(rng):
    losses = rng.random((40,)) / 2
    where = rng.random((3, 40)) < 0.6
    found = jax.jit(lambda x, w: conformal.betting_tail(x[None], 0.4, where=w))(losses, where)
    expected = [conformal.betting_tail(losses[row], 0.4) for row in where]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    hidden = np.where(where, losses[None], np.nan)
    np.testing.assert_allclose(conformal.betting_tail(hidden, 0.4, where=where), found, rtol=1e-5)
    assert np.isnan(conformal.betting_tail(hidden, 0.4)).all()
    assert np.isnan(conformal.betting_tail(jnp.array([0.1, 1.2]), 0.4))
    assert conformal.betting_tail(losses, 0.4, where=np.zeros(40, bool)) == 1
    assert conformal.betting_tail(np.zeros(0), 0.4) == 1
    with pytest.raises(ValueError, match="delta must lie strictly between"):
        conformal.betting_tail(losses, 0.4, delta=1.0)
