"""``ferjax judge``: language models beside people, one file a command."""

from typing import Annotated, Any

from tyro.conf import subcommand

from ferjax.commands.judge.calibrate import Calibrate
from ferjax.commands.judge.compare import Compare

__all__ = ["ABOUT", "JUDGE"]

ABOUT = "Ask language models about texts, and hold their judgments against people's."

JUDGE: Any = (
    Annotated[Compare, subcommand("compare")]  # in the order of their use
    | Annotated[Calibrate, subcommand("calibrate")]
)
"""The commands of the group."""
