"""``ferjax judge calibrate``: maps from judges' distributions to people's, cross-fitted."""

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from ferjax.commands.arguments import NewFolder


@dataclasses.dataclass(frozen=True)
class Calibrate:
    """Fit maps from judges' distributions to people's, and score them on texts they have not seen,
    beside the trivial rivals.

        ferjax judge calibrate ratings.csv judgments.npz --out OUT
    """

    panel: Annotated[Positional[Path], arg(metavar="PANEL")]
    """Ratings of people."""
    judges: Annotated[Positional[tuple[Path, ...]], arg(metavar="JUDGMENTS...")]
    """Files of judgments (.npz), or of predictions."""
    out: NewFolder
    """Folder of the table and of calibrator.json."""

    def run(self) -> int:
        raise ValueError("not there yet")
