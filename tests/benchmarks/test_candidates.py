"""Both sides of a comparison do the same work, and the checks that say so can fail."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import bootstrap, decomposition, end_to_end, ensemble, layouts, router_grid
from benchmarks.devices import OURS, counts, step_on
from ferjax import routing
from ferjax.config import Config, ModelConfig, TrainConfig
from ferjax.ensemble import inputs, members, parallel
from ferjax.ensemble.methods import Target
from ferjax.ensemble.optimizer import adamw
from ferjax.models import vit

SMALL = ModelConfig(image_size=32, patch_size=16, dim=8, depth=2, heads=2)


def test_every_way_to_decompose_agrees():
    calls = decomposition.candidates(decomposition.log_softmax(3, 50, 8))
    decomposition.check(calls)
    calls["wrong"] = lambda: [np.asarray(part) + 1e-3 for part in calls["ferjax"]()]
    with pytest.raises(AssertionError):
        decomposition.check(calls)


@pytest.mark.parametrize("tied", [False, True])
def test_grids_agree_to_the_last_unit(tied):
    faces = router_grid.draw(2_000, 12, tied)
    ours = routing.grid(*faces[:4], groups=faces.groups, num_groups=router_grid.GROUPS)
    pairs = [(i, j) for i in range(12) for j in range(12)]
    router_grid.check(faces, ours, pairs)
    if tied:
        assert np.isin(faces.aleatoric, faces.aleatoric_thresholds).sum() > 100
    with pytest.raises(AssertionError):
        router_grid.check(faces, ours._replace(accept=ours.accept.at[0, 3, 4].add(1)), pairs)


def test_numpy_auroc_counts_pairs(rng):
    scores, _, labels = bootstrap.draw(60)
    weights = rng.multinomial(60, np.full(60, 1 / 60), size=3)
    for row, value in zip(weights, bootstrap.numpy_auroc(scores, labels, weights)):
        s = np.repeat(scores, row)
        y = np.repeat(labels, row)
        pairs = s[y][:, None] - s[~y][None]
        assert value == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean(), abs=1e-12)


def test_both_forms_of_scipy_give_one_statistic():
    x, y, _ = bootstrap.draw(100)
    slow, fast = (bootstrap.scipy_interval(x, y, 200, vectorised) for vectorised in (False, True))
    np.testing.assert_allclose(slow, fast, atol=1e-9)


def test_intervals_that_differ_are_caught():
    theirs = np.array([0.5, 0.4, 0.6])
    bootstrap.check((0.5, 0.402, 0.6), theirs, 2_000)
    for wrong in ((0.501, 0.4, 0.6), (0.5, 0.4, 0.63)):
        with pytest.raises(AssertionError):
            bootstrap.check(wrong, theirs, 2_000)


def test_stages_leave_out_what_runs_inside_them():
    times = iter([0.0, 1.0, 4.0, 10.0])
    stages = end_to_end.Stages(clock=lambda: next(times))
    with stages.stage("outer"), stages.stage("inner"):
        pass
    assert dict(stages.seconds) == {"outer": 7.0, "inner": 3.0}


@pytest.fixture(scope="module", params=[None, 1], ids=["pixels", "cached trunk"])
def peer(request):
    """A stacked ensemble of two, in Flax and in PyTorch."""
    pytest.importorskip("torch")
    from benchmarks import peers

    config = ModelConfig(
        image_size=32, patch_size=16, dim=8, depth=2, heads=2, trainable_blocks=request.param
    )
    params = jax.jit(jax.vmap(vit.members_model(config, ensemble.CLASSES).init))(
        jax.random.split(jax.random.key(0), 2)
    )
    # Fresh scales are 1 and biases 0: noise, so that a mix-up of names shows.
    leaves, tree = jax.tree.flatten(params)
    noisy = [
        leaf + 0.1 * np.random.default_rng(i).normal(size=leaf.shape).astype(np.float32)
        for i, leaf in enumerate(leaves)
    ]
    return peers, config, jax.tree.unflatten(tree, noisy)


@pytest.mark.parity
def test_the_pytorch_network_is_the_same(peer):
    peers, config, params = peer
    case = ensemble.Case("small", config, 4, 6, (2,))
    stored = ensemble.stored_faces(config)[:6]
    inputs = stored if config.trainable_blocks is None else stored[:, 0]
    ask = ensemble.log_probs_of(case.model)
    ours = jax.vmap(ask, (0, None))(params, inputs)
    calls, _ = peers.predictions(config, params, inputs)
    assert {"PyTorch loop", "torch.func vmap"} <= set(calls)
    for name in ("PyTorch loop", "torch.func vmap"):
        np.testing.assert_allclose(calls[name]().cpu().numpy(), ours, atol=2e-5, err_msg=name)


@pytest.mark.parity
def test_a_pytorch_step_is_the_same_step(peer):
    import torch

    peers, config, params = peer
    faces = ensemble.stored_faces(config)[:6]
    # Faces that are their own mirror images: flips are drawn differently on the two sides.
    faces = (
        jnp.maximum(faces, faces[..., ::-1])
        if config.trainable_blocks is None
        else faces.at[:, 1].set(faces[:, 0])
    )
    targets = np.random.default_rng(0).dirichlet(np.ones(8), 6).astype(np.float32)
    rows = np.array([[0, 1, 2, 3], [5, 4, 3, 2]], np.int32)
    train = TrainConfig(seeds=(0, 1), batch_size=4, warmup_epochs=0, learning_rate=1e-2)
    model = vit.members_model(config, ensemble.CLASSES)
    optimizer = adamw(train, 10**6)
    step = members.train_step(model, optimizer, ensemble.METHOD, inputs.drawing(config))
    step = jax.jit(jax.vmap(step, (0, 0, None, None)))
    target = Target(jnp.asarray(targets), jnp.asarray(np.round(10 * targets), jnp.int32))
    state = jax.vmap(lambda seed, p: members.init(model, optimizer, seed, p))(
        jnp.arange(2, dtype=jnp.uint32), params
    )
    ours = []
    for _ in range(3):
        state, report = step(state, rows[:, None], faces, target)
        ours.append(np.asarray(report.loss))
    assert np.abs(ours[2] - ours[0]).min() > 1e-3
    for name, call in peers.training_steps(config, train, params, faces, targets, rows).items():
        theirs = [torch.stack(list(call())).cpu().numpy() for _ in range(3)]
        np.testing.assert_allclose(theirs, ours, atol=1e-4, err_msg=name)


@pytest.mark.slow
def test_every_jax_way_to_train_takes_the_same_step(monkeypatch):
    monkeypatch.setattr(ensemble, "_peers", lambda: None)
    programs = ensemble.training(ensemble.Case("small", SMALL, 4, 4, (2,)), 2)
    stacked = np.asarray(programs.calls[ensemble.STACKED]()[1].loss)
    loop = np.asarray([report.loss for _, report in programs.calls[ensemble.LOOP]()])
    np.testing.assert_allclose(loop, stacked, atol=1e-5)
    assert (
        stacked.shape == (2,)
        and programs.flops > 0
        and programs.peak_bytes > 0
        and programs.compile_seconds > 0
    )


@pytest.mark.slow
def test_the_step_on_all_devices_trains():
    config = Config(
        model=ModelConfig(patch_size=24, dim=8, depth=1, heads=2, dtype="bfloat16"),
        train=TrainConfig(seeds=(0, 1, 2), batch_size=8, warmup_epochs=0),
    )
    calls, placed = step_on(config, jax.devices()[:2])
    first = np.asarray(calls[OURS]()).ravel()
    for _ in range(3):
        last = np.asarray(calls[OURS]()).ravel()
    assert len(placed.layout.devices) == 2
    assert np.isfinite(last).all() and last.mean() < first.mean() + 0.1


def test_a_step_of_a_layout_is_timed(monkeypatch):
    monkeypatch.setattr(layouts, "SMALL", dataclasses.replace(SMALL, depth=1))
    layout = parallel.lay_out(2, jax.devices()[:2], batch=8, replicas=2)
    assert layouts.step_work(layout, 8) > 0


def test_scaling_is_measured_on_powers_of_two_and_on_all():
    assert [counts(n) for n in (1, 2, 6, 8)] == [[1], [1, 2], [1, 2, 4, 6], [1, 2, 4, 8]]
