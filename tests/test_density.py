"""Densities against slow formulas and scikit-learn, and what a stack of them is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from sklearn.covariance import EmpiricalCovariance
from sklearn.neighbors import NearestNeighbors

from ferjax import density

KNOWN = 300
FRESH = 40
WIDTH = 6

mahalanobis = jax.jit(density.mahalanobis)
fit_gaussian = jax.jit(density.fit_gaussian)


@pytest.fixture(scope="module")
def known():
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(KNOWN, WIDTH)) @ rng.normal(size=(WIDTH, WIDTH))
    return (mixed + 2).astype(np.float32)


@pytest.fixture(scope="module")
def fresh():
    return (3 * np.random.default_rng(1).normal(size=(FRESH, WIDTH))).astype(np.float32)


def test_mahalanobis_is_scikit_learns(known, fresh):
    gaussian = fit_gaussian(known, shrinkage=0.0)
    expected = EmpiricalCovariance().fit(known).mahalanobis(fresh) / WIDTH
    np.testing.assert_allclose(mahalanobis(gaussian, fresh), expected, rtol=2e-3)
    volume = 0.5 * np.linalg.slogdet(np.cov(known.T, bias=True))[1]
    np.testing.assert_allclose(gaussian.log_volume, volume, rtol=1e-3)


def test_a_weight_is_a_repeat(known, fresh):
    weights = np.random.default_rng(2).multinomial(KNOWN, np.full(KNOWN, 1 / KNOWN))
    repeated = np.repeat(known, weights, axis=0)
    one = fit_gaussian(known, 1.0 * weights)
    other = fit_gaussian(repeated, np.ones(KNOWN))
    np.testing.assert_allclose(mahalanobis(one, fresh), mahalanobis(other, fresh), rtol=1e-3)


def test_shrinkage_adds_a_share_of_the_mean_variance(known, fresh):
    shrunk = np.cov(known.T, bias=True)
    shrunk += 0.5 * np.trace(shrunk) / WIDTH * np.eye(WIDTH)
    apart = fresh - known.mean(0)
    expected = np.einsum("fi,ij,fj->f", apart, np.linalg.inv(shrunk), apart) / WIDTH
    got = mahalanobis(fit_gaussian(known, shrinkage=0.5), fresh)
    np.testing.assert_allclose(got, expected, rtol=2e-3)


def test_a_stack_is_each_alone(known, fresh):
    stack = jnp.stack([known, known[::-1] * 2])
    gaussians = jax.jit(jax.vmap(density.fit_gaussian))(stack)
    both = jax.jit(jax.vmap(density.mahalanobis))(gaussians, jnp.stack([fresh, fresh]))
    alone = mahalanobis(fit_gaussian(stack[1], shrinkage=1e-3), fresh)
    np.testing.assert_allclose(both[1], alone, rtol=1e-3)


def test_a_stack_decomposes_one_matrix_at_a_time(known):
    """Batched decompositions on CPU may wait for one another for ever, see the function eigh."""
    program = jax.jit(jax.vmap(density.fit_gaussian)).lower(jnp.stack([known, known])).as_text()
    calls = [line for line in program.splitlines() if "custom_call" in line and "syevd" in line]
    assert calls
    assert all(f"(tensor<{WIDTH}x{WIDTH}xf32>)" in line for line in calls)


def test_class_densities_are_the_slow_formulas(known, fresh):
    labels = np.random.default_rng(3).integers(0, 3, KNOWN)
    shifted = known + 4 * labels[:, None].astype(np.float32)
    q = np.eye(3, dtype=np.float32)[labels]
    means = np.stack([shifted[labels == c].mean(0) for c in range(3)])
    covariances = np.stack([np.cov(shifted[labels == c].T, bias=True) for c in range(3)])
    share = np.bincount(labels) / KNOWN
    within = np.einsum("c,cij->ij", share, covariances)
    precision = np.linalg.inv(within)
    to_class = [np.einsum("fi,ij,fj->f", fresh - m, precision, fresh - m) for m in means]
    slow = np.min(to_class, 0) / WIDTH
    shared = jax.jit(density.fit_shared_gaussians)(shifted, q, shrinkage=0.0)
    got = jax.jit(density.class_mahalanobis)(shared, fresh)
    np.testing.assert_allclose(got, slow, rtol=1e-2)
    background = mahalanobis(fit_gaussian(shifted, shrinkage=0.0), fresh)
    got = jax.jit(density.relative_mahalanobis)(shared, fresh)
    np.testing.assert_allclose(got, slow - background, rtol=1e-2, atol=2e-2)

    mixed = 0.7 * covariances + 0.3 * within
    densities = [stats.multivariate_normal(means[c], mixed[c]).logpdf(fresh) for c in range(3)]
    log_density = np.log(share)[:, None] + np.stack(densities)
    expected = -np.logaddexp.reduce(log_density, 0) / WIDTH - 0.5 * np.log(2 * np.pi)
    fitted = jax.jit(density.fit_class_gaussians)(shifted, q, shrinkage=0.0, pooled=0.3)
    got = jax.jit(density.class_density)(fitted, fresh)
    np.testing.assert_allclose(got, expected, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("k", [1, 5])
def test_nearest_neighbour_is_scikit_learns(known, fresh, k):
    def unit(x):
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    expected = NearestNeighbors(n_neighbors=k).fit(unit(known)).kneighbors(unit(fresh))[0][:, -1]
    got = jax.jit(density.nearest_neighbour, static_argnames="k")(known, fresh, k=k)
    np.testing.assert_allclose(got, expected, atol=2e-3)


def test_bands_see_too_smooth_and_too_rough(rng):
    def texture(fine):
        broad = rng.normal(size=(200, 5, 1)) * np.ones(16)
        return (broad + fine * rng.normal(size=(200, 5, 16))).astype(np.float32)

    spectrum = jax.jit(density.fit_spectrum, static_argnames="bands")(texture(0.3), bands=4)
    energies = jax.jit(density.band_energies)
    gaussian = fit_gaussian(energies(spectrum, texture(0.3)))
    clean, smooth, rough = (
        np.asarray(mahalanobis(gaussian, energies(spectrum, texture(fine))))
        for fine in (0.3, 0.1, 0.9)
    )
    assert np.median(smooth) > np.quantile(clean, 0.99)
    assert np.median(rough) > np.quantile(clean, 0.99)
    assert spectrum.bands.shape[1] <= 4
    np.testing.assert_allclose(spectrum.bands.sum(0), 1, rtol=1e-6)
    # A distance of the features themselves takes the smooth ones for typical.
    plain = fit_gaussian(texture(0.3).reshape(-1, 16))
    assert np.median(mahalanobis(plain, texture(0.1).reshape(-1, 16))) < 1


def test_directions_of_a_spectrum_are_white_and_the_broadest_come_first(rng):
    scale = np.array([8.0, 4.0, 2.0, 1.0])
    patches = np.float32(rng.normal(size=(500, 2, 4)) * scale + 3)
    spectrum = jax.jit(density.fit_spectrum, static_argnames="bands")(patches, bands=4)
    white = (patches.reshape(-1, 4) - np.asarray(spectrum.mean)) @ np.asarray(spectrum.whiten)
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.eye(4), atol=1e-3)
    order = np.abs(spectrum.whiten).argmax(0)  # which pixel a direction is made of
    assert order.tolist() == [0, 1, 2, 3]
    assert np.asarray(spectrum.bands)[0, 0] > 0


def test_typicality_is_two_sided_and_exact(rng):
    known = rng.integers(0, 9, 50) * 1.0
    scores = np.array([-1.0, 0.0, 4.0, 8.0, 20.0])
    got = jax.jit(density.typicality)(scores, known)
    for score, value in zip(scores, got):
        below = (known <= score).sum() / 51
        above = (known >= score).sum() / 51
        expected = -np.log(min(1, 2 * max(min(below, above), 1 / 51)))
        assert float(value) == pytest.approx(expected, abs=1e-5)


def test_rank_among_like_items_is_no_longer_correlated(rng):
    given = rng.random((2, 1000)).astype(np.float32)
    score = given * (0.5 + rng.random((2, 1000))).astype(np.float32)
    rank = jax.jit(density.conditional_rank, static_argnames="neighbours")(
        score[1], given[1], score[0], given[0], neighbours=100
    )
    assert abs(stats.spearmanr(rank, given[1])[0]) < 0.1 < stats.spearmanr(score[1], given[1])[0]
    assert stats.kstest(np.asarray(rank), "uniform").statistic < 0.08


def test_rank_counts_the_items_nearest_in_the_other_score(rng):
    known_given = np.float32(rng.permutation(50))
    known_score = np.float32(rng.integers(0, 5, 50))
    given = np.float32([-3.0, 0.0, 24.5, 31.5, 49.0, 60.0])
    score = np.float32([0.0, 2.0, 2.0, 3.0, 4.0, 2.5])
    conditional_rank = jax.jit(density.conditional_rank, static_argnames="neighbours")
    got = conditional_rank(score, given, known_score, known_given, neighbours=10)
    for value, at, rank in zip(score, given, got):
        first = np.clip(np.ceil(at) - 5, 0, 40)
        alike = known_score[(known_given >= first) & (known_given < first + 10)]
        expected = (alike < value).mean() + 0.5 * (alike == value).mean()
        assert float(rank) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "call",
    [
        lambda: density.fit_gaussian(jnp.ones(3)),
        lambda: density.fit_shared_gaussians(jnp.ones((3, 2)), jnp.ones((4, 2))),
        lambda: density.fit_spectrum(jnp.ones((3, 2))),
    ],
)
def test_refusals(call):
    with pytest.raises(ValueError, match="got"):
        call()
    with pytest.raises(ValueError, match="a bank of 3 items has no 4-th neighbour"):
        density.nearest_neighbour(jnp.ones((3, 2)), jnp.ones((1, 2)), k=4)


def test_a_tail_is_fitted_as_scipy_fits_it_and_tells_how_rare_a_score_is():
    rng = np.random.default_rng(5)
    known = rng.pareto(3.0, 4000) + 1
    logs = np.log(known)
    tail = jax.jit(density.fit_tail, static_argnames="share")(logs, share=0.2)
    start = np.quantile(logs, 0.8)
    _, mean_excess = stats.expon.fit(logs[logs > start], floc=start)
    np.testing.assert_allclose([tail.start, tail.mean_excess], [start, mean_excess], rtol=1e-3)
    # Of Pareto's distances far beyond all but a few of the known ones the true share is known.
    far = np.log(np.array([5.0, 10.0]))
    np.testing.assert_allclose(density.tail_surprise(tail, far), 3 * far, rtol=0.1)


def test_scores_that_are_all_alike_have_a_tail_all_the_same():
    tail = density.fit_tail(np.ones(20))
    surprise = density.tail_surprise(tail, np.array([0.9, 1.0, 1.1]))
    assert np.isfinite(surprise).all()
    assert np.diff(surprise).min() > 0


def test_a_share_of_no_tail_is_refused():
    with pytest.raises(ValueError, match=r"share must lie between 0 and 1, got 1\.0"):
        density.fit_tail(np.ones(20), share=1.0)
