"""Filters of pictures: blurs as a matrix per axis, motion along a line, and sampling off the grid.

Pictures are ``[H, W, C]``. With a matrix per axis a filter is two matrix products whatever its
strength, so that severity may be traced; nothing here is random. Where lengths are "pixels at 224"
they scale with the side, each axis with its own.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

__all__ = [
    "REFERENCE_SIDE",
    "Scalar",
    "by_severity",
    "convolution_matrix",
    "line_blur",
    "reflect",
    "rows_and_columns",
    "sample_bilinear",
    "smooth_noise",
    "smoothing_matrix",
]

REFERENCE_SIDE = 224
"""Side, pixels, for which the published lengths are given."""

Scalar = jax.Array | float
"""A number, possibly traced."""


def by_severity(table: ArrayLike | Sequence, severity: ArrayLike) -> jax.Array:
    """The row of a table for a severity.

    Args:
      table: ``[5, ...]``, a row per severity.
      severity: 1..5; may be traced.

    Returns:
      float32 ``[...]``.

    >>> float(by_severity((0.1, 0.2, 0.3, 0.4, 0.5), 2))
    0.2...
    """
    return jnp.asarray(table, jnp.float32)[jnp.asarray(severity) - 1]


def rows_and_columns(rows: ArrayLike, columns: ArrayLike, image: jax.Array) -> jax.Array:
    """Applies a matrix per axis: ``rows [I, H]`` and ``columns [J, W]`` to ``image [H, W, C]``.

    Returns:
      ``[I, J, C]``.
    """
    return jnp.einsum("ih,hwc,jw->ijc", jnp.asarray(rows), image, jnp.asarray(columns))


def convolution_matrix(kernel: ArrayLike, side: int, edge: str) -> jax.Array:
    """Convolution along an axis as a matrix.

    Args:
      kernel: ``[2r + 1]`` weights, centred, in the order of correlation; may be traced.
      side: pixels along the axis.
      edge: what lies beyond the edge, in :func:`numpy.pad`'s words: "edge", "reflect" or
        "symmetric".

    Returns:
      ``[side, side]``.
    """
    kernel = jnp.asarray(kernel)
    radius = (kernel.shape[0] - 1) // 2
    pixels = np.eye(side, dtype=np.float32)
    padding = np.pad(pixels, ((radius, radius), (0, 0)), mode=edge)  # type: ignore[call-overload]
    tap = np.arange(side + 2 * radius)[None, :] - np.arange(side)[:, None]
    inside = (tap >= 0) & (tap <= 2 * radius)
    return jnp.where(inside, kernel[np.clip(tap, 0, 2 * radius)], 0.0) @ padding


def smoothing_matrix(side: int, sigma: Scalar, reach: Scalar, taps: int, edge: str) -> jax.Array:
    """Gaussian smoothing along an axis as a matrix.

    Args:
      side: pixels along the axis.
      sigma: standard deviation, pixels; may be traced.
      reach: the kernel is cut beyond this many pixels; may be traced.
      taps: static upper bound of ``reach``.
      edge: as in :func:`convolution_matrix`.

    Returns:
      ``[side, side]``; rows sum to 1.
    """
    tap = jnp.arange(-taps, taps + 1)
    kernel = jnp.where(jnp.abs(tap) <= jnp.floor(reach), jnp.exp(-0.5 * (tap / sigma) ** 2), 0.0)
    return convolution_matrix(kernel / kernel.sum(), side, edge)


def smooth_noise(
    noise: jax.Array,
    sigma: Scalar,
    largest_sigma: float,
    cut: tuple[float, float],
    edge: str,
) -> jax.Array:
    """Smooths white noise by a Gaussian, so that it has the same spread at any size.

    Smoothing over fewer pixels averages less away, which would make the pattern stronger on smaller
    pictures; it is scaled to the spread that it has at 224 pixels.

    Args:
      noise: ``[H, W]``, independent pixels of mean 0.
      sigma: pixels at 224; may be traced.
      largest_sigma: static upper bound of ``sigma``.
      cut: (slope, offset): the kernel ends at slope·σ + offset pixels.
      edge: as in :func:`convolution_matrix`.

    Returns:
      ``[H, W]``.
    """

    def matrix(side: int) -> jax.Array:
        scale = side / REFERENCE_SIDE
        taps = int(cut[0] * largest_sigma * scale + cut[1])
        return smoothing_matrix(side, sigma * scale, cut[0] * sigma * scale + cut[1], taps, edge)

    def spread(smoothing: jax.Array) -> jax.Array:
        return jnp.sqrt((smoothing**2).sum(1).mean())

    def steady(side: int) -> jax.Array:
        own = matrix(side)
        return own if side == REFERENCE_SIDE else own * spread(matrix(REFERENCE_SIDE)) / spread(own)

    height, width = noise.shape
    return steady(height) @ noise @ steady(width).T


def line_blur(
    image: jax.Array,
    angle: ArrayLike,
    radius: Scalar,
    sigma: Scalar,
    largest_radius: float,
) -> jax.Array:
    """Motion blur: each pixel becomes a mean of those ahead of it on a line.

    The weights fall as half a Gaussian. The line's points are rounded to whole pixels as
    ImageMagick does; beyond the edge the picture continues with its edge pixels.

    Args:
      image: ``[H, W, C]``.
      angle: of the line, radians; may be traced.
      radius: the line is 2·radius + 1 pixels long, at 224 pixels; may be traced.
      sigma: of the half Gaussian, pixels at 224; may be traced.
      largest_radius: static upper bound of ``radius``.

    Returns:
      ``[H, W, C]``.
    """
    height, width = image.shape[:2]
    longer = max(height, width)
    scale = longer / REFERENCE_SIDE
    taps = int(2 * largest_radius * scale + 1e-6) + 1
    tap = jnp.arange(taps)
    on_line = tap <= 2 * radius * scale + 1e-6
    weights = jnp.where(on_line, jnp.exp(-0.5 * (tap / (sigma * scale)) ** 2), 0.0)
    weights = weights / weights.sum()
    down = jnp.ceil(tap * jnp.sin(angle) * height / longer - 0.5).astype(int) + taps
    right = jnp.ceil(tap * jnp.cos(angle) * width / longer - 0.5).astype(int) + taps
    padded = jnp.pad(image, ((taps, taps), (taps, taps), (0, 0)), mode="edge")
    blurred = jnp.zeros_like(image)
    for t in range(taps):  # unrolled: XLA fuses the shifts into one pass over the picture
        shifted = jax.lax.dynamic_slice(padded, (down[t], right[t], 0), image.shape)
        blurred = blurred + weights[t] * shifted
    return blurred


def reflect(place: jax.Array, side: int, *, edge_repeats: bool) -> jax.Array:
    """Reflects places outside 0 … side - 1 back inside.

    Args:
      place: pixels, any shape; may be traced.
      side: pixels along the axis.
      edge_repeats: whether the mirror is the edge pixel's outer border, so that the pixel is met
        twice, or its centre.

    Returns:
      Same shape, in [0, side - 1].

    >>> reflect(jnp.array([-1.0, 4.0]), 4, edge_repeats=False).tolist()
    [1.0, 2.0]
    """
    half = 0.5 if edge_repeats else 0.0
    period = max(side - 1 + 2 * half, 1)
    folded = period - jnp.abs((place + half) % (2 * period) - period) - half
    return jnp.clip(folded, 0, side - 1)


def sample_bilinear(image: jax.Array, row: jax.Array, column: jax.Array) -> jax.Array:
    """Reads a picture at fractional places, bilinearly.

    Args:
      image: ``[H, W, C]``.
      row: ``[I, J]`` or ``[I, 1]`` pixels, inside the picture.
      column: ``[I, J]`` or ``[1, J]`` pixels, inside the picture.

    Returns:
      ``[I, J, C]``.
    """
    height, width = image.shape[:2]
    top = jnp.clip(jnp.floor(row), 0, max(height - 2, 0)).astype(int)
    left = jnp.clip(jnp.floor(column), 0, max(width - 2, 0)).astype(int)
    below = jnp.minimum(top + 1, height - 1)
    beside = jnp.minimum(left + 1, width - 1)
    down = jnp.clip(row - top, 0.0, 1.0)[..., None]
    right = jnp.clip(column - left, 0.0, 1.0)[..., None]
    upper = image[top, left] * (1 - right) + image[top, beside] * right
    lower = image[below, left] * (1 - right) + image[below, beside] * right
    return upper * (1 - down) + lower * down
