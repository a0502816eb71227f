"""Densities against slow formulas and scikit-learn, and what a stack of them is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from sklearn.covariance import EmpiricalCovariance
from sklearn.neighbors import NearestNeighbors

from ferjax import density


@pytest.fixture(scope="module")
def known():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(300, 6)) @ rng.normal(size=(6, 6)) + 2).astype(np.float32)


@pytest.fixture(scope="module")
def fresh():
    return (3 * np.random.default_rng(1).normal(size=(40, 6))).astype(np.float32)


def test_mahalanobis_is_scikit_learns(known, fresh):
    gaussian = density.fit_gaussian(known, shrinkage=0.0)
    expected = EmpiricalCovariance().fit(known).mahalanobis(fresh) / 6
    np.testing.assert_allclose(density.mahalanobis(gaussian, fresh), expected, rtol=2e-3)
    np.testing.assert_allclose(
        gaussian.log_volume, 0.5 * np.linalg.slogdet(np.cov(known.T, bias=True))[1], rtol=1e-3
    )


def test_a_weight_is_a_repeat(known, fresh):
    weights = np.random.default_rng(2).integers(0, 3, len(known))
    one = density.fit_gaussian(known, weights)
    other = density.fit_gaussian(np.repeat(known, weights, axis=0))
    np.testing.assert_allclose(
        density.mahalanobis(one, fresh), density.mahalanobis(other, fresh), rtol=1e-3
    )


def test_a_stack_is_each_alone(known, fresh):
    stack = jnp.stack([known, known[::-1] * 2])
    gaussians = jax.vmap(density.fit_gaussian)(stack)
    both = jax.vmap(density.mahalanobis)(gaussians, jnp.stack([fresh, fresh]))
    np.testing.assert_allclose(
        both[1], density.mahalanobis(density.fit_gaussian(stack[1]), fresh), rtol=1e-3
    )


def test_a_stack_decomposes_one_matrix_at_a_time(known):
    """Batched decompositions on CPU may wait for one another for ever, see density._eigh."""
    program = jax.jit(jax.vmap(density.fit_gaussian)).lower(jnp.stack([known, known])).as_text()
    calls = [line for line in program.splitlines() if "custom_call" in line and "syevd" in line]
    width = known.shape[-1]
    assert calls and all(f"(tensor<{width}x{width}xf32>)" in line for line in calls)


def test_class_densities_are_the_slow_formulas(known, fresh):
    labels = np.random.default_rng(3).integers(0, 3, len(known))
    shifted = known + 4 * labels[:, None].astype(np.float32)
    q = np.eye(3, dtype=np.float32)[labels]
    means = np.stack([shifted[labels == c].mean(0) for c in range(3)])
    covariances = np.stack([np.cov(shifted[labels == c].T, bias=True) for c in range(3)])
    share = np.bincount(labels) / len(labels)
    within = np.einsum("c,cij->ij", share, covariances)
    precision = np.linalg.inv(within)
    slow = (
        np.stack([np.einsum("fi,ij,fj->f", fresh - m, precision, fresh - m) for m in means]).min(0)
        / 6
    )
    shared = density.fit_shared_gaussians(shifted, q, shrinkage=0.0)
    np.testing.assert_allclose(density.class_mahalanobis(shared, fresh), slow, rtol=1e-2)
    background = density.mahalanobis(density.fit_gaussian(shifted, shrinkage=0.0), fresh)
    np.testing.assert_allclose(
        density.relative_mahalanobis(shared, fresh), slow - background, rtol=1e-2, atol=2e-2
    )

    mixed = 0.7 * covariances + 0.3 * within
    log_density = np.stack(
        [
            np.log(share[c]) + stats.multivariate_normal(means[c], mixed[c]).logpdf(fresh)
            for c in range(3)
        ]
    )
    expected = -np.logaddexp.reduce(log_density, 0) / 6 - 0.5 * np.log(2 * np.pi)
    got = density.class_density(
        density.fit_class_gaussians(shifted, q, shrinkage=0.0, pooled=0.3), fresh
    )
    np.testing.assert_allclose(got, expected, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("k", [1, 5])
def test_nearest_neighbour_is_scikit_learns(known, fresh, k):
    def unit(x):
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    expected = NearestNeighbors(n_neighbors=k).fit(unit(known)).kneighbors(unit(fresh))[0][:, -1]
    np.testing.assert_allclose(density.nearest_neighbour(known, fresh, k=k), expected, atol=2e-3)


def test_bands_see_too_smooth_and_too_rough(rng):
    def texture(fine):
        broad = rng.normal(size=(200, 5, 1)) * np.ones(16)
        return (broad + fine * rng.normal(size=(200, 5, 16))).astype(np.float32)

    spectrum = density.fit_spectrum(texture(0.3), bands=4)
    gaussian = density.fit_gaussian(density.band_energies(spectrum, texture(0.3)))
    clean, smooth, rough = (
        np.asarray(density.mahalanobis(gaussian, density.band_energies(spectrum, texture(f))))
        for f in (0.3, 0.1, 0.9)
    )
    assert np.median(smooth) > np.quantile(clean, 0.99)
    assert np.median(rough) > np.quantile(clean, 0.99)
    assert spectrum.bands.shape[1] <= 4
    np.testing.assert_allclose(spectrum.bands.sum(0), 1, rtol=1e-6)
    # A distance of the features themselves takes the smooth ones for typical.
    plain = density.fit_gaussian(texture(0.3).reshape(-1, 16))
    assert np.median(density.mahalanobis(plain, texture(0.1).reshape(-1, 16))) < 1


def test_typicality_is_two_sided_and_exact(rng):
    known = rng.integers(0, 9, 50) * 1.0
    for score in (-1.0, 0.0, 4.0, 8.0, 20.0):
        below = (known <= score).sum() / 51
        above = (known >= score).sum() / 51
        expected = -np.log(min(1, 2 * max(min(below, above), 1 / 51)))
        assert float(density.typicality(jnp.array([score]), known)[0]) == pytest.approx(
            expected, abs=1e-5
        )


def test_rank_among_like_faces_is_no_longer_correlated(rng):
    given = rng.random((2, 1000)).astype(np.float32)
    score = given * (0.5 + rng.random((2, 1000))).astype(np.float32)
    rank = density.conditional_rank(score[1], given[1], score[0], given[0], neighbours=100)
    assert abs(stats.spearmanr(rank, given[1])[0]) < 0.1 < stats.spearmanr(score[1], given[1])[0]
    assert stats.kstest(np.asarray(rank), "uniform").statistic < 0.08


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
    with pytest.raises(ValueError, match="a bank of 3 faces has no 4-th neighbour"):
        density.nearest_neighbour(jnp.ones((3, 2)), jnp.ones((1, 2)), k=4)
