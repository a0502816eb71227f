"""Members by ``vmap``, devices by what ``pmap`` has become: ``shard_map`` under ``jit``.

Devices form a mesh (:mod:`ferjax.ensemble.layouts`): groups of members along one side, replicas
along the other. Outside these two files stacked trees are ``[M, ...]``, always. :func:`scatter`
lays them out over the groups (padded with copies of the last member where M does not divide),
:func:`map_members` runs a function written for one member over that layout, ``vmap`` inside a
device and ``shard_map`` across, and :func:`gather` undoes it.

With replicas, the devices of a group hold the same members and share each batch. Groups are apart
by hand: ``shard_map`` gives each its members, so that members never meet in a collective and no
group waits for another. Replicas are left to the compiler: a function written for one member says
which arrays they share with :class:`Split`, and everything else, the mean of the gradients above
all, follows from that. So a member's randomness is drawn for the whole batch, whatever the layout.
What only one step in a while reads (the optimiser's state, the best parameters) can be spread over
the replicas instead of held by each: :func:`spread`.

References:
  Xu et al., GSPMD: General and Scalable Parallelization for ML Computation Graphs, 2021,
  https://arxiv.org/abs/2105.04663; Rajbhandari et al., ZeRO: Memory Optimizations Toward Training
  Trillion Parameter Models, 2020, https://arxiv.org/abs/1910.02054 (what is spread).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec

from ferjax.ensemble.layouts import MEMBER, NO_SPLIT, REPLICA, Layout, Split, lay_out, layouts

__all__ = [
    "COMPILER_OPTIONS",
    "NO_SPLIT",
    "Layout",
    "Split",
    "described",
    "gather",
    "lay_out",
    "layouts",
    "map_members",
    "one_device",
    "replicate",
    "scatter",
    "spread",
]

Tree = Any

COMPILER_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    # Collectives of replicas beside the computation they do not depend on.
    "gpu": {"xla_gpu_enable_latency_hiding_scheduler": True},
}
"""XLA's options for a platform's programs, beyond its defaults; nothing else sets any."""


def one_device() -> jax.sharding.Sharding:
    """Where a tree ``[M, ...]`` lies outside a layout: whole, on this process's first device."""
    return jax.sharding.SingleDeviceSharding(jax.local_devices()[0])


def _sharding(layout: Layout, *axes: str | None) -> jax.sharding.Sharding:
    if len(layout.devices) == 1:
        return jax.sharding.SingleDeviceSharding(layout.devices[0])
    return NamedSharding(layout.mesh, PartitionSpec(*axes))


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def spread(
    layout: Layout, like: Tree, over_replicas: Callable[[Any], bool], *, smallest: int = 2**16
) -> Tree:
    """Where the leaves of a stacked tree lie, some of them in parts over the replicas.

    Args:
      layout: where the members live.
      like: the tree ``[M, ...]``, or its shapes.
      over_replicas: of a leaf's path, whether each replica holds a part only. Leaves that replicas
        do not divide are held whole all the same.
      smallest: elements of a member's leaf below which it is not worth a collective of its own.

    Returns:
      A sharding for every leaf, for :func:`scatter` and :func:`map_members`.
    """

    def lie(path: Any, leaf: Any) -> jax.sharding.Sharding:
        worth = leaf.size >= smallest * leaf.shape[0]
        if layout.replicas > 1 and worth and over_replicas(path):
            divided = [a for a in range(1, leaf.ndim) if leaf.shape[a] % layout.replicas == 0]
            if divided:
                axis = max(divided, key=lambda a: leaf.shape[a])
                return _sharding(layout, MEMBER, *[None] * (axis - 1), REPLICA)
        return _sharding(layout, MEMBER)

    return jax.tree_util.tree_map_with_path(lie, like)


def _place(layout: Layout, leaf: Any, sharding: jax.sharding.Sharding) -> jax.Array:
    if layout.local:
        return jax.device_put(leaf, sharding)
    host = np.asarray(leaf)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


def scatter(layout: Layout, tree: Tree, shardings: Tree = None) -> Tree:
    """``[M, ...]`` to the layout's form on its devices; every process places its own part.

    Args:
      layout: where the members live.
      tree: stacked arrays.
      shardings: from :func:`spread`; by default every replica holds its members whole.
    """
    rows = np.minimum(np.arange(layout.per_device * layout.groups), layout.members - 1)
    if shardings is None:
        shardings = jax.tree.map(lambda _: _sharding(layout, MEMBER), tree)

    def place(leaf: Any, sharding: jax.sharding.Sharding) -> jax.Array:
        if _is_key(leaf):
            return jax.random.wrap_key_data(place(jax.random.key_data(leaf), sharding))
        return _place(layout, leaf if len(rows) == layout.members else leaf[rows], sharding)

    return jax.tree.map(place, tree, shardings)


def gather(layout: Layout, tree: Tree) -> Tree:
    """The layout's form back to ``[M, ...]``, padding dropped.

    On one device; with several processes, on the host of each.
    """

    def collect(leaf: Any) -> Any:
        if _is_key(leaf):
            return jax.random.wrap_key_data(collect(jax.random.key_data(leaf)))
        if layout.local:
            whole = jax.device_put(leaf, layout.devices[0])
        else:
            whole = multihost_utils.process_allgather(leaf, tiled=True)
        return whole[: layout.members] if layout.padding else whole

    return jax.tree.map(collect, tree)


def replicate(layout: Layout, tree: Tree) -> Tree:
    """A shared tree (data, a frozen trunk) onto every device, once."""
    return jax.tree.map(lambda leaf: _place(layout, leaf, _sharding(layout)), tree)


def described(layout: Layout, tree: Tree, *, shared: bool = False, shardings: Tree = None) -> Tree:
    """What :func:`scatter` (or :func:`replicate`, where ``shared``) would return, as shapes alone.

    For compiling without the devices: types of the arrays and where they would lie.
    """
    rows = layout.per_device * layout.groups
    if shardings is None:
        axes = () if shared else (MEMBER,)
        shardings = jax.tree.map(lambda _: _sharding(layout, *axes), tree)

    def describe(leaf: Any, sharding: jax.sharding.Sharding) -> jax.ShapeDtypeStruct:
        shape = leaf.shape if shared else (rows, *leaf.shape[1:])
        return jax.ShapeDtypeStruct(shape, leaf.dtype, sharding=sharding)

    return jax.tree.map(describe, tree, shardings)


def _map_single(function: Callable, in_axes: Sequence[int | None]) -> Callable:
    """``vmap`` over one member without a member axis, which of 1 would cost a sixth on a CPU."""

    def mapped(*args: Tree) -> Tree:
        one = [
            arg if axis is None else jax.tree.map(lambda leaf: leaf[0], arg)
            for arg, axis in zip(args, in_axes)
        ]
        return jax.tree.map(lambda leaf: leaf[None], function(*one))

    return mapped


def _map_at_once(function: Callable, in_axes: Sequence[int | None], members: int) -> Callable:
    if members == 1:
        return _map_single(function, in_axes)
    return jax.vmap(function, in_axes=tuple(in_axes))


def _read_before_written(
    layout: Layout, always: jax.Array, function: Callable, *args: Tree
) -> Tree:
    """``function(*args)``, whose results are whole before any of them overwrites an argument.

    Otherwise XLA fuses reading and writing, and must copy the whole state to keep them apart. On
    CPUs, barriers are gone before fusion; a branch is not, even one that is ``always`` taken.
    """
    if layout.platform != "cpu":
        return jax.lax.optimization_barrier(function(*jax.lax.optimization_barrier(args)))

    def untaken(*args: Tree) -> Tree:
        _, *others = jax.eval_shape(function, *args)
        return args[0], *jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), others)

    return jax.lax.cond(always, function, untaken, *args)


def _map_in_chunks(
    layout: Layout, function: Callable, in_axes: Sequence[int | None], carries: bool
) -> Callable:
    """Chunk after chunk of the members; memory in between is that of one chunk.

    What is carried (the first argument and result) is changed where it lies, chunk by chunk:
    ``lax.map`` would hold it twice.
    """
    chunk = layout.at_once
    members = layout.per_device
    at_once = _map_at_once(function, in_axes, chunk)

    def part(tree: Tree, first: jax.Array) -> Tree:
        return jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, first, chunk), tree)

    def mapped(*args: Tree) -> Tree:
        def of_chunk(carried: Tree, first: jax.Array) -> tuple[Tree, Tree]:
            seen = [
                arg if axis is None else part(carried if carries and k == 0 else arg, first)
                for k, (arg, axis) in enumerate(zip(args, in_axes))
            ]
            if not carries:
                return None, at_once(*seen)
            state, *others = _read_before_written(layout, first >= 0, at_once, *seen)
            carried = jax.tree.map(
                lambda x, new: jax.lax.dynamic_update_slice_in_dim(x, new, first, 0), carried, state
            )
            return carried, others

        firsts = jnp.arange(0, members, chunk)
        carried, results = jax.lax.scan(of_chunk, args[0] if carries else None, firsts)
        results = jax.tree.map(lambda x: x.reshape(members, *x.shape[2:]), results)
        return (carried, *results) if carries else results

    return mapped


def map_members(
    layout: Layout,
    function: Callable,
    in_axes: Sequence[int | None],
    *,
    carries: bool = False,
    shardings: Any = None,
) -> Callable:
    """Compiles a function of one member into a function of all of them.

    Args:
      layout: where the members live.
      function: written for one member and its arguments; with replicas, ``layout.split`` says
        inside it which arrays they share.
      in_axes: per argument 0 for what members own (pass it through :func:`scatter`), None for what
        they share (pass it through :func:`replicate`).
      carries: whether the function is a step: it takes a state first and returns ``(state, ...)``.
        The state's buffers are reused for the result.
      shardings: of the state that a step returns, or of the whole result, from :func:`spread`.

    Returns:
      The compiled function; results have the layout's form (:func:`gather` them).
    """
    if layout.at_once < layout.per_device:
        mapped = _map_in_chunks(layout, function, in_axes, carries)
    else:
        mapped = _map_at_once(function, in_axes, layout.per_device)
    out_shardings = None
    if len(layout.devices) > 1:
        # Members by hand, replicas by the compiler. check_vma=False: that results are the same on
        # all replicas cannot be inferred from what is left to the compiler.
        mapped = jax.shard_map(
            mapped,
            mesh=layout.mesh,
            axis_names={MEMBER},
            in_specs=tuple(
                PartitionSpec() if axis is None else PartitionSpec(MEMBER) for axis in in_axes
            ),
            out_specs=PartitionSpec(MEMBER),
            check_vma=False,
        )
        whole = _sharding(layout, MEMBER)
        out_shardings = whole if shardings is None else shardings
        if carries:
            out_shardings = (out_shardings, whole)
    return jax.jit(
        mapped,
        donate_argnums=(0,) if carries else (),
        out_shardings=out_shardings,
        compiler_options=dict(COMPILER_OPTIONS.get(layout.platform, {})) or None,
    )
