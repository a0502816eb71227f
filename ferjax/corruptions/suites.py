"""Named corruptions, the suites they form, and their application to a batch.

To add a corruption, write a function of the form :data:`Corruption` and enter it in
:data:`CORRUPTIONS`; the published suites are tuples of names of their own and stay what they are.
"""

import zlib
from collections.abc import Callable

import jax
import numpy as np
from jax.typing import ArrayLike

from ferjax.corruptions import imagenet_c, paper
from ferjax.corruptions.noise import impulse_noise, shot_noise

__all__ = [
    "BASE",
    "CORRUPTIONS",
    "IMAGENET_C",
    "IMAGENET_C_EXTRA",
    "PAPER",
    "REVISION",
    "Corruption",
    "corrupt",
]

Corruption = Callable[[jax.Array, jax.Array, ArrayLike], jax.Array]
"""A pure function ``(key, image, severity) -> image``.

``image`` is float ``[H, W, C]`` in [0, 1] at the *network's* input size, before normalisation; C is
1 or 3. ``severity`` is 1..5 and may be traced, so that one compiled program serves all five.
"""

REVISION = 2
"""Raised whenever a corruption makes other pictures: kept predictions are then made anew."""
BASE = ("gnoise", "blur", "occlude", "bright", "pixelate")
"""The paper's five base corruptions."""

PAPER = (
    *BASE,
    "shot_noise",
    "impulse_noise",
    "motion_blur",
    "contrast",
    "jpeg",
    "elastic",
)
"""The paper's broad suite of eleven, the base five included."""

IMAGENET_C = tuple(f"imagenet_c.{name}" for name in imagenet_c.FIFTEEN)
"""ImageNet-C's fifteen, with their own severities."""

IMAGENET_C_EXTRA = tuple(f"imagenet_c.{name}" for name in imagenet_c.EXTRA)
"""ImageNet-C's four validation corruptions."""

# Names become file names, so they hold no slash.
CORRUPTIONS: dict[str, Corruption] = {
    "gnoise": paper.gnoise,
    "blur": paper.blur,
    "occlude": paper.occlude,
    "bright": paper.bright,
    "pixelate": paper.pixelate,
    "shot_noise": shot_noise,
    "impulse_noise": impulse_noise,
    "motion_blur": paper.motion_blur,
    "contrast": paper.contrast,
    "jpeg": paper.jpeg,
    "elastic": paper.elastic,
    **{f"imagenet_c.{name}": f for name, f in (imagenet_c.FIFTEEN | imagenet_c.EXTRA).items()},
}
"""Every corruption by name."""


def corrupt(
    name: str, images: jax.Array, severity: ArrayLike, ids: jax.Array, *, seed: int = 0
) -> jax.Array:
    """Corrupts a batch.

    The noise is keyed by (seed, corruption, severity, image id): the same face gets the same noise
    in any batch, and all ensemble members see the same corrupted face. Fresh noise per member would
    be counted as epistemic uncertainty.

    Args:
      name: one of :data:`CORRUPTIONS` (static).
      images: ``[face, H, W, C]`` float in [0, 1].
      severity: 1..5; may be traced.
      ids: ``[face]`` whole numbers that identify the faces; they key the noise.
      seed: seed of the whole set of corruptions.

    Returns:
      ``[face, H, W, C]`` in [0, 1].

    Raises:
      ValueError: on an unknown name, a static severity outside 1..5, or shapes that do not fit.

    >>> import jax.numpy as jnp
    >>> gray = jnp.full((2, 16, 16, 3), 0.5)
    >>> corrupt("bright", gray, severity=2, ids=jnp.array([7, 8]))[0, 0, 0].tolist()
    [0.69..., 0.69..., 0.69...]
    """
    if name not in CORRUPTIONS:
        raise ValueError(f"unknown corruption {name!r}; known: {', '.join(CORRUPTIONS)}")
    if isinstance(severity, int | np.integer) and not 1 <= severity <= 5:
        raise ValueError(f"severity must be 1..5, got {severity}")
    if images.ndim != 4 or ids.shape != images.shape[:1]:
        raise ValueError(
            f"expected images [face, H, W, C] and ids [face], got {images.shape} and {ids.shape}"
        )
    name_key = jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode()))
    key = jax.random.fold_in(name_key, severity)
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(ids)
    return jax.vmap(CORRUPTIONS[name], in_axes=(0, 0, None))(keys, images, severity)
