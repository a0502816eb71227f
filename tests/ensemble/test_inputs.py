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


def test_views_are_the_faces_themselves_and_then_each_face_under_the_tolerances(tiny):
    images = np.random.default_rng(0).integers(0, 256, (6, 48, 48), np.uint8)
    ids = np.arange(10, 16)

    def made(views, **changes):
        train = dataclasses.replace(tiny.train, views=views, **changes)
        return inputs.views(dataclasses.replace(tiny, train=train), images, ids)

    assert made(1) is images
    stored = made(3)
    assert stored.shape == (18, 48, 48)
    np.testing.assert_array_equal(stored[:6], images)
    assert (stored[6:12] != stored[12:]).any((1, 2)).sum() >= 4  # each of its own draw
    np.testing.assert_array_equal(stored[:12], made(2))
    mirrored = made(20, tolerances=("mirrored",)).reshape(20, 6, 48, 48)
    kept = (mirrored == images).all((2, 3))
    assert ((mirrored == images[:, :, ::-1]).all((2, 3)) ^ kept).all()
    assert 0.3 < kept[1:].mean() < 0.7


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


def test_rectangles_lie_in_the_face_and_are_as_large_and_as_long_as_they_say():
    drawn = np.asarray(inputs.rectangles(jax.random.key(0), 4000, 0.5))
    top, left, height, width = drawn.T
    some = height > 0
    assert 0.47 < some.mean() < 0.53
    assert (drawn[~some] == 0).all()
    assert (drawn >= 0).all() and (top + height <= 1).all() and (left + width <= 1).all()
    area = (height * width)[some]
    aspect = np.log(height[some] / width[some])
    assert 0.02 <= area.min() < 0.025 and 0.245 < area.max() <= 0.2501
    assert abs(area.mean() - 0.135) < 0.005
    assert abs(aspect.mean()) < 0.05 and aspect.max() < np.log(3.3) + 1e-4
    assert (inputs.rectangles(jax.random.key(0), 9, 0.0) == 0).all()
    assert (inputs.rectangles(jax.random.key(0), 9, 1.0)[:, 2:] > 0).all()


def test_what_is_erased_is_the_mean_colour_and_nothing_else_changes(images):
    rows = jnp.array([5, 2, 7])
    flips = jnp.array([False, True, True])
    erased = jnp.array([[0.25, 0.5, 0.5, 0.25], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    plain = np.array(inputs.drawing(PIXELS)(images, rows, flips))
    got = inputs.drawing(PIXELS)(images, rows, flips, erased)
    plain[0, 4:12, 8:12] = 0
    plain[2] = 0
    np.testing.assert_array_equal(got, plain)


def test_of_a_frozen_trunk_the_tokens_of_patches_are_erased(images):
    """Those whose centre lies within; class and register tokens stay."""
    config = dataclasses.replace(TOKENS, image_size=32, registers=2)
    tokens = jnp.asarray(np.random.default_rng(1).normal(size=(3, 2, 3 + 16, 4)), jnp.float32)
    rows = jnp.array([1, 0])
    flips = jnp.array([True, False])
    erased = jnp.array([[0.0, 0.6, 0.4, 0.4], [0.0, 0.0, 0.1, 0.1]])
    expected = np.array(inputs.drawing(config)(tokens, rows, flips))
    for row, column in ((0, 2), (0, 3), (1, 2), (1, 3)):
        expected[0, 3 + 4 * row + column] = 0
    np.testing.assert_array_equal(inputs.drawing(config)(tokens, rows, flips, erased), expected)


def test_the_second_view_is_the_mirror_image_of_the_first_erased_alike(images):
    rows = jnp.arange(8)
    flips = jnp.arange(8) % 2 == 0
    erased = inputs.rectangles(jax.random.key(3), 8, 1.0)
    draw = inputs.drawing(PIXELS)
    one = draw(images, rows, flips, erased)
    other = draw(images, rows, ~flips, inputs.mirror_rectangles(erased))
    np.testing.assert_allclose(other, one[:, :, ::-1], atol=1e-5)
    assert (one == 0).all(-1).any((1, 2)).all()
