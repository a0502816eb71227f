"""A member's forward pass, trunk and all, against the whole network, and its features by block."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.config import ModelConfig
from ferjax.ensemble.forward import make_forward
from ferjax.ensemble.methods import METHODS
from ferjax.models import vit

CLASSES = 5


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
    forward = make_forward(config, CLASSES, METHODS["votes"])
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


def test_passes_turn_on_what_is_random_in_the_network():
    """Drop-path in the place of dropout: three passes differ, and one pass has none of it."""
    config = ModelConfig(image_size=16, patch_size=8, dim=8, depth=3, heads=2, drop_path=0.5)
    network = vit.vit(config, CLASSES)
    params = network.init(jax.random.key(0))
    inputs = jax.random.normal(jax.random.key(1), (2, 16, 16, 3))
    often = make_forward(config, CLASSES, METHODS["votes"]._replace(passes=3))
    outputs = often(params, None, inputs, jax.random.key(2))
    assert outputs.log_probs.shape == (3, 2, CLASSES)
    assert len(np.unique(outputs.log_probs[:, 0, 0])) == 3
    once = make_forward(config, CLASSES, METHODS["votes"])(params, None, inputs, jax.random.key(2))
    np.testing.assert_allclose(
        once.log_probs[0], jax.nn.log_softmax(network.apply(params, inputs).logits), atol=1e-5
    )
    for name in ("head", "own"):  # densities are fitted to, and read from, one kind of features
        one, other = (jax.tree.leaves(getattr(o.features, name)) for o in (once, outputs))
        np.testing.assert_allclose(one[0], other[0], atol=1e-6)
