"""The conditions an evaluation predicts: clean splits, tolerances, corruptions, other sets."""

from typing import NamedTuple

from ferjax.config import EvaluateConfig
from ferjax.faces.dataset import Dataset

__all__ = ["Condition", "plan"]


class Condition(NamedTuple):
    """One thing to predict: a set of faces, and what is done to its pictures."""

    source: str
    corruption: str | None = None
    severity: int | None = None
    tolerance: str | None = None

    @property
    def name(self) -> str:
        """``valid``, ``gnoise_3`` (of test faces), ``valid_gnoise_3``, ``tolerance_zoom``."""
        prefix = "" if self.source == "test" else f"{self.source}_"
        if self.corruption is not None:
            return f"{prefix}{self.corruption}_{self.severity}"
        return self.source if self.tolerance is None else f"{prefix}tolerance_{self.tolerance}"

    @property
    def split(self) -> str:
        """``test``, ``valid``, or ``ood`` for any other set."""
        return self.source if self.source in ("test", "valid") else "ood"


def plan(config: EvaluateConfig, dataset: Dataset) -> list[Condition]:
    """What an evaluation predicts.

    Clean valid and test, the out-of-distribution sets that are not empty, both splits under every
    tolerance, corrupted test faces, and corrupted valid ones to fit learned routers on.
    """
    ood = [name for name, faces in dataset.ood.items() if len(faces.ids)]
    return [
        *(Condition(name) for name in ("valid", "test", *ood)),
        *(Condition(s, tolerance=t) for s in ("valid", "test") for t in config.tolerances),
        *(Condition("test", c, s) for c in config.corruptions for s in config.severities),
        *(Condition("valid", c, s) for c in config.fit_corruptions for s in config.fit_severities),
    ]
