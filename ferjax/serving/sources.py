"""Pictures to route: files, folders, patterns, .npz files and streams, walked lazily in order.

Nothing here holds a list of all pictures: folders are read in sorted blocks, .npz files row by row.
"""

import glob
import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ferjax.faces import image_files
from ferjax.faces.pixel_budget import LARGEST, Claim, PixelBudget
from ferjax.files import open_array, parse_json

__all__ = ["STREAM", "Item", "check", "count", "holds_pictures", "items"]

STREAM = "-"
_SUFFIXES = (*image_files.SUFFIXES, *image_files.HEIF_SUFFIXES, ".npz")
BLOCK = 65_536
"""Names sorted at a time; larger folders are walked in blocks of this many, to bound memory."""

_LONGEST_NAME = 200
"""Characters of a broken line of a stream that stand for its picture."""

Loader = Callable[[int, image_files.Finder | None, bool], list[image_files.FoundFace]]


class Item(NamedTuple):
    """One picture, not read yet.

    Attributes:
      path: as it was named or found.
      load: ``(side, find, colour)`` to its faces; raises ValueError.
      row: its place in an .npz.
      passthrough: the caller's own keys, carried into the output.
    """

    path: str
    load: Loader
    row: int | None = None
    passthrough: Mapping[str, Any] = {}


def _failing(path: str, message: str, passthrough: Mapping[str, Any] | None = None) -> Item:
    def load(
        side: int, find: image_files.Finder | None, colour: bool = False
    ) -> list[image_files.FoundFace]:
        raise ValueError(message)

    return Item(path, load, passthrough=passthrough or {})


def _of_file(path: str, passthrough: Mapping[str, Any] | None = None) -> Iterator[Item]:
    if path.lower().endswith(".npz"):
        yield from _of_npz(path, passthrough or {})
        return

    def load(
        side: int, find: image_files.Finder | None, colour: bool = False
    ) -> list[image_files.FoundFace]:
        return image_files.read(path, side, find, colour=colour)

    yield Item(path, load, passthrough=passthrough or {})


_ROWS = PixelBudget(2 * LARGEST)
"""Of rows of arrays that wait to be decoded; apart from picture files, so that neither waits for
the other, and for two of the largest, so that one can be read while somebody holds another."""


def _of_npz(path: str, passthrough: Mapping[str, Any]) -> Iterator[Item]:
    """Rows of the array ``images``, read one at a time."""
    try:
        with open_array(path, "images", "image", "arr_0") as images:
            _check_rows(images.shape, images.dtype)
            pixels = math.prod(images.shape[1:3])
            rows = images.rows()
            for number in range(images.shape[0]):
                # Claimed before it is read, and held by nothing but the item.
                yield _of_row(path, number, _ROWS.claim(pixels), next(rows), passthrough)
    except FileNotFoundError:
        yield _failing(path, "no such file", passthrough)
    except (ValueError, OSError) as error:
        said = str(error).removeprefix(f"{path}: ")
        yield _failing(path, f"unreadable .npz: {said}", passthrough)


def _check_rows(shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Refuses an array as a whole where no row of it can be a picture."""
    gray = len(shape) == 3 or (len(shape) == 4 and shape[-1] == 1)
    if dtype != np.uint8 or not (gray or (len(shape) == 4 and shape[-1] == 3)):
        raise ValueError(
            f"images must be uint8 [item, H, W] or [item, H, W, 3], got {dtype} {list(shape)}"
        )
    smallest = image_files.SMALLEST
    if min(shape[1:3]) < smallest:
        raise ValueError(
            f"images of {shape[2]} x {shape[1]} pixels; at least {smallest} x {smallest} are needed"
        )
    if math.prod(shape[1:3]) > LARGEST:
        raise ValueError(
            f"images of {shape[2]} x {shape[1]} pixels; more than {LARGEST:,} are not read"
        )


def _of_row(
    path: str, row: int, claim: Claim, image: np.ndarray, passthrough: Mapping[str, Any]
) -> Item:
    held = [image]
    del image

    def load(
        side: int, find: image_files.Finder | None, colour: bool = False
    ) -> list[image_files.FoundFace]:
        with claim:
            picture = held.pop()
            if picture.ndim == 3 and picture.shape[2] == 1:
                picture = picture[..., 0]
            return image_files.faces_of_array(picture, side, find, colour=colour)

    return Item(path, load, row, passthrough)


def _in_order(names: Iterable[str]) -> Iterator[str]:
    names = iter(names)
    while block := sorted(itertools.islice(names, BLOCK)):
        yield from block


def _walk(folder: str, above: tuple[tuple[int, int], ...] = ()) -> Iterator[Item]:
    """Pictures below a folder, depth first, by name; symlinked folders are followed, cycles are
    skipped."""
    try:
        status = os.stat(folder)
        here = (status.st_dev, status.st_ino)
        if here in above:
            return
        with os.scandir(folder) as entries:
            for name in _in_order(entry.name for entry in entries):
                path = os.path.join(folder, name)
                if os.path.isdir(path):
                    yield from _walk(path, (*above, here))
                elif name.lower().endswith(_SUFFIXES):
                    yield from _of_file(path)
    except OSError as error:
        yield _failing(folder, f"unreadable folder: {error.strerror}")


def _of_line(number: int, line: bytes) -> Iterator[Item]:
    """A line of a stream: a path, or a JSON object with ``path`` whose other keys are passed
    through."""
    text = os.fsdecode(line)
    if "\0" in text:
        yield _failing(text[:_LONGEST_NAME], f"line {number} of the stream holds a NUL character")
        return
    if not text.startswith("{"):
        yield from _of_file(text)
        return
    try:
        passthrough = parse_json(text)
    except ValueError as error:
        shown = text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}…"
        yield _failing(shown, f"line {number} of the stream is not JSON: {error}")
        return
    path = passthrough.pop("path", None)
    if isinstance(path, str) and path and "\0" not in path:
        yield from _of_file(path, passthrough)
    else:
        yield _failing("", f'line {number} of the stream has no "path"', passthrough)


def _stream(file: BinaryIO) -> Iterator[Item]:
    for number, line in enumerate(file, 1):
        if line.strip():
            yield from _of_line(number, line.rstrip(b"\r\n"))


def _one(source: str) -> Iterator[Item]:
    if os.path.isdir(source):
        yield from _walk(source)
    elif os.path.lexists(source):
        yield from _of_file(source)
    else:
        yield from _matching(source)


def _matching(pattern: str) -> Iterator[Item]:
    """What a pattern matches, each picture once: ``**`` matches folders and what is in them."""
    seen: set[int] = set()
    for path in _in_order(glob.iglob(pattern, recursive=True)):
        found = _walk(path) if os.path.isdir(path) else _of_file(path)
        for item in found:
            key = hash((os.path.normpath(item.path), item.row))
            if key not in seen:
                seen.add(key)
                yield item
            del item  # its row's pixels are free once nobody holds it


def items(sources: Iterable[str | Path], stdin: BinaryIO | None = None) -> Iterator[Item]:
    """Everything there is to route, in order.

    Args:
      sources: files, folders (searched below for image suffixes and .npz), patterns like
        ``photos/**/*.jpg``, .npz files with an array ``images``, and ``-`` for a stream.
      stdin: the stream, a line per picture: its path, or a JSON object with ``path``.

    Returns:
      The items, read as they are asked for.
    """
    for source in map(str, sources):
        if source == STREAM and stdin is not None:
            yield from _stream(stdin)
        else:
            yield from _one(source)


def count(sources: Iterable[str | Path]) -> int:
    """How many pictures there are to route; walks them all, reads no picture file."""
    number = 0
    for item in items(sources):
        del item  # its row's pixels are free once nobody holds it
        number += 1
    return number


def holds_pictures(source: str) -> bool:
    """Whether a file, folder or pattern holds anything to route."""
    return next(_one(source), None) is not None


def check(sources: Iterable[str | Path]) -> None:
    """Refuses sources that hold nothing, before anything slow starts.

    Args:
      sources: as for :func:`items`.

    Raises:
      FileNotFoundError: if a source does not exist, a folder holds no picture, or a pattern matches
        nothing.
      ValueError: if there is no source, or the stream is named twice.
    """
    named = list(map(str, sources))
    if not named:
        raise ValueError(
            "nothing to route: give image files, folders, patterns, .npz files, or - for a stream "
            "of paths"
        )
    if named.count(STREAM) > 1:
        raise ValueError("the stream - is given twice")
    for source in named:
        if source == STREAM or holds_pictures(source):
            continue
        if os.path.isdir(source):
            raise FileNotFoundError(
                f"{source}: no picture in this folder (looked for "
                f"{' '.join(image_files.SUFFIXES)} .npz)"
            )
        if os.path.exists(source):
            raise FileNotFoundError(f"{source}: holds no picture")
        pattern = glob.has_magic(source)
        raise FileNotFoundError(
            f"{source}: no file matches this pattern"
            if pattern
            else f"no such file or folder: {source}"
        )
