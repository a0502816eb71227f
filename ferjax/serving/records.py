"""JSONL and CSV output, a line per face, and resuming a partial file.

Every line begins with the router that wrote it, by name and digest, so that a file is continued by
the same router with the same thresholds alone. What follows the last complete picture of a partial
file is cut off and routed again. Pictures already in the file are known by 8 bytes each, so that a
million of them cost 8 MB.
"""

import csv
import hashlib
import io
import json
import os
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ferjax.files import cell, finite, parse_json
from ferjax.routing import ACTIONS
from ferjax.serving.sources import Item

__all__ = ["Csv", "Done", "Jsonl", "Lines", "resume"]

LONGEST_LINE = 2**24
"""Bytes of the longest line of a partial file that is read."""

Record = dict[str, Any]
"""``path``, ``index`` (row of an .npz), ``passthrough`` (the caller's keys), where the face is in
the picture, then the decision or ``error``."""

RESERVED = frozenset(
    (
        "router",
        "path",
        "index",
        "note",
        "face",
        "faces",
        "box",
        "action",
        "label",
        "probs",
        "aleatoric",
        "epistemic",
        "why",
        "error",
    )
)
_ACTIONS = frozenset(ACTIONS)


class Lines(Protocol):
    """A format of lines.

    Attributes:
      header: first line of a file; empty if there is none.
      start: what every other line begins with.
    """

    header: bytes
    start: bytes

    def encode(self, record: Record) -> bytes:
        """A record as one line."""

    def decode(self, line: bytes) -> Record:
        """A line's ``path``, ``index``, ``face``, ``faces`` and ``error`` at least."""


class Jsonl:
    """A JSON object per line. The caller's own keys stand beside ferjax's; one of the same name
    becomes ``passthrough_NAME``.

    Args:
      router: what the lines call the router that wrote them; nothing if it is empty.
    """

    header = b""

    def __init__(self, router: str = ""):
        self._router = router
        self._named = {"router": router} if router else {}
        self.start = json.dumps({**self._named, "path": ""}).encode()[: -len('"}')]

    def encode(self, record: Record) -> bytes:
        own = {k: v for k, v in record.items() if k != "passthrough"}
        theirs = {
            f"passthrough_{k}" if k in RESERVED or k in own else k: v
            for k, v in record["passthrough"].items()
        }
        line = {**self._named, "path": own.pop("path"), **theirs, **own}
        return json.dumps(finite(line), allow_nan=False).encode() + b"\n"

    def decode(self, line: bytes) -> Record:
        record = parse_json(line)
        if not isinstance(record, dict) or not isinstance(record.get("path"), str):
            raise ValueError('no "path"')
        _require_written(record, self._router)
        return record


def _require_written(record: Record, router: str) -> None:
    """Refuses a line that this router has not written, or that says neither action nor error."""
    if record.get("router", "") != router:
        written = record.get("router")
        said = "it names no router" if written is None else f"it is of router {str(written)[:60]!r}"
        raise ValueError(f"{said}, this one is {router!r}")
    decided = record.get("action") in _ACTIONS and isinstance(record.get("label"), str)
    if decided == isinstance(record.get("error"), str):
        raise ValueError("it has neither a decision nor an error")


class Csv:
    """A row per line under a header; the caller's own keys are one column of JSON. Control
    characters are escaped, a line break in a name is ``\\n``, and no cell is a formula.

    Args:
      classes: names of the classes; their probabilities are the columns ``p_NAME``.
      scores: scores beside aleatoric and epistemic.
      router: what the lines call the router that wrote them.
    """

    def __init__(self, classes: Iterable[str], scores: Iterable[str] = (), router: str = ""):
        self._router = router
        self._probs = {f"p_{name}": name for name in classes}
        self._columns = (
            *(("router",) if router else ()),
            "path",
            "index",
            "face",
            "faces",
            "box",
            "action",
            "label",
            *self._probs,
            "aleatoric",
            "epistemic",
            *scores,
            "why",
            "note",
            "error",
            "passthrough",
        )
        self.header = self._row(self._columns)
        self.start = self._row([router, ""])[:-1] if router else b""

    @staticmethod
    def _row(cells: Iterable[Any]) -> bytes:
        text = io.StringIO()
        shown = (cell(value) if isinstance(value, str) else value for value in cells)
        csv.writer(text, lineterminator="").writerow(shown)
        return text.getvalue().encode(errors="surrogateescape") + b"\n"

    def encode(self, record: Record) -> bytes:
        probs = record.get("probs", {})
        cells = {
            "router": self._router,
            **record,
            **{column: probs[name] for column, name in self._probs.items() if probs},
        }
        cells["box"] = " ".join(map(str, record.get("box", ())))
        passthrough = finite(record["passthrough"])
        cells["passthrough"] = json.dumps(passthrough) if passthrough else ""
        if "face" in record and record["face"] is None:
            cells["face"] = "none"
        return self._row(cells.get(column, "") for column in self._columns)

    def decode(self, line: bytes) -> Record:
        rows = list(csv.reader([line.decode(errors="surrogateescape").rstrip("\n")], strict=True))
        if not rows or len(rows[0]) != len(self._columns):
            raise ValueError(f"{len(rows[0]) if rows else 0} fields, expected {len(self._columns)}")
        record: Record = {
            "path": "",
            **{column: cell for column, cell in zip(self._columns, rows[0]) if cell},
        }
        for name in {"index", "face", "faces"} & set(record):
            record[name] = None if record[name] == "none" else int(record[name])
        _require_written(record, self._router)
        return record


class Done:
    """Pictures that a file already holds, each as often as it is there.

    Attributes:
      routed: lines with a decision.
      failed: lines with an error.
      actions: action -> lines.
    """

    def __init__(self) -> None:
        self.routed = 0
        self.failed = 0
        self.actions: Counter[str] = Counter()
        self._keys = array("Q")

    @property
    def pictures(self) -> int:
        """How many pictures these lines are of."""
        return len(self._keys)

    def add(self, records: list[Record]) -> None:
        """Adds one picture's lines."""
        failed = sum("error" in record for record in records)
        self.failed = self.failed + failed
        self.routed = self.routed + len(records) - failed
        self.actions.update(record["action"] for record in records if "error" not in record)
        self._keys.append(key_of(records[0]["path"], records[0].get("index")))

    def skip(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items that are not in the file."""
        keys, left = np.unique(np.array(self._keys, np.uint64), return_counts=True)
        for item in items:
            key = np.uint64(key_of(item.path, item.row))
            at = np.searchsorted(keys, key)
            if at < len(keys) and keys[at] == key and left[at]:
                left[at] -= 1
            else:
                yield item
            del item  # its row's pixels are free once nobody holds it


def key_of(path: str, index: int | None) -> int:
    """64 bits that stand for a picture; two of a million share them with probability 3e-8."""
    # As a CSV line shows it, so that both formats know a picture by the same name.
    text = json.dumps([cell(path), index])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def resume(path: Path, lines: Lines) -> Done:
    """Reads what a partial file holds, and cuts it after its last complete picture.

    Args:
      path: the file; it may be missing or empty.
      lines: its format.

    Returns:
      The pictures that need not be routed again.

    Raises:
      ValueError: naming the line, if it holds anything but such lines; the file is then left as it
        is.
    """
    done = Done()
    if not path.exists():
        return done
    position = 0
    whole = 0
    waiting: list[Record] = []  # lines of a picture whose last face was not met yet
    with open(path, "rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), 1):
            position += len(line)
            torn = not line.endswith(b"\n")
            try:
                if number == 1 and lines.header:
                    if line != lines.header and not (torn and lines.header.startswith(line)):
                        raise ValueError("another header")
                    whole = 0 if torn else position
                    continue
                if torn and len(line) < LONGEST_LINE:
                    length = min(len(line), len(lines.start))
                    if line[:length] != lines.start[:length]:
                        raise ValueError("the last line is torn, and does not begin as ours do")
                    break
                waiting.append(lines.decode(line))
                last = (
                    waiting[-1].get("face") is None
                    or waiting[-1]["face"] + 1 == waiting[-1]["faces"]
                )
            except (ValueError, KeyError, TypeError, csv.Error) as error:
                raise ValueError(
                    f"{path} line {number} is no line that this command writes ({error}); choose "
                    "another --out, or replace the file with --overwrite"
                ) from error
            if last:
                done.add(waiting)
                waiting = []
                whole = position
    os.truncate(path, whole)
    return done
