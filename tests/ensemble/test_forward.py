"""A member's forward pass, trunk and all, against the whole network, and its features by block."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import uncertainty
from ferjax.config import Config, ModelConfig, TrainConfig
from ferjax.ensemble.forward import make_forward
from ferjax.ensemble.methods import method_of
from ferjax.models import networks, vit

CLASSES = 5
VOTES = method_of(Config())


@pytest.mark.parametrize(
    "blocks, trunk, own",
    [
        (None, set(), {"block_1", "block_2"}),
        (1, {"block_1", "block_2"}, set()),
        (2, {"block_1"}, {"block_2"}),
    ],
)
def test_a_block_is_read_where_it_lives(blocks, trunk, own):
    sizes = {"image_size": 16, "patch_size": 8, "dim": 8, "depth": 3, "heads": 2}
    config = ModelConfig(**sizes, trainable_blocks=blocks)
    network = vit.vit(ModelConfig(**sizes), CLASSES)
    whole = network.init(jax.random.key(0))
    frozen, trained = vit.split(whole, config)
    inputs = jax.random.normal(jax.random.key(1), (2, 16, 16, 3))
    forward = make_forward(config, CLASSES, VOTES)
    outputs = forward(trained, frozen or None, inputs, jax.random.key(2))
    features = outputs.features
    assert (set(features.trunk), set(features.own)) == (trunk, own)
    tokens = vit.blocks(config, 0, 1).apply({**frozen, **trained}, inputs)
    expected = jnp.concatenate([tokens[:, 0], tokens[:, 1:].mean(1)], -1)
    np.testing.assert_allclose({**features.trunk, **features.own}["block_1"], expected, atol=1e-5)
    said = network.apply(whole, inputs)
    np.testing.assert_allclose(features.head, said.features, atol=1e-5)
    np.testing.assert_allclose(outputs.log_probs[0], jax.nn.log_softmax(said.logits), atol=1e-5)
    energy = -jax.nn.logsumexp(said.logits, -1)
    np.testing.assert_allclose(outputs.scores["energy"], energy, atol=1e-5)


@pytest.mark.parametrize("where", ["head", "blocks"])
def test_passes_drop_values_anew_and_alike_for_every_face(where):
    """Three passes differ, and one pass drops nothing; drop-path stays off."""
    sizes = {"image_size": 16, "patch_size": 8, "dim": 8, "depth": 2, "heads": 2}
    config = ModelConfig(**sizes, dropout=0.5, dropout_at=where, drop_path=0.9)
    network = vit.vit(config, CLASSES)
    params = jax.jit(network.init)(jax.random.key(0))
    inputs = jnp.repeat(jax.random.normal(jax.random.key(1), (1, 16, 16, 3)), 2, axis=0)
    often = jax.jit(make_forward(config, CLASSES, VOTES._replace(passes=3)))
    outputs = often(params, None, inputs, jax.random.key(2))
    assert outputs.log_probs.shape == (3, 2, CLASSES)
    assert len(np.unique(outputs.log_probs[:, 0, 0])) == 3
    np.testing.assert_allclose(outputs.log_probs[:, 0], outputs.log_probs[:, 1], atol=1e-6)
    without = dataclasses.replace(config, dropout=0.0)
    for same, passes in ((config, 1), (without, 3)):
        forward = jax.jit(make_forward(same, CLASSES, VOTES._replace(passes=passes)))
        plain = forward(params, None, inputs, jax.random.key(2))
        expected = jax.nn.log_softmax(network.apply(params, inputs).logits)
        for one_pass in plain.log_probs:  # without dropout all passes agree: no information in them
            np.testing.assert_allclose(one_pass, expected, atol=1e-5)
        for name in ("head", "own"):  # densities are fitted to, and read from, one kind of features
            one, other = (jax.tree.leaves(getattr(o.features, name)) for o in (plain, outputs))
            np.testing.assert_allclose(one[0], other[0], atol=1e-6)
    mutual = uncertainty.decompose(plain.log_probs).epistemic
    np.testing.assert_allclose(mutual, 0.0, atol=1e-6)
    assert (uncertainty.decompose(outputs.log_probs).epistemic > 1e-4).all()


def test_the_mean_over_many_passes_is_the_closed_form_of_a_linear_head():
    """Without another nonlinearity behind the masks, the mean logit is the logit of the mean."""
    sizes = {"image_size": 16, "patch_size": 8, "dim": 8, "depth": 1, "heads": 2}
    config = ModelConfig(**sizes, dropout=0.3)
    network = vit.vit(config, CLASSES)
    params = jax.jit(network.init)(jax.random.key(0))
    params["head"]["kernel"] = jax.random.normal(jax.random.key(3), (16, CLASSES))
    inputs = jax.random.normal(jax.random.key(1), (2, 16, 16, 3))
    keys = jax.random.split(jax.random.key(2), 1000)
    passes = jax.vmap(lambda key: network.apply(params, inputs, sample=key).logits)
    logits = np.asarray(jax.jit(passes)(keys))
    said = network.apply(params, inputs)
    np.testing.assert_allclose(
        logits.mean(0), said.logits, atol=5 * logits.std(0).max() / 1000**0.5
    )
    # The variance of a sum of independent masked products: p / (1 - p) times its squares.
    squares = jnp.square(said.features) @ jnp.square(params["head"]["kernel"])
    np.testing.assert_allclose(logits.var(0), 0.3 / 0.7 * squares, rtol=0.25)


def test_masks_of_training_are_each_faces_own_and_drop_path_draws_what_it_always_drew():
    sizes = {"image_size": 16, "patch_size": 8, "dim": 8, "depth": 3, "heads": 2}
    inputs = jnp.repeat(jax.random.normal(jax.random.key(1), (1, 16, 16, 3)), 2, axis=0)
    only_path = vit.vit(ModelConfig(**sizes, drop_path=0.5), CLASSES)
    params = only_path.init(jax.random.key(0))
    key = jax.random.key(6)
    both = vit.vit(ModelConfig(**sizes, drop_path=0.5, dropout=0.5), CLASSES)
    features = [model.apply(params, inputs, key).features for model in (only_path, both)]
    np.testing.assert_array_equal(*features)  # seen before the head's dropout
    dropped = vit.vit(ModelConfig(**sizes, dropout=0.5), CLASSES).apply(params, inputs, key)
    assert (np.asarray(dropped.logits[0]) != np.asarray(dropped.logits[1])).all()
    with pytest.raises(ValueError, match="not both at once"):
        both.apply(params, inputs, key, key)


def test_networks_over_texts_drop_values_of_their_features():
    """Of each text its own in training, of all texts the same in a pass."""
    config = ModelConfig(network="embeddings", dim=16, dropout=0.5)
    network = networks.members_model(config, CLASSES)
    params = network.init(jax.random.key(0))
    inputs = jnp.repeat(jax.random.normal(jax.random.key(1), (1, 16)), 3, axis=0)
    plain, trained, one, other = (
        np.asarray(network.apply(params, inputs, *keys).logits)
        for keys in ((), (jax.random.key(2),), (None, jax.random.key(2)), (None, jax.random.key(3)))
    )
    assert len(np.unique(plain[:, 0])) == 1 and len(np.unique(trained[:, 0])) == 3
    np.testing.assert_array_equal(one[0], one[2])
    assert (one[0] != other[0]).all() and (one[0] != plain[0]).all()


def test_with_flips_a_picture_and_its_mirror_image_are_told_the_mean_of_both():
    sizes = {"image_size": 16, "patch_size": 8, "dim": 8, "depth": 2, "heads": 2}
    config = ModelConfig(**sizes)
    network = vit.vit(config, CLASSES, extra=1)
    params = jax.jit(network.init)(jax.random.key(0))
    inputs = jax.random.normal(jax.random.key(1), (3, 16, 16, 3))
    mirrored = inputs[:, :, ::-1]
    method = method_of(Config(train=TrainConfig(method="dirichlet")))
    plain = jax.jit(make_forward(config, CLASSES, method))
    flipped = jax.jit(make_forward(dataclasses.replace(config, flips=True), CLASSES, method))
    key = jax.random.key(2)
    one, other, both, back = (
        f(params, None, x, key)
        for f, x in ((plain, inputs), (plain, mirrored), (flipped, inputs), (flipped, mirrored))
    )
    mean = (np.exp(one.log_probs) + np.exp(other.log_probs)) / 2
    np.testing.assert_allclose(np.exp(both.log_probs), mean, atol=1e-6)
    np.testing.assert_allclose(
        both.log_concentration, (one.log_concentration + other.log_concentration) / 2, atol=1e-5
    )
    np.testing.assert_allclose(both.log_probs, back.log_probs, atol=1e-5)
    assert np.abs(one.log_probs - other.log_probs).max() > 1e-3
    np.testing.assert_array_equal(both.features.head, one.features.head)
