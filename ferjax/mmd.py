"""Two-sample test of features: maximum mean discrepancy with permutations."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ferjax.arrays import as_floats, nan_where

__all__ = ["TwoSample", "two_sample_test"]


class TwoSample(NamedTuple):
    """Result of a two-sample test, scalars."""

    mmd2: jax.Array
    """Unbiased squared MMD: 0 in expectation for one distribution, may be negative."""
    p_value: jax.Array
    """Share of permutations, the observed split among them, that reach the observed MMD."""
    bandwidth: jax.Array
    """Of the kernel, in the features' units."""


def two_sample_test(
    key: jax.Array,
    x: ArrayLike,
    y: ArrayLike,
    *,
    permutations: int = 999,
    bandwidth: float | None = None,
) -> TwoSample:
    """Tests whether ``x`` and ``y`` were drawn from one distribution.

    The kernel matrix of the pooled samples is computed once; a permutation only reassigns samples
    to sides, so all of them are one matrix product. The bandwidth is read from the pool, which
    permuting does not change, and the observed split counts as one of the permutations: under the
    null hypothesis the p-value is at most α with probability at most α, exactly, at any sample
    size.

    Args:
      key: random key of the permutations.
      x: ``[n, width]`` features, n >= 2.
      y: ``[m, width]``, m >= 2.
      permutations: how many (static); the smallest p-value is ``1 / (permutations + 1)``.
      bandwidth: σ of ``exp(-|a - b|² / 2σ²)``; the median distance in the pool unless given.

    Returns:
      :class:`TwoSample`, float32; all of it NaN for a NaN or infinite feature.

    Raises:
      ValueError: if the shapes do not fit or a side has fewer than two samples.

    References:
      Gretton et al., A Kernel Two-Sample Test, 2012, https://jmlr.org/papers/v13/gretton12a.html;
      Phipson & Smyth, Permutation P-values Should Never Be Zero, 2010,
      https://arxiv.org/abs/1603.05766.

    >>> x = jnp.arange(12.0).reshape(6, 2)
    >>> bool(jax.jit(two_sample_test)(jax.random.key(0), x, x + 100).p_value < 0.01)
    True
    """
    x, y = as_floats(x, y)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(
            "expected features [n, width] and [m, width] with n, m >= 2, "
            f"got {x.shape} and {y.shape}"
        )
    n = len(x)
    m = len(y)
    pool = jnp.concatenate([x, y])
    pool = pool - jnp.mean(pool, 0, keepdims=True)  # distances by the product form lose less near 0
    exact = jax.lax.Precision.HIGHEST
    norms = jnp.sum(pool**2, 1)
    products = jnp.matmul(pool, pool.T, precision=exact)
    squared = jnp.maximum(norms[:, None] + norms[None] - 2 * products, 0.0)
    if bandwidth is None:
        median = jnp.median(squared[np.triu_indices(n + m, 1)])
        sigma = jnp.sqrt(jnp.where(median > 0, median, 1.0))
    else:
        sigma = jnp.asarray(bandwidth, x.dtype)
    apart = ~jnp.eye(n + m, dtype=bool)
    kernel = jnp.where(apart, jnp.exp(-squared / (2 * sigma**2)), 0.0)

    first = jnp.arange(n + m) < n
    keys = jax.random.split(key, permutations)
    orders = jax.vmap(lambda k: jax.random.permutation(k, first))(keys)
    in_x = jnp.concatenate([first[None], orders]).astype(x.dtype)
    in_y = 1.0 - in_x
    from_x = jnp.matmul(in_x, kernel, precision=exact)
    within_x = jnp.sum(from_x * in_x, 1)
    between = jnp.sum(from_x * in_y, 1)
    within_y = jnp.sum(kernel) - within_x - 2 * between
    mmd2 = within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * between / (n * m)
    # Where splits tie, float32 sums of kernel values differ in their last digits (by 1e-6 of them);
    # a tie must count as reaching the observed split.
    rounding = 3e-6 * jnp.mean(kernel)
    reached = jnp.sum(mmd2[1:] >= mmd2[0] - rounding)
    p_value = (1 + reached).astype(x.dtype) / (1 + permutations)
    undefined = ~jnp.all(jnp.isfinite(x)) | ~jnp.all(jnp.isfinite(y))
    return TwoSample(*(nan_where(undefined, of) for of in (mmd2[0], p_value, sigma)))
