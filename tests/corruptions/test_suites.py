"""What every corruption promises for any picture, and what the suites are."""

import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import config, corruptions
from ferjax.corruptions import BASE, CORRUPTIONS, IMAGENET_C, IMAGENET_C_EXTRA, PAPER, corrupt

# Published severities that are not ordered by how far the picture moves: snow and frost change in
# kind, saturate fades first and becomes vivid later, elastic_transform tilts first and crumples
# later, glass_blur's second mixes only once, and how much fog there is depends on the cloud drawn.
UNORDERED = {
    "imagenet_c.snow",
    "imagenet_c.frost",
    "imagenet_c.saturate",
    "imagenet_c.elastic_transform",
    "imagenet_c.glass_blur",
    "imagenet_c.spatter",
    "imagenet_c.fog",
}
GRAY_KEEPS = {"imagenet_c.saturate"}


@pytest.fixture(scope="module", params=sorted(CORRUPTIONS))
def corruption(request, apply, picture):
    """One corruption: its name, three clean pictures, and them at each severity."""
    clean = picture(count=3)
    return request.param, clean, {s: apply(request.param, clean, s) for s in range(1, 6)}


def test_suites_are_the_published_names():
    assert BASE == ("gnoise", "blur", "occlude", "bright", "pixelate")
    broad = "shot_noise impulse_noise motion_blur contrast jpeg elastic"
    assert list(PAPER) == [*BASE, *broad.split()]
    published = (
        "gaussian_noise shot_noise impulse_noise defocus_blur glass_blur motion_blur zoom_blur "
        "snow frost fog brightness contrast elastic_transform pixelate jpeg_compression"
    )
    assert list(IMAGENET_C) == [f"imagenet_c.{name}" for name in published.split()]
    extra = "speckle_noise gaussian_blur spatter saturate"
    assert list(IMAGENET_C_EXTRA) == [f"imagenet_c.{name}" for name in extra.split()]
    assert {*PAPER, *IMAGENET_C, *IMAGENET_C_EXTRA} <= set(CORRUPTIONS)
    assert not any("/" in name for name in CORRUPTIONS), "names become file names"
    assert config.BASE_CORRUPTIONS == BASE
    assert config.PAPER_CORRUPTIONS == PAPER
    assert all(hasattr(corruptions, name) for name in corruptions.__all__)


def test_a_corruption_of_ones_own_joins_no_published_suite(monkeypatch, picture):
    def darken(key, image, severity):
        return image / (1 + severity)

    monkeypatch.setitem(CORRUPTIONS, "darken", darken)
    images = picture(8, 8)
    np.testing.assert_allclose(corrupt("darken", images, 3, jnp.array([0])), images / 4)
    assert "darken" not in (*PAPER, *IMAGENET_C, *IMAGENET_C_EXTRA)


def test_keeps_shape_and_range_and_is_traced_once(corruption, apply):
    name, clean, corrupted = corruption
    assert apply.traces[name] == 1
    for images in corrupted.values():
        assert images.shape == clean.shape
        assert images.dtype == np.float32
        assert np.isfinite(images).all()
        assert images.min() >= -1e-6
        assert images.max() <= 1 + 1e-6


def test_effect_grows_with_severity(corruption):
    name, clean, corrupted = corruption
    change = [np.abs(images - clean).mean() for images in corrupted.values()]
    assert change[-1] > 1e-3
    if name not in UNORDERED:
        assert all(np.diff(change) > -1e-3), change
        assert change[-1] > change[0]


def test_one_face_is_the_same_in_any_batch(corruption, apply):
    name, clean, corrupted = corruption
    other = apply(name, clean[[2, 0, 0]], 4, ids=(7, 1, 2))
    np.testing.assert_array_equal(other[0], corrupted[4][2])


@pytest.mark.parametrize("name", ["gnoise", "imagenet_c.zoom_blur"])
def test_alone_and_at_a_static_severity_it_is_the_same(name, apply, picture, quick_jit):
    clean = picture(count=3)
    alone = quick_jit(lambda images: corrupt(name, images, 4, jnp.array([7])))(clean[2:])
    np.testing.assert_allclose(alone[0], apply(name, clean, 4)[2], atol=2e-5)


@pytest.mark.parametrize("name", sorted(CORRUPTIONS))
def test_gray_and_odd_sizes(name, picture, quick_jit):
    gray = picture(19, 26, channels=1)
    corrupted = quick_jit(lambda images: corrupt(name, images, 5, jnp.array([0])))(gray)
    assert corrupted.shape == gray.shape
    assert np.isfinite(corrupted).all()
    assert (name in GRAY_KEEPS) == np.array_equal(corrupted, gray)


@pytest.mark.parametrize("name", ["gnoise", "elastic", "imagenet_c.fog"])
def test_randomness_is_keyed_by_seed_corruption_severity_and_face(name, apply, picture):
    images = np.repeat(picture(), 3, axis=0)
    first, other_face, same_face = apply(name, images, 3, ids=(0, 1, 0), seed=0)
    other_seed = apply(name, images, 3, ids=(0, 1, 0), seed=1)[0]
    assert np.abs(first - other_face).max() > 0.01
    assert np.abs(first - other_seed).max() > 0.01
    np.testing.assert_array_equal(first, same_face)


def test_noise_differs_between_severities_and_corruptions(apply):
    """Where σ is the same or known, what is left over is the noise itself."""
    images = np.full((3, 224, 224, 3), 0.5)

    def noise(name, severity, sigma):
        return (apply(name, images, severity)[0] - 0.5) / sigma

    weak = noise("gnoise", 1, 0.04)
    assert np.abs(weak - noise("gnoise", 2, 0.08)).mean() > 0.5
    assert np.abs(weak - noise("imagenet_c.gaussian_noise", 1, 0.08)).mean() > 0.5


@pytest.mark.parametrize(
    ("name", "severity", "shape", "message"),
    [
        ("haze", 1, (1, 8, 8, 3), "unknown corruption 'haze'"),
        ("blur", 0, (1, 8, 8, 3), "severity must be 1..5, got 0"),
        ("blur", 6, (1, 8, 8, 3), "severity must be 1..5, got 6"),
        ("blur", np.int64(6), (1, 8, 8, 3), "severity must be 1..5, got 6"),
        ("blur", 1, (2, 8, 8, 3), "expected images"),
        ("blur", 1, (8, 8, 3), "expected images"),
    ],
)
def test_refusals(name, severity, shape, message):
    with pytest.raises(ValueError, match=message):
        corrupt(name, np.zeros(shape), severity, jnp.array([0]))
