"""Likelihood of vote counts under the Dirichlet-multinomial distribution."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ferjax.dirichlet._parameters import LARGEST, checked, last_axis

__all__ = ["log_likelihood"]

_MOST_TERMS = 64
"""So many factors of a rising factorial are multiplied out; the rest is Stirling's series."""
_INFINITE = 1e4
"""A log concentration that stands for inf where that minus itself would not be a number."""


def log_likelihood(
    counts: ArrayLike,
    log_probs: ArrayLike,
    log_concentration: ArrayLike,
    *,
    max_votes: int | None = None,
) -> jax.Array:
    """Log-likelihood of vote counts under the Dirichlet-multinomial distribution.

    ``sum_c sum_{j<n_c} log(α_c + j) - sum_{j<N} log(S + j)``, the probability of the votes in the
    order in which they came: the multinomial coefficient, which no prediction changes, is left
    out. With S = inf it is ``sum_c n_c log p_c``, with S → 0 every voter says the same.

    The sums are worked out term by term up to 64 votes, so there is no difference of log-gammas to
    lose digits in; what lies beyond is Stirling's series from there on.

    Args:
      counts: ``[item..., class]`` whole numbers >= 0; an item without votes has likelihood 1.
      log_probs: ``[item..., class]``.
      log_concentration: ``[item...]``.
      max_votes: the most votes of any item (static); gives the same figures in less time. That of
        the counts by default, or 64 where they are traced.

    Returns:
      Nats, ``[item...]``; ``-inf`` where a class that has votes is impossible, NaN where a count
      is negative.

    Raises:
      ValueError: if the shapes do not fit together.

    References:
      Mosimann, On the Compound Multinomial Distribution, 1962,
      https://doi.org/10.1093/biomet/49.1-2.65.

    >>> half = jnp.log(jnp.array([0.5, 0.5]))
    >>> [round(float(log_likelihood(np.array([2, 0]), half, s)), 4) for s in (-50.0, 0.0, 50.0)]
    [-0.6931, -0.9808, -1.3863]
    """
    log_probs, log_s = checked(log_probs, log_concentration)
    if jnp.shape(counts) != log_probs.shape:
        raise ValueError(
            f"counts must be [item..., class] {log_probs.shape}, got {jnp.shape(counts)}"
        )
    if max_votes is None:
        known = not isinstance(counts, jax.core.Tracer) and np.size(counts)
        max_votes = int(np.sum(np.asarray(counts), axis=-1).max()) if known else _MOST_TERMS
    terms = max(1, min(max_votes, _MOST_TERMS))
    counts = jnp.asarray(counts, log_probs.dtype)
    counts = jnp.where(counts >= 0, counts, jnp.nan)
    total = jnp.sum(counts, axis=-1)
    # Every factor α_c + j of the numerator and S + j of the denominator is divided by max(S, 1):
    # there are as many of either, and neither then grows with S.
    down = jnp.minimum(log_s, 0.0)
    up = jnp.clip(log_s, 0.0, _INFINITE)
    log_alpha = log_probs + down[..., None]
    # The factors of j = 0 by hand: S itself cancels but for classes beyond the first.
    voted = counts > 0
    first = jnp.sum(jnp.where(voted, log_probs, 0.0), axis=-1)
    further = jnp.sum(voted, axis=-1).astype(log_probs.dtype) - 1
    first += jnp.where(further > 0, further * jnp.where(further > 0, down, 0.0), 0.0)
    numerator = jnp.sum(_log_rising(log_alpha, up[..., None], counts, terms), axis=-1)
    return first + numerator - _log_rising(down, up, total, terms) + 0 * total


def _log_rising(log_alpha: jax.Array, up: jax.Array, count: jax.Array, terms: int) -> jax.Array:
    """``sum_{0<j<count} log(α + j)``, each term less ``up``, of ``log_alpha = log α - up``."""
    j = np.arange(1, terms)
    log_j = last_axis(np.log(j), up) - up[..., None]
    inside = last_axis(j, count) < count[..., None]
    factors = jnp.logaddexp(log_alpha[..., None], log_j)
    multiplied = jnp.sum(jnp.where(inside, factors, 0.0), axis=-1)
    rest = jnp.maximum(count - terms, 0.0)
    log_x = jnp.logaddexp(log_alpha, math.log(terms) - up)
    x = jnp.exp(jnp.minimum(log_x + up, LARGEST))
    step = jnp.log1p(rest / x)
    inverse = 1 / x
    inverse_end = 1 / (x + rest)
    stirling = rest * (log_x + step - 1) + (x - 0.5) * step
    stirling += (inverse_end - inverse) / 12 - (inverse_end**3 - inverse**3) / 360
    return multiplied + jnp.where(rest > 0, stirling, 0.0)
