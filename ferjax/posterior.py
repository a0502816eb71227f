"""Dirichlet posterior of an item's vote distribution, and credible intervals of its disagreement.

The people who voted are a sample of everyone. With a Dirichlet prior and multinomial votes, the
distribution over the classes that everyone would give has a Dirichlet posterior, and disagreement
``1 - max_c q_c`` is known up to an interval.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.arrays import as_floats, nan_where
from ferjax.uncertainty import least_confidence

__all__ = ["DisagreementPosterior", "disagreement_posterior", "intraclass_reliability"]


class DisagreementPosterior(NamedTuple):
    """Posterior of the disagreement ``1 - max_c q_c`` of each item, unitless in [0, 1]."""

    mean: jax.Array
    """``[item]``."""
    deviation: jax.Array
    """Standard deviation, ``[item]``."""
    low: jax.Array
    """Lower end of the central interval, ``[item]``."""
    high: jax.Array
    """Upper end of the central interval, ``[item]``."""


def disagreement_posterior(
    key: jax.Array,
    votes: ArrayLike,
    *,
    prior: float | None = None,
    draws: int = 2000,
    level: float = 0.95,
) -> DisagreementPosterior:
    """Disagreement of each item under the Dirichlet posterior of its votes.

    Args:
      key: random key of the draws.
      votes: ``[item, class]`` whole counts >= 0; an item without votes gets the prior.
      prior: pseudo-votes per class; ``1 / C`` (one pseudo-vote in all) unless given (static).
      draws: posterior draws per item (static). Items with one multiset of votes have one posterior:
        give each once.
      level: mass of the central interval, in (0, 1).

    Returns:
      :class:`DisagreementPosterior`, float32 ``[item]`` each; NaN where a count is NaN or negative.

    Raises:
      ValueError: if ``votes`` is not ``[item, class]`` or the prior is not positive.

    References:
      Perks, Some Observations on Inverse Probability, 1947 (the prior); Berger, Bernardo & Sun,
      Overall Objective Priors, 2015, https://arxiv.org/abs/1504.02689.

    >>> votes = jnp.array([[7, 3], [70, 30]])
    >>> ten, hundred = jax.jit(disagreement_posterior)(jax.random.key(0), votes).deviation
    >>> bool(ten > 2 * hundred)
    True
    """
    (votes,) = as_floats(votes)
    if votes.ndim != 2:
        raise ValueError(f"votes must be [item, class], got {votes.shape}")
    prior = 1 / votes.shape[-1] if prior is None else prior
    if not prior > 0:
        raise ValueError(f"the prior must be positive pseudo-votes per class, got {prior}")
    votes = nan_where(votes < 0, votes)
    # Log gammas: gammas of small shape underflow, and a row of zeros has no shares.
    log_gammas = jax.random.loggamma(key, votes + prior, (draws, *votes.shape))
    drawn = least_confidence(jax.nn.log_softmax(log_gammas, -1))
    tail = (1 - level) / 2
    low, high = jnp.quantile(drawn, jnp.array([tail, 1 - tail]), axis=0)
    return DisagreementPosterior(jnp.mean(drawn, 0), jnp.std(drawn, 0), low, high)


def intraclass_reliability(posterior: DisagreementPosterior) -> jax.Array:
    """Share of the variance of disagreement that lies between items, not within one's posterior.

    Its square root is a second, model-based ceiling beside
    :func:`ferjax.metrics.noise_ceiling`: the correlation of what votes say with what is true.

    Args:
      posterior: of the items.

    Returns:
      float32 scalar in [0, 1]; NaN without items, or where neither variance is positive.

    References:
      Shrout & Fleiss, Intraclass Correlations: Uses in Assessing Rater Reliability, 1979,
      https://doi.org/10.1037/0033-2909.86.2.420.

    >>> half = jnp.array([0.5, 0.5])
    >>> p = DisagreementPosterior(jnp.array([0.0, 1.0]), half, jnp.zeros(2), jnp.ones(2))
    >>> float(intraclass_reliability(p))
    0.5
    """
    between = jnp.var(posterior.mean)
    within = jnp.mean(posterior.deviation**2)
    return between / (between + within)
