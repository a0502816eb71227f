"""Corruptions of pictures at five severities, as pure JAX functions, and the suites they form.

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

__all__ = [
    "BASE",
    "CORRUPTIONS",
    "IMAGENET_C",
    "IMAGENET_C_EXTRA",
    "PAPER",
    "Corruption",
    "corrupt",
]
