"""How many pixels may be in memory at once, over all threads that decode pictures."""

import threading
from types import TracebackType

__all__ = ["LARGEST", "Claim", "PixelBudget"]

LARGEST = 150_000_000
"""Pixels above which a picture is not decoded (a small file can claim any size), and that may be
decoded at once over all threads: a large picture waits for the others."""


class PixelBudget:
    """Pixels that threads share.

    Args:
      limit: how many; a claim is never more than this.
    """

    def __init__(self, limit: int = LARGEST):
        self._limit = limit
        self._free = limit
        self._changed = threading.Condition()

    def claim(self, pixels: int) -> "Claim":
        """Takes pixels; waits until so many are free."""
        taken = min(pixels, self._limit)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= taken)
            self._free -= taken
        return Claim(self, taken)

    def give_back(self, pixels: int) -> None:
        """What :meth:`Claim.release` calls."""
        with self._changed:
            self._free += pixels
            self._changed.notify_all()


class Claim:
    """Pixels taken from a budget; given back once, at the latest when nobody holds the claim."""

    def __init__(self, budget: PixelBudget, pixels: int):
        self._budget = budget
        self._pixels = pixels

    def release(self) -> None:
        """Gives the pixels back; a second time nothing happens."""
        pixels = self._pixels
        self._pixels = 0
        if pixels:
            self._budget.give_back(pixels)

    def __enter__(self) -> "Claim":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()
