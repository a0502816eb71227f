"""Calibrators against scipy's minimiser, simulated truth, and what left-out items must not do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats

from ferjax import dirichlet, recalibration, uncertainty

ITEMS = 600
CLASSES = 4
FOLDS = 3
NAMES = list(recalibration.CALIBRATORS)

FIT = {name: jax.jit(c.fit) for name, c in recalibration.CALIBRATORS.items()}
fit_members = jax.jit(recalibration.fit_members, static_argnames="max_votes")
fit_folds = jax.jit(recalibration.fit_folds, static_argnames=("num_folds", "max_votes"))


@pytest.fixture(scope="module")
def world():
    """True shares, ten votes of each item, and predictions that are too sharp and lean to one
    class."""
    rng = np.random.default_rng(0)
    truth = rng.dirichlet(np.full(CLASSES, 0.8), ITEMS)
    votes = rng.multinomial(10, truth)
    logits = 2 * np.log(truth) + np.array([1.0, 0, 0, -1.0])[None]
    return votes, scipy.special.log_softmax(logits, -1).astype(np.float32), truth


def nll(counts, log_probs, weights=1.0):
    counts = counts * np.reshape(weights, (-1, 1))
    return float(-(counts * np.float64(log_probs)).sum() / counts.sum())


def by_scipy(name, votes, log_probs, weights):
    """The same map, fitted in float64 by another minimiser."""
    log_probs = np.maximum(np.float64(log_probs), -30)
    c = CLASSES
    share = (votes * weights[:, None]).sum(0) + 1 / c
    share = share / share.sum()

    def shrunk(x):
        inside = scipy.special.expit(x[0])
        return np.log((1 - inside) * np.exp(log_probs) + inside * share[None])

    scaled = {
        "temperature": (np.zeros(1), lambda x: np.exp(x[0]) * log_probs, lambda x: 1e-6 * x @ x),
        "bias": (np.zeros(c), lambda x: log_probs + x, lambda x: 1e-3 * x @ x),
        "vector": (
            np.r_[np.ones(c), np.zeros(c)],
            lambda x: log_probs * x[:c] + x[c:],
            lambda x: 1e-3 * (((x[:c] - 1) ** 2).sum() + x[c:] @ x[c:]),
        ),
        "dirichlet": (
            np.r_[np.eye(c).ravel(), np.zeros(c)],
            lambda x: log_probs @ x[: c * c].reshape(c, c).T + x[c * c :],
            lambda x: (
                1e-3 * (((x[: c * c] - np.eye(c).ravel()) ** 2).sum() + (x[c * c :] ** 2).sum())
            ),
        ),
        "shrinkage": (np.array([-2.0]), shrunk, lambda x: 1e-6 * x @ x),
        "marginal": (np.zeros(1), lambda x: np.log(share)[None] + 0 * log_probs, lambda x: 0.0),
    }
    start, apply, penalty = scaled[name]

    def mapped(x):
        return scipy.special.log_softmax(apply(x), -1)

    found = scipy.optimize.minimize(
        lambda x: nll(votes, mapped(x), weights) + penalty(x), start, method="L-BFGS-B", tol=1e-12
    )
    return mapped(found.x)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "isotonic"])
def test_the_fit_is_that_of_another_minimiser(world, name):
    votes, log_probs, _ = world
    weights = np.random.default_rng(1).integers(0, 4, ITEMS).astype(np.float32)
    found = FIT[name](votes, log_probs, weights).apply(log_probs)
    expected = by_scipy(name, votes, log_probs, weights)
    assert nll(votes, found, weights) == pytest.approx(nll(votes, expected, weights), abs=2e-5)
    np.testing.assert_allclose(np.exp(found), np.exp(expected), atol=5e-3)
    np.testing.assert_allclose(np.exp(found).sum(-1), 1, atol=1e-5)


def test_isotonic_regression_is_scikit_learns():
    """Of shares of ten answers exactly; of probabilities that all differ, up to its knots."""
    isotonic = pytest.importorskip("sklearn.isotonic")
    rng = np.random.default_rng(3)
    for p, allowed in ((rng.integers(1, 12, ITEMS) / 12, 1e-5), (rng.random(ITEMS), 0.03)):
        votes = rng.binomial(5, p**2)
        weights = (rng.random(ITEMS) < 0.7).astype(np.float32)
        log_probs = np.log(np.stack([p, 1 - p], 1)).astype(np.float32)
        counts = np.stack([votes, 5 - votes], 1)
        fitted = jax.jit(recalibration.Isotonic.fit)(counts, log_probs, weights)
        found = np.exp(fitted.apply(log_probs))[:, 0]
        there = weights > 0
        other = isotonic.IsotonicRegression(out_of_bounds="clip").fit(p[there], votes[there] / 5)
        assert np.abs(found - other.predict(p)).mean() < allowed
        assert (np.diff(found[np.argsort(p)]) > -1e-6).all()


@pytest.mark.parametrize("name", NAMES)
def test_items_of_weight_0_are_left_out(world, name):
    votes, log_probs, _ = world
    weights = (np.arange(ITEMS) % 3 > 0).astype(np.float32)
    spoilt = np.where(weights[:, None] > 0, votes, votes[::-1])
    spoilt_log_probs = np.where(weights[:, None] > 0, log_probs, log_probs[:, ::-1])
    one = FIT[name](votes, log_probs, weights)
    other = FIT[name](spoilt, spoilt_log_probs, weights)
    for leaf, of in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(leaf, of)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_undefined_gives_nan_unless_it_is_left_out(world, name):
    votes, log_probs, _ = world
    third = np.arange(ITEMS) == 3
    spoilt_log_probs = np.where(third[:, None], np.float32(np.nan), log_probs)
    negative = np.where(third[:, None], -1, votes)
    without = np.float32(~third)
    ones = np.ones(ITEMS, np.float32)
    expected = FIT[name](votes, log_probs, without)
    for counts, given in ((votes, spoilt_log_probs), (negative, log_probs)):
        found = FIT[name](counts, given, without)
        for leaf, of in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_array_equal(leaf, of)
        if name != "marginal" or counts is negative:
            assert np.isnan(FIT[name](counts, given, ones).apply(log_probs)).all()
    unvoted = np.where(third[:, None], 0, votes)
    assert np.isfinite(FIT[name](unvoted, spoilt_log_probs, ones).apply(log_probs)).all()
    for value in (-1, np.nan, np.inf):
        weights = np.where(third, np.float32(value), ones)
        assert np.isnan(FIT[name](votes, log_probs, weights).apply(log_probs)).all()
    fit = recalibration.CALIBRATORS[name].fit
    for wrong in ((votes[1:], log_probs), (votes[:, 1:], log_probs), (votes[0], log_probs)):
        with pytest.raises(ValueError, match="got"):
            fit(*wrong)
    with pytest.raises(ValueError, match=r"weights must be \[item\]"):
        fit(votes, log_probs, ones[:, None])


def test_more_parameters_come_closer_to_the_truth(world):
    """And none beats the truth itself."""
    votes, log_probs, truth = world
    folds = recalibration.make_folds(np.arange(ITEMS), FOLDS)
    held_out = {
        name: nll(
            votes,
            recalibration.cross_fit(c, votes, log_probs, folds, num_folds=FOLDS),
        )
        for name, c in recalibration.CALIBRATORS.items()
    }
    best = nll(votes, np.log(truth))
    assert best < held_out["vector"] < held_out["temperature"] < nll(votes, log_probs)
    assert best < held_out["dirichlet"] < held_out["bias"] < nll(votes, log_probs)
    assert best < held_out["shrinkage"] < held_out["marginal"]
    assert held_out["vector"] < best + 0.01


def test_cross_fitting_is_fitting_without_each_fold(world):
    votes, log_probs, _ = world
    folds = recalibration.make_folds(np.arange(ITEMS), FOLDS)
    calibrator = recalibration.Temperature
    found = recalibration.cross_fit(calibrator, votes, log_probs, folds, num_folds=FOLDS)
    for fold in range(FOLDS):
        fitted = calibrator.fit(votes[folds != fold], log_probs[folds != fold])
        np.testing.assert_allclose(
            found[folds == fold], fitted.apply(log_probs[folds == fold]), atol=1e-4
        )


def test_folds_hold_groups_together_and_are_of_one_size():
    groups = np.random.default_rng(0).integers(0, 100, 1000)
    folds = recalibration.make_folds(groups, 5)
    for group in np.unique(groups):
        assert len(np.unique(folds[groups == group])) == 1
    assert np.bincount(np.unique(np.stack([groups, folds]), axis=1)[1]).tolist() == [20] * 5
    assert (folds != recalibration.make_folds(groups, 5, seed=1)).any()
    with pytest.raises(ValueError, match="got 5 folds of 3 items"):
        recalibration.make_folds([1, 2, 3, 3], 5)


def test_a_known_temperature_is_found():
    """On labels drawn from the predictions at T = 2, whatever the number of votes."""
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(ITEMS, CLASSES)) * 3
    for votes_each in (1, 20):
        votes = rng.multinomial(votes_each, scipy.special.softmax(logits / 2, -1))
        log_probs = scipy.special.log_softmax(logits, -1).astype(np.float32)
        fitted = FIT["temperature"](votes, log_probs)
        assert float(fitted.temperature) == pytest.approx(2.0, abs=0.35 / votes_each**0.5)


def test_an_ensemble_has_one_temperature_that_serves_its_mixture(world):
    """Found by search; the parts of the scaled members' uncertainty still add up."""
    votes, log_probs, _ = world
    noise = np.random.default_rng(4).normal(size=(3, ITEMS, CLASSES))
    members = scipy.special.log_softmax(log_probs[None] + noise, -1).astype(np.float32)
    fitted = FIT["temperature"](votes, members)

    def pooled(log_t):
        scaled = scipy.special.log_softmax(members / np.exp(log_t), -1)
        return nll(votes, scipy.special.logsumexp(scaled, 0) - np.log(3))

    best = scipy.optimize.minimize_scalar(pooled, bounds=(-2, 2), method="bounded").x
    assert float(fitted.temperature) == pytest.approx(np.exp(best), rel=2e-3)
    parts = uncertainty.decompose(fitted.apply(members))
    np.testing.assert_allclose(parts.total, parts.aleatoric + parts.epistemic, rtol=1e-6)


def test_impossible_classes_that_were_chosen_are_survived():
    votes = np.array([[5, 5], [9, 1], [10, 0]] * 4)
    log_probs = np.log(np.array([[1.0, 1e-45], [0.5, 0.5], [0.9, 0.1]] * 4, np.float32))
    log_probs[0, 1] = -np.inf
    for name in NAMES:
        found = recalibration.CALIBRATORS[name].fit(votes, log_probs).apply(log_probs)
        assert np.isfinite(found).all(), name


def test_minimise_walks_a_curved_valley():
    """Rosenbrock's, on a tree; it starts at 24 with curvature of both signs."""

    def valley(p):
        return (1 - p["x"]) ** 2 + 100 * (p["y"] - p["x"] ** 2) ** 2

    found = jax.jit(lambda start: recalibration.minimise(valley, start, steps=200, tolerance=1e-9))(
        {"x": jnp.array(-1.2), "y": jnp.array(1.0)}
    )
    assert float(valley(found)) < 1e-3


@pytest.fixture(scope="module")
def drawn():
    """Items whose mean is known and whose concentration depends on it: S = 1 where the network
    leans to the first class, 20 elsewhere. Two networks say so, one of them less sharply."""
    rng = np.random.default_rng(5)
    mean = rng.dirichlet(np.full(CLASSES, 2.0), ITEMS)
    log_s = np.where(mean.argmax(1) == 0, 0.0, 3.0)
    shares = np.stack([rng.dirichlet(m * np.exp(s)) for m, s in zip(mean, log_s)])
    votes = rng.multinomial(10, shares)
    blunt = scipy.special.log_softmax(0.7 * np.log(mean), -1)
    return votes, np.stack([np.log(mean), blunt]).astype(np.float32), log_s, shares


def test_concentration_is_found_where_it_depends_on_what_is_said(drawn):
    votes, log_probs, log_s, shares = drawn
    fitted = fit_members(votes, log_probs, max_votes=10)
    found = np.asarray(recalibration.apply_members(fitted, log_probs))
    assert found.shape == (2, ITEMS)
    low, high = (found[0][log_s == value] for value in (0.0, 3.0))
    assert low.mean() == pytest.approx(0.0, abs=0.8)
    assert high.mean() > 2.5
    assert (high[:, None] > low[None]).mean() > 0.95
    # What it is for: the expected entropy follows the entropy of the shares that were drawn.
    entropy = scipy.special.entr(shares).sum(-1)

    def correlation(score):
        return scipy.stats.spearmanr(np.asarray(score), entropy)[0]

    better = correlation(dirichlet.expected_entropy(log_probs[0], found[0]))
    assert better > correlation(uncertainty.entropy(log_probs[0])) + 0.1


def test_its_likelihood_is_that_of_another_minimiser(drawn):
    """Newton's method with the curvature's positive part against L-BFGS on the same objective."""
    votes, log_probs, _, _ = drawn
    weights = np.random.default_rng(6).integers(0, 3, ITEMS).astype(np.float32)
    fitted = recalibration.Concentration.fit(votes, log_probs[0], weights)
    items = weights.sum()

    @jax.jit
    @jax.value_and_grad
    def objective(parameters):
        of = fitted._replace(weights=parameters[:-1], bias=parameters[-1])
        likelihood = dirichlet.log_likelihood(
            votes, log_probs[0], of.apply(log_probs[0]), max_votes=10
        )
        ridge = max(1e-3, 3 / items) * (of.weights @ of.weights + 0.01 * of.bias**2)
        return -jnp.sum(weights * likelihood) / items + ridge

    found = np.r_[fitted.weights, fitted.bias]
    best = scipy.optimize.minimize(
        lambda x: jax.tree.map(np.float64, objective(jnp.asarray(x, jnp.float32))),
        np.zeros_like(found),
        jac=True,
        method="L-BFGS-B",
    )
    assert float(objective(found)[0]) == pytest.approx(best.fun, abs=2e-5)


def test_concentrations_of_folds_are_fitted_without_them(drawn):
    votes, log_probs, _, _ = drawn
    folds = recalibration.make_folds(np.arange(ITEMS), FOLDS)
    fitted = fit_folds(votes, log_probs, folds, num_folds=FOLDS, max_votes=10)
    found = recalibration.apply_folds(fitted, log_probs, folds)
    # Whatever happens to the votes of a fold, its own concentrations stay.
    changed = np.where((folds == 1)[:, None], votes[:, ::-1], votes)
    again = recalibration.apply_folds(
        fit_folds(changed, log_probs, folds, num_folds=FOLDS, max_votes=10), log_probs, folds
    )
    np.testing.assert_array_equal(found[:, folds == 1], again[:, folds == 1])
    assert (np.asarray(found)[:, folds == 0] != np.asarray(again)[:, folds == 0]).all()
    kept = folds != 1
    alone = recalibration.apply_members(
        recalibration.fit_members(votes[kept], log_probs[:, kept]), log_probs[:, ~kept]
    )
    np.testing.assert_allclose(found[:, ~kept], alone, atol=2e-2)


def test_concentrations_of_undefined_items_are_undefined(drawn):
    votes, log_probs, _, _ = drawn
    third = (np.arange(ITEMS) == 3)[:, None]
    spoilt = np.where(third, np.float32(np.nan), log_probs)
    left_out = np.where(third, [1, 0, 0, 0], votes)
    for counts, given, defined in (
        (votes, spoilt, False),
        (np.where(third, -1, votes), log_probs, False),
        (left_out, spoilt, True),
    ):
        fitted = fit_members(counts, given, max_votes=10)
        assert np.isfinite(recalibration.apply_members(fitted, log_probs)).all() == defined
    with pytest.raises(ValueError, match="must be .item, class. alike"):
        recalibration.Concentration.fit(votes[1:], log_probs[0])


def test_single_votes_say_nothing_of_concentration(drawn):
    votes, log_probs, _, _ = drawn
    one = np.eye(CLASSES, dtype=int)[votes.argmax(1)]
    fitted = recalibration.Concentration.fit(one, log_probs[0])
    np.testing.assert_array_equal(fitted.apply(log_probs[0]), 0)


def test_items_beyond_all_experience_get_a_bounded_concentration(drawn):
    votes, log_probs, _, _ = drawn
    fitted = recalibration.Concentration.fit(votes, log_probs[0])
    far = jax.nn.log_softmax(jnp.array([[1e4, 0, 0, 0], [0, 0, 0, -1e30]]))
    most = float(jnp.sum(jnp.abs(fitted.weights)) * 5 + jnp.abs(fitted.bias))
    found = np.asarray(fitted.apply(far))
    assert np.isfinite(found).all() and (np.abs(found) <= most).all()
