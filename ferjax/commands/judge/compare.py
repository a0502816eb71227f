"""``ferjax judge compare``: judges held against a panel of people."""

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from ferjax.commands.arguments import NewFolder


@dataclasses.dataclass(frozen=True)
class Compare:
    """Hold judges against a panel of people: how far their distributions are apart once the noise
    of few raters and few samples is taken out.

        ferjax judge compare ratings.csv judgments.npz baseline.npz --out OUT
    """

    panel: Annotated[Positional[Path], arg(metavar="PANEL")]
    """Ratings of people."""
    judges: Annotated[Positional[tuple[Path, ...]], arg(metavar="JUDGMENTS...")]
    """Files of judgments (.npz), or of predictions."""
    out: NewFolder
    """Folder of the report."""

    def run(self) -> int:
        raise ValueError("not there yet")
