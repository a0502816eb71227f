"""ImageNet-C's corruptions against the package imagecorruptions, whose output is 8-bit."""

import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.corruptions import filters

pytestmark = pytest.mark.peers

EXACT = (
    "defocus_blur",
    "zoom_blur",
    "brightness",
    "contrast",
    "pixelate",
    "jpeg_compression",
    "gaussian_blur",
    "saturate",
)


@pytest.fixture(scope="module")
def reference():
    return pytest.importorskip("imagecorruptions")


@pytest.fixture(scope="module")
def pixels(picture):
    return np.round(picture()[0] * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def ours(apply, pixels):
    images = np.repeat(pixels[None] / 255, 3, axis=0)
    return lambda name, severity: apply(f"imagenet_c.{name}", images, severity)[0] * 255


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", EXACT)
def test_same_pixels_where_nothing_is_random(reference, ours, pixels, name, severity):
    theirs = reference.corrupt(pixels, severity, name).astype(float)
    assert np.mean(np.abs(ours(name, severity) - theirs) <= 2) > 0.95


@pytest.mark.parametrize(
    "name",
    ["gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "glass_blur", "snow"],
)
def test_same_mean_and_spread_where_it_is(reference, ours, pixels, name):
    theirs = reference.corrupt(pixels, 3, name).astype(float)
    assert ours(name, 3).mean() == pytest.approx(theirs.mean(), rel=0.05)
    assert ours(name, 3).std() == pytest.approx(theirs.std(), rel=0.1)


def test_same_line_of_motion(reference, pixels, quick_jit):
    blurred = quick_jit(lambda image, angle: filters.line_blur(image, angle, 15, 8, 20))
    for angle in (-40.0, 0.0, 25.0):
        theirs = reference.corruptions._motion_blur(pixels.astype(np.float32), 15, 8, angle)
        ours = blurred(jnp.asarray(pixels, jnp.float32), np.deg2rad(angle))
        assert np.mean(np.abs(np.asarray(ours) - theirs) <= 2) > 0.99
