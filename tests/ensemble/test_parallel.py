"""Layouts of members over devices: shards of vmap, vmap, and a loop are one program."""

import dataclasses
from functools import cache

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.config import Config, ModelConfig, TrainConfig
from ferjax.ensemble import inputs, members, optimizer, parallel
from ferjax.ensemble.collectives import between_members, collectives
from ferjax.ensemble.methods import Target, method_of
from ferjax.models import vit

SEEDS = jnp.arange(8, dtype=jnp.uint32) + 40
FACES = 24
BATCH = 8
STEPS = 4
CLASSES = 5


def test_there_are_eight_devices():
    assert jax.local_device_count() == 8


@pytest.mark.parametrize(
    "count, devices, used, each",
    [
        (1, 8, 1, 1),
        (5, 8, 5, 1),
        (8, 8, 8, 1),
        (9, 8, 5, 2),
        (16, 8, 8, 2),
        (5, 4, 3, 2),
        (5, 1, 1, 5),
        (5, 2, 2, 3),
    ],
)
def test_as_few_devices_as_keep_the_longest_queue_short(count, devices, used, each):
    layout = parallel.lay_out(count, jax.devices()[:devices])
    assert (len(layout.devices), layout.per_device) == (used, each)
    assert f"{count} members on {used} cpu" in str(layout)
    assert ("padding" in str(layout)) == (used * each > count)


@pytest.mark.parametrize(
    "count, devices, batch, replicas, used, each, idle",
    [
        (1, 8, 32, 8, 8, 1, 0),
        (3, 8, 32, 8, 8, 3, 0),
        (5, 8, 32, 8, 8, 5, 0),
        (5, 4, 32, 4, 4, 5, 0),
        (4, 8, 32, 2, 8, 1, 0),
        (8, 8, 32, 1, 8, 1, 0),
        (1, 8, 12, 6, 6, 1, 2),
        (5, 8, 3, 1, 5, 1, 3),
    ],
)
def test_replicas_share_batches_where_that_keeps_devices_from_waiting(
    count, devices, batch, replicas, used, each, idle
):
    layout = parallel.lay_out(count, jax.devices()[:devices], batch=batch)
    assert (layout.replicas, len(layout.devices), layout.per_device, layout.idle) == (
        replicas,
        used,
        each,
        idle,
    )
    assert f"{idle} idle" in str(layout) or not idle


def test_replicas_by_hand_decide():
    layout = parallel.lay_out(5, batch=32, replicas=2)
    assert (layout.groups, layout.per_device, layout.idle) == (3, 2, 2)
    with pytest.raises(
        ValueError, match="3 replicas cannot share batches of 32 faces on 8 devices"
    ):
        parallel.lay_out(5, batch=32, replicas=3)


def test_no_members_no_layout():
    with pytest.raises(ValueError, match="at least one member, got 0"):
        parallel.lay_out(0)


@pytest.mark.parametrize("count, devices", [(5, 8), (5, 3), (8, 8), (3, 1)])
def test_gather_undoes_scatter(count, devices):
    layout = parallel.lay_out(count, jax.devices()[:devices])
    tree = {
        "a": jnp.arange(count * 6.0).reshape(count, 2, 3),
        "key": jax.vmap(jax.random.key)(SEEDS[:count]),
    }
    scattered = parallel.scatter(layout, tree)
    assert len(scattered["a"].sharding.device_set) == len(layout.devices)
    back = parallel.gather(layout, scattered)
    np.testing.assert_array_equal(back["a"], tree["a"])
    np.testing.assert_array_equal(
        jax.random.key_data(back["key"]), jax.random.key_data(tree["key"])
    )


def test_mapped_functions_see_their_own_and_the_shared():
    layout = parallel.lay_out(5, jax.devices()[:3])
    mapped = parallel.map_members(layout, lambda own, shared: own * shared.sum(), (0, None))
    got = mapped(
        parallel.scatter(layout, jnp.arange(5.0)), parallel.replicate(layout, jnp.array([1.0, 2.0]))
    )
    np.testing.assert_array_equal(parallel.gather(layout, got), 3 * np.arange(5.0))


@cache
def pieces():
    """One member's functions, and the data: everything but the layout."""
    config = ModelConfig(image_size=16, patch_size=8, dim=8, depth=1, heads=2)
    train = TrainConfig(epochs=2, batch_size=BATCH, warmup_epochs=0, learning_rate=1e-2)
    model = vit.members_model(config, CLASSES)
    adamw = optimizer.adamw(train, FACES // BATCH)
    method = method_of(Config())
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.integers(0, 256, (FACES, 16, 16), np.uint8))
    q = jnp.asarray(rng.dirichlet(np.ones(CLASSES), FACES), jnp.float32)
    target = Target(q, jnp.round(10 * q).astype(jnp.int32))

    def step(split=parallel.NO_SPLIT):
        return members.train_step(model, adamw, method, inputs.drawing(config), split=split)

    def init(seed):
        return members.init(model, adamw, seed)

    def order(key, epoch):
        return members.epoch_order(key, epoch, faces=FACES, batch_size=BATCH)

    def predict(state, images):
        return method.read(model.apply(state.params, inputs.network_input(images, 16))).log_probs

    return jax.jit(jax.vmap(init)), order, step, predict, images, target


@cache
def trained(count, devices, replicas=None, chunk=None):
    """Losses ``[step, member]``, log-probs, final state, the compiled step, and its state."""
    init, order, step, predict, images, target = pieces()
    layout = parallel.lay_out(count, jax.devices()[:devices], batch=BATCH, replicas=replicas)
    layout = dataclasses.replace(layout, chunk=chunk)
    state = init(SEEDS[:count])
    parts = ("opt_state", "best_params")
    lie = parallel.spread(layout, state, lambda path: path[0].name in parts, smallest=1)
    order, predict = (parallel.map_members(layout, f, (0, None)) for f in (order, predict))
    step = parallel.map_members(
        layout, step(layout.split), (0, 0, None, None), carries=True, shardings=lie
    )
    state = parallel.scatter(layout, state, lie)
    images, target = parallel.replicate(layout, (images, target))
    rows = order(state.key, parallel.replicate(layout, jnp.int32(0)))
    step = step.lower(state, rows, images, target).compile()
    losses = []
    for i in range(STEPS):
        rows = order(state.key, parallel.replicate(layout, jnp.int32(i // (FACES // BATCH))))
        state, report = step(state, rows, images, target)
        losses.append(np.asarray(parallel.gather(layout, report.loss)))
    log_probs = np.asarray(parallel.gather(layout, predict(state, images)))
    return np.stack(losses), log_probs, parallel.gather(layout, state), step, state


@cache
def trained_alone():
    """The plain loop: every member by itself, no vmap, no pmap."""
    init, order, step, predict, images, target = pieces()
    order = jax.jit(order)
    step = jax.jit(step())
    predict = jax.jit(predict)
    losses = []
    log_probs = []
    initial = init(SEEDS)
    for m in range(len(SEEDS)):
        state = jax.tree.map(lambda leaf, m=m: leaf[m], initial)
        own = []
        for i in range(STEPS):
            state, report = step(
                state, order(state.key, jnp.int32(i // (FACES // BATCH))), images, target
            )
            own.append(float(report.loss))
        losses.append(own)
        log_probs.append(np.asarray(predict(state, images)))
    return np.array(losses).T, np.stack(log_probs)


LAYOUTS = {
    "vmap": (8, 1),
    "shards": (8, 8, 1),
    "shards-of-vmap-padded": (5, 4, 1),
    "replicas": (2, 8, 4),
    "replicas-of-vmap": (5, 8, 8),
    "chunks": (8, 1, 1, 3),
    "replicas-of-chunks": (5, 8, 4, 2),
}


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_is_the_loop_over_members(layout):
    """Also: member k of many is that member trained alone, wherever and with whomever it runs."""
    losses, log_probs, *_ = trained(*layout)
    alone_losses, alone_log_probs = trained_alone()
    np.testing.assert_allclose(losses, alone_losses[:, : layout[0]], atol=2e-5)
    np.testing.assert_allclose(log_probs, alone_log_probs[: layout[0]], atol=2e-4)
    # And they did learn, each its own way.
    assert (losses[-1] != losses[0]).all()
    assert len(np.unique(log_probs[:, 0, 0].round(4))) == layout[0]


@pytest.mark.slow
@pytest.mark.parametrize("layout", [of for of in LAYOUTS.values() if of[1] > 1])
def test_members_never_meet_in_a_collective(layout):
    """Read from the compiled step: none without replicas, and with them only within a group."""
    _, devices, replicas, *_ = layout
    found = list(collectives(trained(*layout)[3].as_text()))
    kinds = {one.kind for one in found}
    assert ("all-reduce" in kinds) == (replicas > 1)
    # Each replica works on its faces: activations are not dealt out anew.
    assert kinds <= {"all-reduce", "all-gather", "reduce-scatter"}
    assert not any(between_members(one, replicas, devices) for one in found)


@pytest.mark.slow
def test_replicas_hold_parts_of_what_is_seldom_read():
    """Moments and best parameters a quarter each; the parameters whole; and so step after step."""
    step, state = trained(2, 8, 4)[3:]
    held = {
        name: sum(leaf.addressable_shards[0].data.nbytes for leaf in jax.tree.leaves(part))
        for name, part in state._asdict().items()
        if name != "key"
    }
    assert held["best_params"] < 0.3 * held["params"]
    assert held["opt_state"] < 0.6 * held["params"]
    before, after = step.input_shardings[0][0], step.output_shardings[0]
    equal = jax.tree.map(lambda x, a, b: a.is_equivalent_to(b, x.ndim), state, before, after)
    assert all(jax.tree.leaves(equal))


@pytest.mark.slow
def test_what_is_drawn_does_not_depend_on_the_chunk():
    """To the last bit: initial parameters, keys, order of faces. What is computed may round."""
    _, _, state, *_ = trained(8, 1)
    _, _, chunked, *_ = trained(8, 1, 1, 3)
    assert jnp.array_equal(jax.random.key_data(state.key), jax.random.key_data(chunked.key))
    chex.assert_trees_all_close(state.params, chunked.params, atol=5e-3)
    chex.assert_trees_all_equal(state.step, chunked.step)


@pytest.mark.slow
def test_a_seed_is_a_trajectory_to_the_last_bit_whoever_else_there_is():
    """Where a layout does not change a member's arithmetic: one to a device, of eight or of two."""
    _, _, state, *_ = trained(8, 8, 1)
    _, _, fewer, *_ = trained(2, 2, 1)
    first = jax.tree.map(lambda leaf: leaf[:2], state.params)
    chex.assert_trees_all_equal(first, fewer.params)


def test_pmap_of_vmap_ours_and_a_loop_agree():
    """What the design says: members by vmap, devices by what pmap has become.

    Held against one another are answers after a step: of parameters with no gradient but noise
    (keys' biases), AdamW makes a step of any sign.
    """
    init, _, step, predict, images, target = pieces()
    count = len(SEEDS)
    devices = 4
    rows = jnp.arange(count * BATCH).reshape(count, 1, BATCH) % FACES
    state = init(SEEDS)

    def after_a_step(state, rows, images, target):
        return predict(step()(state, rows, images, target)[0], images)

    in_axes = (0, 0, None, None)
    grouped = jax.tree.map(lambda x: x.reshape(devices, -1, *x.shape[1:]), (state, rows))
    by_pmap = jax.pmap(
        jax.vmap(after_a_step, in_axes=in_axes),
        in_axes=in_axes,
        devices=jax.devices()[:devices],
    )
    theirs = np.asarray(by_pmap(*grouped, images, target)).reshape(count, FACES, CLASSES)
    layout = parallel.lay_out(count, jax.devices()[:devices])
    mapped = parallel.map_members(layout, after_a_step, in_axes)
    shared = parallel.replicate(layout, (images, target))
    ours = parallel.gather(layout, mapped(*parallel.scatter(layout, (state, rows)), *shared))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    alone = jax.jit(after_a_step)
    for m in range(count):
        one = jax.tree.map(lambda x, m=m: x[m], (state, rows))
        np.testing.assert_allclose(alone(*one, images, target), theirs[m], atol=1e-4)
    assert len(np.unique(theirs[:, 0, 0].round(4))) == count
