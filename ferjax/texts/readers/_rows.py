"""Rows of a text file with their line numbers, and errors that name both."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from ferjax.files import printable, read_json_lines, read_table, read_text, shortened

__all__ = ["Csv", "Row", "Rows", "first_line", "json_lines", "name_rows", "number", "scale"]


class Row(NamedTuple):
    """A row: its file, the number of its last line, its fields."""

    path: Path
    line: int
    fields: dict[str, Any]

    def refuse(self, why: str) -> NoReturn:
        """Raises a ValueError that names file and line."""
        raise ValueError(f"{self.path}, line {self.line}: {printable(shortened(why))}")

    def text(self, name: str) -> str:
        """A field that must hold text."""
        value = self.fields.get(name)
        if not isinstance(value, str) or not value.strip():
            self.refuse(f"{name} must be text, got {value!r}")
        return value


Rows = Iterator[Row]


def first_line(path: Path) -> str:
    """The first line of a text file.

    Raises:
      ValueError: if the file is empty or not UTF-8 text.
    """
    line = read_text(path, "panel").partition("\n")[0]
    if not line.strip():
        raise ValueError(f"{path}: the first line is empty, expected a header or a JSON object")
    return line.rstrip("\r\n")


class Csv:
    """A table with a header; commas, or tabs or semicolons where the header has no comma."""

    def __init__(self, path: Path):
        self.path = path
        opening = first_line(path)
        self.delimiter = next((mark for mark in ",\t;" if mark in opening), ",")
        header = next(read_table(path, "panel", self.delimiter)).fields
        self.header = tuple(name.strip() for name in header)
        twice = {name for name in self.header if self.header.count(name) > 1}
        if twice:
            raise ValueError(
                f"{path}, line 1: column {printable(min(twice)[:60])!r} is there twice"
            )

    def __iter__(self) -> Rows:
        rows = read_table(self.path, "panel", self.delimiter)
        next(rows)
        for line, fields in rows:
            row = Row(self.path, line, dict(zip(self.header, fields)))
            if len(fields) != len(self.header):
                row.refuse(f"{len(fields)} fields, expected {len(self.header)}")
            yield row


def json_lines(path: Path) -> Rows:
    """The objects of a JSONL file."""
    for line, value in read_json_lines(path, "panel"):
        yield Row(path, line, value)


def number(row: Row, name: str, value: Any) -> float:
    """A field as a finite number."""
    try:
        if isinstance(value, bool):
            raise ValueError
        found = float(value)
    except (TypeError, ValueError):
        row.refuse(f"{name} must be a number, got {value!r}")
    if not math.isfinite(found):
        row.refuse(f"{name} must be a finite number, got {value!r}")
    return found


_LONGEST_SCALE = 1000
"""Steps of the longest scale of whole numbers; values further apart are no levels."""


def scale(
    values: np.ndarray, kind: str | None, levels: tuple[float, ...] | None
) -> tuple[str, tuple[float, ...] | None]:
    """Kind and levels of values: ordinal where they are few whole numbers, unless told."""
    found = np.unique(values)
    whole = len(found) <= 12 and bool((found == np.round(found)).all())
    if whole and len(found) and found[-1] - found[0] > _LONGEST_SCALE:
        whole = False
    kind = kind or ("ordinal" if whole or levels else "real")
    if kind not in ("ordinal", "real"):
        raise ValueError(f"the ratings are values: kind must be ordinal or real, got {kind}")
    if kind == "real":
        return kind, None
    if levels is None:
        steps = np.arange(found.min(initial=0), found.max(initial=0) + 1) if whole else found
        levels = tuple(float(level) for level in steps)
    return kind, tuple(sorted(levels))


def name_rows(names: list[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Different names in the order of their first appearance, and each entry's row among them.

    >>> name_rows(["b", "a", "b"])
    (('b', 'a'), array([0, 1, 0]))
    """
    place: dict[str, int] = {}
    rows = [place.setdefault(name, len(place)) for name in names]
    return tuple(place), np.array(rows, int)
