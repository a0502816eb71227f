"""Weights in and out, in the forms people have them in; no pickle is ever executed."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors.flax import load_file
from safetensors.numpy import save

from ferjax.config import ModelConfig
from ferjax.events import Message, OnEvent, silent
from ferjax.extras import how_to_install
from ferjax.files import (
    digest_arrays,
    new_folder,
    parse_json,
    read_json,
    require_file,
    write_atomically,
)
from ferjax.models import state_dicts
from ferjax.models.torch_files import one_line, read_torch

__all__ = [
    "load_pretrained",
    "load_tree",
    "read_state",
    "save_tree",
    "tree_digest",
    "tree_facts",
    "write_hugging_face",
]


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    _require_known_types(path)
    try:
        # Through jax, because numpy alone knows no bfloat16.
        return {name: np.asarray(value) for name, value in load_file(path).items()}
    except Exception as error:  # safetensors and jax raise half a dozen kinds for damaged files
        raise ValueError(
            f"{path}: not a safetensors file, or a truncated one: {one_line(error)}"
        ) from error


_TYPES = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL")


def _require_known_types(path: Path) -> None:
    """Refuses numbers that need a scale beside them, or that nobody here can read."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > path.stat().st_size:
            return  # damaged; reading it says so
        try:
            header = parse_json(file.read(length))
        except (ValueError, MemoryError):
            return
    if not isinstance(header, dict):
        return
    for name, of in header.items():
        kind = of.get("dtype") if isinstance(of, dict) else None
        if name != "__metadata__" and isinstance(kind, str) and kind not in _TYPES:
            raise ValueError(
                f"{path}: tensor {name} is of type {kind}; expected one of {', '.join(_TYPES)}"
            )


_NAMES = (
    ("model.safetensors", _read_safetensors),
    ("pytorch_model.bin", read_torch),
)


def _read_folder(path: Path) -> dict[str, np.ndarray]:
    for name, read in _NAMES:
        index = path / f"{name}.index.json"
        if index.is_file():
            return _read_shards(index, read)
        if (path / name).is_file():
            return read(path / name)
    adapter = (path / "adapter_model.safetensors").is_file()
    only = "; it holds LoRA adapters alone, merge them into their model first" if adapter else ""
    raise FileNotFoundError(
        f"{path}: neither model.safetensors nor model.safetensors.index.json in this folder, nor "
        f"pytorch_model.bin{only}"
    )


def _read_shards(
    index: Path, read: Callable[[Path], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    values = read_json(index, "index of shards")
    shards = values.get("weight_map") if isinstance(values, dict) else None
    if not isinstance(shards, dict) or not all(isinstance(s, str) for s in shards.values()):
        raise ValueError(f"{index}: expected weight_map, the shard of every tensor")
    outside = sorted({s for s in shards.values() if Path(s).name != s or s in ("", ".", "..")})
    if outside:
        raise ValueError(f"{index} names files outside its folder: {', '.join(outside[:3])}")
    absent = sorted({shard for shard in shards.values() if not (index.parent / shard).is_file()})
    if absent:
        raise FileNotFoundError(f"{index} names shards that are not there: {', '.join(absent)}")
    state: dict[str, np.ndarray] = {}
    for shard in sorted(set(shards.values())):
        state |= read(index.parent / shard)
    lost = sorted(set(shards) - set(state))
    if lost:
        raise ValueError(f"{index} promises tensors its shards do not hold: {', '.join(lost[:6])}")
    return state


def _download(name: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise FileNotFoundError(
            f"no file or folder {name}; if it is a hub name, it can be fetched after "
            + how_to_install("hub")
        ) from None
    try:
        return Path(snapshot_download(name, allow_patterns=["*.safetensors", "*.json"]))
    except Exception as error:  # every kind of network and hub error
        raise FileNotFoundError(
            f"no file or folder {name}, and the hub did not give it: {str(error).splitlines()[0]}"
        ) from error


def read_state(source: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads a state dictionary, whatever it is stored as.

    Args:
      source: a ``.safetensors`` file, a folder with one or with shards and their index, a PyTorch
        file (needs torch; read with its weights-only loader), or a hub name ``owner/model`` (needs
        huggingface_hub; the only case that may touch the network, and only if no such path exists).

    Raises:
      FileNotFoundError: if there is nothing.
      ValueError: if the file is damaged, of another kind, would need to execute a pickle, or holds
        a tensor that is not finite; names it.
    """
    state = _read(source)
    for name, value in state.items():
        if value.dtype.kind not in "iub" and not np.isfinite(value.astype(np.float32)).all():
            raise ValueError(f"{source}: tensor {name} holds numbers that are not finite")
    return state


def _read(source: str | os.PathLike) -> dict[str, np.ndarray]:
    path = Path(source)
    if path.is_dir():
        return _read_folder(path)
    if not path.exists():
        hub_name = str(source).count("/") == 1 and not str(source).startswith((".", "/"))
        if hub_name:
            return _read_folder(_download(str(source)))
        raise FileNotFoundError(f"no weights at {path}")
    path = require_file(path, "weights")
    with open(path, "rb") as file:
        magic = file.read(10)
    # Content decides, not the suffix: safetensors starts with a length and a JSON object, torch
    # files are zips or pickles.
    if len(magic) == 10 and magic[8:9] == b"{":
        return _read_safetensors(path)
    if magic[:2] in (b"PK", b"\x80\x02"):
        return read_torch(path)
    raise ValueError(
        f"{path}: neither a safetensors nor a PyTorch file (it starts with {magic[:8]!r})"
    )


def load_pretrained(
    source: str | os.PathLike, config: ModelConfig, on_event: OnEvent = silent
) -> dict[str, Any]:
    """Backbone parameters for an architecture (no head) from whatever :func:`read_state` reads.

    Args:
      source: see :func:`read_state`.
      config: the architecture.
      on_event: told which tensors were left out, and blocks where it has more.

    Raises:
      FileNotFoundError: if there are none.
      ValueError: naming the source and every tensor that does not fit.
    """
    try:
        state = read_state(source)
        found = state_dicts.describe(state)
        left_out = found.left_out
        if left_out:
            shown = ", ".join(left_out[:3]) + (", …" if len(left_out) > 3 else "")
            on_event(Message(f"{source}: {len(left_out)} tensors left out ({shown})"))
        if config.depth < found.depth:
            on_event(
                Message(f"{source}: the first {config.depth} of its {found.depth} blocks are taken")
            )
        return state_dicts.from_state(state, config)
    except ValueError as error:
        message = str(error)
        raise ValueError(
            message if message.startswith(str(source)) else f"{source}: {message}"
        ) from error


def write_hugging_face(
    params: Any, config: ModelConfig, classes: Sequence[str], folder: str | os.PathLike
) -> Path:
    """Writes one member as a folder that Hugging Face's ``from_pretrained`` opens.

    It is a ``Dinov2(WithRegisters)ForImageClassification``.

    Args:
      params: one member's whole parameters (trunk included), head too.
      config: its architecture.
      classes: their names.
      folder: created, whole or not at all.

    Returns:
      The file of weights in it.

    Raises:
      FileExistsError: if the folder holds something.
    """
    folder = Path(folder)
    kind = "Dinov2WithRegisters" if config.registers else "Dinov2"
    described = {
        "architectures": [f"{kind}ForImageClassification"],
        "model_type": "dinov2_with_registers" if config.registers else "dinov2",
        "hidden_size": config.dim,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "mlp_ratio": int(config.mlp_ratio)
        if config.mlp_ratio == int(config.mlp_ratio)
        else config.mlp_ratio,
        "image_size": config.image_size,
        "patch_size": config.patch_size,
        "use_swiglu_ffn": config.mlp == "swiglu",
        "layer_norm_eps": 1e-6,
        "layerscale_value": 1.0,
        "qkv_bias": True,
        "hidden_act": "gelu",
        **({"num_register_tokens": config.registers} if config.registers else {}),
        "id2label": dict(enumerate(classes)),
        "label2id": {name: i for i, name in enumerate(classes)},
        "head": config.head,
    }
    weights = save(state_dicts.to_state(params, config), metadata={"format": "pt"})
    with new_folder(folder) as scratch:
        text = json.dumps(described, indent=2) + "\n"
        write_atomically(scratch / "config.json", text.encode())
        write_atomically(scratch / "model.safetensors", weights)
    return folder / "model.safetensors"


def save_tree(tree: Any, path: str | os.PathLike, about: Mapping[str, str] | None = None) -> None:
    """Writes a parameter tree under its own names (``block_0/mlp/up/kernel``), in one piece.

    Args:
      tree: nested dictionaries of arrays.
      path: the file.
      about: further facts, kept in the file's metadata beside the digest of the tree.
    """
    arrays = {n: np.ascontiguousarray(leaf) for n, leaf in flatten_dict(tree, sep="/").items()}
    metadata = {**(about or {}), _DIGEST: digest_arrays(arrays)}
    write_atomically(path, save(arrays, metadata=metadata))


_DIGEST = "digest"


def load_tree(path: str | os.PathLike) -> Any:
    """Reads what :func:`save_tree` wrote.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is not a safetensors file, or its content is not what was written.
    """
    path = require_file(path, "weights")
    arrays = _read_safetensors(path)
    expected = tree_facts(path).get(_DIGEST)
    if expected is not None and digest_arrays(arrays) != expected:
        raise ValueError(f"{path}: damaged or changed: its digest is not that of its content")
    return unflatten_dict(arrays, sep="/")


def tree_facts(path: str | os.PathLike) -> dict[str, str]:
    """The metadata of a safetensors file; none where it has none.

    Raises:
      ValueError: if it is not a safetensors file.
    """
    try:
        with safetensors.safe_open(os.fspath(path), framework="np") as file:
            return dict(file.metadata() or {})
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise ValueError(f"{path}: not a safetensors file, or a truncated one: {error}") from error


def tree_digest(path: str | os.PathLike) -> str:
    """The digest of what a file of :func:`save_tree` holds, computed from its content.

    Raises:
      ValueError: if it is not a safetensors file.
    """
    return digest_arrays(_read_safetensors(Path(path)))
