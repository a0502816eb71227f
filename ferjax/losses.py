"""Losses: log-probabilities and vote distributions in, nats per item out.

Axis legend: ``[item, class]`` log-probabilities and vote distributions, ``[item]`` losses. Every
function is pure, un-jitted and differentiable, is computed in float32 or better, and takes the
items one by one: the mean over a batch is the caller's. ``0 log 0`` is exactly 0 in value and
gradient.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

__all__ = ["cross_entropy", "hard_targets"]


def cross_entropy(log_probs: ArrayLike, q: ArrayLike) -> jax.Array:
    """Cross-entropy of predictions to vote distributions, ``-sum_c q_c log p_c``.

    Up to the entropy of the votes, which no prediction changes, this is ``KL(q || p)``: the loss of
    label distribution learning. On the one-hot rows of :func:`hard_targets` it is the cross-entropy
    to the label.

    Args:
      log_probs: ``[item, class]`` log-probabilities; ``-inf`` stands for probability 0.
      q: ``[item, class]`` vote distributions, or one-hot labels.

    Returns:
      Nats, ``[item]``; infinite where a class that has votes is impossible.

    Raises:
      ValueError: if the two have different shapes.

    References:
      Geng, Label Distribution Learning, 2016, https://arxiv.org/abs/1408.6027.

    >>> log_probs = jnp.log(jnp.array([[0.5, 0.5, 0.0]]))
    >>> round(float(cross_entropy(log_probs, jnp.array([[0.25, 0.75, 0.0]]))[0]), 4)
    0.6931
    """
    log_probs = jnp.asarray(log_probs)
    log_probs = log_probs.astype(jnp.promote_types(log_probs.dtype, jnp.float32))
    q = jnp.asarray(q, log_probs.dtype)
    if log_probs.shape != q.shape:
        raise ValueError(
            f"log_probs and q must both be [item, class], got {log_probs.shape} and {q.shape}"
        )
    # The inner where keeps the gradient finite where q is 0 and log p is -inf. `!=`, not `>`: a NaN
    # stays one.
    return -jnp.sum(q * jnp.where(q != 0, log_probs, 0.0), axis=-1)


def hard_targets(q: ArrayLike) -> jax.Array:
    """All of the mass on the most voted class, ties to the first.

    Args:
      q: ``[item, class]`` vote distributions.

    Returns:
      One-hot rows, float32 ``[item, class]``.

    >>> hard_targets(jnp.array([[0.2, 0.4, 0.4]])).tolist()
    [[0.0, 1.0, 0.0]]
    """
    q = jnp.asarray(q)
    return jax.nn.one_hot(jnp.argmax(q, axis=-1), q.shape[-1], dtype=jnp.float32)
