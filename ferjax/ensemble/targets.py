"""Devices that are not here, to compile for: TPU topologies and CUDA cards by name.

Their compilers come with ``libtpu`` (extra ``tpu``) and with JAX's CUDA plugin (extra
``cuda12-compiler``: without NVIDIA's libraries). Both run on a machine without an accelerator.
"""

import contextlib
import os
from collections.abc import Iterator

import jax
from jax.experimental.topologies import get_topology_desc

from ferjax.ensemble.accelerators import Kind
from ferjax.ensemble.target_names import named_target

__all__ = ["COMPILER_OPTIONS", "target_devices"]

COMPILER_OPTIONS = {
    # There is no card to try kernels on.
    "gpu": {"xla_gpu_autotune_level": 0},
}
"""What compiling without the device takes, by platform, beyond :mod:`ferjax.ensemble.parallel`."""


def target_devices(target: str) -> tuple[jax.Device, ...]:
    """The devices that a target names; they can be compiled for and nothing else.

    Args:
      target: ``KIND:TOPOLOGY`` for a TPU slice, ``KIND:CARDS`` or ``KIND:HOSTSxCARDS`` for GPUs.

    Raises:
      ValueError: if the target is unknown, or its compiler is not installed.
    """
    kind, counts = named_target(target)
    # What is compiled for a device that is not here cannot be read back from JAX's cache.
    jax.config.update("jax_enable_compilation_cache", False)
    return _tpu(target) if kind.cuda is None else _cuda(target, kind, counts)


def _tpu(target: str) -> tuple[jax.Device, ...]:
    # What it would otherwise ask a machine with TPUs for.
    for name, value in (
        ("TPU_SKIP_MDS_QUERY", "1"),
        ("TPU_ACCELERATOR_TYPE", target.replace(":", "-")),
        ("TPU_WORKER_HOSTNAMES", "localhost"),
    ):
        os.environ.setdefault(name, value)
    try:
        with _quietly():
            return tuple(get_topology_desc(platform="tpu", topology_name=target).devices)
    except Exception as error:
        raise ValueError(f"{target} is no TPU topology: {_last_line(error)}") from error


def _cuda(target: str, kind: Kind, counts: tuple[int, ...]) -> tuple[jax.Device, ...]:
    hosts, cards = counts if len(counts) == 2 else (1, counts[0])
    jax.default_backend()  # loads the plugins
    try:
        with _quietly():
            topology = get_topology_desc(
                platform="cuda",
                topology_name="",
                topology=f"1x{hosts}x{cards}",
                target_config=_target_config(kind),
            )
    except Exception as error:
        raise ValueError(f"cannot compile for {target}: {_last_line(error)}") from error
    return tuple(topology.devices)


def _target_config(kind: Kind) -> str:
    """A card as XLA's ``GpuTargetConfigProto`` in text form."""
    cuda = kind.cuda
    assert cuda is not None
    major, minor = cuda.capability
    fields = {
        "threads_per_block_limit": 1024,
        "threads_per_warp": 32,
        "shared_memory_per_block": 49_152,
        "shared_memory_per_core": cuda.shared_memory,
        "threads_per_core_limit": 1536 if minor == 9 else 2048,
        "core_count": cuda.cores,
        "fpus_per_core": cuda.fpus_per_core,
        "block_dim_limit_x": 2**31 - 1,
        "block_dim_limit_y": 65_535,
        "block_dim_limit_z": 65_535,
        "memory_bandwidth": int(kind.bandwidth),
        "l2_cache_size": cuda.l2_cache,
        "clock_rate_ghz": cuda.clock_ghz,
        "device_memory_size": kind.memory,
        "shared_memory_per_block_optin": cuda.shared_memory - 1024,
        "registers_per_core_limit": 65_536,
        "registers_per_block_limit": 65_536,
    }
    info = " ".join(f"{name}: {value}" for name, value in fields.items())
    return (
        f"gpu_device_info {{ {info} cuda_compute_capability {{ major: {major} minor: {minor} }} }} "
        'platform_name: "CUDA" dnn_version_info { major: 9 minor: 10 patch: 0 } '
        f'device_description_str: "{kind.device_kind}"'
    )


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keeps what the compilers' start says of hardware they do not find from standard error."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
