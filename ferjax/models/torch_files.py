"""PyTorch files as numpy arrays, read with torch's weights-only loader: no pickle is executed."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from ferjax.extras import how_to_install
from ferjax.files import printable

__all__ = ["one_line", "read_torch"]

_WRAPPERS = ("teacher", "model_ema", "state_dict_ema", "model", "state_dict", "model_state_dict")
"""What a checkpoint calls the network in it, the likeliest first."""


def read_torch(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a file, float32, by name; of a checkpoint, those of the network in it.

    Raises:
      ValueError: if torch is not there, will not load the file, or finds no tensors.
    """
    try:
        import torch
    except ImportError:
        raise ValueError(
            f"{path} is a PyTorch file, and reading it safely needs torch. Install it "
            f"({how_to_install('parity', 'torch')}), or convert it where torch is: "
            "from safetensors.torch import save_file; "
            f"save_file(torch.load('{path.name}', weights_only=True), 'weights.safetensors')"
        ) from None
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch raises pickle, zip and runtime errors for files it will not load.
        raise ValueError(_refused_by_torch(path, error)) from error

    def of_tensors(value: Any) -> bool:
        return isinstance(value, dict) and any(
            isinstance(of, torch.Tensor) for of in value.values()
        )

    while isinstance(loaded, dict) and not of_tensors(loaded):
        inner = next((loaded[w] for w in _WRAPPERS if isinstance(loaded.get(w), dict)), None)
        if inner is None:
            inside = [name for name, value in loaded.items() if of_tensors(value)]
            if len(inside) != 1:
                found = ", ".join(map(str, list(loaded)[:6])) or "nothing"
                raise ValueError(f"{path}: no dictionary of tensors in it; it holds {found}")
            inner = loaded[inside[0]]
        loaded = inner
    if not isinstance(loaded, dict):
        raise ValueError(f"{path}: expected a dictionary of tensors, found {type(loaded).__name__}")
    state = {}
    for name, value in loaded.items():
        if isinstance(value, torch.Tensor):
            try:
                state[str(name)] = value.detach().float().numpy()
            except Exception as error:  # sparse, quantised, or on no device
                raise ValueError(f"{path}: tensor {name}: {one_line(error)}") from error
    return state


def _refused_by_torch(path: Path, error: Exception) -> str:
    """Why the weights-only loader refuses a file, in a sentence."""
    said = f"{path}: torch's weights-only loader refuses this file"
    wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
    if wanted is None:
        return f"{said}: {one_line(error)}"
    return (
        f"{said}: it holds a pickled {wanted[1]}, which would have to be executed, and was not. "
        "Save the tensors alone where torch is: torch.save(model.state_dict(), ...)"
    )


def one_line(error: BaseException, longest: int = 300) -> str:
    """What an error says, on one line that a terminal can take."""
    text = printable(" ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= longest else f"{text[:longest]}…"
