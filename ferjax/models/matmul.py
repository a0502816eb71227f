"""Matrix products of attention and dense layers, with gradients that are fast on CPUs too.

The gradient of a product is a product with one factor transposed. XLA:CPU's fast kernels for small
batched products, and those in bfloat16, need an untransposed left operand; with a transposed one,
general code takes five to ten times as long. So the transpose is materialised first; on other
devices it is not.
"""

import math

import jax
import jax.numpy as jnp
from jax.experimental.layout import Layout, with_layout_constraint
from jax.sharding import PartitionSpec

__all__ = ["affine", "columns", "rows"]


def _transposed(x: jax.Array) -> jax.Array:
    return jax.lax.platform_dependent(jnp.swapaxes(x, -1, -2), cpu=_row_major, default=lambda x: x)


def _row_major(x: jax.Array) -> jax.Array:
    if x.dtype == jnp.float32:
        return jax.lax.optimization_barrier(x)
    # A barrier does not keep XLA from laying out the transpose as what was transposed.
    return with_layout_constraint(x, Layout(tuple(range(x.ndim))))


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


@jax.custom_vjp
def _affine(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    return x @ kernel.astype(x.dtype) + bias.astype(x.dtype)[None]


def _affine_gradients(
    factors: tuple[jax.Array, jax.Array], g: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    x, kernel = factors
    if x.dtype == jnp.float32:  # fast on CPUs too, where there are few products and large ones
        return _together(g @ kernel.T, x.T @ g, g.sum(0))
    of_kernel = jnp.matmul(_transposed(x), g, preferred_element_type=jnp.float32)
    of_x = g @ _transposed(kernel.astype(x.dtype))
    return _together(of_x, of_kernel, _sum_of_rows(g))


def _devices_that_share() -> int:
    """How many devices share what is computed here, a batch of one member."""
    mesh = jax.sharding.get_abstract_mesh()
    return math.prod(mesh.shape[axis] for axis in mesh.auto_axes)


def _shared(rows: jax.Array) -> jax.Array:
    """The same ``[n, ...]``; where devices share a batch, each with its part of the rows."""
    devices = _devices_that_share()
    if devices == 1 or len(rows) % devices:
        return rows
    over = jax.sharding.get_abstract_mesh().auto_axes
    return jax.lax.with_sharding_constraint(rows, PartitionSpec(over))


def _together(
    of_x: jax.Array, of_kernel: jax.Array, of_bias: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The gradients as they are; where devices share a batch, none much after the others.

    Beside collectives XLA's schedulers for GPUs and TPUs put off what nothing else waits for, the
    gradients of weights, and keep what they are products of: the activations of all blocks,
    recomputed or not.
    """
    gradients = (of_x, of_kernel, of_bias)
    if _devices_that_share() == 1:
        return gradients
    barrier = jax.lax.optimization_barrier
    return jax.lax.platform_dependent(gradients, cpu=lambda gradients: gradients, default=barrier)


def _sum_of_rows(g: jax.Array) -> jax.Array:
    """``[n, m] -> [m]``, float32."""

    def product(g: jax.Array) -> jax.Array:
        ones = jnp.ones((1, len(g)), g.dtype)
        return jnp.matmul(ones, g, preferred_element_type=jnp.float32)[0]

    def reduction(g: jax.Array) -> jax.Array:
        return jnp.sum(g, axis=0, dtype=jnp.float32)

    # A sum over many rows in bfloat16 is slow on CPUs, a product with ones is not. On GPUs XLA
    # splits such a product and keeps padded float32 copies of the gradients of all layers for it.
    return jax.lax.platform_dependent(g, cpu=product, default=reduction)


_affine.defvjp(lambda x, kernel, bias: (_affine(x, kernel, bias), (x, kernel)), _affine_gradients)


def affine(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    """A dense layer, ``[..., k] [k, m] [m] -> [..., m]``, as one product in the type of ``x``;
    gradients of ``kernel`` and ``bias`` are float32, as they are."""
    y = _shared(_affine(_shared(x.reshape(-1, x.shape[-1])), kernel, bias))
    return y.reshape(*x.shape[:-1], kernel.shape[-1])
