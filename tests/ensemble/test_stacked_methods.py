"""Every method stacked: five members are five single runs, and a checkpoint loses nothing."""

import dataclasses
from functools import cache

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ferjax.config import Config, EvaluateConfig, ModelConfig, ScnConfig, TrainConfig
from ferjax.ensemble import checkpoint, inputs, members, optimizer, placement, training
from ferjax.ensemble.checkpoint import Checkpoints
from ferjax.ensemble.methods import METHODS, Target, Teacher, method_of
from ferjax.ensemble.programs import stacked_state
from ferjax.faces.dataset import DataSpec
from ferjax.models import vit

CLASSES = 5
FACES = 24
SEEDS = jnp.arange(1, 6, dtype=jnp.uint32)
BATCH = 8
ARMS = {
    **{name: {} for name in METHODS if name not in ("mc-dropout", "scn")},
    "scn": {"scn": ScnConfig(relabel_epoch=1, relabel_above=0.0)},
    "mc-dropout": {"dropout": 0.2},
    "mc-dropout, blocks": {"dropout": 0.2, "dropout_at": "blocks"},
}


def config_of(arm):
    options = dict(ARMS[arm])
    network = {name: options.pop(name) for name in ("dropout", "dropout_at") if name in options}
    return Config(
        model=ModelConfig(image_size=16, patch_size=8, dim=8, depth=1, heads=2, **network),
        train=TrainConfig(
            method=arm.partition(",")[0],
            seeds=tuple(int(seed) for seed in SEEDS),
            batch_size=BATCH,
            learning_rate=1e-2,
            warmup_epochs=0,
            epochs=2,
            **options,
        ),
        evaluate=EvaluateConfig(passes=3),
    )


@cache
def data():
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.integers(0, 256, (FACES, 16, 16), np.uint8))
    votes = rng.multinomial(10, rng.dirichlet(np.ones(CLASSES), FACES))
    q = jnp.asarray(votes / 10, jnp.float32)
    teacher = Teacher(0.9 * q + 0.1 / CLASSES, jnp.linspace(0.0, 3.0, FACES))
    return images, Target(q, jnp.asarray(votes, jnp.int32), jnp.ones(FACES), teacher)


@cache
def pieces(arm):
    """One member's ``init(seed)`` and ``step(state, order)``.

    Without Adam, which makes a step of any gradient: also of those that are 0 but for rounding.
    """
    config = config_of(arm)
    method = method_of(config)
    model = vit.members_model(config.model, CLASSES, method.extra)
    descent = optax.sgd(0.1, momentum=0.9)
    images, target = data()
    step = members.train_step(model, descent, method, inputs.drawing(config.model))

    def init(seed):
        return members.init(model, descent, seed, memory=method.memory(target))

    def once(state, order):
        return step(state, order, images, target)

    return init, once


def order_of(state):
    return members.epoch_order(state.key, jnp.int32(0), faces=FACES, batch_size=BATCH)


@cache
def stacked(arm):
    """States of five members after no, one and two steps, and the losses."""
    init, once = pieces(arm)
    state = jax.jit(jax.vmap(init))(SEEDS)
    order = jax.vmap(order_of)(state)
    chex.clear_trace_counter()
    step = jax.jit(jax.vmap(chex.assert_max_traces(once, n=1)))
    states = [state]
    losses = []
    for _ in range(2):
        state, report = step(state, order)
        states.append(state)
        losses.append(report.loss)
    return step, order, states, losses


def test_every_method_has_an_arm_here():
    assert {arm.partition(",")[0] for arm in ARMS} == set(METHODS)


@pytest.mark.slow
@pytest.mark.parametrize("arm", ARMS)
def test_five_stacked_members_are_five_single_ones(arm):
    init, once = pieces(arm)
    _, _, states, losses = stacked(arm)
    start, single = jax.jit(init), jax.jit(once)
    for k, seed in enumerate(SEEDS):
        alone = start(seed)
        for taken in range(2):
            alone, report = single(alone, order_of(alone))
            assert float(report.loss) == pytest.approx(float(losses[taken][k]), abs=2e-5)
        of_stack = jax.tree.map(lambda leaf, k=k: leaf[k], states[2])
        chex.assert_trees_all_close(alone.params, of_stack.params, atol=1e-5)
        chex.assert_trees_all_equal(alone.memory, of_stack.memory)
    moved = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), states[0].params, states[2].params)
    assert all(jax.tree.leaves(moved))
    assert int(states[2].status.skipped.sum()) == 0


@pytest.mark.slow
@pytest.mark.parametrize("arm", ARMS)
def test_a_checkpoint_keeps_all_that_a_method_carries(arm, tmp_path):
    """What comes back is what was saved, memory included, and steps on to the last bit."""
    step, order, states, _ = stacked(arm)
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.save(1, states[1])
    checkpoints.close()
    # Regrouping knows no data, and so not how many faces there are.
    for of_run in (stacked_state(config_of(arm), CLASSES, faces=n) for n in (FACES, 0)):
        like = jax.eval_shape(lambda: states[1])._replace(memory=of_run.memory)
        _, read = checkpoint.read(tmp_path / "checkpoints", len(SEEDS), like=like)
        chex.assert_trees_all_equal(*map(checkpoint.without_keys, (read, states[1])))
    again, _ = step(jax.tree.map(jnp.asarray, read), order)
    chex.assert_trees_all_equal(*map(checkpoint.without_keys, (again, states[2])))


@pytest.mark.slow
def test_members_remember_labels_of_their_own_and_a_bad_step_changes_none():
    step, order, states, _ = stacked("scn")
    first = np.asarray(states[0].memory)
    assert first.shape == (5, FACES) and first.dtype == np.int8
    np.testing.assert_array_equal(first, np.tile(np.argmax(data()[1].q, -1), (5, 1)))
    one = np.asarray(states[1].memory)
    changed = one != first
    assert changed.any() and len({tuple(row) for row in one}) == 5
    for k in range(5):  # only the faces of the step
        assert set(np.flatnonzero(changed[k])) <= set(np.asarray(order)[k, 0].tolist())
    poisoned = jax.tree.map(lambda leaf: leaf.at[2].set(jnp.nan), states[1].params)
    after, _ = step(states[1]._replace(params=poisoned), order)
    np.testing.assert_array_equal(after.memory[2], one[2])
    others = np.array([0, 1, 3, 4])
    np.testing.assert_array_equal(after.memory[others], states[2].memory[others])


def test_what_needs_whole_batches_is_given_no_parts_of_them():
    config = config_of("scn")
    votes = dataclasses.replace(config, train=dataclasses.replace(config.train, method="votes"))

    def chosen(config, replicas):
        spec = DataSpec(tuple("abcde"), 16)
        return placement.choose(
            config, spec, train_faces=FACES, valid_faces=1, replicas=replicas
        ).best.layout

    with pytest.raises(ValueError, match="2 replicas would share .* train.method scn ranks"):
        chosen(config, 2)
    assert chosen(config, None).replicas == 1
    assert chosen(votes, 2).replicas == 2
    model = vit.members_model(config.model, CLASSES, 1)
    adamw = optimizer.adamw(config.train, 1)
    draw = inputs.drawing(config.model)
    with pytest.raises(ValueError, match="neither be accumulated"):
        members.train_step(model, adamw, method_of(config), draw, accumulate=2)


def test_what_a_method_cannot_work_with_is_refused_by_name():
    train = {name: TrainConfig(method=name) for name in METHODS}
    with pytest.raises(ValueError, match="eac compares .* set model.head cls.mean, got cls"):
        Config(model=ModelConfig(head="cls"), train=train["eac"])
    with pytest.raises(ValueError, match="mc-dropout drops nothing with model.dropout 0"):
        Config(train=train["mc-dropout"])
    texts = ModelConfig(network="ngrams")
    with pytest.raises(ValueError, match="eac compares the places .* ngrams reads texts"):
        Config(model=texts, train=train["eac"])
    with pytest.raises(ValueError, match="train.scn.erase .* set it to 0 for model.network ngrams"):
        Config(model=texts, train=train["scn"])
    with pytest.raises(ValueError, match="dropout_at blocks .* with network ngrams there is none"):
        ModelConfig(network="ngrams", dropout=0.1, dropout_at="blocks")
    with pytest.raises(ValueError, match="scn ranks .* train.accumulate 2 would split"):
        Config(train=dataclasses.replace(train["scn"], accumulate=2))
    with pytest.raises(ValueError, match="train.scn.share 0.7 of train.batch_size 1 is 0 faces"):
        Config(train=dataclasses.replace(train["scn"], batch_size=1))
    with pytest.raises(ValueError, match="model.dropout_at blocks .*trainable_blocks 0"):
        ModelConfig(dropout=0.1, dropout_at="blocks", trainable_blocks=0)


def test_a_student_without_a_teacher_is_refused_before_anything_starts(tiny, tiny_faces, tmp_path):
    config = dataclasses.replace(tiny, train=dataclasses.replace(tiny.train, method="distil"))
    with pytest.raises(ValueError, match="train it with `ferjax distil RUN`"):
        training.train(config, tiny_faces, tmp_path / "run")
    with pytest.raises(ValueError, match="train.method votes learns from no ensemble"):
        training.train(tiny, tiny_faces, tmp_path / "run", teacher=data()[1].teacher)
    assert not (tmp_path / "run").exists()
