"""Files written whole or not at all, and numpy's files read without opening a pickle."""

import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

__all__ = ["read_arrays", "write_atomically"]


def write_atomically(path: str | os.PathLike, data: bytes) -> None:
    """Writes a file so that, whatever happens, either the old or the new one is there, whole.

    Args:
      path: the file; its folder must exist.
      data: its whole new content.

    Raises:
      OSError: if it cannot be written; the old file stays as it was.
    """
    path = Path(path)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(scratch, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def read_arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Arrays of an ``.npz`` by name; the one of an ``.npy`` under the empty name.

    Args:
      path: the file; its suffix does not matter.

    Returns:
      Name -> array, in the file's order.

    Raises:
      ValueError: if the file is neither, or damaged; names it.
    """
    try:
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"": loaded}
            return {name: loaded[name] for name in loaded.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        # numpy's error for any foreign file is about pickles; replace it.
        why = "not one of numpy's files" if "pickle" in str(error) else str(error)
        raise ValueError(f"{path}: neither .npz nor .npy, or damaged ({why})") from error
