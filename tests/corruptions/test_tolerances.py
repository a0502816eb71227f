"""Harmless changes of stored pictures: what they are, and that they are reproducible."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from ferjax.corruptions import resizing, tolerances
from ferjax.corruptions.tolerances import TOLERANCES, view

SIDE = 48
STRENGTHS = {
    "zoom": {"ZOOM": 0.0},
    "rotation": {"ROTATION": 0.0},
    "shift": {"SHIFT": 0.0},
    "gamma": {"GAMMA": 1.0},
    "brightness": {"BRIGHTNESS": 0.0},
    "contrast": {"CONTRAST": 0.0},
    "noise": {"NOISE": 0.0},
    "resampling": {"DETOUR": (1.0, 1.0)},
}


@pytest.fixture(scope="module")
def pictures():
    """Smooth pictures, as faces are, with some grain; uint8 ``[item, 48, 48]``."""
    rng = np.random.default_rng(0)
    smooth = scipy.ndimage.gaussian_filter(rng.normal(size=(6, SIDE, SIDE)), (0, 4, 4))
    level = 128 + 600 * smooth + 4 * rng.normal(size=smooth.shape)
    return np.clip(level, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", [*TOLERANCES, tuple(TOLERANCES)], ids=str)
def test_a_view_is_a_picture_of_the_same_kind_and_depends_on_id_and_seed_alone(name, pictures):
    ids = np.array([3, 1, 4, 15, 9, 2])
    made = view(name, pictures, ids, batch_size=4)
    assert made.dtype == np.uint8 and made.shape == pictures.shape
    assert (made != pictures).any((1, 2)).sum() >= 5
    np.testing.assert_array_equal(made[::-1], view(name, pictures[::-1], ids[::-1], batch_size=4))
    if name != "mirrored":
        # Two strengths may round to the same levels once.
        other_seed = view(name, pictures, ids, seed=1, batch_size=4)
        assert (made != other_seed).any((1, 2)).sum() >= 5
        other_ids = view(name, pictures, ids + 100, batch_size=4)
        assert (made != other_ids).any((1, 2)).sum() >= 5


@pytest.mark.parametrize("name", STRENGTHS)
def test_no_strength_changes_nothing(name, pictures, monkeypatch):
    for constant, value in STRENGTHS[name].items():
        monkeypatch.setattr(tolerances, constant, value)
    image = jnp.asarray(pictures[0], jnp.float32)[..., None] / 255
    for seed in range(4):  # either kernel
        changed = TOLERANCES[name](jax.random.key(seed), image)
        np.testing.assert_allclose(changed, image, atol=1e-5)


def test_strengths_stay_in_their_ranges(pictures):
    flat = jnp.full((SIDE, SIDE, 1), 0.5)
    keys = jax.random.split(jax.random.key(0), 500)
    light = jax.vmap(lambda key: tolerances.brightness(key, flat).mean())(keys)
    assert 0.4 <= light.min() < 0.41 and 0.59 < light.max() <= 0.6
    grain = jax.vmap(lambda key: tolerances.noise(key, flat).std())(keys)
    assert 2.7 / 255 < grain.max() < 3.2 / 255
    bent = jax.vmap(lambda key: tolerances.gamma(key, flat).mean())(keys)
    assert 0.5 ** (4 / 3) <= bent.min() < 0.41 and 0.58 < bent.max() <= 0.5**0.75 + 1e-6


def test_rotation_is_scipys_by_the_same_angle(pictures):
    key = jax.random.key(5)
    degrees = float(jax.random.uniform(key, minval=-10, maxval=10))
    image = pictures[0] / 255
    expected = scipy.ndimage.rotate(image, -degrees, reshape=False, order=1, mode="nearest")
    made = tolerances.rotation(key, jnp.asarray(image, jnp.float32)[..., None])[..., 0]
    np.testing.assert_allclose(made, expected, atol=1e-4)


def test_zoom_and_shift_are_affine_maps_of_either_kernel(pictures):
    """On a linear ramp every kernel is exact: what is read is where it was read."""
    ramp = jnp.broadcast_to(jnp.arange(SIDE)[:, None, None] / SIDE, (SIDE, SIDE, 1))
    inner = slice(8, -8)
    for seed in range(6):
        kernel_and_strength = jax.random.split(jax.random.key(seed))
        scale = 1 + float(jax.random.uniform(kernel_and_strength[1], minval=-0.08, maxval=0.08))
        read = tolerances.zoom(jax.random.key(seed), ramp)[inner, 3, 0] * SIDE
        wanted = (np.arange(SIDE) - 23.5) * scale + 23.5
        np.testing.assert_allclose(read, wanted[inner], atol=1e-4)
        moved = tolerances.shift(jax.random.key(seed), ramp)[inner, 3, 0] * SIDE
        by = moved - np.arange(SIDE)[inner]
        assert np.ptp(by) < 1e-4 and abs(by[0]) <= 2


def test_detours_lose_little_and_never_read_beyond_the_edge(pictures):
    ones = np.full((40, SIDE, SIDE), 200, np.uint8)
    assert (view("resampling", ones, np.arange(40), batch_size=4) == 200).all()
    made = view("resampling", pictures, np.arange(6), batch_size=4).astype(float)
    assert 0 < np.abs(made - pictures).mean() < 4


def test_matrices_of_a_traced_size_are_those_of_a_fixed_one(pictures):
    made = jax.jit(lambda n: resizing.overlap_matrix(SIDE, n, 224))(100.0)
    np.testing.assert_allclose(made[:, :100], resizing.area_matrix(100, SIDE), atol=1e-5)
    np.testing.assert_allclose(made[:, 100:], 0, atol=1e-5)
    image = jnp.asarray(pictures[0], jnp.float32)
    expected = jax.image.resize(image, (100, SIDE), "cubic", antialias=False)
    places = (jnp.arange(100) + 0.5) * SIDE / 100 - 0.5
    made = resizing.cubic_matrix(places, SIDE) @ image
    # Beyond the edge this one repeats pixels, the other leaves them out.
    np.testing.assert_allclose(made[6:-6], expected[6:-6], atol=1e-2)


def test_mixed_applies_each_half_of_the_time(pictures):
    flat = np.full((500, SIDE, SIDE), 128, np.uint8)
    changed = view(("brightness", "mirrored"), flat, np.arange(500), batch_size=4) != 128
    assert 210 < changed.any((1, 2)).sum() < 280  # a strength below half a level is seen as none


def test_colour_stays_colour(pictures):
    colour = np.stack([pictures, pictures[:, ::-1], 255 - pictures], -1)
    made = view("zoom", colour, np.arange(6), batch_size=4)
    assert made.shape == colour.shape and (made[..., 0] != made[..., 1]).any()


def test_one_program_serves_all_batches_and_tolerances(pictures):
    view("zoom", pictures, np.arange(6), batch_size=4)
    before = tolerances._changed._cache_size()
    for seed, names in enumerate(("contrast", "jpeg", ("gamma", "shift"))):
        view(names, pictures, np.arange(6), seed=seed, batch_size=4)
    assert tolerances._changed._cache_size() == before


@pytest.mark.parametrize(
    "names, images, ids, message",
    [
        ("zoom2", np.zeros((1, 9, 9), np.uint8), np.arange(1), "unknown tolerance 'zoom2'"),
        ((), np.zeros((1, 9, 9), np.uint8), np.arange(1), "no tolerance is named"),
        ("zoom", np.zeros((1, 9, 9)), np.arange(1), "expected pictures uint8"),
        ("zoom", np.zeros((2, 9, 9), np.uint8), np.arange(1), "and \\[1\\]"),
    ],
)
def test_what_does_not_fit_is_refused(names, images, ids, message):
    with pytest.raises(ValueError, match=message):
        view(names, images, ids)
