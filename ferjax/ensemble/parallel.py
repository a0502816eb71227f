"""Where members live: ``vmap`` over the members of a device, ``pmap`` across devices. The only file that names devices.

Outside this file stacked trees are ``[M, ...]``, always. :func:`scatter` lays them out as ``[D, M/D, ...]`` (the last
device padded with copies of the last member where M does not divide), :func:`map_members` runs a function written for
one member over that layout, :func:`gather` undoes it.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["Layout", "gather", "lay_out", "map_members", "one_device", "replicate", "scatter"]

Tree = Any
_AXIS = "device"


@dataclasses.dataclass(frozen=True)
class Layout:
    """``members`` spread over ``devices``; with one device nothing but ``vmap`` is used."""

    members: int
    devices: tuple[jax.Device, ...]

    @property
    def per_device(self) -> int:
        """Members on each device, padding included."""
        return -(-self.members // len(self.devices))

    def __str__(self) -> str:
        padded = self.per_device * len(self.devices) - self.members
        return (f"{self.members} members on {len(self.devices)} {self.devices[0].platform} device(s), "
                f"{self.per_device} each" + (f", {padded} padding" if padded else ""))


def lay_out(members: int, devices: Sequence[jax.Device] | None = None) -> Layout:
    """Chooses devices for an ensemble: as many as shorten the longest queue, no more.

    Args:
      members: M >= 1.
      devices: candidates; all local devices by default.

    >>> lay_out(5, jax.devices()[:1]).per_device
    5
    """
    if members < 1:
        raise ValueError(f"an ensemble needs at least one member, got {members}")
    devices = tuple(jax.local_devices() if devices is None else devices)
    per_device = -(-members // len(devices))
    return Layout(members, devices[: -(-members // per_device)])


def one_device() -> jax.sharding.Sharding:
    """Where a stacked tree ``[M, ...]`` lies outside the layout: whole, on the first device."""
    return jax.sharding.SingleDeviceSharding(jax.local_devices()[0])


def _sharding(layout: Layout) -> jax.sharding.Sharding:
    mesh = jax.sharding.Mesh(np.array(layout.devices), (_AXIS,))
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(_AXIS))


def scatter(layout: Layout, tree: Tree) -> Tree:
    """``[M, ...]`` to the layout's form on its devices."""
    if len(layout.devices) == 1:
        return jax.device_put(tree, layout.devices[0])
    rows = np.minimum(np.arange(layout.per_device * len(layout.devices)), layout.members - 1)

    def place(leaf):
        leaf = jnp.asarray(leaf)[rows]
        return jax.device_put(leaf.reshape(len(layout.devices), layout.per_device, *leaf.shape[1:]), _sharding(layout))

    return jax.tree.map(place, tree)


def gather(layout: Layout, tree: Tree) -> Tree:
    """The layout's form back to ``[M, ...]``, padding dropped, on one device."""
    if len(layout.devices) == 1:
        return tree

    def collect(leaf):
        leaf = jax.device_put(leaf, layout.devices[0])
        return leaf.reshape(-1, *leaf.shape[2:])[: layout.members]

    return jax.tree.map(collect, tree)


def replicate(layout: Layout, tree: Tree) -> Tree:
    """A shared tree (data, a frozen trunk) onto every device, once."""
    if len(layout.devices) == 1:
        return jax.device_put(tree, layout.devices[0])
    copies = len(layout.devices)
    return jax.tree.map(lambda leaf: jax.device_put(jnp.broadcast_to(leaf, (copies, *leaf.shape)), _sharding(layout)), tree)


def map_members(layout: Layout, function: Callable, in_axes: Sequence[int | None], donate: Sequence[int] = ()) -> Callable:
    """Compiles a function of one member into a function of all of them.

    Args:
      layout: where the members live.
      function: written for one member and its arguments.
      in_axes: per argument 0 for what members own (pass it through :func:`scatter`), None for what they share
        (pass it through :func:`replicate`).
      donate: arguments whose buffers may be reused for the result.

    Returns:
      The compiled function; results have the layout's form (:func:`gather` them).
    """
    mapped = jax.vmap(function, in_axes=tuple(in_axes))
    if len(layout.devices) == 1:
        return jax.jit(mapped, donate_argnums=tuple(donate))
    # One name for the axis here and in scatter(): with another, results are laid out anew and every step compiles twice.
    return jax.pmap(mapped, axis_name=_AXIS, devices=layout.devices, donate_argnums=tuple(donate))
