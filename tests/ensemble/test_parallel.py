"""Layouts of members over devices, and the equivalence behind them: pmap of vmap, vmap, and a loop are one program."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.config import ModelConfig, TrainConfig
from ferjax.ensemble import members, parallel
from ferjax.models import vit

SEEDS = jnp.arange(8, dtype=jnp.uint32) + 40
FACES, BATCH, STEPS = 24, 8, 4


def test_there_are_eight_devices():
    assert jax.local_device_count() == 8


@pytest.mark.parametrize("count, devices, used, each", [
    (1, 8, 1, 1), (5, 8, 5, 1), (8, 8, 8, 1), (9, 8, 5, 2), (16, 8, 8, 2), (5, 4, 3, 2), (5, 1, 1, 5), (5, 2, 2, 3)])
def test_as_few_devices_as_keep_the_longest_queue_short(count, devices, used, each):
    layout = parallel.lay_out(count, jax.devices()[:devices])
    assert (len(layout.devices), layout.per_device) == (used, each)
    assert f"{count} members on {used} cpu" in str(layout)
    assert ("padding" in str(layout)) == (used * each > count)


def test_no_members_no_layout():
    with pytest.raises(ValueError, match="at least one member, got 0"):
        parallel.lay_out(0)


@pytest.mark.parametrize("count, devices", [(5, 8), (5, 3), (8, 8), (3, 1)])
def test_gather_undoes_scatter(count, devices):
    layout = parallel.lay_out(count, jax.devices()[:devices])
    tree = {"a": jnp.arange(count * 6.0).reshape(count, 2, 3), "key": jax.vmap(jax.random.key)(SEEDS[:count])}
    scattered = parallel.scatter(layout, tree)
    assert len(scattered["a"].sharding.device_set) == len(layout.devices)
    back = parallel.gather(layout, scattered)
    np.testing.assert_array_equal(back["a"], tree["a"])
    np.testing.assert_array_equal(jax.random.key_data(back["key"]), jax.random.key_data(tree["key"]))


def test_mapped_functions_see_their_own_and_the_shared():
    layout = parallel.lay_out(5, jax.devices()[:3])
    mapped = parallel.map_members(layout, lambda own, shared: own * shared.sum(), (0, None))
    got = mapped(parallel.scatter(layout, jnp.arange(5.0)), parallel.replicate(layout, jnp.array([1.0, 2.0])))
    np.testing.assert_array_equal(parallel.gather(layout, got), 3 * np.arange(5.0))


@cache
def pieces():
    """One member's life, and the data: everything but the layout."""
    config = ModelConfig(image_size=16, patch_size=8, dim=8, depth=1, heads=2)
    train = TrainConfig(epochs=2, batch_size=BATCH, warmup_epochs=0, learning_rate=1e-2)
    model, optimizer = vit.members_model(config), members.optimizer(train, FACES // BATCH)
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.integers(0, 256, (FACES, 16, 16), np.uint8))
    targets = jnp.asarray(rng.dirichlet(np.ones(8), FACES), jnp.float32)
    step = members.train_step(model, optimizer, members.pixel_feed(16))

    def born(seed):
        return members.init(model, optimizer, seed)

    def order(key, epoch):
        return members.epoch_order(key, epoch, faces=FACES, batch_size=BATCH)

    def judge(state, images):
        inputs = members.normalise(members.to_network_size(images, 16))
        return model.apply(state.params, inputs).log_probs

    return jax.jit(jax.vmap(born)), order, step, judge, images, targets


@cache
def trained(count, devices):
    """Losses ``[step, member]``, final log-probs ``[member, face, class]`` and state of the first ``count`` seeds."""
    born, order, step, judge, images, targets = pieces()
    layout = parallel.lay_out(count, jax.devices()[:devices])
    order, step, judge = (parallel.map_members(layout, f, axes) for f, axes in (
        (order, (0, None)), (step, (0, 0, None, None)), (judge, (0, None))))
    state = parallel.scatter(layout, born(SEEDS[:count]))
    images, targets = parallel.replicate(layout, (images, targets))
    losses = []
    for i in range(STEPS):
        rows = order(state.key, parallel.replicate(layout, jnp.int32(i // (FACES // BATCH))))
        state, report = step(state, rows, images, targets)
        losses.append(np.asarray(parallel.gather(layout, report.loss)))
    return np.stack(losses), np.asarray(parallel.gather(layout, judge(state, images))), parallel.gather(layout, state)


@cache
def trained_alone():
    """The plain loop: every member by itself, no vmap, no pmap."""
    born, order, step, judge, images, targets = pieces()
    order, step, judge = jax.jit(order), jax.jit(step), jax.jit(judge)
    losses, log_probs = [], []
    newborn = born(SEEDS)
    for m in range(len(SEEDS)):
        state = jax.tree.map(lambda leaf, m=m: leaf[m], newborn)
        own = []
        for i in range(STEPS):
            state, report = step(state, order(state.key, jnp.int32(i // (FACES // BATCH))), images, targets)
            own.append(float(report.loss))
        losses.append(own)
        log_probs.append(np.asarray(judge(state, images)))
    return np.array(losses).T, np.stack(log_probs)


@pytest.mark.slow
@pytest.mark.parametrize("count, devices", [(8, 1), (8, 8), (5, 8), (5, 4)],
                         ids=["vmap", "pmap", "pmap-of-five", "pmap-of-vmap-padded"])
def test_every_layout_is_the_loop_over_members(count, devices):
    """Also: member k of many is that member trained alone, wherever it runs and whoever else there is."""
    losses, log_probs, _ = trained(count, devices)
    alone_losses, alone_log_probs = trained_alone()
    np.testing.assert_allclose(losses, alone_losses[:, :count], atol=2e-5)
    np.testing.assert_allclose(log_probs, alone_log_probs[:count], atol=2e-4)
    # And they did learn, each its own way.
    assert (losses[-1] != losses[0]).all()
    assert len(np.unique(log_probs[:, 0, 0].round(4))) == count


@pytest.mark.slow
def test_a_seed_is_a_trajectory_to_the_last_bit():
    _, _, state = trained(8, 8)
    trained.cache_clear()
    _, _, again = trained(8, 8)
    for one, other in zip(jax.tree.leaves(state.params), jax.tree.leaves(again.params), strict=True):
        np.testing.assert_array_equal(one, other)
