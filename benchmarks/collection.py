"""Answers collected from a failing server, by a collector that is killed and started again.

    python -m benchmarks.collection [--kills 5] [--texts 500] [--folder DIR]

A local server answers from known distributions and fails in every way that
:class:`ferjax.texts.local_server.Faults` names. The collector is ended by SIGKILL at random moments
and resumed. Prints where it was each time, and whether in the end every slot has exactly one
answer, no error is among the answers, and the answers follow the known distributions: the largest
z of a label's frequency, and the mean squared z of a label of one text. Exits with 1 if not.
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
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ferjax.texts import world as worlds
from ferjax.texts.answers import judgments_of
from ferjax.texts.local_server import ALL_FAULTS, Faults, LocalServer
from ferjax.texts.store import ANSWERED, FAILED, read_answers
from ferjax.texts.world import LABELS, World

MODELS = ("right", "constant")
TEMPERATURES = (0.7, 1.0)
SPOILT = {"refused", "empty", "no label in it", "nothing but reasoning"}
"""Why an answer of this server may be unparsed."""


def shares_of(world: World):
    """What :class:`LocalServer` answers in a world."""
    number = {text: k for k, text in enumerate(world.texts.texts)}
    tables = {(m, t): world.model(m, t) for m in worlds.MODELS for t in TEMPERATURES}

    def shares(text: str, model: str, temperature: float) -> Mapping[str, float]:
        return dict(zip(LABELS, tables[model, temperature][number[text]]))

    return shares


def serve(texts: int, faults: Faults, pipe: Any) -> None:
    """A process: the server, until it is told to stop; tells its address, then its counts."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with LocalServer(shares_of(worlds.make(texts, 0)), faults, seed=1) as server:
        pipe.send(server.base_url)
        pipe.recv()
        pipe.send(dict(server.counts))


def _collect(words: list[str]) -> None:
    from ferjax.cli import main

    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    main(["judge", "collect", *words])


def start(words: list[str]) -> multiprocessing.Process:
    """A collector, forked by a server that has done the imports."""
    process = multiprocessing.get_context("forkserver").Process(target=_collect, args=(words,))
    process.start()
    return process


def lines_in(folder: Path) -> int:
    """Whole lines of the answers so far."""
    path = folder / "answers.jsonl"
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def check(folder: Path, world: World, slots: int) -> dict[str, Any]:
    """Whether the answers are what they should be.

    Returns:
      Figures, and under ``wrong`` what is not as it should be.
    """
    wrong = []
    once = Counter(line["key"] for line in read_answers(folder) if line["status"] in ANSWERED)
    failed = Counter(line["status"] for line in read_answers(folder) if line["status"] in FAILED)
    twice = sum(count > 1 for count in once.values())
    if len(once) != slots or twice:
        wrong.append(f"{len(once)} of {slots} slots answered, {twice} more than once")
    parsed = judgments_of(folder)
    if set(parsed.unparsed) - SPOILT:
        wrong.append(f"unparsed for {set(parsed.unparsed) - SPOILT}")
    if int(parsed.judgments.asked.sum()) != slots:
        wrong.append(f"{parsed.judgments.asked.sum()} answers counted")
    z, squares = agreement(parsed.judgments, world)
    squared = float(squares.mean())
    # The square of a count's z has a variance of at most 4 where one half or more is expected.
    if not (abs(z) < 4.5).all() or abs(squared - 1) > 4.5 * (4 / squares.size) ** 0.5:
        wrong.append("the answers do not follow the known distributions")
    return {
        "slots": slots,
        "unparsed": dict(parsed.unparsed),
        "failed attempts": dict(failed),
        "largest |z| of a label": round(float(abs(z).max()), 2),
        "mean squared z of a label of one text": round(squared, 4),
        "wrong": wrong,
    }


def agreement(judgments: Any, world: World) -> tuple[np.ndarray, np.ndarray]:
    """Known distributions against counts.

    Returns:
      z of every label's frequency over all texts ``[judge, label]``, and the squared z of every
      single count where 0.5 or more were expected; its expectation is 1.
    """
    answered = judgments.answered[..., None]
    known = np.stack([world.model(j.model, j.temperature) for j in judgments.judges])
    expected = answered * known
    surplus = judgments.counts - expected
    variance = expected * (1 - known)
    z = surplus.sum(1) / np.sqrt(variance.sum(1))
    enough = expected >= 0.5
    return z, surplus[enough] ** 2 / variance[enough]


def run(folder: Path, texts: int, kills: int, seed: int, faults: Faults = ALL_FAULTS) -> dict:
    """Collects, kills, resumes, checks.

    Args:
      folder: empty, for everything.
      texts: of the world; 40 slots each.
      kills: how often the collector is killed.
      seed: of the moments.
      faults: of the server.
    """
    dice = random.Random(seed)
    slots = texts * len(MODELS) * len(TEMPERATURES) * 10
    world = worlds.make(texts, 0)
    rows = (json.dumps({"id": i, "text": t}) for i, t in zip(*world.texts))
    (folder / "texts.jsonl").write_text("\n".join(rows) + "\n")
    config = {
        "texts": str(folder / "texts.jsonl"),
        "labels": LABELS,
        "kind": "single",
        "temperatures": TEMPERATURES,
        "samples": 10,
    }
    (folder / "config.json").write_text(json.dumps(config))
    ours, its = multiprocessing.Pipe()
    server = multiprocessing.get_context("forkserver").Process(
        target=serve, args=(texts, faults, its)
    )
    server.start()
    words = [str(folder / "config.json"), "--base-url", ours.recv(), "--model", *MODELS]
    words += ["--out", str(folder / "answers"), "--timeout", "2", "--concurrency", "16"]
    began = time.monotonic()
    at = []
    try:
        for kill in range(1, kills + 1):
            collector = start(words)
            before = lines_in(folder / "answers")
            share = (kill + dice.uniform(-0.4, 0.4)) / (kills + 1)
            while collector.is_alive() and lines_in(folder / "answers") < share * slots:
                time.sleep(0.002)
            time.sleep(dice.uniform(0, 0.05))
            collector.kill()
            collector.join()
            if collector.exitcode != -signal.SIGKILL:
                raise SystemExit(f"a collector ended by itself, with {collector.exitcode}")
            at.append(lines_in(folder / "answers"))
            print(f"kill {kill}: after {at[-1] - before:,} lines, {at[-1]:,} in all", flush=True)
        for _ in range(3):  # what failed too often is left to another run
            last = start(words)
            last.join()
            if last.exitcode == 0:
                break
    finally:
        ours.send("stop")
        happened = ours.recv()
        server.join()
    found = check(folder / "answers", world, slots)
    return {**found, "seconds": round(time.monotonic() - began, 1), "server": happened}


def main(argv: Sequence[str] = ()) -> None:
    """Runs the experiment."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--texts", type=int, default=500, help="with 40 slots each")
    parser.add_argument(
        "--folder", type=Path, default=None, help="an empty one; temporary if unset"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    given = parser.parse_args(argv)
    multiprocessing.get_context("forkserver").set_forkserver_preload(
        ["ferjax.texts.collect", "ferjax.texts.local_server", "ferjax.texts.world", "ferjax.cli"]
    )
    folder = given.folder or Path(tempfile.mkdtemp())
    found = run(folder, given.texts, given.kills, given.seed)
    print(json.dumps(found, indent=2))
    sys.exit(1 if found["wrong"] else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
