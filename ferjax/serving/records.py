"""What is written: a line per face, JSON or CSV, and how a file of lines left half-done is taken up
again.

A line is whole or was never written: what follows the last complete picture is cut off and routed
anew. Pictures already in the file are known by 8 bytes each, so that a million of them cost 8 MB.
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
"""``path``, ``index`` (row of an .npz), ``given`` (the caller's keys), what the picture says of the
face, then the result."""

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


class Lines(Protocol):
    """A format: ``header``, and records to lines and back (``path``, ``index``, ``face``,
    ``faces``, ``error`` at least)."""

    header: bytes

    def encode(self, record: Record) -> bytes: ...

    def decode(self, line: bytes) -> Record: ...


def _finite(value: Any) -> Any:
    """JSON has no NaN or infinity."""
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Jsonl:
    """A JSON object per line. The caller's own keys stand beside ferjax's; one of the same name
    becomes ``given_NAME``."""

    header = b""

    def encode(self, record: Record) -> bytes:
        rest = {k: v for k, v in record.items() if k != "given"}
        given = {
            f"given_{k}" if k in RESERVED or k in rest else k: v for k, v in record["given"].items()
        }
        return json.dumps({"path": rest.pop("path"), **given, **_finite(rest)}).encode() + b"\n"

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
        self._shares = {f"p_{name}": name for name in classes}
        self._columns = (
            "path",
            "index",
            "face",
            "faces",
            "box",
            "action",
            "label",
            *self._shares,
            "aleatoric",
            "epistemic",
            *scores,
            "why",
            "error",
            "given",
        )
        self.header = self._row(self._columns)

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
            **{column: probs[name] for column, name in self._shares.items() if probs},
        }
        cells["box"] = " ".join(map(str, record.get("box", ())))
        cells["given"] = json.dumps(record["given"]) if record["given"] else ""
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
    """Pictures that a file already holds, each as often as it is there; ``routed`` and ``failed``
    count its lines."""

    def __init__(self) -> None:
        self.routed = self.failed = 0
        self._keys = array("Q")

    def add(self, records: list[Record]) -> None:
        """One picture's lines."""
        failed = sum("error" in record for record in records)
        self.failed = self.failed + failed
        self.routed = self.routed + len(records) - failed
        self._keys.append(key_of(records[0]["path"], records[0].get("index")))

    def skip(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items that are still to do."""
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
    """Takes up a file of lines: reads what it holds, and cuts it after the last picture whose lines
    are all whole.

    Args:
      path: the file; it may be missing or empty.
      lines: its format.

    Raises:
      ValueError: naming the line, if it holds anything but such lines; the file is then left as it
        is.
    """
    done = Done()
    if not path.exists():
        return done
    position = whole = 0
    waiting: list[Record] = []  # lines of a picture whose last face was not met yet
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            position += len(line)
            torn = not line.endswith(b"\n")
            try:
                if number == 1 and lines.header:
                    if line != lines.header and not (torn and lines.header.startswith(line)):
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
                    f"{path} line {number} is no line that this command writes ({error}); choose another --out, "
                    "or replace the file with --overwrite"
                ) from error
            if last:
                done.add(waiting)
                waiting = []
                whole = position
    os.truncate(path, whole)
    return done
