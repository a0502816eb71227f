"""How far a panel agrees with itself: random halves, reliability, the ceiling of a correlation.

No predictor can correlate with what a panel says above the square root of the panel's reliability:
the rest is who happened to be asked.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.arrays import as_weights
from ferjax.panels._gap import spread
from ferjax.panels._moments import Moments

__all__ = ["halves", "reliability", "stepped_up"]


def halves(key: jax.Array, there: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """A random split of each item's ratings into two halves; of an odd number, one is left out.

    Args:
      key: random key.
      there: bool ``[item, slot]``, where ratings are.

    Returns:
      Two weights 0 or 1, float32 ``[item, slot]``; none in either where an item has one rating.

    >>> a, b = halves(jax.random.key(0), jnp.ones((1, 5), bool))
    >>> float(a.sum()), float(b.sum()), float((a * b).sum())
    (2.0, 2.0, 0.0)
    """
    there = jnp.asarray(there)
    noise = jnp.where(there, jax.random.uniform(key, there.shape), jnp.inf)
    rank = jnp.argsort(jnp.argsort(noise, -1), -1)
    half = jnp.sum(there, -1, keepdims=True) // 2
    first = (rank < half).astype(jnp.float32)
    second = ((rank >= half) & (rank < 2 * half)).astype(jnp.float32)
    return first, second


def stepped_up(correlation: ArrayLike, factor: ArrayLike = 2.0) -> jax.Array:
    """The reliability of a panel ``factor`` times as large as those that correlate so.

    Args:
      correlation: of two panels of one size, any shape.
      factor: how many times as large; 2 from halves to the whole.

    Returns:
      The same shape.

    References:
      Spearman, Correlation Calculated from Faulty Data, 1910; Brown, Some Experimental Results in
      the Correlation of Mental Abilities, 1910.

    >>> round(float(stepped_up(0.5)), 4)
    0.6667
    """
    r = jnp.asarray(correlation)
    factor = jnp.asarray(factor)
    return factor * r / (1 + (factor - 1) * r)


def reliability(answers: Moments, weights: ArrayLike | None = None) -> jax.Array:
    """Share of the variance of the panel's mean that lies between items, not in who was asked.

    The intraclass correlation of the mean, from variance components: ``1 - mean(s²/n) /
    Var(mean)``, summed over columns. Its square root is the highest correlation that a predictor
    can have with the panel's mean.

    Args:
      answers: ``[..., item]``; a column is a value, or a class's indicator.
      weights: ``[item]`` >= 0, or None for one each; items with one answer, or of weight 0, are
        left out.

    Returns:
      ``[...]``, at most 1; below 0 where raters differ more than items. NaN where nothing varies,
      where fewer than two items have two answers, and where an item that counts has none.

    References:
      Shrout & Fleiss, Intraclass Correlations: Uses in Assessing Rater Reliability, 1979,
      https://doi.org/10.1037/0033-2909.86.2.420.

    >>> from ferjax.panels import of_answers
    >>> round(float(reliability(of_answers(jnp.array([[[1.0], [2.0]], [[5.0], [6.0]]])))), 4)
    0.9688
    """
    noise = spread(answers) / answers.answers
    several = answers.answers > 1
    given = as_weights(weights, jnp.moveaxis(answers.answers, -1, 0))
    given = given.reshape(*[1] * (several.ndim - 1), -1)
    several = several & (given != 0)
    w = jnp.where(several, given, 0.0)
    total = jnp.sum(w, -1)
    mean = jnp.where(several[..., None], answers.mean, 0.0)
    centre = jnp.einsum("...ic,...i->...c", mean, w) / total[..., None]
    off = jnp.sum((mean - centre[..., None, :]) ** 2, -1)
    # Unbiased, as each of the spreads is: over one item fewer.
    between = jnp.sum(w * off, -1) / (total - 1)
    return 1 - jnp.sum(w * jnp.where(several, noise, 0.0), -1) / total / between
