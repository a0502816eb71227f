"""Which way attention is computed: cuDNN's fused kernel on CUDA, explicit products elsewhere."""

import dataclasses

import jax
import jax.numpy as jnp

from ferjax.config import ModelConfig

__all__ = ["chosen", "fused", "fused_refusal"]


def fused(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
    """Softmax attention by cuDNN's kernel, which keeps no table of tokens by tokens.

    Args:
      query: ``[face, token, head, width]``, bfloat16 or float16.
      key: likewise.
      value: likewise.

    Returns:
      ``[face, token, head, width]``; products are accumulated and the softmax is taken in float32.

    Raises:
      RuntimeError: where cuDNN is not installed.
      NotImplementedError: on a width that its kernel does not take.
    """
    tokens = query.shape[1]
    if tokens % 2 == 0:
        return jax.nn.dot_product_attention(query, key, value, implementation="cudnn")
    # Gradients want an even number of tokens: one more, which nobody attends to.
    query, key, value = (jnp.pad(x, ((0, 0), (0, 1), (0, 0), (0, 0))) for x in (query, key, value))
    # Made of the query, since the kernel's rule for vmap wants one for each member as well.
    nothing = 0 * jax.lax.stop_gradient(query)[:, 0, 0, 0].astype(jnp.int32)
    lengths = nothing + tokens
    mixed = jax.nn.dot_product_attention(
        query,
        key,
        value,
        query_seq_lengths=lengths,
        key_value_seq_lengths=lengths,
        implementation="cudnn",
    )
    return mixed[:, :tokens]


def fused_refusal(config: ModelConfig) -> str:
    """Why the fused kernel cannot be had for a network on this machine; empty where it can."""
    if config.dtype == "float32":
        return "it takes bfloat16, the network computes in float32"
    shape = (1, 2, config.heads, config.dim // config.heads)
    one = jax.ShapeDtypeStruct(shape, config.dtype)

    def total(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
        return jnp.sum(fused(query, key, value).astype(jnp.float32))

    try:
        jax.eval_shape(jax.grad(total), one, one, one)
    except (RuntimeError, NotImplementedError, ValueError) as error:
        return str(error)
    return ""


def chosen(config: ModelConfig, *, has_kernel: bool) -> ModelConfig:
    """The architecture with its way of attention settled.

    Args:
      config: the architecture; ``attention="auto"`` is settled here.
      has_kernel: whether the devices are ones that cuDNN's kernel runs on.

    Raises:
      ValueError: if the configuration asks for the kernel and it cannot be had.
    """
    if config.attention == "explicit":
        return config
    refusal = fused_refusal(config) if has_kernel else "the devices are no CUDA cards of 8.0 or up"
    if config.attention == "cudnn" and refusal:
        raise ValueError(f"model.attention cudnn cannot be had here: {refusal}")
    return dataclasses.replace(config, attention="explicit" if refusal else "cudnn")
