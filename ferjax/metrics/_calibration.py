"""How good predictions are: against one label, and against the votes of many people; weighted,
pure.

Axis legend: ``[face, class]`` log-probabilities ``log_probs`` and vote distributions ``q``,
``[face]`` labels and optional ``weights`` (weight 2 means "this face twice", weight 0 "left out").
No face of weight, or a NaN among the inputs, gives NaN.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ferjax.metrics._weighted_ranks import mean, pair, running_sum, weights_of

__all__ = [
    "Bins",
    "accuracy",
    "brier",
    "ece",
    "jensen_shannon",
    "kl",
    "nll",
    "reliability_bins",
    "vote_accuracy",
]


def _top_class(log_probs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The most probable class, and whether there is one: argmax would take a NaN for the
    largest."""
    log_probs = jnp.asarray(log_probs)
    return jnp.argmax(log_probs, -1), ~jnp.any(jnp.isnan(log_probs), -1)


def accuracy(
    log_probs: jax.Array, labels: jax.Array, weights: jax.Array | None = None
) -> jax.Array:
    """Share of faces whose most probable class is the label; ties go to the first class.

    >>> float(accuracy(jnp.log(jnp.array([[0.9, 0.1], [0.4, 0.6]])), jnp.array([0, 0])))
    0.5
    """
    top, defined = _top_class(log_probs)
    return mean(jnp.where(defined, (top == labels).astype(jnp.float32), jnp.nan), weights)


def vote_accuracy(
    log_probs: jax.Array, q: jax.Array, weights: jax.Array | None = None
) -> jax.Array:
    """Mean share of the human votes that the predicted class holds: accuracy against people, not
    against one label.

    >>> float(vote_accuracy(jnp.log(jnp.array([[0.9, 0.1]])), jnp.array([[0.75, 0.25]])))
    0.75
    """
    top, defined = _top_class(log_probs)
    chosen = jnp.take_along_axis(jnp.asarray(q), top[:, None], axis=-1)[:, 0]
    return mean(jnp.where(defined, chosen, jnp.nan), weights)


def nll(log_probs: jax.Array, q: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """Negative log-likelihood of the votes, ``mean -sum_c q_c log p_c``, nats per vote; 0 log 0 is
    0.

    >>> round(float(nll(jnp.log(jnp.array([[0.5, 0.5]])), jnp.array([[1.0, 0.0]]))), 4)
    0.6931
    """
    q = jnp.asarray(q)
    # `!=` here and below, not `>`: NaN must stay NaN.
    return mean(
        -jnp.sum(jnp.where(q != 0, q * jnp.asarray(log_probs, jnp.float32), 0.0), -1), weights
    )


def brier(log_probs: jax.Array, q: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """Brier score against the vote distribution, ``mean sum_c (p_c - q_c)^2``, in [0, 2].

    >>> float(brier(jnp.log(jnp.array([[0.5, 0.5]])), jnp.array([[1.0, 0.0]])))
    0.5
    """
    return mean(jnp.sum((jnp.exp(jnp.asarray(log_probs, jnp.float32)) - q) ** 2, -1), weights)


def kl(log_probs: jax.Array, q: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """Mean ``KL(q || p)`` of the votes from the prediction, nats.

    >>> float(kl(jnp.log(jnp.array([[0.5, 0.5]])), jnp.array([[0.5, 0.5]])))
    0.0
    """
    q = jnp.asarray(q, jnp.float32)
    log_q = jnp.log(jnp.where(q != 0, q, 1.0))
    return mean(
        jnp.sum(jnp.where(q != 0, q * (log_q - jnp.asarray(log_probs, jnp.float32)), 0.0), -1),
        weights,
    )


def jensen_shannon(
    log_probs: jax.Array, q: jax.Array, weights: jax.Array | None = None
) -> jax.Array:
    """Mean Jensen-Shannon divergence between prediction and votes, nats, in [0, log 2].

    >>> round(float(jensen_shannon(jnp.log(jnp.array([[1.0, 0.0]])), jnp.array([[0.0, 1.0]]))), 4)
    0.6931
    """
    q = jnp.asarray(q, jnp.float32)
    p = jnp.exp(jnp.asarray(log_probs, jnp.float32))
    middle = (p + q) / 2

    def divergence(a):
        some = a != 0
        return jnp.sum(
            jnp.where(
                some,
                a * (jnp.log(jnp.where(some, a, 1.0)) - jnp.log(jnp.where(some, middle, 1.0))),
                0.0,
            ),
            -1,
        )

    return mean((divergence(p) + divergence(q)) / 2, weights)


class Bins(NamedTuple):
    """A reliability diagram, each ``[bin]``: share of faces, mean confidence, mean correctness (NaN
    in empty bins)."""

    share: jax.Array
    confidence: jax.Array
    correct: jax.Array


def reliability_bins(
    confidence: jax.Array,
    correct: jax.Array,
    weights: jax.Array | None = None,
    *,
    bins: int = 15,
    equal_mass: bool = False,
) -> Bins:
    """Confidence against correctness in bins.

    Args:
      confidence: ``[face]`` in [0, 1].
      correct: ``[face]`` 0/1, or the share of votes for the predicted class.
      weights: optional ``[face]``.
      bins: number of bins (static).
      equal_mass: bins with equally many faces (cut by position in the sort) instead of equal width
        on [0, 1].

    Returns:
      :class:`Bins`.

    >>> reliability_bins(jnp.array([0.2, 0.9]), jnp.array([0, 1]), bins=2).share.tolist()
    [0.5, 0.5]
    """
    confidence, correct = pair(
        jnp.asarray(confidence, jnp.float32), jnp.asarray(correct, jnp.float32)
    )
    w = weights_of(weights, confidence)
    confidence = jnp.where(w > 0, confidence, 0.0)
    correct = jnp.where(w > 0, correct, 0.0)
    if equal_mass:
        order = jnp.argsort(confidence)
        before = running_sum(w[order]) - w[order]
        bin_of = (
            jnp.zeros(confidence.shape, jnp.int32)
            .at[order]
            .set((before * bins / jnp.sum(w)).astype(jnp.int32))
        )
    else:
        # (low, high] as in Guo et al.: confidence 1 belongs to the last bin, 0 to the first.
        bin_of = jnp.ceil(confidence * bins).astype(jnp.int32) - 1
    member = jax.nn.one_hot(jnp.clip(bin_of, 0, bins - 1), bins, axis=0)
    mass, confidences, corrects = (
        jnp.matmul(member, v, precision=jax.lax.Precision.HIGHEST)
        for v in (w, w * confidence, w * correct)
    )
    return Bins(mass / jnp.sum(w), confidences / mass, corrects / mass)


def ece(
    log_probs: jax.Array,
    labels: jax.Array,
    weights: jax.Array | None = None,
    *,
    bins: int = 15,
    equal_mass: bool = False,
) -> jax.Array:
    """Expected calibration error of the top class: mean gap between confidence and accuracy over
    bins.

    Args:
      log_probs: ``[face, class]``.
      labels: ``[face]`` class indices.
      weights: optional ``[face]``.
      bins: number of bins (static).
      equal_mass: see :func:`reliability_bins`.

    Returns:
      Scalar in [0, 1].

    References:
      Guo et al., On Calibration of Modern Neural Networks, 2017, https://arxiv.org/abs/1706.04599.

    >>> round(float(ece(jnp.log(jnp.array([[0.8, 0.2], [0.8, 0.2]])), jnp.array([0, 1]))), 4)
    0.3
    """
    confidence = jnp.minimum(jnp.exp(jnp.max(jnp.asarray(log_probs, jnp.float32), -1)), 1.0)
    correct = jnp.argmax(log_probs, -1) == labels
    b = reliability_bins(confidence, correct, weights, bins=bins, equal_mass=equal_mass)
    return jnp.sum(jnp.where(b.share > 0, b.share * jnp.abs(b.confidence - b.correct), 0.0))
