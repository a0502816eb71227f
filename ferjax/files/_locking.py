"""A file that one live process at a time may write; the lock is the kernel's and ends with it."""

import fcntl
import os
import socket
import time
from pathlib import Path

__all__ = ["Lock"]

TRIES = 5
"""Times a lock is asked for: who only looks whether it is taken holds it for a moment."""
PAUSE = 0.05
"""Seconds between two tries."""


class Lock:
    """An exclusive lock under the name of a file beside what it protects.

    Hold it as a context, or with :meth:`acquire` and :meth:`release`.

    Args:
      path: the lock's file; it exists while the lock is held.
      what: what it protects, for messages.
    """

    def __init__(self, path: Path, what: str | os.PathLike):
        self._path = path
        self._what = what
        self._held: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._held is not None

    def acquire(self) -> None:
        """Takes the lock.

        Raises:
          FileExistsError: naming the owner, if a live process has it.
          OSError: if the file cannot be written.
        """
        failed = 0
        while self._held is None:
            lock = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                failed += 1
                if failed < TRIES:
                    os.close(lock)
                    time.sleep(PAUSE)
                    continue
                owner = os.read(lock, 200).decode(errors="replace").strip() or "another process"
                os.close(lock)
                raise FileExistsError(
                    f"{self._what} is in use by {owner}; let it finish or stop it first"
                ) from None
            except OSError:
                pass  # a file system without locks: nothing is known of others
            try:
                # Whoever held it last removes the file; a lock on a removed file excludes nobody.
                still = os.stat(self._path).st_ino == os.fstat(lock).st_ino
            except FileNotFoundError:
                still = False
            if still:
                self._held = lock
            else:
                os.close(lock)
        os.ftruncate(self._held, 0)
        os.write(self._held, f"process {os.getpid()} on {socket.gethostname()}\n".encode())

    def release(self) -> None:
        """Gives the lock back; nothing happens where it is not held."""
        if self._held is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._held)
            self._held = None

    def __enter__(self) -> "Lock":
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def taken(self) -> bool:
        """Whether a live process holds the lock."""
        try:
            with open(self._path) as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False
