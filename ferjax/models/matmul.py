"""Matrix products of attention, with gradients that are fast on CPUs too.

The gradient of a product is a product with one factor transposed. XLA:CPU's fast batched kernels
need an untransposed left operand; with a transposed one, general code computes the small products
one at a time, over ten times slower. So the transpose is materialised first; on other devices it is
not.
"""

from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["columns", "dense", "rows"]


def _transposed(x: jax.Array) -> jax.Array:
    # The barrier keeps XLA from folding the transposition into the product again.
    return jax.lax.platform_dependent(
        jnp.swapaxes(x, -1, -2), cpu=jax.lax.optimization_barrier, default=lambda x: x
    )


@jax.custom_vjp
def rows(a: jax.Array, b: jax.Array) -> jax.Array:
    """Rows by rows, in float32: ``[..., n, k] [..., m, k] -> [..., n, m]``."""
    return jnp.einsum("...nk,...mk->...nm", a, b, preferred_element_type=jnp.float32)


@jax.custom_vjp
def columns(a: jax.Array, b: jax.Array) -> jax.Array:
    """Rows by columns: ``[..., n, k] [..., k, m] -> [..., n, m]``."""
    return jnp.einsum("...nk,...km->...nm", a, b)


def _rows_gradients(
    factors: tuple[jax.Array, jax.Array], g: jax.Array
) -> tuple[jax.Array, jax.Array]:
    a, b = factors
    g = g.astype(a.dtype)
    return columns(g, b), columns(_transposed(g), a)


def _columns_gradients(
    factors: tuple[jax.Array, jax.Array], g: jax.Array
) -> tuple[jax.Array, jax.Array]:
    a, b = factors
    return rows(g, b).astype(a.dtype), columns(_transposed(a), g)


rows.defvjp(lambda a, b: (rows(a, b), (a, b)), _rows_gradients)
columns.defvjp(lambda a, b: (columns(a, b), (a, b)), _columns_gradients)


def dense(x: jax.Array, kernel: jax.Array, dimensions: Any, **_: Any) -> jax.Array:
    """Flax's ``dot_general`` of a dense layer, ``[..., k] [k, m] -> [..., m]``, as one product."""
    return (x.reshape(-1, x.shape[-1]) @ kernel).reshape(*x.shape[:-1], kernel.shape[-1])
