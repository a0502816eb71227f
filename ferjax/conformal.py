"""Thresholds with a promise: conformal rejection, per group too, and certified error among accepted
faces.

Every promise is finite-sample and holds whatever the scores are worth, as long as calibration faces
(valid, never test) and fresh faces are exchangeable. Scores are ``[face]``, larger meaning "less to
be trusted"; a face passes a threshold it does not exceed.

References:
  Papadopoulos et al., Inductive Confidence Machines for Regression, 2002 (split-conformal); Vovk,
  Conditional Validity of Inductive Conformal Predictors, 2012, https://arxiv.org/abs/1209.2673
  (Mondrian groups); Angelopoulos et al., Learn Then Test, 2021, https://arxiv.org/abs/2110.01052;
  Angelopoulos et al., Conformal Risk Control, 2022, https://arxiv.org/abs/2208.02814.
"""

import math

import jax
import jax.numpy as jnp

__all__ = [
    "binomial_tail",
    "conformal_rank",
    "conformal_threshold",
    "group_conformal_thresholds",
    "learn_then_test",
    "quantile_threshold",
    "risk_controlling_index",
]


def conformal_rank(faces: int, false_rejection: float) -> int:
    """The rank ``ceil((n + 1)(1 - α))`` of the calibration score that bounds false rejection by α;
    above n: none does.

    >>> conformal_rank(19, 0.05), conformal_rank(9, 0.05)
    (19, 10)
    """
    if not 0 < false_rejection < 1:
        raise ValueError(
            f"false_rejection must lie strictly between 0 and 1, got {false_rejection}"
        )
    # (n + 1)(1 - α) is often whole; do not let 1 - 0.05 = 0.95000000001 push it up a rank.
    return math.ceil((faces + 1) * (1 - false_rejection) - 1e-9 * (faces + 1))


def conformal_threshold(scores: jax.Array, false_rejection: float) -> jax.Array:
    """The split-conformal threshold: a fresh face like these exceeds it with probability at most
    ``false_rejection``.

    Ties only make it safer.

    Args:
      scores: ``[face]`` reject scores of clean calibration faces.
      false_rejection: α in (0, 1).

    Returns:
      Scalar threshold; ``inf`` (reject nothing) when there are too few faces to promise α.

    Raises:
      ValueError: if α is outside (0, 1) or there is no score.

    >>> float(conformal_threshold(jnp.arange(1.0, 20.0), 0.05))
    19.0
    >>> float(conformal_threshold(jnp.arange(1.0, 10.0), 0.05))
    inf
    """
    scores = jnp.asarray(scores)
    if scores.ndim != 1 or scores.size == 0:
        raise ValueError(
            f"calibration scores must be [face] and not empty, got shape {scores.shape}"
        )
    rank = conformal_rank(scores.shape[0], false_rejection)
    if rank > scores.shape[0]:
        return jnp.array(jnp.inf, scores.dtype)
    return jnp.sort(scores)[rank - 1]


def group_conformal_thresholds(
    scores: jax.Array, groups: jax.Array, num_groups: int, false_rejection: float
) -> jax.Array:
    """A split-conformal threshold for each group, so that each group has the promise for itself
    (Mondrian).

    Where the group of a fresh face is known (its predicted class), use its group's. Where it is not
    (whether people would disagree), the largest over the groups keeps the promise to all of them at
    once.

    Args:
      scores: ``[face]``.
      groups: ``[face]`` int in 0..num_groups-1; others are ignored.
      num_groups: static.
      false_rejection: α in (0, 1).

    Returns:
      ``[group]`` thresholds; ``inf`` for a group with too few faces.

    >>> t = group_conformal_thresholds(jnp.array([1.0, 5.0, 2.0, 6.0]), jnp.array([0, 1, 0, 1]), 2, 0.4)
    >>> t.tolist()
    [2.0, 6.0]
    """
    scores = jnp.asarray(scores, jnp.float32)
    groups = jnp.asarray(groups)
    if scores.ndim != 1 or scores.shape != groups.shape:
        raise ValueError(
            f"expected scores and groups [face] of one length, got {scores.shape} and {groups.shape}"
        )
    if not 0 < false_rejection < 1:
        raise ValueError(
            f"false_rejection must lie strictly between 0 and 1, got {false_rejection}"
        )

    def one(group: jax.Array) -> jax.Array:
        mine = groups == group
        count = jnp.sum(mine)
        # The largest number of faces that may lie above: floor((n + 1) α), one less than the fresh
        # face itself takes.
        above = jnp.floor((count + 1) * false_rejection * (1 + 1e-6)).astype(jnp.int32) - 1
        rank = count - 1 - above
        ordered = jnp.sort(jnp.where(mine, scores, jnp.inf))
        return jnp.where(above >= 0, ordered[jnp.clip(rank, 0, scores.shape[0] - 1)], jnp.inf)

    return jax.vmap(one)(jnp.arange(num_groups))


def quantile_threshold(scores: jax.Array, share: float) -> jax.Array:
    """The threshold that at most ``share`` of these scores exceed, as closely as their ties allow.

    >>> float(quantile_threshold(jnp.arange(1.0, 10.0), 1 / 3))
    6.0
    """
    scores = jnp.asarray(scores)
    if scores.ndim != 1 or scores.size == 0:
        raise ValueError(f"scores must be [face] and not empty, got shape {scores.shape}")
    if not 0 < share < 1:
        raise ValueError(f"share must lie strictly between 0 and 1, got {share}")
    n = scores.shape[0]
    above = int(n * share + 1e-9)
    return jnp.sort(scores)[n - above - 1]


def binomial_tail(errors: jax.Array, accepted: jax.Array, max_error: float) -> jax.Array:
    """The chance of seeing so few errors if more than a share ``max_error`` of accepted faces were
    wrong: an exact binomial tail.

    Args:
      errors: ``[...]`` wrong faces among the accepted ones.
      accepted: ``[...]`` accepted faces.
      max_error: ε, the error to be exceeded under the null hypothesis.

    Returns:
      ``[...]`` p-values; 1 where nothing is accepted.

    >>> round(float(binomial_tail(jnp.array(0), jnp.array(10), 0.3)), 4)
    0.0282
    """
    errors = jnp.asarray(errors, jnp.float32)
    accepted = jnp.asarray(accepted, jnp.float32)
    # P(Binomial(n, ε) <= k) = I_{1-ε}(n - k, k + 1); at k = n it is 1.
    some = accepted > errors
    tail = jax.scipy.special.betainc(
        jnp.where(some, accepted - errors, 1.0), errors + 1, 1 - max_error
    )
    return jnp.where(some, tail, 1.0)


def learn_then_test(
    errors: jax.Array,
    accepted: jax.Array,
    *,
    max_error: float,
    delta: float,
    first: int | jax.Array = 0,
) -> jax.Array:
    """Which thresholds promise "error among accepted <= ``max_error``" with probability >= 1 -
    ``delta``, all at once.

    Learn Then Test with fixed-sequence testing: each row is a walk from the strictest threshold to
    the most lenient, and goes on while the exact binomial test rejects "the error is larger"; rows
    share δ (Bonferroni). Thresholds, and where the walk begins, must be chosen without looking at
    these faces' labels, best on other faces.

    Args:
      errors: ``[..., T]`` wrong faces among the accepted, along thresholds of rising leniency.
      accepted: ``[..., T]`` accepted faces.
      max_error: ε in (0, 1).
      delta: δ in (0, 1).
      first: where each walk begins, scalar or ``[...]``; earlier thresholds are not certified.

    Returns:
      bool ``[..., T]``.

    >>> learn_then_test(jnp.array([0, 1, 30]), jnp.array([50, 80, 100]), max_error=0.1, delta=0.1).tolist()
    [True, True, False]
    """
    if not (0 < max_error < 1 and 0 < delta < 1):
        raise ValueError(
            f"most and delta must lie strictly between 0 and 1, got {max_error} and {delta}"
        )
    errors = jnp.asarray(errors)
    accepted = jnp.asarray(accepted)
    if errors.shape != accepted.shape or errors.ndim < 1:
        raise ValueError(
            f"errors and accepted must be [..., T] alike, got {errors.shape} and {accepted.shape}"
        )
    rows = math.prod(errors.shape[:-1])
    passed = binomial_tail(errors, accepted, max_error) <= delta / rows
    position = jnp.arange(errors.shape[-1]).reshape(*[1] * (errors.ndim - 1), -1)
    before = position < jnp.asarray(first)[..., None] if jnp.ndim(first) else position < first
    return jnp.logical_and(
        jax.lax.associative_scan(jnp.logical_and, passed | before, axis=errors.ndim - 1), ~before
    )


def risk_controlling_index(losses: jax.Array, max_error: float) -> jax.Array:
    """Conformal risk control: the most lenient threshold whose expected loss on a fresh face is at
    most ``max_error``.

    Args:
      losses: ``[face, T]`` in [0, 1], e.g. "accepted and wrong", never falling along T (rising
        leniency).
      max_error: bound of the expected loss.

    Returns:
      Index along T, or -1 if no threshold can be promised.

    >>> int(risk_controlling_index(jnp.array([[0, 0, 1], [0, 0, 1], [0, 1, 1], [0, 0, 0]]), 0.4))
    1
    """
    losses = jnp.asarray(losses, jnp.float32)
    if losses.ndim != 2:
        raise ValueError(f"losses must be [face, T], got {losses.shape}")
    bound = (jnp.sum(losses, axis=0) + 1.0) / (losses.shape[0] + 1)
    return jnp.sum(jnp.cumprod(bound <= max_error)).astype(jnp.int32) - 1
