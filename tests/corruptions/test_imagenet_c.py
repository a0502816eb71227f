"""ImageNet-C: its published constants, and the rules of its generator against other code.

The numbers are copied by hand from the published generator (Hendrycks & Dietterich 2019).
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats

from ferjax.corruptions import blurs, digital, jpeg, noise, weather

SIDE = 224
PUBLISHED = [
    (noise, "GAUSSIAN_SIGMA", (0.08, 0.12, 0.18, 0.26, 0.38)),
    (noise, "SHOT_PHOTONS", (60, 25, 12, 5, 3)),
    (noise, "IMPULSE_SHARE", (0.03, 0.06, 0.09, 0.17, 0.27)),
    (noise, "SPECKLE_SIGMA", (0.15, 0.2, 0.35, 0.45, 0.6)),
    (blurs, "GAUSSIAN_SIGMA", (1, 2, 3, 4, 6)),
    (blurs, "DEFOCUS", ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))),
    (blurs, "GLASS", ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))),
    (blurs, "MOTION", ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))),
    (blurs, "ZOOM", ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))),
    (
        weather,
        "SNOW",
        (
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
            (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
            (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ),
    ),
    (weather, "FROST", ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))),
    (weather, "FOG", ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))),
    (
        weather,
        "SPATTER",
        (
            (0.65, 0.3, 4, 0.69, 0.6),
            (0.65, 0.3, 3, 0.68, 0.6),
            (0.65, 0.3, 2, 0.68, 0.5),
            (0.65, 0.3, 1, 0.65, 1.5),
            (0.67, 0.4, 1, 0.65, 1.5),
        ),
    ),
    (digital, "BRIGHTNESS_ADDED", (0.1, 0.2, 0.3, 0.4, 0.5)),
    (digital, "CONTRAST_LEFT", (0.4, 0.3, 0.2, 0.1, 0.05)),
    (
        digital,
        "ELASTIC",
        ((2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02)),
    ),
    (digital, "ELASTIC_UNIT", 244),
    (digital, "PIXELATE_SHARE", (0.6, 0.5, 0.4, 0.3, 0.25)),
    (digital, "JPEG_QUALITY", (25, 18, 15, 10, 7)),
    (digital, "SATURATE", ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2))),
]
SEVERITIES = (1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    "module, name, constants", PUBLISHED, ids=[f"{m.__name__}.{n}" for m, n, _ in PUBLISHED]
)
def test_the_tables_are_the_published_ones(module, name, constants):
    assert getattr(module, name) == constants


def test_no_table_is_left_out():
    checked = {(module.__name__, name) for module, name, _ in PUBLISHED}
    checked |= {("ferjax.corruptions.blurs", "MOTION_ANGLE")}
    checked |= {("ferjax.corruptions.filters", "REFERENCE_SIDE")}
    checked |= {("ferjax.corruptions.weather", "FIRST_MUD")}
    for module in (noise, blurs, digital, weather):
        tables = {
            name for name, value in vars(module).items() if name.isupper() and name[0] != "_"
        } - {"REFERENCE_SIDE"}
        assert {(module.__name__, name) for name in tables} <= checked


def flat(value):
    return np.full((3, SIDE, SIDE, 3), value, np.float32)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_noises_have_the_spread_of_their_table(apply, severity):
    median = scipy.stats.norm.ppf(0.75)
    added = apply("imagenet_c.gaussian_noise", flat(0.5), severity) - 0.5
    sigma = noise.GAUSSIAN_SIGMA[severity - 1]
    assert np.median(np.abs(added)) / median == pytest.approx(sigma, rel=0.01)
    added = apply("imagenet_c.speckle_noise", flat(0.5), severity) - 0.5
    sigma = noise.SPECKLE_SIGMA[severity - 1]
    assert np.median(np.abs(added)) / median == pytest.approx(0.5 * sigma, rel=0.01)


@pytest.mark.parametrize("name", ["shot_noise", "impulse_noise"])
def test_noises_of_both_suites_are_one(name, apply):
    for images in (flat(0.4), flat(0.9)):
        corrupted = [apply(prefix + name, images, 3) for prefix in ("", "imagenet_c.")]
        values = [np.unique(c, return_counts=True) for c in corrupted]
        np.testing.assert_allclose(values[0][0], values[1][0], atol=1e-6)
        np.testing.assert_allclose(
            values[0][1] / flat(0).size, values[1][1] / flat(0).size, atol=4e-3
        )


@pytest.mark.parametrize("severity", SEVERITIES)
def test_gaussian_blur_is_scipys(apply, picture, severity):
    images = picture(count=3)
    sigma = blurs.GAUSSIAN_SIGMA[severity - 1]
    expected = scipy.ndimage.gaussian_filter(
        images, (0, sigma, sigma, 0), mode="nearest", truncate=4
    )
    got = apply("imagenet_c.gaussian_blur", images, severity)
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_defocus_is_a_disk(apply, severity):
    """The impulse response is even inside the radius, nothing two pixels outside it."""
    spot = flat(0)
    spot[:, 112, 112] = 1
    response = apply("imagenet_c.defocus_blur", spot, severity)[0, :, :, 0]
    offset = np.arange(SIDE) - 112
    distance = np.hypot(offset[:, None], offset[None, :])
    radius = blurs.DEFOCUS[severity - 1][0]
    area = (distance <= radius).sum()
    np.testing.assert_allclose(response[distance <= radius - 2], 1 / area, rtol=1e-3)
    np.testing.assert_allclose(response[distance > radius + 3], 0, atol=1e-6)
    # The published kernels of radius 8 and 10 are smoothed up to their very edge and gain 1 %.
    assert response.sum() == pytest.approx(1, abs=1e-4 if radius < 8 else 0.015)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_motion_blur_of_a_spot_is_the_line(apply, severity):
    spot = flat(0)
    spot[:, 112, 112] = 1
    response = apply("imagenet_c.motion_blur", spot, severity)[..., 0]
    radius, sigma = blurs.MOTION[severity - 1]
    weights = np.exp(-0.5 * (np.arange(2 * radius + 1) / sigma) ** 2)
    for streak in response:
        rows, columns = np.nonzero(streak)
        height = np.ptp(rows)
        width = np.ptp(columns)
        assert height <= width + 1  # within 45° of the horizontal
        assert np.hypot(height, width) == pytest.approx(2 * radius, abs=1.5)
        weight = streak[rows, columns]
        assert weight.sum() == pytest.approx(1, abs=1e-5)
        mean_distance = (weight * np.hypot(rows - 112, columns - 112)).sum()
        expected = np.average(np.arange(2 * radius + 1), weights=weights)
        assert mean_distance == pytest.approx(expected, abs=0.4)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_zoom_blur_is_the_mean_of_zooms(apply, severity):
    """A ramp about the centre is flattened by each zoom's factor, to a pixel's rounding."""
    images = flat(0)
    images += ((np.arange(SIDE) - (SIDE - 1) / 2) / SIDE)[None, None, :, None]
    end, step = blurs.ZOOM[severity - 1]
    factors = [1.0, *np.arange(1, end, step)]
    slope = np.diff(apply("imagenet_c.zoom_blur", images, severity)[0, 112, 20:-20, 0]).mean()
    assert slope * SIDE == pytest.approx(np.mean(1 / np.array(factors)), abs=2e-3)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_brightness_and_contrast_follow_their_tables(apply, picture, severity):
    images = picture(count=3)
    value = images.max(-1, keepdims=True)
    raised = np.minimum(value + digital.BRIGHTNESS_ADDED[severity - 1], 1)
    got = apply("imagenet_c.brightness", images, severity)
    np.testing.assert_allclose(got, images * raised / value, atol=1e-5)
    mean = images.mean((1, 2), keepdims=True)
    expected = (images - mean) * digital.CONTRAST_LEFT[severity - 1] + mean
    got = apply("imagenet_c.contrast", images, severity)
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_saturate_follows_its_table(apply, picture, severity):
    def saturation(images):
        return 1 - images.min(-1) / images.max(-1)

    images = picture(count=3)
    factor, offset = digital.SATURATE[severity - 1]
    got = apply("imagenet_c.saturate", images, severity)
    expected = np.clip(factor * saturation(images) + offset, 0, 1)
    np.testing.assert_allclose(saturation(got), expected, atol=1e-4)
    np.testing.assert_allclose(got.max(-1), images.max(-1), atol=1e-6)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_pixelate_has_blocks_of_its_share(apply, rng, severity):
    images = rng.random((3, SIDE, SIDE, 3)).astype(np.float32)
    got = apply("imagenet_c.pixelate", images, severity)
    small = int(digital.PIXELATE_SHARE[severity - 1] * SIDE + 1e-9)
    for line in (got[0, 0, :, 0], got[0, :, 0, 0]):
        assert 1 + np.count_nonzero(np.diff(line)) == small


def test_jpeg_compression_has_the_quality_of_its_table(apply, picture, quick_jit):
    images = picture(count=3)
    roundtrip = quick_jit(jax.vmap(jpeg.roundtrip, (0, None)))
    for severity, quality in enumerate(digital.JPEG_QUALITY, start=1):
        got = apply("imagenet_c.jpeg_compression", images, severity)
        np.testing.assert_array_equal(got, roundtrip(images, jnp.float32(quality)))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_frost_and_snow_keep_their_share_of_the_picture(apply, severity):
    """Two dark gray pictures under the same ice differ by the share that is left of them."""
    keep = weather.FROST[severity - 1][0]
    low, high = (apply("imagenet_c.frost", flat(v), severity) for v in (0.1, 0.15))
    inside = high < 1
    np.testing.assert_allclose((high - low)[inside], 0.05 * keep, atol=1e-6)
    assert inside.mean() > 0.5
    # Snow whitens: a gray value x becomes keep·x + (1 - keep)·max(x, 1.5 x + 0.5), then flakes.
    keep = weather.SNOW[severity - 1][-1]
    low, high = (apply("imagenet_c.snow", flat(v), severity) for v in (0.1, 0.15))
    inside = high < 1
    np.testing.assert_allclose((high - low)[inside], 0.05 * (keep + 1.5 * (1 - keep)), atol=1e-5)
    assert inside.mean() > 0.3


@pytest.mark.parametrize("severity", SEVERITIES)
def test_fog_thickens_by_its_table(apply, severity):
    """The cloud is 0 and 1 somewhere: the extremes of a flat picture tell the thickness."""
    thickness = weather.FOG[severity - 1][0]
    fogged = apply("imagenet_c.fog", flat(0.5), severity)
    scale = 0.5 / (0.5 + thickness)
    assert fogged.min() == pytest.approx(0.5 * scale, rel=0.2)
    assert fogged.max() == pytest.approx((0.5 + thickness) * scale, rel=0.05)


def test_spatter_is_water_then_mud(apply):
    """Water lightens a dark picture, and mud darkens a light one."""
    for severity in SEVERITIES:
        dark = apply("imagenet_c.spatter", flat(0.2), severity) - 0.2
        light = apply("imagenet_c.spatter", flat(0.8), severity) - 0.8
        if severity < 4:
            assert dark.max() > 0.02
            assert light.min() > -1e-6
        else:
            assert light.min() < -0.3


def test_glass_pass_equals_the_pixel_by_pixel_loop(quick_jit):
    key = jax.random.key(3)
    reach = 4
    sources = quick_jit(blurs.glass_sources, static_argnums=(1, 2))
    source = np.asarray(sources(key, SIDE, SIDE, jnp.float32(reach))).reshape(SIDE, SIDE)
    uniforms = [np.asarray(jax.random.uniform(k, (SIDE * SIDE,))) for k in jax.random.split(key)]
    down, right = (
        np.floor(2 * reach * uniform).astype(int).reshape(SIDE, SIDE) - reach
        for uniform in uniforms
    )
    shown = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    for h in range(SIDE - reach, reach, -1):
        for w in range(SIDE - reach, reach, -1):
            shown[h, w] = shown[h + down[h, w], w + right[h, w]]
    np.testing.assert_array_equal(source, shown)


def test_elastic_transform_tilts_as_opencv_does(monkeypatch, picture, quick_jit):
    """Without the bend it is one affine map, given by where three corners go."""
    cv2 = pytest.importorskip("cv2")
    monkeypatch.setattr(digital, "smooth_noise", lambda noise, *_: jnp.zeros_like(noise))
    key = jax.random.key(2)
    image = picture()[0]
    ours = np.asarray(quick_jit(digital.elastic_transform)(key, image, 1))
    corner_key = jax.random.split(key)[0]
    moved = 24.4 * np.asarray(jax.random.uniform(corner_key, (3, 2), minval=-1.0, maxval=1.0))
    corners = np.array([[186, 186], [186, 38], [38, 38]], np.float32)
    matrix = cv2.getAffineTransform(corners, (corners + moved).astype(np.float32))
    theirs = cv2.warpAffine(image, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT_101)
    assert np.mean(np.abs(ours - theirs) < 2 / 255) > 0.98


def test_plasma_spans_zero_to_one_and_fades_with_decay(quick_jit):
    plasma = quick_jit(weather.plasma, static_argnums=1)
    rough = plasma(jax.random.key(0), 60, 1.4)
    smooth = plasma(jax.random.key(0), 60, 2.0)
    assert rough.shape == (64, 64)
    for cloud in (rough, smooth):
        assert (float(cloud.min()), float(cloud.max())) == (0.0, 1.0)
    assert np.abs(np.diff(rough)).mean() > 1.3 * np.abs(np.diff(smooth)).mean()
