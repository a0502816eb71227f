"""Differences of gamma functions that keep their digits, for α >= 0."""

import math

import jax
import jax.numpy as jnp

__all__ = ["digamma_excess", "digamma_step", "log_gamma_of_next"]

SHIFT = 8
"""Arguments are moved up by so many steps before an asymptotic series is used."""


def digamma_step(alpha: jax.Array, step: jax.Array) -> jax.Array:
    """``ψ(1 + α + step) - ψ(1 + α)`` without subtracting one from the other."""
    end = alpha + step
    found = sum(step / ((alpha + k) * (end + k)) for k in range(1, SHIFT + 1))
    x = 1 / (alpha + (SHIFT + 1))
    y = 1 / (end + (SHIFT + 1))
    difference = step * x * y  # x - y
    squares = difference * (x + y)
    found += jnp.log1p(step * x) + difference / 2 + squares / 12
    return found - squares * (x**2 + y**2) / 120


def digamma_excess(log_alpha: jax.Array) -> jax.Array:
    """``ψ(1 + α) - log α``."""
    alpha = jnp.exp(log_alpha)
    found = jax.nn.softplus(math.log(SHIFT + 1) - log_alpha)
    found -= sum(1 / (alpha + k) for k in range(1, SHIFT + 1))
    y = 1 / (alpha + (SHIFT + 1))
    return found - y / 2 - y**2 / 12 + y**4 / 120


def log_gamma_of_next(alpha: jax.Array) -> jax.Array:
    """``log Γ(1 + α)`` for α >= 0, precise in proportion to α where that is small, which lax is
    not: Stirling's series from ``9 + α``, and the factors down from there."""
    end = SHIFT + 1
    step = jnp.log1p(alpha / end)
    found = alpha * (math.log(end) + step - 1) + (end - 0.5) * step
    found += (1 / (end + alpha) - 1 / end) / 12 - (1 / (end + alpha) ** 3 - 1 / end**3) / 360
    return found - sum(jnp.log1p(alpha / k) for k in range(1, end))
