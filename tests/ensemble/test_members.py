"""One member as pure functions: order, initialisation, step, validation."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ferjax.config import Config, ModelConfig, TrainConfig
from ferjax.ensemble import inputs, members, optimizer, status
from ferjax.ensemble.methods import Target, method_of
from ferjax.models import vit

CONFIG = ModelConfig(image_size=16, patch_size=8, dim=8, depth=1, heads=2)
CLASSES = 5
VOTES = method_of(Config())


@pytest.fixture(scope="module")
def model():
    return vit.members_model(CONFIG, CLASSES)


@pytest.fixture(scope="module")
def data():
    """Stored faces, and what they are trained towards."""
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.integers(0, 256, (24, 16, 16), np.uint8))
    q = jnp.asarray(rng.dirichlet(np.ones(CLASSES), 24), jnp.float32)
    return images, Target(q, jnp.round(10 * q).astype(jnp.int32))


def test_an_epoch_is_a_permutation_without_repeats():
    order = members.epoch_order(jax.random.key(1), jnp.int32(0), faces=23, batch_size=4)
    assert order.shape == (5, 4)
    assert len(set(order.ravel().tolist())) == 20
    assert set(order.ravel().tolist()) <= set(range(23))


def test_an_epoch_depends_on_key_and_epoch_alone():
    def order(seed, epoch):
        return members.epoch_order(jax.random.key(seed), jnp.int32(epoch), faces=24, batch_size=4)

    np.testing.assert_array_equal(order(1, 3), order(1, 3))
    assert (order(1, 3) != order(1, 2)).any()
    assert (order(1, 3) != order(2, 3)).any()
    together = jax.vmap(lambda key: members.epoch_order(key, jnp.int32(3), faces=24, batch_size=4))(
        jax.vmap(jax.random.key)(jnp.array([7, 1], jnp.uint32))
    )
    np.testing.assert_array_equal(together[1], order(1, 3))


def test_members_start_apart_and_equal_seeds_alike(model):
    adamw = optimizer.adamw(TrainConfig(), 3)
    init = jax.jit(jax.vmap(lambda seed: members.init(model, adamw, seed)))
    state = init(jnp.array([3, 4], jnp.uint32))
    again = init(jnp.array([4, 3], jnp.uint32))
    chex.assert_trees_all_equal(state.params, jax.tree.map(lambda leaf: leaf[::-1], again.params))
    kernel = state.params["head"]["kernel"]
    assert (kernel[0] != kernel[1]).any()
    np.testing.assert_array_equal(state.step, 0)


def test_pretrained_parts_replace_random_ones_and_the_rest_stays_the_members_own(model):
    adamw = optimizer.adamw(TrainConfig(), 3)
    given = {"block_0": jax.jit(model.init)(jax.random.key(99))["block_0"]}
    state = jax.jit(jax.vmap(lambda seed: members.init(model, adamw, seed, given)))(
        jnp.array([3, 4], jnp.uint32)
    )
    twice = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), given["block_0"])
    chex.assert_trees_all_equal(state.params["block_0"], twice)
    assert (state.params["head"]["kernel"][0] != state.params["head"]["kernel"][1]).any()


def _initial(model):
    return jax.jit(lambda: members.init(model, optax.sgd(0.1), jnp.uint32(1)))()


def _steps(model, data, count, **options):
    step = members.train_step(model, optax.sgd(0.1), VOTES, inputs.drawing(CONFIG), **options)
    step = jax.jit(step)
    state = _initial(model)
    order = members.epoch_order(state.key, jnp.int32(0), faces=24, batch_size=8)
    reports = []
    for _ in range(count):
        state, report = step(state, order, *data)
        reports.append(report)
    return state, reports, order


def test_a_step_reports_the_loss_of_its_own_batch_before_the_update(model, data):
    images, target = data
    _, reports, order = _steps(model, data, 2)
    params = _initial(model).params
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(1), 2), 0)
    flips = jax.random.bernoulli(jax.random.fold_in(key, 0), shape=(8,))
    drawn = inputs.drawing(CONFIG)(images, order[0], flips)
    log_probs = jax.nn.log_softmax(jax.jit(model.apply)(params, drawn).logits)
    q = target.q[order[0]]
    assert float(reports[0].loss) == pytest.approx(float(-(q * log_probs).sum(-1).mean()), abs=1e-5)
    assert float(reports[0].accuracy) == float((log_probs.argmax(-1) == q.argmax(-1)).mean())
    assert float(reports[1].loss) != float(reports[0].loss)


def test_every_view_of_a_face_is_drawn_and_the_target_stays_the_faces_own(model, data):
    images, target = data
    equal, _, order = _steps(model, (jnp.concatenate([images, images]), target), 2, views=2)
    alone, _, _ = _steps(model, data, 2)
    chex.assert_trees_all_equal(equal.params, alone.params)

    views = jnp.concatenate([images, 255 - images])
    _, reports, _ = _steps(model, (views, target), 1, views=2)
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(1), 2), 0)
    flips = jax.random.bernoulli(jax.random.fold_in(key, 0), shape=(8,))
    view = jax.random.randint(jax.random.fold_in(key, 2**31 + 1), (8,), 0, 2)
    assert set(view.tolist()) == {0, 1}
    drawn = inputs.drawing(CONFIG)(views, order[0] + 24 * view, flips)
    log_probs = jax.nn.log_softmax(jax.jit(model.apply)(_initial(model).params, drawn).logits)
    loss = -(target.q[order[0]] * log_probs).sum(-1).mean()
    assert float(reports[0].loss) == pytest.approx(float(loss), abs=1e-5)


@pytest.mark.slow
def test_accumulated_gradients_are_the_gradient_of_the_whole_batch(model, data):
    whole, reports, _ = _steps(model, data, 2)
    parts, part_reports, _ = _steps(model, data, 2, accumulate=4)
    chex.assert_trees_all_close(whole.params, parts.params, atol=1e-5)
    np.testing.assert_allclose([r.loss for r in reports], [r.loss for r in part_reports], atol=1e-5)
    np.testing.assert_allclose(
        [r.accuracy for r in reports], [r.accuracy for r in part_reports], atol=1e-6
    )


def test_validation_keeps_the_best_parameters_and_ignores_padding():
    """A "network" whose parameters are its log-probabilities: the class it always answers."""

    def answer(params, batch):
        return jnp.broadcast_to(params["answer"][None], (len(batch), 8))

    run = members.validate(answer)
    labels = jnp.array([2, 2, 3, 2, 3])  # of five faces in two batches of four
    batches = jnp.zeros((2, 4, 1))
    state = members.EnsembleState(
        {"answer": jnp.eye(8)[3]},
        None,
        None,
        jnp.int32(0),
        {"answer": jnp.zeros(8)},
        jnp.float32(-1),
        status.init_status(),
        None,
    )
    state, log_probs = run(state, batches, labels)
    assert log_probs.shape == (5, 8)
    assert float(state.best_accuracy) == pytest.approx(2 / 5)
    for wanted, accuracy, best in ((2, 3 / 5, 2), (3, 3 / 5, 2), (7, 3 / 5, 2)):
        state, _ = run(state._replace(params={"answer": jnp.eye(8)[wanted]}), batches, labels)
        assert float(state.best_accuracy) == pytest.approx(accuracy)
        assert int(state.best_params["answer"].argmax()) == best
