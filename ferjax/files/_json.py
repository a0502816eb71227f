"""JSON that may come from anybody: a damaged, foreign or endlessly nested one is a ValueError."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

from ferjax.files._reading import printable, read_text

__all__ = ["finite", "parse_json", "read_json", "read_json_lines"]

DEEPEST = 100
"""Levels of nesting that are read: more would end in Python's recursion limit, here or later."""
LARGEST = 2**28
"""Bytes of the largest JSON file that is read."""


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
      ValueError: if it is none, or nested more than :data:`DEEPEST` levels deep.

    >>> parse_json('{"a": [1, null]}')
    {'a': [1, None]}
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} levels deep") from None
    _require_shallow(value)
    return value


def _require_shallow(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST):
        inside: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inside += one.values()
            elif isinstance(one, list):
                inside += one
        level = [one for one in inside if isinstance(one, dict | list)]
        if not level:
            return
    raise ValueError(f"nested more than {DEEPEST} levels deep")


def read_json(path: str | os.PathLike, what: str = "JSON file") -> Any:
    """The value in a JSON file.

    Args:
      path: the file.
      what: what it should be, for messages.

    Raises:
      FileNotFoundError: if there is nothing.
      ValueError: naming the file, if it is no JSON.
    """
    text = read_text(path, what, LARGEST)
    try:
        return parse_json(text)
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from error


def read_json_lines(
    path: str | os.PathLike, what: str = "file of JSON lines"
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file that has one on every line, with their line numbers from 1.

    Args:
      path: the file; empty lines are passed over.
      what: what it should be, for messages.

    Raises:
      FileNotFoundError: if there is nothing.
      ValueError: naming file and line, if one is no JSON object.
    """
    for number, line in enumerate(read_text(path, what).split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = parse_json(line)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: not JSON ({error})") from error
        if not isinstance(value, dict):
            got = printable(line.strip()[:40])
            raise ValueError(f"{path}, line {number}: expected a JSON object, got {got!r}")
        yield number, value


def finite(value: Any) -> Any:
    """The value with ``null`` for every NaN and infinity, which JSON does not have.

    >>> finite({"a": [float("nan"), 1.5]})
    {'a': [None, 1.5]}
    """
    if isinstance(value, Mapping):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
