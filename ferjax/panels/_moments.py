"""What the answers of a panel say about the distribution behind them: means and pairs."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

__all__ = [
    "Moments",
    "of_answers",
    "of_counts",
    "of_level_counts",
    "of_probs",
    "of_shares",
    "of_values",
    "require_alike",
]


class Moments(NamedTuple):
    """What the answers to an item say about the distribution that they come from."""

    mean: jax.Array
    """``[..., item, column]``: the mean answer; NaN without answers."""
    pairs: jax.Array
    """``[..., item]``: the mean over pairs of *different* answers of the sum over columns of their
    product, unbiased for the squared length of the expected answer; NaN with one answer."""
    square: jax.Array
    """``[..., item]``: the mean over answers of the sum over columns of its square; for one class
    an answer, 1."""
    answers: jax.Array
    """``[..., item]``: how many answers; infinite for a distribution that is known."""


def require_alike(people: Moments, judge: Moments) -> None:
    """Refuses moments of other items or other columns.

    Raises:
      ValueError: naming the shapes.
    """
    if people.mean.shape[-2:] != judge.mean.shape[-2:]:
        raise ValueError(
            f"people and judge must be [..., item, column] of the same items and columns, got "
            f"{people.mean.shape} and {judge.mean.shape}"
        )


def of_counts(counts: ArrayLike, answers: ArrayLike) -> Moments:
    """Moments of answers that name classes, one or several or none.

    Args:
      counts: ``[..., item, class]`` how many answers named the class.
      answers: ``[..., item]`` how many answers there were, at least the largest count.

    Returns:
      :class:`Moments`, float32; NaN of an item whose counts cannot be.

    Raises:
      ValueError: if there is not one number of answers for each item.

    >>> m = of_counts(jnp.array([[3, 1]]), jnp.array([4]))
    >>> [round(float(v), 3) for v in (m.mean[0, 0], m.pairs[0], m.square[0])]
    [0.75, 0.5, 1.0]
    """
    counts = jnp.asarray(counts, jnp.float32)
    n = _answers(answers, counts)
    n = jnp.where(jnp.all((counts >= 0) & (counts <= n[..., None]), -1), n, jnp.nan)
    some = jnp.where(n > 0, n, jnp.nan)
    two = jnp.where(n > 1, n * (n - 1), jnp.nan)
    pairs = jnp.sum(counts * (counts - 1), -1) / two
    return Moments(counts / some[..., None], pairs, jnp.sum(counts, -1) / some, n)


def of_shares(shares: ArrayLike, answers: ArrayLike) -> Moments:
    """Moments of classes from the share of answers that named each, whatever their number.

    Args:
      shares: ``[..., item, class]``, counts over answers, or probabilities.
      answers: ``[..., item]`` how many answers; infinite for probabilities that are known.

    Returns:
      :class:`Moments`, as :func:`of_counts` of the counts or :func:`of_probs` of the probabilities.

    Raises:
      ValueError: if there is not one number of answers for each item.

    >>> m = of_shares(jnp.array([[0.75, 0.25]] * 2), jnp.array([4.0, jnp.inf]))
    >>> [round(float(v), 3) for v in m.pairs]
    [0.5, 0.625]
    """
    shares = jnp.asarray(shares, jnp.float32)
    n = _answers(answers, shares)
    mean = jnp.where(n[..., None] > 0, shares, jnp.nan)
    one = 1 / jnp.where(n > 1, n, jnp.nan)
    pairs = jnp.sum(shares * (shares - one[..., None]), -1) / (1 - one)
    return Moments(mean, pairs, jnp.sum(mean, -1), n)


def of_level_counts(counts: ArrayLike, widths: ArrayLike | None = None) -> Moments:
    """Moments of answers on one ordinal scale, by whether each passes each step of the scale.

    Args:
      counts: ``[..., item, level]`` how many answers gave the level, ascending.
      widths: ``[level - 1]`` how far a level is from the next; 1 unless given.

    Returns:
      :class:`Moments` of ``level - 1`` columns; gaps are in units of the scale.

    >>> m = of_level_counts(jnp.array([[0, 1, 1]]))
    >>> [float(v) for v in m.mean[0]]
    [1.0, 0.5]
    """
    counts = jnp.asarray(counts, jnp.float32)
    answers = jnp.sum(counts, -1)
    above = jnp.cumsum(counts[..., ::-1], -1)[..., ::-1][..., 1:]
    width = jnp.ones(above.shape[-1]) if widths is None else jnp.asarray(widths, jnp.float32)
    some = jnp.where(answers > 0, answers, jnp.nan)
    two = jnp.where(answers > 1, answers * (answers - 1), jnp.nan)
    pairs = (above * (above - 1)) @ width / two
    mean = above / some[..., None] * _along_last(jnp.sqrt(width), above.ndim)
    return Moments(mean, pairs, above @ width / some, answers)


def of_answers(columns: ArrayLike, weights: ArrayLike | None = None) -> Moments:
    """Moments of single answers.

    Args:
      columns: ``[..., item, answer, column]``; an answer that is missing is NaN in every column.
      weights: ``[..., item, answer]`` >= 0 of the answers, or None for one each. An answer of
        weight 2 is *not* a pair with itself: weights drawn for raters give a bootstrap over raters
        that stays unbiased.

    Returns:
      :class:`Moments`, float32 or better.

    References:
      Owen, The Pigeonhole Bootstrap, 2007, https://arxiv.org/abs/0712.1111.

    >>> m = of_answers(jnp.array([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [jnp.nan, jnp.nan]]]))
    >>> [round(float(v), 3) for v in (m.pairs[0], m.square[0], m.answers[0])]
    [0.333, 1.0, 3.0]
    """
    columns = jnp.asarray(columns, jnp.float32)
    there = ~jnp.isnan(columns[..., 0])
    w = there.astype(jnp.float32)
    if weights is not None:
        w = w * jnp.asarray(weights, jnp.float32)
    x = jnp.where(there[..., None], columns, 0.0)
    length = jnp.sum(x * x, -1)
    total = jnp.einsum("...ra,...r->...a", x, w)
    mass = jnp.sum(w, -1)
    some = jnp.where(mass > 0, mass, jnp.nan)
    others = mass * mass - jnp.sum(w * w, -1)
    # Two answers at least, or the difference of equal squares would be rounding.
    others = jnp.where(jnp.sum(w > 0, -1) > 1, others, jnp.nan)
    pairs = (jnp.sum(total * total, -1) - jnp.sum(w * w * length, -1)) / others
    square = jnp.sum(w * length, -1) / some
    return Moments(total / some[..., None], pairs, square, jnp.sum(there, -1).astype(jnp.float32))


def of_values(
    values: ArrayLike, steps: ArrayLike, widths: ArrayLike, weights: ArrayLike | None = None
) -> Moments:
    """Moments of answers on a scale, by whether each passes each step of it.

    With a step between any two values that occur, and the distance of the two as its width, gaps
    are exact squared Cramér distances (half the energy distance), summed over the dimensions, and
    scores the CRPS.

    Args:
      values: ``[..., item, answer, dimension]``; an answer that is missing is NaN.
      steps: ``[step]`` ascending.
      widths: ``[step]`` how much of the scale a step stands for.
      weights: ``[..., item, answer]`` >= 0 as in :func:`of_answers`, or None.

    Returns:
      :class:`Moments` of ``dimension * step`` columns; gaps are in units of the scale.

    >>> m = of_values(jnp.array([[[1.0], [3.0]]]), jnp.array([1.5, 2.5]), jnp.ones(2))
    >>> [float(v) for v in (m.mean[0, 0], m.pairs[0], m.square[0])]
    [0.5, 0.0, 1.0]
    """
    values = jnp.asarray(values, jnp.float32)
    there = ~jnp.isnan(values[..., 0])
    w = there.astype(jnp.float32)
    if weights is not None:
        w = w * jnp.asarray(weights, jnp.float32)
    steps = jnp.asarray(steps, jnp.float32)
    width = jnp.asarray(widths, jnp.float32)

    def passed(w: jax.Array) -> jax.Array:
        above = values[..., None] > _along_last(steps, values.ndim + 1)
        return jnp.sum(jnp.where(above, w[..., None, None], 0.0), -3)

    once = passed(w)
    twice = passed(w * w)
    mass = jnp.sum(w, -1)
    some = jnp.where(mass > 0, mass, jnp.nan)
    others = jnp.where(jnp.sum(w > 0, -1) > 1, mass * mass - jnp.sum(w * w, -1), jnp.nan)
    pairs = jnp.sum((once * once - twice) @ width, -1) / others
    square = jnp.sum(once @ width, -1) / some
    mean = once / some[..., None, None] * _along_last(jnp.sqrt(width), once.ndim)
    mean = mean.reshape(*mean.shape[:-2], -1)
    return Moments(mean, pairs, square, jnp.sum(there, -1).astype(jnp.float32))


def of_probs(probs: ArrayLike, *, ordinal_widths: ArrayLike | None = None) -> Moments:
    """Moments of a distribution that is known, as a network's is.

    Args:
      probs: ``[..., item, class]`` probabilities; of every class for itself where several may
        apply.
      ordinal_widths: ``[class - 1]`` distances of the levels of an ordinal scale, where the classes
        are one; then as :func:`of_level_counts`.

    Returns:
      :class:`Moments` with infinitely many answers.

    >>> float(of_probs(jnp.array([[0.5, 0.5]])).pairs[0])
    0.5
    """
    probs = jnp.asarray(probs, jnp.float32)
    square = jnp.sum(probs, -1)
    if ordinal_widths is not None:
        width = jnp.asarray(ordinal_widths, jnp.float32)
        above = jnp.cumsum(probs[..., ::-1], -1)[..., ::-1][..., 1:]
        square = above @ width
        probs = above * _along_last(jnp.sqrt(width), above.ndim)
    return Moments(probs, jnp.sum(probs**2, -1), square, jnp.full(square.shape, jnp.inf))


def _answers(answers: ArrayLike, like: jax.Array) -> jax.Array:
    """Numbers of answers as float32 ``[..., item]``, one for each item of ``like``."""
    n = jnp.asarray(answers, jnp.float32)
    if n.ndim != like.ndim - 1 or n.shape[-1:] != like.shape[-2:-1]:
        raise ValueError(f"answers must be [..., item] {like.shape[:-1]}, got {n.shape}")
    return n


def _along_last(row: jax.Array, rank: int) -> jax.Array:
    return row.reshape((1,) * (rank - 1) + row.shape)
