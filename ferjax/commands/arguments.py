"""Types of arguments that several commands take: what stands for them in the help, and what must be
there before anything is loaded for a command."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from ferjax.commands import inputs
from ferjax.commands.inputs import Reads

__all__ = [
    "Classes",
    "Collection",
    "File",
    "Judges",
    "NewFile",
    "NewFolder",
    "Number",
    "OptionalFolder",
    "OptionalNewFile",
    "OptionalNumber",
    "Panel",
    "Prior",
    "Router",
    "Run",
    "Word",
]

Run = Annotated[Positional[Path], arg(metavar="RUN"), Reads(inputs.run)]
"""The folder of a run, the first word of a command."""
Collection = Annotated[Positional[Path], arg(metavar="RUN"), Reads(inputs.collection)]
"""The folder of collected answers, likewise."""
Panel = Annotated[Positional[Path], arg(metavar="PANEL"), Reads(inputs.panel)]
"""A file or folder of people's ratings, likewise."""
Judges = Annotated[
    Positional[tuple[Path, ...]],
    arg(metavar="JUDGES...", help_behavior_hint="(required)"),
    Reads(inputs.judges),
]
"""Files of judgments, behind a panel."""
NewFolder = Annotated[Path, arg(metavar="FOLDER")]
NewFile = Annotated[Path, arg(metavar="FILE")]
Number = Annotated[int, arg(metavar="N")]
# What may be left out says in its sentence what happens then, not "(default: None)".
File = Annotated[Path | None, arg(metavar="FILE", help_behavior_hint=""), Reads(inputs.file)]
OptionalNewFile = Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")]
OptionalFolder = Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="")]
OptionalNumber = Annotated[int | None, arg(metavar="N", help_behavior_hint="")]
Word = Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")]
Classes = Annotated[tuple[str, ...] | None, arg(metavar="NAME...", help_behavior_hint="")]


Router = Annotated[str | None, arg(metavar="{density,uar,paper,error}", help_behavior_hint="")]
"""Which of a run's routers decides; the list is that of :mod:`ferjax.serving.router_choice`."""
Prior = Annotated[
    str | None,
    arg(metavar="{training,uniform,sqrt,estimated}|FILE", help_behavior_hint=""),
    Reads(inputs.prior),
]
"""A class prior, by name or from a file."""
