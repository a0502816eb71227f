"""What a run will cost, before anything is allocated: parameters, FLOPs, and memory per device."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ferjax.config import Config
from ferjax.ensemble import parallel
from ferjax.models import vit

__all__ = ["Budget", "estimate"]


class Budget(NamedTuple):
    """Counts are exact; FLOPs count the matrix products; memory is an estimate, bytes."""

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

    def lines(self) -> list[str]:
        """The budget in words."""
        mb = 1 / 2**20
        return [
            f"parameters: {self.member_parameters:,} per member"
            + (
                f", {self.trunk_parameters:,} in the trunk all members share"
                if self.trunk_parameters
                else ""
            ),
            f"per face and member: {self.forward_flops / 1e9:.3f} GFLOP forward, {self.train_flops / 1e9:.3f} GFLOP per training step",
            f"layout: {self.layout}",
            f"memory per device: about {self.device_bytes * mb:,.0f} MiB (state {self.state_bytes * mb:,.0f}, data "
            f"{self.data_bytes * mb:,.0f}, activations {self.activation_bytes * mb:,.0f})",
        ]


def _parameters(model: vit.Model) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(model.init, jax.random.key(0))))


def block_flops(config: Config) -> float:
    """FLOPs of the matrix products of one block for one face, forward."""
    m = config.model
    tokens, dim = vit.tokens_shape(m)
    hidden = int(m.dim * m.mlp_ratio)
    mlp = 3 * dim * ((hidden * 2 // 3 + 7) // 8 * 8) if m.mlp == "swiglu" else 2 * dim * hidden
    return 2.0 * tokens * (4 * dim * dim + mlp) + 4.0 * tokens * tokens * dim


def estimate(config: Config, train_faces: int, valid_faces: int, layout: parallel.Layout) -> Budget:
    """Adds up a run.

    Args:
      config: the run.
      train_faces: faces in the training split.
      valid_faces: faces in the valid split.
      layout: where the members go.

    Returns:
      :class:`Budget`. The state is parameters, two Adam moments, gradients and the best parameters
      kept, float32. Activations are what the backward pass of one (micro-)batch keeps, less with
      ``model.remat``.
    """
    m = config.model
    c = config.train
    trunk = vit.trunk_model(m)
    first = vit.first_trained_block(m)
    tokens, dim = vit.tokens_shape(m)
    embed = 2.0 * (m.image_size // m.patch_size) ** 2 * m.patch_size**2 * 3 * dim
    trained = (m.depth - first) * block_flops(config) + (0 if trunk else embed)
    frozen = first * block_flops(config) + (embed if trunk else 0)
    # Forward, gradients of activations, gradients of weights; a recomputed forward with remat.
    train = trained * (4 if m.remat else 3)
    member = _parameters(vit.members_model(m))
    shared = _parameters(trunk) if trunk else 0
    item = jnp.dtype(m.dtype).itemsize
    if trunk:
        data = (2 * train_faces + valid_faces) * tokens * dim * item
    else:
        data = (train_faces + valid_faces) * 48 * 48
    heads = m.heads * tokens * (4 + item)
    hidden = (m.mlp_ratio * 2 + 9) * dim * item
    kept = tokens * dim * item if m.remat else tokens * (hidden + heads)
    layers = m.depth - first
    activations = (c.batch_size // c.accumulate) * (
        layers * kept + (tokens * (hidden + heads) if m.remat else 0)
    )
    return Budget(
        member,
        shared,
        trained + frozen,
        train,
        int(layout.per_device * 5 * member * 4 + shared * 4),
        int(data),
        int(layout.per_device * activations / layout.replicas),
        str(layout),
    )
