"""Corruptions of pictures at five severities, the suites they form, and harmless changes.

>>> from ferjax import corruptions
>>> corruptions.BASE
('gnoise', 'blur', 'occlude', 'bright', 'pixelate')
"""

from ferjax.corruptions.suites import (
    BASE,
    CORRUPTIONS,
    IMAGENET_C,
    IMAGENET_C_EXTRA,
    PAPER,
    Corruption,
    corrupt,
)
from ferjax.corruptions.tolerances import TOLERANCES, view

__all__ = [
    "BASE",
    "CORRUPTIONS",
    "IMAGENET_C",
    "IMAGENET_C_EXTRA",
    "PAPER",
    "TOLERANCES",
    "Corruption",
    "corrupt",
    "view",
]
