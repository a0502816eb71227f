"""What can happen to a picture: corruptions of [0, 1] images at five severities, written for one
image.

Each corruption is a pure function ``(key, image [H, W, C], severity) -> image [H, W, C]`` of float
pixels in [0, 1] at the *network's* input size, before normalisation; C is 1 or 3. ``severity`` is
1..5 and may be traced, so that one compiled program serves all five. Spatial parameters are given
for 224 pixels and scale with the side.

Suites are tuples of names: :data:`BASE` and :data:`PAPER`, which are defined here, and
:data:`IMAGENET_C` and :data:`IMAGENET_C_EXTRA`, whose names begin with ``imagenet_c.`` (names
become file names, so no slash) and which :mod:`ferjax.corruptions.imagenet_c` defines.

:func:`corrupt` maps one over a batch. Its noise is keyed by (seed, corruption, severity, image id):
the same face gets the same noise in any batch, and all ensemble members see the same corrupted face
— fresh noise per member would be counted as epistemic uncertainty.

References: arXiv 2606.22725 (names and constants).
"""

import zlib
from collections.abc import Callable

import jax
import jax.numpy as jnp

from ferjax.corruptions import imagenet_c
from ferjax.corruptions.filters import (
    REFERENCE_SIDE,
    at,
    convolution_matrix,
    gaussian_matrix,
    reflect,
    rows_and_columns,
    sample_bilinear,
    scaled_kernel_matrix,
)
from ferjax.corruptions.imagenet_c import impulse_noise, shot_noise
from ferjax.corruptions.jpeg import roundtrip
from ferjax.corruptions.weather import smooth_noise

__all__ = [
    "BASE",
    "CORRUPTIONS",
    "IMAGENET_C",
    "IMAGENET_C_EXTRA",
    "PAPER",
    "blur",
    "bright",
    "contrast",
    "corrupt",
    "elastic",
    "gnoise",
    "impulse_noise",
    "jpeg",
    "motion_blur",
    "occlude",
    "pixelate",
    "shot_noise",
]


def gnoise(key: jax.Array, image: jax.Array, severity: jax.Array | int) -> jax.Array:
    """Independent Gaussian noise per pixel and channel, σ = .04 … .26, clipped."""
    sigma = at((0.04, 0.08, 0.12, 0.18, 0.26), severity)
    return jnp.clip(image + sigma * jax.random.normal(key, image.shape), 0.0, 1.0)


def blur(key: jax.Array, image: jax.Array, severity: jax.Array | int) -> jax.Array:
    """Gaussian blur, σ = .5 … 4 pixels at 224, radius ⌊3σ⌋, reflected edges."""
    del key
    sigmas = (0.5, 1.0, 1.5, 2.5, 4.0)
    rows, columns = (
        gaussian_matrix(
            side, at(sigmas, severity) * side / REFERENCE_SIDE, sigmas[-1] * side / REFERENCE_SIDE
        )
        for side in image.shape[:2]
    )
    return rows_and_columns(rows, columns, image)


def occlude(key: jax.Array, image: jax.Array, severity: jax.Array | int) -> jax.Array:
    """A black centred square whose side is .1 … .6 of the image's."""
    del key
    share = at((0.1, 0.2, 0.3, 0.45, 0.6), severity)

    def covered(side: int) -> jax.Array:
        square = jnp.floor(share * side + 1e-4)  # .3 * 10 is 2.9999… in float32
        start = (side - square) // 2
        position = jnp.arange(side)
        return (position >= start) & (position < start + square)

    inside = covered(image.shape[0])[:, None] & covered(image.shape[1])[None, :]
    return jnp.where(inside[..., None], 0.0, image)


def bright(key: jax.Array, image: jax.Array, severity: jax.Array | int) -> jax.Array:
    """Brightens by .1 … .7, clipped."""
    del key
    return jnp.clip(image + at((0.1, 0.2, 0.35, 0.5, 0.7), severity), 0.0, 1.0)


def pixelate(key: jax.Array, image: jax.Array, severity: jax.Array | int) -> jax.Array:
    """Bilinear down to .75 … .2 of the side (at least 8 pixels), nearest neighbour up again."""
    del key
    share = at((0.75, 0.6, 0.45, 0.3, 0.2), severity)

    def matrix(side: int) -> jax.Array:
        small = jnp.maximum(min(8, side), jnp.floor(share * side + 1e-4))
        block = jnp.floor(
            (jnp.arange(side) + 0.5) * small / side
        )  # which small pixel covers this one
        centre = (block + 0.5) * side / small - 0.5
        distance = jnp.abs(jnp.clip(centre, 0, side - 1)[:, None] - jnp.arange(side)[None, :])
        return jnp.maximum(0.0, 1.0 - distance)

    return rows_and_columns(matrix(image.shape[0]), matrix(image.shape[1]), image)


def motion_blur(key: jax.Array, image: jax.Array, severity: jax.Array | int) -> jax.Array:
    """Horizontal mean over 3 … 17 pixels at 224, reflected edges."""
    del key
    length = at((3, 5, 9, 13, 17), severity)
    longest = 17
    width = image.shape[1]
    box = jnp.abs(jnp.arange(longest) - longest // 2) <= length // 2
    kernel = scaled_kernel_matrix(longest, width / REFERENCE_SIDE) @ (box / length)
    return jnp.einsum("jw,hwc->hjc", convolution_matrix(kernel, width, "reflect"), image)


def contrast(key: jax.Array, image: jax.Array, severity: jax.Array | int) -> jax.Array:
    """Pulls every value towards the picture's mean, .7 … .12 of the contrast being left."""
    del key
    mean = image.mean()
    return (image - mean) * at((0.7, 0.55, 0.4, 0.25, 0.12), severity) + mean


def jpeg(key: jax.Array, image: jax.Array, severity: jax.Array | int) -> jax.Array:
    """JPEG at quality 80 … 18."""
    del key
    return roundtrip(image, at((80, 65, 45, 30, 18), severity))


def elastic(key: jax.Array, image: jax.Array, severity: jax.Array | int) -> jax.Array:
    """Smooth random displacement, by 1.0 … 2.4 pixels (root mean square, each axis) at 224.

    The paper's released code moves pixels by less than 0.6, which is nearly nothing. These are
    ImageNet-C's amplitudes instead, in the form that rises with severity (arXiv 1907.07484):
    uniform noise of ±1.12 pixels, smoothed over σ = 2.24 pixels, times 12.5 … 30. ImageNet-C's
    tilting of the whole face is left to its own elastic_transform.
    """
    strength = at((12.5, 16.25, 21.25, 25.0, 30.0), severity) * 0.005
    height, width = image.shape[:2]
    sigma = 0.01 * REFERENCE_SIDE
    noise = jax.random.uniform(key, (2, height, width), minval=-1.0, maxval=1.0)
    down, right = (smooth_noise(axis, sigma, sigma, (3.0, 0.5), "symmetric") for axis in noise)
    row = jnp.arange(height)[:, None] + strength * height * down
    column = jnp.arange(width)[None, :] + strength * width * right
    return sample_bilinear(
        image, reflect(row, height, edge_repeats=True), reflect(column, width, edge_repeats=True)
    )


Corruption = Callable[[jax.Array, jax.Array, jax.Array | int], jax.Array]

_OWN: tuple[Corruption, ...] = (
    gnoise,
    blur,
    occlude,
    bright,
    pixelate,
    shot_noise,
    impulse_noise,
    motion_blur,
    contrast,
    jpeg,
    elastic,
)

CORRUPTIONS: dict[str, Corruption] = {
    **{f.__name__: f for f in _OWN},
    **{f"imagenet_c.{name}": f for name, f in (imagenet_c.FIFTEEN | imagenet_c.EXTRA).items()},
}
"""Every corruption by name."""

BASE = tuple(f.__name__ for f in _OWN[:5])
"""The paper's five base corruptions."""

PAPER = tuple(f.__name__ for f in _OWN)
"""The paper's broad suite of eleven, the base five included."""

IMAGENET_C = tuple(f"imagenet_c.{name}" for name in imagenet_c.FIFTEEN)
"""ImageNet-C's fifteen, with their own severities."""

IMAGENET_C_EXTRA = tuple(f"imagenet_c.{name}" for name in imagenet_c.EXTRA)
"""ImageNet-C's four validation corruptions."""


def corrupt(
    name: str, images: jax.Array, severity: jax.Array | int, ids: jax.Array, *, seed: int = 0
) -> jax.Array:
    """Corrupts a batch.

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

    >>> x = jnp.full((2, 16, 16, 3), 0.5)
    >>> bool((corrupt("gnoise", x, 5, jnp.array([7, 8]))[1] == corrupt("gnoise", x[:1], 5, jnp.array([8]))[0]).all())
    True
    """
    if name not in CORRUPTIONS:
        raise ValueError(f"unknown corruption {name!r}; known: {', '.join(CORRUPTIONS)}")
    if isinstance(severity, int) and not 1 <= severity <= 5:
        raise ValueError(f"severity must be 1..5, got {severity}")
    if images.ndim != 4 or ids.shape != images.shape[:1]:
        raise ValueError(
            f"expected images [face, H, W, C] and ids [face], got {images.shape} and {ids.shape}"
        )
    key = jax.random.fold_in(
        jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode())), severity
    )
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(ids)
    return jax.vmap(CORRUPTIONS[name], in_axes=(0, 0, None))(keys, images, severity)
