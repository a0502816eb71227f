"""How good predictions are, against one label and against the votes of many people.

Axis legend: log-probabilities ``log_probs`` and vote distributions ``q`` are ``[item, class]``,
labels and weights ``[item]``. NaN comes out for a NaN, or a label that is no class (-1, 0.5), of an
item that has weight, for a weight that is negative or not finite, and without items, or if none has
weight. Types are cast as :mod:`ferjax.arrays` says.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.arrays import nan_where
from ferjax.metrics._items import classified, voted
from ferjax.metrics._weighted_ranks import weighted_mean

__all__ = [
    "accuracy",
    "balanced_accuracy",
    "brier",
    "class_recall",
    "jensen_shannon",
    "kl",
    "label_brier",
    "label_nll",
    "nll",
    "vote_accuracy",
]


def accuracy(
    log_probs: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
) -> jax.Array:
    """Share of items whose most probable class is the label; ties go to the first class.

    Args:
      log_probs: ``[item, class]``.
      labels: ``[item]`` class indices.
      weights: ``[item]`` >= 0, or None for one each.

    Returns:
      float32 scalar in [0, 1]; NaN where an input is undefined (see above), or if no item has
      weight.

    Raises:
      ValueError: if there is not one label and one weight for each item.

    >>> float(accuracy(jnp.log(jnp.array([[0.9, 0.1], [0.4, 0.6]])), jnp.array([0, 0])))
    0.5
    """
    rows, of, w, undefined = classified(log_probs, labels, weights, only_order=True)
    right = (jnp.argmax(rows, -1) == of).astype(rows.dtype)
    return weighted_mean(nan_where(undefined, right), w)


def class_recall(
    log_probs: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
) -> jax.Array:
    """Of the items of each class, the share whose most probable class it is.

    Args:
      log_probs: ``[item, class]``.
      labels: ``[item]`` class indices.
      weights: ``[item]`` >= 0, or None for one each.

    Returns:
      float32 ``[class]`` in [0, 1]; NaN for a class that no item with weight has, and for all of
      them where an input is undefined (see above), or if no item has weight.

    Raises:
      ValueError: if there is not one label and one weight for each item.

    >>> log_probs = jnp.log(jnp.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]]))
    >>> class_recall(log_probs, jnp.array([0, 0, 1])).tolist()
    [0.5, 0.0]
    """
    recall, there, undefined = _recall(log_probs, labels, weights)
    return nan_where(undefined | ~there, recall)


def balanced_accuracy(
    log_probs: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
) -> jax.Array:
    """Mean of :func:`class_recall` over the classes that there are: each counts alike.

    Args:
      log_probs: ``[item, class]``.
      labels: ``[item]`` class indices.
      weights: ``[item]`` >= 0, or None for one each.

    Returns:
      float32 scalar in [0, 1]; NaN where an input is undefined (see above), or if no item has
      weight.

    Raises:
      ValueError: if there is not one label and one weight for each item.

    >>> log_probs = jnp.log(jnp.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]]))
    >>> float(balanced_accuracy(log_probs, jnp.array([0, 0, 1])))
    0.25
    """
    recall, there, undefined = _recall(log_probs, labels, weights)
    present = jnp.sum(there.astype(recall.dtype))
    return nan_where(undefined, jnp.sum(recall) / jnp.maximum(present, 1))


def _recall(
    log_probs: ArrayLike, labels: ArrayLike, weights: ArrayLike | None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Recall ``[class]``, 0 for a class without weight; which classes have some; and whether
    nothing is defined, because an item that is undefined may be of any class."""
    rows, of, w, undefined = classified(log_probs, labels, weights, only_order=True)
    right = (jnp.argmax(rows, -1) == of).astype(rows.dtype)
    of_class = w[:, None] * jax.nn.one_hot(of, rows.shape[-1], dtype=rows.dtype)
    total = jnp.sum(of_class, axis=0)
    there = total > 0
    hits = jnp.sum(of_class * right[:, None], axis=0)
    broken = jnp.any(undefined & (w != 0)) | ~jnp.isfinite(jnp.sum(w)) | (jnp.sum(w) <= 0)
    return hits / jnp.where(there, total, 1), there, broken


def vote_accuracy(
    log_probs: ArrayLike, q: ArrayLike, weights: ArrayLike | None = None
) -> jax.Array:
    """Mean share of the votes that the predicted class holds: accuracy against people.

    Args:
      log_probs: ``[item, class]``.
      q: ``[item, class]`` vote distributions.
      weights: ``[item]`` >= 0, or None for one each.

    Returns:
      float32 scalar in [0, 1]; NaN where an input is undefined (see above), a NaN share of another
      class than the predicted one aside, or if no item has weight.

    Raises:
      ValueError: if there is not one weight for each item.

    >>> float(vote_accuracy(jnp.log(jnp.array([[0.9, 0.1]])), jnp.array([[0.75, 0.25]])))
    0.75
    """
    rows, votes, w = voted(log_probs, q, weights, only_order=True)
    chosen = jnp.take_along_axis(votes, jnp.argmax(rows, -1)[:, None], axis=-1)[:, 0]
    return weighted_mean(nan_where(_broken(rows), chosen), w)


def _broken(rows: jax.Array) -> jax.Array:
    """Which rows hold a NaN, bool ``[item]``; argmax and ``0 * NaN`` would hide it."""
    return jnp.any(jnp.isnan(rows), -1)


def nll(log_probs: ArrayLike, q: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """Negative log-likelihood of the votes, ``mean -sum_c q_c log p_c``.

    Args:
      log_probs: ``[item, class]``.
      q: ``[item, class]`` vote distributions (or one-hot labels).
      weights: ``[item]`` >= 0, or None for one each.

    Returns:
      float32 scalar >= 0, nats per vote; ``0 log 0`` is 0; ``inf`` where a vote falls on a class of
      probability 0; NaN where an input is undefined (see above), or if no item has weight.

    Raises:
      ValueError: if there is not one weight for each item.

    >>> round(float(nll(jnp.log(jnp.array([[0.5, 0.5]])), jnp.array([[1.0, 0.0]]))), 4)
    0.6931
    """
    rows, votes, w = voted(log_probs, q, weights)
    # `!=` here and below, not `>`: NaN must stay NaN.
    some = votes != 0
    terms = jnp.where(some, votes * jnp.where(some, rows, 0), 0)
    return weighted_mean(nan_where(_broken(rows), -jnp.sum(terms, -1)), w)


def label_nll(
    log_probs: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
) -> jax.Array:
    """Negative log-likelihood of one label per item, ``mean -log p_label``.

    Args:
      log_probs: ``[item, class]``.
      labels: ``[item]`` class indices.
      weights: ``[item]`` >= 0, or None for one each.

    Returns:
      float32 scalar >= 0, nats; ``inf`` where a label has probability 0. NaN where an input is
      undefined (see above), or if no item has weight.

    Raises:
      ValueError: if there is not one label and one weight for each item.

    >>> round(float(label_nll(jnp.log(jnp.array([[0.5, 0.5]])), jnp.array([0]))), 4)
    0.6931
    """
    rows, of, w, undefined = classified(log_probs, labels, weights)
    chosen = jnp.take_along_axis(rows, of[:, None], axis=-1)[:, 0]
    return weighted_mean(nan_where(undefined, -chosen), w)


def brier(log_probs: ArrayLike, q: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """Brier score against the vote distribution, ``mean sum_c (p_c - q_c)^2``.

    Args:
      log_probs: ``[item, class]``.
      q: ``[item, class]`` vote distributions (or one-hot labels).
      weights: ``[item]`` >= 0, or None for one each.

    Returns:
      float32 scalar in [0, 2]; NaN where an input is undefined (see above), or if no item
      has weight.

    Raises:
      ValueError: if there is not one weight for each item.

    References:
      Brier, Verification of Forecasts Expressed in Terms of Probability, 1950,
      https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.

    >>> float(brier(jnp.log(jnp.array([[0.5, 0.5]])), jnp.array([[1.0, 0.0]])))
    0.5
    """
    rows, votes, w = voted(log_probs, q, weights)
    return weighted_mean(jnp.sum((jnp.exp(rows) - votes) ** 2, -1), w)


def label_brier(
    log_probs: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
) -> jax.Array:
    """Brier score against one label per item, ``mean sum_c (p_c - 1[c = label])^2``.

    Args:
      log_probs: ``[item, class]``.
      labels: ``[item]`` class indices.
      weights: ``[item]`` >= 0, or None for one each.

    Returns:
      float32 scalar in [0, 2]; NaN where an input is undefined (see above), or if no item has
      weight.

    Raises:
      ValueError: if there is not one label and one weight for each item.

    References:
      Brier, Verification of Forecasts Expressed in Terms of Probability, 1950,
      https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.

    >>> float(label_brier(jnp.log(jnp.array([[0.5, 0.5]])), jnp.array([0])))
    0.5
    """
    rows, of, w, undefined = classified(log_probs, labels, weights)
    one_hot = jax.nn.one_hot(of, rows.shape[1], dtype=rows.dtype)
    return weighted_mean(nan_where(undefined, jnp.sum((jnp.exp(rows) - one_hot) ** 2, -1)), w)


def kl(log_probs: ArrayLike, q: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """Mean ``KL(q || p)`` of the votes from the prediction.

    Args:
      log_probs: ``[item, class]``.
      q: ``[item, class]`` vote distributions.
      weights: ``[item]`` >= 0, or None for one each.

    Returns:
      float32 scalar >= 0, nats; ``inf`` where a vote falls on a class of probability 0; NaN where
      an input is undefined (see above), or if no item has weight.

    Raises:
      ValueError: if there is not one weight for each item.

    References:
      Kullback & Leibler, On Information and Sufficiency, 1951,
      https://doi.org/10.1214/aoms/1177729694.

    >>> float(kl(jnp.log(jnp.array([[0.5, 0.5]])), jnp.array([[0.5, 0.5]])))
    0.0
    """
    rows, votes, w = voted(log_probs, q, weights)
    some = votes != 0
    log_q = jnp.log(jnp.where(some, votes, 1))
    terms = jnp.where(some, votes * (log_q - jnp.where(some, rows, 0)), 0)
    return weighted_mean(nan_where(_broken(rows), jnp.sum(terms, -1)), w)


def jensen_shannon(
    log_probs: ArrayLike, q: ArrayLike, weights: ArrayLike | None = None
) -> jax.Array:
    """Mean Jensen-Shannon divergence between prediction and votes.

    Args:
      log_probs: ``[item, class]``.
      q: ``[item, class]`` vote distributions.
      weights: ``[item]`` >= 0, or None for one each.

    Returns:
      float32 scalar in [0, log 2], nats; NaN where an input is undefined (see above), or if no item
      has weight.

    Raises:
      ValueError: if there is not one weight for each item.

    References:
      Lin, Divergence Measures Based on the Shannon Entropy, 1991,
      https://doi.org/10.1109/18.61115.

    >>> p = jnp.log(jnp.array([[1.0, 0.0]]))
    >>> round(float(jensen_shannon(p, jnp.array([[0.0, 1.0]]))), 4)
    0.6931
    """
    rows, votes, w = voted(log_probs, q, weights)
    p = jnp.exp(rows)
    middle = (p + votes) / 2

    def divergence(a: jax.Array) -> jax.Array:
        some = a != 0
        ratio = jnp.log(jnp.where(some, a, 1)) - jnp.log(jnp.where(some, middle, 1))
        return jnp.sum(jnp.where(some, a * ratio, 0), -1)

    return weighted_mean((divergence(p) + divergence(votes)) / 2, w)
