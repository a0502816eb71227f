"""The two-sample test against its definition, and its size against the promise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics.pairwise

from ferjax import mmd


def test_mmd_is_its_definition(rng):
    x = rng.normal(size=(12, 3))
    y = rng.normal(0.5, 2, size=(9, 3))
    got = mmd.two_sample_test(x, y, jax.random.key(0), permutations=9)
    distances = sklearn.metrics.pairwise.euclidean_distances(np.concatenate([x, y]))
    assert float(got.bandwidth) == pytest.approx(
        np.median(distances[np.triu_indices(21, 1)]), rel=1e-5
    )
    kernel = sklearn.metrics.pairwise.rbf_kernel(
        np.concatenate([x, y]), gamma=1 / (2 * float(got.bandwidth) ** 2)
    )
    np.fill_diagonal(kernel, 0)
    expected = (
        kernel[:12, :12].sum() / (12 * 11)
        + kernel[12:, 12:].sum() / (9 * 8)
        - 2 * kernel[:12, 12:].mean()
    )
    assert float(got.mmd2) == pytest.approx(expected, abs=1e-6)


def test_the_test_has_its_size_and_some_power(rng):
    """Of samples from one distribution, at most a tenth are called different at the 10 % level,
    ties included."""
    test = jax.jit(jax.vmap(lambda x, y, key: mmd.two_sample_test(x, y, key, permutations=19)))
    keys = jax.random.split(jax.random.key(2), 400)
    x = rng.integers(0, 3, (400, 8, 1))  # heavily tied
    y = rng.integers(0, 3, (400, 6, 1))
    p = np.asarray(test(x, y, keys).p_value)
    assert 0.02 < (p <= 0.1).mean() <= 0.1 + 3 * np.sqrt(0.09 / 400)
    assert p.min() >= 1 / 20 - 1e-6
    assert (np.asarray(test(x, y + 2, keys).p_value) <= 0.1).mean() > 0.8


def test_one_point_cloud_is_no_distance():
    same = mmd.two_sample_test(
        jnp.ones((5, 2)), jnp.ones((4, 2)), jax.random.key(0), permutations=19
    )
    assert float(same.mmd2) == pytest.approx(0.0, abs=1e-6)
    assert float(same.p_value) == 1.0
    with pytest.raises(ValueError, match="n, m >= 2, got"):
        mmd.two_sample_test(jnp.ones((1, 2)), jnp.ones((4, 2)), jax.random.key(0))
