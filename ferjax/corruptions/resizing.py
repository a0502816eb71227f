"""Resizing along one axis as a matrix: bilinear, by area, nearest neighbour, and Pillow's box."""

import math

import jax
import jax.numpy as jnp
import numpy as np

__all__ = [
    "area_matrix",
    "bilinear_matrix",
    "box_matrix",
    "cubic_matrix",
    "linear_matrix",
    "nearest_matrix",
    "overlap_matrix",
    "scaled_kernel_matrix",
]


def bilinear_matrix(source: int, target: int) -> np.ndarray:
    """Bilinear interpolation with half-pixel centres and no antialias as a matrix.

    The convention of PyTorch's ``interpolate(mode="bilinear", align_corners=False)``.

    Args:
      source: pixels to read.
      target: pixels to make.

    Returns:
      float32 ``[target, source]``; rows sum to 1.

    Raises:
      ValueError: if either is below 1.

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


def linear_matrix(positions: jax.Array, source: int) -> jax.Array:
    """Linear interpolation at fractional positions as a matrix.

    Args:
      positions: ``[target]`` pixels, clipped to the axis; may be traced.
      source: pixels to read.

    Returns:
      ``[target, source]``; rows sum to 1.
    """
    inside = jnp.clip(positions, 0, source - 1)
    return jnp.maximum(0.0, 1.0 - jnp.abs(inside[:, None] - jnp.arange(source)[None, :]))


def cubic_matrix(positions: jax.Array, source: int) -> jax.Array:
    """Bicubic interpolation at fractional positions as a matrix; no antialias.

    Args:
      positions: ``[target]`` pixels, clipped to the axis; beyond the edge its pixel repeats; may be
        traced.
      source: pixels to read.

    Returns:
      ``[target, source]``; rows sum to 1.

    References:
      Keys, Cubic Convolution Interpolation for Digital Image Processing, 1981,
      https://doi.org/10.1109/TASSP.1981.1163711 (a = -1/2, as Pillow).

    >>> cubic_matrix(jnp.array([1.0, 1.5]), 4).tolist()
    [[0.0, 1.0, 0.0, 0.0], [-0.0625, 0.5625, 0.5625, -0.0625]]
    """
    inside = jnp.clip(positions, 0, source - 1)
    low = jnp.floor(inside)
    matrix = jnp.zeros((positions.shape[0], source))
    for tap in range(-1, 3):
        distance = jnp.abs(inside - (low + tap))
        near = (1.5 * distance - 2.5) * distance**2 + 1
        far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
        weight = jnp.where(distance < 1, near, jnp.where(distance < 2, far, 0.0))
        pixel = jnp.clip(low + tap, 0, source - 1)
        matrix += weight[:, None] * (pixel[:, None] == jnp.arange(source)[None, :])
    return matrix


def overlap_matrix(target: int, source: jax.Array, most: int) -> jax.Array:
    """Resizing by exact area averages as a matrix, from a number of pixels that may be traced.

    Args:
      target: pixels to make.
      source: pixels to read, at most ``most``; may be traced.
      most: static upper bound of ``source``.

    Returns:
      ``[target, most]``; columns from ``source`` on are 0, rows sum to 1.

    >>> (3 * overlap_matrix(2, jnp.array(3.0), 4)).round().tolist()
    [[2.0, 1.0, 0.0, 0.0], [0.0, 1.0, 2.0, 0.0]]
    """
    width = source / target
    start = jnp.arange(target)[:, None] * width
    pixel = jnp.arange(most)[None, :]
    shared = jnp.minimum(start + width, pixel + 1) - jnp.maximum(start, pixel)
    return jnp.maximum(shared, 0.0) / width


def _overlap(
    starts: np.ndarray, ends: np.ndarray, lows: np.ndarray, highs: np.ndarray
) -> np.ndarray:
    """Length shared by each interval (rows) and each interval (columns)."""
    first_end = np.minimum(ends[:, None], highs[None, :])
    last_start = np.maximum(starts[:, None], lows[None, :])
    return np.clip(first_end - last_start, 0, None)


def area_matrix(source: int, target: int) -> np.ndarray:
    """Resizing by exact area averages as a matrix.

    Args:
      source: pixels to read.
      target: pixels to make.

    Returns:
      float32 ``[target, source]``; rows sum to 1.

    >>> (3 * area_matrix(3, 2)).round().tolist()
    [[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]]
    """
    edges = np.arange(target + 1) * source / target
    pixels = np.arange(source)
    shared = _overlap(edges[:-1], edges[1:], pixels, pixels + 1)
    return (shared * target / source).astype(np.float32)


def scaled_kernel_matrix(taps: int, scale: float) -> np.ndarray:
    """Resizes a kernel as if its taps were pixels of a picture.

    Blurring a picture with the scaled kernel is blurring it at the reference size, then resizing.
    Light is kept: columns sum to 1. At scale 1 it is the identity.

    Args:
      taps: of the kernel, an odd number.
      scale: side of the picture over the reference side.

    Returns:
      float32 ``[scaled taps, taps]``.

    >>> scaled_kernel_matrix(3, 0.5).round(2).tolist()
    [[0.5, 0.0, 0.0], [0.5, 1.0, 0.5], [0.0, 0.0, 0.5]]
    """
    radius = (taps - 1) // 2
    scaled_radius = math.ceil((radius + 0.5) * scale - 0.5 - 1e-9)
    pixel = np.arange(-scaled_radius, scaled_radius + 1)
    tap = np.arange(-radius, radius + 1)
    shared = _overlap(pixel - 0.5, pixel + 0.5, (tap - 0.5) * scale, (tap + 0.5) * scale)
    return (shared / scale).astype(np.float32)


def box_matrix(side: int, small: jax.Array) -> jax.Array:
    """Pillow's ``BOX`` resizing from ``side`` to ``small`` pixels as a matrix.

    Pillow's box takes whole pixels, those whose centre the box covers, rather than shares of
    pixels.

    Args:
      side: pixels to read.
      small: pixels to make, at most ``side``; may be traced.

    Returns:
      ``[side, side]``, of which the first ``small`` rows are meant.
    """
    width = side / small
    centre = (jnp.arange(side) + 0.5) * width
    first = jnp.floor(centre - width / 2 + 0.5 + 1e-4)
    last = jnp.floor(centre + width / 2 + 0.5 + 1e-4)
    pixel = jnp.arange(side)[None, :]
    taken = (pixel >= first[:, None]) & (pixel < last[:, None])
    return taken / jnp.maximum(taken.sum(1, keepdims=True), 1)


def nearest_matrix(side: int, small: jax.Array) -> jax.Array:
    """Nearest-neighbour enlargement from ``small`` to ``side`` pixels as a matrix.

    Args:
      side: pixels to make.
      small: pixels to read, at most ``side``; may be traced.

    Returns:
      ``[side, side]``, of which the first ``small`` columns are used.
    """
    block = jnp.floor((jnp.arange(side) + 0.5) * small / side)
    return (block[:, None] == jnp.arange(side)[None, :]).astype(jnp.float32)
