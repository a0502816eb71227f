"""Where a run's members go: the layout and the chunk that should take least time, and fit.

A step takes the time of the fullest device: its matrix products, its update, and the mean of the
gradients over the replicas of a member. None of it overlaps in this model, so replicas are chosen
where they win even then.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax

from ferjax.config import Config
from ferjax.ensemble import cost, parallel
from ferjax.ensemble.accelerators import kind_of, memory_limit
from ferjax.ensemble.cost import Budget
from ferjax.ensemble.methods import method_of
from ferjax.faces.dataset import DataSpec

__all__ = ["Choice", "Placed", "batch_of_replicas", "choose", "step_seconds"]

_REACHED = 0.4
"""Share of its peak that a device is taken to reach in the products of a network."""
_COLLECTIVE = 20e-6
"""Seconds until a collective has begun."""
_MARGIN = 0.9
"""Share of a device's memory that an estimate may take."""
_CPU_CHUNK = 16
"""Members that a CPU computes at once; more of them no longer share its caches."""
_CPU_WORK = 5e7
"""FLOPs of a member's step from which on a CPU computes more members than that one by one; with
fewer it would spend its time on calls."""


class Placed(NamedTuple):
    """One way to place a run."""

    layout: parallel.Layout
    budget: Budget
    seconds: float
    """Of a training step, by the model of this module."""
    fits: bool
    """Whether the estimated memory is the device's, with a margin."""


class Choice(NamedTuple):
    """The best placement of a run, and the next."""

    best: Placed
    runner_up: Placed | None

    def __str__(self) -> str:
        if self.runner_up is None:
            return f"{self.best.layout} (no other way)"
        other = self.runner_up
        if self.best.fits and not other.fits:
            return f"{self.best.layout}; the next does not fit: {other.layout}"
        times = other.seconds / self.best.seconds
        return f"{self.best.layout}; the next takes {times:.2f} times as long: {other.layout}"


def batch_of_replicas(config: Config) -> int:
    """Faces that replicas of a member may share: those whose gradients are taken at once.

    1 for a method that holds the faces of a batch against one another.
    """
    whole = method_of(config).whole_batch
    return 1 if whole else config.train.batch_size // config.train.accumulate


def step_seconds(config: Config, budget: Budget, layout: parallel.Layout) -> float:
    """What a training step should take, in seconds.

    Only ratios between layouts of the same devices mean anything: how much of its peak a device
    reaches is taken as given.
    """
    device = layout.devices[0]
    kind = kind_of(device)
    members = layout.per_device
    replicas = layout.replicas
    parameters = 4.0 * budget.member_parameters
    products = config.train.batch_size * budget.train_flops / replicas / (kind.peak * _REACHED)
    # Gradients and parameters are read whole; moments are read, and all three written, in parts.
    update = parameters * (2 + 5 / replicas) / kind.bandwidth
    if layout.at_once < members:
        update += 2 * parameters * (1 + 3 / replicas) / kind.bandwidth
    seconds = members * (products + update)
    if replicas == 1:
        return seconds
    host = sum(other.process_index == device.process_index for other in layout.devices)
    speed = kind.links if replicas <= host else kind.network
    # Summed and handed out again; then the updated parts to everybody.
    moved = 3 * (replicas - 1) / replicas * parameters
    chunks = members // layout.at_once
    return seconds + members * moved / speed + 2 * chunks * _COLLECTIVE


def _chunks(layout: parallel.Layout) -> list[int]:
    """Members at once, from all of them down; each fills its last chunk as well as it can."""
    members = layout.per_device
    return sorted({-(-members // parts) for parts in range(1, members + 1)}, reverse=True)


def _place(
    config: Config,
    spec: DataSpec,
    layout: parallel.Layout,
    faces: tuple[int, int],
    chunk: int | None,
) -> Placed:
    limit = memory_limit(layout.devices[0])
    placed = []
    sizes = [min(chunk, layout.per_device)] if chunk is not None else _chunks(layout)
    if chunk is None and layout.platform == "cpu" and layout.per_device > _CPU_CHUNK:
        one = cost.estimate(config, spec, layout, train_faces=faces[0], valid_faces=faces[1])
        work = config.train.batch_size * one.train_flops / layout.replicas
        most = 1 if work >= _CPU_WORK else _CPU_CHUNK
        sizes = [size for size in sizes if size <= most]
    for size in sizes:
        chunked = dataclasses.replace(layout, chunk=None if size == layout.per_device else size)
        budget = cost.estimate(config, spec, chunked, train_faces=faces[0], valid_faces=faces[1])
        fits = not limit or budget.device_bytes <= _MARGIN * limit
        placed.append(Placed(chunked, budget, step_seconds(config, budget, chunked), fits))
        if fits and chunked.padding == layout.padding:
            break  # smaller ones take no less time
    # Of equals the largest chunk; where none fits, the smallest.
    fitting = [one for one in placed if one.fits]
    return min(fitting, key=lambda one: one.seconds) if fitting else placed[-1]


def choose(
    config: Config,
    spec: DataSpec,
    *,
    train_faces: int,
    valid_faces: int,
    devices: Sequence[jax.Device] | None = None,
    replicas: int | None = None,
    chunk: int | None = None,
) -> Choice:
    """Chooses the layout and the chunk of a run.

    Args:
      config: the run.
      spec: of its data.
      train_faces: faces in the training split.
      valid_faces: faces in the valid split.
      devices: candidates, as for :func:`ferjax.ensemble.parallel.layouts`.
      replicas: devices to a member; the best unless given.
      chunk: members at once on a device; all that fit (on CPUs: few) unless given.

    Returns:
      The fastest of those that fit, and the next; the smallest where none fits.

    Raises:
      ValueError: as :func:`ferjax.ensemble.parallel.lay_out`, on an empty chunk, and on replicas
        of a method that needs whole batches.
    """
    if chunk is not None and chunk < 1:
        raise ValueError(f"a chunk holds at least one member, got {chunk}")
    if replicas is not None and replicas > 1 and method_of(config).whole_batch:
        raise ValueError(
            f"{replicas} replicas would share the batches of a member, and train.method "
            f"{config.train.method} ranks the faces of a whole batch"
        )
    members = len(config.train.seeds)
    batch = batch_of_replicas(config)
    if replicas is None:
        candidates = parallel.layouts(members, devices, batch=batch)
    else:
        candidates = [parallel.lay_out(members, devices, batch=batch, replicas=replicas)]
    faces = (train_faces, valid_faces)
    placed = [_place(config, spec, layout, faces, chunk) for layout in candidates]

    def rank(one: Placed) -> tuple:
        return not one.fits, one.seconds if one.fits else one.budget.device_bytes

    best, *others = sorted(placed, key=rank)
    return Choice(best, others[0] if others else None)
