"""The architecture of a member: a DINOv2-style Vision Transformer."""

import dataclasses
from typing import Any, Literal

from ferjax.config._checks import require, require_known_choices

__all__ = ["DINOV2_SIZES", "ModelConfig", "dinov2"]


_LARGEST = {"image_size": 8192, "dim": 65_536, "depth": 1024, "registers": 1024}
"""Sizes beyond these are typing errors, and would only be noticed when memory runs out."""


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """A DINOv2-style Vision Transformer; the defaults are a tiny one for 48-pixel faces."""

    image_size: int = 48
    """Side of the square network input, pixels; a multiple of patch_size."""
    patch_size: int = 16
    """Side of the squares that the input is cut into, one token each, pixels."""
    dim: int = 64
    """Width of a token."""
    depth: int = 2
    """Number of transformer blocks."""
    heads: int = 4
    """Attention heads; divides dim."""
    mlp_ratio: float = 4.0
    """Width of a block's MLP as a multiple of dim."""
    mlp: Literal["gelu", "swiglu"] = "gelu"
    """gelu: two dense layers (S, B, L); swiglu: the gated form of DINOv2 g."""
    registers: int = 0
    """Register tokens (4 in the DINOv2 "reg" models)."""
    layer_scale: float = 1.0
    """Initial LayerScale; 1.0 as in the original hub, 1e-5 makes blocks near-identity."""
    head: Literal["cls", "cls+mean"] = "cls+mean"
    """The linear head sees the final-normed CLS token, or CLS and the mean patch token side by
    side."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Compute type of the blocks; parameters, softmax, head and entropies stay float32."""
    attention: Literal["auto", "explicit", "cudnn"] = "auto"
    """cudnn: the fused kernel of CUDA cards, in bfloat16; explicit: matrix products and a softmax.
    auto: cudnn where it can be had, else explicit."""
    remat: bool = False
    """Recompute each block in the backward pass: less memory, about a third more time."""
    drop_path: float = 0.0
    """Stochastic depth of the last block, growing linearly from 0 at the first (0 in the paper's
    recipe)."""
    dropout: float = 0.0
    """Probability that a value is dropped in training, and in the passes of mc-dropout."""
    dropout_at: Literal["head", "blocks"] = "head"
    """head: among the features that the linear head sees; blocks: after the activation of every
    trained block's MLP."""
    pretrained: str = ""
    """Weights to start every member from: a safetensors file or folder, a .pth file; the first
    blocks of a deeper network where depth is smaller. Empty: random."""
    trainable_blocks: int | None = None
    """Train only this many top blocks and the head; the frozen trunk is held once for all members.
    Unset: train all."""
    flips: bool = False
    """Predict from each picture and its mirror image, and average: twice the work of prediction,
    none in training."""
    network: Literal["vit", "ngrams", "embeddings"] = "vit"
    """vit: a transformer over pictures. Over texts: ngrams, the mean of learnt vectors of a text's
    words and pairs of words; embeddings, given vectors of sentences. Of the other fields these
    two take dim, the width of what the linear head sees, and buckets."""
    buckets: int = 32768
    """Rows of the table of vectors that words and pairs are hashed into (ngrams)."""

    @property
    def mlp_width(self) -> int:
        """Width between the layers of a block's MLP; DINOv2's gated form is narrower, in eights."""
        width = int(self.dim * self.mlp_ratio)
        return width if self.mlp == "gelu" else (width * 2 // 3 + 7) // 8 * 8

    def __post_init__(self) -> None:
        require_known_choices(self, "model")
        require(self.buckets >= 2, f"model.buckets must be at least 2, got {self.buckets}")
        require(
            self.network == "vit" or not (self.pretrained or self.trainable_blocks is not None),
            f"model.pretrained and model.trainable_blocks are for network vit, not {self.network}",
        )
        require(
            self.network == "vit" or not self.flips,
            f"model.flips are of pictures; network {self.network} reads texts",
        )
        for name in ("image_size", "patch_size", "dim", "depth", "heads"):
            require(
                getattr(self, name) >= 1,
                f"model.{name} must be at least 1, got {getattr(self, name)}",
            )
        for name, most in _LARGEST.items():
            require(
                getattr(self, name) <= most,
                f"model.{name} must be at most {most:,}, got {getattr(self, name)}",
            )
        require(self.registers >= 0, f"model.registers must be 0 or more, got {self.registers}")
        require(
            self.dim % self.heads == 0,
            f"model.heads must divide model.dim: {self.dim} / {self.heads} leaves a rest",
        )
        require(0 <= self.drop_path < 1, f"model.drop_path must be in [0, 1), got {self.drop_path}")
        require(0 <= self.dropout < 1, f"model.dropout must be in [0, 1), got {self.dropout}")
        require(
            self.trainable_blocks is None or 0 <= self.trainable_blocks < self.depth,
            f"model.trainable_blocks must be in 0..{self.depth - 1} (unset trains all), "
            f"got {self.trainable_blocks}",
        )
        blocks = self.network == "vit" and self.trainable_blocks != 0
        require(
            blocks or not (self.dropout and self.dropout_at == "blocks"),
            "model.dropout_at blocks drops values of trained blocks, and with "
            + ("model.trainable_blocks 0" if self.network == "vit" else f"network {self.network}")
            + " there is none; use model.dropout_at head",
        )
        below = self.image_size // self.patch_size * self.patch_size
        near = " or ".join(str(s) for s in (below, below + self.patch_size) if s > 0)
        require(
            self.image_size % self.patch_size == 0,
            f"model.image_size {self.image_size} is not a multiple of model.patch_size "
            f"{self.patch_size}; the nearest that are: {near}",
        )


DINOV2_SIZES: dict[str, dict[str, Any]] = {
    "s14": {"dim": 384, "depth": 12, "heads": 6},
    "b14": {"dim": 768, "depth": 12, "heads": 12},
    "l14": {"dim": 1024, "depth": 24, "heads": 16},
    "g14": {"dim": 1536, "depth": 40, "heads": 24, "mlp": "swiglu"},
}


def dinov2(size: str, image_size: int = 224, *, registers: int = 0, **options: Any) -> ModelConfig:
    """A DINOv2 architecture by name.

    Args:
      size: s14, b14, l14 or g14.
      image_size: side of the input, a multiple of 14.
      registers: 0, or 4 for the models with registers.
      **options: any other field of :class:`ModelConfig`.

    Raises:
      ValueError: on an unknown size or an image size that patches of 14 do not tile.

    >>> dinov2("b14").dim
    768
    """
    require(size in DINOV2_SIZES, f"unknown DINOv2 size {size!r}; known: {', '.join(DINOV2_SIZES)}")
    return ModelConfig(
        image_size=image_size,
        patch_size=14,
        registers=registers,
        **{**DINOV2_SIZES[size], **options},
    )
