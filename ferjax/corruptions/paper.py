"""The routing paper's own corruptions, with its constants.

Each is ``(key, image [H, W, C], severity) -> image``, pixels in [0, 1]. Its shot and impulse noise
are ImageNet-C's, in :mod:`ferjax.corruptions.noise`.

References:
  https://arxiv.org/abs/2606.22725 (names and constants).
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.corruptions.filters import (
    REFERENCE_SIDE,
    by_severity,
    convolution_matrix,
    reflect,
    rows_and_columns,
    sample_bilinear,
    smooth_noise,
    smoothing_matrix,
)
from ferjax.corruptions.jpeg import roundtrip
from ferjax.corruptions.resizing import linear_matrix, scaled_kernel_matrix

__all__ = [
    "blur",
    "bright",
    "contrast",
    "elastic",
    "gnoise",
    "jpeg",
    "motion_blur",
    "occlude",
    "pixelate",
]

GNOISE_SIGMA = (0.04, 0.08, 0.12, 0.18, 0.26)
BLUR_SIGMA = (0.5, 1.0, 1.5, 2.5, 4.0)
"""Pixels at 224."""
OCCLUDE_SHARE = (0.1, 0.2, 0.3, 0.45, 0.6)
"""Side of the square over the side of the picture."""
BRIGHT_ADDED = (0.1, 0.2, 0.35, 0.5, 0.7)
PIXELATE_SHARE = (0.75, 0.6, 0.45, 0.3, 0.2)
"""Side of the small picture over the side of the picture."""
PIXELATE_SMALLEST = 8
"""Smallest side of the small picture, pixels."""
MOTION_LENGTH = (3, 5, 9, 13, 17)
"""Pixels at 224, odd."""
CONTRAST_LEFT = (0.7, 0.55, 0.4, 0.25, 0.12)
JPEG_QUALITY = (80, 65, 45, 30, 18)
ELASTIC_STRENGTH = (12.5, 16.25, 21.25, 25.0, 30.0)
"""Times the smoothed noise of ±0.005 of the side."""


def gnoise(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """Independent Gaussian noise per pixel and channel, clipped."""
    sigma = by_severity(GNOISE_SIGMA, severity)
    return jnp.clip(image + sigma * jax.random.normal(key, image.shape), 0.0, 1.0)


def blur(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """Gaussian blur, cut at ⌊3σ⌋ pixels, reflected edges."""
    del key

    def matrix(side: int) -> jax.Array:
        sigma = by_severity(BLUR_SIGMA, severity) * side / REFERENCE_SIDE
        taps = int(3 * max(BLUR_SIGMA) * side / REFERENCE_SIDE)
        return smoothing_matrix(side, sigma, 3 * sigma, taps, "reflect")

    return rows_and_columns(matrix(image.shape[0]), matrix(image.shape[1]), image)


def occlude(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """A black centred square."""
    del key
    share = by_severity(OCCLUDE_SHARE, severity)

    def covered(side: int) -> jax.Array:
        square = jnp.floor(share * side + 1e-4)  # .3 * 10 is 2.9999… in float32
        start = (side - square) // 2
        position = jnp.arange(side)
        return (position >= start) & (position < start + square)

    inside = covered(image.shape[0])[:, None] & covered(image.shape[1])[None, :]
    return jnp.where(inside[..., None], 0.0, image)


def bright(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """Brightens every value by the same amount, clipped."""
    del key
    return jnp.clip(image + by_severity(BRIGHT_ADDED, severity), 0.0, 1.0)


def pixelate(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """Bilinear down to a share of the side, nearest neighbour up again.

    The neighbour is the one of PyTorch's ``interpolate(mode="nearest")``, as in the released code:
    pixel ``i`` shows ``floor(i * small / side)``, not the one that covers its centre.
    """
    del key
    share = by_severity(PIXELATE_SHARE, severity)

    def matrix(side: int) -> jax.Array:
        small = jnp.maximum(min(PIXELATE_SMALLEST, side), jnp.floor(share * side + 1e-4))
        # A half keeps whole quotients from being rounded down; it moves no other.
        block = jnp.floor((jnp.arange(side) * small + 0.5) / side)
        return linear_matrix((block + 0.5) * side / small - 0.5, side)

    return rows_and_columns(matrix(image.shape[0]), matrix(image.shape[1]), image)


def motion_blur(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """Horizontal mean over a line of pixels, reflected edges."""
    del key
    length = by_severity(MOTION_LENGTH, severity)
    longest = max(MOTION_LENGTH)
    width = image.shape[1]
    box = jnp.abs(jnp.arange(longest) - longest // 2) <= length // 2
    kernel = scaled_kernel_matrix(longest, width / REFERENCE_SIDE) @ (box / length)
    return jnp.einsum("jw,hwc->hjc", convolution_matrix(kernel, width, "reflect"), image)


def contrast(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """Pulls every value towards the picture's mean; a share of the contrast is left."""
    del key
    mean = image.mean()
    return (image - mean) * by_severity(CONTRAST_LEFT, severity) + mean


def jpeg(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """What a JPEG file keeps."""
    del key
    return roundtrip(image, by_severity(JPEG_QUALITY, severity))


def elastic(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """Smooth random displacement, by 1.0 … 2.4 pixels (root mean square, each axis) at 224.

    The paper's released code moves pixels by less than 0.6, which is nearly nothing. These are
    ImageNet-C's amplitudes instead, in the form that rises with severity (arXiv 1907.07484):
    uniform noise of ±1.12 pixels, smoothed over σ = 2.24 pixels, times 12.5 … 30. ImageNet-C's
    affine part is left to its own elastic_transform.
    """
    strength = by_severity(ELASTIC_STRENGTH, severity) * 0.005
    height, width = image.shape[:2]
    sigma = 0.01 * REFERENCE_SIDE
    noise = jax.random.uniform(key, (2, height, width), minval=-1.0, maxval=1.0)
    down, right = (smooth_noise(axis, sigma, sigma, (3.0, 0.5), "symmetric") for axis in noise)
    row = jnp.arange(height)[:, None] + strength * height * down
    column = jnp.arange(width)[None, :] + strength * width * right
    return sample_bilinear(
        image, reflect(row, height, edge_repeats=True), reflect(column, width, edge_repeats=True)
    )
