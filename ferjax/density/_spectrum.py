"""Texture of pictures: energies of their patches in bands of principal directions."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ferjax.arrays import as_floats
from ferjax.density._gaussians import eigh

__all__ = ["Spectrum", "band_energies", "fit_spectrum"]


class Spectrum(NamedTuple):
    """Centres patches, turns them into principal directions, and groups these into bands."""

    mean: jax.Array
    """``[width]``."""
    whiten: jax.Array
    """``[width, width]``."""
    bands: jax.Array
    """``[width, band]``; columns average directions, those of largest variance first."""


def fit_spectrum(patches: ArrayLike, *, bands: int = 16) -> Spectrum:
    """Principal directions of patches of known pictures, in bands that widen geometrically.

    Args:
      patches: ``[item, patch, width]`` of clean pictures, ``width`` pixels or other values each.
      bands: at most how many bands (static).

    Returns:
      :class:`Spectrum`, float32; all NaN where a patch holds a NaN, or without patches.

    Raises:
      ValueError: if ``patches`` is not ``[item, patch, width]``.

    >>> fit_spectrum(jnp.eye(9)[None], bands=3).bands.sum(0).tolist()
    [1.0, 1.0, 1.0]
    """
    pieces = _as_patches(patches)
    width = pieces.shape[-1]
    rows = pieces.reshape(-1, width)
    mean = jnp.mean(rows, axis=0)
    variances, directions = eigh((rows - mean[None]).T @ (rows - mean[None]) / len(rows))
    variances = variances[::-1]
    directions = directions[:, ::-1]
    whiten = directions / jnp.sqrt(jnp.maximum(variances, 1e-8 * variances[0] + 1e-12))[None]
    edges = np.unique(np.round(np.geomspace(1, width, bands + 1)).astype(int))
    edges[0] = 0
    direction = np.arange(width)[:, None]
    inside = (direction >= edges[None, :-1]) & (direction < edges[None, 1:])
    return Spectrum(mean, whiten, jnp.asarray(inside / inside.sum(0, keepdims=True), rows.dtype))


def band_energies(spectrum: Spectrum, patches: ArrayLike) -> jax.Array:
    """Log energy of each band over a picture's patches; about 0 for one like the known ones.

    Noise raises the fine bands, blur lowers them, light and contrast move the broad ones: a
    distance in these logarithms sees all of them, where a distance of the features themselves takes
    a blurred picture for a typical one.

    Args:
      spectrum: from :func:`fit_spectrum`.
      patches: ``[item, patch, width]``.

    Returns:
      float32 ``[item, band]``, natural logarithms of energies relative to the known pictures'; NaN
      for a picture with a NaN, or without patches.

    Raises:
      ValueError: if ``patches`` is not ``[item, patch, width]``.

    >>> s = Spectrum(jnp.zeros(2), jnp.eye(2), jnp.eye(2))
    >>> energies = band_energies(s, jnp.array([[[1.0, 10.0], [1.0, 10.0]]]))
    >>> [round(float(energy), 2) for energy in energies[0]]
    [0.0, 4.61]
    """
    whitened = (_as_patches(patches) - spectrum.mean[None, None]) @ spectrum.whiten
    return jnp.log(jnp.mean(whitened**2 @ spectrum.bands, axis=-2) + 1e-6)


def _as_patches(patches: ArrayLike) -> jax.Array:
    (values,) = as_floats(patches)
    if values.ndim != 3:
        raise ValueError(f"patches must be [item, patch, width], got shape {values.shape}")
    return values
