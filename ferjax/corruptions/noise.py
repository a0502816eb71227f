"""ImageNet-C's noises. Each is ``(key, image [H, W, C], severity) -> image``, pixels in [0, 1]."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.corruptions.filters import by_severity

__all__ = ["gaussian_noise", "impulse_noise", "shot_noise", "speckle_noise"]

GAUSSIAN_SIGMA = (0.08, 0.12, 0.18, 0.26, 0.38)
SHOT_PHOTONS = (60.0, 25.0, 12.0, 5.0, 3.0)
"""Expected photons of a white pixel."""
IMPULSE_SHARE = (0.03, 0.06, 0.09, 0.17, 0.27)
"""Share of the values that become black or white."""
SPECKLE_SIGMA = (0.15, 0.2, 0.35, 0.45, 0.6)


def gaussian_noise(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """Independent Gaussian noise per pixel and channel, clipped."""
    sigma = by_severity(GAUSSIAN_SIGMA, severity)
    return jnp.clip(image + sigma * jax.random.normal(key, image.shape), 0.0, 1.0)


def shot_noise(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """Photon counts: Poisson(c·x) / c for c photons at white, per channel, clipped.

    Drawn by inverting the distribution at one uniform number per pixel. A count above c clips to
    white, so c terms are enough; :func:`jax.random.poisson` would reject for a hundred times
    longer.
    """
    photons = by_severity(SHOT_PHOTONS, severity)
    uniform = jax.random.uniform(key, image.shape)
    rate = photons * image
    terms = 12

    def more_terms(batch: jax.Array, state: tuple[jax.Array, jax.Array, jax.Array]):
        probability, below, count = state
        for term in range(terms):
            k = batch * terms + term
            count = count + ((uniform >= below) & (k < photons))
            probability = probability * rate / (k + 1.0)
            below = below + probability
        return probability, below, count

    none = jnp.exp(-rate)
    batches = jnp.ceil(photons / terms).astype(int)
    count = jax.lax.fori_loop(0, batches, more_terms, (none, none, jnp.zeros_like(image)))[2]
    return count / photons


def impulse_noise(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """Salt and pepper, half each, in a share of all values (each channel by itself)."""
    share = by_severity(IMPULSE_SHARE, severity)
    uniform = jax.random.uniform(key, image.shape)
    return jnp.where(uniform < share, jnp.where(uniform < share / 2, 0.0, 1.0), image)


def speckle_noise(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """Gaussian noise in proportion to the light, clipped."""
    sigma = by_severity(SPECKLE_SIGMA, severity)
    return jnp.clip(image * (1 + sigma * jax.random.normal(key, image.shape)), 0.0, 1.0)
