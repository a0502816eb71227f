"""Harmless changes of stored pictures: what two cameras or face detectors do differently.

A corruption asks what a model does when pictures get worse; a tolerance names a difference that
should make *no* difference. Each is a pure function ``(key, image) -> image`` that draws its
strength from a range. They act on pictures as they are stored, before anything is enlarged for a
network, and end in whole grey levels, as files do.

References:
  Keys, Cubic Convolution Interpolation for Digital Image Processing, 1981,
  https://doi.org/10.1109/TASSP.1981.1163711 (bicubic).
"""

import zlib
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ferjax.corruptions.filters import rows_and_columns, sample_bilinear
from ferjax.corruptions.jpeg import roundtrip
from ferjax.corruptions.resizing import cubic_matrix, linear_matrix, overlap_matrix

__all__ = ["TOLERANCES", "Tolerance", "apply", "view"]

Tolerance = Callable[[jax.Array, jax.Array], jax.Array]
"""A pure function ``(key, image) -> image``; ``image`` is float ``[H, W, C]`` in [0, 1] at its
stored size, C is 1 or 3."""

ZOOM = 0.08
"""Of the side, tighter or wider."""
ROTATION = 10.0
"""Degrees, either way."""
SHIFT = 2 / 48
"""Of the side, either way on each axis: 2 pixels of 48."""
DETOUR = (64 / 48, 224 / 48)
"""Side of the picture in between, in sides of the stored one: 64 to 224 pixels for 48."""
JPEG_QUALITY = (70.0, 100.0)
GAMMA = 4 / 3
"""The exponent lies between its inverse and itself."""
BRIGHTNESS = 0.1
"""Of the range from black to white, added or taken."""
CONTRAST = 0.1
"""Of the distance to the picture's mean, added or taken."""
NOISE = 3 / 255
"""Largest standard deviation, of the range from black to white."""


def _between(key: jax.Array, low: float, high: float) -> jax.Array:
    return jax.random.uniform(key, minval=low, maxval=high)


def _kernel_matrix(bilinear: jax.Array, places: jax.Array, side: int) -> jax.Array:
    return jnp.where(bilinear, linear_matrix(places, side), cubic_matrix(places, side))


def zoom(key: jax.Array, image: jax.Array) -> jax.Array:
    """Cut tighter or wider, bilinear or bicubic; beyond the edge its pixels repeat."""
    kernel, strength = jax.random.split(key)
    bilinear = jax.random.bernoulli(kernel)
    scale = 1 + _between(strength, -ZOOM, ZOOM)

    def matrix(side: int) -> jax.Array:
        places = (jnp.arange(side) + 0.5 - side / 2) * scale + side / 2 - 0.5
        return _kernel_matrix(bilinear, places, side)

    return rows_and_columns(matrix(image.shape[0]), matrix(image.shape[1]), image)


def shift(key: jax.Array, image: jax.Array) -> jax.Array:
    """Moved on each axis, bilinear or bicubic; beyond the edge its pixels repeat."""
    kernel, strength = jax.random.split(key)
    bilinear = jax.random.bernoulli(kernel)
    shares = jax.random.uniform(strength, (2,), minval=-SHIFT, maxval=SHIFT)

    def matrix(side: int, share: jax.Array) -> jax.Array:
        return _kernel_matrix(bilinear, jnp.arange(side) + share * side, side)

    height, width = image.shape[:2]
    return rows_and_columns(matrix(height, shares[0]), matrix(width, shares[1]), image)


def rotation(key: jax.Array, image: jax.Array) -> jax.Array:
    """Turned about the centre, bilinear; beyond the edge its pixels repeat."""
    angle = jnp.deg2rad(_between(key, -ROTATION, ROTATION))
    height, width = image.shape[:2]
    down = jnp.arange(height)[:, None] - (height - 1) / 2
    right = jnp.arange(width)[None, :] - (width - 1) / 2
    row = jnp.cos(angle) * down - jnp.sin(angle) * right + (height - 1) / 2
    column = jnp.sin(angle) * down + jnp.cos(angle) * right + (width - 1) / 2
    return sample_bilinear(image, jnp.clip(row, 0, height - 1), jnp.clip(column, 0, width - 1))


def resampling(key: jax.Array, image: jax.Array) -> jax.Array:
    """Enlarged and made small again: bilinear or bicubic up, bilinear or by area down."""
    up, down, size = jax.random.split(key, 3)
    bilinear_up = jax.random.bernoulli(up)
    bilinear_down = jax.random.bernoulli(down)
    factor = _between(size, *DETOUR)

    def matrix(side: int) -> jax.Array:
        most = int(np.ceil(side * DETOUR[1]))
        between = jnp.clip(jnp.round(side * factor), side, most)
        places = (jnp.arange(most) + 0.5) * side / between - 0.5
        enlarged = _kernel_matrix(bilinear_up, places, side)
        # No place lies beyond the picture in between, which is smaller than `most` rows.
        back = (jnp.arange(side) + 0.5) * between / side - 0.5
        by_area = overlap_matrix(side, between, most)
        return jnp.where(bilinear_down, linear_matrix(back, most), by_area) @ enlarged

    return rows_and_columns(matrix(image.shape[0]), matrix(image.shape[1]), image)


def jpeg(key: jax.Array, image: jax.Array) -> jax.Array:
    """Stored as JPEG of a good quality and read back."""
    return roundtrip(jnp.clip(image, 0.0, 1.0), _between(key, *JPEG_QUALITY))


def gamma(key: jax.Array, image: jax.Array) -> jax.Array:
    """Another gamma; black and white stay."""
    exponent = jnp.exp(_between(key, -float(np.log(GAMMA)), float(np.log(GAMMA))))
    return jnp.maximum(image, 1e-6) ** exponent


def brightness(key: jax.Array, image: jax.Array) -> jax.Array:
    """Lighter or darker by the same amount everywhere."""
    return image + _between(key, -BRIGHTNESS, BRIGHTNESS)


def contrast(key: jax.Array, image: jax.Array) -> jax.Array:
    """Pulled towards the picture's mean, or away from it."""
    mean = jnp.mean(image)
    return (image - mean) * (1 + _between(key, -CONTRAST, CONTRAST)) + mean


def noise(key: jax.Array, image: jax.Array) -> jax.Array:
    """A sensor's noise: independent Gaussian per pixel and channel."""
    strength, each = jax.random.split(key)
    return image + _between(strength, 0.0, NOISE) * jax.random.normal(each, image.shape)


def mirrored(key: jax.Array, image: jax.Array) -> jax.Array:
    """Left and right exchanged."""
    del key
    return image[:, ::-1]


TOLERANCES: dict[str, Tolerance] = {
    "mirrored": mirrored,
    "zoom": zoom,
    "rotation": rotation,
    "shift": shift,
    "gamma": gamma,
    "brightness": brightness,
    "contrast": contrast,
    "noise": noise,
    "resampling": resampling,
    "jpeg": jpeg,
}
"""Every tolerance by name, from the scene to the file: the order in which several are applied."""


def apply(
    key: jax.Array, image: jax.Array, chosen: jax.Array, probability: ArrayLike = 1.0
) -> jax.Array:
    """Tolerances one after another.

    Args:
      key: of this picture's changes.
      image: float ``[H, W, C]`` in [0, 1].
      chosen: bool ``[tolerance]``, which of :data:`TOLERANCES`, in its order; may be traced.
      probability: with which each of them is applied; may be traced.

    Returns:
      ``[H, W, C]`` in [0, 1].
    """
    for number, tolerance in enumerate(TOLERANCES.values()):
        whether, own = jax.random.split(jax.random.fold_in(key, number))

        def changed(image: jax.Array, tolerance: Tolerance = tolerance, own: jax.Array = own):
            return jnp.clip(tolerance(own, image), 0.0, 1.0)

        applied = jax.lax.cond(chosen[number], changed, lambda image: image, image)
        image = jnp.where(jax.random.bernoulli(whether, probability), applied, image)
    return image


def view(
    names: str | Sequence[str],
    images: np.ndarray,
    ids: np.ndarray,
    *,
    seed: int = 0,
    batch_size: int = 256,
) -> np.ndarray:
    """Stored pictures under a tolerance, as stored pictures.

    The change is keyed by (seed, tolerance, picture's id): the same picture gets the same change in
    any batch.

    Args:
      names: one of :data:`TOLERANCES`; or several, of which each is then applied with probability
        1/2.
      images: uint8 ``[item, H, W]`` gray or ``[item, H, W, 3]``.
      ids: ``[item]`` whole numbers that identify the pictures.
      seed: of the whole set of changes.
      batch_size: pictures at once; one program serves all batches and all tolerances.

    Returns:
      uint8, the shape of ``images``.

    Raises:
      ValueError: on an unknown name, or shapes or a dtype that do not fit.

    >>> faces = np.arange(128, dtype=np.uint8).reshape(2, 8, 8)
    >>> view("mirrored", faces, np.arange(2))[1, 0].tolist()
    [71, 70, 69, 68, 67, 66, 65, 64]
    """
    alone = isinstance(names, str)
    wanted = (names,) if isinstance(names, str) else tuple(names)
    unknown = [name for name in wanted if name not in TOLERANCES]
    if unknown or not wanted:
        what = f"unknown tolerance {unknown[0]!r}" if unknown else "no tolerance is named"
        raise ValueError(f"{what}; known: {', '.join(TOLERANCES)}")
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or ids.shape != images.shape[:1]:
        raise ValueError(
            "expected pictures uint8 [item, H, W] or [item, H, W, 3] and ids [item], got "
            f"{images.dtype} {list(images.shape)} and {list(ids.shape)}"
        )
    chosen = np.array([name in wanted for name in TOLERANCES])
    stream = np.uint32(zlib.crc32(wanted[0].encode() if alone else b"mixed"))
    probability = np.float32(1.0 if alone else 0.5)
    made = np.empty_like(images)
    for first in range(0, len(images), batch_size):
        # The last batch is filled up, so that no second program is compiled.
        rows = np.arange(first, first + batch_size) % len(images)
        changed = _changed(
            images[rows], np.asarray(ids)[rows], np.uint32(seed), stream, chosen, probability
        )
        made[first : first + batch_size] = np.asarray(changed)[: len(images) - first]
    return made


@jax.jit
def _changed(
    images: jax.Array,
    ids: jax.Array,
    seed: jax.Array,
    stream: jax.Array,
    chosen: jax.Array,
    probability: jax.Array,
) -> jax.Array:
    key = jax.random.fold_in(jax.random.key(seed), stream)
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(ids.astype(jnp.uint32))
    pictures = images if images.ndim == 4 else images[..., None]
    changed = jax.vmap(apply, (0, 0, None, None))(
        keys, pictures.astype(jnp.float32) / 255, chosen, probability
    )
    levels = jnp.clip(jnp.round(changed * 255), 0, 255).astype(jnp.uint8)
    return levels.reshape(images.shape)
