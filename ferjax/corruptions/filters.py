"""The linear parts of corruptions: blurs and resizings as one matrix per axis, streaks, and reading
between pixels.

Pictures are ``[H, W, C]``. A matrix per axis keeps every filter a pair of matrix products whatever
its strength, so that severity may be traced; nothing here is random. Where sizes are "pixels at
224" they scale with the side, each axis with its own.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

__all__ = [
    "REFERENCE_SIDE",
    "area_matrix",
    "at",
    "bilinear_matrix",
    "box_matrix",
    "convolution_matrix",
    "gaussian_matrix",
    "line_blur",
    "linear_matrix",
    "nearest_matrix",
    "reflect",
    "rows_and_columns",
    "sample_bilinear",
    "scaled_kernel_matrix",
    "smoothing_matrix",
]

REFERENCE_SIDE = 224


def bilinear_matrix(source: int, target: int) -> np.ndarray:
    """Bilinear interpolation with half-pixel centres and no antialias as a matrix ``[target,
    source]``.

    The convention of PyTorch's ``interpolate(mode="bilinear", align_corners=False)``; rows sum to
    1.

    >>> bilinear_matrix(2, 4)[1].tolist()
    [0.75, 0.25]
    """
    if source < 1 or target < 1:
        raise ValueError(f"sizes must be at least 1 pixel, got {source} -> {target}")
    centre = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
    low = np.floor(centre).astype(int)
    high = np.minimum(low + 1, source - 1)
    matrix = np.zeros((target, source))
    np.add.at(matrix, (np.arange(target), low), 1 - (centre - low))
    np.add.at(matrix, (np.arange(target), high), centre - low)
    return matrix.astype(np.float32)


def at(table: tuple, severity: jax.Array | int) -> jax.Array:
    """The row of ``table [5, ...]`` for a severity 1..5, which may be traced.

    >>> float(at((0.1, 0.2, 0.3, 0.4, 0.5), 2))
    0.2...
    """
    return jnp.asarray(table, jnp.float32)[jnp.asarray(severity) - 1]


def rows_and_columns(rows: jax.Array, columns: jax.Array, image: jax.Array) -> jax.Array:
    """Applies ``rows [I, H]`` and ``columns [J, W]`` to ``image [H, W, C]``."""
    return jnp.einsum("ih,hwc,jw->ijc", rows, image, columns)


def convolution_matrix(kernel: jax.Array, side: int, edge: str) -> jax.Array:
    """Convolution with an odd ``kernel [2r + 1]`` along an axis, as a matrix ``[side, side]``.

    Args:
      kernel: the weights, centred (given in the order of correlation); may be traced.
      side: pixels along the axis.
      edge: what lies beyond the edge, in :func:`numpy.pad`'s words: "edge", "reflect" or
        "symmetric".
    """
    radius = (kernel.shape[0] - 1) // 2
    padding = np.pad(np.eye(side, dtype=np.float32), ((radius, radius), (0, 0)), mode=edge)  # type: ignore[call-overload]
    tap = np.arange(side + 2 * radius)[None, :] - np.arange(side)[:, None]
    inside = (tap >= 0) & (tap <= 2 * radius)
    return jnp.where(inside, kernel[np.clip(tap, 0, 2 * radius)], 0.0) @ padding


def gaussian_matrix(side: int, sigma: jax.Array, largest_sigma: float) -> jax.Array:
    """Gaussian smoothing along one axis as a matrix ``[side, side]``: radius ⌊3σ⌋, reflected at the
    edge.

    Args:
      side: pixels along the axis.
      sigma: standard deviation in pixels; may be traced.
      largest_sigma: static upper bound of ``sigma``, which fixes the number of taps.
    """
    return smoothing_matrix(side, sigma, 3 * sigma, int(3 * largest_sigma), "reflect")


def smoothing_matrix(
    side: int, sigma: jax.Array, reach: jax.Array, taps: int, edge: str
) -> jax.Array:
    """Gaussian smoothing along one axis as a matrix ``[side, side]``.

    Args:
      side: pixels along the axis.
      sigma: standard deviation in pixels; may be traced.
      reach: the kernel is cut beyond this many pixels; may be traced.
      taps: static bound of ``reach``.
      edge: as in :func:`convolution_matrix`.
    """
    tap = jnp.arange(-taps, taps + 1)
    kernel = jnp.where(jnp.abs(tap) <= jnp.floor(reach), jnp.exp(-0.5 * (tap / sigma) ** 2), 0.0)
    return convolution_matrix(kernel / kernel.sum(), side, edge)


def _overlap(
    starts: np.ndarray, ends: np.ndarray, lows: np.ndarray, highs: np.ndarray
) -> np.ndarray:
    """Length shared by each interval (rows) and each interval (columns)."""
    return np.clip(
        np.minimum(ends[:, None], highs[None, :]) - np.maximum(starts[:, None], lows[None, :]),
        0,
        None,
    )


def area_matrix(source: int, target: int) -> np.ndarray:
    """Resizing by exact area averages as a matrix ``[target, source]``; rows sum to 1.

    >>> (3 * area_matrix(3, 2)).round().tolist()
    [[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]]
    """
    edges = np.arange(target + 1) * source / target
    pixels = np.arange(source)
    return (_overlap(edges[:-1], edges[1:], pixels, pixels + 1) * target / source).astype(
        np.float32
    )


def scaled_kernel_matrix(taps: int, scale: float) -> np.ndarray:
    """Shrinks (or stretches) an odd kernel ``[taps]`` as if its taps were pixels of a picture:
    ``[scaled taps, taps]``.

    Blurring a picture with the scaled kernel is blurring it at the reference size, then resizing.
    Light is kept: columns sum to 1. At scale 1 it is the identity.

    >>> scaled_kernel_matrix(3, 0.5).round(2).tolist()
    [[0.5, 0.0, 0.0], [0.5, 1.0, 0.5], [0.0, 0.0, 0.5]]
    """
    radius = (taps - 1) // 2
    scaled_radius = math.ceil((radius + 0.5) * scale - 0.5 - 1e-9)
    pixel = np.arange(-scaled_radius, scaled_radius + 1)
    tap = np.arange(-radius, radius + 1)
    return (
        _overlap(pixel - 0.5, pixel + 0.5, (tap - 0.5) * scale, (tap + 0.5) * scale) / scale
    ).astype(np.float32)


def linear_matrix(positions: jax.Array, source: int) -> jax.Array:
    """Reads ``source`` pixels at fractional ``positions [target]``, linearly: ``[target,
    source]``."""
    inside = jnp.clip(positions, 0, source - 1)
    return jnp.maximum(0.0, 1.0 - jnp.abs(inside[:, None] - jnp.arange(source)[None, :]))


def box_matrix(side: int, small: jax.Array) -> jax.Array:
    """Pillow's ``BOX`` resizing to ``small`` pixels: the first ``small`` rows of a matrix ``[side,
    side]``.

    Pillow's box takes whole pixels, those whose centre the box covers, rather than shares of
    pixels.
    """
    width = side / small
    centre = (jnp.arange(side) + 0.5) * width
    first = jnp.floor(centre - width / 2 + 0.5 + 1e-4)
    last = jnp.floor(centre + width / 2 + 0.5 + 1e-4)
    pixel = jnp.arange(side)[None, :]
    taken = (pixel >= first[:, None]) & (pixel < last[:, None])
    return taken / jnp.maximum(taken.sum(1, keepdims=True), 1)


def nearest_matrix(side: int, small: jax.Array) -> jax.Array:
    """Nearest-neighbour enlargement of the first ``small`` pixels to ``side`` as a matrix ``[side,
    side]``."""
    block = jnp.floor((jnp.arange(side) + 0.5) * small / side)
    return (block[:, None] == jnp.arange(side)[None, :]).astype(jnp.float32)


def line_blur(
    image: jax.Array,
    angle: jax.Array,
    radius: jax.Array | float,
    sigma: jax.Array | float,
    largest_radius: float,
) -> jax.Array:
    """Motion blur: each pixel becomes a mean of those ahead of it on a line, fading as half a
    Gaussian.

    The line's points are rounded to whole pixels as ImageMagick does; beyond its edge the picture
    goes on with the edge's own pixels.

    Args:
      image: ``[H, W, C]``.
      angle: of the line, radians; may be traced.
      radius: the line is 2·radius + 1 pixels long, at 224 pixels; may be traced.
      sigma: of the half Gaussian, pixels at 224; may be traced.
      largest_radius: static bound of ``radius``.
    """
    height, width = image.shape[:2]
    scale = max(height, width) / REFERENCE_SIDE
    taps = int(2 * largest_radius * scale + 1e-6) + 1
    tap = jnp.arange(taps)
    weights = jnp.where(
        tap <= 2 * radius * scale + 1e-6, jnp.exp(-0.5 * (tap / (sigma * scale)) ** 2), 0.0
    )
    weights = weights / weights.sum()
    down = jnp.ceil(tap * jnp.sin(angle) * height / max(height, width) - 0.5).astype(int) + taps
    right = jnp.ceil(tap * jnp.cos(angle) * width / max(height, width) - 0.5).astype(int) + taps
    padded = jnp.pad(image, ((taps, taps), (taps, taps), (0, 0)), mode="edge")
    # Unrolled: XLA fuses the shifts into one pass over the picture.
    return sum(
        (
            weights[t] * jax.lax.dynamic_slice(padded, (down[t], right[t], 0), image.shape)
            for t in range(taps)
        ),
        jnp.zeros_like(image),
    )


def reflect(place: jax.Array, side: int, *, edge_repeats: bool) -> jax.Array:
    """Reflects places outside 0 … side - 1 back inside; the mirror is the edge pixel's outer
    border, or its centre.

    >>> reflect(jnp.array([-1.0, 4.0]), 4, edge_repeats=False).tolist()
    [1.0, 2.0]
    """
    half = 0.5 if edge_repeats else 0.0
    period = max(side - 1 + 2 * half, 1)
    folded = period - jnp.abs((place + half) % (2 * period) - period) - half
    return jnp.clip(folded, 0, side - 1)


def sample_bilinear(image: jax.Array, row: jax.Array, column: jax.Array) -> jax.Array:
    """Reads ``image [H, W, C]`` at fractional places ``row, column [I, J]`` (or ``[I, 1]``, ``[1,
    J]``), bilinearly."""
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
