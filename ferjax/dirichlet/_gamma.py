"""Differences of gamma functions that keep their digits, for α >= 0."""

import math

import jax
import jax.numpy as jnp

__all__ = ["digamma_excess", "digamma_step", "log_gamma_excess", "log_gamma_of_next"]

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


def log_gamma_excess(x: jax.Array, y: jax.Array) -> jax.Array:
    """``log Γ(y) - log Γ(x) - (y - x) ψ(x)`` less ``y log(y/x) - y + x``, for x > 0 and y >= 0.

    The first is the Bregman divergence of log Γ, the second that of ``x log x - x``, which is
    nearly all of it where both are large.
    """

    def gap(at: float) -> tuple[jax.Array, jax.Array]:
        """``r - 1 - log r`` and ``log r`` of the ratio of both, moved up by so much."""
        less_one = (y - x) / (x + at)
        near = jnp.abs(less_one) < 0.5
        ratio = jnp.where(near, 1.0, (y + at) / (x + at))
        log_ratio = jnp.where(near, jnp.log1p(jnp.where(near, less_one, 0.0)), jnp.log(ratio))
        return less_one - log_ratio, log_ratio

    end, log_ratio = gap(SHIFT)
    found = sum(gap(k)[0] for k in range(SHIFT)) + end / 2 + SHIFT * log_ratio
    safe = jnp.where(y > 0, y, 1.0)
    # log (1 + SHIFT/y) - log (1 + SHIFT/x), as one logarithm where x and y are close.
    less_one = SHIFT * (x - y) / (safe * (x + SHIFT))
    near = jnp.abs(less_one) < 0.5
    moved = jnp.log1p(SHIFT / safe) - jnp.log1p(SHIFT / x)
    moved = jnp.where(near, jnp.log1p(jnp.where(near, less_one, 0.0)), moved)
    found += jnp.where(y > 0, y * moved, 0.0)
    u = 1 / (x + SHIFT)
    v = 1 / (y + SHIFT)
    found += (v - u) / 12 - (v**3 - u**3) / 360
    return found + (y - x) * (u**2 / 12 - u**4 / 120)
