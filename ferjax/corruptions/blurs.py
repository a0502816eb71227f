"""ImageNet-C's blurs. Each is ``(key, image [H, W, C], severity) -> image``, pixels in [0, 1]."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ferjax.corruptions.filters import (
    REFERENCE_SIDE,
    Scalar,
    by_severity,
    convolution_matrix,
    line_blur,
    rows_and_columns,
    sample_bilinear,
    smoothing_matrix,
)
from ferjax.corruptions.resizing import scaled_kernel_matrix

__all__ = ["defocus_blur", "gaussian_blur", "glass_blur", "motion_blur", "zoom_blur"]

GAUSSIAN_SIGMA = (1.0, 2.0, 3.0, 4.0, 6.0)
"""Pixels at 224."""
DEFOCUS = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))
"""Radius of the disk and σ of the blur of its edge, pixels at 224."""
GLASS = ((0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2))
"""σ of the blur and reach of the mixing, pixels at 224; passes of mixing."""
MOTION = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))
"""Radius of the line and σ of its half Gaussian, pixels at 224."""
MOTION_ANGLE = np.pi / 4
"""Largest angle to the horizontal, radians."""
ZOOM = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))
"""End and step of the zoom factors, which begin at 1."""


def _smoothed(image: jax.Array, sigma: Scalar, largest_sigma: float) -> jax.Array:
    """Gaussian blur as in scikit-image: cut at 4σ, the edge repeated; σ in pixels at 224."""

    def matrix(side: int) -> jax.Array:
        scale = side / REFERENCE_SIDE
        taps = int(4 * largest_sigma * scale + 0.5)
        return smoothing_matrix(side, sigma * scale, 4 * sigma * scale + 0.5, taps, "edge")

    return rows_and_columns(matrix(image.shape[0]), matrix(image.shape[1]), image)


def gaussian_blur(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """Gaussian blur."""
    del key
    return _smoothed(image, by_severity(GAUSSIAN_SIGMA, severity), max(GAUSSIAN_SIGMA))


@functools.cache
def _disks() -> tuple[np.ndarray, np.ndarray]:
    """Out-of-focus disks as sums of separable kernels.

    A disk of pixels has few distinct rows, hence a low rank: at most seven parts are exact.

    Returns:
      strengths ``[severity, part]`` and kernels ``[severity, part, tap]``.
    """
    taps = 21
    parts = 7
    offset = np.arange(taps) - taps // 2
    strengths = np.zeros((5, parts))
    kernels = np.zeros((5, parts, taps))
    for level, (radius, edge_sigma) in enumerate(DEFOCUS):
        disk = (offset[:, None] ** 2 + offset[None, :] ** 2 <= radius**2).astype(float)
        disk /= disk.sum()
        # The published kernel is smoothed by 3 or 5 taps on a grid that ends at 8 pixels or at the
        # radius.
        grid = max(8, radius)
        reach = 1 if radius <= 8 else 2
        near = np.arange(-reach, reach + 1)
        weights = np.exp(-0.5 * (near / edge_sigma) ** 2)
        inside = np.abs(offset) <= grid
        padded = np.pad(np.eye(2 * grid + 1), ((reach, reach), (0, 0)), mode="reflect")
        smooth = sum(
            w * padded[reach + n : reach + n + 2 * grid + 1]
            for w, n in zip(weights / weights.sum(), near)
        )
        disk[np.ix_(inside, inside)] = smooth @ disk[np.ix_(inside, inside)] @ smooth.T
        values, vectors = np.linalg.eigh(disk)
        strongest = np.argsort(-np.abs(values))[:parts]
        strengths[level] = values[strongest]
        kernels[level] = vectors[:, strongest].T
    strengths[np.abs(strengths) < 1e-9] = 0
    return strengths.astype(np.float32), kernels.astype(np.float32)


def defocus_blur(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """Blur of an out-of-focus lens: a disk with a slightly blurred edge."""
    del key
    strengths, kernels = (by_severity(table, severity) for table in _disks())
    height, width = image.shape[:2]
    scaled_rows = scaled_kernel_matrix(kernels.shape[1], height / REFERENCE_SIDE)
    scaled_columns = scaled_kernel_matrix(kernels.shape[1], width / REFERENCE_SIDE)

    def add_part(part: jax.Array, total: jax.Array) -> jax.Array:
        rows = convolution_matrix(scaled_rows @ kernels[part], height, "reflect")
        columns = convolution_matrix(scaled_columns @ kernels[part], width, "reflect")
        return total + strengths[part] * rows_and_columns(rows, columns, image)

    blurred = jax.lax.fori_loop(0, (strengths != 0).sum(), add_part, jnp.zeros_like(image))
    return jnp.clip(blurred, 0.0, 1.0)


def glass_sources(key: jax.Array, height: int, width: int, reach: jax.Array) -> jax.Array:
    """One pass of glass: which pixel each pixel ends up showing.

    The published loop visits the pixels from the last to the first and copies onto each the
    *present* content of a random neighbour (it means to swap, but its swap of NumPy views copies).
    A pixel that was visited before shows another's content already, so sources follow chains of
    visited pixels. Five doublings follow chains of 32; longer ones have a chance below 1e-11 per
    pixel.

    Args:
      key: random key of the neighbours.
      height: of the picture, pixels.
      width: of the picture, pixels.
      reach: largest distance of a neighbour along each axis, pixels at 224; may be traced.

    Returns:
      ``[height * width]`` flat pixel numbers.
    """
    pixel = jnp.arange(height * width)
    row = pixel // width
    column = pixel % width
    inside = jnp.ones(pixel.shape, bool)
    target = jnp.zeros(pixel.shape, int)
    for axis_key, place, side, stride in zip(
        jax.random.split(key), (row, column), (height, width), (width, 1)
    ):
        scale = side / REFERENCE_SIDE
        drawn = 2 * reach * jax.random.uniform(axis_key, pixel.shape)
        # Whole steps -reach … reach - 1 at 224; smaller ones are rounded at random, so that they
        # are right on average.
        step = jnp.floor((jnp.floor(drawn) - reach) * scale + drawn % 1).astype(int)
        margin = jnp.ceil(reach * scale - 1e-4)
        inside &= (place > margin) & (place <= side - margin)
        target += jnp.clip(place + step, 0, side - 1) * stride
    target = jnp.where(inside, target, pixel)
    last_visited = jnp.maximum(target, pixel)
    for _ in range(5):
        last_visited = last_visited[last_visited]
    return target[last_visited]


def glass_blur(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """Frosted glass: blurred, neighbouring pixels mixed up a few times, blurred again."""
    sigma, reach, passes = by_severity(GLASS, severity)
    largest_sigma = max(row[0] for row in GLASS)
    height, width, channels = image.shape

    def one_pass(number: jax.Array, source: jax.Array) -> jax.Array:
        return source[glass_sources(jax.random.fold_in(key, number), height, width, reach)]

    source = jax.lax.fori_loop(0, passes.astype(int), one_pass, jnp.arange(height * width))
    mixed = _smoothed(image, sigma, largest_sigma).reshape(-1, channels)[source]
    return jnp.clip(_smoothed(mixed.reshape(image.shape), sigma, largest_sigma), 0.0, 1.0)


def motion_blur(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """Blur along a line at a random angle within ±45° of the horizontal."""
    radius, sigma = by_severity(MOTION, severity)
    angle = jax.random.uniform(key, minval=-MOTION_ANGLE, maxval=MOTION_ANGLE)
    longest = max(row[0] for row in MOTION)
    return jnp.clip(line_blur(image, angle, radius, sigma, longest), 0.0, 1.0)


def _zooms(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where zoomed pictures read along an axis.

    Returns:
      count ``[severity]``; first place and step ``[severity, zoom]``, pixels.
    """
    zooms = [np.arange(1, end, step) for end, step in ZOOM]
    count = np.array([len(factors) for factors in zooms])
    first = np.zeros((5, count.max()), np.float32)
    step = np.zeros((5, count.max()), np.float32)
    for level, factors in enumerate(zooms):
        crop = np.ceil(side / factors)
        enlarged = np.round(crop * factors)
        step[level, : len(factors)] = (crop - 1) / np.maximum(enlarged - 1, 1)
        trimmed = (enlarged - side) // 2
        first[level, : len(factors)] = (side - crop) // 2 + trimmed * step[level, : len(factors)]
    return count, first, step


def zoom_blur(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """Mean of the picture and 11 to 16 zooms into its centre."""
    del key
    height, width = image.shape[:2]
    counts, *rows = _zooms(height)
    _, *columns = _zooms(width)
    count = jnp.asarray(counts)[jnp.asarray(severity) - 1]
    first_row, row_step = (by_severity(table, severity) for table in rows)
    first_column, column_step = (by_severity(table, severity) for table in columns)

    def add_zoom(zoom: jax.Array, total: jax.Array) -> jax.Array:
        row = first_row[zoom] + row_step[zoom] * jnp.arange(height)
        column = first_column[zoom] + column_step[zoom] * jnp.arange(width)
        return total + sample_bilinear(image, row[:, None], column[None, :])

    return jax.lax.fori_loop(0, count, add_zoom, image) / (count + 1.0)
