"""A run's programs, compiled for devices that need not be there: what the compiler says of them."""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferjax.config import Config
from ferjax.ensemble import parallel, prediction, targets
from ferjax.ensemble.collectives import between_members, collectives
from ferjax.ensemble.methods import Target
from ferjax.ensemble.programs import compile_programs
from ferjax.ensemble.trained import Trained
from ferjax.events import Message, OnEvent, silent
from ferjax.faces.dataset import DataSpec
from ferjax.models import vit

__all__ = ["CompiledProgram", "compile_run"]


class CompiledProgram(NamedTuple):
    """What a compiler says of one program, bytes and FLOPs per device."""

    name: str
    arguments: int
    outputs: int
    aliased: int
    """Of the outputs, what lies in arguments that are given up."""
    temporaries: int
    flops: float | None
    """None where the compiler does not say (CUDA)."""
    collectives: Mapping[str, int]
    """How many of each kind join the replicas of a member."""
    between_members: int
    """How many join devices with different members."""
    steady: bool
    """Whether what a step returns is of the types and places of what it takes: the next step then
    runs the same program."""
    seconds: float
    """Of tracing and compiling."""
    refusal: str = ""
    """Why the compiler gave up: the devices' memory, in its words. Sizes are then what it said."""

    @property
    def device_bytes(self) -> int:
        """Memory at its peak."""
        return self.arguments + self.outputs - self.aliased + self.temporaries


def _data(config: Config, spec: DataSpec, faces: Mapping[str, int], replicas: int) -> tuple:
    """Shapes of what lies on the devices: ``(stored, target, valid batches, labels)``."""
    m = config.model
    train = faces["train"]
    stored_faces = train * config.train.views
    valid = faces["valid"]
    classes = len(spec.classes)
    if config.model.trainable_blocks is None:
        of_one = spec.shape
        stored = jax.ShapeDtypeStruct((stored_faces, *of_one), jnp.uint8)
    else:
        of_one = vit.tokens_shape(m)
        stored = jax.ShapeDtypeStruct((stored_faces, 2, *of_one), m.dtype)
    size = -(-config.evaluate.batch_size // replicas) * replicas
    batches = jax.ShapeDtypeStruct((-(-valid // size), size, *of_one), stored.dtype)
    q = jax.ShapeDtypeStruct((train, classes), jnp.float32)
    votes = jax.ShapeDtypeStruct((train, classes), jnp.int32)
    weight = jax.ShapeDtypeStruct((train,), jnp.float32)
    target = Target._make((q, votes, weight, ()))
    return stored, target, batches, jax.ShapeDtypeStruct((valid,), jnp.int32)


def _jobs(
    config: Config,
    spec: DataSpec,
    devices: Sequence[jax.Device],
    layout: parallel.Layout,
    faces: Mapping[str, int],
    start: Any,
) -> Iterator[tuple[str, Callable, tuple, parallel.Layout]]:
    """Name, function, arguments and layout of each program."""
    c = config.train
    programs = compile_programs(config, len(spec.classes), layout, faces["train"], start)
    state = parallel.described(layout, programs.like, shardings=programs.shardings)
    data = _data(config, spec, faces, layout.replicas)
    stored, target, batches, labels = parallel.described(layout, data, shared=True)
    steps = faces["train"] // c.batch_size
    rows = jax.ShapeDtypeStruct((len(c.seeds), steps, c.batch_size), jnp.int32)
    order = parallel.described(layout, rows)
    yield "training step", programs.step, (state, order, stored, target), layout
    yield "validation", programs.validate, (state, batches, labels), layout
    trunk = vit.trunk_model(config.model)
    trained = Trained(
        config=config,
        spec=spec,
        params=programs.like.params,
        trunk=None if trunk is None else jax.eval_shape(trunk.init, jax.random.key(0)),
        best_accuracy=np.zeros(len(c.seeds)),
    )
    # Predictions are made in a layout of their own: no batch is shared.
    alone = parallel.lay_out(len(c.seeds), devices)
    size = config.evaluate.batch_size
    batch = (
        jax.ShapeDtypeStruct((size, spec.side, spec.side), jnp.uint8),
        jax.ShapeDtypeStruct((size,), jnp.uint32),
        jax.ShapeDtypeStruct((), jnp.int32),
    )
    shared = parallel.described(alone, ((trained.trunk, None), *batch), shared=True)
    asked = parallel.described(alone, prediction.members_of(trained))
    program = prediction.scores_program(trained, None, alone)
    yield "prediction", program, (asked, *shared), alone


_USED = re.compile(r"Used ([\d.]+)([KMG]) of ([\d.]+)([KMG]) (?:hbm|memory)", re.IGNORECASE)
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


def _compiled(lowered: Any, platform: str) -> Any:
    options = targets.COMPILER_OPTIONS.get(platform, {})
    try:
        return lowered.compile(compiler_options=options)
    except jax.errors.JaxRuntimeError as error:
        if platform != "gpu" or "output tile sizes" not in str(error):
            raise
    # Untuned, XLA finds no tiling of some products for Triton; cuBLAS takes them all.
    return lowered.compile(compiler_options={**options, "xla_gpu_enable_triton_gemm": False})


def _compile(name: str, function: Any, args: tuple, layout: parallel.Layout) -> CompiledProgram:
    began = time.perf_counter()
    lowered = function.lower(*args)
    try:
        compiled = _compiled(lowered, layout.platform)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        used = _USED.search(str(error))
        needed = int(float(used[1]) * _UNITS[used[2].upper()]) if used else 0
        seconds = time.perf_counter() - began
        first = str(error).splitlines()[0]
        return CompiledProgram(name, 0, 0, 0, needed, None, {}, 0, True, seconds, first)
    seconds = time.perf_counter() - began
    memory = compiled.memory_analysis()
    analysis = compiled.cost_analysis() or {}
    found = list(collectives(compiled.as_text()))
    devices = len(layout.devices)
    between = [c for c in found if between_members(c, layout.replicas, devices)]
    within = Counter(c.kind for c in found if c not in between)
    return CompiledProgram(
        name=name,
        arguments=memory.argument_size_in_bytes,
        outputs=memory.output_size_in_bytes,
        aliased=memory.alias_size_in_bytes,
        temporaries=memory.temp_size_in_bytes,
        flops=analysis.get("flops"),
        collectives=dict(within),
        between_members=len(between),
        steady=name != "training step" or _steady(lowered, compiled),
        seconds=seconds,
    )


def _steady(lowered: Any, compiled: Any) -> bool:
    """Whether a step's state comes back in the types and places it was taken in."""
    (before, *_), _ = lowered.args_info
    after = lowered.out_info[0]
    places = compiled.input_shardings[0][0], compiled.output_shardings[0]

    def types(tree: Any) -> list:
        return [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)]

    same_places = jax.tree.map(
        lambda leaf, one, other: one.is_equivalent_to(other, len(leaf.shape)), after, *places
    )
    return types(before) == types(after) and all(jax.tree.leaves(same_places))


def compile_run(
    config: Config,
    spec: DataSpec,
    devices: Sequence[jax.Device],
    layout: parallel.Layout,
    faces: Mapping[str, int],
    start: Any = None,
    on_event: OnEvent = silent,
) -> Iterator[CompiledProgram]:
    """Compiles a run's training step, its validation and its prediction.

    Args:
      config: the run.
      spec: of its data.
      devices: all there are; they need not be here.
      layout: where the members live in training.
      faces: in the splits ``train`` and ``valid``.
      start: parameters that members start from, as for
        :func:`ferjax.ensemble.programs.compile_programs`.
      on_event: told what is being compiled.

    Yields:
      Each program as soon as it is compiled, or refused for want of memory.
    """
    for job in _jobs(config, spec, devices, layout, faces, start):
        on_event(Message(f"compiling the {job[0]}"))
        yield _compile(*job)
