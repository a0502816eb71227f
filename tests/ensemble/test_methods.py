"""The table of methods: what its entries train towards, and that the seam carries a new one."""

import typing

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import losses
from ferjax.config import ModelConfig, TrainConfig
from ferjax.ensemble import inputs, members, methods, optimizer
from ferjax.ensemble.forward import make_forward
from ferjax.ensemble.methods import METHODS, Batch, Method, Reading, Target
from ferjax.models import vit
from ferjax.models.vit import Output

CONFIG = ModelConfig(image_size=16, patch_size=8, dim=8, depth=1, heads=2)
FACES = 24
CLASSES = 5


@pytest.fixture(scope="module")
def target():
    rng = np.random.default_rng(0)
    votes = rng.multinomial(10, rng.dirichlet(np.ones(CLASSES), FACES))
    return Target(jnp.asarray(votes / 10, jnp.float32), jnp.asarray(votes, jnp.int32))


@pytest.fixture(scope="module")
def images():
    return jnp.asarray(np.random.default_rng(1).integers(0, 256, (FACES, 16, 16), np.uint8))


def test_a_configuration_can_name_every_method_and_no_other():
    named = typing.get_args(typing.get_type_hints(TrainConfig)["method"])
    assert set(named) == set(METHODS)


@pytest.mark.parametrize("name", ["votes", "labels"])
def test_softmax_methods_read_the_logits_and_ask_once(name):
    method = METHODS[name]
    logits = jnp.array([[1.0, 2.0, -1.0]])
    reading = method.read(Output(logits, jnp.zeros((1, 2))))
    np.testing.assert_array_equal(reading.log_probs, jax.nn.log_softmax(logits))
    assert (reading.scores, method.extra, method.passes) == ({}, 0, 1)


@pytest.mark.parametrize("name", ["votes", "labels"])
def test_votes_train_towards_the_distribution_and_labels_towards_the_most_voted_class(name, target):
    """The "network" here answers its parameters whatever it is shown."""

    def apply(params, inputs, key):
        return Output(params, inputs)

    logits = jax.random.normal(jax.random.key(0), (FACES, CLASSES))
    batch = Batch(jnp.zeros((FACES, 1)), target, jax.random.key(1))
    (loss, reading), gradient = jax.value_and_grad(
        lambda params: METHODS[name].loss(apply, params, batch), has_aux=True
    )(logits)
    q = target.q if name == "votes" else np.eye(CLASSES)[np.argmax(target.q, -1)]
    expected = -np.mean(np.sum(q * np.asarray(reading.log_probs), -1))
    assert float(loss) == pytest.approx(float(expected), abs=1e-5)
    np.testing.assert_allclose(gradient * FACES, jnp.exp(reading.log_probs) - q, atol=1e-6)


def concentration_loss(apply, params, batch):
    """A loss with an extra column, the votes themselves, and randomness of its own."""
    output = apply(params, batch.inputs, batch.key)
    reading = concentration_read(output)
    noise = 1e-3 * jax.random.normal(jax.random.fold_in(batch.key, 7), output.extra[:, 0].shape)
    strength = jnp.sum(batch.target.votes, -1).astype(jnp.float32)
    fit = jnp.mean((output.extra[:, 0] + noise - jnp.log(strength)) ** 2)
    return jnp.mean(losses.cross_entropy(reading.log_probs, batch.target.q)) + fit, reading


def concentration_read(output):
    return Reading(jax.nn.log_softmax(output.logits), {"vacuity": jnp.exp(-output.extra[:, 0])})


CONCENTRATION = Method(concentration_loss, concentration_read, extra=1)


def test_a_method_with_an_extra_column_trains_and_leaves_the_head_its_classes(images, target):
    model = vit.members_model(CONFIG, CLASSES, CONCENTRATION.extra)
    adamw = optimizer.adamw(TrainConfig(warmup_epochs=0, learning_rate=1e-2), 3)
    step = jax.jit(
        chex.assert_max_traces(
            members.train_step(model, adamw, CONCENTRATION, inputs.drawing(CONFIG)), n=1
        )
    )
    state = jax.jit(lambda: members.init(model, adamw, jnp.uint32(1)))()
    assert state.params["head"]["kernel"].shape == (16, CLASSES)
    assert state.params["extra"]["kernel"].shape == (16, 1)
    order = members.epoch_order(state.key, jnp.int32(0), faces=FACES, batch_size=8)
    before = state.params
    reported = []
    for _ in range(30):
        state, report = step(state, order, images, target)
        reported.append(float(report.loss))
    assert np.mean(reported[-3:]) < np.mean(reported[:3]) - 1  # log 10 squared is most of it
    moved = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), before, state.params)
    assert all(jax.tree.leaves(moved))


def test_scores_of_a_method_come_out_of_the_forward_pass(images):
    model = vit.members_model(CONFIG, CLASSES, 1)
    params = jax.jit(model.init)(jax.random.key(0))
    forward = jax.jit(make_forward(CONFIG, CLASSES, CONCENTRATION))
    pictures = inputs.network_input(images, 16)
    outputs = forward(params, None, pictures, jax.random.key(2))
    said = model.apply(params, pictures)
    chex.assert_trees_all_close(
        outputs.scores,
        {
            "vacuity": jnp.exp(-said.extra[:, 0]),
            "energy": -jax.nn.logsumexp(said.logits, -1),
        },
        atol=1e-5,
    )
    np.testing.assert_allclose(outputs.log_probs[0], jax.nn.log_softmax(said.logits), atol=1e-5)


def test_passes_of_a_random_network_are_asked_with_keys_of_their_own(target):
    """A "network" whose answer is its key's: three passes differ, and scores are their mean."""
    method = Method(
        METHODS["votes"].loss,
        lambda output: Reading(output.logits, {"first": output.logits[:, 0]}),
        passes=3,
    )

    def forward(key):
        return Output(jax.random.normal(key, (1, CLASSES)) + jnp.zeros((FACES, 1)), None)

    reading = jax.jit(lambda key: methods.read_passes(method, forward, key))(jax.random.key(5))
    chex.assert_shape(reading.log_probs, (3, FACES, CLASSES))
    assert len(np.unique(reading.log_probs[:, 0, 0])) == 3
    np.testing.assert_allclose(reading.scores["first"], reading.log_probs[:, :, 0].mean(0))
    again = methods.read_passes(method, forward, jax.random.key(5))
    chex.assert_trees_all_close(reading, again, atol=1e-6)
    other = methods.read_passes(method, forward, jax.random.key(6))
    assert (np.asarray(other.log_probs) != np.asarray(reading.log_probs)).any()
