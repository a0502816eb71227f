"""The same members in every layout: M on D devices, in P processes, against M runs of one each.

    python -m benchmarks.layouts [--folder DIR] [--members 1 3 5 8] [--devices 1 2 4 8] [--processes
    1 2 4]
    python -m benchmarks.layouts --chosen [--members 1 3 5 8 20] [--devices 1 2 4 8]

With --chosen it trains no run: a table of the layout chosen for the paper's B/14 on M × D devices
like a TPU v5e, beside the one that version 0.2.0 chose, both in the time of the cost model; and,
where the two differ, the processor time of a training step of a small network in both, all D fake
CPU devices together ("work", which padding adds to) and the fullest of them ("wait", which the
others idle for: one device, its members and its part of the batch).

Otherwise it trains tiny ViTs on fake CPU devices with the ``ferjax`` command and prints Markdown
tables of the largest absolute difference in final parameters; 0 is to the last bit. Processes are
real ones that talk over loopback and share four devices.
"""

import argparse
import dataclasses
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from benchmarks.timing import interleave
from ferjax.config import Config, DataConfig, EvaluateConfig, ModelConfig, TrainConfig, dinov2
from ferjax.ensemble import checkpoint, cost, parallel, placement
from ferjax.ensemble.methods import Target
from ferjax.ensemble.programs import compile_programs
from ferjax.faces import ferplus

CONFIG = Config(
    data=DataConfig(synthetic_faces=400),
    model=ModelConfig(patch_size=16, dim=16, depth=1, heads=2),
    train=TrainConfig(seeds=(1,), epochs=2),
    evaluate=EvaluateConfig(batch_size=64),
)
DEVICES_OF_PROCESSES = 4


def start(folder: Path, seeds: Sequence[int], devices: int, *more: str) -> subprocess.Popen:
    """Starts one training process."""
    config = folder.with_suffix(".json")
    config.write_text(CONFIG.to_json())
    words = ["train", str(config), "--out", str(folder), "--train.seeds", *map(str, seeds), *more]
    env = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }
    return subprocess.Popen(
        [sys.executable, "-c", "from ferjax.cli import main; main()", *words],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(*processes: subprocess.Popen) -> None:
    """Waits for processes that belong together."""
    said = [process.communicate()[1] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit("\n".join(said))


def together(folder: Path, seeds: Sequence[int], processes: int) -> None:
    """Trains in several processes on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    finish(
        *(
            start(
                folder,
                seeds,
                DEVICES_OF_PROCESSES // processes,
                "--coordinator",
                f"127.0.0.1:{port}",
                "--processes",
                str(processes),
                "--process",
                str(k),
            )
            for k in range(processes)
        )
    )


def parameters(folder: Path, members: int) -> dict:
    """Final parameters ``[M, ...]``."""
    return checkpoint.read(folder / "checkpoints", members, parts=("params",))[1]["params"]


def difference(one: dict, other: dict) -> float:
    """The largest absolute one."""
    return max(
        float(np.abs(a - b).max())
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    )


class _Like(NamedTuple):
    """A device by what the cost model asks of it."""

    device_kind: str = "TPU v5 lite"
    platform: str = "tpu"
    process_index: int = 0


def chosen(members: Sequence[int], devices: Sequence[int]) -> None:
    """Prints the table of layouts, chosen now and before."""
    print(
        "| M | D | chosen: replicas × members each | before | time by the model, new / old "
        "| work, new / old | wait, new / old |\n|---|---|---|---|---|---|---|"
    )
    for m in members:
        config = Config(
            model=dinov2("b14", dtype="bfloat16", remat=True),
            train=TrainConfig(seeds=tuple(range(m)), batch_size=256),
        )
        for d in devices:
            every = parallel.layouts(m, [_Like() for _ in range(d)], batch=256)
            most = max(1, d // m)
            old = next(x for x in reversed(every) if x.replicas <= most)
            new = placement.choose(
                config,
                ferplus.SPEC,
                train_faces=28_709,
                valid_faces=3_589,
                devices=[_Like() for _ in range(d)],
            ).best

            def seconds(layout: parallel.Layout, config: Config = config) -> float:
                budget = cost.estimate(
                    config, ferplus.SPEC, layout, train_faces=28_709, valid_faces=3_589
                )
                return placement.step_seconds(config, budget, layout)

            cells = [shape(new.layout), shape(old), f"{new.seconds / seconds(old):.2f}"]
            if new.layout.replicas == old.replicas:
                cells += ["same", "same"]
            else:
                here = [on_this_machine(x) for x in (new.layout, old)]
                work = [step_work(x) for x in here]
                wait = [step_wait(x) for x in here]
                cells += [f"{work[0] / work[1]:.2f}", f"{wait[0] / wait[1]:.2f}"]
            print(f"| {m} | {d} | {' | '.join(cells)} |", flush=True)


def on_this_machine(layout: parallel.Layout) -> parallel.Layout:
    """The same layout over as many devices as it uses of those that are here."""
    devices = tuple(jax.devices()[: len(layout.devices)])
    return dataclasses.replace(layout, devices=devices, chunk=None)


def shape(layout: parallel.Layout) -> str:
    """A layout in a cell."""
    text = f"{layout.replicas} × {layout.per_device}"
    if layout.at_once < layout.per_device:
        text += f", {layout.at_once} at once"
    if layout.padding:
        text += f", {layout.padding} padding"
    return text + (f", {layout.idle} idle" if layout.idle else "")


SMALL = ModelConfig(image_size=48, patch_size=8, dim=64, depth=1, heads=2)
SMALL_BATCH = 64


def step_work(layout: parallel.Layout, batch: int = SMALL_BATCH) -> float:
    """Processor seconds of a training step of a small network on all devices of a layout."""
    faces = 2 * SMALL_BATCH
    config = Config(
        model=SMALL,
        train=TrainConfig(seeds=tuple(range(layout.members)), batch_size=batch, warmup_epochs=0),
    )
    programs = compile_programs(config, 8, layout, faces)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (faces, 48, 48)).astype(np.uint8)
    q = np.full((faces, 8), 1 / 8, np.float32)
    target = Target(q, np.ones((faces, 8), np.int32))
    stored, target = parallel.replicate(layout, (images, target))
    seeds = parallel.scatter(layout, np.array(config.train.seeds, np.uint32))
    held = [programs.init(seeds, parallel.replicate(layout, None), target)]
    order = programs.order(held[0].key, parallel.replicate(layout, np.int32(0)))

    def call() -> jax.Array:
        held[0], report = programs.step(held[0], order, stored, target)
        return report.loss

    return interleave({"step": call}, 5, clock=time.process_time)["step"].median


def step_wait(layout: parallel.Layout) -> float:
    """Processor seconds of what the fullest device does in a step: its members, its faces."""
    alone = parallel.lay_out(layout.per_device, jax.devices()[:1])
    return step_work(alone, SMALL_BATCH // layout.replicas)


def heading(corner: str, columns: Sequence[int]) -> None:
    """Prints the first two lines of a Markdown table."""
    print(f"\n| {corner} | {' | '.join(map(str, columns))} |\n|---|{'---|' * len(columns)}")


def main(argv: Sequence[str] = ()) -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=None)
    for name, values in (
        ("members", [1, 3, 5, 8]),
        ("devices", [1, 2, 4, 8]),
        ("processes", [1, 2, 4]),
    ):
        parser.add_argument(f"--{name}", type=int, nargs="*", default=values)
    parser.add_argument("--chosen", action="store_true")
    given = parser.parse_args(argv)
    if given.chosen:
        jax.config.update("jax_num_cpu_devices", max(given.devices))
        members = [1, 3, 5, 8, 20] if given.members == [1, 3, 5, 8] else given.members
        chosen(members, given.devices)
        return
    base = given.folder or Path(tempfile.mkdtemp())
    seeds = list(range(1, max(*given.members, 4) + 1))
    alone = []
    for seed in seeds:
        finish(start(base / f"alone{seed}", [seed], 1))
        alone.append(parameters(base / f"alone{seed}", 1))
    reference = jax.tree.map(lambda *leaves: np.concatenate(leaves), *alone)

    def against_single_runs(folder: Path, m: int) -> str:
        expected = jax.tree.map(lambda leaf: leaf[:m], reference)
        return f"{difference(parameters(folder, m), expected):.1e}"

    largest = max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(reference))
    print(f"largest parameter: {largest:.2f}")
    heading("M \\ D", given.devices)
    for m in given.members:
        cells = []
        for d in given.devices:
            finish(start(base / f"m{m}d{d}", seeds[:m], d))
            cells.append(against_single_runs(base / f"m{m}d{d}", m))
        print(f"| {m} | {' | '.join(cells)} |", flush=True)
    print(f"\n{DEVICES_OF_PROCESSES} devices")
    heading("M \\ P", given.processes)
    for m in sorted({4, *given.members}):
        cells = []
        for p in given.processes:
            together(base / f"m{m}p{p}", seeds[:m], p)
            cells.append(against_single_runs(base / f"m{m}p{p}", m))
        print(f"| {m} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
