"""Thresholds with guarantees: conformal rejection, overall or by group, and certified error.

Every guarantee is finite-sample and holds whatever the scores are worth, as long as calibration
items (valid, never test) and fresh items are exchangeable. Scores are ``[item]``, larger meaning
"less to be trusted"; an item passes a threshold it does not exceed.

References:
  Papadopoulos et al., Inductive Confidence Machines for Regression, 2002,
  https://doi.org/10.1007/3-540-36755-1_29 (split-conformal); Vovk, Conditional Validity of
  Inductive Conformal Predictors, 2012, https://arxiv.org/abs/1209.2673 (Mondrian groups);
  Angelopoulos et al., Learn Then Test, 2021, https://arxiv.org/abs/2110.01052; Angelopoulos et al.,
  Conformal Risk Control, 2022, https://arxiv.org/abs/2208.02814.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

__all__ = [
    "binomial_tail",
    "conformal_rank",
    "conformal_threshold",
    "group_conformal_thresholds",
    "learn_then_test",
    "quantile_threshold",
    "risk_controlling_index",
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
    _check_share("false_rejection", false_rejection)
    # (n + 1)(1 - α) is often whole: 100 (1 - 0.45) = 55.00000000000001 must not push it up a rank.
    return math.ceil((items + 1) * (1 - false_rejection) - 1e-9 * (items + 1))


def conformal_threshold(scores: ArrayLike, false_rejection: float) -> jax.Array:
    """The split-conformal threshold: a fresh item exceeds it with probability at most α.

    Ties only make it safer.

    Args:
      scores: ``[item]`` floating-point reject scores of clean calibration items. NaN counts as the
        largest score.
      false_rejection: α in (0, 1) (static).

    Returns:
      Scalar threshold of the scores' dtype; ``inf`` (reject nothing) when there are too few items
      to promise α; NaN where the rank falls on a NaN score.

    Raises:
      ValueError: if α is outside (0, 1) or there is no score.

    >>> float(conformal_threshold(jnp.arange(1.0, 20.0), 0.05))
    19.0
    >>> float(conformal_threshold(jnp.arange(1.0, 10.0), 0.05))
    inf
    """
    scores = _check_scores(scores)
    rank = conformal_rank(scores.shape[0], false_rejection)
    if rank > scores.shape[0]:
        return jnp.array(jnp.inf, scores.dtype)
    return jnp.sort(scores)[rank - 1]


def group_conformal_thresholds(
    scores: ArrayLike, groups: ArrayLike, num_groups: int, false_rejection: float
) -> jax.Array:
    """A split-conformal threshold for each group, so that each has the promise for itself.

    Where the group of a fresh item is known (its predicted class), use its group's. Where it is not
    (whether people would disagree), the largest over the groups keeps the promise to all of them at
    once.

    Args:
      scores: ``[item]`` reject scores of clean calibration items, at least one. NaN counts as the
        largest score.
      groups: ``[item]`` int in 0..num_groups-1; others are ignored.
      num_groups: static.
      false_rejection: α in (0, 1) (static).

    Returns:
      float32 ``[group]`` thresholds; ``inf`` for a group with too few items; NaN where the rank
      falls on a NaN score.

    Raises:
      ValueError: if α is outside (0, 1) or the arrays are not ``[item]`` of one length.

    References:
      Vovk, Conditional Validity of Inductive Conformal Predictors, 2012,
      https://arxiv.org/abs/1209.2673.

    >>> scores = jnp.array([1.0, 5.0, 2.0, 6.0])
    >>> group_conformal_thresholds(scores, jnp.array([0, 1, 0, 1]), 2, 0.4).tolist()
    [2.0, 6.0]
    """
    scores = jnp.asarray(scores, jnp.float32)
    groups = jnp.asarray(groups)
    if scores.ndim != 1 or scores.shape != groups.shape:
        raise ValueError(
            "expected scores and groups [item] of one length, "
            f"got {scores.shape} and {groups.shape}"
        )
    _check_share("false_rejection", false_rejection)

    def one(group: jax.Array) -> jax.Array:
        mine = groups == group
        count = jnp.sum(mine)
        # The largest number of items that may lie above: floor((n + 1) α), one less than the fresh
        # item itself takes.
        above = jnp.floor((count + 1) * false_rejection * (1 + 1e-6)).astype(jnp.int32) - 1
        rank = count - 1 - above
        ordered = jnp.sort(jnp.where(mine, scores, jnp.inf))
        return jnp.where(above >= 0, ordered[jnp.clip(rank, 0, scores.shape[0] - 1)], jnp.inf)

    return jax.vmap(one)(jnp.arange(num_groups))


def quantile_threshold(scores: ArrayLike, share: float) -> jax.Array:
    """The threshold that at most ``share`` of these scores exceed, as closely as ties allow.

    Args:
      scores: ``[item]``, at least one. NaN counts as the largest score.
      share: in (0, 1) (static).

    Returns:
      Scalar threshold, one of the scores.

    Raises:
      ValueError: if ``share`` is outside (0, 1) or there is no score.

    >>> float(quantile_threshold(jnp.arange(1.0, 10.0), 1 / 3))
    6.0
    """
    scores = _check_scores(scores)
    _check_share("share", share)
    n = scores.shape[0]
    above = int(n * share + 1e-9)
    return jnp.sort(scores)[n - above - 1]


def binomial_tail(errors: ArrayLike, accepted: ArrayLike, max_error: ArrayLike) -> jax.Array:
    """The chance of so few errors if the error were above ``max_error``: an exact binomial tail.

    Args:
      errors: ``[...]`` wrong items among the accepted ones.
      accepted: ``[...]`` accepted items.
      max_error: ε in (0, 1), the error to be exceeded under the null hypothesis.

    Returns:
      float32 ``[...]`` p-values; 1 where nothing is accepted.

    References:
      Clopper & Pearson, The Use of Confidence or Fiducial Limits Illustrated in the Case of the
      Binomial, 1934, https://doi.org/10.1093/biomet/26.4.404.

    >>> round(float(binomial_tail(jnp.array(0), jnp.array(10), 0.3)), 4)
    0.0282
    """
    errors = jnp.asarray(errors, jnp.float32)
    accepted = jnp.asarray(accepted, jnp.float32)
    # P(Binomial(n, ε) <= k) = I_{1-ε}(n - k, k + 1); at k = n it is 1.
    some = accepted > errors
    right = jnp.where(some, accepted - errors, 1.0)
    tail = jax.scipy.special.betainc(right, errors + 1, 1 - max_error)
    return jnp.where(some, tail, 1.0)


def learn_then_test(
    errors: ArrayLike,
    accepted: ArrayLike,
    *,
    max_error: ArrayLike,
    delta: float,
    first: ArrayLike = 0,
) -> jax.Array:
    """Which thresholds keep the error among accepted items at most ``max_error``, all at once.

    With probability at least ``1 - delta``, every threshold that is certified does. Learn Then Test
    with fixed-sequence testing: each row is a walk from the strictest threshold to the most
    lenient, and goes on while the exact binomial test rejects "the error is larger"; rows share δ
    (Bonferroni). Thresholds, and where the walk begins, must be chosen without looking at these
    items' labels, best on other items.

    Args:
      errors: ``[..., T]`` wrong items among the accepted, along thresholds of rising leniency.
      accepted: ``[..., T]`` accepted items.
      max_error: ε in (0, 1); checked unless it is traced.
      delta: δ in (0, 1) (static).
      first: where each walk begins, scalar or ``[...]``; earlier thresholds are not certified.

    Returns:
      bool ``[..., T]``, whether each threshold is certified; empty where there are none.

    Raises:
      ValueError: if ε or δ is outside (0, 1) or the shapes do not fit.

    References:
      Angelopoulos et al., Learn Then Test, 2021, https://arxiv.org/abs/2110.01052.

    >>> errors = jnp.array([0, 1, 30])
    >>> accepted = jnp.array([50, 80, 100])
    >>> learn_then_test(errors, accepted, max_error=0.1, delta=0.1).tolist()
    [True, True, False]
    """
    _check_share("max_error", max_error)
    _check_share("delta", delta)
    errors = jnp.asarray(errors)
    accepted = jnp.asarray(accepted)
    if errors.shape != accepted.shape or errors.ndim < 1:
        raise ValueError(
            f"errors and accepted must be [..., T] alike, got {errors.shape} and {accepted.shape}"
        )
    rows = math.prod(errors.shape[:-1])
    passed = binomial_tail(errors, accepted, max_error) <= delta / rows
    position = jnp.arange(errors.shape[-1]).reshape(*[1] * (errors.ndim - 1), -1)
    begin = jnp.asarray(first)
    before = position < (begin[..., None] if begin.ndim else begin)
    unbroken = jax.lax.associative_scan(jnp.logical_and, passed | before, axis=errors.ndim - 1)
    return unbroken & ~before


def risk_controlling_index(losses: ArrayLike, max_error: float) -> jax.Array:
    """Conformal risk control: the most lenient threshold with expected loss at most ``max_error``.

    Args:
      losses: ``[item, T]`` in [0, 1], e.g. "accepted and wrong", never falling along T (rising
        leniency).
      max_error: bound of the expected loss on a fresh item.

    Returns:
      int32 scalar: index along T, or -1 if no threshold can be promised (no items, for one). A NaN
      loss promises nothing from its threshold on.

    Raises:
      ValueError: if ``losses`` is not ``[item, T]``.

    References:
      Angelopoulos et al., Conformal Risk Control, 2022, https://arxiv.org/abs/2208.02814.

    >>> losses = jnp.array([[0, 0, 1], [0, 0, 1], [0, 1, 1], [0, 0, 0]])
    >>> int(risk_controlling_index(losses, 0.4))
    1
    """
    losses = jnp.asarray(losses, jnp.float32)
    if losses.ndim != 2:
        raise ValueError(f"losses must be [item, T], got {losses.shape}")
    bound = (jnp.sum(losses, axis=0) + 1.0) / (losses.shape[0] + 1)
    return jnp.sum(jnp.cumprod(bound <= max_error)).astype(jnp.int32) - 1


def _check_share(name: str, share: ArrayLike) -> None:
    """Refuses a share outside (0, 1); one that is traced cannot be looked at."""
    if isinstance(share, jax.core.Tracer):
        return
    if not 0 < float(np.asarray(share)) < 1:
        raise ValueError(f"{name} must lie strictly between 0 and 1, got {share}")


def _check_scores(scores: ArrayLike) -> jax.Array:
    scores = jnp.asarray(scores)
    if scores.ndim != 1 or scores.size == 0:
        raise ValueError(f"scores must be [item] and not empty, got shape {scores.shape}")
    return scores
