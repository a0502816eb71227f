"""A lock on a folder: one live process works in it, and the lock ends with it, however it ends."""

import fcntl
import os
import socket
import time
from pathlib import Path

__all__ = ["FolderLock"]

_NAME = ".lock"
_TRIES = 5
_PAUSE = 0.05
"""Seconds between tries: who only looks whether a lock is held has it for a moment."""


class FolderLock:
    """The kernel's lock on a file in a folder, naming the process that holds it.

    Args:
      folder: where the lock's file is while it is held.
      name: of that file.
      what: what it protects, for messages; the folder by default.
    """

    def __init__(self, folder: Path, name: str = _NAME, what: object = None):
        self.folder = folder
        self._path = folder / name
        self._what = folder if what is None else what
        self._lock: int | None = None

    def __enter__(self) -> "FolderLock":
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def take(self) -> None:
        """Takes the lock; the folder must exist.

        Raises:
          FileExistsError: if a live process has it, naming the process.
        """
        path = self._path
        failed = 0
        while self._lock is None:
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                failed += 1
                if failed < _TRIES:
                    os.close(lock)
                    time.sleep(_PAUSE)
                    continue
                os.close(lock)
                raise self._in_use() from None
            except OSError:
                pass  # a file system without locks: nothing is known of others
            try:
                # Whoever held it last removes the file; a lock on a removed file excludes nobody.
                still = os.stat(path).st_ino == os.fstat(lock).st_ino
            except FileNotFoundError:
                still = False
            if still:
                self._lock = lock
            else:
                os.close(lock)
        os.ftruncate(self._lock, 0)
        os.write(self._lock, f"process {os.getpid()} on {socket.gethostname()}\n".encode())

    def require_free(self) -> None:
        """Refuses what a live process has, without taking it; before long work.

        Raises:
          FileExistsError: naming the process.
        """
        for _ in range(_TRIES):
            if not self.held:
                return
            time.sleep(_PAUSE)
        raise self._in_use()

    def _in_use(self) -> FileExistsError:
        owner = self.owner or "another process"
        return FileExistsError(f"{self._what} is in use by {owner}; let it finish or stop it first")

    @property
    def held(self) -> bool:
        """Whether some live process has it."""
        try:
            with open(self._path) as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    @property
    def owner(self) -> str:
        """The process that has it, or had it when it died; empty where the lock was given back."""
        try:
            return self._path.read_bytes()[:200].decode(errors="replace").strip()
        except FileNotFoundError:
            return ""

    def release(self) -> None:
        """Gives the folder back; nothing happens if it was not taken."""
        if self._lock is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None
