"""Pixels to network input: an independent resize, exact channels, flips that follow their key."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.corruptions import resizing
from ferjax.faces import images


@pytest.mark.parametrize(
    "source, target", [(48, 224), (48, 112), (48, 48), (224, 48), (7, 16), (1, 5), (5, 1)]
)
def test_resize_is_jax_images_bilinear(rng, source, target):
    given = jnp.asarray(rng.random((2, source, source, 3)), jnp.float32)
    expected = jax.image.resize(given, (2, target, target, 3), "linear", antialias=False)
    np.testing.assert_allclose(images.resize(given, target), expected, atol=5e-5)
    np.testing.assert_allclose(resizing.bilinear_matrix(source, target).sum(1), 1, atol=1e-6)


def test_sides_resize_on_their_own(rng):
    given = jnp.asarray(rng.random((2, 6, 10, 1)), jnp.float32)
    expected = jax.image.resize(given, (2, 8, 8, 1), "linear", antialias=False)
    np.testing.assert_allclose(images.resize(given, 8), expected, atol=1e-5)
    with pytest.raises(ValueError, match="at least 1 pixel"):
        resizing.bilinear_matrix(4, 0)


def test_gray_becomes_three_equal_channels_in_unit_range(rng):
    gray = rng.integers(0, 256, (3, 8, 8), np.uint8)
    got = np.asarray(images.to_network_size(jnp.asarray(gray), 8))
    np.testing.assert_allclose(got, np.repeat(gray[..., None] / 255, 3, axis=-1), atol=1e-7)
    colour = jnp.asarray(np.repeat(gray[..., None], 3, axis=-1))
    np.testing.assert_array_equal(
        images.to_network_size(colour, 12), images.to_network_size(jnp.asarray(gray), 12)
    )
    with pytest.raises(ValueError, match="must be uint8"):
        images.to_network_size(jnp.asarray(gray, jnp.float32), 8)


def test_normalise_is_imagenets():
    pixel = jnp.array([[0.485, 0.456, 0.406], [0.714, 0.680, 0.631]])
    np.testing.assert_allclose(images.normalise(pixel), [[0, 0, 0], [1, 1, 1]], atol=1e-5)


def test_only_the_chosen_faces_are_mirrored(rng):
    for shape in ((6, 8, 8), (6, 8, 8, 3)):
        given = jnp.asarray(rng.integers(0, 256, shape, np.uint8))
        flips = jnp.array([True, False, True, False, False, True])
        got = images.mirror(given, flips)
        for face, flipped in enumerate(flips):
            np.testing.assert_array_equal(
                got[face], given[face, :, ::-1] if flipped else given[face]
            )
