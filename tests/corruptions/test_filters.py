"""Filters, resizing and JPEG: same strength at any size, light kept, and Pillow's JPEG."""

import io

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from ferjax.corruptions import filters, jpeg, resizing


@pytest.mark.parametrize("side", [48, 224])
def test_smooth_noise_has_one_spread_at_any_size(side, quick_jit):
    noise = np.random.default_rng(0).normal(size=(side, side)).astype(np.float32)
    smoothed = quick_jit(
        lambda noise: filters.smooth_noise(noise, jnp.float32(4.0), 4.0, (4.0, 0.5), "edge")
    )(noise)
    assert float(smoothed.std()) == pytest.approx(1 / (2 * np.sqrt(np.pi) * 4), rel=0.15)


def test_scaled_kernels_keep_light_and_are_exact_at_224():
    np.testing.assert_array_equal(resizing.scaled_kernel_matrix(21, 1.0), np.eye(21))
    for scale in (48 / 224, 0.5, 1.7):
        np.testing.assert_allclose(resizing.scaled_kernel_matrix(21, scale).sum(0), 1, atol=1e-5)


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_by_severity_takes_the_row(severity):
    table = ((1, 10), (2, 20), (3, 30), (4, 40), (5, 50))
    assert filters.by_severity(table, severity).tolist() == [severity, 10 * severity]


@pytest.fixture(scope="module", params=[1, 3], ids=["gray", "colour"])
def coded(request, picture, quick_jit):
    """A picture of odd sides as 8-bit pixels, and what our JPEG makes of it at a quality."""
    pixels = np.round(picture(37, 50, request.param)[0] * 255).astype(np.uint8)
    roundtrip = quick_jit(jpeg.roundtrip)

    def ours(quality):
        image = jnp.asarray(pixels / 255, jnp.float32)
        return np.round(np.asarray(roundtrip(image, jnp.float32(quality))) * 255)

    return pixels, ours


@pytest.mark.parametrize("quality", [7, 18, 50, 80])
def test_jpeg_equals_the_library_that_writes_files(coded, quality):
    """A file's coefficients may fall on the other side of a rounding in a few blocks."""
    image_module = pytest.importorskip("PIL.Image")
    pixels, ours = coded
    file = io.BytesIO()
    image_module.fromarray(pixels.squeeze()).save(file, "JPEG", quality=quality)
    theirs = np.asarray(image_module.open(file)).reshape(pixels.shape).astype(int)
    difference = np.abs(ours(quality) - theirs)
    assert np.mean(difference <= 2) > 0.93
    assert difference.mean() < 1


def test_everything_that_is_named_is_there():
    for module in (filters, jpeg, resizing):
        assert all(hasattr(module, name) for name in module.__all__)


def test_reflection_is_numpys(rng):
    pixels = rng.random(7)
    places = jnp.arange(-6.0, 13.0)
    for edge_repeats, mode in ((False, "reflect"), (True, "symmetric")):
        at = np.asarray(filters.reflect(places, 7, edge_repeats=edge_repeats)).astype(int)
        np.testing.assert_array_equal(pixels[at], np.pad(pixels, 6, mode=mode))


def test_sampling_off_the_grid_is_bilinear(rng, quick_jit):
    image = rng.random((9, 12, 1)).astype(np.float32)
    row = rng.uniform(0, 8, (5, 6)).astype(np.float32)
    column = rng.uniform(0, 11, (5, 6)).astype(np.float32)
    expected = scipy.ndimage.map_coordinates(image[..., 0], [row, column], order=1)
    got = quick_jit(filters.sample_bilinear)(image, row, column)[..., 0]
    np.testing.assert_allclose(got, expected, atol=1e-5)
