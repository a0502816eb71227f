"""Expected entropy of a Dirichlet, its mutual information, and divergence from another."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.dirichlet._gamma import digamma_excess, digamma_step, log_gamma_excess
from ferjax.dirichlet._parameters import LARGEST, checked

__all__ = [
    "expected_entropy",
    "expected_entropy_contributions",
    "kl",
    "mutual_information",
]


def expected_entropy(log_probs: ArrayLike, log_concentration: ArrayLike) -> jax.Array:
    """Entropy that a distribution drawn from the Dirichlet has on average, ``E[H(p)]``.

    ``sum_c π_c (ψ(S + 1) - ψ(α_c + 1))``: how much people disagree about an item as far as the
    network knows, without what it only cannot tell (that is :func:`mutual_information`).

    Args:
      log_probs: ``[item..., class]``.
      log_concentration: ``[item...]``.

    Returns:
      ``[item...]`` nats, from 0 (S → 0) to the entropy of the mean (S = inf); keeps its relative
      precision however small it is.

    Raises:
      ValueError: if the shapes do not fit together.

    References:
      Malinin & Gales, Predictive Uncertainty Estimation via Prior Networks, 2018,
      https://arxiv.org/abs/1802.10501.

    >>> uniform = jnp.log(jnp.array([0.5, 0.5]))
    >>> [round(float(expected_entropy(uniform, s)), 4) for s in (-20.0, jnp.log(2), jnp.inf)]
    [0.0, 0.5, 0.6931]
    """
    return jnp.sum(expected_entropy_contributions(log_probs, log_concentration), axis=-1)


def expected_entropy_contributions(log_probs: ArrayLike, log_concentration: ArrayLike) -> jax.Array:
    """The term of each class in :func:`expected_entropy`, ``[item..., class]`` nats, each >= 0."""
    log_probs, log_s = checked(log_probs, log_concentration)
    log_s = jnp.clip(log_s, -LARGEST, LARGEST)[..., None]
    alpha = jnp.exp(log_probs + log_s)
    rest = -jnp.expm1(log_probs) * jnp.exp(log_s)
    return jnp.exp(log_probs) * digamma_step(alpha, jnp.maximum(rest, 0.0))


def mutual_information(log_probs: ArrayLike, log_concentration: ArrayLike) -> jax.Array:
    """What one network does not know: entropy of the mean less :func:`expected_entropy`.

    The mutual information of a vote and the distribution it is drawn from. In an ensemble this is
    the epistemic uncertainty *within* a member.

    Args:
      log_probs: ``[item..., class]``.
      log_concentration: ``[item...]``.

    Returns:
      ``[item...]`` nats, from the entropy of the mean (S → 0) to 0 (S = inf); keeps its relative
      precision where S is large, about ``(C - 1) / 2S``.

    Raises:
      ValueError: if the shapes do not fit together.

    References:
      Malinin & Gales, 2018, https://arxiv.org/abs/1802.10501.

    >>> uniform = jnp.log(jnp.array([0.5, 0.5]))
    >>> round(float(mutual_information(uniform, jnp.log(2))), 4)
    0.1931
    """
    log_probs, log_s = checked(log_probs, log_concentration)
    possible = log_probs != -jnp.inf
    safe = jnp.where(possible, log_probs, 0.0)
    probs = jnp.where(possible, jnp.exp(safe), 0.0)
    few = log_s < 0
    # Two forms, each where the other would subtract equals; what is not used must be finite.
    entropy = -jnp.sum(probs * safe, axis=-1)
    small = entropy - expected_entropy(log_probs, jnp.where(few, log_s, 0.0))
    many = jnp.where(few, 0.0, log_s)
    log_alpha = safe + jnp.minimum(many, LARGEST)[..., None]
    large = jnp.sum(probs * digamma_excess(log_alpha), axis=-1)
    large -= digamma_excess(jnp.minimum(many, LARGEST))
    large = jnp.where(many == jnp.inf, 0.0, large)
    return jnp.maximum(jnp.where(few, small, large), 0.0)


def kl(
    log_probs: ArrayLike,
    log_concentration: ArrayLike,
    other_log_probs: ArrayLike,
    other_log_concentration: ArrayLike,
) -> jax.Array:
    """Divergence ``KL(Dir || other Dir)``.

    That of the means, ``S' KL(p' || p)``, and what is left of the Bregman divergences of log Γ of
    the parameters: log-gammas of large concentrations would leave no digits to their differences.

    Args:
      log_probs: ``[item..., class]``.
      log_concentration: ``[item...]``.
      other_log_probs: of the other, ``[item..., class]``.
      other_log_concentration: of the other, ``[item...]``.

    Returns:
      ``[item...]`` nats, >= 0; infinite or NaN where an ``α_c`` is 0.

    Raises:
      ValueError: if the shapes do not fit together.

    References:
      Penny, Kullback-Leibler Divergences of Normal, Gamma, Dirichlet and Wishart Densities, 2001.

    >>> uniform = jnp.log(jnp.array([0.5, 0.5]))
    >>> round(float(kl(uniform, jnp.log(4), uniform, jnp.log(2))), 4)
    0.1251
    """
    log_probs, log_s = checked(log_probs, log_concentration)
    other_log_probs, other_log_s = checked(other_log_probs, other_log_concentration)
    if log_probs.shape != other_log_probs.shape:
        raise ValueError(
            f"both must have one shape, got {log_probs.shape} and {other_log_probs.shape}"
        )
    concentration = jnp.exp(log_s)
    other_concentration = jnp.exp(other_log_s)
    alpha = jnp.exp(log_probs + log_s[..., None])
    other = jnp.exp(other_log_probs + other_log_s[..., None])
    possible = other_log_probs != -jnp.inf
    log_ratio = jnp.where(possible, other_log_probs, log_probs) - log_probs
    # p' log p'/p - p' + p of each class, which are >= 0 and add up to the divergence.
    terms = jnp.exp(log_ratio) * log_ratio - jnp.expm1(log_ratio)
    means = jnp.sum(jnp.exp(log_probs) * jnp.where(possible, terms, 1.0), axis=-1)
    found = other_concentration * means + jnp.sum(log_gamma_excess(alpha, other), axis=-1)
    return jnp.maximum(found - log_gamma_excess(concentration, other_concentration), 0.0)
