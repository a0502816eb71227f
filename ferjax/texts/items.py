"""Texts from files: with ids, from CSV, TSV or JSON lines; with labels, from lines of both."""

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ferjax.files import printable, read_json_lines, read_table, read_text

__all__ = ["Texts", "files_of", "labelled_lines", "read_texts", "texts_in"]

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
    found: dict[str, str] = {}
    for line, row in _rows(path):
        text = row.get("text")
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{path}, line {line}: expected a text, got {repr(text)[:60]}")
        named = next((row[name] for name in _ID_NAMES if row.get(name) not in (None, "")), None)
        if isinstance(named, bool | float | list | dict):
            got = repr(named)[:60]
            raise ValueError(f"{path}, line {line}: an id is text or a number, got {got}")
        item = str(len(found)) if named is None else str(named)
        if found.setdefault(item, text) != text:
            raise ValueError(f"{path}, line {line}: id {item[:60]!r} had another text before")
        if len(found) == most:
            break
    if not found:
        raise ValueError(f"{path}: no text in it")
    return Texts(tuple(found), tuple(found.values()))


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers, and rows by lower-case name."""
    if path.suffix in (".jsonl", ".ndjson"):
        yield from read_json_lines(path, "texts")
        return
    table = read_table(path, "texts", "\t" if path.suffix == ".tsv" else ",")
    first = next(table, None)
    names = [] if first is None else [name.strip().casefold() for name in first.fields]
    if "text" not in names:
        got = printable(", ".join(names)[:200]) or "nothing"
        raise ValueError(
            f"{path}, line 1: expected a header with the columns id and text, got {got}"
        )
    for line, fields in table:
        if len(fields) != len(names):
            raise ValueError(
                f"{path}, line {line}: {len(fields)} columns, the header has {len(names)}"
            )
        yield line, dict(zip(names, fields))


def labelled_lines(path: str | Path) -> Iterator[tuple[int, tuple[str, str]]]:
    """Line numbers, texts and labels of a file without header: text, tab, labels, and what follows.

    Args:
      path: as GoEmotions' simplified files are; a text that holds quotes is quoted, as in CSV.

    Raises:
      ValueError: naming the file and the line that is wrong.
    """
    for line, row in read_table(path, "texts", "\t"):
        if len(row) < 2 or not row[0].strip():
            raise ValueError(f"{path}, line {line}: expected a text, a tab and labels")
        yield line, (row[0], row[1])


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
        for path in files_of(pattern):
            if path.suffix == ".tsv" and not _names_a_text(path):
                found |= dict.fromkeys(text for _, (text, _) in labelled_lines(path))
            else:
                found |= dict.fromkeys(read_texts(path).texts)
    return tuple(found)


def files_of(pattern: str) -> list[Path]:
    """The files that a pattern names, in order.

    Raises:
      FileNotFoundError: if there is none.
    """
    paths = sorted(map(Path, glob.glob(pattern)))
    if not paths:
        raise FileNotFoundError(f"no texts at {pattern}")
    return paths


def _names_a_text(path: Path) -> bool:
    names = read_text(path, "texts").partition("\n")[0].split("\t")
    return "text" in (name.strip().casefold() for name in names)
