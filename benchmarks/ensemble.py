"""Throughput of an ensemble in members × faces per second, against the number of members M.

    python -m benchmarks.ensemble [--quick] [--out FOLDER]

Ways to train or ask M members, timed in turn:
  ferjax                  one program over stacked parameters, in chunks as `ferjax train` chooses
  vmap                    the same, all members at once
  loop of jitted members  the same function, compiled for one member and called M times
  lax.map                 one program that takes the members one after another
  PyTorch loop            the same network in PyTorch, eager, called M times
  torch.func vmap         stack_module_state and vmap, PyTorch's own way to stack members
  torch-uncertainty       its deep ensemble (inference), where it is installed and loads

A training step draws a batch for each member, mirrors, resizes and normalises it, goes forward and
backward and updates with AdamW; inference gives log-probabilities of the same faces from every
member. A large float32 (or bfloat16) matrix product takes its turn among them: "share of matmul" is
the FLOP/s of ferjax (matrix products alone are counted) over those of that product. "at once" is
ferjax's chunk, "× best of JAX" its speed over that of the fastest of vmap, loop and lax.map.
"compile" is tracing and compiling it; "memory" is what XLA reserves for it: arguments, results and
everything in between. "±" is the widest half-range of any candidate's runs.
"""

import gc
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from benchmarks import results
from benchmarks.timing import free_memory, interleave, matmul_peak
from ferjax.config import Config, ModelConfig, TrainConfig, dinov2
from ferjax.ensemble import cost, inputs, members, parallel, placement
from ferjax.ensemble.methods import Target, method_of
from ferjax.ensemble.optimizer import adamw
from ferjax.faces.dataset import DataSpec
from ferjax.models import vit

FACES = 256
CLASSES = 8
SIDE = 48
SPEC = DataSpec(tuple(f"class {k}" for k in range(CLASSES)), SIDE)
METHOD = method_of(Config())
OURS = "ferjax"
STACKED = "vmap"
LOOP = "loop of jitted members"
MAP = "lax.map"
TORCH = "PyTorch loop"
WAYS = (OURS, STACKED, LOOP, MAP, TORCH, "torch.func vmap", "torch-uncertainty")
MATMUL = "matmul"


class Case(NamedTuple):
    """A model, faces per training step and per inference call, and numbers of members to try."""

    name: str
    model: ModelConfig
    batch: int
    asked: int
    members: tuple[int, ...]


class Programs(NamedTuple):
    """Calls by name, what compiling ferjax's took and reserves, and one call's FLOPs."""

    calls: dict[str, Callable[[], Any]]
    at_once: int
    compile_seconds: float
    peak_bytes: int
    flops: float


def cases(quick: bool) -> list[Case]:
    """What to measure on this kind of device."""
    many = (1, 2, 5, 10, 20, 50)
    if quick:
        cached = ModelConfig(patch_size=16, dim=16, depth=2, heads=2, trainable_blocks=1)
        return [
            Case("minute ViT", ModelConfig(patch_size=16, dim=16, depth=1, heads=2), 8, 8, (2,)),
            Case("minute ViT, cached trunk", cached, 8, 8, (2,)),
        ]
    if jax.default_backend() == "cpu":
        return [
            Case("tiny ViT", ModelConfig(), 32, 128, many),
            Case(
                "S/14 cached trunk, 56 px",
                dinov2("s14", 56, trainable_blocks=4, head="cls+mean"),
                16,
                16,
                many,
            ),
            Case("S/14, 56 px", dinov2("s14", 56, head="cls+mean"), 16, 16, many),
        ]
    return [
        Case("tiny ViT", ModelConfig(), 256, 1024, many),
        Case(
            "S/14 cached trunk, 224 px, bf16",
            dinov2("s14", trainable_blocks=4, head="cls+mean", dtype="bfloat16"),
            64,
            256,
            many,
        ),
        Case("S/14, 224 px, bf16", dinov2("s14", dtype="bfloat16"), 64, 256, many),
        Case("B/14, 224 px, bf16", dinov2("b14", dtype="bfloat16"), 32, 128, many),
    ]


def compiled(function: Any, *args: Any) -> tuple[Callable, float, int]:
    """Compiles a jitted function ahead of time.

    Returns:
      the program, the seconds it took to trace and compile, and the bytes it needs at its peak.
    """
    began = time.perf_counter()
    program = function.lower(*args).compile()
    seconds = time.perf_counter() - began
    m = program.memory_analysis()
    peak = (
        m.argument_size_in_bytes
        + m.output_size_in_bytes
        + m.temp_size_in_bytes
        - m.alias_size_in_bytes
    )
    return program, seconds, peak


def drawn_target() -> Target:
    """Vote distributions of the stored faces; nobody counted the votes."""
    q = jax.nn.softmax(jax.random.normal(jax.random.key(1), (FACES, CLASSES)))
    return Target(q, jnp.zeros((FACES, CLASSES), jnp.int32))


def stored_faces(model: ModelConfig) -> jax.Array:
    """What batches are drawn from: gray faces, or cached tokens of each and its mirror image."""
    key = jax.random.key(0)
    if model.trainable_blocks is None:
        return jax.random.randint(key, (FACES, SIDE, SIDE), 0, 256).astype(jnp.uint8)
    return jax.random.normal(key, (FACES, 2, *vit.tokens_shape(model)), model.dtype)


def settings(case: Case, count: int) -> Config:
    """The configuration of a run of that many members."""
    return Config(
        model=case.model,
        train=TrainConfig(seeds=tuple(range(count)), batch_size=case.batch, warmup_epochs=0),
    )


def _flops_per_face(config: Config) -> tuple[float, float]:
    layout = parallel.lay_out(1, jax.devices()[:1])
    estimate = cost.estimate(config, SPEC, layout, train_faces=FACES, valid_faces=1)
    # A member's own part; with a cached trunk the blocks below it are not run.
    return estimate.train_flops / (4 if config.model.remat else 3), estimate.train_flops


def training(case: Case, count: int) -> Programs:
    """One training step of every member, in each way."""
    config = settings(case, count)
    model = vit.members_model(case.model, CLASSES)
    optimizer = adamw(config.train, 10**6)
    step = members.train_step(model, optimizer, METHOD, inputs.drawing(case.model))
    stored = stored_faces(case.model)
    target = drawn_target()
    order = jax.random.randint(jax.random.key(2), (count, 1, case.batch), 0, FACES)
    seeds = jnp.arange(count, dtype=jnp.uint32)
    state = jax.jit(jax.vmap(lambda seed: members.init(model, optimizer, seed)))(seeds)
    # `best_params` begins as `params`: two arrays, so that both can be handed over.
    state = state._replace(best_params=jax.tree.map(jnp.copy, state.params))
    params = jax.device_get(state.params)
    singles = [jax.tree.map(lambda leaf, k=k: leaf[k], state) for k in range(count)]

    one_device = jax.devices()[:1]
    layout = placement.choose(
        config, SPEC, train_faces=FACES, valid_faces=1, devices=one_device
    ).best.layout
    own = parallel.scatter(layout, (state, order))
    args = (*jax.tree.map(jnp.copy, own), stored, target)
    mapped = parallel.map_members(layout, step, (0, 0, None, None), carries=True)
    ours, seconds, peak = compiled(mapped, *args)
    whole = parallel.lay_out(count, one_device)
    stacked = parallel.map_members(whole, step, (0, 0, None, None), carries=True)
    in_turn = jax.jit(
        lambda s, o, d, t: jax.lax.map(lambda x: step(*x, d, t), (s, o)), donate_argnums=0
    )
    one = jax.jit(step, donate_argnums=0)
    carried = {"state": state, "padded": args[0]}

    def all_at_once(
        program: Callable, name: str = "state", order: jax.Array = order
    ) -> Callable[[], Any]:
        def call() -> Any:
            carried[name], report = program(carried[name], order, stored, target)
            return carried[name].step, report

        return call

    def one_by_one() -> Any:
        reports = []
        for k in range(count):
            singles[k], report = one(singles[k], order[k], stored, target)
            reports.append((singles[k].step, report))
        return reports

    calls = {
        OURS: all_at_once(ours, "padded", args[1]),
        STACKED: all_at_once(stacked),
        LOOP: one_by_one,
        MAP: all_at_once(in_turn),
    }
    torch = _peers()
    if torch:
        calls |= torch.training_steps(
            case.model, config.train, params, stored, target.q, order[:, 0]
        )
    flops = count * case.batch * _flops_per_face(config)[1]
    return Programs(calls, layout.at_once, seconds, peak, flops)


def log_probs_of(config: ModelConfig) -> Callable[[Any, jax.Array], jax.Array]:
    """One member's answer to stored faces, or to cached tokens."""
    model = vit.members_model(config, CLASSES)
    prepare = inputs.prepared(config)

    def ask(params: Any, stored: jax.Array) -> jax.Array:
        return METHOD.read(model.apply(params, prepare(stored))).log_probs

    return ask


def inference(case: Case, count: int) -> Programs:
    """Log-probabilities of the same faces from every member, in each way."""
    model = vit.members_model(case.model, CLASSES)
    stored = stored_faces(case.model)[: case.asked]
    asked = stored if case.model.trainable_blocks is None else stored[:, 0]
    params = jax.jit(jax.vmap(model.init))(jax.random.split(jax.random.key(0), count))
    ask = log_probs_of(case.model)
    layout = parallel.lay_out(count, jax.devices()[:1])
    stacked, seconds, peak = compiled(parallel.map_members(layout, ask, (0, None)), params, asked)
    in_turn = jax.jit(lambda p, x: jax.lax.map(lambda p: ask(p, x), p))
    one = jax.jit(ask)
    singles = [jax.tree.map(lambda leaf, k=k: leaf[k], params) for k in range(count)]
    calls: dict[str, Callable[[], Any]] = {
        OURS: lambda: stacked(params, asked),
        LOOP: lambda: [one(single, asked) for single in singles],
        MAP: lambda: in_turn(params, asked),
    }
    torch = _peers()
    if torch:
        calls |= torch.predictions(case.model, params, asked)[0]
    flops = count * len(asked) * _flops_per_face(settings(case, count))[0]
    return Programs(calls, count, seconds, peak, flops)


def _peers() -> Any:
    try:
        from benchmarks import peers
    except ImportError:
        return None
    return peers


def missing() -> list[str]:
    """Which peers stay away, and why."""
    torch = _peers()
    if torch is None:
        return ["PyTorch is not installed (pip install '.[peers]'): compared with JAX alone"]
    tiny = ModelConfig(patch_size=24, dim=4, depth=1, heads=1)
    params = jax.vmap(vit.members_model(tiny, CLASSES).init)(jax.random.split(jax.random.key(0), 1))
    left_out = torch.predictions(tiny, params, jnp.zeros((1, SIDE, SIDE), jnp.uint8))[1]
    return [f"{name} is left out: {reason}" for name, reason in left_out.items()]


def needed_bytes(case: Case, count: int) -> float:
    """About what all candidates hold at once: state stacked and one by one, twice (PyTorch)."""
    layout = parallel.lay_out(count, jax.devices()[:1])
    estimate = cost.estimate(settings(case, count), SPEC, layout, train_faces=FACES, valid_faces=1)
    return 4 * estimate.state_bytes + 2 * estimate.activation_bytes


def run(found: results.Results) -> None:
    """Every case, training and inference, against the number of members."""
    for line in missing():
        found.say(f"\n{line}")
    side = 256 if found.quick else 2048 if jax.default_backend() == "cpu" else 8192
    for dtype in sorted({case.model.dtype for case in cases(found.quick)}, reverse=True):
        found.say(
            f"\n{dtype} matmul, {side} × {side}: {matmul_peak(side, dtype) / 1e9:,.0f} GFLOP/s at "
            "best"
        )
    for title, build in (("training", training), ("inference", inference)):
        found.table(
            f"{title}: members × faces per second",
            "model",
            "M",
            "at once",
            *WAYS,
            "× best of JAX",
            "× PyTorch",
            "share of matmul",
            "ms",
            "±",
            "compile, s",
            "memory, MiB",
        )
        for case in cases(found.quick):
            measure(found, title, build, case, side)


def measure(
    found: results.Results,
    title: str,
    build: Callable[[Case, int], Programs],
    case: Case,
    side: int,
) -> None:
    """The rows of one case."""
    a = jnp.ones((side, side), case.model.dtype)
    product = jax.jit(jnp.matmul)
    for count in case.members:
        if needed_bytes(case, count) > 0.9 * free_memory():
            found.say(
                f"| {case.name} | {count} | left out: needs about "
                f"{needed_bytes(case, count) / 2**30:.0f} GiB, "
                f"{free_memory() / 2**30:.0f} are free" + " | " * 15
            )
            continue
        programs = build(case, count)
        timings = interleave(
            programs.calls | {MATMUL: lambda: product(a, a)},
            2 if found.quick else 7,
            limit=15,
            clock=found.clock,
        )
        peak = 2 * side**3 / timings.pop(MATMUL).median
        found.timed(f"{title}: {case.name}", count, timings, "members")
        work = count * (case.batch if title == "training" else min(case.asked, FACES))
        ours = timings[OURS].median
        rates = [work / timings[name].median if name in timings else None for name in WAYS]
        others = [timings[name].median for name in (STACKED, LOOP, MAP) if name in timings]
        found.row(
            case.name,
            count,
            programs.at_once,
            *rates,
            min(others) / ours,
            timings[TORCH].median / ours if TORCH in timings else None,
            f"{programs.flops / ours / peak:.0%}",
            1e3 * ours,
            f"{max(t.spread for t in timings.values()):.0%}",
            programs.compile_seconds,
            programs.peak_bytes / 2**20,
        )
        del programs
        gc.collect()


if __name__ == "__main__":
    results.main(run, __doc__)
