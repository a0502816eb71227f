"""Events of long work: typed, handed to one callable while it runs.

Nothing in this package prints. Every function that takes long takes ``on_event``, a callable of one
event, and is silent without one. :class:`ferjax.commands.display.Console` shows events in a
terminal.

>>> seen = []
>>> on_event: OnEvent = seen.append
>>> on_event(Message("resuming after step 5"))
>>> seen[0].text
'resuming after step 5'
"""

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Event", "LogLine", "Message", "OnEvent", "Progress", "silent"]


class Message(NamedTuple):
    """A sentence for people: a checkpoint was damaged, a member was left out."""

    text: str


class Progress(NamedTuple):
    """How far a task is: a share ``done`` in [0, 1], and a word about where it stands."""

    task: str
    done: float
    note: str = ""


class LogLine(NamedTuple):
    """A line of metrics.jsonl, see :mod:`ferjax.ensemble.log`; seeds and epochs of the run."""

    figures: dict
    seeds: tuple[int, ...]
    epochs: int


Event = Message | Progress | LogLine
OnEvent = Callable[[Event], None]


def silent(event: Event) -> None:
    """Ignores an event: what ``on_event`` is by default."""
    del event
