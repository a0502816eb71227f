"""A finding in words, and how it is meant."""

import dataclasses
from typing import Literal

__all__ = ["Conclusion"]


@dataclasses.dataclass(frozen=True)
class Conclusion:
    """A sentence, and whether it is ``good``, ``bad`` or a ``note``."""

    tone: Literal["good", "bad", "note"]
    text: str
