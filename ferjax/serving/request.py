"""What is wrong with a request to route pictures, told before a model is opened or JAX started."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from ferjax.files import require_writable, same_file
from ferjax.locking import FolderLock
from ferjax.serving import sources

__all__ = [
    "LARGEST_BATCH",
    "check_request",
    "is_stream",
    "lock_of",
    "require_batch",
    "require_new_adaptation",
]

LARGEST_BATCH = 2**16
"""Pictures in a batch, at most: every batch is padded to its full size."""


def require_batch(size: int, name: str = "batch_size") -> None:
    """Refuses a batch of no picture, or of too many.

    Raises:
      ValueError: naming the bounds; ``name`` is what it calls the size.
    """
    if not 1 <= size <= LARGEST_BATCH:
        raise ValueError(f"{name} must be at least 1 and at most {LARGEST_BATCH:,}, got {size}")


def check_request(
    paths: Iterable[str | Path],
    out: Path | None = None,
    contact_sheet: Path | None = None,
    reads: Iterable[str | Path] = (),
) -> None:
    """Refuses what cannot be done, before a model is loaded for it.

    Args:
      paths: the sources, see :func:`ferjax.serving.sources.items`.
      out: the file of lines that shall be written; a device or a pipe may be one.
      contact_sheet: the picture that shall be written.
      reads: further files that are read.

    Raises:
      FileNotFoundError: if a source does not exist, or holds no picture.
      FileExistsError: if another process writes to ``out``.
      ValueError: if there is no source, a file cannot be written where it is to be, or would be
        written onto one that is read or written too.
    """
    paths = list(paths)
    sources.check(paths)
    if out is not None and not is_stream(out):
        require_writable(out)
        if out.exists() and not os.access(out, os.W_OK):
            raise ValueError(f"cannot write {out}: no permission")
        lock_of(out).require_free()
    if contact_sheet is not None:
        require_writable(contact_sheet)
        if contact_sheet.suffix.lower() not in ("", ".png"):
            raise ValueError(f"cannot write {contact_sheet}: a contact sheet is a .png")
        if out is not None and same_file(out, contact_sheet):
            raise ValueError(f"the lines and the contact sheet cannot both be {out}")
    for file in (out, contact_sheet):
        for read in (*paths, *reads):
            if file is not None and str(read) != sources.STREAM and same_file(file, Path(read)):
                raise ValueError(
                    f"cannot write {file}: it is read, and is no line that this command writes"
                )


def is_stream(path: Path) -> bool:
    """Whether a path is a pipe or a device, which lines are written to and not read from."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def lock_of(out: Path) -> FolderLock:
    """The lock of a file of lines: one process writes to it at a time."""
    target = Path(os.path.realpath(out))
    return FolderLock(target.parent, f".{target.name[:200]}.lock", what=out)


def require_new_adaptation(out: Path) -> None:
    """Refuses a folder that holds anything but an earlier adaptation.

    Raises:
      FileExistsError: naming what is in it.
    """
    inside = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    others = [name for name in inside if name != "thresholds.json"]
    if others or (out.exists() and not out.is_dir()):
        held = f"holds {others[0]}" if others else "is a file"
        raise FileExistsError(f"{out} {held}; choose another folder for what is adapted")
