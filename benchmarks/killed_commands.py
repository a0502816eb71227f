"""The commands that are killed: what each writes, what may lie there after a kill, and what must.

A look at a folder says what is there: nothing, what the next command refuses in words, a part that
the same command continues, or the whole; half-written files taken for whole ones raise
:class:`Breach`.
"""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors

from benchmarks import kills

NOTHING = "nothing"
REFUSED = "refused in words"
PART = "part, to be continued"
WHOLE = "whole"


class Breach(Exception):
    """Something half-written was taken for whole, or ended in a traceback."""


class Command(NamedTuple):
    """A command, and how what it leaves is looked at.

    Attributes:
      words: the command line, for a folder to write to.
      look: what lies in a folder, beside what an undisturbed command left in another.
      same: what differs in a folder that the command finished from what lies in the other.
      prepare: makes the folder ready for a first try.
      again: words added where the folder holds a try already.
    """

    words: Callable[[Path], list[str]]
    look: Callable[[Path, Path], str]
    same: Callable[[Path, Path], list[str]]
    prepare: Callable[[Path], None] = lambda folder: None
    again: tuple[str, ...] = ()


def _require(right: bool, what: str) -> None:
    if not right:
        raise Breach(what)


def _content(path: Path, own: Path) -> bytes:
    """What a file holds: of tensors without their order, which is drawn anew in every process; of
    an export without its time; of all without the folder ``own``, where they lie."""
    if path.suffix == ".safetensors":
        with safetensors.safe_open(path, "numpy") as opened:
            parts = [f"{name} {opened.get_tensor(name).dtype}" for name in sorted(opened.keys())]
            arrays = [opened.get_tensor(name).tobytes() for name in sorted(opened.keys())]
            metadata = json.dumps(opened.metadata(), sort_keys=True)
        return b"".join([metadata.encode(), " ".join(parts).encode(), *arrays])
    if zipfile.is_zipfile(path) and path.suffix != ".npz":
        with zipfile.ZipFile(path) as opened:
            members = {name: opened.read(name) for name in opened.namelist()}
        head = json.loads(members.pop("ferjax.json"))
        del head["digest"], head["provenance"]["exported"]
        return b"".join([json.dumps(head).encode(), *(n.encode() + b for n, b in members.items())])
    return path.read_bytes().replace(str(own).encode(), b"")


def files(folder: Path, own: Path) -> dict[str, str]:
    """The digest of what every file of a folder holds, hidden ones left out."""
    paths = [folder] if folder.is_file() else sorted(folder.rglob("*"))
    return {
        str(path.relative_to(folder)): hashlib.sha256(_content(path, own)).hexdigest()
        for path in paths
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    }


def differing(name: str, *but: str) -> Callable[[Path, Path], list[str]]:
    """Says which files below a name differ in their bytes, some of them left out."""

    def compare(folder: Path, whole: Path) -> list[str]:
        one, other = files(folder / name, folder), files(whole / name, whole)
        names = sorted({*one, *other})
        return [n for n in names if one.get(n) != other.get(n) and not n.startswith(but)]

    return compare


def _ferplus(folder: Path, whole: Path) -> str:
    from ferjax.faces import ferplus_files

    found = ferplus_files.read(folder / "set")
    expected = ferplus_files.read(whole / "set")
    same = all(np.array_equal(found[n].votes, expected[n].votes) for n in expected)
    _require(same, "a data set with other votes")
    return WHOLE


def _folder(folder: Path, whole: Path) -> str:
    from ferjax.config import DataConfig
    from ferjax.faces import dataset

    found = dataset.load(DataConfig(name="folder", path=str(folder / "set")))
    expected = dataset.load(DataConfig(name="folder", path=str(whole / "set")))
    for name in ("train", "valid", "test"):
        same = np.array_equal(found[name].images, expected[name].images)
        _require(same, f"{name} of other pictures")
    return WHOLE


def _train(folder: Path, whole: Path) -> str:
    from ferjax.ensemble.trained import load_run

    del whole
    trained = load_run(folder / "run")
    _require(np.isfinite(trained.best_accuracy).all(), "members without a figure")
    note = folder / "run" / "ended.json"
    finished = note.exists() and json.loads(note.read_text())["how"] == "finished"
    return WHOLE if finished else PART


def _trained_alike(folder: Path, whole: Path) -> list[str]:
    members = len(json.loads((whole / "run" / "config.json").read_text())["train"]["seeds"])
    found = kills.compare(whole / "run", folder / "run", members)
    return found + differing("run", "checkpoints", "metrics.jsonl")(folder, whole)


def _evaluate(folder: Path, whole: Path) -> str:
    from ferjax.predictions import Predictions
    from ferjax.serving import live

    run = folder / "run"
    for path in (run / "predictions").glob("*.npz"):
        try:
            Predictions.load(path)
        except ValueError as error:
            raise Breach(f"half-written predictions: {error}") from error
    for name in ("evaluation.json", "thresholds.json"):
        if (run / name).exists():
            try:
                json.loads((run / name).read_text())
            except ValueError as error:
                raise Breach(f"half-written {name}: {error}") from error
    if not (run / "thresholds.json").exists():
        return PART
    rules = live.load(run).rules  # refused in words, or those of the undisturbed evaluation
    _require(rules == live.load(whole / "run").rules, "other thresholds")
    return WHOLE if not differing("run")(folder, whole) else PART


def _export(folder: Path, whole: Path) -> str:
    from ferjax.serving import archive, verification

    path = folder / "file"
    if not path.exists():
        return NOTHING
    try:
        verification.verify(path)
    except ValueError as error:
        raise Breach(f"half-written: {error}") from error
    same = archive.load(path).rules == archive.load(whole / "file").rules
    _require(same, "other thresholds")
    return WHOLE


def _route(folder: Path, whole: Path) -> str:
    path = folder / "lines.jsonl"
    if not path.exists():
        return NOTHING
    lines = path.read_bytes().splitlines(keepends=True)
    expected = (whole / "lines.jsonl").read_bytes().splitlines(keepends=True)
    ended = [line for line in lines if line.endswith(b"\n")]
    _require(ended == expected[: len(ended)], "lines that were not written so")
    return WHOLE if len(ended) == len(expected) else PART


def commands(base: Path) -> dict[str, Command]:
    """The commands by name, over the inputs that lie in a folder."""

    def copied(folder: Path) -> None:
        shutil.copytree(base / "trained", folder / "run")

    def out(name: str, *words: object) -> Callable[[Path], list[str]]:
        return lambda folder: [*map(str, words), "--out", str(folder / name)]

    votes = ("--fer2013", base / "pixels.csv", "--votes", base / "votes.csv")
    labelled = (base / "pictures", "--labels", base / "labels.csv", "--side", 48)
    routed = (base / "file", base / "pictures", "--batch-size", 16)
    return {
        "data ferplus": Command(out("set", "data", "ferplus", *votes), _ferplus, differing("set")),
        "data folder": Command(out("set", "data", "folder", *labelled), _folder, differing("set")),
        "train": Command(
            out("run", "train", base / "config.json"), _train, _trained_alike, again=("--resume",)
        ),
        "evaluate": Command(
            lambda folder: ["evaluate", str(folder / "run")],
            _evaluate,
            differing("run"),
            prepare=copied,
        ),
        "export": Command(out("file", "export", base / "run"), _export, differing("file")),
        "route": Command(out("lines.jsonl", "route", *routed), _route, differing("lines.jsonl")),
    }
