"""The paper's corruptions: every published constant, seen in the pixels.

The numbers are copied from the protocol by hand. Pictures are 224 pixels wide, for which the
constants are given.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats

from ferjax.corruptions import jpeg, paper

SIDE = 224
PUBLISHED = {
    "gnoise": (0.04, 0.08, 0.12, 0.18, 0.26),
    "blur": (0.5, 1, 1.5, 2.5, 4),
    "occlude": (0.1, 0.2, 0.3, 0.45, 0.6),
    "bright": (0.1, 0.2, 0.35, 0.5, 0.7),
    "pixelate": (0.75, 0.6, 0.45, 0.3, 0.2),
    "shot_noise": (60, 25, 12, 5, 3),
    "impulse_noise": (0.03, 0.06, 0.09, 0.17, 0.27),
    "motion_blur": (3, 5, 9, 13, 17),
    "contrast": (0.7, 0.55, 0.4, 0.25, 0.12),
    "jpeg": (80, 65, 45, 30, 18),
    "elastic": (12.5, 16.25, 21.25, 25, 30),  # ImageNet-C's amplitudes, as the protocol's note says
}


def published(name):
    """(severity, constant) of a corruption, as a test's parameters."""
    return pytest.mark.parametrize("severity, constant", enumerate(PUBLISHED[name], start=1))


def flat(value):
    return np.full((3, SIDE, SIDE, 3), value, np.float32)


@published("gnoise")
def test_gnoise_has_the_published_spread(apply, severity, constant):
    added = apply("gnoise", flat(0.5), severity) - 0.5
    # The median is not moved by clipping; 450,000 values tell it to 0.3 %.
    spread = np.median(np.abs(added)) / scipy.stats.norm.ppf(0.75)
    assert spread == pytest.approx(constant, rel=0.01)
    assert np.median(added) == pytest.approx(0, abs=0.01 * constant)
    assert np.abs(added).max() == (
        0.5 if constant >= 0.12 else pytest.approx(5 * constant, rel=0.2)
    )


@published("blur")
def test_blur_is_a_gaussian_cut_at_three_sigma(apply, rng, severity, constant):
    images = rng.random((3, SIDE, SIDE, 3)).astype(np.float32)
    tap = np.arange(-int(3 * constant), int(3 * constant) + 1)
    kernel = np.exp(-0.5 * (tap / constant) ** 2)
    expected = images
    for axis in (1, 2):
        expected = scipy.ndimage.correlate1d(
            expected, kernel / kernel.sum(), axis=axis, mode="mirror"
        )
    np.testing.assert_allclose(apply("blur", images, severity), expected, atol=1e-5)


@published("occlude")
def test_occlude_blackens_a_centred_square(apply, severity, constant):
    square = int(constant * SIDE + 1e-9)
    start = (SIDE - square) // 2
    expected = flat(0.8)
    expected[:, start : start + square, start : start + square] = 0
    np.testing.assert_array_equal(apply("occlude", flat(0.8), severity), expected)


@published("bright")
def test_bright_adds_and_clips(apply, rng, severity, constant):
    images = rng.random((3, SIDE, SIDE, 3)).astype(np.float32)
    expected = np.minimum(images + constant, 1)
    np.testing.assert_allclose(apply("bright", images, severity), expected, atol=1e-6)


@published("pixelate")
def test_pixelate_shrinks_bilinearly_and_enlarges_as_blocks(apply, rng, severity, constant):
    images = rng.random((3, SIDE, SIDE, 3)).astype(np.float32)
    small = int(constant * SIDE + 1e-9)
    shrunk = np.asarray(jax.image.resize(images, (3, small, small, 3), "linear", antialias=False))
    block = np.arange(SIDE) * small // SIDE
    corrupted = apply("pixelate", images, severity)
    np.testing.assert_allclose(corrupted, shrunk[:, block][:, :, block], atol=1e-4)
    assert len(np.unique(corrupted[0, 0, :, 0].round(5))) == small


@pytest.mark.parity
@published("pixelate")
def test_pixelate_is_the_released_codes(apply, rng, severity, constant):
    torch = pytest.importorskip("torch")
    images = rng.random((3, SIDE, SIDE, 3)).astype(np.float32)
    small = int(constant * SIDE + 1e-9)
    resize = torch.nn.functional.interpolate
    shrunk = resize(torch.from_numpy(images).movedim(-1, 1), (small, small), mode="bilinear")
    expected = resize(shrunk, (SIDE, SIDE), mode="nearest").movedim(1, -1)
    np.testing.assert_allclose(apply("pixelate", images, severity), expected, atol=1e-4)


def test_pixelate_leaves_eight_pixels(quick_jit):
    """A fifth of 24 pixels would be four."""
    ramp = np.broadcast_to(np.linspace(0, 1, 24, dtype=np.float32)[None, :, None], (24, 24, 1))
    blocks = quick_jit(paper.pixelate)(jax.random.key(0), ramp, 5)
    assert len(np.unique(np.asarray(blocks)[0, :, 0].round(5))) == 8


@published("shot_noise")
def test_shot_noise_is_poisson(apply, severity, constant):
    light = 0.4
    values = apply("shot_noise", flat(light), severity) * constant
    np.testing.assert_allclose(values, np.round(values), atol=1e-4)
    counts = np.bincount(np.round(values).astype(int).ravel(), minlength=constant + 1)
    expected = scipy.stats.poisson.pmf(np.arange(constant + 1), constant * light)
    expected[-1] = 1 - expected[:-1].sum()  # brighter than white is white
    np.testing.assert_allclose(counts / values.size, expected, atol=0.004)


@published("impulse_noise")
def test_impulse_noise_is_half_black_and_half_white(apply, severity, constant):
    corrupted = apply("impulse_noise", flat(0.5), severity)
    for value in (0.0, 1.0):
        assert (corrupted == value).mean() == pytest.approx(constant / 2, abs=0.0015)
    untouched = corrupted == 0.5
    assert untouched.mean() == pytest.approx(1 - constant, abs=0.002)
    # Each channel by itself: all three are left alone in a share (1 - p)³ of the pixels.
    assert untouched.all(-1).mean() == pytest.approx((1 - constant) ** 3, abs=0.005)


@published("motion_blur")
def test_motion_blur_is_a_horizontal_box(apply, rng, severity, constant):
    images = rng.random((3, SIDE, SIDE, 3)).astype(np.float32)
    expected = scipy.ndimage.uniform_filter1d(images, constant, axis=2, mode="mirror")
    np.testing.assert_allclose(apply("motion_blur", images, severity), expected, atol=1e-5)


@published("contrast")
def test_contrast_shrinks_towards_the_mean(apply, picture, severity, constant):
    images = picture(count=3)
    mean = images.mean((1, 2, 3), keepdims=True)
    expected = (images - mean) * constant + mean
    np.testing.assert_allclose(apply("contrast", images, severity), expected, atol=1e-5)


@pytest.fixture(scope="module")
def roundtrip(quick_jit):
    return quick_jit(jax.vmap(jpeg.roundtrip, (0, None)))


@published("jpeg")
def test_jpeg_has_the_published_quality(apply, picture, roundtrip, severity, constant):
    images = picture(count=3)
    corrupted = apply("jpeg", images, severity)
    np.testing.assert_array_equal(corrupted, roundtrip(images, jnp.float32(constant)))
    other = np.asarray(roundtrip(images, jnp.float32(constant + 1)))
    assert (corrupted != other).mean() > 0.1, "this picture would not tell the next quality"


@pytest.fixture(scope="module")
def displace(quick_jit):
    return quick_jit(paper.elastic)


@published("elastic")
def test_elastic_moves_by_smooth_noise_of_the_published_strength(displace, severity, constant):
    """Ramps that are read displaced tell by how much: 1.0 … 2.4 pixels, root mean square."""
    key = jax.random.key(severity)
    down = np.broadcast_to(np.arange(SIDE, dtype=np.float32)[:, None, None] / SIDE, (SIDE, SIDE, 1))
    ramps = np.concatenate([down, down.transpose(1, 0, 2)], axis=-1)
    moved = (np.asarray(displace(key, ramps, severity)) - ramps) * SIDE
    noise = np.asarray(jax.random.uniform(key, (2, SIDE, SIDE), minval=-1.0, maxval=1.0))
    inside = (slice(20, -20),) * 2
    for axis in (0, 1):
        bend = scipy.ndimage.gaussian_filter(noise[axis], 2.24, mode="reflect", truncate=3.0)
        expected = constant * 0.005 * SIDE * bend
        np.testing.assert_allclose(moved[..., axis][inside], expected[inside], atol=0.02)
    spread = np.sqrt((moved[inside] ** 2).mean())
    assert spread == pytest.approx(constant * 0.0814, rel=0.1)


def test_lengths_scale_with_the_side(quick_jit):
    """At 112 pixels the strongest blur has σ = 2 and the longest motion half its length."""
    spot = np.zeros((112, 112, 1), np.float32)
    spot[56, 56] = 1
    blurred = np.asarray(quick_jit(paper.blur)(jax.random.key(0), spot, 5)).sum(0)[:, 0]
    tap = np.arange(-6, 7)
    kernel = np.exp(-0.5 * (tap / 2) ** 2)
    np.testing.assert_allclose(blurred[50:63], kernel / kernel.sum(), atol=1e-6)
    streak = np.asarray(quick_jit(paper.motion_blur)(jax.random.key(0), spot, 5))[56, :, 0]
    np.testing.assert_allclose(streak[53:60], 2 / 17, atol=1e-6)
    assert streak.sum() == pytest.approx(1, abs=1e-5)
