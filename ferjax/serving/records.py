"""JSONL and CSV output, a line per face, and resuming a partial file.

What follows the last complete picture of a partial file is cut off and routed again. Pictures
already in the file are known by 8 bytes each, so that a million of them cost 8 MB.
"""

import csv
import hashlib
import io
import json
import math
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ferjax.serving.sources import Item

__all__ = ["Csv", "Done", "Jsonl", "Lines", "resume"]

Record = dict[str, Any]
"""``path``, ``index`` (row of an .npz), ``passthrough`` (the caller's keys), where the face is in
the picture, then the decision or ``error``."""

RESERVED = frozenset(
    (
        "path",
        "index",
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
_OLD_COLUMNS = {"passthrough": "given", "ood_density": "unfamiliarity"}
"""Columns that had another name in version 0.1.0."""


class Lines(Protocol):
    """A format of lines.

    Attributes:
      header: first line of a file; empty if there is none.
      old_header: what version 0.1.0 wrote instead, over the same columns.
    """

    header: bytes
    old_header: bytes

    def encode(self, record: Record) -> bytes:
        """A record as one line."""

    def decode(self, line: bytes) -> Record:
        """A line's ``path``, ``index``, ``face``, ``faces`` and ``error`` at least."""


def _finite(value: Any) -> Any:
    """JSON has no NaN or infinity."""
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Jsonl:
    """A JSON object per line. The caller's own keys stand beside ferjax's; one of the same name
    becomes ``passthrough_NAME``."""

    header = b""
    old_header = b""

    def encode(self, record: Record) -> bytes:
        own = {k: v for k, v in record.items() if k != "passthrough"}
        theirs = {
            f"passthrough_{k}" if k in RESERVED or k in own else k: v
            for k, v in record["passthrough"].items()
        }
        return json.dumps({"path": own.pop("path"), **theirs, **_finite(own)}).encode() + b"\n"

    def decode(self, line: bytes) -> Record:
        record = json.loads(line)
        if not isinstance(record, dict) or not isinstance(record.get("path"), str):
            raise ValueError('no "path"')
        return record


class Csv:
    """A row per line under a header; the caller's own keys are one column of JSON, a line break in
    a name is ``\\n``.

    Args:
      classes: names of the classes; their probabilities are the columns ``p_NAME``.
      scores: scores beside aleatoric and epistemic.
    """

    def __init__(self, classes: Iterable[str], scores: Iterable[str] = ()):
        self._probs = {f"p_{name}": name for name in classes}
        self._columns = (
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
            "error",
            "passthrough",
        )
        self.header = self._row(self._columns)
        self.old_header = self._row(_OLD_COLUMNS.get(name, name) for name in self._columns)

    @staticmethod
    def _row(cells: Iterable[Any]) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow(cells)
        # One line is one record, whatever a file is called.
        return (
            text.getvalue()
            .replace("\r", "\\r")
            .replace("\n", "\\n")
            .encode(errors="surrogateescape")
            + b"\n"
        )

    def encode(self, record: Record) -> bytes:
        probs = record.get("probs", {})
        cells = {
            **record,
            **{column: probs[name] for column, name in self._probs.items() if probs},
        }
        cells["box"] = " ".join(map(str, record.get("box", ())))
        passthrough = record["passthrough"]
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
        return record


class Done:
    """Pictures that a file already holds, each as often as it is there.

    Attributes:
      routed: lines with a decision.
      failed: lines with an error.
    """

    def __init__(self) -> None:
        self.routed = 0
        self.failed = 0
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


def key_of(path: str, index: int | None) -> int:
    """64 bits that stand for a picture; two of a million share them with probability 3e-8."""
    # As a CSV line shows it, so that both formats know a picture by the same name.
    text = json.dumps([path.replace("\r", "\\r").replace("\n", "\\n"), index])
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
        for number, line in enumerate(file, 1):
            position += len(line)
            torn = not line.endswith(b"\n")
            try:
                if number == 1 and lines.header:
                    for header in (lines.header, lines.old_header):
                        if line == header or (torn and header.startswith(line)):
                            break
                    else:
                        raise ValueError("another header")
                    whole = 0 if torn else position
                    continue
                if torn and (number > 1 or line[:7] == b'{"path"'[: len(line)]):
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
