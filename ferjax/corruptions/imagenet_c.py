"""ImageNet-C for faces: its fifteen corruptions and four extras, with the published severities.

Same form as in :mod:`ferjax.corruptions.suites`: ``(key, image [H, W, C], severity) -> image`` in
[0, 1], C = 1 or 3.

The constants are those of the published generator, which knows only 224×224 pictures. At 224 they
are used exactly; at other sizes lengths in pixels scale with the side, each axis with its own, so
that a smaller face is corrupted as if it had been corrupted at 224 and then shrunk. Numbers that
are not lengths (noise, contrast, quality, shares) do not scale.

Where this differs from the published generator, on purpose:

* nothing is rounded to 8 bits on the way (JPEG excepted);
* elastic_transform reads the picture once, through affine map and displacement together, instead of
  resampling twice;
* frost is drawn instead of cut out of photographs;
* motion is blurred on the same line of pixels and with the same weights as ImageMagick, without
  calling it.

The package ``imagecorruptions`` (Michaelis et al. 2019) adapted the generator to other sizes: it
leaves the affine part out of elastic_transform, whose displacement it rescales, and keeps other
lengths in pixels whatever the size.

References: Hendrycks & Dietterich 2019, arXiv 1903.12261; Michaelis et al. 2019, arXiv 1907.07484.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ferjax.corruptions import jpeg
from ferjax.corruptions.filters import (
    REFERENCE_SIDE,
    at,
    box_matrix,
    convolution_matrix,
    line_blur,
    nearest_matrix,
    reflect,
    rows_and_columns,
    sample_bilinear,
    scaled_kernel_matrix,
    smoothing_matrix,
)
from ferjax.corruptions.weather import fog, frost, smooth_noise, snow, spatter

__all__ = [
    "EXTRA",
    "FIFTEEN",
    "brightness",
    "contrast",
    "defocus_blur",
    "elastic_transform",
    "fog",
    "frost",
    "gaussian_blur",
    "gaussian_noise",
    "glass_blur",
    "impulse_noise",
    "jpeg_compression",
    "motion_blur",
    "pixelate",
    "saturate",
    "shot_noise",
    "snow",
    "spatter",
    "speckle_noise",
    "zoom_blur",
]


def gaussian_noise(key: jax.Array, image: jax.Array, severity: jax.Array | int) -> jax.Array:
    """Independent Gaussian noise per pixel and channel, σ = .08 … .38."""
    sigma = at((0.08, 0.12, 0.18, 0.26, 0.38), severity)
    return jnp.clip(image + sigma * jax.random.normal(key, image.shape), 0.0, 1.0)


def shot_noise(key: jax.Array, image: jax.Array, severity: jax.Array | int) -> jax.Array:
    """Photon counts: Poisson(c·x) / c with c = 60 … 3 photons at white, per channel, clipped.

    Drawn by inverting the distribution at one uniform number per pixel. A count above c clips to
    white, so c terms are enough; :func:`jax.random.poisson` would reject for a hundred times
    longer.
    """
    photons = at((60.0, 25.0, 12.0, 5.0, 3.0), severity)
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


def impulse_noise(key: jax.Array, image: jax.Array, severity: jax.Array | int) -> jax.Array:
    """Salt and pepper, half each, in .03 … .27 of all values (each channel by itself)."""
    amount = at((0.03, 0.06, 0.09, 0.17, 0.27), severity)
    uniform = jax.random.uniform(key, image.shape)
    return jnp.where(uniform < amount, jnp.where(uniform < amount / 2, 0.0, 1.0), image)


def speckle_noise(key: jax.Array, image: jax.Array, severity: jax.Array | int) -> jax.Array:
    """Gaussian noise in proportion to the light, σ = .15 … .6 of it."""
    sigma = at((0.15, 0.2, 0.35, 0.45, 0.6), severity)
    return jnp.clip(image * (1 + sigma * jax.random.normal(key, image.shape)), 0.0, 1.0)


def _smoothed(image: jax.Array, sigma: jax.Array, largest_sigma: float) -> jax.Array:
    """Gaussian blur as in scikit-image: cut at 4σ, the edge repeated; σ in pixels at 224."""

    def matrix(side: int) -> jax.Array:
        scale = side / REFERENCE_SIDE
        taps = int(4 * largest_sigma * scale + 0.5)
        return smoothing_matrix(side, sigma * scale, 4 * sigma * scale + 0.5, taps, "edge")

    return rows_and_columns(matrix(image.shape[0]), matrix(image.shape[1]), image)


def gaussian_blur(key: jax.Array, image: jax.Array, severity: jax.Array | int) -> jax.Array:
    """Gaussian blur, σ = 1 … 6 pixels at 224."""
    del key
    return _smoothed(image, at((1.0, 2.0, 3.0, 4.0, 6.0), severity), 6.0)


@functools.cache
def _disks() -> tuple[np.ndarray, np.ndarray]:
    """Out-of-focus disks as sums of separable kernels: strengths ``[severity, part]``, kernels
    ``[…, tap]``.

    A disk of pixels has few distinct rows, hence a low rank: at most seven parts are exact.
    """
    taps = 21
    parts = 7
    offset = np.arange(taps) - taps // 2
    strengths = np.zeros((5, parts))
    kernels = np.zeros((5, parts, taps))
    for level, (radius, alias_sigma) in enumerate(
        ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))
    ):
        disk = (offset[:, None] ** 2 + offset[None, :] ** 2 <= radius**2).astype(float)
        disk /= disk.sum()
        # The published kernel is smoothed by 3 or 5 taps on a grid that ends at 8 pixels or at the
        # radius.
        grid, reach = (8, 1) if radius <= 8 else (radius, 2)
        near = np.arange(-reach, reach + 1)
        weights = np.exp(-0.5 * (near / alias_sigma) ** 2)
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


def defocus_blur(key: jax.Array, image: jax.Array, severity: jax.Array | int) -> jax.Array:
    """Blur by an out-of-focus lens: a disk of radius 3 … 10 pixels at 224."""
    del key
    strengths, kernels = (jnp.asarray(table)[jnp.asarray(severity) - 1] for table in _disks())
    resize = [
        scaled_kernel_matrix(kernels.shape[1], side / REFERENCE_SIDE) for side in image.shape[:2]
    ]

    def add_part(part: jax.Array, total: jax.Array) -> jax.Array:
        rows, columns = (
            convolution_matrix(scaled @ kernels[part], side, "reflect")
            for scaled, side in zip(resize, image.shape[:2])
        )
        return total + strengths[part] * rows_and_columns(rows, columns, image)

    blurred = jax.lax.fori_loop(0, (strengths != 0).sum(), add_part, jnp.zeros_like(image))
    return jnp.clip(blurred, 0.0, 1.0)


def _moved_from(key: jax.Array, height: int, width: int, reach: jax.Array) -> jax.Array:
    """One pass of glass: which pixel each pixel ends up showing, flat ``[height · width]``.

    The published loop visits the pixels from the last to the first and copies onto each the
    *present* content of a random neighbour (it means to swap, but its swap of NumPy views copies).
    A pixel that was visited before shows another's content already, so sources follow chains of
    visited pixels. Five doublings follow chains of 32; longer ones have a chance below 1e-11 per
    pixel.
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


def glass_blur(key: jax.Array, image: jax.Array, severity: jax.Array | int) -> jax.Array:
    """Frosted glass: blurred, neighbouring pixels mixed up (twice, once, three times, …), blurred
    again."""
    sigma, reach, passes = at(
        ((0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2)), severity
    )
    height, width, channels = image.shape

    def one_pass(number: jax.Array, source: jax.Array) -> jax.Array:
        return source[_moved_from(jax.random.fold_in(key, number), height, width, reach)]

    source = jax.lax.fori_loop(0, passes.astype(int), one_pass, jnp.arange(height * width))
    mixed = _smoothed(image, sigma, 1.5).reshape(-1, channels)[source].reshape(image.shape)
    return jnp.clip(_smoothed(mixed, sigma, 1.5), 0.0, 1.0)


def motion_blur(key: jax.Array, image: jax.Array, severity: jax.Array | int) -> jax.Array:
    """Blur along a line at a random angle within ±45° of the horizontal."""
    radius, sigma = at(((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)), severity)
    angle = jax.random.uniform(key, minval=-jnp.pi / 4, maxval=jnp.pi / 4)
    return jnp.clip(line_blur(image, angle, radius, sigma, 20), 0.0, 1.0)


def _zooms(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where zoomed pictures read: count ``[severity]``, first place and step ``[severity, zoom]``
    along an axis."""
    ranges = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))
    zooms = [np.arange(1, end, step) for end, step in ranges]
    first, step = np.zeros((2, 5, max(map(len, zooms))), np.float32)
    for level, factors in enumerate(zooms):
        crop = np.ceil(side / factors)
        enlarged = np.round(crop * factors)
        step[level, : len(factors)] = (crop - 1) / np.maximum(enlarged - 1, 1)
        trimmed = (enlarged - side) // 2
        first[level, : len(factors)] = (side - crop) // 2 + trimmed * step[level, : len(factors)]
    return np.array([len(factors) for factors in zooms]), first, step


def zoom_blur(key: jax.Array, image: jax.Array, severity: jax.Array | int) -> jax.Array:
    """Mean of the picture and 11 to 16 zooms into its centre, up to 1.11 … 1.31 times."""
    del key
    tables = [_zooms(side) for side in image.shape[:2]]
    count = jnp.asarray(tables[0][0])[jnp.asarray(severity) - 1]
    reads = [(at(first, severity), at(step, severity)) for _, first, step in tables]

    def add_zoom(zoom: jax.Array, total: jax.Array) -> jax.Array:
        rows, columns = (
            first[zoom] + step[zoom] * jnp.arange(side)
            for (first, step), side in zip(reads, image.shape[:2])
        )
        return total + sample_bilinear(image, rows[:, None], columns[None, :])

    return jax.lax.fori_loop(0, count, add_zoom, image) / (count + 1.0)


def brightness(key: jax.Array, image: jax.Array, severity: jax.Array | int) -> jax.Array:
    """Raises HSV's value by .1 … .5; hue and saturation stay, so all channels grow in
    proportion."""
    del key
    value = image.max(-1, keepdims=True)
    raised = jnp.minimum(value + at((0.1, 0.2, 0.3, 0.4, 0.5), severity), 1.0)
    return jnp.where(value > 0, image * raised / jnp.where(value > 0, value, 1.0), raised)


def saturate(key: jax.Array, image: jax.Array, severity: jax.Array | int) -> jax.Array:
    """HSV's saturation s becomes a·s + b: faded (.3, .1), then gaudy (2, 5, 20).

    A gray pixel of a colour picture has hue 0, as in the published generator: with b > 0
    (severities 4 and 5) it turns reddish. A one-channel picture has no saturation and stays as it
    is.
    """
    del key
    if image.shape[-1] == 1:
        return image
    gain, offset = at(((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)), severity)
    value = image.max(-1, keepdims=True)
    chroma = value - image.min(-1, keepdims=True)
    saturation = chroma / jnp.where(value > 0, value, 1.0)
    red = np.array([0.0, 1.0, 1.0], np.float32)[None, None, :]
    hue = jnp.where(chroma > 0, (value - image) / jnp.where(chroma > 0, chroma, 1.0), red)
    return value * (1 - jnp.clip(saturation * gain + offset, 0.0, 1.0) * hue)


def contrast(key: jax.Array, image: jax.Array, severity: jax.Array | int) -> jax.Array:
    """Pulls each channel towards its mean, .4 … .05 of the contrast being left."""
    del key
    mean = image.mean((0, 1), keepdims=True)
    return (image - mean) * at((0.4, 0.3, 0.2, 0.1, 0.05), severity) + mean


_ELASTIC = (
    (2.0, 0.7, 0.1),
    (2.0, 0.08, 0.2),
    (0.05, 0.01, 0.02),
    (0.07, 0.01, 0.02),
    (0.12, 0.01, 0.02),
)


def elastic_transform(key: jax.Array, image: jax.Array, severity: jax.Array | int) -> jax.Array:
    """A random affine map and a smooth random displacement.

    Severities 1 and 2 tilt and shift by up to 24 and 49 pixels at 224 and bend graceful; 3 to 5
    hardly tilt but crumple. The constants are shares of 244 pixels, a slip of the original that the
    published pictures have.
    """
    strength, sigma, tilt = 244 * at(_ELASTIC, severity)
    tilt_key, bend_key = jax.random.split(key)
    height, width = image.shape[:2]
    scales = [height / REFERENCE_SIDE, width / REFERENCE_SIDE]

    bend = jax.vmap(lambda noise: smooth_noise(noise, sigma, 244 * 0.7, (3.0, 0.5), "symmetric"))(
        jax.random.uniform(bend_key, (2, height, width), minval=-1.0, maxval=1.0)
    )
    grid = jnp.meshgrid(jnp.arange(float(height)), jnp.arange(float(width)), indexing="ij")
    y, x = (
        reflect(places + strength * scale * moved, side, edge_repeats=True) / scale
        for places, moved, scale, side in zip(grid, bend, scales, image.shape[:2])
    )

    # Three corners of a square about the centre are moved; the map is undone to know where each
    # pixel reads.
    centre = REFERENCE_SIDE // 2
    arm = REFERENCE_SIDE // 3
    corner, upper, opposite = tilt * jax.random.uniform(tilt_key, (3, 2), minval=-1.0, maxval=1.0)
    down = jnp.array([0.0, 1.0]) + (corner - upper) / (2 * arm)
    right = jnp.array([1.0, 0.0]) + (upper - opposite) / (2 * arm)
    determinant = right[0] * down[1] - right[1] * down[0]
    determinant = jnp.where(jnp.abs(determinant) < 1e-6, 1e-6, determinant)
    from_x = x - (centre - arm + opposite[0])
    from_y = y - (centre - arm + opposite[1])
    x = (down[1] * from_x - down[0] * from_y) / determinant + centre - arm
    y = (right[0] * from_y - right[1] * from_x) / determinant + centre - arm
    return sample_bilinear(
        image,
        *(
            reflect(p * s, side, edge_repeats=False)
            for p, s, side in zip((y, x), scales, image.shape[:2])
        ),
    )


def pixelate(key: jax.Array, image: jax.Array, severity: jax.Array | int) -> jax.Array:
    """Box averages at .6 … .25 of the side, enlarged as blocks."""
    del key
    share = at((0.6, 0.5, 0.4, 0.3, 0.25), severity)

    def matrix(side: int) -> jax.Array:
        small = jnp.maximum(1.0, jnp.floor(share * side + 1e-4))
        return nearest_matrix(side, small) @ box_matrix(side, small)

    return rows_and_columns(matrix(image.shape[0]), matrix(image.shape[1]), image)


def jpeg_compression(key: jax.Array, image: jax.Array, severity: jax.Array | int) -> jax.Array:
    """JPEG at quality 25 … 7."""
    del key
    return jpeg.roundtrip(image, at((25, 18, 15, 10, 7), severity))


FIFTEEN = {
    f.__name__: f
    for f in (
        gaussian_noise,
        shot_noise,
        impulse_noise,
        defocus_blur,
        glass_blur,
        motion_blur,
        zoom_blur,
        snow,
        frost,
        fog,
        brightness,
        contrast,
        elastic_transform,
        pixelate,
        jpeg_compression,
    )
}
"""The published benchmark, in its order."""

EXTRA = {f.__name__: f for f in (speckle_noise, gaussian_blur, spatter, saturate)}
"""The four that are kept for validation."""
