"""numpy's files without surprises: no pickle, and no more memory than the file itself accounts for.

What a header claims is compared with what the file holds before anything is allocated. A compressed
file may hold a hundred times its size, and at least :data:`SMALL`.
"""

import contextlib
import io
import math
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from ferjax.files._reading import require_file

__all__ = ["OpenArray", "open_array", "read_array", "read_arrays"]

SMALL = 2**28
"""Bytes that a file may always expand to."""
EXPANSION = 100
"""Times its size that a larger one may expand to."""
MOST_ARRAYS = 4096
_BLOCK = 2**24

_MAGIC = b"\x93NUMPY"


def read_arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Arrays of an ``.npz`` by name; the one of an ``.npy`` under the empty name.

    Args:
      path: the file; its suffix does not matter.

    Returns:
      Name -> array, in the file's order.

    Raises:
      FileNotFoundError: if there is nothing.
      ValueError: naming the file, if it is neither, damaged, encrypted, holds Python objects, or
        claims more than it holds.
    """
    path = require_file(path, "file of arrays")
    with open(path, "rb") as file, _named(path):
        if file.read(len(_MAGIC)) == _MAGIC:
            file.seek(0)
            return {"": _whole(file, path.stat().st_size)}
        with _zip(file) as archive:
            return {name: _member(archive, info) for name, info in _arrays_in(archive).items()}


def read_array(data: bytes) -> np.ndarray:
    """The array of the bytes of an ``.npy`` file.

    Raises:
      ValueError: if they are none, hold Python objects, or claim more than they hold.
    """
    file = io.BytesIO(data)
    return _whole(file, len(data))


class OpenArray:
    """An array of an ``.npz`` whose rows are read one at a time, from the first.

    Attributes:
      name: of the array.
      shape: all of it.
      dtype: of its numbers.
    """

    def __init__(self, name: str, file: IO[bytes], size: int):
        self.name = name
        self._file = file
        self.shape, self.dtype = _header(file, size)
        self._row = math.prod(self.shape[1:]) * self.dtype.itemsize

    def rows(self) -> Iterator[np.ndarray]:
        """Every row ``[...]`` in turn.

        Raises:
          ValueError: if the file ends within one.
        """
        for number in range(self.shape[0]):
            row = self._file.read(self._row)
            if len(row) < self._row:
                raise ValueError(f"ends within row {number} of {self.shape[0]} of {self.name}")
            yield np.frombuffer(row, self.dtype).reshape(self.shape[1:])


@contextlib.contextmanager
def open_array(path: str | os.PathLike, *names: str) -> Iterator[OpenArray]:
    """Opens the first of some arrays that an ``.npz`` holds, to read it row by row.

    Args:
      path: the file.
      *names: of the array, the likeliest first.

    Raises:
      FileNotFoundError: if there is nothing.
      ValueError: if it is no ``.npz``, holds none of these arrays, or is damaged.
    """
    path = require_file(path, "file of arrays")
    with open(path, "rb") as file, _named(path), _zip(file) as archive:
        found = _arrays_in(archive, limited=False)
        name = next((name for name in names if name in found), None)
        if name is None:
            raise ValueError(f"no array {names[0]!r}; found {', '.join(found) or 'nothing'}")
        with archive.open(found[name]) as member:
            yield OpenArray(name, member, found[name].file_size)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Whatever numpy, zipfile and zlib raise for a damaged file, as a ValueError that names it."""
    try:
        yield
    except MemoryError:
        raise ValueError(f"{path}: not enough memory to read it") from None
    except zipfile.BadZipFile as error:
        raise ValueError(
            f"{path}: neither .npz nor .npy, or damaged (not one of numpy's files)"
        ) from error
    except Exception as error:
        raise ValueError(
            f"{path}: neither .npz nor .npy, or damaged ({_first_line(error)})"
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _zip(file: IO[bytes]) -> zipfile.ZipFile:
    file.seek(0)
    return zipfile.ZipFile(file)


def _arrays_in(archive: zipfile.ZipFile, limited: bool = True) -> dict[str, zipfile.ZipInfo]:
    """Every array by name, once what the archive says of itself can be true."""
    infos = archive.infolist()
    if len(infos) > MOST_ARRAYS:
        raise ValueError(f"{len(infos):,} entries; at most {MOST_ARRAYS:,} are read")
    found: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = info.filename.removesuffix(".npy")
        if name == info.filename:
            continue
        if name in found:
            raise ValueError(f"array {name} is in it twice")
        if info.flag_bits & 1:
            raise ValueError(f"array {name} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(
                f"array {name} is compressed by method {info.compress_type}; expected what "
                "np.savez or np.savez_compressed write"
            )
        found[name] = info
    held = max(0, archive.fp.seek(0, os.SEEK_END)) if archive.fp is not None else 0
    expanded = sum(info.file_size for info in found.values())
    if limited and expanded > max(SMALL, EXPANSION * held):
        raise ValueError(
            f"{held:,} bytes that claim to expand to {expanded:,}, more than is read of a file of "
            "this size"
        )
    return found


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(info) as member:
        return _whole(member, info.file_size, info.filename.removesuffix(".npy"))


def _whole(file: IO[bytes], size: int, name: str = "") -> np.ndarray:
    shape, dtype, fortran = _any_header(file, size, name)
    data = memoryview(bytearray(math.prod(shape) * dtype.itemsize))
    filled = 0
    while filled < len(data):
        read = file.readinto(data[filled : filled + _BLOCK])  # type: ignore[attr-defined]
        if not read:
            raise ValueError(f"ends within array {name}" if name else "ends within the array")
        filled += read
    array = np.frombuffer(data, dtype)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def _header(file: IO[bytes], size: int) -> tuple[tuple[int, ...], np.dtype]:
    shape, dtype, fortran = _any_header(file, size)
    if not shape or dtype.itemsize == 0:
        raise ValueError(f"expected rows of numbers, got {dtype} {list(shape)}")
    if fortran:
        raise ValueError("stored in Fortran order; save np.ascontiguousarray(...)")
    return shape, dtype


def _any_header(
    file: IO[bytes], size: int, name: str = ""
) -> tuple[tuple[int, ...], np.dtype, bool]:
    """Shape, type and order that an array's header claims, once the file holds that many bytes."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise ValueError(f"arrays of version {version[0]}.{version[1]} are not read")
    called = f"array {name}" if name else "the array"
    if dtype.hasobject:
        raise ValueError(
            f"{called} holds Python objects, a pickle; not one of numpy's files without"
        )
    claimed = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or claimed != size - file.tell():
        raise ValueError(
            f"{called} claims {dtype} {list(shape)}, {claimed:,} bytes; the file holds "
            f"{size - file.tell():,}"
        )
    if max(shape, default=0) > 2**40 or (claimed == 0 and max(shape, default=0) > 2**20):
        raise ValueError(f"{called} claims {dtype} {list(shape)}")
    return shape, dtype, fortran
