"""Where commands write: results to standard output, everything else to standard error."""

import contextlib
import os
from collections.abc import Iterable
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from ferjax.files import printable

__all__ = ["SafeConsole", "discard", "discard_if_broken", "err", "out"]


class SafeConsole(Console):
    """A console on which no name and no message can steer the terminal: control characters in what
    is printed are escaped, whoever put them there."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Segments with their control characters escaped; rich's own controls stay."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield segment._replace(text=printable(segment.text))


def discard(stream: TextIO) -> None:
    """Lets a stream go nowhere: whoever read from it is gone, or its disk is full."""
    with contextlib.suppress(Exception):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())


def discard_if_broken(stream: TextIO) -> None:
    """Discards a stream that takes nothing more, so that leaving does not fail once again."""
    try:
        stream.flush()
    except (OSError, ValueError):
        discard(stream)


def _console(**more: Any) -> SafeConsole:
    # Names of files and messages hold square brackets, which are not meant as markup. No line is
    # wrapped, so that a path or a command in it can be copied; a table is printed with
    # soft_wrap=False.
    return SafeConsole(markup=False, highlight=False, soft_wrap=True, **more)


out = _console()
err = _console(stderr=True)
