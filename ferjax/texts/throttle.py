"""How many requests may run at once, and when the next may start: follows what the server says.

The number grows by one with every answer until the server is first overloaded, then by one a round;
each overload halves it (additive increase, multiplicative decrease, as TCP does). What a server
asks to wait, all requests wait.
"""

import random
from typing import NamedTuple

__all__ = ["Pace", "Throttle", "backoff"]


class Pace(NamedTuple):
    """How a server is asked."""

    at_once: int = 8
    """Requests in flight, at most; fewer where the server is overloaded."""
    per_minute: float | None = None
    """Requests a minute, at most."""
    attempts: int = 6
    """For a slot in one run; a server's plea to wait does not count."""
    most_requests: int | None = None
    """Stop after so many requests."""
    several: bool = True
    """Ask for several samples of one text in one request (``n``), where the server gives them."""
    seeds: bool = True
    """Send each request a seed of its own."""


def backoff(attempt: int, dice: random.Random, *, first: float = 0.5, most: float = 60.0) -> float:
    """Seconds to wait before the next attempt: exponential, with full jitter.

    Args:
      attempt: attempts made so far, from 1.
      dice: random numbers.
      first: upper end of the first wait.
      most: upper end of any.

    References:
      Brooker, Exponential Backoff And Jitter, 2015,
      https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
    """
    return dice.uniform(0, min(most, first * 2 ** min(attempt - 1, 16)))


class Throttle:
    """Decides whether one more request may start; times are seconds of any one clock.

    Args:
      most: requests at once, at most.
      per_minute: requests a minute, at most; None for no such limit.
    """

    def __init__(self, most: int, per_minute: float | None = None):
        self.limit = float(min(most, 4))
        self._most = most
        self._spacing = 0.0 if per_minute is None else 60.0 / per_minute
        self._next = 0.0
        self._starting = True
        self._reduced = float("-inf")

    def wait(self, in_flight: int, now: float) -> float | None:
        """Seconds until a request may start, 0 for now; None while others must finish first."""
        if in_flight >= max(1, int(self.limit)):
            return None
        return max(0.0, self._next - now)

    def sent(self, now: float) -> None:
        """A request starts."""
        self._next = max(self._next, now) + self._spacing if self._spacing else self._next

    def answered(self) -> None:
        """A request was answered."""
        more = 1.0 if self._starting else 1.0 / self.limit
        self.limit = min(float(self._most), self.limit + more)

    def overloaded(self, sent: float, now: float, wait: float | None) -> None:
        """The server refused a request for its load, or took too long.

        Args:
          sent: when the request started; of those that started before the number was last reduced,
            none reduces it again.
          now: the time.
          wait: seconds that the server asks to wait.
        """
        if sent >= self._reduced:
            self.limit = max(1.0, self.limit / 2)
            self._reduced = now
            self._starting = False
        if wait is not None:
            self._next = max(self._next, now + wait)
