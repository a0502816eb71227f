"""The conditions an evaluation predicts: clean splits, corruptions, out-of-distribution sets."""

from typing import NamedTuple

from ferjax.config import EvaluateConfig
from ferjax.faces.dataset import Dataset

__all__ = ["Condition", "plan"]


class Condition(NamedTuple):
    """One thing to predict: a set of faces, and what is done to its pictures."""

    source: str
    corruption: str | None = None
    severity: int | None = None

    @property
    def name(self) -> str:
        """``valid``, ``gnoise_3`` (of test faces), ``valid_gnoise_3``."""
        if self.corruption is None:
            return self.source
        prefix = "" if self.source == "test" else f"{self.source}_"
        return f"{prefix}{self.corruption}_{self.severity}"

    @property
    def split(self) -> str:
        """``test``, ``valid``, or ``ood`` for any other set."""
        return self.source if self.source in ("test", "valid") else "ood"


def plan(config: EvaluateConfig, dataset: Dataset) -> list[Condition]:
    """What an evaluation predicts.

    Clean valid and test, the out-of-distribution sets that are not empty, corrupted test faces, and
    corrupted valid ones to fit learned routers on.
    """
    ood = [name for name, faces in dataset.ood.items() if len(faces.ids)]
    return [
        *(Condition(name) for name in ("valid", "test", *ood)),
        *(Condition("test", c, s) for c in config.corruptions for s in config.severities),
        *(Condition("valid", c, s) for c in config.fit_corruptions for s in config.fit_severities),
    ]
