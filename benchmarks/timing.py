"""Timing that can be believed: warm-up apart, results waited for, candidates in turn, medians and spread."""

import os
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import numpy as np

__all__ = ["Timing", "interleave", "machine"]


class Timing(NamedTuple):
    """Seconds of one call: median, fastest and slowest of the counted runs, and the first call (compilation included)."""

    median: float
    low: float
    high: float
    first: float


def interleave(candidates: Mapping[str, Callable[[], object]], runs: int = 5) -> dict[str, Timing]:
    """Times candidates A B A B …, so that a machine that slows down slows all of them.

    Args:
      candidates: name -> call that returns arrays (waited for with ``block_until_ready``).
      runs: counted runs of each, after one uncounted.
    """
    first = {name: _seconds(call) for name, call in candidates.items()}
    counted: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(runs):
        for name, call in candidates.items():
            counted[name].append(_seconds(call))
    return {n: Timing(float(np.median(s)), min(s), max(s), first[n]) for n, s in counted.items()}


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - began


def machine() -> str:
    """Device, cores, load and versions, for the head of every table."""
    device = jax.devices()[0]
    return f"{device.platform} {device.device_kind}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, JAX {jax.__version__}"
