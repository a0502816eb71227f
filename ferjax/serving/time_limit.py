"""A call that may take so long and no longer."""

import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["OutOfTimeError", "within"]

Result = TypeVar("Result")


class OutOfTimeError(ValueError):
    """A call did not end in its time; its thread is left behind, and ends with the process."""


def within(seconds: float, call: Callable[[], Result]) -> Result:
    """What a call returns, or raises, if it ends in time.

    Compiled code cannot be stopped from outside: what does not end is left to a daemon thread.

    Args:
      seconds: the limit.
      call: what to do.

    Raises:
      OutOfTimeError: if it has not ended by then.

    >>> within(10, lambda: 1 + 1)
    2
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # raised where the call is waited for
            errors.append(error)

    worker = threading.Thread(target=run, daemon=True, name="limited")
    worker.start()
    worker.join(seconds)
    if worker.is_alive():
        raise OutOfTimeError(f"did not end in {seconds:,.0f} seconds")
    if errors:
        raise errors[0]
    return results[0]
