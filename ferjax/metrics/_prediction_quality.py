"""How good predictions are, against one label and against the votes of many people.

Axis legend: log-probabilities ``log_probs`` and vote distributions ``q`` are ``[item, class]``,
labels and weights ``[item]``. A NaN among the inputs of an item that has weight gives NaN, and so
do no items, or none with weight.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.metrics._weighted_ranks import weighted_mean

__all__ = ["accuracy", "brier", "jensen_shannon", "kl", "nll", "vote_accuracy"]


def _top_class(log_probs: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """Argmax class, and which rows have no NaN (argmax returns the NaN's index)."""
    log_probs = jnp.asarray(log_probs)
    return jnp.argmax(log_probs, -1), ~jnp.any(jnp.isnan(log_probs), -1)


def accuracy(
    log_probs: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
) -> jax.Array:
    """Share of items whose most probable class is the label; ties go to the first class.

    Args:
      log_probs: ``[item, class]``.
      labels: ``[item]`` class indices.
      weights: ``[item]`` >= 0, or None for one each.

    Returns:
      float32 scalar in [0, 1]; NaN for a NaN log-probability, or if no item has weight.

    Raises:
      ValueError: if there is not one weight for each item.

    >>> float(accuracy(jnp.log(jnp.array([[0.9, 0.1], [0.4, 0.6]])), jnp.array([0, 0])))
    0.5
    """
    top, defined = _top_class(log_probs)
    right = (top == jnp.asarray(labels)).astype(jnp.float32)
    return weighted_mean(jnp.where(defined, right, jnp.nan), weights)


def vote_accuracy(
    log_probs: ArrayLike, q: ArrayLike, weights: ArrayLike | None = None
) -> jax.Array:
    """Mean share of the votes that the predicted class holds: accuracy against people.

    Args:
      log_probs: ``[item, class]``.
      q: ``[item, class]`` vote distributions.
      weights: ``[item]`` >= 0, or None for one each.

    Returns:
      float32 scalar in [0, 1]; NaN for a NaN log-probability or a NaN share of the predicted class,
      or if no item has weight.

    Raises:
      ValueError: if there is not one weight for each item.

    >>> float(vote_accuracy(jnp.log(jnp.array([[0.9, 0.1]])), jnp.array([[0.75, 0.25]])))
    0.75
    """
    top, defined = _top_class(log_probs)
    chosen = jnp.take_along_axis(jnp.asarray(q), top[:, None], axis=-1)[:, 0]
    return weighted_mean(jnp.where(defined, chosen, jnp.nan), weights)


def nll(log_probs: ArrayLike, q: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """Negative log-likelihood of the votes, ``mean -sum_c q_c log p_c``.

    Args:
      log_probs: ``[item, class]``.
      q: ``[item, class]`` vote distributions (or one-hot labels).
      weights: ``[item]`` >= 0, or None for one each.

    Returns:
      float32 scalar >= 0, nats per vote; ``0 log 0`` is 0; ``inf`` where a vote falls on a class of
      probability 0; NaN for a NaN input (log-probabilities without votes aside), or if no item has
      weight.

    Raises:
      ValueError: if there is not one weight for each item.

    >>> round(float(nll(jnp.log(jnp.array([[0.5, 0.5]])), jnp.array([[1.0, 0.0]]))), 4)
    0.6931
    """
    q = jnp.asarray(q)
    # `!=` here and below, not `>`: NaN must stay NaN.
    terms = jnp.where(q != 0, q * jnp.asarray(log_probs, jnp.float32), 0.0)
    return weighted_mean(-jnp.sum(terms, -1), weights)


def brier(log_probs: ArrayLike, q: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """Brier score against the vote distribution, ``mean sum_c (p_c - q_c)^2``.

    Args:
      log_probs: ``[item, class]``.
      q: ``[item, class]`` vote distributions (or one-hot labels).
      weights: ``[item]`` >= 0, or None for one each.

    Returns:
      float32 scalar in [0, 2]; NaN for a NaN input, or if no item has weight.

    Raises:
      ValueError: if there is not one weight for each item.

    References:
      Brier, Verification of Forecasts Expressed in Terms of Probability, 1950,
      https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.

    >>> float(brier(jnp.log(jnp.array([[0.5, 0.5]])), jnp.array([[1.0, 0.0]])))
    0.5
    """
    p = jnp.exp(jnp.asarray(log_probs, jnp.float32))
    return weighted_mean(jnp.sum((p - jnp.asarray(q)) ** 2, -1), weights)


def kl(log_probs: ArrayLike, q: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """Mean ``KL(q || p)`` of the votes from the prediction.

    Args:
      log_probs: ``[item, class]``.
      q: ``[item, class]`` vote distributions.
      weights: ``[item]`` >= 0, or None for one each.

    Returns:
      float32 scalar >= 0, nats; ``inf`` where a vote falls on a class of probability 0; NaN for a
      NaN input (log-probabilities without votes aside), or if no item has weight.

    Raises:
      ValueError: if there is not one weight for each item.

    References:
      Kullback & Leibler, On Information and Sufficiency, 1951,
      https://doi.org/10.1214/aoms/1177729694.

    >>> float(kl(jnp.log(jnp.array([[0.5, 0.5]])), jnp.array([[0.5, 0.5]])))
    0.0
    """
    q = jnp.asarray(q, jnp.float32)
    log_q = jnp.log(jnp.where(q != 0, q, 1.0))
    terms = jnp.where(q != 0, q * (log_q - jnp.asarray(log_probs, jnp.float32)), 0.0)
    return weighted_mean(jnp.sum(terms, -1), weights)


def jensen_shannon(
    log_probs: ArrayLike, q: ArrayLike, weights: ArrayLike | None = None
) -> jax.Array:
    """Mean Jensen-Shannon divergence between prediction and votes.

    Args:
      log_probs: ``[item, class]``.
      q: ``[item, class]`` vote distributions.
      weights: ``[item]`` >= 0, or None for one each.

    Returns:
      float32 scalar in [0, log 2], nats; NaN for a NaN input, or if no item has weight.

    Raises:
      ValueError: if there is not one weight for each item.

    References:
      Lin, Divergence Measures Based on the Shannon Entropy, 1991,
      https://doi.org/10.1109/18.61115.

    >>> p = jnp.log(jnp.array([[1.0, 0.0]]))
    >>> round(float(jensen_shannon(p, jnp.array([[0.0, 1.0]]))), 4)
    0.6931
    """
    q = jnp.asarray(q, jnp.float32)
    p = jnp.exp(jnp.asarray(log_probs, jnp.float32))
    middle = (p + q) / 2

    def divergence(a: jax.Array) -> jax.Array:
        some = a != 0
        ratio = jnp.log(jnp.where(some, a, 1.0)) - jnp.log(jnp.where(some, middle, 1.0))
        return jnp.sum(jnp.where(some, a * ratio, 0.0), -1)

    return weighted_mean((divergence(p) + divergence(q)) / 2, weights)
