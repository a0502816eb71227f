"""What every metric takes: arrays of items, cast and checked once, and whether they are defined.

No items at all are one item that is undefined, so that no metric needs a case for them.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.arrays import (
    as_floats,
    as_orders,
    as_weights,
    check_items,
    nan_where,
    not_classes,
)
from ferjax.distributions import require_log_probs, require_shares

__all__ = [
    "Classified",
    "Scored",
    "Voted",
    "classified",
    "filled",
    "paired",
    "scored",
    "voted",
    "with_labels",
]


class Scored(NamedTuple):
    """Scores, something beside them, and weights, each ``[item]``."""

    order: jax.Array
    """Scores of which only the order counts."""
    other: jax.Array
    """A second order, a loss, or whether the item is positive (bool)."""
    weights: jax.Array
    """>= 0."""
    undefined: jax.Array
    """bool scalar: whether the metric must be NaN."""


class Classified(NamedTuple):
    """Predictions and labels of items that may be scored."""

    log_probs: jax.Array
    """``[item, class]``."""
    labels: jax.Array
    """int32 ``[item]``; 0 where undefined."""
    weights: jax.Array
    """``[item]`` >= 0."""
    undefined: jax.Array
    """bool ``[item]``: a NaN log-probability, or a label that is no class."""


class Voted(NamedTuple):
    """Predictions and vote distributions."""

    log_probs: jax.Array
    """``[item, class]``."""
    q: jax.Array
    """``[item, class]``."""
    weights: jax.Array
    """``[item]`` >= 0."""


def filled(array: jax.Array) -> jax.Array:
    """The array, or one row of zeros where it has none.

    >>> filled(jnp.ones(0)).tolist()
    [0.0]
    """
    return array if array.shape[0] else jnp.zeros((1, *array.shape[1:]), array.dtype)


def _scored(
    order: jax.Array, other: jax.Array, weights: ArrayLike | None, undefined: jax.Array
) -> Scored:
    w = as_weights(weights, other)
    unusable = jnp.any(jnp.isnan(order)) | jnp.any(jnp.isnan(w)) | jnp.any(undefined & (w > 0))
    empty = order.shape[0] == 0
    return Scored(
        filled(order), filled(other), filled(jnp.where(jnp.isnan(w), 0, w)), unusable | empty
    )


def with_labels(scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None) -> Scored:
    """Scores beside labels that are positive or not: bool, or 0 and 1; anything else is undefined.

    Raises:
      ValueError: if the arrays are not ``[item]`` of one length.
    """
    (order,) = as_orders(scores)
    (kind,) = as_floats(labels)
    check_items(scores=order, labels=kind)
    return _scored(order, kind == 1, weights, not_classes(kind, 2))


def scored(uncertainty: ArrayLike, loss: ArrayLike, weights: ArrayLike | None) -> Scored:
    """Uncertainty beside a loss, both defined; a loss of weight 0 becomes 0.

    Raises:
      ValueError: if the arrays are not ``[item]`` of one length.
    """
    (order,) = as_orders(uncertainty)
    (values,) = as_floats(loss)
    check_items(uncertainty=order, loss=values)
    w = as_weights(weights, values)
    found = _scored(order, values, weights, jnp.isnan(values))
    return found._replace(other=filled(jnp.where(w > 0, values, 0)))


def paired(x: ArrayLike, y: ArrayLike, weights: ArrayLike | None) -> Scored:
    """Two orders of the same items.

    Raises:
      ValueError: if the arrays are not ``[item]`` of one length.
    """
    (first,) = as_orders(x)
    (second,) = as_orders(y)
    check_items(x=first, y=second)
    found = _scored(first, second, weights, jnp.zeros(1, bool))
    return found._replace(undefined=found.undefined | jnp.any(jnp.isnan(second)))


def _rows(log_probs: ArrayLike) -> jax.Array:
    (rows,) = as_floats(log_probs)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ValueError(f"log_probs must be [item, class], got {rows.shape}")
    return rows


def classified(
    log_probs: ArrayLike,
    labels: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    only_order: bool = False,
) -> Classified:
    """Predictions beside class indices.

    Args:
      log_probs: ``[item, class]``.
      labels: ``[item]``.
      weights: ``[item]``, or None.
      only_order: which class is most probable is all that counts; then scores do as well.

    Raises:
      ValueError: if there is not one label and one weight for each item, or ``log_probs`` are none
        (outside ``jit``).
    """
    rows = _rows(log_probs)
    (of,) = as_floats(labels)
    if of.shape != rows.shape[:1]:
        raise ValueError(f"labels must be [item] {rows.shape[:1]}, got {of.shape}")
    wrong = not_classes(of, rows.shape[1])
    undefined = wrong | jnp.any(jnp.isnan(rows), -1)
    whole = jnp.where(wrong, 0, of).astype(jnp.int32)
    w = as_weights(weights, rows)
    if not only_order:
        require_log_probs(log_probs, weights=weights)
    return Classified(rows, whole, w, undefined)


def voted(
    log_probs: ArrayLike,
    q: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    only_order: bool = False,
) -> Voted:
    """Predictions beside vote distributions; a negative share is none.

    Args:
      log_probs: ``[item, class]``.
      q: ``[item, class]``.
      weights: ``[item]``, or None.
      only_order: as for :func:`classified`.

    Raises:
      ValueError: if they are not ``[item, class]`` alike, there is not one weight for each item, or
        (outside ``jit``) ``log_probs`` are none or ``q`` no shares.
    """
    rows, votes = as_floats(_rows(log_probs), q)
    if rows.shape != votes.shape:
        raise ValueError(
            f"log_probs and q must both be [item, class], got {rows.shape} and {votes.shape}"
        )
    w = as_weights(weights, rows)
    require_shares(q, weights=weights)
    if not only_order:
        require_log_probs(log_probs, weights=weights)
    return Voted(rows, nan_where(votes < 0, votes), w)
