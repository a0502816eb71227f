"""``ferjax judge calibrate``: maps from judges' distributions to people's, cross-fitted."""

import dataclasses
from pathlib import Path

from tyro.conf import Positional


@dataclasses.dataclass(frozen=True)
class Calibrate:
    """Fit maps from judges' distributions to people's, and score them on texts they have not seen,
    beside the trivial rivals.

    ferjax judge calibrate ratings.csv judgments.npz --out OUT
    """

    panel: Positional[Path]
    """Ratings of people."""
    judges: Positional[tuple[Path, ...]]
    """Files of judgments (.npz), or of predictions."""
    out: Path
    """Folder of the table and of calibrator.json."""

    def run(self) -> int:
        raise ValueError("not there yet")
