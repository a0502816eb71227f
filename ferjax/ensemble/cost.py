"""What a run will cost, before anything is allocated: parameters, FLOPs, and memory per device."""

import math
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ferjax.config import Config, ModelConfig
from ferjax.ensemble import checkpoint, parallel
from ferjax.ensemble.methods import method_of
from ferjax.ensemble.programs import stacked_state
from ferjax.faces.dataset import DataSpec
from ferjax.models import networks, vit

__all__ = ["Budget", "Total", "block_flops", "estimate", "total"]


class Budget(NamedTuple):
    """What a run takes.

    Parameters are exact. FLOPs are those of the matrix products of blocks and patch embedding, per
    face and member. Memory is an estimate, bytes.
    """

    member_parameters: int
    trunk_parameters: int
    forward_flops: float
    train_flops: float
    state_bytes: int
    data_bytes: int
    activation_bytes: int
    layout: str

    @property
    def device_bytes(self) -> int:
        """State, data and activations on the fullest device."""
        return self.state_bytes + self.data_bytes + self.activation_bytes


def _parameters(model: vit.Model) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(model.init, jax.random.key(0))))


@cache
def _member_parameters(config: ModelConfig, classes: int, extra: int) -> int:
    """Counted once, since every layout that is weighed asks for it."""
    return _parameters(networks.members_model(config, classes, extra))


def block_flops(config: ModelConfig) -> float:
    """FLOPs of one block's matrix products for one face, forward.

    A product of ``[n, k]`` and ``[k, m]`` is 2 n k m.
    """
    tokens, dim = vit.tokens_shape(config)
    layers = 3 if config.mlp == "swiglu" else 2
    weights = 4 * dim * dim + layers * dim * config.mlp_width  # qkv and out, MLP
    return 2.0 * tokens * weights + 2 * 2.0 * tokens * tokens * dim


def estimate(
    config: Config,
    spec: DataSpec,
    layout: parallel.Layout,
    *,
    train_faces: int,
    valid_faces: int,
) -> Budget:
    """Adds up a run.

    Args:
      config: the run.
      spec: of its data.
      layout: where the members go.
      train_faces: faces in the training split.
      valid_faces: faces in the valid split.

    Returns:
      :class:`Budget`. The state is parameters, two Adam moments, gradients and the best parameters
      kept, float32; moments and best parameters in parts where replicas share a member. Activations
      are what the backward pass of one (micro-)batch keeps, less with ``model.remat``, and the
      pictures it is of. Gradients and activations are of the members computed at once.
    """
    m = config.model
    c = config.train
    if m.network != "vit":
        return _of_texts(config, spec, layout, train_faces + valid_faces)
    trunk = vit.trunk_model(m)
    first = vit.first_trained_block(m)
    tokens, dim = vit.tokens_shape(m)
    embed = 2.0 * (m.image_size // m.patch_size) ** 2 * m.patch_size**2 * 3 * dim
    trained = (m.depth - first) * block_flops(m) + (0 if trunk else embed)
    frozen = first * block_flops(m) + (embed if trunk else 0)
    # Forward, gradients of activations, gradients of weights; a recomputed forward with remat.
    method = method_of(config)
    train = method.views * trained * (4 if m.remat else 3)
    member = _member_parameters(m, len(spec.classes), method.extra)
    remembered = checkpoint.size(stacked_state(config, len(spec.classes), faces=train_faces).memory)
    shared = _parameters(trunk) if trunk else 0
    item = jnp.dtype(m.dtype).itemsize
    if trunk:
        data = (2 * c.views * train_faces + valid_faces) * tokens * dim * item
    else:
        data = (c.views * train_faces + valid_faces) * math.prod(spec.shape)
    layers = m.depth - first
    inside = _block_bytes(m, layout.platform)
    kept = tokens * dim * item if m.remat else inside
    pictures = 0 if trunk else _PICTURES * 3 * m.image_size**2 * 4
    activations = method.views * (layers * kept + (inside if m.remat else 0) + pictures)
    return Budget(
        member_parameters=member,
        trunk_parameters=shared,
        forward_flops=trained + frozen,
        train_flops=train,
        state_bytes=int(
            _copies(layout, c.accumulate) * member * 4
            + layout.per_device * remembered // len(c.seeds)
            + shared * 4
        ),
        data_bytes=int(data),
        activation_bytes=int(
            layout.at_once * activations * c.batch_size / c.accumulate / layout.replicas
        ),
        layout=str(layout),
    )


class Total(NamedTuple):
    """What all members of a run take together; FLOPs of matrix products."""

    parameters: int
    """Of all members, and of the trunk that they share."""
    train_flops: float
    """All epochs over the training items; without the pass that makes the trunk's tokens."""
    serve_flops: float
    """One item: the shared trunk once, and every member (and pass)."""


def total(config: Config, spec: DataSpec, *, train_faces: int) -> Total:
    """Adds up all members of a run, see :func:`estimate`."""
    layout = parallel.lay_out(len(config.train.seeds))
    one = estimate(config, spec, layout, train_faces=train_faces, valid_faces=0)
    members = len(config.train.seeds)
    m = config.model
    tops = one.forward_flops
    if one.trunk_parameters:
        tops = (m.depth - vit.first_trained_block(m)) * block_flops(m)
    # Passes that differ at the head alone share all below it.
    passes = method_of(config).passes if m.dropout_at == "blocks" else 1
    return Total(
        parameters=members * one.member_parameters + one.trunk_parameters,
        train_flops=members * config.train.epochs * train_faces * one.train_flops,
        serve_flops=(2 if m.flips else 1) * (one.forward_flops + (members * passes - 1) * tops),
    )


def _of_texts(config: Config, spec: DataSpec, layout: parallel.Layout, texts: int) -> Budget:
    """A run over texts: a look-up, or a matrix product, and the head."""
    m = config.model
    c = config.train
    classes = len(spec.classes)
    member = _member_parameters(m, classes, method_of(config).extra)
    inner = 2.0 * spec.side * m.dim * (0.5 if m.network == "ngrams" else 1.0)
    forward = inner + 2.0 * m.dim * classes
    kept = c.batch_size // c.accumulate * 4 * (spec.side * m.dim + 2 * m.dim + 2 * classes)
    return Budget(
        member_parameters=member,
        trunk_parameters=0,
        forward_flops=forward,
        train_flops=3 * forward,
        state_bytes=int(_copies(layout, c.accumulate) * member * 4),
        data_bytes=texts * spec.side * 4,
        activation_bytes=layout.at_once * kept // layout.replicas,
        layout=str(layout),
    )


def _copies(layout: parallel.Layout, accumulate: int) -> float:
    """How many times a member's parameters a device holds, counted over all its members."""
    at_once = layout.at_once
    parts = 1 + 3 / layout.replicas  # parameters whole; two moments and the best ones in parts
    copies = layout.per_device * parts
    if layout.replicas == 1:
        copies += at_once  # gradients
    elif layout.platform == "gpu":
        # Gradients in parts; new parameters are gathered from theirs beside about half of the old.
        copies += at_once * (1 / layout.replicas + 0.5)
    else:
        copies += 2 * at_once  # gradients, and parameters gathered from their parts
    if at_once < layout.per_device:
        copies += 2 * at_once * parts  # a chunk's state, before and after its step
    if accumulate > 1:
        copies += at_once  # gradients so far beside those of the part at hand
    return copies


_PICTURES = 3
"""Float32 copies of a batch's pictures, between drawing and patches."""


def _block_bytes(m: ModelConfig, platform: str) -> float:
    """What the backward pass of one block takes for one face, its own products included."""
    tokens, dim = vit.tokens_shape(m)
    item = jnp.dtype(m.dtype).itemsize
    rows = tokens
    columns = tokens
    if platform == "tpu":  # tiles of 8 x 128, in bfloat16 of 16 x 128
        rows = -(-tokens // (32 // item)) * (32 // item)
        columns = -(-tokens // 128) * 128
    # Scores and weights of attention, and what lies between the layers of the block.
    return rows * (m.heads * columns * (4 + item) + (m.mlp_ratio * 2 + 9) * dim * item)
