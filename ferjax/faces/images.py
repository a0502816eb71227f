"""Stored pixels to network input: pure functions that run inside the compiled step.

Axis legend: stored faces are uint8 ``[face, H, W]`` gray or ``[face, H, W, 3]``; network inputs are
float ``[face, S, S, 3]``. The steps are separate because corruptions belong between them:
``to_network_size`` gives [0, 1] pictures at the network's size, which may be corrupted, then
``normalise``.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ferjax.corruptions.resizing import bilinear_matrix

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "mirror",
    "normalise",
    "patches",
    "resize",
    "to_network_size",
    "to_stored_size",
]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def resize(images: jax.Array, size: int) -> jax.Array:
    """Resizes to a square: bilinear, half-pixel centres, no antialias.

    Args:
      images: float ``[..., H, W, C]``.
      size: side of the result, pixels (static).

    Returns:
      ``[..., size, size, C]``.
    """
    height, width = images.shape[-3:-1]
    if (height, width) == (size, size):
        return images
    rows = bilinear_matrix(height, size)
    columns = bilinear_matrix(width, size)
    return jnp.einsum("ih,...hwc,jw->...ijc", rows, images, columns)


def to_network_size(images: jax.Array, size: int) -> jax.Array:
    """Stored pixels to [0, 1] pictures at network size.

    Args:
      images: uint8 ``[..., H, W]`` gray or ``[..., H, W, 3]`` colour. A gray face becomes three
        equal channels.
      size: side S of the network input, pixels (static).

    Returns:
      float32 ``[..., S, S, 3]`` in [0, 1].

    Raises:
      ValueError: if ``images`` is not uint8.

    >>> to_network_size(jnp.full((1, 4, 4), 255, jnp.uint8), 8).shape
    (1, 8, 8, 3)
    """
    if images.dtype != jnp.uint8:
        raise ValueError(f"stored images must be uint8 0..255, got {images.dtype}")
    if images.shape[-1] != 3 or images.ndim < 3:
        images = images[..., None]
    resized = resize(images.astype(jnp.float32) / 255.0, size)
    return jnp.broadcast_to(resized, (*resized.shape[:-1], 3))


def normalise(images: jax.Array) -> jax.Array:
    """Subtracts ImageNet's mean and divides by its standard deviation, per channel.

    Args:
      images: ``[..., 3]`` in [0, 1].

    Returns:
      Same shape, about standardised.
    """
    per_channel = (1,) * (images.ndim - 1) + (3,)
    mean = jnp.reshape(jnp.array(IMAGENET_MEAN), per_channel)
    std = jnp.reshape(jnp.array(IMAGENET_STD), per_channel)
    return (images - mean) / std


def mirror(images: jax.Array, flips: jax.Array) -> jax.Array:
    """Mirrors the chosen faces left to right.

    Args:
      images: stored faces ``[face, H, W]`` or ``[face, H, W, 3]``.
      flips: bool ``[face]``, which of them.

    Returns:
      Same shape and dtype as ``images``.

    >>> mirror(jnp.array([[[1, 2]], [[1, 2]]]), jnp.array([True, False])).tolist()
    [[[2, 1]], [[1, 2]]]
    """
    per_face = flips.reshape(-1, *[1] * (images.ndim - 1))
    return jnp.where(per_face, images[:, :, ::-1], images)


def to_stored_size(pictures: jax.Array, side: int) -> jax.Array:
    """Gray pictures at stored size from pictures at network size: undoes the enlargement.

    The least-squares inverse of the enlargement: components that enlarging ``side`` pixels cannot
    produce are dropped. Statistics of fine texture must be taken from these pictures: an enlarged
    picture has exactly no energy in some directions, and anything done to it *afterwards* shows
    there, which tells how the picture was prepared and not what it shows.

    Args:
      pictures: float ``[face, S, S, 3]`` in [0, 1].
      side: stored side, pixels (static).

    Returns:
      float32 ``[face, side, side]``.
    """
    gray = jnp.mean(pictures, axis=-1)
    if gray.shape[-1] == side:
        return gray
    inverse = np.linalg.pinv(bilinear_matrix(side, gray.shape[-1]).astype(np.float64)).astype(
        np.float32
    )
    return jnp.einsum("ih,fhw,jw->fij", inverse, gray, inverse)


def patches(pictures: jax.Array, size: int, stride: int) -> jax.Array:
    """All patches of gray pictures at every ``stride``-th place.

    Args:
      pictures: ``[face, H, W]``.
      size: side of a patch, pixels (static).
      stride: pixels from one patch to the next, each axis (static).

    Returns:
      ``[face, patch, size * size]``.

    Raises:
      ValueError: if the pictures are smaller than a patch.

    >>> patches(jnp.arange(16.0).reshape(1, 4, 4), 2, 2)[0, 1].tolist()
    [2.0, 3.0, 6.0, 7.0]
    """
    height, width = pictures.shape[-2:]
    if min(height, width) < size:
        raise ValueError(f"pictures of {height} x {width} pixels hold no patch of {size} x {size}")
    rows = np.arange(0, height - size + 1, stride)[:, None] + np.arange(size)
    columns = np.arange(0, width - size + 1, stride)[:, None] + np.arange(size)
    found = pictures[:, rows[:, None, :, None], columns[None, :, None, :]]
    return found.reshape(pictures.shape[0], -1, size * size)
