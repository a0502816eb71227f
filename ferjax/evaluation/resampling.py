"""Bootstrap programs that several tables share, each compiled once for one number of items."""

import jax
import numpy as np
from jax.typing import ArrayLike

from ferjax import bootstrap, metrics

__all__ = ["draw_weights", "shift_auroc", "spearman"]

_draw = jax.jit(bootstrap.resample_weights, static_argnums=(1, 2))


def draw_weights(
    key: jax.Array, items: int, resamples: int, groups: np.ndarray | None = None
) -> jax.Array:
    """Bootstrap weights ``[resample, item]``; items of one group are drawn together."""
    if groups is None:
        return _draw(key, items, resamples)
    number = np.unique(groups, return_inverse=True)[1]
    return _draw(key, int(number.max()) + 1, resamples)[:, number]


def spearman(x: ArrayLike, y: ArrayLike, weights: jax.Array) -> np.ndarray:
    """Samples ``[1 + resample]`` of the rank correlation of ``x [item]`` and ``y [item]``."""
    return np.asarray(_spearman(_float32(x), _float32(y), weights))


@jax.jit
def _spearman(x: jax.Array, y: jax.Array, weights: jax.Array) -> jax.Array:
    return bootstrap.resampled(lambda w: metrics.spearman(x, y, w), weights)


def shift_auroc(clean: ArrayLike, corrupted: ArrayLike, weights: jax.Array) -> np.ndarray:
    """Samples ``[1 + resample, condition]`` of the AUROC of ``corrupted [condition, item]`` against
    ``clean [item]``.

    The same items stand on both sides, so a resample weighs both alike; the clean side is sorted
    once for all conditions.
    """
    return np.asarray(_shift_auroc(_float32(clean), _float32(corrupted), weights))


@jax.jit
def _shift_auroc(clean: jax.Array, corrupted: jax.Array, weights: jax.Array) -> jax.Array:
    return bootstrap.resampled(
        lambda w: jax.vmap(lambda scores: metrics.auroc_between(clean, scores, w, w))(corrupted),
        weights,
    )


def _float32(values: ArrayLike) -> np.ndarray:
    return np.asarray(values, np.float32)
