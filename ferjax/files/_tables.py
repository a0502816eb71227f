"""Tables as CSV: read with the line of every row, and cells that spreadsheets do not run."""

import csv
import io
import os
from collections.abc import Iterator
from typing import NamedTuple

from ferjax.files._reading import printable, read_text

__all__ = ["Row", "cell", "read_table"]

LARGEST_FIELD = 2**20
"""Characters of the longest field that is read."""


class Row(NamedTuple):
    """A row: the number of its last line in the file, from 1, and its fields."""

    line: int
    fields: list[str]


def read_table(
    path: str | os.PathLike, what: str = "CSV file", separator: str = ","
) -> Iterator[Row]:
    """The rows of a CSV file, the header too; empty lines are passed over.

    Args:
      path: the file, UTF-8, or UTF-16 with its byte order mark.
      what: what it should be, for messages.
      separator: between fields.

    Raises:
      FileNotFoundError: if there is nothing.
      ValueError: naming file and line, on other encodings, fields too long, or open quotes.
    """
    text = read_text(path, what)
    before = csv.field_size_limit()
    lines = io.StringIO(text, newline="")  # with their ends, which a quoted field may hold
    reader = csv.reader(lines, strict=True, delimiter=separator)
    try:
        while True:
            csv.field_size_limit(LARGEST_FIELD)
            try:
                row = next(reader, None)
            finally:
                csv.field_size_limit(before)
            if row is None:
                return
            if separator == "," and reader.line_num == 1 and len(row) == 1:
                _refuse_other_separators(path, row[0])
            if row:
                yield Row(reader.line_num, row)
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: not a CSV file: {error}") from error


def _refuse_other_separators(path: str | os.PathLike, header: str) -> None:
    for name, separator in (("semicolons", ";"), ("tabs", "\t")):
        if separator in header:
            raise ValueError(
                f"{path}, line 1: fields are separated by {name}; save it with commas between them"
            )


def cell(text: str) -> str:
    """Text for a cell of a CSV file: control characters escaped, and never a formula.

    A spreadsheet runs what begins with ``=``, ``+``, ``-`` or ``@``; an apostrophe before it is how
    they mark text.

    >>> cell("=1+1"), cell("fear")
    ("'=1+1", 'fear')
    """
    text = printable(text, surrogates=True).replace("\n", "\\n").replace("\t", "\\t")
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
