"""The same members in every layout: M on D devices, in P processes, against M runs of one each.

    python -m benchmarks.layouts [--folder DIR] [--members 1 3 5 8] [--devices 1 2 4 8] [--processes
    1 2 4]

Trains tiny ViTs on fake CPU devices with the ``ferjax`` command and prints Markdown tables of the
largest absolute difference in final parameters; 0 is to the last bit. Processes are real ones that
talk over loopback and share four devices.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from ferjax.config import Config, DataConfig, EvaluateConfig, ModelConfig, TrainConfig
from ferjax.ensemble import checkpoint

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
    given = parser.parse_args(argv)
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
