"""Entropies and mixtures of log-probabilities, exact where a probability is 0."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.distributions import require_log_probs

__all__ = [
    "Comparison",
    "as_log_probs",
    "compare_with_mean",
    "entropy",
    "fold_members",
    "least_confidence",
    "mean_log_probs",
    "mean_over_members",
    "p_log_p",
    "probabilities_of_others",
]


def as_log_probs(log_probs: ArrayLike) -> jax.Array:
    """Log-probabilities as float32 or better.

    Raises:
      ValueError: if they are not floating point.

    >>> as_log_probs(jnp.zeros(1, jnp.bfloat16)).dtype
    dtype('float32')
    """
    log_probs = jnp.asarray(log_probs)
    if not jnp.issubdtype(log_probs.dtype, jnp.floating):
        raise ValueError(
            f"log_probs must be floating point log-probabilities, got dtype {log_probs.dtype}"
        )
    return log_probs.astype(jnp.promote_types(log_probs.dtype, jnp.float32))


def p_log_p(log_p: jax.Array) -> jax.Array:
    """``p log p`` of log-probabilities, elementwise; 0 in value and gradient where ``p`` is 0.

    >>> p_log_p(jnp.log(jnp.array([0.0, 1.0]))).tolist()
    [0.0, 0.0]
    """
    # The inner where keeps the gradient finite at p = 0, where p log p is 0 but log p is -inf.
    # `!=`, not `>`: NaN must stay NaN.
    possible = log_p != -jnp.inf
    safe = jnp.where(possible, log_p, 0.0)
    return jnp.where(possible, jnp.exp(safe) * safe, 0.0)


def entropy(log_probs: ArrayLike, *, axis: int = -1) -> jax.Array:
    """Shannon entropy in nats.

    Args:
      log_probs: log-probabilities ``[..., class]``, normalised over ``axis``; ``-inf`` stands for
        probability 0.
      axis: the class axis (static).

    Returns:
      ``[...]``, float32 or better, in ``[0, log C]`` nats. NaN where a log-probability is NaN.

    Raises:
      ValueError: if ``log_probs`` is not floating point.

    >>> round(float(entropy(jnp.log(jnp.array([0.5, 0.5])))), 4)
    0.6931
    >>> float(entropy(jnp.log(jnp.array([1.0, 0.0]))))
    0.0
    """
    require_log_probs(log_probs, axis=axis)
    return jnp.abs(jnp.sum(p_log_p(as_log_probs(log_probs)), axis=axis))


def mean_log_probs(log_probs: ArrayLike, *, member_axis: int = 0) -> jax.Array:
    """Log of the ensemble's mean probability, ``log mean_k p_k``, without leaving log space.

    Args:
      log_probs: member log-probabilities ``[member, item..., class]``.
      member_axis: axis to average over (static).

    Returns:
      Log-probabilities of the equally weighted mixture, ``[item..., class]``, float32 or better.
      NaN where a member's is NaN; ``-inf`` everywhere if there are no members.

    Raises:
      ValueError: if ``log_probs`` is not floating point.

    >>> two = jnp.log(jnp.array([[[1.0, 0.0]], [[0.0, 1.0]]]))
    >>> [round(float(p), 3) for p in jnp.exp(mean_log_probs(two))[0]]
    [0.5, 0.5]
    """
    if member_axis % max(jnp.ndim(log_probs), 1) != jnp.ndim(log_probs) - 1:
        require_log_probs(log_probs)
    return compare_with_mean(log_probs, member_axis=member_axis).log_mean


class Comparison(NamedTuple):
    """Members beside their mixture ``mean_k p_k``."""

    log_mean: jax.Array
    """``[item..., class]``: log of the mixture."""
    log_ratio: jax.Array
    """``[member, item..., class]``: ``log p_k - log mean p``; ``-inf`` where a member rules a class
    out, 0 where all do."""


def compare_with_mean(log_probs: ArrayLike, *, member_axis: int = 0) -> Comparison:
    """The members' mixture, and each member's log-ratio to it, without cancellation.

    With ``m`` the largest of the members' log-probabilities, ``log mean p = m + log1p(mean_k
    expm1(log p_k - m))``: a sum of terms <= 0, so that a mixture just below 1 keeps its distance
    from 1, and identical members have ratios of exactly 1.

    Args:
      log_probs: member log-probabilities ``[member, item..., class]``.
      member_axis: the members' axis (static); of the result's ``log_ratio`` it is the first.

    Returns:
      :class:`Comparison`, float32 or better.

    >>> two = jnp.array([[-1e-7, -16.1], [-3e-7, -15.0]])
    >>> round(float(compare_with_mean(two).log_mean[0]), 9)
    -2e-07
    """
    members = jnp.moveaxis(as_log_probs(log_probs), member_axis, 0)
    lowest = jnp.full(members.shape[1:], -jnp.inf, members.dtype)
    fixed = jax.lax.stop_gradient(members)
    largest = fold_members(jnp.maximum, lowest, fixed)
    # A class that every member rules out has no ratios, and no gradient to give.
    possible = largest != -jnp.inf
    members = jnp.where(possible[None], members, 0.0)
    largest = jnp.where(possible, largest, 0.0)
    shortfall = jnp.log1p(mean_over_members(lambda x: jnp.expm1(x - largest), members))
    log_mean = jnp.where(possible, largest + shortfall, -jnp.inf)
    return Comparison(log_mean, members - largest[None] - shortfall[None])


def fold_members(
    add: Callable[[jax.Array, jax.Array], jax.Array],
    start: jax.Array,
    members: jax.Array,
    *,
    unroll: bool = False,
) -> jax.Array:
    """``add(add(start, members[0]), members[1])`` and so on; with ``unroll`` in one kernel.

    A scan: XLA's reductions over a leading axis are scalar loops on CPU, several times slower.

    >>> fold_members(jnp.maximum, jnp.zeros(1), jnp.array([[1.0], [3.0]])).tolist()
    [3.0]
    """
    return jax.lax.scan(lambda so_far, x: (add(so_far, x), None), start, members, unroll=unroll)[0]


def mean_over_members(
    term: Callable[[jax.Array], jax.Array], members: jax.Array, *, unroll: bool = False
) -> jax.Array:
    """Mean of an elementwise ``term`` over the first axis, see :func:`fold_members`; NaN without
    members.

    >>> mean_over_members(jnp.square, jnp.array([[1.0], [3.0]])).tolist()
    [5.0]
    """
    nothing = jnp.zeros(members.shape[1:], members.dtype)
    total = fold_members(lambda total, x: total + term(x), nothing, members, unroll=unroll)
    return total / jnp.asarray(members.shape[0], members.dtype)


def least_confidence(log_probs: ArrayLike, *, axis: int = -1) -> jax.Array:
    """``1 - max_c p_c``, as the probability of all other classes together.

    Their sum keeps its relative accuracy where the largest probability rounds to 1, in
    log-probabilities that were normalised in float32 too.

    Args:
      log_probs: log-probabilities ``[..., class]``, normalised over ``axis``, at least one class.
      axis: the class axis (static).

    Returns:
      ``[...]``, float32 or better, in ``[0, 1 - 1 / C]``. NaN where a log-probability is NaN.

    Raises:
      ValueError: if ``log_probs`` is not floating point.

    References:
      Hendrycks & Gimpel, A Baseline for Detecting Misclassified and Out-of-Distribution Examples,
      2017, https://arxiv.org/abs/1610.02136.

    >>> sure = jax.nn.log_softmax(jnp.array([30.0, 0.0]))
    >>> float(sure[0]), float(least_confidence(sure))
    (0.0, 9.35...e-14)
    """
    require_log_probs(log_probs, axis=axis)
    log_probs = jnp.moveaxis(as_log_probs(log_probs), axis, -1)
    return jnp.sum(probabilities_of_others(log_probs, jnp.argmax(log_probs, -1)), axis=-1)


def probabilities_of_others(log_probs: jax.Array, but: jax.Array) -> jax.Array:
    """Probabilities ``[..., class]``, 0 for the class ``but [...]`` of each row.

    >>> probabilities_of_others(jnp.log(jnp.array([0.5, 0.25, 0.25])), jnp.array(0)).tolist()
    [0.0, 0.25, 0.25]
    """
    classes = jax.lax.broadcasted_iota(but.dtype, log_probs.shape, log_probs.ndim - 1)
    others = classes != but[..., None]
    # A NaN of the class left out is the row's all the same.
    undefined = jnp.any(jnp.isnan(log_probs), axis=-1, keepdims=True)
    return jnp.where(undefined, jnp.nan, jnp.where(others, jnp.exp(log_probs), 0.0))
