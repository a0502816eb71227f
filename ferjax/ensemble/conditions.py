"""The conditions an evaluation predicts: clean splits, tolerances, corruptions, other sets."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from ferjax.config import EvaluateConfig, nearest
from ferjax.corruptions.suites import CORRUPTIONS
from ferjax.faces.dataset import Dataset

__all__ = ["Condition", "plan", "refuse_reserved", "require_known"]

_SPLITS = ("train", "training", "valid", "val", "validation", "test")


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


def require_known(config: EvaluateConfig) -> None:
    """Refuses corruptions that do not exist, before anything is predicted.

    Raises:
      ValueError: naming the first, and the nearest that does.
    """
    for name in (*config.corruptions, *config.fit_corruptions):
        if name not in CORRUPTIONS:
            raise ValueError(f"unknown corruption {name!r}; {nearest(name, CORRUPTIONS)}")


def refuse_reserved(name: str, own: Iterable[str], flag: str = "--ood") -> None:
    """Refuses a name for another set of pictures that means something else in an evaluation.

    Args:
      name: of the set.
      own: names of the run's own splits and sets.
      flag: that it was given to.

    Raises:
      ValueError: if it is one of those, or like a split's, a corruption's or a tolerance's.

    >>> refuse_reserved("cats", ("valid", "test"))
    """
    if name in own:
        raise ValueError(
            f"{flag} {name}=...: that name is taken; this run's own sets are {', '.join(own)}"
        )
    stem, _, number = name.rpartition("_")
    first = name.partition("_")[0]
    corrupted = name in CORRUPTIONS or (number.isdecimal() and stem in CORRUPTIONS)
    if corrupted or first in _SPLITS or first == "tolerance":
        raise ValueError(
            f"{flag} {name}=...: that name means a split, or a corruption or tolerance of one; "
            "choose another"
        )
    if re.fullmatch(r".+_[1-5]", name):
        raise ValueError(
            f"{flag} {name}=...: a name that ends in a severity, _1 to _5, means a corruption of "
            "the test items; choose another"
        )
