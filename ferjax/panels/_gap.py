"""The unbiased gap between two panels, and what follows from it: skill, worth in people."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.arrays import as_floats
from ferjax.panels._moments import Moments, require_alike

__all__ = ["expected_score", "gap", "leave_one_out", "people_equivalents", "skill", "spread"]


def gap(people: Moments, judge: Moments) -> jax.Array:
    """Squared distance of two distributions, unbiased whatever the number of answers of either.

    With ``h`` of n people and ``s`` of m samples in a column it is the sum over columns of
    ``h(h-1)/(n(n-1)) - 2 h s/(n m) + s(s-1)/(m(m-1))``: 0 on average for a judge that is right. Of
    one item it may be negative.

    Args:
      people: ``[item]``, or ``[..., item]``.
      judge: ``[..., item]``, of the same columns.

    Returns:
      ``[..., item]``; NaN where either side has fewer than two answers.

    Raises:
      ValueError: if the two are not of the same items and columns.

    >>> from ferjax.panels import of_counts, of_probs
    >>> people = of_counts(jnp.array([[2, 2]]), jnp.array([4]))
    >>> round(float(gap(people, of_probs(jnp.array([[0.5, 0.5]])))[0]), 4)
    -0.1667
    """
    require_alike(people, judge)
    both = jnp.einsum("...ic,...ic->...i", judge.mean, people.mean)
    people_pairs = jnp.broadcast_to(people.pairs, both.shape)
    return people_pairs - 2 * both + judge.pairs


def spread(answers: Moments) -> jax.Array:
    """How far one answer is from the expected one: the summed variance of the columns, unbiased.

    The mean of k people has this over k as its gap.

    Args:
      answers: ``[..., item]``.

    Returns:
      ``[..., item]`` >= 0 up to rounding; for one class an answer, the Gini impurity.
    """
    return answers.square - answers.pairs


def expected_score(people: Moments, judge: Moments) -> jax.Array:
    """The quadratic score of the judge's distribution for one person's rating, unbiased.

    The Brier score of classes (several may apply: summed over them), the CRPS of a scale. Lower is
    better; it is the gap and the people's spread.

    Args:
      people: ``[item]``.
      judge: ``[..., item]``.

    Returns:
      ``[..., item]``; NaN where the judge has fewer than two answers.

    Raises:
      ValueError: if the two are not of the same items and columns.
    """
    require_alike(people, judge)
    both = jnp.einsum("...ic,...ic->...i", judge.mean, people.mean)
    return jnp.broadcast_to(people.square, both.shape) - 2 * both + judge.pairs


def people_equivalents(gaps: ArrayLike, spreads: ArrayLike, weights: ArrayLike) -> jax.Array:
    """How many people a judge is worth: the mean of so many has the same gap.

    Args:
      gaps: ``[..., item]`` of :func:`gap`.
      spreads: ``[item]`` of :func:`spread` of the people.
      weights: ``[item]`` >= 0; items of weight 0 are left out, whatever they hold.

    Returns:
      ``[...]``; ``inf`` where the gap of all items is not above 0: no number of people is better,
      as far as these answers tell. NaN where an item that counts has no gap or no spread.

    Raises:
      ValueError: if there is not one weight and one spread for each item.

    >>> ones = jnp.ones(2)
    >>> float(people_equivalents(jnp.array([0.1, 0.3]), jnp.array([0.5, 0.7]), ones))
    3.0
    """
    total, people = _weighted_sums(gaps, spreads, weights)
    worth = people / jnp.where(total > 0, total, 1.0)
    undefined = jnp.isnan(total) | jnp.isnan(people)
    return jnp.where(undefined, jnp.nan, jnp.where(total > 0, worth, jnp.inf))


def skill(gaps: ArrayLike, reference: ArrayLike, weights: ArrayLike) -> jax.Array:
    """Share of the reference's gap that the judge closes: 1 is the truth, 0 the reference.

    Args:
      gaps: ``[..., item]`` of :func:`gap`.
      reference: ``[item]`` gaps of a rival that knows nothing of the item, see
        :func:`leave_one_out`.
      weights: ``[item]`` >= 0; items of weight 0 are left out, whatever they hold.

    Returns:
      ``[...]``; below 0 for a judge that is worse than the reference. NaN where an item that counts
      has no gap.

    Raises:
      ValueError: if there is not one weight and one reference for each item.

    >>> float(skill(jnp.array([0.1, 0.1]), jnp.array([0.2, 0.6]), jnp.ones(2)))
    0.75
    """
    mine, rivals = _weighted_sums(gaps, reference, weights)
    return 1.0 - mine / rivals


def _weighted_sums(
    gaps: ArrayLike, others: ArrayLike, weights: ArrayLike
) -> tuple[jax.Array, jax.Array]:
    """Sums over the items that count, of ``[..., item]`` and ``[item]``; NaN where one of them is,
    or where a weight is none."""
    gaps, others, weights = as_floats(gaps, others, weights)
    if weights.ndim != 1 or gaps.shape[-1:] != weights.shape or others.shape != weights.shape:
        raise ValueError(
            f"expected [..., item], [item] and weights [item], got {gaps.shape}, {others.shape} "
            f"and {weights.shape}"
        )
    counts = weights != 0
    weights = jnp.where((weights >= 0) & (weights < jnp.inf), weights, jnp.nan)
    gaps = jnp.where(counts.reshape(*[1] * (gaps.ndim - 1), -1), gaps, 0.0)
    return gaps @ weights, jnp.where(counts, others, 0.0) @ weights


def leave_one_out(people: Moments, groups: ArrayLike | None = None) -> Moments:
    """The rival that knows nothing: the mean answer to all *other* items, for every item.

    Args:
      people: ``[item]``.
      groups: ``[item]`` whole numbers in 0..G-1; items of one group (copies of a text) are left out
        together. None: each for itself.

    Returns:
      :class:`Moments` of a known distribution, ``[item]``.

    >>> from ferjax.panels import of_counts
    >>> people = of_counts(jnp.array([[2, 0], [0, 2], [0, 2]]), jnp.array([2, 2, 2]))
    >>> leave_one_out(people).mean.tolist()
    [[0.0, 1.0], [0.5, 0.5], [0.5, 0.5]]
    """
    rated = people.answers > 0
    mean = jnp.where(rated[:, None], people.mean, 0.0)
    one = rated.astype(mean.dtype)
    own = mean
    own_one = one
    if groups is not None:
        groups = jnp.asarray(groups)
        own = jax.ops.segment_sum(mean, groups, num_segments=len(mean))[groups]
        own_one = jax.ops.segment_sum(one, groups, num_segments=len(mean))[groups]
    others = (jnp.sum(one) - own_one)[:, None]
    rest = (jnp.sum(mean, 0, keepdims=True) - own) / jnp.where(others > 0, others, jnp.nan)
    return Moments(rest, jnp.sum(rest**2, -1), jnp.sum(rest, -1), jnp.full(len(rest), jnp.inf))
