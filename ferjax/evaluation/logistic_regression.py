"""Logistic regression with a ridge penalty, by Newton's method."""

import jax
import jax.numpy as jnp

__all__ = ["with_ridge"]


def with_ridge(
    x: jax.Array,
    labels: jax.Array,
    weights: jax.Array,
    penalty: float | jax.Array,
    largest_step: float = jnp.inf,
) -> jax.Array:
    """Fits a logistic regression; pure.

    Args:
      x: ``[item, feature]``, standardised.
      labels: ``[item]`` in 0 and 1.
      weights: ``[item]`` >= 0; 0 leaves an item out.
      penalty: on the squared weights of the features (hardly any on the bias).
      largest_step: of any weight in one step of Newton's method.

    Returns:
      ``[feature + 1]``: the weights and, last, the bias.
    """
    x = jnp.concatenate([x, jnp.ones((x.shape[0], 1))], axis=-1)
    ridge = penalty * jnp.ones(x.shape[1]).at[-1].set(1e-6)

    def step(_: int, w: jax.Array) -> jax.Array:
        p = jax.nn.sigmoid(x @ w)
        gradient = x.T @ (weights * (p - labels)) + ridge * w
        curvature = (x * (weights * p * (1 - p))[:, None]).T @ x
        hessian = curvature + jnp.diag(ridge) + 1e-3 * jnp.eye(x.shape[1])
        newton = jnp.linalg.solve(hessian, gradient)
        return w - jnp.clip(newton, -largest_step, largest_step)

    return jax.lax.fori_loop(0, 25, step, jnp.zeros(x.shape[1]))
