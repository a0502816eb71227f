"""Kinds of accelerators: what their makers say of speed, memory and interconnect.

Peaks are dense bfloat16, bytes are decimal where the data sheet's are. Links are one direction, all
of a device's together, to the devices of its host (TPU: of its slice) and to other hosts'.
"""

import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # kinds are known by name before JAX is started
    import jax

__all__ = ["KINDS", "UNKNOWN", "Cuda", "Kind", "kind_of", "memory_limit"]

_GB = 1e9
_GIB = 2**30


class Cuda(NamedTuple):
    """What XLA must know of a card to compile for it."""

    capability: tuple[int, int]
    cores: int
    """Streaming multiprocessors."""
    shared_memory: int
    """Bytes of a multiprocessor."""
    l2_cache: int
    clock_ghz: float
    fpus_per_core: int = 128


class Kind(NamedTuple):
    """One kind of device."""

    device_kind: str
    """As JAX calls it, or how that begins."""
    peak: float
    """FLOP/s of a bfloat16 matrix product."""
    memory: int
    """Bytes."""
    bandwidth: float
    """Bytes per second, of its memory."""
    links: float
    """Bytes per second to its neighbours."""
    network: float
    """Bytes per second to devices of other hosts."""
    source: str
    cuda: Cuda | None = None


def _tpu(name: str, peak: float, memory: int, bandwidth: float, links: float, page: str) -> Kind:
    source = f"https://cloud.google.com/tpu/docs/{page}"
    return Kind(
        f"TPU {name}", peak * 1e12, memory * _GIB, bandwidth * _GB, links * _GB, links * _GB, source
    )


_NVIDIA = "https://www.nvidia.com/en-us/data-center/"

KINDS: dict[str, Kind] = {
    # The interconnect of a TPU spans the hosts of a slice.
    "v4": _tpu("v4", 275, 32, 1_228, 300, "v4"),
    "v5e": _tpu("v5 lite", 197, 16, 819, 200, "v5e"),
    "v5p": _tpu("v5", 459, 95, 2_765, 600, "v5p"),
    "v6e": _tpu("v6 lite", 918, 32, 1_640, 448, "v6e"),
    "a100-40": Kind(
        "NVIDIA A100-SXM4-40GB", 312e12, 42_298_834_944, 1.555e12, 300e9, 25e9, _NVIDIA + "a100",
        Cuda((8, 0), 108, 167_936, 41_943_040, 1.41, 64),
    ),
    "a100-80": Kind(
        "NVIDIA A100-SXM4-80GB", 312e12, 85_198_045_184, 2.039e12, 300e9, 25e9, _NVIDIA + "a100",
        Cuda((8, 0), 108, 167_936, 41_943_040, 1.41, 64),
    ),
    "h100": Kind(
        "NVIDIA H100 80GB HBM3", 989e12, 84_942_979_072, 3.352e12, 450e9, 50e9, _NVIDIA + "h100",
        Cuda((9, 0), 132, 233_472, 52_428_800, 1.98),
    ),
    "h200": Kind(
        "NVIDIA H200", 989e12, 150_000_000_000, 4.8e12, 450e9, 50e9, _NVIDIA + "h200",
        Cuda((9, 0), 132, 233_472, 52_428_800, 1.98),
    ),
    "l4": Kind(
        "NVIDIA L4", 121e12, 23_600_000_000, 3e11, 32e9, 12.5e9, _NVIDIA + "l4",
        Cuda((8, 9), 58, 102_400, 50_331_648, 2.04),
    ),
}  # fmt: skip
"""Kinds by the name that ``--target`` takes."""

UNKNOWN = Kind("", 1e11, 0, 1e10, 1e10, 1e9, "an order of magnitude for two CPU cores")
"""Any other device; a memory of 0 is unlimited."""


def kind_of(device: "jax.Device") -> Kind:
    """The kind of a device; of those whose name it begins with, the one named at most length."""
    found = [kind for kind in KINDS.values() if device.device_kind.startswith(kind.device_kind)]
    return max(found, key=lambda kind: len(kind.device_kind), default=UNKNOWN)


def memory_limit(device: "jax.Device") -> int:
    """Bytes that JAX lets a program take on a device; 0 where nothing is known.

    What the device says, where it is here. Elsewhere its kind's, and on GPUs of that three quarters
    or what ``XLA_PYTHON_CLIENT_MEM_FRACTION`` says.
    """
    try:
        told = device.memory_stats()
    except (AttributeError, NotImplementedError, RuntimeError):  # one to compile for alone
        told = None
    if told and "bytes_limit" in told:
        return told["bytes_limit"]
    memory = kind_of(device).memory
    if device.platform == "gpu":
        return int(memory * float(os.environ.get("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.75")))
    return memory
