"""Several judges as one: their mixture, and its uncertainty between and within them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ferjax.panels._gap import spread
from ferjax.panels._moments import Moments

__all__ = ["JurySplit", "jury_split", "pool"]


def pool(judges: Moments, *, axis: int = 0) -> Moments:
    """The mixture of judges, each of equal weight: not one distribution sampled many times.

    Args:
      judges: ``[judge, item]``.
      axis: the judges' axis (static).

    Returns:
      :class:`Moments` without that axis; answers are those of all judges.

    >>> from ferjax.panels import of_counts
    >>> two = of_counts(jnp.array([[[2, 0]], [[0, 2]]]), jnp.array([[2], [2]]))
    >>> float(pool(two).pairs[0])
    0.5
    """
    count = judges.mean.shape[axis]
    mean = jnp.mean(judges.mean, axis)
    column_axis = axis if axis >= 0 else axis + judges.mean.ndim
    own = jnp.sum(judges.mean**2, -1)
    # Two judges' answers are independent; products within a judge need the unbiased pairs.
    correction = jnp.sum(judges.pairs - own, column_axis) / count**2
    return Moments(
        mean,
        jnp.sum(mean**2, -1) + correction,
        jnp.mean(judges.square, column_axis),
        jnp.sum(judges.answers, column_axis),
    )


class JurySplit(NamedTuple):
    """Uncertainty of a jury in squared units (Gini), and what the plug-in would have said."""

    total: jax.Array
    """``[item]``: spread of one answer of one judge drawn at random."""
    within: jax.Array
    """``[item]``: aleatoric; mean spread of one judge's answers."""
    between: jax.Array
    """``[item]``: epistemic; variance of the judges' distributions, unbiased: of one item it may be
    below 0."""
    plug_in: jax.Array
    """``[item]``: the variance of the judges' shares, which few answers alone keep above 0."""
    null: jax.Array
    """``[item]``: what the plug-in is expected to be if all judges are one distribution."""


def jury_split(judges: Moments) -> JurySplit:
    """Between- and within-judge parts of a jury's uncertainty, without the noise of few samples.

    ``Var_k(share) - mean_k spread_k (1 - 1/K)/m_k``: zero on average where all judges answer from
    one distribution.

    Args:
      judges: ``[judge, item]``, at least two judges.

    Returns:
      :class:`JurySplit`; NaN where a judge has fewer than two answers.

    Raises:
      ValueError: if there are fewer than two judges.

    >>> from ferjax.panels import of_counts
    >>> alike = of_counts(jnp.array([[[1, 1]], [[1, 1]]]), jnp.full((2, 1), 2))
    >>> [float(part[0]) for part in jury_split(alike)]
    [0.75, 1.0, -0.25, 0.0, 0.25]
    """
    count = judges.mean.shape[0]
    if count < 2:
        raise ValueError(f"a jury has at least two judges, got {count}")
    pooled = pool(judges)
    within = jnp.mean(spread(judges), 0)
    total = spread(pooled)
    plug_in = jnp.sum(jnp.var(judges.mean, 0), -1)
    noise = jnp.mean(jnp.sum(judges.mean**2, -1) - judges.pairs, 0)
    null = (1 - 1 / count) * noise
    return JurySplit(total, within, total - within, plug_in, null)
