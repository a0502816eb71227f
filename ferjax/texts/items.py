"""Texts to be judged: ids and texts from CSV, TSV or JSON lines."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Texts", "read_texts"]

_ID_NAMES = ("id", "item", "text_id", "item_id")


class Texts(NamedTuple):
    """Texts and what they are known by, in the file's order."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]


def read_texts(path: str | Path, most: int | None = None) -> Texts:
    """Reads texts.

    A text may stand on several rows under one id, as in a table with one row a rating; it is read
    once.

    Args:
      path: ``.jsonl`` with the keys ``id`` and ``text``, or a table with those columns, separated
        by tabs (``.tsv``) or commas (anything else); ``item``, ``text_id`` or ``item_id`` will do
        for ``id``, and without either the rows are numbered.
      most: read only that many texts, the first.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: naming the file and the line that is wrong.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no texts at {path}")
    found: dict[str, str] = {}
    try:
        for line, row in _rows(path):
            text = row.get("text")
            if not isinstance(text, str) or not text.strip():
                raise ValueError(f"{path}, line {line}: expected a text, got {text!r}")
            named = next((row[name] for name in _ID_NAMES if row.get(name) not in (None, "")), None)
            if isinstance(named, bool | float | list | dict):
                raise ValueError(f"{path}, line {line}: an id is text or a number, got {named!r}")
            item = str(len(found)) if named is None else str(named)
            if found.setdefault(item, text) != text:
                raise ValueError(f"{path}, line {line}: id {item!r} had another text before")
            if len(found) == most:
                break
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 ({error.reason} at byte {error.start})") from error
    if not found:
        raise ValueError(f"{path}: no text in it")
    return Texts(tuple(found), tuple(found.values()))


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers, and rows by lower-case name."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        if path.suffix in (".jsonl", ".ndjson"):
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise ValueError(f"{path}, line {number}: not JSON ({error})") from error
                if not isinstance(row, dict):
                    raise ValueError(f"{path}, line {number}: expected an object, got {row!r}")
                yield number, row
            return
        table = csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ",", strict=True)
        try:
            names = [name.strip().casefold() for name in next(table, [])]
            if "text" not in names:
                raise ValueError(
                    f"{path}, line 1: expected a header with the columns id and text, got {names}"
                )
            for row in table:
                if len(row) not in (0, len(names)):
                    raise ValueError(
                        f"{path}, line {table.line_num}: {len(row)} columns, the header has "
                        f"{len(names)}"
                    )
                if row:
                    yield table.line_num, dict(zip(names, row))
        except csv.Error as error:
            raise ValueError(f"{path}, line {table.line_num}: {error}") from error
