"""What a run will cost, against counts by hand and against XLA's own count."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.config import Config, ModelConfig, TrainConfig
from ferjax.ensemble import cost, parallel
from ferjax.faces.dataset import DataSpec
from ferjax.models import vit

SPEC = DataSpec(("a", "b", "c"), 20)
# 4 patches and CLS: 5 tokens of 8; a block's MLP is 32 wide, or 24 where it is gated.
MODEL = ModelConfig(image_size=16, patch_size=8, dim=8, depth=3, heads=2)
BLOCK = 2 * 5 * (4 * 8 * 8 + 2 * 8 * 32) + 4 * 5 * 5 * 8
GATED_BLOCK = 2 * 5 * (4 * 8 * 8 + 3 * 8 * 24) + 4 * 5 * 5 * 8
EMBED = 2 * 4 * (8 * 8 * 3) * 8


def estimated(model, **train):
    config = Config(model=model, train=TrainConfig(seeds=(1, 2), **train))
    layout = parallel.lay_out(2, jax.devices()[:1])
    return cost.estimate(config, SPEC, layout, train_faces=10, valid_faces=5)


@pytest.mark.parametrize(
    "changes, forward, trained",
    [
        ({}, 3 * BLOCK + EMBED, 3 * BLOCK + EMBED),
        ({"mlp": "swiglu"}, 3 * GATED_BLOCK + EMBED, 3 * GATED_BLOCK + EMBED),
        ({"trainable_blocks": 1}, 3 * BLOCK + EMBED, BLOCK),
        ({"trainable_blocks": 0}, 3 * BLOCK + EMBED, 0),
    ],
)
def test_flops_are_counted_by_hand(changes, forward, trained):
    """A step is the forward pass and two gradients of its cost, and with remat one pass more."""
    model = dataclasses.replace(MODEL, **changes)
    budget = estimated(model)
    assert budget.forward_flops == forward
    assert budget.train_flops == 3 * trained
    assert estimated(dataclasses.replace(model, remat=True)).train_flops == 4 * trained


@pytest.mark.parametrize("changes", [{}, {"mlp": "swiglu"}])
def test_forward_flops_are_most_of_what_xla_counts(changes):
    """XLA counts norms, softmax and activations too: little, in a network of some width."""
    model = dataclasses.replace(MODEL, dim=96, **changes)
    network = vit.vit(model, 3)
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    pictures = jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32)
    counted = jax.jit(network.apply).lower(shapes, pictures).compile().cost_analysis()["flops"]
    assert 0.85 < estimated(model).forward_flops / counted <= 1


@pytest.mark.parametrize("blocks", [None, 1])
def test_parameters_and_data_are_what_a_run_holds(blocks):
    model = dataclasses.replace(MODEL, trainable_blocks=blocks)
    budget = estimated(model)
    whole = vit.vit(MODEL, 3).init(jax.random.key(0))
    frozen, trained = (
        sum(leaf.size for leaf in jax.tree.leaves(part)) for part in vit.split(whole, model)
    )
    assert (budget.member_parameters, budget.trunk_parameters) == (trained, frozen)
    # Parameters, gradients, two moments, the best parameters; float32, two members; the trunk once.
    assert budget.state_bytes == 2 * 5 * 4 * trained + 4 * frozen
    tokens = (2 * 10 + 5) * 5 * 8 * 4
    assert budget.data_bytes == (15 * 20 * 20 if blocks is None else tokens)


def test_activations_shrink_with_accumulation_remat_and_replicas():
    plain = estimated(MODEL, batch_size=32)
    assert (
        plain.activation_bytes == 4 * estimated(MODEL, batch_size=32, accumulate=4).activation_bytes
    )
    remat = dataclasses.replace(MODEL, remat=True, depth=3)
    assert estimated(remat, batch_size=32).activation_bytes < plain.activation_bytes
    layout = parallel.lay_out(2, jax.devices()[:4], batch=32)
    config = Config(model=MODEL, train=TrainConfig(seeds=(1, 2), batch_size=32))
    shared = cost.estimate(config, SPEC, layout, train_faces=10, valid_faces=5)
    assert shared.activation_bytes == plain.activation_bytes / 2 / 2  # a member each, two replicas
    np.testing.assert_equal(
        shared.device_bytes, shared.state_bytes + shared.data_bytes + shared.activation_bytes
    )
