"""Files written whole or not at all."""

import os
import stat
from pathlib import Path

__all__ = ["require_folder", "require_writable", "write_atomically"]


def write_atomically(path: str | os.PathLike, data: bytes) -> None:
    """Writes a file so that, whatever happens, either the old or the new one is there, whole.

    Args:
      path: the file; its folder must exist. Where it is a link, the file it points to is replaced.
      data: its whole new content.

    Raises:
      OSError: naming ``path``, if it cannot be written; the old file stays as it was.
      ValueError: if it is a device, a pipe or a folder, which cannot be replaced.
    """
    path = Path(path)
    _require_replaceable(path)
    target = Path(os.path.realpath(path))
    scratch = target.with_name(f".{target.name[:200]}.{os.getpid()}")
    try:
        with open(scratch, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, target)
    except OSError as error:
        if error.errno is None:
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from error
    finally:
        scratch.unlink(missing_ok=True)


def _require_replaceable(path: Path) -> None:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return  # nothing there, or opening it will say what is wrong
    if stat.S_ISDIR(mode):
        raise ValueError(f"cannot write {path}: it is a folder")
    if not stat.S_ISREG(mode):
        raise ValueError(f"cannot write {path}: it is not a regular file")


def require_writable(path: str | os.PathLike) -> None:
    """Refuses, before long work, a file that :func:`write_atomically` could not write.

    Args:
      path: the file.

    Raises:
      ValueError: saying why: no such folder, no permission, a device or a folder of that name.
    """
    path = Path(path)
    _require_replaceable(path)
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        raise ValueError(f"cannot write {path}: its folder does not exist")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"cannot write {path}: no permission to write to its folder")


def require_folder(path: str | os.PathLike) -> None:
    """Makes a folder that files will be written to, or refuses it before long work.

    Args:
      path: the folder; made with those above it if it is not there.

    Raises:
      ValueError: saying why: a file of that name, no permission, a full disk.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = "it is a file" if path.exists() else error.strerror
        raise ValueError(f"cannot write to {path}: {why}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ValueError(f"cannot write to {path}: no permission")
