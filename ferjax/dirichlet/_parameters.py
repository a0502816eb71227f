"""A Dirichlet by its mean and concentration, and the checks that all functions share."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ferjax.arrays import as_floats
from ferjax.distributions import require_log_probs

__all__ = ["LARGEST", "Dirichlet", "checked", "floating", "from_alpha", "last_axis"]

LARGEST = 60.0
"""Log concentrations beyond ± this are treated as this: nothing changes in float32 any more."""


class Dirichlet(NamedTuple):
    """A Dirichlet distribution of each item, by mean and concentration."""

    log_probs: jax.Array
    """``[item..., class]``, normalised."""
    log_concentration: jax.Array
    """``[item...]``: ``log sum_c α_c``."""


def from_alpha(alpha: ArrayLike) -> Dirichlet:
    """Mean and concentration of Dirichlets given by their parameters.

    Args:
      alpha: ``[item..., class]`` >= 0, at least one of each item positive.

    Returns:
      :class:`Dirichlet`, float32 or better; NaN of an item whose parameters cannot be.

    >>> float(from_alpha(jnp.array([1.0, 3.0])).log_concentration)
    1.386...
    """
    (alpha,) = as_floats(alpha)
    concentration = jnp.sum(jnp.where(alpha >= 0, alpha, jnp.nan), axis=-1)
    return Dirichlet(jnp.log(alpha / concentration[..., None]), jnp.log(concentration))


def last_axis(values: np.ndarray, like: jax.Array) -> jax.Array:
    """``values [n]`` as a new last axis behind those of ``like``, of its type."""
    return jnp.asarray(values, like.dtype).reshape(*[1] * like.ndim, -1)


def floating(values: ArrayLike, name: str) -> jax.Array:
    """Values as float32 or better; an error, by this name, where they are not floating point."""
    array = jnp.asarray(values)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(f"{name} must be floating point, got dtype {array.dtype}")
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))


def checked(log_probs: ArrayLike, log_concentration: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """Both as one type of float32 or better; an error where there is not one S for each row, or
    (outside ``jit``) rows are no log-probabilities."""
    given = log_probs
    log_probs = floating(log_probs, "log_probs")
    log_concentration = floating(log_concentration, "log_concentration")
    if log_concentration.shape != log_probs.shape[:-1]:
        raise ValueError(
            f"log_concentration must be [item...] {log_probs.shape[:-1]}, one for each row of "
            f"log_probs {log_probs.shape}; got {log_concentration.shape}"
        )
    require_log_probs(given)
    dtype = jnp.promote_types(log_probs.dtype, log_concentration.dtype)
    return log_probs.astype(dtype), log_concentration.astype(dtype)
