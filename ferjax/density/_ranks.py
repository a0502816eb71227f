"""Items compared with known items one by one: nearest neighbours, tail shares, ranks."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.arrays import as_orders, check_items, nan_where
from ferjax.density._gaussians import as_features

__all__ = ["conditional_rank", "nearest_neighbour", "typicality"]


def nearest_neighbour(bank: ArrayLike, features: ArrayLike, *, k: int = 10) -> jax.Array:
    """Euclidean distance to the ``k``-th nearest known item, features scaled to unit length.

    Args:
      bank: ``[known, width]`` features of clean items.
      features: ``[item, width]``.
      k: which neighbour, from 1 (static).

    Returns:
      float32 ``[item]`` in [0, 2], unitless.

    Raises:
      ValueError: if the bank holds fewer than ``k`` items, or the shapes are wrong.

    References:
      Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors, 2022,
      https://arxiv.org/abs/2204.06507.

    >>> bank = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    >>> round(float(nearest_neighbour(bank, jnp.array([[2.0, 0.0]]), k=2)[0]), 4)
    1.4142
    """
    bank = as_features(bank)
    features = as_features(features)
    if len(bank) < k:
        raise ValueError(f"a bank of {len(bank)} items has no {k}-th neighbour")

    def unit(x: jax.Array) -> jax.Array:
        return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-9)

    similarity = jax.lax.top_k(unit(features) @ unit(bank).T, k)[0][:, -1]
    return jnp.sqrt(jnp.maximum(2 - 2 * similarity, 0.0))


def typicality(scores: ArrayLike, known: ArrayLike) -> jax.Array:
    """How unusual a score is in either direction: ``-log`` of its two-sided tail share.

    Args:
      scores: ``[item]``.
      known: ``[known]`` the same score of clean items.

    Returns:
      float32 ``[item]`` >= 0, nats; at most ``log((known + 1) / 2)``. NaN for a NaN score; all NaN
      without known items, or where one of them is NaN.

    Raises:
      ValueError: if the scores are not ``[item]`` and ``[known]``.

    References:
      Nalisnick et al., Detecting Out-of-Distribution Inputs Using Typicality, 2019,
      https://arxiv.org/abs/1906.02994.

    >>> [round(float(t), 1) for t in typicality(jnp.array([0.0, 50.0, 100.0]), jnp.arange(101.0))]
    [3.9, 0.0, 3.9]
    """
    values, bank = as_orders(scores, known)
    check_items(scores=values)
    check_items(known=bank)
    scores = values
    ordered = jnp.sort(bank)
    n = ordered.shape[0]
    below = jnp.searchsorted(ordered, scores, side="right") / (n + 1)
    above = (n - jnp.searchsorted(ordered, scores, side="left")) / (n + 1)
    tail = jnp.maximum(jnp.minimum(below, above), 1 / (n + 1))
    unusual = jnp.abs(jnp.log(jnp.minimum(2 * tail, 1.0)))
    return nan_where(jnp.isnan(scores) | jnp.any(jnp.isnan(bank)) | (n == 0), unusual)


def conditional_rank(
    score: ArrayLike,
    given: ArrayLike,
    known_score: ArrayLike,
    known_given: ArrayLike,
    *,
    neighbours: int = 200,
) -> jax.Array:
    """The rank of a score among known items that are alike in another score.

    With epistemic given aleatoric, an ambiguous item is compared with ambiguous items only, and not
    punished for being one.

    Args:
      score: ``[item]``, e.g. epistemic.
      given: ``[item]``, e.g. aleatoric.
      known_score: ``[known]`` of clean items.
      known_given: ``[known]``.
      neighbours: how many known items, nearest in rank of ``given``, count as alike (static).

    Returns:
      float32 ``[item]`` in [0, 1]: the share of alike items below, ties counting one half. NaN for
      a NaN of the item; all NaN without known items, or where one of them is NaN.

    Raises:
      ValueError: if the arrays are not ``[item]`` and ``[known]``, two of one length each, or
        ``neighbours`` is less than 1.

    >>> zeros = jnp.zeros(4)
    >>> conditional_rank(jnp.array([2.5]), zeros[:1], jnp.arange(4.0), zeros, neighbours=4).tolist()
    [0.75]
    """
    value, known_value = as_orders(score, known_score)
    beside, known_beside = as_orders(given, known_given)
    check_items(score=value, given=beside)
    check_items(known_score=known_value, known_given=known_beside)
    if neighbours < 1:
        raise ValueError(f"neighbours must be at least 1, got {neighbours}")
    known = known_value.shape[0]
    if not known:
        return jnp.full(value.shape, jnp.nan, jnp.float32)
    order = jnp.argsort(known_beside)
    ordered = known_beside[order]
    values = known_value[order]
    neighbours = min(neighbours, known)
    first_equal = jnp.searchsorted(ordered, beside, side="left")
    past_equal = jnp.searchsorted(ordered, beside, side="right")
    middle = (first_equal + past_equal) // 2
    first = jnp.clip(middle - neighbours // 2, 0, known - neighbours)
    alike = values[first[:, None] + jnp.arange(neighbours)[None]]
    of_item = value[:, None]
    below = jnp.where(alike < of_item, 1.0, jnp.where(alike == of_item, 0.5, 0.0))
    broken = jnp.any(jnp.isnan(known_value)) | jnp.any(jnp.isnan(known_beside))
    return nan_where(jnp.isnan(value) | jnp.isnan(beside) | broken, jnp.mean(below, axis=1))
