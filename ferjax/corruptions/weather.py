"""ImageNet-C's weather: snow, frost, fog and spatter, drawn over the picture.

Each is ``(key, image [H, W, C], severity) -> image``, pixels in [0, 1]. The severity constants are
ImageNet-C's; the drawings are made from the key, so no picture is shipped. Snow, ice and drops have
details of a few pixels at 224: for smaller pictures they are drawn on a canvas of at least 112
pixels and averaged down, as a camera would see them.

References:
  Hendrycks & Dietterich 2019, https://arxiv.org/abs/1903.12261; Fournier, Fussell & Carpenter 1982,
  https://doi.org/10.1145/358523.358553 (the plasma of the fog).
"""

import math

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
    smooth_noise,
    smoothing_matrix,
)
from ferjax.corruptions.resizing import area_matrix, linear_matrix

__all__ = ["fog", "frost", "luma", "plasma", "snow", "spatter"]

FOG = ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4))
"""Thickness, and decay of detail from one scale to the next."""
FROST = ((1.0, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))
"""Shares of the picture and of the ice."""
SNOW = (
    (0.1, 0.3, 3.0, 0.5, 10.0, 4.0, 0.8),
    (0.2, 0.3, 2.0, 0.5, 12.0, 4.0, 0.7),
    (0.55, 0.3, 4.0, 0.9, 12.0, 8.0, 0.7),
    (0.55, 0.3, 4.5, 0.85, 12.0, 8.0, 0.65),
    (0.55, 0.3, 2.5, 0.85, 12.0, 12.0, 0.55),
)
"""Mean and spread of the noise, its zoom, the threshold of a flake; radius and σ of the streak,
pixels at 224; share of the picture."""
SPATTER = (
    (0.65, 0.3, 4.0, 0.69, 0.6),
    (0.65, 0.3, 3.0, 0.68, 0.6),
    (0.65, 0.3, 2.0, 0.68, 0.5),
    (0.65, 0.3, 1.0, 0.65, 1.5),
    (0.67, 0.4, 1.0, 0.65, 1.5),
)
"""Mean and spread of the noise, σ of its smoothing in pixels at 224, threshold of a drop, strength
of the light."""
FIRST_MUD = 4
"""Severity from which spatter is mud."""

_SMALLEST_CANVAS = 112
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def luma(image: jax.Array) -> jax.Array:
    """Brightness of a gray or colour picture: ``[H, W, 1]`` from ``[H, W, C]``."""
    return image if image.shape[-1] == 1 else (image @ _LUMA)[..., None]


def _in_colours_of(image: jax.Array, layer: jax.Array) -> jax.Array:
    return luma(layer) if image.shape[-1] == 1 else layer


def _canvas(image: jax.Array) -> tuple[int, int]:
    height, width = image.shape[:2]
    return max(height, _SMALLEST_CANVAS), max(width, _SMALLEST_CANVAS)


def _shrunk_to(image: jax.Array, layer: jax.Array) -> jax.Array:
    if layer.shape[:2] == image.shape[:2]:
        return layer
    rows, columns = (area_matrix(*sides) for sides in zip(layer.shape[:2], image.shape[:2]))
    return rows_and_columns(rows, columns, layer)


def plasma(key: jax.Array, side: int, decay: Scalar) -> jax.Array:
    """A cloud by midpoint displacement: diamond and square steps, periodic.

    Args:
      key: random key.
      side: pixels needed (static).
      decay: how quickly detail fades from one scale to the next; may be traced.

    Returns:
      ``[S, S]`` in [0, 1], S the smallest power of 2 that is at least ``side``.
    """
    levels = max(1, math.ceil(math.log2(side)))
    wobbles = jax.random.uniform(key, (4**levels,), minval=-1.0, maxval=1.0)
    cloud = jnp.zeros((1, 1))
    used = 0
    for level in range(levels):
        size = cloud.shape[0]
        wobble = wobbles[used : used + 3 * size**2].reshape(3, size, size) * decay ** (-2.0 * level)
        used += 3 * size**2
        to_the_right = cloud + jnp.roll(cloud, -1, axis=1)
        below = cloud + jnp.roll(cloud, -1, axis=0)
        centre = (to_the_right + jnp.roll(to_the_right, -1, axis=0)) / 4 + wobble[0]
        upper = (to_the_right + centre + jnp.roll(centre, 1, axis=0)) / 4 + wobble[1]
        left = (below + centre + jnp.roll(centre, 1, axis=1)) / 4 + wobble[2]
        even = jnp.stack([cloud, upper], axis=-1)
        odd = jnp.stack([left, centre], axis=-1)
        cloud = jnp.stack([even.reshape(size, -1), odd.reshape(size, -1)], axis=1).reshape(
            2 * size, 2 * size
        )
    cloud = cloud - cloud.min()
    return cloud / cloud.max()


def fog(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """A cloud in front of the picture; it spans the picture at any size."""
    thickness, decay = by_severity(FOG, severity)
    height, width = image.shape[:2]
    cloud = plasma(key, max(height, width), decay)[:height, :width, None]
    brightest = image.max()
    return jnp.clip((image + thickness * cloud) * brightest / (brightest + thickness), 0.0, 1.0)


def snow(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """Falling flakes, streaked by their motion, over a whitened picture."""
    mean, spread, zoom, threshold, radius, sigma, keep = by_severity(SNOW, severity)
    noise_key, angle_key = jax.random.split(key)
    nodes = math.ceil(REFERENCE_SIDE / min(row[2] for row in SNOW))
    noise = mean + spread * jax.random.normal(noise_key, (nodes, nodes))

    def enlarged(side: int) -> jax.Array:
        """Linear zoom into the noise, from as many of its nodes as ImageNet-C takes at 224."""
        used = jnp.ceil(REFERENCE_SIDE / zoom - 1e-4)
        zoomed = jnp.round(used * zoom)
        trimmed = jnp.floor((zoomed - REFERENCE_SIDE) / 2)
        position = (jnp.arange(side) + 0.5) * REFERENCE_SIDE / side - 0.5 + trimmed
        return linear_matrix(position * (used - 1) / (zoomed - 1), nodes)

    height, width = _canvas(image)
    flakes = enlarged(height) @ noise @ enlarged(width).T
    flakes = jnp.clip(jnp.where(flakes < threshold, 0.0, flakes), 0.0, 1.0)
    angle = jax.random.uniform(angle_key, minval=-0.75 * jnp.pi, maxval=-0.25 * jnp.pi)
    longest = max(row[4] for row in SNOW)
    flakes = _shrunk_to(image, line_blur(flakes[..., None], angle, radius, sigma, longest))
    whitened = keep * image + (1 - keep) * jnp.maximum(image, 1.5 * luma(image) + 0.5)
    return jnp.clip(whitened + flakes + flakes[::-1, ::-1], 0.0, 1.0)


# Red, green, blue and contrast of five kinds of ice, about as bright as ImageNet-C's photographs.
_ICE = (
    (0.31, 0.58, 0.65, 0.09),
    (0.79, 0.81, 0.84, 0.09),
    (0.54, 0.60, 0.65, 0.12),
    (0.44, 0.48, 0.53, 0.17),
    (0.28, 0.37, 0.41, 0.17),
)


def _ice(key: jax.Array, height: int, width: int) -> jax.Array:
    """Frosted glass ``[height, width, 3]``: needles that grow at 60° to each other, in patches."""
    kind_key, angle_key, patch_key, seed_key = jax.random.split(key, 4)
    patch = plasma(patch_key, max(height, width), 1.4)[:height, :width]
    first = jax.random.uniform(angle_key, maxval=jnp.pi)
    chance = jax.random.uniform(seed_key, (height, width, 1))
    seeds = jnp.where(chance > 0.96, 1.0, 0.0) + 0.3 * (chance - 0.5)
    needles = jnp.zeros((height, width))
    for third in range(3):
        here = jnp.maximum(0.0, jnp.cos(2 * jnp.pi * (2 * patch - third / 3)))
        streaks = line_blur(seeds, first + third * jnp.pi / 3, 12, 9, 12)[..., 0]
        needles = needles + here * streaks
    relief = needles - jnp.roll(needles, (1, 1), axis=(0, 1))
    texture = jnp.zeros((height, width))
    for part, weight in ((patch, 0.7), (needles, 0.6), (relief, 0.4)):
        texture = texture + (part - part.mean()) / (part.std() + 1e-6) * weight
    *colour, contrast = jnp.asarray(_ICE)[jax.random.randint(kind_key, (), 0, len(_ICE))]
    return jnp.clip(jnp.stack(colour)[None, None, :] + contrast * texture[..., None], 0.0, 1.0)


def frost(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """The picture behind frosted glass, which is drawn; ImageNet-C pastes crops of photographs."""
    keep, strength = by_severity(FROST, severity)
    ice = _in_colours_of(image, _shrunk_to(image, _ice(key, *_canvas(image))))
    return jnp.clip(keep * image + strength * ice, 0.0, 1.0)


_WATER = np.array([175, 238, 238], np.float32) / 255
_MUD = np.array([63, 42, 20], np.float32) / 255


def _distance(shape: jax.Array, furthest: float) -> jax.Array:
    """Distance of every pixel to ``shape [H, W]``, at most ``furthest``, in pixels at 224."""

    def nearest(squared: jax.Array, axis: int) -> jax.Array:
        side = squared.shape[axis]
        step = REFERENCE_SIDE / side
        reach = math.ceil(furthest / step)
        pad = [(reach, reach) if a == axis else (0, 0) for a in range(2)]
        padded = jnp.pad(squared, pad, constant_values=furthest**2)
        shifted = (
            jax.lax.slice_in_dim(padded, reach + d, reach + d + side, axis=axis) + (d * step) ** 2
            for d in range(-reach, reach + 1)
        )
        result = squared
        for candidate in shifted:
            result = jnp.minimum(result, candidate)
        return result

    return jnp.sqrt(nearest(nearest(jnp.where(shape, 0.0, furthest**2), 1), 0))


def _glints(liquid: jax.Array, wet: jax.Array) -> jax.Array:
    """Light in drops of water ``[H, W]``, 0..1: bright off their rims, from the upper left."""
    furthest = 20
    height, width = wet.shape
    framed = jnp.pad(wet, 1, mode="edge")
    within = framed[:-2, 1:-1] & framed[2:, 1:-1] & framed[1:-1, :-2] & framed[1:-1, 2:]
    box = [convolution_matrix(jnp.full(3, 1 / 3), side, "reflect") for side in (height, width)]
    depth = jnp.floor(box[0] @ _distance(wet & ~within, furthest) @ box[1].T + 1e-3)
    # Equalised: a depth becomes the share of the picture that is no deeper.
    share = jnp.stack([(depth <= level).mean() for level in range(furthest + 1)])
    shallowest = share[depth.min().astype(int)]
    equalised = jnp.round(
        255 * (share[depth.astype(int)] - shallowest) / jnp.maximum(1 - shallowest, 1e-6)
    )
    f = jnp.pad(equalised, 1, mode="reflect")
    shadow = 2 * f[:-2, :-2] + f[:-2, 1:-1] + f[1:-1, :-2]
    embossed = f[1:-1, 1:-1] + f[1:-1, 2:] + f[2:, 1:-1] + 2 * f[2:, 2:] - shadow
    light = liquid * (box[0] @ jnp.clip(embossed, 0, 255) @ box[1].T)
    return light / jnp.maximum(light.max(), 1e-6)


def spatter(key: jax.Array, image: jax.Array, severity: ArrayLike) -> jax.Array:
    """Drops on the lens: water, from severity 4 on mud.

    The rims of the drops are their outermost pixels, where ImageNet-C runs an edge detector, and
    distances are exact.
    """
    mean, spread, sigma, threshold, strength = by_severity(SPATTER, severity)
    noise = jax.random.normal(key, _canvas(image))
    largest_sigma = max(row[2] for row in SPATTER)
    liquid = mean + spread * smooth_noise(noise, sigma, largest_sigma, (4.0, 0.5), "edge")

    def water() -> tuple[jax.Array, jax.Array]:
        wet = liquid >= threshold
        light = _shrunk_to(image, strength * _glints(jnp.where(wet, liquid, 0.0), wet)[..., None])
        return jnp.zeros_like(light), light * _WATER[None, None, :]

    def mud() -> tuple[jax.Array, jax.Array]:
        def smoothing(side: int) -> jax.Array:
            scale = side / REFERENCE_SIDE
            return smoothing_matrix(side, 1.5 * scale, 6.0 * scale + 0.5, side // 16, "edge")

        height, width = liquid.shape
        cover = (liquid > threshold).astype(jnp.float32)
        cover = smoothing(height) @ cover @ smoothing(width).T
        cover = _shrunk_to(image, jnp.where(cover < 0.8, 0.0, cover)[..., None])
        return cover, cover * _MUD[None, None, :]

    cover, added = jax.lax.cond(jnp.asarray(severity) >= FIRST_MUD, mud, water)
    return jnp.clip(image * (1 - cover) + _in_colours_of(image, added), 0.0, 1.0)
