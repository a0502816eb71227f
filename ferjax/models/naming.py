"""How others name the tensors of a DINOv2: Hugging Face, Meta's original, timm."""

from typing import NamedTuple

from ferjax.config import ModelConfig

__all__ = ["NAMINGS", "Naming", "tensors"]


class Naming(NamedTuple):
    """Names of the few tensors outside the blocks, and templates of those in a block."""

    cls: str
    positions: str
    registers: str
    patch: str
    norm: str
    block: str
    norm1: str
    norm2: str
    query_key_value: tuple[str, ...]
    out: str
    scale: str
    gelu: tuple[str, str]
    swiglu: tuple[str, str]
    ignored: tuple[str, ...]


_ORIGINAL = Naming(
    cls="cls_token",
    positions="pos_embed",
    registers="register_tokens",
    patch="patch_embed.proj",
    norm="norm",
    block="blocks.{}.",
    norm1="norm1",
    norm2="norm2",
    query_key_value=("attn.qkv",),
    out="attn.proj",
    scale="ls{}.gamma",
    gelu=("mlp.fc1", "mlp.fc2"),
    swiglu=("mlp.w12", "mlp.w3"),
    ignored=("mask_token",),
)

NAMINGS = {
    "hugging face": Naming(
        cls="embeddings.cls_token",
        positions="embeddings.position_embeddings",
        registers="embeddings.register_tokens",
        patch="embeddings.patch_embeddings.projection",
        norm="layernorm",
        block="encoder.layer.{}.",
        norm1="norm1",
        norm2="norm2",
        query_key_value=(
            "attention.attention.query",
            "attention.attention.key",
            "attention.attention.value",
        ),
        out="attention.output.dense",
        scale="layer_scale{}.lambda1",
        gelu=("mlp.fc1", "mlp.fc2"),
        swiglu=("mlp.weights_in", "mlp.weights_out"),
        ignored=("embeddings.mask_token",),
    ),
    "original": _ORIGINAL,
    "timm": _ORIGINAL._replace(registers="reg_token", swiglu=("mlp.fc1", "mlp.fc2"), ignored=()),
}


def tensors(naming: Naming, config: ModelConfig) -> dict[str, tuple[tuple[int, ...], str]]:
    """Every tensor stored for an architecture, but the positions, which are resized.

    Returns:
      name -> (shape, path in params). A path that ends in ``#0``, ``#1``, ``#2`` is that third of
      the last axis.
    """
    d = config.dim
    patch = config.patch_size
    hidden = config.mlp_width
    gated = config.mlp == "swiglu"
    first = 2 * hidden if gated else hidden
    up, down = naming.swiglu if gated else naming.gelu
    names: dict[str, tuple[tuple[int, ...], str]] = {
        naming.cls: ((1, 1, d), "embed/cls"),
        f"{naming.patch}.weight": ((d, 3, patch, patch), "embed/patch/kernel"),
        f"{naming.patch}.bias": ((d,), "embed/patch/bias"),
        f"{naming.norm}.weight": ((d,), "norm/scale"),
        f"{naming.norm}.bias": ((d,), "norm/bias"),
    }
    if config.registers:
        names[naming.registers] = ((1, config.registers, d), "embed/registers")
    for i in range(config.depth):
        own = naming.block.format(i)
        there = f"block_{i}"
        for norm, name in ((naming.norm1, "norm1"), (naming.norm2, "norm2")):
            names[f"{own}{norm}.weight"] = ((d,), f"{there}/{name}/scale")
            names[f"{own}{norm}.bias"] = ((d,), f"{there}/{name}/bias")
        wide = 3 * d // len(naming.query_key_value)
        for part, name in enumerate(naming.query_key_value):
            slot = f"#{part}" if len(naming.query_key_value) > 1 else ""
            names[f"{own}{name}.weight"] = ((wide, d), f"{there}/attention/qkv/kernel{slot}")
            names[f"{own}{name}.bias"] = ((wide,), f"{there}/attention/qkv/bias{slot}")
        for name, path, shape in (
            (naming.out, "attention/out", (d, d)),
            (up, "mlp/up", (first, d)),
            (down, "mlp/down", (d, hidden)),
        ):
            names[f"{own}{name}.weight"] = (shape, f"{there}/{path}/kernel")
            names[f"{own}{name}.bias"] = (shape[:1], f"{there}/{path}/bias")
        for branch in (1, 2):
            names[f"{own}{naming.scale.format(branch)}"] = ((d,), f"{there}/scale{branch}")
    return names
