"""A small smooth minimisation under jit and vmap: Newton's method by conjugate gradients."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

__all__ = ["minimise"]

_HALVINGS = 10


class _State(NamedTuple):
    x: jax.Array
    value: jax.Array
    step: jax.Array
    done: jax.Array


class _Conjugate(NamedTuple):
    x: jax.Array
    residual: jax.Array
    direction: jax.Array
    done: jax.Array


def minimise(loss: Callable, start, *, steps: int = 60, inner: int = 40, tolerance: float = 1e-6):
    """Minimises a smooth function of a few hundred parameters.

    Truncated Newton: the Newton direction is found by conjugate gradients on Hessian-vector
    products and cut where the curvature turns negative; of that direction halved up to ten times
    the best point is taken, so that the function never rises.

    Args:
      loss: a tree of float arrays to a scalar, twice differentiable.
      start: the tree to start from.
      steps: most Newton steps (static).
      inner: most conjugate gradients per step (static).
      tolerance: it ends where a step gains less than this share of the value.

    Returns:
      The tree at the smallest value found; NaN where the function is undefined at the start.

    References:
      Nocedal & Wright, Numerical Optimization, 2006, chapter 7.

    >>> round(float(minimise(lambda x: (x - 2.0) ** 2 + jnp.exp(x), jnp.array(0.0))), 3)
    0.841
    """
    flat, unravel = ravel_pytree(start)

    def value(x: jax.Array) -> jax.Array:
        return loss(unravel(x))

    gradient = jax.grad(value)
    sizes = jnp.asarray(np.append(0.0, 0.5 ** np.arange(_HALVINGS)), flat.dtype)

    def step(state: _State) -> _State:
        slope = gradient(state.x)
        direction = _newton_direction(gradient, state.x, slope, inner)
        tried = state.x[None] + sizes[:, None] * direction[None]
        values = jax.vmap(value)(tried)
        best = jnp.nanargmin(jnp.where(jnp.isnan(values), jnp.inf, values))
        gain = state.value - values[best]
        done = ~(gain > tolerance * (jnp.abs(state.value) + tolerance))
        return _State(tried[best], values[best], state.step + 1, done)

    first = _State(flat, value(flat), jnp.int32(0), jnp.array(False))
    found = jax.lax.while_loop(lambda s: (s.step < steps) & ~s.done, step, first)
    return unravel(jnp.where(jnp.isnan(first.value), jnp.nan, found.x))


def _newton_direction(
    gradient: Callable[[jax.Array], jax.Array], x: jax.Array, slope: jax.Array, inner: int
) -> jax.Array:
    """Where the quadratic model at ``x`` has its minimum, as far as it is convex."""
    enough = jnp.minimum(0.25, jnp.sqrt(jnp.linalg.norm(slope))) * jnp.linalg.norm(slope)

    def step(_: int, at: _Conjugate) -> _Conjugate:
        bent = jax.jvp(gradient, (x,), (at.direction,))[1]
        curvature = at.direction @ bent
        squared = at.residual @ at.residual
        flat = curvature <= 1e-9 * (at.direction @ at.direction)
        length = squared / jnp.where(flat, 1.0, curvature)
        # A first direction of negative curvature is the steepest descent itself.
        moved = at.x + jnp.where(flat, 0.0, length) * at.direction
        moved = jnp.where(flat & jnp.all(at.x == 0), at.direction, moved)
        residual = at.residual - length * bent
        ratio = (residual @ residual) / jnp.where(squared > 0, squared, 1.0)
        done = at.done | flat | (jnp.linalg.norm(residual) <= enough)
        after = _Conjugate(moved, residual, residual + ratio * at.direction, done)
        return jax.tree.map(lambda new, old: jnp.where(at.done, old, new), after, at)

    start = _Conjugate(jnp.zeros_like(x), -slope, -slope, jnp.array(False))
    return jax.lax.fori_loop(0, inner, step, start).x
