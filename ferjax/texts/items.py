"""Texts from files: with ids, from CSV, TSV or JSON lines; with labels, from lines of both."""

import csv
import glob
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Texts", "labelled_lines", "read_texts", "texts_in"]

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


def labelled_lines(path: str | Path) -> Iterator[tuple[int, tuple[str, str]]]:
    """Line numbers, texts and labels of a file without header: text, tab, labels, and what follows.

    Args:
      path: as GoEmotions' simplified files are; a text that holds quotes is quoted, as in CSV.

    Raises:
      ValueError: naming the file and the line that is wrong.
    """
    with open(path, encoding="utf-8", newline="") as file:
        table = csv.reader(file, delimiter="\t")
        try:
            for row in table:
                if len(row) < 2 or not row[0].strip():
                    raise ValueError(
                        f"{path}, line {table.line_num}: expected a text, a tab and labels"
                    )
                yield table.line_num, (row[0], row[1])
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: not UTF-8 ({error.reason})") from error


def texts_in(patterns: Sequence[str]) -> tuple[str, ...]:
    """The texts of files, each once, in their order.

    Args:
      patterns: files, several by wildcards: what :func:`read_texts` reads, or what
        :func:`labelled_lines` does (``.tsv`` whose first line names no column ``text``).

    Raises:
      FileNotFoundError: if one is not there.
      ValueError: naming the file that is wrong.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        paths = sorted(map(Path, glob.glob(pattern)))
        if not paths:
            raise FileNotFoundError(f"no texts at {pattern}")
        for path in paths:
            if path.suffix == ".tsv" and not _names_a_text(path):
                found |= dict.fromkeys(text for _, (text, _) in labelled_lines(path))
            else:
                found |= dict.fromkeys(read_texts(path).texts)
    return tuple(found)


def _names_a_text(path: Path) -> bool:
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        names = file.readline().split("\t")
    return "text" in (name.strip().casefold() for name in names)
