"""Layouts of members over devices: shards of vmap, vmap, and a loop are one program."""

import re
from functools import cache

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.config import ModelConfig, TrainConfig
from ferjax.ensemble import inputs, members, optimizer, parallel
from ferjax.ensemble.methods import METHODS, Target
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
        (3, 8, 32, 2, 6, 1, 2),
        (5, 8, 32, 1, 5, 1, 3),
        (4, 8, 32, 2, 8, 1, 0),
        (1, 8, 12, 6, 6, 1, 2),
    ],
)
def test_devices_to_spare_share_the_batches_they_divide(
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


def test_replicas_by_hand_put_every_device_to_work():
    layout = parallel.lay_out(5, batch=32, replicas=8)
    assert (layout.groups, layout.per_device, layout.idle) == (1, 5, 0)
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
    method = METHODS["votes"]
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
def trained(count, devices, replicas=None):
    """Losses ``[step, member]``, log-probs, final state, and the compiled step's text."""
    init, order, step, predict, images, target = pieces()
    layout = parallel.lay_out(count, jax.devices()[:devices], batch=BATCH, replicas=replicas)
    order, step, predict = (
        parallel.map_members(layout, f, axes)
        for f, axes in (
            (order, (0, None)),
            (step(layout.split), (0, 0, None, None)),
            (predict, (0, None)),
        )
    )
    state = parallel.scatter(layout, init(SEEDS[:count]))
    images, target = parallel.replicate(layout, (images, target))
    rows = order(state.key, parallel.replicate(layout, jnp.int32(0)))
    step = step.lower(state, rows, images, target).compile()
    losses = []
    for i in range(STEPS):
        rows = order(state.key, parallel.replicate(layout, jnp.int32(i // (FACES // BATCH))))
        state, report = step(state, rows, images, target)
        losses.append(np.asarray(parallel.gather(layout, report.loss)))
    log_probs = np.asarray(parallel.gather(layout, predict(state, images)))
    return np.stack(losses), log_probs, parallel.gather(layout, state), step.as_text()


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
    "shards": (8, 8),
    "shards-of-vmap-padded": (5, 4),
    "replicas": (2, 8),
    "replicas-of-vmap": (5, 8, 8),
}


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_is_the_loop_over_members(layout):
    """Also: member k of many is that member trained alone, wherever and with whomever it runs."""
    losses, log_probs, _, _ = trained(*layout)
    alone_losses, alone_log_probs = trained_alone()
    np.testing.assert_allclose(losses, alone_losses[:, : layout[0]], atol=2e-5)
    np.testing.assert_allclose(log_probs, alone_log_probs[: layout[0]], atol=2e-4)
    # And they did learn, each its own way.
    assert (losses[-1] != losses[0]).all()
    assert len(np.unique(log_probs[:, 0, 0].round(4))) == layout[0]


COLLECTIVES = re.compile(
    r" (all-reduce|all-gather|all-to-all|reduce-scatter|collective-\w+)(?:-start)?"
    r"\(.*?(?:replica_groups=(\S+),|\n)"
)


@pytest.mark.slow
def test_members_never_meet_in_a_collective():
    """Read from the compiled step: none with a device per member, with four each only within."""
    assert COLLECTIVES.findall(trained(8, 8)[3]) == []
    assert COLLECTIVES.findall(trained(5, 4)[3]) == []
    assert set(COLLECTIVES.findall(trained(2, 8)[3])) == {("all-reduce", "{{0,1,2,3},{4,5,6,7}}")}


@pytest.mark.slow
def test_a_seed_is_a_trajectory_to_the_last_bit_whoever_else_there_is():
    """Where a layout does not change a member's arithmetic: one to a device, of eight or of two."""
    _, _, state, _ = trained(8, 8)
    _, _, fewer, _ = trained(2, 2)
    first = jax.tree.map(lambda leaf: leaf[:2], state.params)
    chex.assert_trees_all_equal(first, fewer.params)
