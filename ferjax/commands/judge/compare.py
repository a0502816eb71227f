"""``ferjax judge compare``: judges held against a panel of people."""

import dataclasses
from pathlib import Path

from tyro.conf import Positional


@dataclasses.dataclass(frozen=True)
class Compare:
    """Hold judges against a panel of people: how far their distributions are apart once the noise
    of few raters and few samples is taken out.

    ferjax judge compare ratings.csv judgments.npz baseline.npz --out OUT
    """

    panel: Positional[Path]
    """Ratings of people."""
    judges: Positional[tuple[Path, ...]]
    """Files of judgments (.npz), or of predictions."""
    out: Path
    """Folder of the report."""

    def run(self) -> int:
        raise ValueError("not there yet")
