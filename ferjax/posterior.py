"""What ten votes leave open: the posterior of a face's vote distribution, and the error bar of its
disagreement.

Ten people are a sample of everyone. With a Dirichlet prior and multinomial votes, the distribution
over the classes that everyone would give has a Dirichlet posterior, and disagreement ``1 - max_c
q_c`` is known up to an interval.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

__all__ = ["DisagreementPosterior", "disagreement_posterior", "reliability"]


class DisagreementPosterior(NamedTuple):
    """Of ``1 - max_c q_c`` for each face, ``[face]``: posterior mean, standard deviation, and
    central interval."""

    mean: jax.Array
    deviation: jax.Array
    low: jax.Array
    high: jax.Array


def disagreement_posterior(
    votes: jax.Array,
    key: jax.Array,
    *,
    prior: float | None = None,
    draws: int = 2000,
    level: float = 0.95,
) -> DisagreementPosterior:
    """Disagreement of each face under the Dirichlet posterior of its votes.

    Args:
      votes: ``[face, class]`` whole counts; a face without votes gets the prior.
      key: random key of the draws.
      prior: pseudo-votes per class; ``1 / C`` (one pseudo-vote in all) unless given.
      draws: posterior draws per face (static). Faces with one multiset of votes have one posterior:
        give each once.
      level: mass of the central interval.

    Returns:
      :class:`DisagreementPosterior`.

    Raises:
      ValueError: if ``votes`` is not ``[face, class]`` or the prior is not positive.

    References:
      Perks, Some Observations on Inverse Probability, 1947 (the prior); Berger, Bernardo & Sun,
      Overall Objective Priors, 2015, https://arxiv.org/abs/1504.02689.

    >>> ten, hundred = disagreement_posterior(jnp.array([[7, 3], [70, 30]]), jax.random.key(0)).deviation
    >>> bool(ten > 2 * hundred)
    True
    """
    votes = jnp.asarray(votes, jnp.float32)
    if votes.ndim != 2:
        raise ValueError(f"votes must be [face, class], got {votes.shape}")
    prior = 1 / votes.shape[-1] if prior is None else prior
    if not prior > 0:
        raise ValueError(f"the prior must be positive pseudo-votes per class, got {prior}")
    # Log gammas: gammas of small shape underflow, and a row of zeros has no shares.
    log_gammas = jax.random.loggamma(key, votes + prior, (draws, *votes.shape))
    drawn = 1.0 - jnp.exp(jnp.max(jax.nn.log_softmax(log_gammas, -1), -1))
    tail = (1 - level) / 2
    low, high = jnp.quantile(drawn, jnp.array([tail, 1 - tail]), axis=0)
    return DisagreementPosterior(jnp.mean(drawn, 0), jnp.std(drawn, 0), low, high)


def reliability(posterior: DisagreementPosterior) -> jax.Array:
    """Share of the variance of disagreement that lies between faces, not within a face's posterior,
    in [0, 1].

    Its square root is a second, model-based reliability ceiling beside the split-half one: the
    correlation of what votes say with what is true.

    >>> p = DisagreementPosterior(jnp.array([0.0, 1.0]), jnp.array([0.5, 0.5]), jnp.zeros(2), jnp.ones(2))
    >>> float(reliability(p))
    0.5
    """
    between = jnp.var(posterior.mean)
    within = jnp.mean(posterior.deviation**2)
    return between / (between + within)
