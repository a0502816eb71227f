"""Names of devices to compile for, told apart from typing errors before JAX is started."""

from importlib.util import find_spec

from ferjax.ensemble.accelerators import KINDS, Kind
from ferjax.extras import how_to_install

__all__ = ["named_target"]

_EXAMPLES = "e.g. v5e:2x4, v5p:2x2x1, h100:8, a100-80:4, h100:2x8 (two hosts of 8)"


def named_target(target: str) -> tuple[Kind, tuple[int, ...]]:
    """The kind of device that a target names, and the numbers after it.

    Args:
      target: ``KIND:TOPOLOGY`` for a TPU slice, ``KIND:CARDS`` or ``KIND:HOSTSxCARDS`` for GPUs.

    Raises:
      ValueError: if the target is unknown, or its compiler is not installed.

    >>> named_target("h200:8,2")
    Traceback (most recent call last):
    ValueError: unknown target 'h200:8,2'; expected e.g. v5e:2x4, ... Known kinds: ...
    """
    name, _, shape = target.partition(":")
    numbers = shape.split("x")
    kind = KINDS.get(name)
    whole = all(part.isdigit() for part in numbers)
    if kind is None or not whole or (kind.cuda is not None and len(numbers) > 2):
        raise ValueError(
            f"unknown target {target!r}; expected {_EXAMPLES}. Known kinds: {', '.join(KINDS)}"
        )
    counts = tuple(map(int, numbers))
    if min(counts) < 1:
        raise ValueError(f"unknown target {target!r}; expected {_EXAMPLES}")
    module, *extras = (
        ("libtpu", "tpu")
        if kind.cuda is None
        else ("jax_cuda12_plugin", "cuda12-compiler", "cuda12")
    )
    if find_spec(module) is None:
        install = " or ".join(map(how_to_install, extras))
        raise ValueError(f"compiling for {target} needs its compiler: {install}")
    return kind, counts
