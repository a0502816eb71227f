"""What a run has to know about its data: names of the classes, size and colour of pictures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["DataSpec"]


LARGEST_SIDE = 8192
"""Pixels: stored pictures are small, and larger ones would fill memory."""


@dataclass(frozen=True)
class DataSpec:
    """Description of a data set that travels into the run, the predictions and the export.

    Attributes:
      classes: names of the classes, in the order of the vote counts' last axis.
      side: side of the stored square pictures, pixels.
      colour: whether pictures have three channels.

    Raises:
      ValueError: if there are fewer than two classes, one occurs twice, or ``side`` is below 1.
    """

    classes: tuple[str, ...]
    side: int
    colour: bool = False

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"expected two or more different classes, got {self.classes}")
        if not 1 <= self.side <= LARGEST_SIDE:
            raise ValueError(
                f"side must be at least 1 pixel and at most {LARGEST_SIDE:,}, got {self.side}"
            )

    def to_json(self) -> dict[str, Any]:
        """The specification as JSON values, the inverse of :meth:`from_json`.

        >>> DataSpec(("cat", "dog"), 48).to_json()
        {'classes': ['cat', 'dog'], 'side': 48, 'colour': False}
        """
        return {"classes": list(self.classes), "side": self.side, "colour": self.colour}

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one stored picture.

        >>> DataSpec(("cat", "dog"), 48, colour=True).shape
        (48, 48, 3)
        """
        return (self.side, self.side, 3) if self.colour else (self.side, self.side)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "DataSpec":
        """Builds a specification from JSON values.

        Args:
          values: ``{"classes": [names], "side": pixels, "colour": whether}``; gray where nothing is
            said of colour, other keys are ignored.

        Raises:
          ValueError: if a value is missing or of the wrong kind.

        >>> DataSpec.from_json({"classes": ["cat", "dog"], "side": 48}).classes
        ('cat', 'dog')
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"expected an object with classes and side, got {values!r}")
        classes = values.get("classes")
        side = values.get("side")
        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            raise ValueError(f"expected classes as a list of names, got {classes!r}")
        if not isinstance(side, int) or isinstance(side, bool):
            raise ValueError(f"expected side as a whole number of pixels, got {side!r}")
        colour = values.get("colour", False)
        if not isinstance(colour, bool):
            raise ValueError(f"expected colour as true or false, got {colour!r}")
        return cls(tuple(classes), side, colour)
