"""Published state dictionaries to parameters and back: renaming, checked name by name.

A *state* is a flat dictionary name -> array as PyTorch stores it (linear weights ``[out, in]``,
patch kernel ``[dim, 3, P, P]``); *params* is the tree of :mod:`ferjax.models.vit`.
"""

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import unflatten_dict

from ferjax.config import ModelConfig
from ferjax.models.naming import NAMINGS, tensors
from ferjax.models.positions import resize_positions

__all__ = ["Described", "describe", "from_state", "to_state"]

State = Mapping[str, np.ndarray]


HEADS = ("classifier", "head")


class Described(NamedTuple):
    """What a state holds, read off its names and shapes."""

    naming: str
    rule: str
    dim: int
    depth: int
    patch_size: int
    grid: int
    registers: int
    mlp: str
    parameters: int
    head_classes: int | None
    left_out: tuple[str, ...] = ()
    """Tensors that are no part of backbone and head, such as a projector's."""


# transformers 5 renames tensors in memory (its files keep the published names); people save
# state_dict() too.
_IN_MEMORY = {
    "attention.q_proj": "attention.attention.query",
    "attention.k_proj": "attention.attention.key",
    "attention.v_proj": "attention.attention.value",
    "attention.o_proj": "attention.output.dense",
    "mlp.down_proj": "mlp.weights_out",
}


def _as_published(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    for new, published in _IN_MEMORY.items():
        state = {name.replace(new, published): value for name, value in state.items()}
    for gate in [name for name in state if ".mlp.gate_proj." in name]:
        up = gate.replace("gate_proj", "up_proj")
        if up in state:
            state[gate.replace("gate_proj", "weights_in")] = np.concatenate(
                [state.pop(gate), state.pop(up)]
            )
    return state


_FIRST = ("embeddings.cls_token", "cls_token")
"""The tensor every backbone has; what stands before it is a wrapper's prefix."""


def _tidy(state: State) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """The backbone and a classifier, without a wrapper's prefix (``module.``, ``model.dinov2.``…)
    and the chunk numbers of the original's blocks; and the names of what is left out.

    Raises:
      ValueError: if there are several backbones, or adapters that were not merged.
    """
    adapters = [name for name in state if "lora_" in name or ".base_layer." in name]
    if adapters:
        raise ValueError(
            f"holds LoRA adapters beside their base layers ({adapters[0]}); merge them where peft "
            "is: model.merge_and_unload().save_pretrained(...)"
        )
    prefix = _prefix(state)
    tidy = {}
    left_out = []
    for name, value in state.items():
        last = ".".join(name.split(".")[-2:])
        if name.startswith(prefix):
            tidy[name.removeprefix(prefix)] = value
        elif last in _HEAD_TENSORS and last not in state:
            tidy[last] = value
        else:
            left_out.append(name)
    tidy = _as_published(tidy)
    tidy = {
        re.sub(r"^blocks\.\d+\.(\d+\.)", r"blocks.\1", name): value for name, value in tidy.items()
    }
    return tidy, tuple(left_out)


def _prefix(state: State) -> str:
    """What stands before the names of the backbone; of several, the teacher's."""
    found = set()
    for name in state:
        first = next((of for of in _FIRST if name == of or name.endswith(f".{of}")), None)
        if first is not None:
            found.add(name.removesuffix(first))
    if len(found) > 1:
        found = {prefix for prefix in found if "teacher" in prefix} or found
    if len(found) > 1:
        raise ValueError(f"holds several networks: {', '.join(sorted(found))}; save one of them")
    return found.pop() if found else ""


_HEAD_TENSORS = tuple(f"{head}.{kind}" for head in HEADS for kind in ("weight", "bias"))


def describe(state: State) -> Described:
    """Recognises a state by its content.

    Raises:
      ValueError: if it is no DINOv2 backbone in a known naming.
    """
    state, left_out = _tidy(state)
    _refuse_relatives(state)
    if "embeddings.cls_token" in state:
        name = "hugging face"
    elif "pos_embed" in state and "cls_token" in state:
        # Only the original ships its mask token; timm renames the registers.
        original = (
            "mask_token" in state
            or "register_tokens" in state
            or any(".mlp.w12." in n for n in state)
        )
        name = "original" if original else "timm"
    else:
        starts = f"it starts with {', '.join(list(state)[:4])}" if state else "it holds no tensor"
        raise ValueError(f"not a DINOv2 in Hugging Face, original or timm naming; {starts}")
    naming = NAMINGS[name]
    missing = [n for n in (naming.positions, f"{naming.patch}.weight") if n not in state]
    if missing:
        raise ValueError(f"{name} naming, but {', '.join(missing)} is missing")
    kernel = state[f"{naming.patch}.weight"]
    if kernel.ndim != 4:
        raise ValueError(f"{naming.patch}.weight must be [dim, 3, P, P], got {list(kernel.shape)}")
    pattern = re.compile(re.escape(naming.block).replace(r"\{\}", r"(\d+)"))
    blocks = {int(m.group(1)) for n in state if (m := pattern.match(n))}
    registers = state[naming.registers].shape[-2] if naming.registers in state else 0
    rule = (
        "antialias"
        if registers or name == "timm"
        else {"hugging face": "plain", "original": "offset"}[name]
    )
    grid = _grid(state[naming.positions].shape, registers=bool(registers) and name == "timm")
    first = f"{naming.block.format(0)}{naming.swiglu[0]}.weight"
    second = f"{naming.block.format(0)}{naming.swiglu[1]}.weight"
    gated = first in state and second in state and state[first].shape[0] != state[second].shape[1]
    head = next((state[f"{h}.weight"] for h in HEADS if f"{h}.weight" in state), None)
    return Described(
        name,
        rule,
        kernel.shape[0],
        max(blocks, default=-1) + 1,
        kernel.shape[-1],
        grid,
        registers,
        "swiglu" if gated else "gelu",
        sum(v.size for v in state.values()),
        None if head is None else head.shape[0],
        left_out,
    )


def _refuse_relatives(state: State) -> None:
    """Names networks that are like DINOv2 and are not."""
    positions = {"embeddings.position_embeddings", "pos_embed"} & set(state)
    rotary = "embeddings.patch_embeddings.weight" in state or any("rope" in n for n in state)
    if rotary and not positions:
        raise ValueError("a DINOv3, which has rotary positions; only DINOv2 is read")
    if "fc_norm.weight" in state and "norm.weight" not in state:
        raise ValueError(
            "a fine-tune that averages its tokens before the norm (fc_norm, timm's "
            "global_pool='avg'); only networks that norm every token are read"
        )


def _grid(shape: tuple[int, ...], *, registers: bool) -> int:
    """Positions along a side; behind the CLS position, which timm's register models do not store.

    Raises:
      ValueError: if they are not a square, or not ``[1, position, dim]``.
    """
    if len(shape) != 3 or shape[0] != 1:
        raise ValueError(f"position embeddings must be [1, position, dim], got {list(shape)}")
    for patches in (shape[1], shape[1] - 1) if registers else (shape[1] - 1,):
        if patches > 0 and math.isqrt(patches) ** 2 == patches:
            return math.isqrt(patches)
    raise ValueError(
        f"{shape[1] - 1} patch positions beside that of CLS are no square grid; only networks for "
        "square pictures are read"
    )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def from_state(state: State, config: ModelConfig) -> dict[str, Any]:
    """Parameters of an architecture from somebody's state.

    Positions are resized by the rule of its origin. An architecture of fewer blocks takes the first
    ones.

    Args:
      state: name -> array.
      config: the architecture to fill; its image size decides the position grid.

    Returns:
      Params without head, float32.

    Raises:
      ValueError: if it is another architecture, or tensors are missing, unexpected, or of the wrong
        shape; all named.
    """
    found = describe(state)
    for field in ("dim", "depth", "patch_size", "registers", "mlp"):
        there = getattr(found, field)
        wanted = getattr(config, field)
        if there != wanted and not (field == "depth" and wanted < there):
            raise ValueError(
                f"these weights have {field} {there}, the model has model.{field} {wanted}; "
                f"weights info: {found}"
            )
    state, _ = _tidy(state)
    naming = NAMINGS[found.naming]
    names = tensors(naming, config)
    known = {
        *tensors(naming, dataclasses.replace(config, depth=found.depth)),
        naming.positions,
        *naming.ignored,
        *(f"{h}.{k}" for h in HEADS for k in ("weight", "bias")),
    }
    missing = sorted(set(names) - set(state))
    unexpected = sorted(set(state) - known)
    wrong = [
        f"{n} {list(state[n].shape)} instead of {list(s)}"
        for n, (s, _) in names.items()
        if n in state and state[n].shape != s
    ]
    problems = [
        f"{what}: {_listed(those)}"
        for what, those in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("wrong shape", wrong),
        )
        if those
    ]
    if problems:
        raise ValueError(f"{found.naming} naming, but {'; '.join(problems)}")

    flat: dict[str, Any] = {}
    parts: dict[str, dict[int, np.ndarray]] = {}
    for name, (_, path) in names.items():
        value = np.asarray(state[name], np.float32)
        if path == "embed/patch/kernel":
            value = value.transpose(2, 3, 1, 0).reshape(-1, config.dim)
        elif path.partition("#")[0].endswith("/kernel"):
            value = value.T
        where, _, part = path.partition("#")
        if part:
            parts.setdefault(where, {})[int(part)] = value
        else:
            flat[where] = value
    for where, pieces in parts.items():
        flat[where] = np.concatenate([pieces[i] for i in sorted(pieces)], axis=-1)

    positions = np.asarray(state[naming.positions], np.float32)[0]
    has_cls = len(positions) == found.grid**2 + 1
    # timm's register models add position 0 into the CLS token and store none for it.
    cls_position = positions[:1] if has_cls else np.zeros((1, config.dim), np.float32)
    patches = resize_positions(
        positions[has_cls:], config.image_size // config.patch_size, found.rule
    )
    flat["embed/position"] = np.concatenate([cls_position, patches])[None]
    return unflatten_dict(flat, sep="/")


def to_state(params: Mapping[str, Any], config: ModelConfig) -> dict[str, np.ndarray]:
    """A whole network as Hugging Face names ``Dinov2(WithRegisters)ForImageClassification``.

    Its head sees CLS and mean patch side by side; a CLS-only head gets zeros for the other half,
    which is the same function.
    """
    naming = NAMINGS["hugging face"]
    prefix = "dinov2_with_registers." if config.registers else "dinov2."
    state = {f"{prefix}{naming.positions}": np.asarray(params["embed"]["position"])}
    for name, (shape, path) in tensors(naming, config).items():
        where, _, part = path.partition("#")
        value: Any = params
        for key in where.split("/"):
            value = value[key]
        value = np.asarray(value)
        if part:
            value = np.split(value, 3, axis=-1)[int(part)]
        if path == "embed/patch/kernel":
            value = value.reshape(config.patch_size, config.patch_size, 3, config.dim).transpose(
                3, 2, 0, 1
            )
        elif where.endswith("/kernel"):
            value = value.T
        state[f"{prefix}{name}"] = np.ascontiguousarray(value).reshape(shape)
    state[f"{prefix}embeddings.mask_token"] = np.zeros((1, config.dim), np.float32)
    kernel = np.asarray(params["head"]["kernel"]).T
    if config.head == "cls":
        kernel = np.concatenate([kernel, np.zeros_like(kernel)], axis=1)
    state["classifier.weight"] = np.ascontiguousarray(kernel)
    state["classifier.bias"] = np.asarray(params["head"]["bias"])
    return state
