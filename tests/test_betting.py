"""The test by betting: valid, and stronger where losses vary little."""

import jax
import numpy as np
import pytest

from ferjax import conformal

ITEMS = 60
tail = jax.jit(conformal.betting_tail, static_argnames="delta")


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
    kinds = (rng.random(ITEMS), rng.beta(8, 30, ITEMS), (rng.random(ITEMS) < 0.2) * 1.0)
    for losses, found in zip(kinds, tail(np.stack(kinds), 0.4)):
        assert found == pytest.approx(by_loop(losses, 0.4), rel=1e-4)


@pytest.mark.parametrize("kind", ["two", "beta", "rare"])
def test_no_more_than_delta_of_true_hypotheses_are_rejected(rng, kind):
    """Risks that are exactly at the bound, where an invalid test errs most often."""
    runs = 4000
    risk = 0.25
    losses = {
        "two": (rng.random((runs, ITEMS)) < risk) * 1.0,
        "beta": rng.beta(2, 6, (runs, ITEMS)),
        "rare": (rng.random((runs, ITEMS)) < risk / 0.9) * 0.9,
    }[kind]
    p = np.asarray(tail(losses, risk))
    for delta in (0.05, 0.1, 0.3):
        assert (p <= delta).mean() < delta + 3 * np.sqrt(delta / runs)
    assert (p < 0.3).any()


def test_it_beats_hoeffding_and_bentkus_where_losses_vary_little(rng):
    losses = np.stack([rng.beta(20, 60, ITEMS) for _ in range(3)])
    p = tail(losses, 0.32)
    assert (p < 0.06).all()
    assert (conformal.hoeffding_bentkus(losses.mean(1), ITEMS, 0.32) > 0.15).all()


def test_items_left_out_are_not_there(rng):
    losses = rng.random(ITEMS) / 2
    where = rng.random((3, ITEMS)) < 0.6
    found = tail(losses[None], 0.4, where=where)
    expected = [by_loop(losses[row], 0.4) for row in where]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    hidden = np.where(where, losses[None], np.nan)
    np.testing.assert_allclose(tail(hidden, 0.4, where=where), found, rtol=1e-5)
    assert np.isnan(tail(hidden, 0.4)).all()
    assert np.isnan(tail(np.full((3, ITEMS), 1.2), 0.4)).all()
    assert (tail(hidden, 0.4, where=np.zeros((3, ITEMS), bool)) == 1).all()
    assert tail(np.zeros(0), 0.4) == 1


def test_levels_that_are_none_are_refused():
    with pytest.raises(ValueError, match="delta must lie strictly between"):
        conformal.betting_tail(np.zeros(3), 0.4, delta=1.0)
    with pytest.raises(ValueError, match="losses must be"):
        conformal.betting_tail(0.5, 0.4)
