"""How far the members' predicted classes differ, whatever their probabilities."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.arrays import nan_where
from ferjax.uncertainty._entropy import as_log_probs

__all__ = ["label_disagreement", "variation_ratio"]


def _counts(log_probs: ArrayLike, member_axis: int, axis: int) -> tuple[jax.Array, jax.Array]:
    """How many members predict each class ``[item..., class]``, and which items hold a NaN."""
    members = jnp.moveaxis(as_log_probs(log_probs), (member_axis, axis), (0, -1))
    chosen = jax.nn.one_hot(jnp.argmax(members, -1), members.shape[-1], dtype=members.dtype)
    return jnp.sum(chosen, axis=0), jnp.any(jnp.isnan(members), axis=(0, -1))


def variation_ratio(log_probs: ArrayLike, *, member_axis: int = 0, axis: int = -1) -> jax.Array:
    """The share of members that do not predict the class which most members predict.

    Args:
      log_probs: member log-probabilities ``[member, item..., class]``; equal ones count for the
        first class.
      member_axis: axis of the ensemble members (static).
      axis: the class axis (static).

    Returns:
      ``[item...]``, float32 or better, in ``[0, 1 - 1 / min(K, C)]``; 0 for one member; NaN where a
      member's log-probability is NaN, or if there are no members.

    Raises:
      ValueError: if ``log_probs`` is not floating point.

    References:
      Freeman, Elementary Applied Statistics, 1965; Gal, Uncertainty in Deep Learning, 2016,
      section 3.3.2.

    >>> three = jnp.log(jnp.array([[[0.9, 0.1]], [[0.6, 0.4]], [[0.2, 0.8]]]))
    >>> round(float(variation_ratio(three)[0]), 4)
    0.3333
    """
    counts, undefined = _counts(log_probs, member_axis, axis)
    return nan_where(undefined, 1 - jnp.max(counts, axis=-1) / jnp.sum(counts, axis=-1))


def label_disagreement(log_probs: ArrayLike, *, member_axis: int = 0, axis: int = -1) -> jax.Array:
    """The share of pairs of members that predict different classes.

    Args:
      log_probs: member log-probabilities ``[member, item..., class]``; equal ones count for the
        first class.
      member_axis: axis of the ensemble members (static).
      axis: the class axis (static).

    Returns:
      ``[item...]``, float32 or better, in [0, 1]; its mean over items is the ensemble's diversity.
      0 for one member; NaN where a member's log-probability is NaN, or if there are no members.

    Raises:
      ValueError: if ``log_probs`` is not floating point.

    References:
      Kuncheva & Whitaker, Measures of Diversity in Classifier Ensembles, 2003,
      https://doi.org/10.1023/A:1022859003006.

    >>> three = jnp.log(jnp.array([[[0.9, 0.1]], [[0.6, 0.4]], [[0.2, 0.8]]]))
    >>> round(float(label_disagreement(three)[0]), 4)
    0.6667
    """
    counts, undefined = _counts(log_probs, member_axis, axis)
    members = jnp.sum(counts, axis=-1)
    same = jnp.sum(counts * (counts - 1), axis=-1)
    pairs = members * (members - 1)
    apart = jnp.where(pairs > 0, 1 - same / jnp.where(pairs > 0, pairs, 1), 0)
    return nan_where(undefined | (members == 0), apart)
