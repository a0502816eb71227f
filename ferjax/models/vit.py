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
from ferjax.models.layers import Block, Embed, Mode, dropout, norm

__all__ = [
    "Model",
    "Output",
    "blocks",
    "first_trained_block",
    "members_model",
    "split",
    "tokens_shape",
    "trunk_model",
    "vit",
    "with_intermediates",
]

Params = Any


class Output(NamedTuple):
    """What a network says of a batch, float32.

    ``logits [face, class]``; the ``features [face, width]`` that the linear head saw, before
    dropout; ``extra [face, column]`` outputs beside the classes, None where a network has no such
    columns, which a method gives their meaning (:mod:`ferjax.ensemble.methods`); and the final
    ``patches [face, patch, dim]``, whose mean a head of ``cls+mean`` sees.
    """

    logits: jax.Array
    features: jax.Array
    extra: jax.Array | None = None
    patches: jax.Array | None = None


class Model(NamedTuple):
    """Two pure functions of one member.

    ``init(key) -> params`` and ``apply(params, inputs, key=None, sample=None) -> output``. Without
    a key the model is deterministic; ``key`` turns on what is random in training (drop-path and
    dropout, for every face anew), ``sample`` one pass of MC-dropout, whose masks all faces share.
    """

    init: Callable[[jax.Array], Params]
    apply: Callable[..., Any]


class VisionTransformer(nn.Module):
    """Blocks ``start..stop``, the embedding before the first, norm and head after the last.

    The head is there where there are ``classes``; without, the network ends in tokens.
    """

    config: ModelConfig
    start: int
    stop: int
    classes: int = 0
    extra: int = 0

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode = "deterministic") -> Any:
        c = self.config
        block = nn.remat(Block, static_argnums=(2,)) if c.remat else Block
        x = Embed(c, name="embed")(x) if self.start == 0 else x.astype(c.dtype)
        for i in range(self.start, self.stop):
            drop = c.drop_path * i / max(c.depth - 1, 1)
            x = block(c, drop, name=f"block_{i}")(x, mode)
        if not self.classes:
            return x
        x = norm("float32", "norm")(x.astype(jnp.float32))
        features = x[:, 0]
        patches = x[:, 1 + c.registers :]
        if c.head == "cls+mean":
            features = jnp.concatenate([features, patches.mean(1)], axis=-1)
        seen = dropout(self, features, c.dropout if c.dropout_at == "head" else 0.0, mode)
        logits = _head(self.classes, "head")(seen)
        extra = _head(self.extra, "extra")(seen) if self.extra else None
        return Output(logits, features, extra, patches)


def _head(width: int, name: str) -> nn.Dense:
    return nn.Dense(width, kernel_init=nn.initializers.truncated_normal(0.02), name=name)


def tokens_shape(config: ModelConfig) -> tuple[int, int]:
    """Shape ``(token, dim)`` of what one face is inside the network."""
    return 1 + config.registers + (config.image_size // config.patch_size) ** 2, config.dim


def _model(module: VisionTransformer) -> Model:
    config = module.config
    side = config.image_size
    shape = (1, side, side, 3) if module.start == 0 else (1, *tokens_shape(config))

    def init(key: jax.Array) -> Params:
        return module.init(key, jnp.zeros(shape))["params"]

    def apply(
        params: Params,
        inputs: jax.Array,
        key: jax.Array | None = None,
        sample: jax.Array | None = None,
    ) -> Any:
        if key is not None and sample is not None:
            raise ValueError("a network is trained (key) or sampled (sample), not both at once")
        mode: Mode = "deterministic"
        rngs = None
        if key is not None:
            # Dropout has a stream of its own: drop-path draws what it drew before there was any.
            mode = "training"
            rngs = {"drop_path": key, "dropout": jax.random.fold_in(key, 1)}
        elif sample is not None:
            mode = "sampling"
            rngs = {"dropout": sample}
        return module.apply({"params": params}, inputs, mode, rngs=rngs)

    return Model(init, apply)


def vit(config: ModelConfig, num_classes: int, *, start: int = 0, extra: int = 0) -> Model:
    """Builds a Vision Transformer, or its part from block ``start``.

    Args:
      config: the architecture.
      num_classes: width of the head, at least 2.
      start: first block; 0 embeds ``[face, S, S, 3]`` normalised images, later ones take tokens
        ``[face, token, dim]``.
      extra: further outputs per face, from a second linear map of the head's features; its
        parameters are apart (``extra`` beside ``head``).

    Returns:
      :class:`Model` whose ``apply`` returns :class:`Output`.

    Raises:
      ValueError: if there are too few classes, or ``start`` lies outside the network.

    >>> model = vit(ModelConfig(image_size=16, patch_size=8, dim=8, depth=1, heads=2), 5)
    >>> params = model.init(jax.random.key(0))
    >>> model.apply(params, jnp.zeros((2, 16, 16, 3))).logits.shape
    (2, 5)
    """
    if num_classes < 2:
        raise ValueError(f"a classifier needs at least 2 classes, got {num_classes}")
    _require_range(config, start, config.depth)
    return _model(VisionTransformer(config, start, config.depth, num_classes, extra))


def blocks(config: ModelConfig, start: int, stop: int) -> Model:
    """Builds blocks ``start..stop`` alone, ending in tokens; ``stop`` may be the depth.

    Args:
      config: the architecture.
      start: first block, as for :func:`vit`.
      stop: one past the last block.

    Returns:
      :class:`Model` whose ``apply`` returns tokens ``[face, token, dim]``.

    Raises:
      ValueError: if the range lies outside the network.
    """
    _require_range(config, start, stop)
    return _model(VisionTransformer(config, start, stop))


def _require_range(config: ModelConfig, start: int, stop: int) -> None:
    if not 0 <= start <= stop <= config.depth:
        raise ValueError(
            f"blocks {start}..{stop} are not a range of a network of depth {config.depth}"
        )


def with_intermediates(
    config: ModelConfig,
    after: tuple[int, ...],
    *,
    start: int = 0,
    stop: int | None = None,
    num_classes: int = 0,
    extra: int = 0,
) -> Callable[[Params, jax.Array], tuple[Any, dict[int, jax.Array]]]:
    """A network that returns features on the way too.

    Args:
      config: the architecture.
      after: after how many blocks of the whole network to read; each in ``start + 1 .. stop``.
      start: first block, as for :func:`vit`.
      stop: one past the last block; the depth by default.
      num_classes: width of the head; 0 ends in tokens, as :func:`blocks` does.
      extra: further outputs, as for :func:`vit`.

    Returns:
      ``(params, inputs) -> (output, {block: features})``; features are CLS and mean patch token
      side by side, float32 ``[face, 2 dim]``.
    """
    config = dataclasses.replace(config, remat=False)  # nothing is differentiated here
    stop = config.depth if stop is None else stop
    module = VisionTransformer(config, start, stop, num_classes, extra)

    def apply(params: Params, inputs: jax.Array) -> tuple[Any, dict[int, jax.Array]]:
        output, seen = module.apply(
            {"params": params},
            inputs,
            capture_intermediates=lambda part, _: isinstance(part, Block),
            mutable="intermediates",
        )
        features = {}
        for count in after:
            tokens = seen["intermediates"][f"block_{count - 1}"]["__call__"][0].astype(jnp.float32)
            features[count] = jnp.concatenate(
                [tokens[:, 0], tokens[:, 1 + config.registers :].mean(1)], axis=-1
            )
        return output, features

    return apply


def first_trained_block(config: ModelConfig) -> int:
    """Index of the first block that is trained; 0 when all are, embedding included."""
    return 0 if config.trainable_blocks is None else config.depth - config.trainable_blocks


def trunk_model(config: ModelConfig) -> Model | None:
    """The frozen blocks, shared by all members, or None when every block is trained."""
    if config.trainable_blocks is None:
        return None
    return blocks(config, 0, first_trained_block(config))


def members_model(config: ModelConfig, num_classes: int, extra: int = 0) -> Model:
    """The part of the network each member trains for itself, as :func:`vit` builds it."""
    return vit(config, num_classes, start=first_trained_block(config), extra=extra)


def split(params: Params, config: ModelConfig) -> tuple[Params, Params]:
    """Splits a whole network's parameters into (frozen trunk, trained part) by their names."""
    first = first_trained_block(config)
    frozen = {"embed", *(f"block_{i}" for i in range(first))} if first else set()
    shared = {name: part for name, part in params.items() if name in frozen}
    own = {name: part for name, part in params.items() if name not in frozen}
    return shared, own
