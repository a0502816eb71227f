"""Baseline JPEG compression of a given quality, there and back, as a pure function.

Everything a baseline encoder loses is lost here in the same way: colour to luma and chroma, chroma
at half resolution, 8×8 cosine transforms, quantisation. The lossless entropy coding between is left
out.

References:
  ITU-T T.81 (1992), Annexes A and K, https://www.w3.org/Graphics/JPEG/itu-t81.pdf; the quality
  scale and the smooth chroma upsampling are those of the Independent JPEG Group's library.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ferjax.corruptions.filters import Scalar
from ferjax.corruptions.resizing import bilinear_matrix

__all__ = ["quantisation_table", "roundtrip"]

_BLOCK = 8

_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *(((99,) * 8,) * 4),
)

_TO_YCBCR = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
)
_TO_RGB = np.array([[1.0, 0.0, 1.402], [1.0, -0.344136, -0.714136], [1.0, 1.772, 0.0]], np.float32)


def _cosines() -> np.ndarray:
    """The orthonormal cosine transform ``[frequency, pixel]`` of a block's side."""
    frequency, pixel = np.mgrid[:_BLOCK, :_BLOCK]
    basis = np.cos((2 * pixel + 1) * frequency * np.pi / (2 * _BLOCK)) * np.sqrt(2 / _BLOCK)
    basis[0] /= np.sqrt(2)
    return basis.astype(np.float32)


def quantisation_table(standard: tuple[tuple[int, ...], ...], quality: Scalar) -> jax.Array:
    """Scales a standard table of quantisation steps to a quality.

    Args:
      standard: ``[8, 8]`` steps at quality 50.
      quality: 1..100; may be traced.

    Returns:
      ``[8, 8]`` whole numbers 1..255.
    """
    quality = jnp.asarray(quality, jnp.float32)
    percent = jnp.where(quality < 50, jnp.floor(5000 / quality), 200 - 2 * quality)
    return jnp.clip(jnp.floor((jnp.asarray(standard, jnp.float32) * percent + 50) / 100), 1, 255)


def _coded(plane: jax.Array, table: jax.Array) -> jax.Array:
    """One plane ``[H, W]`` of 8-bit values, sides multiples of 8, quantised as cosine blocks."""
    cosines = jnp.asarray(_cosines())
    height, width = plane.shape
    blocks = plane.reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK) - 128.0
    waves = jnp.einsum("ui,hiwj,vj->huwv", cosines, blocks, cosines)
    steps = table[None, :, None, :]
    # Halves are rounded away from zero.
    waves = jnp.sign(waves) * jnp.floor(jnp.abs(waves) / steps + 0.5 + 1e-5) * steps
    pixels = jnp.einsum("ui,huwv,vj->hiwj", cosines, waves, cosines).reshape(height, width)
    return jnp.clip(jnp.round(pixels + 128.0), 0, 255)


def roundtrip(image: jax.Array, quality: Scalar) -> jax.Array:
    """What a reader sees of a picture that was stored as JPEG with 4:2:0 chroma.

    Args:
      image: ``[H, W, 3]`` colour or ``[H, W, 1]`` gray (luma only), in [0, 1]; rounded to 8 bits,
        as a file holds them.
      quality: 1..100, Independent JPEG Group's scale; may be traced.

    Returns:
      The picture read back, same shape, multiples of 1/255.

    >>> flat = jnp.full((10, 12, 3), 0.2)
    >>> bool(jnp.abs(jax.jit(roundtrip)(flat, 50) - flat).max() < 0.02)
    True
    """
    height, width, channels = image.shape
    down = -height % (2 * _BLOCK)
    right = -width % (2 * _BLOCK)
    padded = jnp.round(jnp.pad(image, ((0, down), (0, right), (0, 0)), mode="edge") * 255.0)
    luma_table = quantisation_table(_LUMA, quality)
    if channels == 1:
        return _coded(padded[..., 0], luma_table)[:height, :width, None] / 255.0

    ycbcr = jnp.round(
        jnp.einsum("yc,hwc->yhw", _TO_YCBCR, padded)
        + np.array([0, 128, 128], np.float32)[:, None, None]
    )
    half_height = (height + down) // 2
    half_width = (width + right) // 2
    # The library's rounding alternates so that halves do not drift upwards.
    halves = np.tile(np.array([0.25, 0.5], np.float32), half_width // 2)[None, None, :]
    chroma = jnp.floor(ycbcr[1:].reshape(2, half_height, 2, half_width, 2).mean((2, 4)) + halves)
    chroma_table = quantisation_table(_CHROMA, quality)
    chroma = jax.vmap(_coded, in_axes=(0, None))(chroma, chroma_table)
    chroma = chroma[:, : (height + 1) // 2, : (width + 1) // 2]
    rows, columns = (bilinear_matrix(side, 2 * side) for side in chroma.shape[1:])
    chroma = jnp.einsum("ih,phw,jw->pij", rows, chroma, columns)[:, :height, :width]
    luma = _coded(ycbcr[0], luma_table)[None, :height, :width]
    planes = jnp.concatenate([luma, jnp.round(chroma) - 128.0])
    return jnp.clip(jnp.round(jnp.einsum("cy,yhw->hwc", _TO_RGB, planes)), 0, 255) / 255.0
