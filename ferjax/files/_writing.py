"""Files and folders written whole or not at all."""

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

__all__ = [
    "new_folder",
    "require_folder",
    "require_new_folder",
    "require_writable",
    "same_file",
    "write_atomically",
]


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


def same_file(one: str | os.PathLike, other: str | os.PathLike) -> bool:
    """Whether two names are of one file, links followed; of files that are not there too."""
    try:
        return os.path.samefile(one, other)
    except OSError:  # one of them is not there
        return os.path.realpath(one) == os.path.realpath(other)


def require_writable(
    path: str | os.PathLike,
    reads: Iterable[str | os.PathLike | None] = (),
    suffixes: Collection[str] = (),
) -> None:
    """Refuses, before long work, a file that :func:`write_atomically` could not write.

    Args:
      path: the file.
      reads: files that the same command reads, which it must not replace; None is none.
      suffixes: that its name may have, in lower case; any unless given.

    Raises:
      ValueError: saying why: no such folder, no permission, a device or a folder of that name, a
        file that is read, another suffix.
    """
    path = Path(path)
    if suffixes and path.suffix.lower() not in suffixes:
        raise ValueError(f"cannot write {path}: its name must end in {max(suffixes)}")
    for read in reads:
        if read is not None and same_file(path, read):
            raise ValueError(f"cannot write {path}: this command reads it")
    _require_replaceable(path)
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        raise ValueError(f"cannot write {path}: its folder does not exist")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"cannot write {path}: no permission to write to its folder")


def require_folder(path: str | os.PathLike, *, make: bool = True) -> None:
    """Makes a folder that files will be written to, or refuses it before long work.

    Args:
      path: the folder; made with those above it if it is not there.
      make: otherwise it is only asked whether it could be made.

    Raises:
      ValueError: saying why: a file of that name, no permission, a full disk.
    """
    path = Path(path)
    if not make and not path.exists():
        _require_room(path)
        return
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = "it is a file" if path.exists() else error.strerror
        raise ValueError(f"cannot write to {path}: {why}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ValueError(f"cannot write to {path}: no permission")


def require_new_folder(path: str | os.PathLike) -> None:
    """Refuses, before long work, a folder that :func:`new_folder` could not make.

    Args:
      path: the folder; it may be there if it is empty.

    Raises:
      FileExistsError: if something is there.
      ValueError: saying why it cannot be made: a file above it, no permission.
    """
    path = Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise FileExistsError(f"{path} exists and is not empty; choose a new folder or remove it")
    _require_room(path)


def _require_room(path: Path) -> None:
    """Refuses a folder that could not be made, for what is above it."""
    above = next(of for of in path.absolute().parents if os.path.lexists(of))
    if not above.is_dir():
        raise ValueError(f"cannot write to {path}: {above} is a file")
    if not os.access(above, os.W_OK | os.X_OK):
        raise ValueError(f"cannot write to {path}: no permission to write to {above}")


@contextlib.contextmanager
def new_folder(path: str | os.PathLike) -> Iterator[Path]:
    """A folder to write to, which takes its name once all is written; on an error nothing is left.

    Args:
      path: the folder to be, as :func:`require_new_folder` demands; those above it are made.

    Yields:
      The folder meanwhile, with the rights that the user's umask leaves.
    """
    path = Path(path)
    require_new_folder(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: what a killed process left behind is in nobody's way.
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name[:200]}.", dir=path.parent))
    try:
        umask = os.umask(0)
        os.umask(umask)
        scratch.chmod(0o777 & ~umask)
        yield scratch
        if path.exists():
            path.rmdir()
        os.rename(scratch, path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
