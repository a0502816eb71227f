"""The end of an evaluation in a terminal: the answer, two cautions, the file to open."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from ferjax.evaluation.results import Evaluation
from ferjax.report.answer import answer
from ferjax.report.conclusions import Conclusion

__all__ = ["show"]

_COLUMN = 14
_CAUTIONS = 2


def show(
    e: Evaluation,
    conclusions: Sequence[Conclusion],
    console: Console,
    *,
    report: Path | None = None,
    more: Sequence[tuple[str, str]] = (),
) -> None:
    """Prints what decides, in about fifteen lines; everything else is in the report.

    Args:
      e: what was found.
      conclusions: of it, the most important first.
      console: where to.
      report: the file to open.
      more: further lines, a word and what it is about each, e.g. the next command.
    """
    lines = [(of.topic, of.text, "bold") for of in answer(e)]
    bad = [c.text for c in conclusions if c.tone == "bad"]
    lines += [("caution", text, "yellow") for text in bad[:_CAUTIONS]]
    if report is not None:
        lines.append(("report", f"open {report}", "green"))
    lines += [(topic, text, "green") for topic, text in more]
    for topic, text, style in lines:
        _line(console, topic, text, style)


def _line(console: Console, topic: str, text: str, style: str) -> None:
    """A word and its text: folded in a terminal, one line in a pipe and where it holds a path."""
    folded = [text]
    if console.is_terminal and style != "green":
        folded = textwrap.wrap(text, max(40, min(console.width, 100) - _COLUMN)) or [""]
    for number, part in enumerate(folded):
        head = topic if number == 0 else ""
        console.print(
            Text.assemble((f"{head:<{_COLUMN}}", style), part), soft_wrap=True, highlight=False
        )
