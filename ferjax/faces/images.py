"""From stored pixels to network input, as pure functions that run inside the compiled step.

Axis legend: stored faces are uint8 ``[face, H, W]`` gray or ``[face, H, W, 3]``; network inputs are
float ``[face, S, S, 3]``. The steps are separate because corruptions belong between them:
``to_network_size`` gives [0, 1] pictures at the network's size, which may be corrupted, then
``normalise``.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ferjax.corruptions.filters import bilinear_matrix

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
    """Resizes ``[..., H, W, C]`` to ``[..., size, size, C]``, bilinear, half-pixel centres, no
    antialias."""
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
      size: side S of the network input, pixels.

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
    """Subtracts the ImageNet mean and divides by its standard deviation, per channel of ``[...,
    3]``."""
    mean, std = (
        jnp.array(c).reshape(*[1] * (images.ndim - 1), 3) for c in (IMAGENET_MEAN, IMAGENET_STD)
    )
    return (images - mean) / std


def mirror(images: jax.Array, flips: jax.Array) -> jax.Array:
    """Mirrors left to right those stored faces ``[face, H, W]`` (or ``[face, H, W, 3]``) whose
    ``flips [face]`` is true."""
    flips = flips.reshape(-1, *[1] * (images.ndim - 1))
    return jnp.where(flips, images[:, :, ::-1], images)


def to_stored_size(pictures: jax.Array, side: int) -> jax.Array:
    """Gray pictures at the size they were stored in, from pictures at network size: the inverse of
    the enlargement.

    What enlarging ``side`` pixels cannot have made is dropped (the least-squares inverse).
    Statistics of fine texture must be taken from these: an enlarged picture has exactly no energy
    in some directions, and whatever is done to it *afterwards* shows there, which tells how the
    picture was prepared and not what it shows.

    Args:
      pictures: float ``[face, S, S, 3]`` in [0, 1].
      side: stored side, pixels.

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
    """All ``size`` × ``size`` patches of gray pictures at every ``stride``-th place.

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
