"""Timing: warm-up apart, results waited for, candidates in turn, medians and spread."""

import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

__all__ = [
    "Timing",
    "copy_seconds",
    "describe",
    "free_memory",
    "interleave",
    "machine",
    "matmul_peak",
]

Call = Callable[[], object]


class Timing(NamedTuple):
    """Seconds of one call."""

    median: float
    """Of the counted runs."""
    low: float
    """The fastest of them."""
    high: float
    """The slowest of them."""
    runs: int
    """How many there were."""
    first: float
    """The first call, not counted: where a program that compiles when it is called does so."""

    @property
    def spread(self) -> float:
        """Half the range of the counted runs, as a share of the median."""
        return (self.high - self.low) / 2 / self.median if self.median else 0.0


def interleave(
    candidates: Mapping[str, Call],
    runs: int = 5,
    *,
    limit: float = float("inf"),
    clock: Callable[[], float] = time.perf_counter,
    wait: Callable[[Any], object] = jax.block_until_ready,
) -> dict[str, Timing]:
    """Times candidates in turn, A B C, B C A, C A B, and so on.

    A machine that slows down then slows all of them alike. Each counted run follows one of the same
    candidate that is not counted, so that none pays for what its neighbour left behind: its arrays
    in the caches, its threads still spinning.

    Args:
      candidates: name -> call; its result is waited for.
      runs: counted runs of each.
      limit: seconds after which no further round begins, but never less than two rounds are
        counted.
      clock: seconds now.
      wait: blocks until a result is there.

    Returns:
      Name -> :class:`Timing`.

    Raises:
      ValueError: if there is nothing to time or nothing to count.
    """
    if not candidates or runs < 1:
        raise ValueError(
            f"expected candidates and at least one run, got {len(candidates)} candidates "
            f"and {runs} runs"
        )

    def seconds(call: Call) -> float:
        began = clock()
        wait(call())
        return clock() - began

    first = {name: seconds(call) for name, call in candidates.items()}
    names = list(candidates)
    counted = {name: [] for name in candidates}
    began = clock()
    for turn in range(runs):
        if turn >= 2 and clock() - began > limit:
            break
        start = turn % len(names)
        for name in names[start:] + names[:start]:
            wait(candidates[name]())
            counted[name].append(seconds(candidates[name]))
    return {
        n: Timing(float(np.median(s)), min(s), max(s), len(s), first[n]) for n, s in counted.items()
    }


def matmul_peak(side: int = 2048, dtype: Any = "float32", runs: int = 7) -> float:
    """FLOP/s of the fastest of several large matrix products: the most that JAX can reach."""
    a = jnp.ones((side, side), dtype)
    product = jax.jit(jnp.matmul)
    return 2 * side**3 / interleave({"matmul": lambda: product(a, a)}, runs)["matmul"].low


def copy_seconds(nbytes: int, runs: int = 5) -> float:
    """Seconds to copy that many bytes once in the default device's memory, fastest of several."""
    source = np.ones(nbytes // 4, np.float32)
    if jax.default_backend() == "cpu":  # into pages that are there: XLA would map new ones
        target = np.empty_like(source)
        return interleave({"copy": lambda: np.copyto(target, source)}, runs)["copy"].low
    on_device = jax.device_put(source)
    copy = jax.jit(jnp.copy)
    return interleave({"copy": lambda: copy(on_device)}, runs)["copy"].low


def free_memory() -> int:
    """Bytes a new array may take on the first device (on CPU: in the machine)."""
    limits = jax.devices()[0].memory_stats()
    if limits and "bytes_limit" in limits:
        return limits["bytes_limit"] - limits["bytes_in_use"]
    if sys.platform == "linux":
        with open("/proc/meminfo") as file:
            return 1024 * next(
                int(line.split()[1]) for line in file if line.startswith("MemAvailable")
            )
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def machine() -> dict[str, Any]:
    """Device, cores, load and versions: what every figure depends on."""

    def installed(package: str) -> str | None:
        try:
            return version(package)
        except PackageNotFoundError:
            return None

    devices = jax.devices()
    packages = ("jax", "jaxlib", "flax", "numpy", "scipy", "torch")
    return {
        "device": f"{devices[0].platform} {devices[0].device_kind}",
        "devices": len(devices),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "versions": {name: found for name in packages if (found := installed(name))},
    }


def _processor() -> str:
    if sys.platform == "linux":
        with open("/proc/cpuinfo") as file:
            names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
        if names:
            return f"{platform.machine()} {names[0]}"
    return platform.machine()


def describe(facts: Mapping[str, Any]) -> str:
    """:func:`machine` on one line."""
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    return (
        f"{facts['devices']} × {facts['device']}, {facts['processor']}, {facts['cores']} cores, "
        f"load {facts['load']}, Python {facts['python']}, {versions}"
    )
