"""The two-sample test against its definition, and its size against the promise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import sklearn.metrics.pairwise

from ferjax import mmd

two_sample_test = jax.jit(mmd.two_sample_test, static_argnames="permutations")


def test_mmd_is_its_definition(rng):
    x = rng.normal(size=(12, 3))
    y = rng.normal(0.5, 2, size=(9, 3))
    pool = np.concatenate([x, y])
    got = two_sample_test(jax.random.key(0), x, y, permutations=19)
    distances = sklearn.metrics.pairwise.euclidean_distances(pool)
    median = np.median(distances[np.triu_indices(21, 1)])
    assert float(got.bandwidth) == pytest.approx(median, rel=1e-5)
    for bandwidth in (np.float32(median), np.float32(0.5)):
        kernel = sklearn.metrics.pairwise.rbf_kernel(pool, gamma=1 / (2 * bandwidth**2))
        np.fill_diagonal(kernel, 0)
        within_x = kernel[:12, :12].sum() / (12 * 11)
        within_y = kernel[12:, 12:].sum() / (9 * 8)
        expected = within_x + within_y - 2 * kernel[:12, 12:].mean()
        got = two_sample_test(jax.random.key(0), x, y, permutations=19, bandwidth=bandwidth)
        assert float(got.mmd2) == pytest.approx(expected, abs=1e-6)
        assert float(got.bandwidth) == pytest.approx(bandwidth)


def test_the_test_has_its_size_and_some_power(rng):
    """Of samples from one distribution, at most a tenth differ at the 10 % level, ties included."""
    test = jax.jit(jax.vmap(lambda key, x, y: mmd.two_sample_test(key, x, y, permutations=19)))
    keys = jax.random.split(jax.random.key(2), 400)
    x = rng.integers(0, 3, (400, 8, 1))  # heavily tied
    y = rng.integers(0, 3, (400, 6, 1))
    p = np.asarray(test(keys, x, y).p_value)
    assert 0.02 < (p <= 0.1).mean() <= 0.1 + 3 * np.sqrt(0.09 / 400)
    assert p.min() >= 1 / 20 - 1e-6
    assert (np.asarray(test(keys, x, y + 2).p_value) <= 0.1).mean() > 0.8


def test_ties_count_as_reaching_the_observed_split():
    """Of two points drawn again and again, a split is no more than how many of one lie in x."""
    points = np.float32([[0.1, 0.7, 0.3], [0.9, 0.2, 0.4]])
    x = points[np.int64(np.arange(12) < 8)]  # eight of the second
    y = points[np.int64(np.arange(9) < 3)]
    apart = np.exp(-np.sum((points[0] - points[1]) ** 2) / 2)

    def mmd2(in_x):
        pairs = np.array([[1.0, apart], [apart, 1.0]])
        of_x = np.array([12 - in_x, in_x])
        of_y = np.array([10 - of_x[0], 11 - in_x])
        within = [(of @ pairs @ of - of.sum()) / (of.sum() * (of.sum() - 1)) for of in (of_x, of_y)]
        return sum(within) - 2 * of_x @ pairs @ of_y / (12 * 9)

    counts = np.arange(2, 12)
    reached = [mmd2(k) >= mmd2(8) - 1e-9 for k in counts]
    expected = scipy.stats.hypergeom(21, 11, 12).pmf(counts)[reached].sum()
    got = two_sample_test(jax.random.key(0), x, y, permutations=999, bandwidth=1.0)
    assert float(got.mmd2) == pytest.approx(mmd2(8), abs=1e-4)
    assert float(got.p_value) == pytest.approx(expected, abs=0.05)


def test_one_point_cloud_is_no_distance():
    same = two_sample_test(jax.random.key(0), jnp.ones((12, 3)), jnp.ones((9, 3)), permutations=19)
    assert float(same.mmd2) == pytest.approx(0.0, abs=1e-6)
    assert float(same.p_value) == 1.0
    with pytest.raises(ValueError, match="n, m >= 2, got"):
        mmd.two_sample_test(jax.random.key(0), jnp.ones((1, 2)), jnp.ones((4, 2)))
