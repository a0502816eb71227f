"""One member's life as pure functions: order, feed, step, validation."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ferjax.config import ModelConfig, TrainConfig
from ferjax.ensemble import members, status
from ferjax.faces.images import normalise, to_network_size
from ferjax.models import vit

CONFIG = ModelConfig(image_size=16, patch_size=8, dim=8, depth=1, heads=2)


@pytest.fixture(scope="module")
def model():
    return vit.members_model(CONFIG)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.integers(0, 256, (24, 16, 16), np.uint8)), jnp.asarray(
        rng.dirichlet(np.ones(8), 24), jnp.float32
    )


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


def test_members_are_born_different_and_seeds_alike(model):
    optimizer = members.optimizer(TrainConfig(), 3)
    born = jax.jit(jax.vmap(lambda seed: members.init(model, optimizer, seed)))
    state = born(jnp.array([3, 4], jnp.uint32))
    again = born(jnp.array([4, 3], jnp.uint32))
    for leaf, other in zip(
        jax.tree.leaves(state.params), jax.tree.leaves(again.params), strict=True
    ):
        np.testing.assert_array_equal(leaf[0], other[1])
    kernel = state.params["head"]["kernel"]
    assert (kernel[0] != kernel[1]).any()
    np.testing.assert_array_equal(state.step, 0)


def test_pretrained_parts_replace_random_ones_and_the_rest_stays_the_members_own(model):
    optimizer = members.optimizer(TrainConfig(), 3)
    given = {"block_0": jax.jit(model.init)(jax.random.key(99))["block_0"]}
    state = jax.jit(jax.vmap(lambda seed: members.init(model, optimizer, seed, given)))(
        jnp.array([3, 4], jnp.uint32)
    )
    for leaf, other in zip(
        jax.tree.leaves(state.params["block_0"]), jax.tree.leaves(given["block_0"]), strict=True
    ):
        np.testing.assert_array_equal(leaf, jnp.stack([other, other]))
    assert (state.params["head"]["kernel"][0] != state.params["head"]["kernel"][1]).any()


def test_feeds_prepare_the_batch_and_its_mirror(data):
    images, _ = data
    rows = jnp.array([5, 2, 5])
    flips = jnp.array([False, True, True])
    plain = jnp.stack([images[5], images[2, :, ::-1], images[5, :, ::-1]])
    np.testing.assert_array_equal(
        members.pixel_feed(16).draw(images, rows, flips), normalise(to_network_size(plain, 16))
    )
    tokens = jnp.arange(24 * 2 * 3.0).reshape(24, 2, 3, 1)
    np.testing.assert_array_equal(
        members.token_feed().draw(tokens, rows, flips),
        jnp.stack([tokens[5, 0], tokens[2, 1], tokens[5, 1]]),
    )


def test_the_schedule_warms_up_and_ends_at_zero():
    """Read off what a constant gradient moves: AdamW then moves by the learning rate."""
    config = TrainConfig(epochs=4, learning_rate=0.1, warmup_epochs=1, weight_decay=0.0)
    optimizer = members.optimizer(config, 5)
    params = {"head": jnp.zeros(1)}
    state = optimizer.init(params)
    moves = []
    update = jax.jit(optimizer.update)
    for _ in range(21):
        move, state = update({"head": jnp.ones(1)}, state, params)
        moves.append(-float(move["head"][0]))
    np.testing.assert_allclose(moves[:6], [0, 0.02, 0.04, 0.06, 0.08, 0.1], atol=1e-5)
    np.testing.assert_allclose(
        moves[5:], 0.05 * (1 + np.cos(np.pi * np.arange(16) / 15)), atol=1e-5
    )


def test_layer_decay_slows_lower_layers():
    params = {name: jnp.zeros(1) for name in ("embed", "block_0", "block_1", "norm", "head")}
    optimizer = members.optimizer(
        TrainConfig(learning_rate=0.1, warmup_epochs=0, layer_decay=0.5), 5, depth=2
    )
    move, _ = optimizer.update(jax.tree.map(jnp.ones_like, params), optimizer.init(params), params)
    relative = {name: float(m[0] / move["head"][0]) for name, m in move.items()}
    assert relative == pytest.approx(
        {"embed": 0.125, "block_0": 0.25, "block_1": 0.5, "norm": 1, "head": 1}
    )


def _newborn(model):
    return jax.jit(lambda: members.init(model, optax.sgd(0.1), jnp.uint32(1)))()


def _steps(model, data, count, **options):
    optimizer = optax.sgd(0.1)
    step = jax.jit(members.train_step(model, optimizer, members.pixel_feed(16), **options))
    state = _newborn(model)
    order = members.epoch_order(state.key, jnp.int32(0), faces=24, batch_size=8)
    reports = []
    for _ in range(count):
        state, report = step(state, order, *data)
        reports.append(report)
    return state, reports, order


def test_a_step_reports_the_loss_of_its_own_batch_before_the_update(model, data):
    images, targets = data
    _, reports, order = _steps(model, data, 2)
    params = _newborn(model).params
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(1), 2), 0)
    flips = jax.random.bernoulli(jax.random.fold_in(key, 0), shape=(8,))
    log_probs = jax.jit(model.apply)(
        params, members.pixel_feed(16).draw(images, order[0], flips)
    ).log_probs
    assert float(reports[0].loss) == pytest.approx(
        float(-(targets[order[0]] * log_probs).sum(-1).mean()), abs=1e-5
    )
    assert float(reports[0].accuracy) == float(
        (log_probs.argmax(-1) == targets[order[0]].argmax(-1)).mean()
    )
    assert float(reports[1].loss) != float(reports[0].loss)


@pytest.mark.slow
def test_accumulated_gradients_are_the_gradient_of_the_whole_batch(model, data):
    whole, reports, _ = _steps(model, data, 2)
    parts, part_reports, _ = _steps(model, data, 2, accumulate=4)
    for one, other in zip(
        jax.tree.leaves(whole.params), jax.tree.leaves(parts.params), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-5)
    np.testing.assert_allclose([r.loss for r in reports], [r.loss for r in part_reports], atol=1e-5)
    np.testing.assert_allclose(
        [r.accuracy for r in reports], [r.accuracy for r in part_reports], atol=1e-6
    )


def test_validation_keeps_the_best_parameters_and_ignores_padding():
    """A "network" whose parameters are its log-probabilities: the class it always answers."""

    def answer(params, batch):
        return vit.Output(jnp.broadcast_to(params["answer"][None], (len(batch), 8)), batch)

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
