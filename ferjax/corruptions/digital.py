"""ImageNet-C's digital corruptions: brightness, contrast, elastic, pixelate, JPEG, saturate.

Each is ``(key, image [H, W, C], severity) -> image``, pixels in [0, 1].
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ferjax.corruptions.filters import (
    REFERENCE_SIDE,
    by_severity,
    reflect,
    rows_and_columns,
    sample_bilinear,
    smooth_noise,
)
from ferjax.corruptions.jpeg import roundtrip
from ferjax.corruptions.resizing import box_matrix, nearest_matrix

__all__ = [
    "brightness",
    "contrast",
    "elastic_transform",
    "jpeg_compression",
    "pixelate",
    "saturate",
]

BRIGHTNESS_ADDED = (0.1, 0.2, 0.3, 0.4, 0.5)
CONTRAST_LEFT = (0.4, 0.3, 0.2, 0.1, 0.05)
ELASTIC = (
    (2.0, 0.7, 0.1),
    (2.0, 0.08, 0.2),
    (0.05, 0.01, 0.02),
    (0.07, 0.01, 0.02),
    (0.12, 0.01, 0.02),
)
"""Strength of the bend, σ of its smoothing, and largest shift of a corner, each in units of
:data:`ELASTIC_UNIT` pixels at 224."""
ELASTIC_UNIT = 244
"""A slip of the published generator for 224; the published pictures have it."""
PIXELATE_SHARE = (0.6, 0.5, 0.4, 0.3, 0.25)
"""Side of the small picture over the side of the picture."""
JPEG_QUALITY = (25, 18, 15, 10, 7)
SATURATE = ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2))
"""Factor and offset of the saturation."""


def brightness(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """Raises HSV's value; hue and saturation stay, so all channels grow in proportion."""
    del key
    value = image.max(-1, keepdims=True)
    raised = jnp.minimum(value + by_severity(BRIGHTNESS_ADDED, severity), 1.0)
    return jnp.where(value > 0, image * raised / jnp.where(value > 0, value, 1.0), raised)


def saturate(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """HSV's saturation s becomes a·s + b: faded at severities 1 and 2, then more vivid.

    A gray pixel of a colour picture has hue 0, as in the published generator: with b > 0
    (severities 4 and 5) it turns reddish. A one-channel picture has no saturation and stays as it
    is.
    """
    del key
    if image.shape[-1] == 1:
        return image
    factor, offset = by_severity(SATURATE, severity)
    value = image.max(-1, keepdims=True)
    chroma = value - image.min(-1, keepdims=True)
    saturation = chroma / jnp.where(value > 0, value, 1.0)
    red = np.array([0.0, 1.0, 1.0], np.float32)[None, None, :]
    hue = jnp.where(chroma > 0, (value - image) / jnp.where(chroma > 0, chroma, 1.0), red)
    return value * (1 - jnp.clip(saturation * factor + offset, 0.0, 1.0) * hue)


def contrast(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """Pulls each channel towards its mean; a share of the contrast is left."""
    del key
    mean = image.mean((0, 1), keepdims=True)
    return (image - mean) * by_severity(CONTRAST_LEFT, severity) + mean


def elastic_transform(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """A random affine map and a smooth random displacement.

    Severities 1 and 2 tilt and shift by up to 24 and 49 pixels at 224 and bend smoothly; 3 to 5
    hardly tilt but crumple.
    """
    strength, sigma, tilt = ELASTIC_UNIT * by_severity(ELASTIC, severity)
    largest_sigma = ELASTIC_UNIT * max(row[1] for row in ELASTIC)
    tilt_key, bend_key = jax.random.split(key)
    height, width = image.shape[:2]

    noise = jax.random.uniform(bend_key, (2, height, width), minval=-1.0, maxval=1.0)
    down_bend, right_bend = jax.vmap(
        lambda axis: smooth_noise(axis, sigma, largest_sigma, (3.0, 0.5), "symmetric")
    )(noise)
    pixel_y, pixel_x = jnp.meshgrid(
        jnp.arange(float(height)), jnp.arange(float(width)), indexing="ij"
    )
    y_scale = height / REFERENCE_SIDE
    x_scale = width / REFERENCE_SIDE
    y = reflect(pixel_y + strength * y_scale * down_bend, height, edge_repeats=True) / y_scale
    x = reflect(pixel_x + strength * x_scale * right_bend, width, edge_repeats=True) / x_scale

    # Three corners of a square about the centre are moved; the map is undone to know where each
    # pixel reads.
    centre = REFERENCE_SIDE // 2
    arm = REFERENCE_SIDE // 3
    corner, upper, opposite = tilt * jax.random.uniform(tilt_key, (3, 2), minval=-1.0, maxval=1.0)
    down = jnp.array([0.0, 1.0]) + (corner - upper) / (2 * arm)
    right = jnp.array([1.0, 0.0]) + (upper - opposite) / (2 * arm)
    determinant = right[0] * down[1] - right[1] * down[0]
    determinant = jnp.where(jnp.abs(determinant) < 1e-6, 1e-6, determinant)
    from_x = x - (centre - arm + opposite[0])
    from_y = y - (centre - arm + opposite[1])
    read_x = (down[1] * from_x - down[0] * from_y) / determinant + centre - arm
    read_y = (right[0] * from_y - right[1] * from_x) / determinant + centre - arm
    return sample_bilinear(
        image,
        reflect(read_y * y_scale, height, edge_repeats=False),
        reflect(read_x * x_scale, width, edge_repeats=False),
    )


def pixelate(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """Box averages of a share of the side, enlarged as blocks."""
    del key
    share = by_severity(PIXELATE_SHARE, severity)

    def matrix(side: int) -> jax.Array:
        small = jnp.maximum(1.0, jnp.floor(share * side + 1e-4))
        return nearest_matrix(side, small) @ box_matrix(side, small)

    return rows_and_columns(matrix(image.shape[0]), matrix(image.shape[1]), image)


def jpeg_compression(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """What a JPEG file keeps."""
    del key
    return roundtrip(image, by_severity(JPEG_QUALITY, severity))
