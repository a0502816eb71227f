"""Types of arguments that several commands take: what stands for them in the help."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

__all__ = [
    "File",
    "NewFile",
    "NewFolder",
    "Number",
    "OptionalFolder",
    "OptionalNumber",
    "Prior",
    "Run",
    "Word",
]

Run = Annotated[Positional[Path], arg(metavar="RUN")]
"""The folder of a run, the first word of a command."""
NewFolder = Annotated[Path, arg(metavar="FOLDER")]
NewFile = Annotated[Path, arg(metavar="FILE")]
Number = Annotated[int, arg(metavar="N")]
# What may be left out says in its sentence what happens then, not "(default: None)".
File = Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")]
OptionalFolder = Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="")]
OptionalNumber = Annotated[int | None, arg(metavar="N", help_behavior_hint="")]
Word = Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")]


Prior = Annotated[
    str | None,
    arg(metavar="{training,uniform,sqrt,estimated}|FILE", help_behavior_hint=""),
]
"""A class prior, by name or from a file."""
