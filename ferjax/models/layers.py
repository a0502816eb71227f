"""Layers of a Vision Transformer: patch embedding, attention, MLP, and the block of the two."""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from ferjax.config import ModelConfig
from ferjax.models import attention, matmul

__all__ = ["Attention", "Block", "Dense", "Embed", "Mlp", "Mode", "drop_values", "dropout", "norm"]

Mode = Literal["deterministic", "training", "sampling"]
"""What is random in a network: nothing; in ``training`` drop-path and dropout, drawn for every
face; in ``sampling`` (a pass of MC-dropout) dropout alone, drawn once and shared by all faces.
Static."""


class Dense(nn.Module):
    """A dense layer: parameters in float32, the product in the network's compute type."""

    config: ModelConfig
    width: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (x.shape[-1], self.width)
        kernel = self.param("kernel", nn.initializers.xavier_uniform(), shape)
        bias = self.param("bias", nn.initializers.zeros_init(), (self.width,))
        return matmul.affine(x.astype(self.config.dtype), kernel, bias)


def norm(dtype: str, name: str) -> nn.LayerNorm:
    return nn.LayerNorm(epsilon=1e-6, dtype=dtype, name=name)


def drop_values(x: jax.Array, rate: float, key: jax.Array, *, shared: bool) -> jax.Array:
    """Dropout of ``x [item, ...]``.

    A mask that all items share is for each of them distributed like one of its own, and makes a
    pass one network: independent of the size of a batch, and of what else is in it.
    """
    shape = (1, *x.shape[1:]) if shared else x.shape
    kept = jax.random.bernoulli(key, 1 - rate, shape)
    return jnp.where(kept, x / (1 - rate), 0).astype(x.dtype)


def dropout(module: nn.Module, x: jax.Array, rate: float, mode: Mode) -> jax.Array:
    """:func:`drop_values` with the module's stream ``dropout``, where the mode has it."""
    if mode == "deterministic" or rate == 0:
        return x
    return drop_values(x, rate, module.make_rng("dropout"), shared=mode == "sampling")


class Embed(nn.Module):
    """Patches to tokens: linear embedding, CLS, positions, then registers (without positions)."""

    config: ModelConfig

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        c = self.config
        grid = c.image_size // c.patch_size
        patch = c.patch_size
        if images.shape[1:] != (c.image_size, c.image_size, 3):
            raise ValueError(
                f"expected images [face, {c.image_size}, {c.image_size}, 3], got {images.shape}"
            )
        patches = (
            images.reshape(-1, grid, patch, grid, patch, 3)
            .swapaxes(2, 3)
            .reshape(-1, grid * grid, patch * patch * 3)
        )
        tokens = Dense(c, c.dim, name="patch")(patches)
        small = nn.initializers.truncated_normal(0.02)
        cls = self.param("cls", small, (1, 1, c.dim))
        position = self.param("position", small, (1, 1 + grid * grid, c.dim))
        tokens = (
            jnp.concatenate([jnp.broadcast_to(cls, (tokens.shape[0], 1, c.dim)), tokens], axis=1)
            + position
        )
        if c.registers:
            registers = self.param("registers", small, (1, c.registers, c.dim))
            registers = jnp.broadcast_to(registers, (tokens.shape[0], c.registers, c.dim))
            tokens = jnp.concatenate([tokens[:, :1], registers, tokens[:, 1:]], axis=1)
        return tokens.astype(c.dtype)


class Attention(nn.Module):
    """Multi-head self-attention with one qkv projection and a float32 softmax.

    Explicit products unless the configuration says ``cudnn``.
    """

    config: ModelConfig

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        c = self.config
        qkv = Dense(c, 3 * c.dim, name="qkv")(x).reshape(*x.shape[:2], 3, c.heads, c.dim // c.heads)
        if c.attention == "cudnn":
            mixed = attention.fused(*jnp.moveaxis(qkv, 2, 0)).reshape(x.shape)
            return Dense(c, c.dim, name="out")(mixed)
        # Explicit [face, head, token, width] products: on CPU 4x faster than
        # jax.nn.dot_product_attention's layout.
        query, key, value = jnp.moveaxis(qkv, (2, 3), (0, 2))
        scores = matmul.rows(query, key)
        weights = jax.nn.softmax(scores / jnp.sqrt(jnp.float32(c.dim // c.heads)), axis=-1).astype(
            c.dtype
        )
        mixed = matmul.columns(weights, value).swapaxes(1, 2).reshape(x.shape)
        return Dense(c, c.dim, name="out")(mixed)


class Mlp(nn.Module):
    """Two dense layers with exact (erf) GELU, or the gated SwiGLU of DINOv2 g."""

    config: ModelConfig

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode = "deterministic") -> jax.Array:
        c = self.config
        if c.mlp == "gelu":
            hidden = nn.gelu(Dense(c, c.mlp_width, name="up")(x), approximate=False)
        else:
            gate, up = jnp.split(Dense(c, 2 * c.mlp_width, name="up")(x), 2, axis=-1)
            hidden = nn.silu(gate) * up
        rate = c.dropout if c.dropout_at == "blocks" else 0.0
        return Dense(c, c.dim, name="down")(dropout(self, hidden, rate, mode))


class Block(nn.Module):
    """Pre-norm transformer block with LayerScale, and stochastic depth where ``drop`` > 0."""

    config: ModelConfig
    drop: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode = "deterministic") -> jax.Array:
        c = self.config

        def residual(branch: jax.Array, name: str) -> jax.Array:
            scale = self.param(name, nn.initializers.constant(c.layer_scale), (c.dim,))
            return self._drop_path(branch * scale.astype(c.dtype)[None, None], mode)

        x = x + residual(Attention(c, name="attention")(norm(c.dtype, "norm1")(x)), "scale1")
        return x + residual(Mlp(c, name="mlp")(norm(c.dtype, "norm2")(x), mode), "scale2")

    def _drop_path(self, branch: jax.Array, mode: Mode) -> jax.Array:
        if mode != "training" or self.drop == 0:
            return branch
        kept = jax.random.bernoulli(
            self.make_rng("drop_path"), 1 - self.drop, (branch.shape[0], 1, 1)
        )
        return jnp.where(kept, branch / (1 - self.drop), 0).astype(branch.dtype)
