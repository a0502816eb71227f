"""Being asked to stop: SIGTERM and Ctrl-C end a run at its next step, with everything saved; a
second Ctrl-C at once."""

import signal
import threading
from typing import Any

__all__ = ["EXIT_STATUS", "Interrupted", "Stop"]

EXIT_STATUS = {signal.SIGTERM: 75, signal.SIGINT: 130}
"""What a command exits with after it saved: 75 (sysexits' "try again") when preempted, 130 when
interrupted."""


class Interrupted(Exception):
    """A run stopped because it was asked to; nothing it had done is lost."""

    def __init__(self, cause: signal.Signals, saved: str):
        super().__init__(f"stopped by {cause.name}; {saved}")
        self.cause = cause


class Stop:
    """Listens while it is open (in the main thread, where signals arrive).

    At first a signal raises :class:`Interrupted` on the spot. Once ``graceful`` is set there is
    something to save: then it only leaves its name in ``asked``, for the loop to see.
    """

    def __init__(self) -> None:
        self.graceful = False
        self.asked: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def _hear(self, number: int, frame: object) -> None:
        del frame
        self.asked = signal.Signals(number)
        # From now on the kernel answers: it stops even a process that is deep inside a compilation.
        # No file is left in half.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if not self.graceful:
            raise Interrupted(self.asked, "no step had been taken")

    def __enter__(self) -> "Stop":
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._hear) for s in EXIT_STATUS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
