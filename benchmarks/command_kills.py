"""SIGKILL and SIGTERM at random moments of every command that writes: nothing half-written counts.

    python -m benchmarks.command_kills [--kills 200] [--folder DIR] [--seed 0] [--out FILE]

``data``, ``train``, ``evaluate``, ``export`` and ``route`` are run undisturbed once, then killed:
at random moments of that time, or just as something changed in the folder that they write to. After
every kill what lies there is opened as the next command would open it. The same command then goes
on in the same folder, is killed again, and at last left alone: what it leaves must be what an
undisturbed one leaves, byte for byte (of a run: every array of its state, and its log but for the
clock; of an export all but its time). Prints a table, which --out writes too; exits with 1 on any
breach.
"""

import argparse
import collections
import contextlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import killed_commands
from benchmarks.killed_commands import NOTHING, PART, REFUSED, WHOLE, Breach, Command
from ferjax.config import Config, DataConfig, EvaluateConfig, ModelConfig, TrainConfig

CONFIG = Config(
    data=DataConfig(synthetic_faces=120),
    model=ModelConfig(patch_size=16, dim=16, depth=1, heads=2),
    train=TrainConfig(seeds=(1, 2), epochs=4, checkpoint_every=0.0, log_every=3),
    evaluate=EvaluateConfig(
        corruptions=("gnoise",), severities=(1, 5), resamples=20, tolerances=()
    ),
)
PICTURES = 200
PRELOADED = [
    *("ferjax.ensemble.training", "ferjax.workflow", "ferjax.serving.export", "ferjax.cli"),
    *("ferjax.serving.route", "ferjax.serving.router", "ferjax.faces.picture_dataset"),
    *("ferjax.ensemble.trained", "ferjax.report.write", "ferjax.report.plots._figure"),
    *(f"ferjax.commands.{name}" for name in ("data", "train", "evaluate", "export", "route")),
    *("tensorflow_datasets", "matplotlib.figure", "matplotlib.backends.backend_agg", "tyro"),
    *("orbax.checkpoint", "array_record.python.array_record_module"),
]
"""Imported once, so that kills fall into what a command does and not into its imports."""
KILLS_IN_A_ROW = 4
"""At most so many kills of one folder; then the command is left alone."""


class Outcome(NamedTuple):
    """A kill: by what, and what was left; or a command that was not killed in time."""

    how: str
    left: str


def _run(words: list[str]) -> None:
    from ferjax.cli import main

    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    main(words)


def _start(words: list[str]) -> multiprocessing.Process:
    process = multiprocessing.get_context("forkserver").Process(target=_run, args=(words,))
    process.start()
    return process


def _finish(words: list[str]) -> int:
    process = _start(words)
    process.join()
    return process.exitcode or 0


def _write_inputs(base: Path) -> None:
    """Files of the two published kinds, pictures with labels, and a configuration."""
    base.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    usages = ("Training",) * 40 + ("PublicTest",) * 10 + ("PrivateTest",) * 10
    names = "neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    pixels = ["emotion,pixels,Usage"]
    votes = [f"Usage,Image name,{names}"]
    for number, usage in enumerate(usages):
        pixels.append(f"0,{' '.join(map(str, rng.integers(0, 256, 48 * 48)))},{usage}")
        votes.append(f"{usage},{number}.png,{','.join(map(str, rng.multinomial(10, [0.1] * 10)))}")
    (base / "pixels.csv").write_text("\n".join(pixels))
    (base / "votes.csv").write_text("\n".join(votes))
    (base / "pictures").mkdir()
    labels = ["path,label"]
    for number in range(PICTURES):
        header = b"P5 48 48 255\n"
        picture = rng.integers(0, 256, (48, 48), np.uint8).tobytes()
        (base / "pictures" / f"{number:04d}.pgm").write_bytes(header + picture)
        labels.append(f"{number:04d}.pgm,{'sad' if number % 3 else 'happy'}")
    (base / "labels.csv").write_text("\n".join(labels))
    (base / "config.json").write_text(CONFIG.to_json())


def _undisturbed(base: Path, commands: dict[str, Command]) -> dict[str, float]:
    """Runs every command once, unless that was done in this folder, and says how long each took.

    The trained run is an input of ``evaluate``, the evaluated one of ``export``, and its file of
    ``route``; all are compiled before.
    """
    known = base / "seconds.json"
    seconds = json.loads(known.read_text()) if known.exists() else {}
    for name, command in commands.items():
        if name in seconds:
            continue
        for _ in range(2 if name in ("train", "evaluate", "export", "route") else 1):
            folder = base / "whole" / name
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            command.prepare(folder)
            began = time.monotonic()
            if status := _finish(command.words(folder)):
                raise SystemExit(f"ferjax {name} failed undisturbed, status {status}")
            seconds[name] = time.monotonic() - began
        made = {"train": "trained", "evaluate": "run", "export": "file"}.get(name)
        if made is not None:
            (source,) = (path for path in folder.iterdir() if not path.name.startswith("."))
            copy = shutil.copy if source.is_file() else shutil.copytree
            copy(source, base / made)
        known.write_text(json.dumps(seconds))
        print(f"{name}: {seconds[name]:.1f} s undisturbed", flush=True)
    return seconds


def _state(folder: Path) -> list[tuple[str, int]]:
    """The files of a folder and when they changed, while others write there."""
    found = []
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                found.append((f"{path}/{name}", os.stat(f"{path}/{name}").st_mtime_ns))
    return sorted(found)


def _wait(process: multiprocessing.Process, folder: Path, seconds: float, dice: random.Random):
    """Until a random moment, or until something has changed in the folder some times."""
    if dice.random() < 0.4:
        process.join(dice.uniform(0, seconds))
        return
    before = _state(folder)
    changes = dice.choice((1, 1, 2, 3, 5, 8))
    deadline = time.monotonic() + 2 * seconds
    while changes and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.004)
        now = _state(folder)
        changes -= now != before
        before = now
    process.join(dice.choice((0, 0, 0.002, 0.02)))


def _left(command: Command, folder: Path, whole: Path) -> str:
    """What a kill left; raises :class:`Breach` if it is taken for more than it is."""
    try:
        return command.look(folder, whole)
    except FileNotFoundError:
        return NOTHING
    except ValueError:
        return REFUSED
    except Breach:
        raise
    except Exception as error:  # a traceback is what must not be
        raise Breach(f"{type(error).__name__}: {error}") from error


def _words(command: Command, folder: Path) -> list[str]:
    return [*command.words(folder), *(command.again if any(folder.iterdir()) else ())]


def kill(
    command: Command, folder: Path, whole: Path, seconds: float, dice: random.Random
) -> Outcome:
    """Runs a command in a folder, kills it at a random moment, and looks at what it left."""
    process = _start(_words(command, folder))
    _wait(process, folder, seconds, dice)
    how = dice.choice((signal.SIGKILL, signal.SIGTERM))
    if not process.is_alive():
        if process.exitcode:
            raise Breach(f"it ended by itself with {process.exitcode}")
        return Outcome("", WHOLE)
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid or 0, how)
    process.join(120)
    if process.is_alive():
        process.kill()
        raise Breach("SIGTERM did not end it within two minutes")
    return Outcome(how.name, _left(command, folder, whole))


def _rerun(command: Command, folder: Path, whole: Path) -> list[str]:
    """Runs a command to its end where it was killed before; what differs then from undisturbed."""
    if _left(command, folder, whole) != WHOLE and (status := _finish(_words(command, folder))):
        raise Breach(f"rerun, it ended with {status}")
    return command.same(folder, whole)


def _table(counts: dict[str, collections.Counter]) -> str:
    columns = ("SIGKILL", "SIGTERM", NOTHING, REFUSED, PART, WHOLE)
    rows = ["command", *columns, "reruns to the end", "of these, the same bytes"]
    lines = [f"| {' | '.join(rows)} |", "|" + "---|" * len(rows)]
    for name, of in counts.items():
        cells = [f"`{name}`", *(str(of[column]) for column in columns)]
        lines.append(f"| {' | '.join(cells)} | {of['rerun']} | {of['same']} |")
    return "\n".join(lines)


def main(argv: Sequence[str] = ()) -> None:
    """Runs the experiment."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument(
        "--folder", type=Path, default=None, help="an empty folder, or that of an earlier try"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=Path, default=None, help="file of the table")
    given = parser.parse_args(argv)
    base = given.folder or Path(tempfile.mkdtemp())
    dice = random.Random(given.seed)
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(base / "compiled"))
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOADED)
    if not (base / "config.json").exists():
        _write_inputs(base)
    commands = killed_commands.commands(base)
    seconds = _undisturbed(base, commands)
    counts: dict[str, collections.Counter] = {name: collections.Counter() for name in commands}
    breaches: list[str] = []
    killed = 0
    while killed < given.kills:
        # A slow command is killed less often, and none more than a few times as often as another.
        name = min(counts, key=lambda n: counts[n]["killed"] * np.clip(seconds[n], 5, 50) ** 0.5)
        command, whole, of = commands[name], base / "whole" / name, counts[name]
        folder = base / "killed" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        command.prepare(folder)
        try:
            for _ in range(dice.randint(1, KILLS_IN_A_ROW)):
                outcome = kill(command, folder, whole, seconds[name], dice)
                of.update(filter(None, outcome))
                of["killed"] += bool(outcome.how)
                killed += bool(outcome.how)
                if outcome.left == WHOLE or killed == given.kills:
                    break
            differs = _rerun(command, folder, whole)
            of["rerun"] += 1
            of["same"] += not differs
            if differs:
                raise Breach(f"rerun, other bytes: {', '.join(differs[:5])}")
        except Breach as breach:
            breaches.append(f"{name}, after {killed} kills: {breach}")
            print(f"BREACH {breaches[-1]}", flush=True)
            shutil.move(folder, base / f"breach_{len(breaches)}")
        print(f"{killed} kills: {name} {dict(of)}", flush=True)
    said = f"{_table(counts)}\n\n{killed} kills, {len(breaches)} breaches\n"
    print(said)
    if given.out is not None:
        given.out.write_text(said)
    sys.exit(1 if breaches else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
