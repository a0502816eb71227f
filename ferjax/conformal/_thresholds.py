"""Thresholds that bound how many clean items are rejected: overall, and group by group."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ferjax.arrays import as_floats, is_traced

__all__ = [
    "check_share",
    "conformal_rank",
    "conformal_threshold",
    "group_conformal_thresholds",
    "quantile_threshold",
]


def conformal_rank(items: int, false_rejection: float) -> int:
    """The rank ``ceil((n + 1)(1 - α))`` of the calibration score that bounds false rejection by α.

    Args:
      items: number of calibration items n.
      false_rejection: α in (0, 1).

    Returns:
      The rank, from 1; if it is above n, no calibration score keeps the promise.

    Raises:
      ValueError: if α is outside (0, 1).

    >>> conformal_rank(19, 0.05), conformal_rank(9, 0.05)
    (19, 10)
    """
    check_share("false_rejection", false_rejection)
    # (n + 1)(1 - α) is often whole: 100 (1 - 0.45) = 55.00000000000001 must not push it up a rank.
    return math.ceil((items + 1) * (1 - false_rejection) - 1e-9 * (items + 1))


def conformal_threshold(scores: ArrayLike, false_rejection: ArrayLike) -> jax.Array | np.ndarray:
    """The split-conformal threshold: a fresh item exceeds it with probability at most α.

    Ties only make it safer.

    Args:
      scores: ``[item]`` reject scores of clean calibration items. NaN counts as the largest: what
        cannot be scored is rejected.
      false_rejection: α in (0, 1); checked unless it is traced, when the rank is exact up to 10^6
        items.

    Returns:
      Scalar threshold, float32 and never below the score it is; of float64 or 64-bit integers
      outside of jit a float64 of numpy, so that the scores it is compared with keep their order.
      ``inf`` (reject nothing) when there are too few items to promise α; NaN where the rank falls
      on a NaN score.

    Raises:
      ValueError: if α is outside (0, 1) or there is no score.

    >>> float(conformal_threshold(jnp.arange(1.0, 20.0), 0.05))
    19.0
    >>> float(conformal_threshold(jnp.arange(1.0, 10.0), 0.05))
    inf
    """
    check_share("false_rejection", false_rejection)
    scores = _check_scores(scores)
    n = scores.shape[0]
    if not is_traced(false_rejection):
        rank = conformal_rank(n, float(np.asarray(false_rejection)))
        return _sorted(scores)[rank - 1] if rank <= n else _infinite(scores)
    place = n - 1 - _above(jnp.asarray(n), false_rejection)
    ordered = jnp.asarray(_sorted(scores))
    return jnp.where(place < n, ordered[jnp.clip(place, 0, n - 1)], jnp.inf)


def _above(count: jax.Array, false_rejection: ArrayLike) -> jax.Array:
    """The most calibration items that may lie above: ``floor((n + 1) α)``, less the one rank that
    the fresh item itself takes."""
    share = jnp.asarray(false_rejection, jnp.float32) * (1 + 1e-6)
    return jnp.floor((count + 1).astype(jnp.float32) * share).astype(jnp.int32) - 1


def group_conformal_thresholds(
    scores: ArrayLike, groups: ArrayLike, num_groups: int, false_rejection: ArrayLike
) -> jax.Array | np.ndarray:
    """A split-conformal threshold for each group, so that each has the promise for itself.

    Where the group of a fresh item is known (its predicted class), use its group's. Where it is not
    (whether people would disagree), the largest over the groups keeps the promise to all of them at
    once.

    Args:
      scores: ``[item]`` reject scores of clean calibration items, at least one. NaN counts as the
        largest score.
      groups: ``[item]`` int in 0..num_groups-1; others are ignored.
      num_groups: static.
      false_rejection: α in (0, 1); checked unless it is traced.

    Returns:
      ``[group]`` thresholds, of the type that :func:`conformal_threshold` gives; ``inf`` for a
      group with too few items; NaN where the rank falls on a NaN score. Under jit ranks are exact
      up to 10^6 items of a group.

    Raises:
      ValueError: if α is outside (0, 1) or the arrays are not ``[item]`` of one length.

    References:
      Vovk, Conditional Validity of Inductive Conformal Predictors, 2012,
      https://arxiv.org/abs/1209.2673.

    >>> scores = jnp.array([1.0, 5.0, 2.0, 6.0])
    >>> group_conformal_thresholds(scores, jnp.array([0, 1, 0, 1]), 2, 0.4).tolist()
    [2.0, 6.0]
    """
    check_share("false_rejection", false_rejection)
    if not any(is_traced(of) for of in (scores, groups, false_rejection)):
        return _of_groups(scores, groups, num_groups, float(np.asarray(false_rejection)))
    (values,) = as_floats(scores)
    members = jnp.asarray(groups)
    _check_groups(values, members)

    def one(group: jax.Array) -> jax.Array:
        mine = members == group
        count = jnp.sum(mine)
        above = _above(count, false_rejection)
        ordered = jnp.sort(jnp.where(mine, values, jnp.inf))
        place = jnp.clip(count - 1 - above, 0, values.shape[0] - 1)
        return jnp.where(above >= 0, ordered[place], jnp.inf)

    return jax.vmap(one)(jnp.arange(num_groups))


def _check_groups(scores: jax.Array | np.ndarray, groups: jax.Array | np.ndarray) -> None:
    if scores.ndim != 1 or scores.shape != groups.shape or scores.size == 0:
        raise ValueError(
            "scores and groups must be [item] of one length and not empty, "
            f"got {scores.shape} and {groups.shape}"
        )


def _of_groups(
    scores: ArrayLike, groups: ArrayLike, num_groups: int, false_rejection: float
) -> jax.Array | np.ndarray:
    """The same on the host, with exact ranks."""
    members = np.asarray(groups)
    values = np.asarray(scores)
    _check_groups(values, members)
    values = _as_host_floats(values)
    order = np.lexsort((values, members))
    first = np.searchsorted(members[order], np.arange(num_groups), side="left")
    counts = np.searchsorted(members[order], np.arange(num_groups), side="right") - first
    ranks = np.array([conformal_rank(int(count), false_rejection) for count in counts], int)
    place = np.clip(first + ranks - 1, 0, len(order) - 1)
    found = np.where(ranks <= counts, values[order][place], np.inf)
    return found if values.dtype == np.float64 else jnp.asarray(found)


def quantile_threshold(scores: ArrayLike, share: ArrayLike) -> jax.Array | np.ndarray:
    """The threshold that at most ``share`` of these scores exceed, as closely as ties allow.

    Args:
      scores: ``[item]``, at least one. NaN counts as the largest score.
      share: in (0, 1); checked unless it is traced.

    Returns:
      Scalar threshold, one of the scores, of the type that :func:`conformal_threshold` gives; NaN
      where that is a NaN score.

    Raises:
      ValueError: if ``share`` is outside (0, 1) or there is no score.

    >>> float(quantile_threshold(jnp.arange(1.0, 10.0), 1 / 3))
    6.0
    """
    check_share("share", share)
    scores = _check_scores(scores)
    n = scores.shape[0]
    if not is_traced(share):
        return _sorted(scores)[n - int(n * float(np.asarray(share)) + 1e-9) - 1]
    above = jnp.floor(n * jnp.asarray(share, jnp.float32) * (1 + 1e-6)).astype(jnp.int32)
    return jnp.asarray(_sorted(scores))[jnp.clip(n - above - 1, 0, n - 1)]


def check_share(name: str, share: ArrayLike) -> None:
    """Refuses a share outside (0, 1); one that is traced cannot be looked at.

    Raises:
      ValueError: naming it.

    >>> check_share("delta", 0.1)
    """
    if not is_traced(share) and not 0 < float(np.asarray(share)) < 1:
        raise ValueError(f"{name} must lie strictly between 0 and 1, got {share}")


def _check_scores(scores: ArrayLike) -> jax.Array | np.ndarray:
    """Scores as they are, those that JAX would narrow on the host."""
    on_device = isinstance(scores, jax.Array)
    given: jax.Array | np.ndarray = jnp.asarray(scores) if on_device else np.asarray(scores)
    if given.ndim != 1 or given.size == 0:
        raise ValueError(f"scores must be [item] and not empty, got shape {given.shape}")
    as_floats(given[:1])
    return given


def _as_host_floats(scores: np.ndarray) -> np.ndarray:
    wide = scores.dtype.kind in "iuf" and scores.dtype.itemsize > 4
    integers = scores.dtype.kind in "iu" and scores.dtype.itemsize == 4
    return scores.astype(np.float64 if wide or integers else np.float32)


def _infinite(scores: jax.Array | np.ndarray) -> jax.Array | np.ndarray:
    host = isinstance(scores, np.ndarray) and _as_host_floats(scores[:1]).dtype == np.float64
    return np.array(np.inf) if host else jnp.array(jnp.inf, as_floats(scores[:1])[0].dtype)


def _sorted(scores: jax.Array | np.ndarray) -> jax.Array | np.ndarray:
    """Scores in ascending order, NaN last, as floats that are never below them."""
    if isinstance(scores, np.ndarray):
        on_host = np.sort(_as_host_floats(scores))
        return on_host if on_host.dtype == np.float64 else jnp.asarray(on_host)
    ordered = jnp.sort(scores)
    (floats,) = as_floats(ordered)
    if jnp.issubdtype(ordered.dtype, jnp.integer):
        rounded = jnp.abs(floats) > 1 << 24
        return jnp.where(rounded, jnp.nextafter(floats, jnp.full_like(floats, jnp.inf)), floats)
    return floats
