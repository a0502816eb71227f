"""SIGKILL and SIGTERM at random moments of every command that writes: nothing half-written counts.

    python -m benchmarks.command_kills [--kills 200] [--folder DIR] [--seed 0]

``data``, ``train``, ``evaluate``, ``export`` and ``route`` in turn are run undisturbed once, then
killed at random moments of that time. After every kill what lies there is opened as the next
command would: it must be absent, refused in words, or whole and equal to the undisturbed one. What
can be continued is continued once more at the end, and compared. Prints counts; exits with 1 on any
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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ferjax.config import Config, DataConfig, EvaluateConfig, ModelConfig, TrainConfig

CONFIG = Config(
    data=DataConfig(synthetic_faces=120),
    model=ModelConfig(patch_size=16, dim=16, depth=1, heads=2),
    train=TrainConfig(seeds=(1, 2), epochs=4, checkpoint_every=0.0, log_every=3),
    evaluate=EvaluateConfig(
        corruptions=("gnoise", "blur"), severities=(1, 5), resamples=20, tolerances=()
    ),
)
PICTURES = 400


class Command(NamedTuple):
    """A command, and how what it leaves is looked at.

    Attributes:
      words: the command line, for a folder to write to.
      prepare: makes that folder ready for a first try.
      check: what is wrong with what lies there; nothing if it is absent, refused in words or whole.
      continues: whether the same command goes on where it was killed.
      more: words added then.
    """

    words: Callable[[Path], list[str]]
    prepare: Callable[[Path], None]
    check: Callable[[Path, Path], str]
    continues: bool = False
    more: tuple[str, ...] = ()


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


def _in_words(look: Callable[[], str]) -> str:
    """What a look at a folder finds wrong; a refusal in words is right."""
    try:
        return look()
    except (ValueError, FileNotFoundError):
        return ""
    except Exception as error:  # a traceback is what must not be
        return f"{type(error).__name__}: {error}"


def _data(folder: Path, whole: Path) -> str:
    from ferjax.faces import ferplus_files

    def look() -> str:
        found = ferplus_files.read(folder / "set")
        expected = ferplus_files.read(whole / "set")
        same = all(np.array_equal(found[n].votes, expected[n].votes) for n in expected)
        return "" if same else "a data set with other votes"

    scratch = [path.name for path in folder.iterdir() if path.name not in ("set",)]
    return _in_words(look) or ("" if len(scratch) <= 1 else f"left behind: {scratch}")


def _train(folder: Path, whole: Path) -> str:
    from ferjax.ensemble.trained import load_run

    def look() -> str:
        trained = load_run(folder / "run")
        return "" if np.isfinite(trained.best_accuracy).all() else "members without a figure"

    return _in_words(look)


def _evaluate(folder: Path, whole: Path) -> str:
    from ferjax.predictions import Predictions
    from ferjax.serving import live

    for path in (folder / "run" / "predictions").glob("*.npz"):
        try:
            Predictions.load(path)
        except ValueError as error:
            return f"half-written predictions: {error}"
    for name in ("evaluation.json", "thresholds.json"):
        path = folder / "run" / name
        if path.exists():
            json.loads(path.read_text())

    def look() -> str:
        rules = live.load(folder / "run").rules
        return "" if rules == live.load(whole / "run").rules else "other thresholds"

    return _in_words(look)


def _export(folder: Path, whole: Path) -> str:
    from ferjax.serving import archive, verification

    path = folder / "file"
    if not path.exists():
        return ""
    try:
        verification.verify(path)
    except ValueError as error:
        return f"half-written: {error}"
    same = archive.load(path).rules == archive.load(whole / "file").rules
    return "" if same else "other thresholds"


def _route(folder: Path, whole: Path) -> str:
    path = folder / "lines.jsonl"
    if not path.exists():
        return ""
    lines = path.read_bytes().splitlines(keepends=True)
    expected = (whole / "lines.jsonl").read_bytes().splitlines(keepends=True)
    ended = [line for line in lines if line.endswith(b"\n")]
    return "" if ended == expected[: len(ended)] else "lines that were not written so"


def _commands(base: Path) -> dict[str, Command]:
    run = base / "run"
    pictures = base / "pictures"

    def copied(folder: Path) -> None:
        shutil.copytree(run, folder / "run")

    def nothing(folder: Path) -> None:
        del folder

    def out(name: str, *words: str) -> Callable[[Path], list[str]]:
        return lambda folder: [*words, "--out", str(folder / name)]

    votes = ("--fer2013", str(base / "pixels.csv"), "--votes", str(base / "votes.csv"))
    return {
        "data": Command(out("set", "data", "ferplus", *votes), nothing, _data),
        "train": Command(
            out("run", "train", str(base / "config.json")), nothing, _train, True, ("--resume",)
        ),
        "evaluate": Command(
            lambda folder: ["evaluate", str(folder / "run")], copied, _evaluate, True
        ),
        "export": Command(out("file", "export", str(run)), nothing, _export),
        "route": Command(
            out("lines.jsonl", "route", str(base / "file"), str(pictures), "--batch-size", "16"),
            nothing,
            _route,
            True,
        ),
    }


def _make_inputs(base: Path) -> None:
    """Files of the two published kinds, pictures, and a run with its export."""
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
    for number in range(PICTURES):
        header = b"P5 48 48 255\n"
        picture = rng.integers(0, 256, (48, 48), np.uint8).tobytes()
        (base / "pictures" / f"{number:04d}.pgm").write_bytes(header + picture)
    (base / "config.json").write_text(CONFIG.to_json())
    for words in (
        ["train", str(base / "config.json"), "--out", str(base / "run")],
        ["evaluate", str(base / "run"), "--out", str(base / "report")],
        ["evaluate", str(base / "run")],
        ["export", str(base / "run"), "--out", str(base / "file")],
    ):
        if _finish(words):
            raise SystemExit(f"ferjax {' '.join(words)} failed undisturbed")


def kill(command: Command, folder: Path, seconds: float, dice: random.Random) -> str:
    """Runs a command and kills it at a random moment; says by what, or that it had ended."""
    words = command.words(folder)
    if command.continues and any(folder.iterdir()):
        words += list(command.more)
    process = _start(words)
    process.join(dice.uniform(0, seconds))
    how = dice.choice((signal.SIGKILL, signal.SIGTERM))
    if not process.is_alive():
        return "it had ended"
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid or 0, how)
    process.join(60)
    if process.is_alive():
        process.kill()
        return "SIGTERM did not end it within a minute"
    return how.name


def main(argv: Sequence[str] = ()) -> None:
    """Runs the experiment."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--folder", type=Path, default=None, help="an empty folder")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    given = parser.parse_args(argv)
    base = given.folder or Path(tempfile.mkdtemp())
    dice = random.Random(given.seed)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(base / "compiled")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    multiprocessing.get_context("forkserver").set_forkserver_preload(
        ["ferjax.ensemble.training", "ferjax.workflow", "ferjax.serving.export", "ferjax.cli"]
    )
    _make_inputs(base)
    commands = _commands(base)
    seconds = {}
    whole = base / "whole"
    for name, command in commands.items():
        folder = whole / name
        folder.mkdir(parents=True)
        command.prepare(folder)
        began = time.monotonic()
        if _finish(command.words(folder)):
            raise SystemExit(f"ferjax {name} failed undisturbed")
        seconds[name] = time.monotonic() - began
        print(f"{name}: {seconds[name]:.1f} s undisturbed", flush=True)
    hits: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    breaches = []
    names = list(commands)
    for number in range(given.kills):
        name = names[number % len(names)]
        command = commands[name]
        folder = base / "killed" / name
        if not folder.exists() or not command.continues or dice.random() < 0.2:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            command.prepare(folder)
        how = kill(command, folder, seconds[name], dice)
        hits[name][how] += 1
        wrong = command.check(folder, whole / name)
        if wrong or "did not end" in how:
            breaches.append(f"kill {number} of {name} by {how}: {wrong}")
            print(f"BREACH {breaches[-1]}", flush=True)
    for name, command in commands.items():
        if command.continues:
            folder = base / "killed" / name
            words = command.words(folder)
            status = _finish([*words, *(command.more if any(folder.iterdir()) else ())])
            wrong = command.check(folder, whole / name) if status == 0 else f"status {status}"
            if wrong:
                breaches.append(f"{name}, continued: {wrong}")
    for name, of in hits.items():
        print(f"{name}: {', '.join(f'{how} {count}' for how, count in of.items())}")
    print(f"{given.kills} kills, {len(breaches)} breaches")
    for breach in breaches:
        print(f"BREACH {breach}")
    sys.exit(1 if breaches else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
