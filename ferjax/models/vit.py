"""The DINOv2 Vision Transformer in Flax Linen, behind two pure functions.

Axis legend: images ``[face, S, S, 3]``, tokens ``[face, token, dim]`` with the CLS token first,
then registers, then patches in row-major order. The patch embedding is a reshape and a matrix
product, never a convolution: mapped over members, per-member kernels would lower to grouped
convolutions, several times slower than batched matrix products.

LayerNorm only, so a member's whole state is its parameters. The blocks ``start..stop`` of one
network can be built on their own, with the parameter names of the whole: a frozen trunk and a
trainable top are two slices of one tree.

References:
  Oquab et al., DINOv2: Learning Robust Visual Features without Supervision, 2023,
  https://arxiv.org/abs/2304.07193; Darcet et al., Vision Transformers Need Registers, 2023,
  https://arxiv.org/abs/2309.16588.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from ferjax.config import ModelConfig
from ferjax.models import matmul

__all__ = [
    "NUM_CLASSES",
    "Model",
    "Output",
    "final_tokens",
    "members_model",
    "split",
    "trunk_model",
    "vit",
    "with_intermediates",
]

NUM_CLASSES = 8
Params = Any


class Output(NamedTuple):
    """``log_probs [face, 8]`` and the ``features [face, width]`` the linear head saw, both
    float32."""

    log_probs: jax.Array
    features: jax.Array


class Model(NamedTuple):
    """Two pure functions of one member: ``init(key) -> params`` and ``apply(params, inputs,
    key=None) -> output``.

    ``key`` turns on what is random in training (drop-path); without it the model is deterministic.
    """

    init: Callable[[jax.Array], Params]
    apply: Callable[..., Any]


def _dense(config: ModelConfig, width: int, name: str) -> nn.Dense:
    return nn.Dense(
        width,
        dtype=config.dtype,
        kernel_init=nn.initializers.xavier_uniform(),
        name=name,
        dot_general=matmul.dense,
    )


def _norm(dtype: str, name: str) -> nn.LayerNorm:
    return nn.LayerNorm(epsilon=1e-6, dtype=dtype, name=name)


class Embed(nn.Module):
    """Patches to tokens: linear patch embedding, CLS, positions, then registers (which carry no
    position)."""

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
        tokens = _dense(c, c.dim, "patch")(patches)
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
    """Multi-head self-attention with one qkv projection and a float32 softmax."""

    config: ModelConfig

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        c = self.config
        # Explicit [face, head, token, width] products: on CPU 4x faster than
        # jax.nn.dot_product_attention's layout.
        qkv = _dense(c, 3 * c.dim, "qkv")(x).reshape(*x.shape[:2], 3, c.heads, c.dim // c.heads)
        query, key, value = jnp.moveaxis(qkv, (2, 3), (0, 2))
        scores = matmul.rows(query, key)
        weights = jax.nn.softmax(scores / jnp.sqrt(jnp.float32(c.dim // c.heads)), axis=-1).astype(
            c.dtype
        )
        mixed = matmul.columns(weights, value).swapaxes(1, 2).reshape(x.shape)
        return _dense(c, c.dim, "out")(mixed)


class Mlp(nn.Module):
    """Two dense layers with exact (erf) GELU, or the gated SwiGLU of DINOv2 g."""

    config: ModelConfig

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        c = self.config
        hidden = int(c.dim * c.mlp_ratio)
        if c.mlp == "gelu":
            return _dense(c, c.dim, "down")(nn.gelu(_dense(c, hidden, "up")(x), approximate=False))
        hidden = (hidden * 2 // 3 + 7) // 8 * 8
        gate, up = jnp.split(_dense(c, 2 * hidden, "up")(x), 2, axis=-1)
        return _dense(c, c.dim, "down")(nn.silu(gate) * up)


class Block(nn.Module):
    """Pre-norm transformer block with LayerScale, and stochastic depth where ``drop`` > 0."""

    config: ModelConfig
    drop: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, deterministic: bool = True) -> jax.Array:
        c = self.config

        def residual(branch: jax.Array, name: str) -> jax.Array:
            scale = self.param(name, nn.initializers.constant(c.layer_scale), (c.dim,))
            return self._drop_path(branch * scale.astype(c.dtype)[None, None], deterministic)

        x = x + residual(Attention(c, name="attention")(_norm(c.dtype, "norm1")(x)), "scale1")
        return x + residual(Mlp(c, name="mlp")(_norm(c.dtype, "norm2")(x)), "scale2")

    def _drop_path(self, branch: jax.Array, deterministic: bool) -> jax.Array:
        if deterministic or self.drop == 0:
            return branch
        kept = jax.random.bernoulli(
            self.make_rng("drop_path"), 1 - self.drop, (branch.shape[0], 1, 1)
        )
        return jnp.where(kept, branch / (1 - self.drop), 0).astype(branch.dtype)


class VisionTransformer(nn.Module):
    """Blocks ``start..stop``: embeds if it holds the first one; without a ``stop`` it goes on to
    the norm and the head."""

    config: ModelConfig
    start: int = 0
    stop: int | None = None
    classify: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, deterministic: bool = True) -> Any:
        c = self.config
        block = nn.remat(Block, static_argnums=(2,)) if c.remat else Block
        x = Embed(c, name="embed")(x) if self.start == 0 else x.astype(c.dtype)
        for i in range(self.start, c.depth if self.stop is None else self.stop):
            drop = c.drop_path * i / max(c.depth - 1, 1)
            x = block(c, drop, name=f"block_{i}")(x, deterministic)
        if self.stop is not None:
            return x
        x = _norm("float32", "norm")(x.astype(jnp.float32))
        if not self.classify:
            return x
        features = x[:, 0]
        if c.head == "cls+mean":
            features = jnp.concatenate([features, x[:, 1 + c.registers :].mean(1)], axis=-1)
        head = nn.Dense(
            NUM_CLASSES, kernel_init=nn.initializers.truncated_normal(0.02), name="head"
        )
        return Output(jax.nn.log_softmax(head(features)), features)


def tokens_shape(config: ModelConfig) -> tuple[int, int]:
    """Shape ``(token, dim)`` of what one face is inside the network."""
    return 1 + config.registers + (config.image_size // config.patch_size) ** 2, config.dim


def vit(config: ModelConfig, start: int = 0, stop: int | None = None) -> Model:
    """Builds blocks ``start..stop`` of a Vision Transformer as two pure functions of one member.

    Args:
      config: the architecture.
      start: first block; 0 embeds ``[face, S, S, 3]`` normalised images, later ones take tokens
        ``[face, token, dim]``.
      stop: one past the last block, where the network ends in tokens (even at the depth: a trunk
        under a head alone); None (default) goes on to the final norm and the head.

    Returns:
      :class:`Model`. A network with a ``stop`` returns tokens, one without :class:`Output`.

    Raises:
      ValueError: if the range is empty or outside the network.

    >>> model = vit(ModelConfig(image_size=16, patch_size=8, dim=8, depth=1, heads=2))
    >>> params = model.init(jax.random.key(0))
    >>> model.apply(params, jnp.zeros((2, 16, 16, 3))).log_probs.shape
    (2, 8)
    """
    last = config.depth if stop is None else stop
    if not 0 <= start <= last <= config.depth:
        raise ValueError(
            f"blocks {start}..{last} are not a range of a network of depth {config.depth}"
        )
    module = VisionTransformer(config, start, stop)
    side = config.image_size
    shape = (1, side, side, 3) if start == 0 else (1, *tokens_shape(config))

    def init(key: jax.Array) -> Params:
        return module.init(key, jnp.zeros(shape))["params"]

    def apply(params: Params, inputs: jax.Array, key: jax.Array | None = None) -> Any:
        rngs = None if key is None else {"drop_path": key}
        return module.apply({"params": params}, inputs, key is None, rngs=rngs)

    return Model(init, apply)


def with_intermediates(
    config: ModelConfig, start: int, stop: int | None, blocks: tuple[int, ...]
) -> Callable[[Params, jax.Array], Any]:
    """Blocks ``start..stop`` with a look inside: ``(params, inputs) -> (output, {block:
    features})``.

    Args:
      config: the architecture.
      start: first block, as for :func:`vit`.
      stop: one past the last block, as for :func:`vit`.
      blocks: after how many blocks of the whole network to look; each in ``start + 1 .. stop``.

    Returns:
      A function whose features are CLS and mean patch token side by side, float32 ``[face, 2
      dim]``.
    """
    config = dataclasses.replace(config, remat=False)  # nothing is differentiated here
    module = VisionTransformer(config, start, stop)

    def apply(params: Params, inputs: jax.Array) -> tuple[Any, dict[int, jax.Array]]:
        output, seen = module.apply(
            {"params": params},
            inputs,
            capture_intermediates=lambda part, _: isinstance(part, Block),
            mutable="intermediates",
        )
        features = {}
        for count in blocks:
            tokens = seen["intermediates"][f"block_{count - 1}"]["__call__"][0].astype(jnp.float32)
            features[count] = jnp.concatenate(
                [tokens[:, 0], tokens[:, 1 + config.registers :].mean(1)], axis=-1
            )
        return output, features

    return apply


def final_tokens(config: ModelConfig) -> Callable[[Params, jax.Array], Any]:
    """The whole backbone as ``(params, images) -> tokens``, final-normed float32 ``[face, token,
    dim]``; no head."""
    module = VisionTransformer(config, classify=False)
    return lambda params, images: module.apply({"params": params}, images)


def first_trained_block(config: ModelConfig) -> int:
    """Index of the first block that is trained; 0 when all are, embedding included."""
    return 0 if config.trainable_blocks is None else config.depth - config.trainable_blocks


def trunk_model(config: ModelConfig) -> Model | None:
    """The frozen blocks, shared by all members, or None when every block is trained."""
    return None if config.trainable_blocks is None else vit(config, 0, first_trained_block(config))


def members_model(config: ModelConfig) -> Model:
    """The part of the network each member trains for itself."""
    return vit(config, first_trained_block(config))


def split(params: Params, config: ModelConfig) -> tuple[Params, Params]:
    """Splits a whole network's parameters into (frozen trunk, trained part) by their names."""
    first = first_trained_block(config)
    frozen = {"embed", *(f"block_{i}" for i in range(first))} if first else set()
    return {n: p for n, p in params.items() if n in frozen}, {
        n: p for n, p in params.items() if n not in frozen
    }
