"""SIGKILL at random moments of a training run, resumed each time, against an undisturbed one.

    python -m benchmarks.kills [--kills 25] [--folder DIR]

Prints where every kill hit (before the first step, between checkpoints, or while one was being
written) and whether the final state, every array of it, and the log but for its clock are identical
to the last bit. Exits with 1 if not.
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from ferjax.config import Config, DataConfig, EvaluateConfig, ModelConfig, TrainConfig
from ferjax.ensemble import checkpoint
from ferjax.ensemble.log import read_log

# Checkpoints follow one another without a pause, so that many kills fall into one.
CONFIG = Config(
    data=DataConfig(synthetic_faces=2000),
    model=ModelConfig(patch_size=16, dim=32, depth=1, heads=2),
    train=TrainConfig(seeds=(1, 2, 3), epochs=16, checkpoint_every=0.0, log_every=7),
    evaluate=EvaluateConfig(batch_size=64),
)


def _train(words: list[str]) -> None:
    from ferjax.cli import main

    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    main(["train", *words])


def _start(config: Path, folder: Path, *more: str) -> multiprocessing.Process:
    """Starts a process, forked by a server that has done the imports; compilations are cached."""
    process = multiprocessing.get_context("forkserver").Process(
        target=_train, args=([str(config), "--out", str(folder), *more],)
    )
    process.start()
    return process


def _status(process: multiprocessing.Process) -> int | None:
    process.join()
    return process.exitcode


def _newest(folder: Path) -> int:
    return max(checkpoint.steps(folder / "checkpoints"), default=0)


def resume_and_kill(
    config: Path, folder: Path, dice: random.Random, startup: float
) -> tuple[str, float] | None:
    """Resumes the run and kills it at a random moment.

    Returns:
      where the kill hit and how many seconds the start took; None if the run finished first.
    """
    before = _newest(folder)
    began = time.monotonic()
    run = _start(config, folder, *(["--resume"] if folder.exists() else []))
    if dice.random() < 0.2:
        run_for = dice.uniform(0, startup)  # while it imports, compiles, restores
    else:
        while run.is_alive() and _newest(folder) <= before:
            time.sleep(0.005)
        startup = time.monotonic() - began
        run_for = 0.0
        run_for = startup + dice.uniform(0, 0.8)
    while run.is_alive() and time.monotonic() - began < run_for:
        time.sleep(0.001)
    run.kill()
    if _status(run) == 0:
        return None
    if run.exitcode != -signal.SIGKILL:
        raise SystemExit(f"a run ended by itself, with {run.exitcode}")
    writing = (
        any("tmp" in path.name for path in (folder / "checkpoints").iterdir())
        if (folder / "checkpoints").is_dir()
        else False
    )
    where = (
        "while a checkpoint was written"
        if writing
        else "between checkpoints"
        if _newest(folder) > before
        else "before the first step"
    )
    return where, startup


def compare(one: Path, other: Path, members: int) -> list[str]:
    """What differs between two finished runs."""
    (step, a), (other_step, b) = (
        checkpoint.read(run / "checkpoints", members) for run in (one, other)
    )
    differing = [] if step == other_step else [f"last step {step} and {other_step}"]
    pairs = zip(jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b), strict=True)
    differing += [jax.tree_util.keystr(path) for (path, x), y in pairs if not np.array_equal(x, y)]
    clockless = [
        [
            {k: v for k, v in line.items() if k not in ("seconds", "member_faces_per_second")}
            for line in read_log(run / "metrics.jsonl")
        ]
        for run in (one, other)
    ]
    return differing + ([] if clockless[0] == clockless[1] else ["metrics.jsonl"])


def main(argv: Sequence[str] = ()) -> None:
    """Runs the experiment."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument(
        "--folder",
        type=Path,
        default=None,
        help="an empty folder for both runs; a temporary one by default",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    given = parser.parse_args(argv)
    base = given.folder or Path(tempfile.mkdtemp())
    dice = random.Random(given.seed)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(base / "compiled")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    multiprocessing.get_context("forkserver").set_forkserver_preload(
        ["ferjax.ensemble.training", "ferjax.faces.dataset", "ferjax.cli"]
    )
    config = base / "config.json"
    config.write_text(CONFIG.to_json())
    began = time.monotonic()
    if _status(_start(config, base / "whole")) != 0:
        raise SystemExit("the undisturbed run failed")
    startup = time.monotonic() - began
    hits: dict[str, int] = {}
    for kill in range(1, given.kills + 1):
        died = resume_and_kill(config, base / "killed", dice, startup)
        if died is None:
            print(f"finished before kill {kill}; the run is too short for so many")
            break
        where, startup = died
        hits[where] = hits.get(where, 0) + 1
        print(
            f"kill {kill}: {where}; newest checkpoint: step {_newest(base / 'killed')}", flush=True
        )
    if _status(_start(config, base / "killed", "--resume")) != 0:
        raise SystemExit("the last resumed run failed")
    differing = compare(base / "whole", base / "killed", len(CONFIG.train.seeds))
    print(json.dumps({"kills": sum(hits.values()), **hits, "differing": differing}))
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
