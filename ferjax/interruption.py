"""Signals: SIGTERM and Ctrl-C end long work at its next step, with everything saved.

A second Ctrl-C ends it at once.
"""

import signal
import threading
from typing import Any

__all__ = ["EXIT_STATUS", "Interrupted", "Stop"]

EXIT_STATUS = {signal.SIGTERM: 75, signal.SIGINT: 130}
"""What a command exits with after it saved: 75 (sysexits' "try again") when preempted, 130 when
interrupted."""


class Interrupted(Exception):
    """A run was stopped by a signal; nothing it had done is lost."""

    def __init__(self, cause: signal.Signals, saved: str):
        super().__init__(f"stopped by {cause.name}; {saved}")
        self.cause = cause


class Stop:
    """Receives signals while it is open (in the main thread, where they arrive).

    Raises :class:`Interrupted` immediately until ``graceful`` is set; after that records the signal
    in ``received`` for the loop to check.
    """

    def __init__(self) -> None:
        self.graceful = False
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def _handle(self, number: int, frame: object) -> None:
        del frame
        self.received = signal.Signals(number)
        # Restore the default SIGINT handler, so a second Ctrl-C stops XLA compilation too. Writes
        # are atomic.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if not self.graceful:
            raise Interrupted(self.received, "no step had been taken")

    def __enter__(self) -> "Stop":
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._handle) for s in EXIT_STATUS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
