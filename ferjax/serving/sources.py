"""Pictures to route: files, folders, patterns, .npz files and streams, walked lazily in order.

Nothing here holds a list of all pictures: folders are read in sorted blocks, .npz files row by row.
"""

import glob
import itertools
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ferjax.faces import image_files

__all__ = ["STREAM", "Item", "check", "items"]

STREAM = "-"
BLOCK = 65_536
"""Names sorted at a time; larger folders are walked in blocks of this many, to bound memory."""

Loader = Callable[[int, image_files.Finder | None], list[image_files.FoundFace]]


class Item(NamedTuple):
    """One picture, not read yet.

    Attributes:
      path: as it was named or found.
      load: ``(side, find)`` to its faces; raises ValueError.
      row: its place in an .npz.
      passthrough: the caller's own keys, carried into the output.
    """

    path: str
    load: Loader
    row: int | None = None
    passthrough: Mapping[str, Any] = {}


def _failing(path: str, message: str, passthrough: Mapping[str, Any] | None = None) -> Item:
    def load(side: int, find: image_files.Finder | None) -> list[image_files.FoundFace]:
        raise ValueError(message)

    return Item(path, load, passthrough=passthrough or {})


def _of_file(path: str, passthrough: Mapping[str, Any] | None = None) -> Iterator[Item]:
    if path.lower().endswith(".npz"):
        yield from _of_npz(path, passthrough or {})
        return

    def load(side: int, find: image_files.Finder | None) -> list[image_files.FoundFace]:
        return image_files.read(path, side, find)

    yield Item(path, load, passthrough=passthrough or {})


def _of_npz(path: str, passthrough: Mapping[str, Any]) -> Iterator[Item]:
    """Rows of the array ``images``, read one at a time."""
    try:
        if not os.path.isfile(path):
            raise ValueError("not a regular file" if os.path.exists(path) else "no such file")
        with zipfile.ZipFile(path) as archive:
            names = [n.removesuffix(".npy") for n in archive.namelist()]
            name = next((n for n in ("images", "image", "arr_0") if n in names), None)
            if name is None:
                raise ValueError(f"no array 'images'; found {', '.join(names) or 'nothing'}")
            with archive.open(f"{name}.npy") as file:
                npy_version = np.lib.format.read_magic(file)
                read_header = (
                    np.lib.format.read_array_header_1_0
                    if npy_version == (1, 0)
                    else np.lib.format.read_array_header_2_0
                )
                shape, fortran, dtype = read_header(file)
                if dtype != np.uint8 or not (
                    len(shape) == 3 or (len(shape) == 4 and shape[-1] == 3)
                ):
                    raise ValueError(
                        "images must be uint8 [item, H, W] or [item, H, W, 3], got "
                        f"{dtype} {list(shape)}"
                    )
                if fortran:
                    raise ValueError(
                        "images are stored in Fortran order; save np.ascontiguousarray(images)"
                    )
                size = int(np.prod(shape[1:]))
                for i in range(shape[0]):
                    row = file.read(size)
                    if len(row) < size:
                        raise ValueError(f"ends within image {i} of {shape[0]}")
                    image = np.frombuffer(row, np.uint8).reshape(shape[1:])
                    yield _of_row(path, i, image, passthrough)
    # zipfile, zlib and numpy raise half a dozen kinds for a file that is no .npz
    except Exception as error:
        yield _failing(path, f"unreadable .npz: {error}", passthrough)


def _of_row(path: str, row: int, image: np.ndarray, passthrough: Mapping[str, Any]) -> Item:
    def load(side: int, find: image_files.Finder | None) -> list[image_files.FoundFace]:
        return image_files.faces_of_array(image, side, find)

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
                elif name.lower().endswith((*image_files.SUFFIXES, ".npz")):
                    yield from _of_file(path)
    except OSError as error:
        yield _failing(folder, f"unreadable folder: {error.strerror}")


def _of_line(number: int, line: bytes) -> Iterator[Item]:
    """A line of a stream: a path, or a JSON object with ``path`` whose other keys are passed
    through."""
    text = os.fsdecode(line)
    if not text.startswith("{"):
        yield from _of_file(text)
        return
    try:
        passthrough = json.loads(text)
    except ValueError as error:
        yield _failing(text, f"line {number} of the stream is not JSON: {error}")
        return
    path = passthrough.pop("path", None)
    if isinstance(path, str) and path:
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
        for path in _in_order(glob.iglob(source, recursive=True)):
            yield from _walk(path) if os.path.isdir(path) else _of_file(path)


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
        if source == STREAM or next(_one(source), None) is not None:
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
