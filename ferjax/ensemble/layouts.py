"""Layouts: which devices hold which members of an ensemble, and how many share a member's batch."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

__all__ = ["MEMBER", "NO_SPLIT", "REPLICA", "Layout", "Split", "lay_out", "layouts"]

Tree = Any
MEMBER = "member"
REPLICA = "replica"
"""Axes of a layout's mesh."""


@dataclasses.dataclass(frozen=True)
class Split:
    """How the ``replicas`` of one member share a batch, seen from inside a mapped function.

    A function still sees whole arrays; what it is told here is where their parts lie.
    """

    replicas: int = 1

    def share(self, batch: Tree) -> Tree:
        """The same ``[face, ...]``, of which each replica works on an equal part."""
        return self._lie(batch, REPLICA)

    def join(self, parts: Tree) -> Tree:
        """The same tree, whole on every replica."""
        return self._lie(parts)

    def _lie(self, tree: Tree, *axes: str) -> Tree:
        if self.replicas == 1:
            return tree
        spec = PartitionSpec(*axes)
        return jax.tree.map(lambda leaf: jax.lax.with_sharding_constraint(leaf, spec), tree)


NO_SPLIT = Split()


@dataclasses.dataclass(frozen=True)
class Layout:
    """``members`` in groups over ``devices``, ``replicas`` devices to a group.

    With one device nothing but ``vmap`` is used; ``idle`` devices are left over. On a device,
    ``chunk`` members are computed at once, one chunk after another; None for all of them.
    """

    members: int
    devices: tuple[jax.Device, ...]
    replicas: int = 1
    idle: int = 0
    chunk: int | None = None

    @property
    def groups(self) -> int:
        """Groups of devices, each with members of its own."""
        return len(self.devices) // self.replicas

    @property
    def per_device(self) -> int:
        """Members on each device, padding included."""
        each = -(-self.members // self.groups)
        return each if self.chunk is None else -(-each // self.chunk) * self.chunk

    @property
    def at_once(self) -> int:
        """Members that a device computes at the same time."""
        return self.per_device if self.chunk is None else self.chunk

    @property
    def padding(self) -> int:
        """Copies of the last member that fill the devices, in all groups."""
        return self.per_device * self.groups - self.members

    @property
    def split(self) -> Split:
        """How replicas share a batch."""
        return Split(self.replicas)

    @property
    def platform(self) -> str:
        """``cpu``, ``gpu`` or ``tpu``."""
        return self.devices[0].platform

    @property
    def has_attention_kernel(self) -> bool:
        """Whether cuDNN's fused attention runs on the devices: CUDA cards from Ampere on."""
        capability = getattr(self.devices[0], "compute_capability", "0")
        return self.platform == "gpu" and int(str(capability).split(".")[0]) >= 8

    @property
    def local(self) -> bool:
        """Whether this process holds all of it."""
        return all(device.process_index == jax.process_index() for device in self.devices)

    @property
    def mesh(self) -> Mesh:
        """The devices as ``[group, replica]``."""
        return Mesh(np.array(self.devices).reshape(self.groups, self.replicas), (MEMBER, REPLICA))

    def __str__(self) -> str:
        hosts = len({device.process_index for device in self.devices})
        return (
            f"{self.members} members on {len(self.devices)} {self.platform} device(s), "
            f"{self.per_device} each"
            + (f", {self.chunk} at a time" if self.at_once < self.per_device else "")
            + (f", {self.padding} padding" if self.padding else "")
            + (f", {self.replicas} replicas share a batch" if self.replicas > 1 else "")
            + (f", {self.idle} idle" if self.idle else "")
            + (f", {hosts} processes" if hosts > 1 else "")
        )


def layouts(
    members: int, devices: Sequence[jax.Device] | None = None, *, batch: int = 1
) -> list[Layout]:
    """Every way to lay out an ensemble, one for each number of replicas, from 1 up.

    Each uses as few devices as keep the most loaded one's members few. Several processes use all
    devices, since each must own one.

    Args:
      members: M >= 1.
      devices: candidates; by default all there are, those of other processes included.
      batch: faces that replicas of a member may share; they must divide it, and with 1 (the
        default) there are no replicas.

    Raises:
      ValueError: if there is no member.

    >>> len(layouts(5, jax.devices()[:1], batch=32))
    1
    """
    if members < 1:
        raise ValueError(f"an ensemble needs at least one member, got {members}")
    devices = tuple(jax.devices() if devices is None else devices)
    several = len({device.process_index for device in devices}) > 1
    found = []
    for replicas in range(1, len(devices) + 1):
        if batch % replicas or (several and len(devices) % replicas):
            continue
        groups = len(devices) // replicas
        if not several:
            groups = -(-members // -(-members // groups))
        used = groups * replicas
        found.append(Layout(members, devices[:used], replicas, len(devices) - used))
    return found


def _share_of_a_batch(layout: Layout) -> float:
    return layout.per_device / layout.replicas


def lay_out(
    members: int,
    devices: Sequence[jax.Device] | None = None,
    *,
    batch: int = 1,
    replicas: int | None = None,
    cost: Callable[[Layout], float] = _share_of_a_batch,
) -> Layout:
    """Chooses the layout whose step should take least; of equal ones, the fewest replicas.

    Args:
      members: M >= 1.
      devices: as for :func:`layouts`.
      batch: as for :func:`layouts`.
      replicas: devices to a member; the cheapest unless given.
      cost: of a layout, in any unit; by default how many whole batches of a member the fullest
        device works through in a step. :mod:`ferjax.ensemble.placement` knows better.

    Raises:
      ValueError: if there is no member, or replicas do not divide the batch or the devices.

    >>> lay_out(5, jax.devices()[:1]).per_device
    5
    """
    found = layouts(members, devices, batch=batch)
    if replicas is not None:
        count = len(found[0].devices) + found[0].idle
        found = [layout for layout in found if layout.replicas == replicas]
        if not found:
            raise ValueError(
                f"{replicas} replicas cannot share batches of {batch} faces on {count} devices: "
                "they must divide the faces of a batch (and the devices, where several processes "
                "hold them), and be no more than the devices"
            )
    return min(found, key=cost)
