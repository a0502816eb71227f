"""The paper's K = 5 DINOv2 B/14 at 224 pixels, in bfloat16, on one device, two, and so on to all.

    python -m benchmarks devices [--quick] [--out FOLDER]

One training step of all members in the layout that ``ferjax train`` would choose. "Share of peak"
is the FLOP/s of the model's matrix products (forward 1, backward 2, nothing for recomputation) over
the devices' bfloat16 peak, by ``ferjax.ensemble.accelerators`` (makers' data sheets); "of matmul"
over the best product measured on one device in the same run, times the devices. "Scaling" is the
rate over that of one device, times the devices. On one GPU a PyTorch loop over the members,
compiled by torch.compile, in bfloat16 autocast, takes turns with ferjax where PyTorch is installed.

On CPUs there is nothing to measure: the benchmark says so, and with --quick takes one step of a
tiny model on all the CPU devices there are (XLA_FLAGS=--xla_force_host_platform_device_count=8
makes eight) to see that the way is open. What GPUs and TPUs gave is in
benchmarks/measured/devices.md.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from benchmarks import results
from benchmarks.timing import interleave, matmul_peak
from ferjax.config import Config, ModelConfig, TrainConfig, dinov2
from ferjax.ensemble import parallel, placement
from ferjax.ensemble.accelerators import UNKNOWN, kind_of
from ferjax.ensemble.methods import Target
from ferjax.ensemble.programs import compile_programs
from ferjax.faces.dataset import DataSpec

FACES = 512
CLASSES = 8
SIDE = 48
SPEC = DataSpec(tuple(f"class {k}" for k in range(CLASSES)), SIDE)
OURS = "ferjax"


def step_on(config: Config, devices: list[jax.Device]) -> tuple[dict[str, Callable], Any]:
    """One training step of all members on some devices.

    Returns:
      Calls that take it, ferjax's and on one GPU PyTorch's too, and where the members lie.
    """
    placed = placement.choose(
        config, SPEC, train_faces=FACES, valid_faces=CLASSES, devices=devices
    ).best
    layout = placed.layout
    programs = compile_programs(config, CLASSES, layout, FACES)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (FACES, SIDE, SIDE)).astype(np.uint8)
    q = np.full((FACES, CLASSES), 1 / CLASSES, np.float32)
    target = Target(q, np.ones((FACES, CLASSES), np.int32))
    stored, target = parallel.replicate(layout, (images, target))
    seeds = parallel.scatter(layout, np.array(config.train.seeds, np.uint32))
    carried = [programs.init(seeds, parallel.replicate(layout, None), target)]
    order = programs.order(carried[0].key, parallel.replicate(layout, np.int32(0)))
    calls = {}
    if len(devices) == 1 and jax.default_backend() == "gpu":
        rows = parallel.gather(layout, order)[:, 0]
        params = jax.device_get(parallel.gather(layout, carried[0].params))
        calls = _torch(config, params, images, q, rows)

    def call() -> jax.Array:
        carried[0], report = programs.step(carried[0], order, stored, target)
        return report.loss

    return {OURS: call, **calls}, placed


def _torch(config: Config, params: Any, images: Any, q: Any, rows: Any) -> dict[str, Callable]:
    try:
        from benchmarks import peers
    except ImportError:
        return {}
    if not peers.torch.cuda.is_available():
        return {}
    args = (config.model, config.train, params, images, q, np.asarray(rows))
    return peers.training_steps(*args, compiled=True)


def counts(available: int) -> list[int]:
    """1, 2, 4 and so on, and all."""
    return sorted({2**k for k in range(available.bit_length()) if 2**k <= available} | {available})


def plan(quick: bool) -> list[tuple[str, ModelConfig, int, int]]:
    """Name, model, members and faces per step of each case."""
    if quick:
        tiny = ModelConfig(patch_size=24, dim=16, depth=1, heads=2, dtype="bfloat16")
        return [("minute ViT", tiny, 5, 8)]
    return [
        (
            f"B/14, 224 px, bf16{', remat' if remat else ''}",
            dinov2("b14", dtype="bfloat16", remat=remat),
            5,
            batch,
        )
        for batch, remat in ((32, False), (64, False), (256, True))
    ]


def run(found: results.Results) -> None:
    """The paper's ensemble where there is a GPU or TPU; else a rehearsal, or a word."""
    on_cpu = jax.default_backend() == "cpu"
    if on_cpu and not found.quick:
        found.say("\nunmeasured: no GPU or TPU here; run the same command where there is one")
        return
    if found.quick:
        found.say("\na rehearsal with a tiny model: its figures mean nothing")
    devices = jax.devices()
    kind = kind_of(devices[0])
    best = matmul_peak(256 if found.quick else 8192, "bfloat16")
    sheet = "" if kind is UNKNOWN else f"; {kind.peak / 1e12:.0f} by {kind.source}"
    found.say(f"\nbfloat16 matmul on one device: {best / 1e12:.3g} TFLOP/s at best{sheet}")
    found.table(
        "one training step of every member",
        "model",
        "devices",
        "layout",
        "faces per member",
        "ms",
        "faces/s",
        "members × faces/s",
        "share of peak",
        "of matmul",
        "scaling",
        "× PyTorch",
        "first call, s",
        "±",
    )
    for name, model, count, batch in plan(found.quick):
        config = Config(
            model=model,
            train=TrainConfig(seeds=tuple(range(count)), batch_size=batch, warmup_epochs=0),
        )
        alone = None
        for used in [len(devices)] if found.quick else counts(len(devices)):
            rate = _measure(found, name, config, devices[:used], best, alone)
            alone = rate if used == 1 else alone


def _measure(
    found: results.Results,
    name: str,
    config: Config,
    devices: list[jax.Device],
    best: float,
    alone: float | None,
) -> float | None:
    """One row; returns members × faces per second."""
    count = len(config.train.seeds)
    batch = config.train.batch_size
    try:
        calls, placed = step_on(config, devices)
        timings = interleave(calls, 2 if found.quick else 9, clock=found.clock)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        found.row(name, len(devices), "out of memory", batch, *[None] * 9)
        return None
    timing = timings.pop(OURS)
    rate = count * batch / timing.median
    flops = rate * 3 * placed.budget.forward_flops
    kind = kind_of(devices[0])
    found.row(
        name,
        len(devices),
        str(placed.layout),
        batch,
        1e3 * timing.median,
        batch / timing.median,
        rate,
        None if kind is UNKNOWN else f"{flops / (kind.peak * len(devices)):.0%}",
        f"{flops / (best * len(devices)):.0%}",
        None if alone is None else rate / alone / len(devices),
        next((other.median / timing.median for other in timings.values()), None),
        timing.first,
        f"{timing.spread:.0%}",
    )
    return rate


if __name__ == "__main__":
    results.main(run, __doc__)
