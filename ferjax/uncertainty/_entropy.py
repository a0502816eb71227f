"""Entropies and mixtures of log-probabilities, exact where a probability is 0."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

__all__ = ["as_log_probs", "entropy", "mean_log_probs", "p_log_p"]


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
    log_probs = as_log_probs(log_probs)
    # A class that every member rules out would give logsumexp a NaN gradient; it has none to give.
    possible = jnp.any(log_probs != -jnp.inf, axis=member_axis, keepdims=True)
    summed = jax.nn.logsumexp(jnp.where(possible, log_probs, 0.0), axis=member_axis)
    mean = summed - jnp.log(log_probs.shape[member_axis])
    return jnp.where(jnp.squeeze(possible, member_axis), mean, -jnp.inf)
