"""Cross-fitting: no item is recalibrated by what was fitted on it."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ferjax.recalibration._calibrators import Calibrator

__all__ = ["FOLDS", "cross_fit", "make_folds"]

FOLDS = 5


def make_folds(groups: ArrayLike, folds: int = FOLDS, *, seed: int = 0) -> np.ndarray:
    """A fold for each item, at random and of about equal size; items of one group share theirs.

    Args:
      groups: ``[item]`` numbers or text; equal ones (duplicates, frames of a video) stay together.
        The same group gets the same fold in every split of the same groups.
      folds: how many.
      seed: of the assignment.

    Returns:
      int32 ``[item]`` in ``0 .. folds - 1``.

    Raises:
      ValueError: if there are fewer groups than folds.

    >>> make_folds([7, 7, 8, 9], 3).tolist()
    [2, 2, 0, 1]
    """
    unique, group = np.unique(np.asarray(groups), return_inverse=True)
    if len(unique) < folds or folds < 2:
        raise ValueError(
            "cross-fitting takes 2 folds or more, and as many items that differ: got "
            f"{folds} folds of {len(unique)} items"
        )
    fold = np.random.default_rng(seed).permutation(np.arange(len(unique)) % folds)
    return fold[group.reshape(-1)].astype(np.int32)


def cross_fit(
    calibrator: type[Calibrator],
    counts: ArrayLike,
    log_probs: ArrayLike,
    folds: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    num_folds: int = FOLDS,
) -> jax.Array:
    """Every item recalibrated by what was fitted on all folds but its own.

    Args:
      calibrator: one of :data:`CALIBRATORS`.
      counts: ``[item, class]`` votes.
      log_probs: ``[item, class]``, or ``[member, item, class]`` where it takes members.
      folds: ``[item]`` in ``0 .. num_folds - 1``, see :func:`make_folds`.
      weights: ``[item]`` >= 0, or None for one each.
      num_folds: how many folds (static).

    Returns:
      Log-probabilities shaped like ``log_probs``, float32.

    Raises:
      ValueError: if shapes do not fit together.
    """
    folds = jnp.asarray(folds)
    weights = jnp.ones(folds.shape) if weights is None else jnp.asarray(weights)

    def one(fold: jax.Array) -> jax.Array:
        fitted = calibrator.fit(counts, log_probs, jnp.where(folds == fold, 0.0, weights))
        return fitted.apply(log_probs)

    found = jax.vmap(one)(jnp.arange(num_folds))
    own = folds[:, None] if found.ndim == 3 else folds[None, :, None]
    return jnp.take_along_axis(found, own[None], axis=0)[0]
