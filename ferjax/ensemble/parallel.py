"""Members by ``vmap``, devices by what ``pmap`` has become: ``shard_map`` under ``jit``.

The only file that names devices. They form a mesh: groups of members along one side, replicas along
the other. Outside this file stacked trees are ``[M, ...]``, always. :func:`scatter` lays them out
over the groups (padded with copies of the last member where M does not divide), :func:`map_members`
runs a function written for one member over that layout, ``vmap`` inside a device and ``shard_map``
across, and :func:`gather` undoes it. With more devices than members, the replicas of a group hold
the same members and share each batch: a function written for one member says where with
:class:`Split`. Members never take part in one collective, so no group waits for another.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

__all__ = [
    "NO_SPLIT",
    "Layout",
    "Split",
    "gather",
    "lay_out",
    "map_members",
    "one_device",
    "replicate",
    "scatter",
]

Tree = Any
_MEMBER = "member"
_REPLICA = "replica"


@dataclasses.dataclass(frozen=True)
class Split:
    """How the ``replicas`` of one member share a batch, seen from inside a mapped function."""

    replicas: int = 1

    def share(self, batch: Tree) -> Tree:
        """This replica's equal part of every ``[face, ...]``."""
        if self.replicas == 1:
            return batch
        part = jax.lax.axis_index(_REPLICA)
        return jax.tree.map(
            lambda leaf: leaf.reshape(self.replicas, -1, *leaf.shape[1:])[part], batch
        )

    def mean(self, tree: Tree) -> Tree:
        """The replicas' mean of everything, e.g. of their gradients."""
        return tree if self.replicas == 1 else jax.lax.pmean(tree, _REPLICA)

    def join(self, parts: Tree) -> Tree:
        """The whole ``[face, ...]`` again, in the order that :meth:`share` took apart."""
        return parts if self.replicas == 1 else jax.lax.all_gather(parts, _REPLICA, tiled=True)


NO_SPLIT = Split()


@dataclasses.dataclass(frozen=True)
class Layout:
    """``members`` in groups over ``devices``, ``replicas`` devices to a group.

    With one device nothing but ``vmap`` is used; ``idle`` devices are left over.
    """

    members: int
    devices: tuple[jax.Device, ...]
    replicas: int = 1
    idle: int = 0

    @property
    def groups(self) -> int:
        """Groups of devices, each with members of its own."""
        return len(self.devices) // self.replicas

    @property
    def per_device(self) -> int:
        """Members on each device, padding included."""
        return -(-self.members // self.groups)

    @property
    def split(self) -> Split:
        """How replicas share a batch."""
        return Split(self.replicas)

    @property
    def local(self) -> bool:
        """Whether this process holds all of it."""
        return all(device.process_index == jax.process_index() for device in self.devices)

    @property
    def mesh(self) -> Mesh:
        """The devices as ``[group, replica]``."""
        return Mesh(np.array(self.devices).reshape(self.groups, self.replicas), (_MEMBER, _REPLICA))

    def __str__(self) -> str:
        padded = self.per_device * self.groups - self.members
        hosts = len({device.process_index for device in self.devices})
        return (
            f"{self.members} members on {len(self.devices)} {self.devices[0].platform} device(s), "
            f"{self.per_device} each"
            + (f", {padded} padding" if padded else "")
            + (f", {self.replicas} replicas share a batch" if self.replicas > 1 else "")
            + (f", {self.idle} idle" if self.idle else "")
            + (f", {hosts} processes" if hosts > 1 else "")
        )


def lay_out(
    members: int,
    devices: Sequence[jax.Device] | None = None,
    *,
    batch: int = 1,
    replicas: int | None = None,
) -> Layout:
    """Chooses devices for an ensemble: as few as keep the most loaded one's members few.

    Args:
      members: M >= 1.
      devices: candidates; by default all there are, those of other processes included.
      batch: faces that replicas of a member may share; they must divide it, and with 1 (the
        default) there are no replicas.
      replicas: devices to a member. By default as many as there are for every member, so 1 unless D
        >= 2 M. More than that puts several members on each device and is worth it where M and D do
        not fit, e.g. 8 for 5 members on 8.

    Raises:
      ValueError: if there is no member, or replicas do not divide the batch or the devices.

    >>> lay_out(5, jax.devices()[:1]).per_device
    5
    """
    if members < 1:
        raise ValueError(f"an ensemble needs at least one member, got {members}")
    devices = tuple(jax.devices() if devices is None else devices)
    # Every process must own a device of the mesh.
    several = len({device.process_index for device in devices}) > 1

    def fits(r: int) -> bool:
        return batch % r == 0 and (not several or len(devices) % r == 0)

    if replicas is None:
        replicas = next(r for r in range(max(1, len(devices) // members), 0, -1) if fits(r))
    elif not (1 <= replicas <= len(devices) and fits(replicas)):
        raise ValueError(
            f"{replicas} replicas cannot share batches of {batch} faces on {len(devices)} devices: "
            f"they must divide the faces of a batch{' and the devices' if several else ''}, and be "
            "no more than the devices"
        )
    groups = len(devices) // replicas
    if not several:
        groups = -(-members // -(-members // groups))
    used = groups * replicas
    return Layout(members, devices[:used], replicas, len(devices) - used)


def one_device() -> jax.sharding.Sharding:
    """Where a tree ``[M, ...]`` lies outside a layout: whole, on this process's first device."""
    return jax.sharding.SingleDeviceSharding(jax.local_devices()[0])


def _sharding(layout: Layout, *axes: str) -> NamedSharding:
    return NamedSharding(layout.mesh, PartitionSpec(*axes))


def _place(layout: Layout, leaf: Any, sharding: NamedSharding) -> jax.Array:
    if layout.local:
        return jax.device_put(leaf, sharding)
    host = np.asarray(leaf)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


def scatter(layout: Layout, tree: Tree) -> Tree:
    """``[M, ...]`` to the layout's form on its devices; every process places its own part."""
    if len(layout.devices) == 1:
        return jax.device_put(tree, layout.devices[0])
    rows = np.minimum(np.arange(layout.per_device * layout.groups), layout.members - 1)

    def place(leaf):
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(place(jax.random.key_data(leaf)))
        return _place(
            layout, leaf if len(rows) == layout.members else leaf[rows], _sharding(layout, _MEMBER)
        )

    return jax.tree.map(place, tree)


def gather(layout: Layout, tree: Tree) -> Tree:
    """The layout's form back to ``[M, ...]``, padding dropped.

    On one device; with several processes, on the host of each.
    """
    if len(layout.devices) == 1:
        return tree

    def collect(leaf):
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(collect(jax.random.key_data(leaf)))
        if layout.local:
            return jax.device_put(leaf, layout.devices[0])[: layout.members]
        return multihost_utils.process_allgather(leaf, tiled=True)[: layout.members]

    return jax.tree.map(collect, tree)


def replicate(layout: Layout, tree: Tree) -> Tree:
    """A shared tree (data, a frozen trunk) onto every device, once."""
    if len(layout.devices) == 1:
        return jax.device_put(tree, layout.devices[0])
    return jax.tree.map(lambda leaf: _place(layout, leaf, _sharding(layout)), tree)


def _map_single(function: Callable, in_axes: Sequence[int | None]) -> Callable:
    """``vmap`` over one member without a member axis, which of 1 would cost a sixth on a CPU."""

    def mapped(*args: Tree) -> Tree:
        one = [
            arg if axis is None else jax.tree.map(lambda leaf: leaf[0], arg)
            for arg, axis in zip(args, in_axes)
        ]
        return jax.tree.map(lambda leaf: leaf[None], function(*one))

    return mapped


def map_members(
    layout: Layout, function: Callable, in_axes: Sequence[int | None], donate: Sequence[int] = ()
) -> Callable:
    """Compiles a function of one member into a function of all of them.

    Args:
      layout: where the members live.
      function: written for one member and its arguments; with replicas it must return the same on
        each of them, by ``layout.split``.
      in_axes: per argument 0 for what members own (pass it through :func:`scatter`), None for what
        they share (pass it through :func:`replicate`).
      donate: arguments whose buffers may be reused for the result.

    Returns:
      The compiled function; results have the layout's form (:func:`gather` them).
    """
    mapped = (
        _map_single(function, in_axes)
        if layout.per_device == 1
        else jax.vmap(function, in_axes=tuple(in_axes))
    )
    if len(layout.devices) > 1:
        # check_vma=False: results are the same on all replicas because split.mean makes them so,
        # which shard_map cannot infer.
        mapped = jax.shard_map(
            mapped,
            mesh=layout.mesh,
            out_specs=PartitionSpec(_MEMBER),
            check_vma=False,
            in_specs=tuple(
                PartitionSpec() if axis is None else PartitionSpec(_MEMBER) for axis in in_axes
            ),
        )
    return jax.jit(mapped, donate_argnums=tuple(donate))
