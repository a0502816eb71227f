"""Corruptions of pictures at five severities, as pure JAX functions, and the suites they form.

>>> import jax.numpy as jnp
>>> from ferjax import corruptions
>>> corruptions.corrupt("blur", jnp.zeros((2, 32, 32, 3)), 3, ids=jnp.arange(2)).shape
(2, 32, 32, 3)
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
