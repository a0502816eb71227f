"""What to change in a run so that it fits its devices, with numbers."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import jax

from ferjax.config import Config
from ferjax.ensemble import cost, parallel, placement
from ferjax.ensemble.ahead import CompiledProgram
from ferjax.ensemble.placement import Placed
from ferjax.faces.dataset import DataSpec

__all__ = ["advice"]

_GIB = 2**30


def _with(config: Config, **changes: object) -> Config:
    """The configuration with ``model__remat=True`` and the like."""
    for name, value in changes.items():
        part, _, field = name.partition("__")
        changed = dataclasses.replace(getattr(config, part), **{field: value})
        config = dataclasses.replace(config, **{part: changed})
    return config


def _options(
    config: Config, devices: Sequence[jax.Device], layout: parallel.Layout
) -> Iterator[tuple[str, Config, parallel.Layout]]:
    """Words for the command line, and the run that they make."""
    batch = config.train.batch_size
    smaller = [n for n in (2, 4, 8, 16, 32) if batch % (n * layout.replicas) == 0]
    remat = _with(config, model__remat=True)
    for parts in smaller:
        if parts > config.train.accumulate:
            words = f"--train.accumulate {parts}"
            yield words, _with(config, train__accumulate=parts), layout
    if not config.model.remat:
        yield "--model.remat", remat, layout
        for parts in smaller:
            if parts > config.train.accumulate:
                words = f"--model.remat --train.accumulate {parts}"
                yield words, _with(remat, train__accumulate=parts), layout
    if layout.at_once > 1:
        yield "--chunk 1", config, dataclasses.replace(layout, chunk=1)
    shared = placement.batch_of_replicas(config)
    for other in parallel.layouts(layout.members, devices, batch=shared):
        if other.replicas != layout.replicas:
            chunked = dataclasses.replace(other, chunk=1 if other.per_device > 1 else None)
            yield f"--replicas {other.replicas} --chunk 1", config, chunked


def advice(
    config: Config,
    spec: DataSpec,
    devices: Sequence[jax.Device],
    faces: Mapping[str, int],
    placed: Placed,
    step: CompiledProgram,
    limit: int,
) -> list[str]:
    """Changes of a run that should make it fit, in the command line's words.

    Args:
      config: the run.
      spec: of its data.
      devices: all there are.
      faces: in the splits ``train`` and ``valid``.
      placed: where it was placed.
      step: its training step, compiled or refused.
      limit: bytes that a device has.

    Returns:
      A line for each change that helps by itself, those that change least first; or one line that
      says what the smallest would still need.
    """
    # The estimate is only as right as it was where the compiler said more.
    measured = step.device_bytes / placed.budget.device_bytes if step.device_bytes else 1.0
    needed = []
    for words, changed, layout in _options(config, devices, placed.layout):
        budget = cost.estimate(
            changed, spec, layout, train_faces=faces["train"], valid_faces=faces["valid"]
        )
        needed.append((max(measured, 1.0) * budget.device_bytes, words))
    fitting = [f"{words}: about {size / _GIB:.1f} GiB" for size, words in needed if size <= limit]
    if fitting or not needed:
        return fitting
    size, words = min(needed)
    return [
        f"no single change is enough; the most comes of {words}: about {size / _GIB:.1f} GiB. "
        "More devices, fewer members (train.seeds) or a smaller network are left"
    ]
