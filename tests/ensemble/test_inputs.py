"""From stored faces to network input, each way against the plain one."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.config import ModelConfig
from ferjax.ensemble import inputs, training
from ferjax.faces.images import normalise, to_network_size
from ferjax.models import vit

PIXELS = ModelConfig(image_size=16, patch_size=8, dim=8, depth=1, heads=2)
TOKENS = dataclasses.replace(PIXELS, trainable_blocks=0)


@pytest.fixture(scope="module")
def images():
    return jnp.asarray(np.random.default_rng(0).integers(0, 256, (24, 16, 16), np.uint8))


def test_drawn_batches_are_the_faces_and_their_mirrors(images):
    rows = jnp.array([5, 2, 5])
    flips = jnp.array([False, True, True])
    plain = jnp.stack([images[5], images[2, :, ::-1], images[5, :, ::-1]])
    np.testing.assert_array_equal(
        inputs.drawing(PIXELS)(images, rows, flips), normalise(to_network_size(plain, 16))
    )
    tokens = jnp.arange(24 * 2 * 3.0).reshape(24, 2, 3, 1)
    np.testing.assert_array_equal(
        inputs.drawing(TOKENS)(tokens, rows, flips),
        jnp.stack([tokens[5, 0], tokens[2, 1], tokens[5, 1]]),
    )


def test_prepared_batches_are_drawn_ones_without_mirrors(images):
    rows = jnp.arange(24)
    np.testing.assert_array_equal(
        inputs.prepared(PIXELS)(images),
        inputs.drawing(PIXELS)(images, rows, jnp.zeros(24, bool)),
    )
    tokens = jnp.arange(24 * 3.0).reshape(24, 3, 1)
    np.testing.assert_array_equal(inputs.prepared(TOKENS)(tokens), tokens)


def test_batches_have_one_shape_and_lose_no_face():
    got = inputs.batches(np.arange(10), 4)
    assert got.shape == (3, 4)
    np.testing.assert_array_equal(got.ravel()[:10], np.arange(10))
    np.testing.assert_array_equal(inputs.batches(np.arange(2), 5).ravel(), [0, 1, 0, 1, 0])


@pytest.mark.parametrize("mirrored", [True, False])
def test_cached_tokens_are_the_trunks_of_the_face_and_its_mirror(tiny, rng, mirrored):
    config = dataclasses.replace(
        tiny,
        model=dataclasses.replace(tiny.model, depth=2, trainable_blocks=1),
        evaluate=dataclasses.replace(tiny.evaluate, batch_size=4),
    )
    params, _ = training.starting_point(config)
    images = rng.integers(0, 256, (6, 48, 48), np.uint8)
    events = []
    tokens = inputs.cache_tokens(config, params, images, mirrored, events.append)
    assert tokens.shape == (6, 2 if mirrored else 1, *vit.tokens_shape(config.model))
    trunk = jax.jit(vit.trunk_model(config.model).apply)
    for view, pictures in enumerate((images, images[:, :, ::-1])[: tokens.shape[1]]):
        expected = trunk(params, normalise(to_network_size(jnp.asarray(pictures), 48)))
        np.testing.assert_allclose(tokens[:, view], expected, atol=1e-5)
    done = [event.done for event in events]
    assert done == sorted(done) and done[-1] == 1
    assert events[0].task == "trunk tokens of 6 faces"
