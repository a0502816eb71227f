"""The concentration that gives a Dirichlet distribution a wanted expected entropy."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.arrays import nan_where
from ferjax.dirichlet._entropies import expected_entropy
from ferjax.dirichlet._parameters import floating

__all__ = ["concentration_of_entropy"]

_RANGE = (-10.0, 12.0)
"""Of the logarithms that are told apart: beyond, the expected entropy is as good as 0, or that of
the mean."""


def concentration_of_entropy(log_probs: ArrayLike, entropy: ArrayLike) -> jax.Array:
    """The concentration at which the expected entropy is as wanted, the mean being given.

    So an ensemble becomes one distribution: with its mean prediction and its members' mean entropy
    it has the ensemble's total, aleatoric and epistemic uncertainty. The expected entropy grows
    with the concentration, from 0 to the entropy of the mean; it is found by bisection.

    Args:
      log_probs: ``[item..., class]``, the mean.
      entropy: ``[item...]`` nats.

    Returns:
      Its logarithm, ``[item...]``, within -10..12: the nearer end where no concentration gives the
      entropy, e.g. 12 where it is as large as that of the mean.

    Raises:
      ValueError: if the shapes do not fit together.

    >>> mean = jnp.log(jnp.array([0.2, 0.8]))
    >>> wanted = expected_entropy(mean, 1.5)
    >>> round(float(concentration_of_entropy(mean, wanted)), 3)
    1.5
    """
    log_probs = floating(log_probs, "log_probs")
    entropy = floating(entropy, "entropy")
    if entropy.shape != log_probs.shape[:-1]:
        raise ValueError(
            f"entropy must be [item...] {log_probs.shape[:-1]}, one for each row of log_probs "
            f"{log_probs.shape}; got {entropy.shape}"
        )

    def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = ends
        middle = (low + high) / 2
        # Where both are 0, or as large as that of the mean, the largest concentration is meant.
        more = expected_entropy(log_probs, middle) <= entropy
        return jnp.where(more, middle, low), jnp.where(more, high, middle)

    ends = (jnp.full_like(entropy, _RANGE[0]), jnp.full_like(entropy, _RANGE[1]))
    low, high = jax.lax.fori_loop(0, 40, halve, ends)
    undefined = jnp.isnan(entropy) | jnp.any(jnp.isnan(log_probs), axis=-1)
    return nan_where(undefined, (low + high) / 2)
