"""Bootstrap programs that several tables share, each compiled once for one number of items."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike

from ferjax import bootstrap, metrics
from ferjax.events import OnEvent, Progress

__all__ = ["draw_weights", "score_by_score", "shift_auroc", "spearman"]

_draw = jax.jit(bootstrap.resample_weights, static_argnums=(1, 2))


def draw_weights(
    key: jax.Array, items: int, resamples: int, groups: np.ndarray | None = None
) -> jax.Array:
    """Bootstrap weights ``[resample, item]``; items of one group are drawn together."""
    if groups is None:
        return _draw(key, items, resamples)
    number = np.unique(groups, return_inverse=True)[1]
    return _draw(key, int(number.max()) + 1, resamples)[:, number]


def score_by_score(
    task: str,
    names: Sequence[str],
    function: Callable[..., Any],
    *stacked: np.ndarray,
    on_event: OnEvent,
) -> Any:
    """A table of many scores, made one score at a time, so that it can be told how far it is.

    Args:
      task: what is told.
      names: of the scores.
      function: of ``[1, ...]`` arrays, to a tree of arrays ``[1, ...]``.
      *stacked: arrays ``[score, ...]``.
      on_event: told each score before it is worked on.

    Returns:
      The function's trees on the host, leaves ``[score, ...]``.

    >>> score_by_score("", "ab", lambda of: 2 * of, np.array([1, 2]), on_event=print).tolist()
    Progress(task='', done=0.0, note='a')
    Progress(task='', done=0.5, note='b')
    [2, 4]
    """
    parts = []
    for number, name in enumerate(names):
        on_event(Progress(task, number / len(names), name))
        parts.append(jax.device_get(function(*(of[number : number + 1] for of in stacked))))
    return jax.tree.map(lambda *of: np.concatenate(of), *parts)


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
