"""A run as a folder: resumed is uninterrupted, nothing recompiles, wrong starts are refused."""

import dataclasses
import json
import shutil
import signal

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.ensemble import checkpoint, members, parallel, prediction, training
from ferjax.ensemble.log import Log, read_log
from ferjax.events import LogLine, Message, Progress
from ferjax.faces.images import normalise, to_network_size
from ferjax.interruption import EXIT_STATUS
from ferjax.models import vit
from ferjax.models.pretrained import load_tree


def lines(folder):
    return read_log(folder / "metrics.jsonl")


def without_clock(figures):
    return [
        {k: v for k, v in line.items() if k not in ("seconds", "member_faces_per_second")}
        for line in figures
    ]


def assert_same(one, other, members=slice(None)):
    one, other = (checkpoint.without_keys(tree) for tree in (one, other))
    chex.assert_trees_all_equal(
        *(jax.tree.map(lambda leaf: leaf[members], t) for t in (one, other))
    )


def said(events):
    """The sentences among them."""
    return " ".join(event.text for event in events if isinstance(event, Message))


@pytest.fixture(scope="module")
def counted(tiny, tiny_faces, tmp_path_factory):
    """A whole run of three epochs, its events, and every tracing of the network.

    A tracing is noted as ``training`` or ``validating``.
    """
    config = dataclasses.replace(
        tiny,
        train=dataclasses.replace(
            tiny.train,
            epochs=3,
            log_every=2,
            checkpoint_every=0.0,
            keep_checkpoints=20,
            max_bad_steps=2,
        ),
    )
    traces = []
    events = []

    def members_model(*given, real=vit.members_model):
        model = real(*given)

        def apply(params, inputs, key=None):
            traces.append("validating" if key is None else "training")
            return model.apply(params, inputs, key)

        return model._replace(apply=apply)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vit, "members_model", members_model)
        folder = tmp_path_factory.mktemp("counted") / "run"
        run = training.train(config, tiny_faces, folder, on_event=events.append)
    return config, run, traces, events


@pytest.mark.slow
def test_nothing_is_traced_twice_in_a_whole_run(counted):
    assert sorted(counted[2]) == ["training", "validating"]


def test_a_run_is_a_folder_that_says_how_it_went(counted, tiny_faces):
    config, run, *_ = counted
    # TensorBoard's folder comes with its package alone (test_tensorboard.py).
    names = {path.name for path in run.folder.iterdir()} - {"tensorboard"}
    assert names == {
        *("config.json", "data.json", "prior.json", "checkpoints", "metrics.jsonl", "ended.json")
    }
    assert json.loads((run.folder / "data.json").read_text()) == tiny_faces.spec.to_json()
    assert (run.folder / "config.json").read_text() == config.to_json()
    figures = lines(run.folder)
    assert len(tiny_faces["train"].ids) // config.train.batch_size == 5
    assert [line["step"] for line in figures] == [3, 5, 8, 10, 13, 15]
    assert [line["epoch"] for line in figures] == [0.6, 1, 1.6, 2, 2.6, 3]
    assert figures[-1] == run.figures
    assert all(
        len(line["loss"]) == 3 and line["skipped"] == [0, 0, 0] and line["frozen"] == [False] * 3
        for line in figures
    )
    assert np.mean(figures[-1]["loss"]) < np.mean(figures[0]["loss"])
    whole_epochs = figures[1::2]
    assert all("valid_accuracy" in line for line in whole_epochs) and not any(
        "valid_accuracy" in line for line in figures[::2]
    )
    best = np.max([line["valid_accuracy"] for line in whole_epochs], axis=0)
    np.testing.assert_allclose(run.state.best_accuracy, best, atol=1e-5)
    np.testing.assert_array_equal(run.state.step, 15)


def test_events_tell_every_step_and_every_line(counted):
    _, run, _, events = counted
    assert said(events).startswith("training 3 members on")
    assert "3 epochs of 5 steps, 32 faces per step and member" in said(events)
    steps = [event for event in events if isinstance(event, Progress)]
    assert [event.task for event in steps] == ["training"] * 15
    np.testing.assert_allclose([event.done for event in steps], np.arange(1, 16) / 15)
    assert steps[4].note.startswith("epoch 1/3") and steps[5].note.startswith("epoch 2/3")
    figures = [event for event in events if isinstance(event, LogLine)]
    assert [event.figures for event in figures] == lines(run.folder)
    assert {(event.seeds, event.epochs) for event in figures} == {((1, 2, 3), 3)}


@pytest.mark.slow
def test_a_preempted_run_whose_newest_checkpoint_is_damaged_ends_as_the_uninterrupted_one(
    counted, tiny_faces, tmp_path
):
    """Stopped in the middle of an epoch and of an interval; the newest checkpoint is torn."""
    config, run, *_ = counted
    folder = tmp_path / "run"
    hold = Log.hold

    def hold_and_be_preempted(log, step, *report):
        hold(log, step, *report)
        if step == 5:
            signal.raise_signal(signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Log, "hold", hold_and_be_preempted)
        with pytest.raises(training.Interrupted, match="SIGTERM; saved at step 5 of 15") as stopped:
            training.train(config, tiny_faces, folder)
    assert EXIT_STATUS[stopped.value.cause] == 75
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    found = checkpoint.steps(folder / "checkpoints")
    assert found[-1] == 5 and len(found) > 1
    assert not (folder / ".lock").exists()
    manifest = folder / "checkpoints" / "5" / "default" / "manifest.ocdbt"
    manifest.write_bytes(manifest.read_bytes()[:-9])
    events = []
    resumed = training.train(config, tiny_faces, folder, resume=True, on_event=events.append)
    assert f"{folder / 'checkpoints' / '5'} is damaged and was passed over" in said(events)
    assert "resuming after step" in said(events)
    assert_same(resumed.state, run.state)
    assert without_clock(lines(folder)) == without_clock(lines(run.folder))


@pytest.mark.slow
def test_a_member_of_nans_never_touches_the_others(counted, tiny_faces, tmp_path):
    """From step 10 on: two steps skipped, restored, two more, frozen; the others as without it."""
    config, run, *_ = counted
    build = members.train_step

    def poisoned(*args, **options):
        step = build(*args, **options)

        def with_nans(state, *data):
            nan = (
                jax.random.key_data(state.key) == jax.random.key_data(jax.random.key(2))
            ).all() & (state.step >= 10)
            return step(
                state._replace(
                    params=jax.tree.map(lambda p: jnp.where(nan, jnp.nan, p), state.params)
                ),
                *data,
            )

        return with_nans

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(members, "train_step", poisoned)
        broken = training.train(config, tiny_faces, tmp_path / "run")
    others = np.array([0, 2])
    chex.assert_trees_all_close(  # another program: up to rounding, of which AdamW makes steps
        *(jax.tree.map(lambda leaf: leaf[others], r.state.params) for r in (broken, run)), atol=5e-3
    )
    status = broken.state.status
    assert (status.skipped.tolist(), status.restored.tolist(), status.frozen.tolist()) == (
        [0, 4, 0],
        [0, 1, 0],
        [0, 1, 0],
    )
    last = lines(broken.folder)[-1]
    assert last["skipped"] == [0, 4, 0] and last["frozen"] == [False, True, False]
    assert (
        last["loss"][1] is None
        and last["valid_accuracy"][1] is None
        and last["valid_ensemble_accuracy"] is not None
    )
    events = []
    trained = prediction.load_run(broken.folder, events.append)
    assert "averages 2 of 3 members: those with the seeds 2" in said(events)
    assert trained.config.train.seeds == (1, 3)
    assert_same(trained.params, jax.tree.map(lambda leaf: leaf[others], broken.state.best_params))


@pytest.mark.slow
def test_resuming_a_finished_run_changes_nothing_but_how_it_is_evaluated_and_kept(
    counted, tiny_faces, tmp_path, capfd
):
    """Without anybody to tell it also says nothing."""
    config, run, *_ = counted
    shutil.copytree(run.folder, tmp_path / "run")
    other = dataclasses.replace(
        config,
        evaluate=dataclasses.replace(config.evaluate, resamples=77),
        train=dataclasses.replace(config.train, checkpoint_every=3.0),
    )
    again = training.train(other, tiny_faces, tmp_path / "run", resume=True)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["evaluate"]["resamples"] == 77
    assert_same(again.state, run.state)
    assert again.figures == run.figures
    assert lines(tmp_path / "run") == lines(run.folder)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_finished_run_trains_longer_on_resume(counted, tiny_faces, tmp_path):
    """From where it stands, on the learning rates of a run of that length; shorter is refused."""
    config, run, *_ = counted
    folder = shutil.copytree(run.folder, tmp_path / "run")
    epochs = config.train.epochs + 1
    longer = dataclasses.replace(config, train=dataclasses.replace(config.train, epochs=epochs))
    events = []
    again = training.train(longer, tiny_faces, folder, resume=True, on_event=events.append)
    assert f"longer than before, {epochs} epochs instead of {epochs - 1}" in said(events)
    assert [line["epoch"] for line in lines(folder) if line["epoch"] % 1 == 0] == [1, 2, 3, 4]
    assert lines(folder)[: len(lines(run.folder))] == lines(run.folder)
    assert int(again.state.step[0]) == epochs * int(run.state.step[0]) // (epochs - 1)
    assert any(
        (np.asarray(a) != np.asarray(b)).any()
        for a, b in zip(jax.tree.leaves(again.state.params), jax.tree.leaves(run.state.params))
    )
    assert json.loads((folder / "config.json").read_text())["train"]["epochs"] == epochs
    with pytest.raises(ValueError, match=r"train.epochs \d -> \d .*only grow"):
        training.train(config, tiny_faces, folder, resume=True)
    events.clear()
    training.train(longer, tiny_faces, folder, resume=True, on_event=events.append)
    assert f"all {epochs} epochs are done already; --train.epochs" in said(events)


@pytest.mark.parametrize("devices", [1, 2, 8])
def test_a_checkpoint_opens_on_any_number_of_devices(counted, devices):
    _, run, *_ = counted
    step, state = checkpoint.read(run.folder / "checkpoints", 3, like=run.state)
    layout = parallel.lay_out(3, jax.devices()[:devices], batch=32)
    assert step == 15
    assert_same(parallel.gather(layout, parallel.scatter(layout, state)), run.state)


def test_wrong_starts_are_refused_and_leave_nothing(counted, tiny_faces, tmp_path):
    config, run, *_ = counted

    def changed(**changes):
        return dataclasses.replace(config, train=dataclasses.replace(config.train, **changes))

    with pytest.raises(FileExistsError, match="not empty; continue it with --resume"):
        training.train(config, tiny_faces, run.folder)
    with pytest.raises(
        ValueError, match=r"another configuration: train.learning_rate 0.003 -> 0.1"
    ):
        training.train(changed(learning_rate=0.1), tiny_faces, run.folder, resume=True)
    with pytest.raises(FileNotFoundError, match="holds no config.json"):
        training.train(config, tiny_faces, tmp_path / "run", resume=True)
    with pytest.raises(ValueError, match="batch_size 512 is more than the"):
        training.train(changed(batch_size=512), tiny_faces, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [0, 1])
def test_a_frozen_trunk_is_held_once_and_never_moves(tiny, tiny_faces, tmp_path, blocks):
    model = dataclasses.replace(tiny.model, depth=2, trainable_blocks=blocks)
    config = dataclasses.replace(
        tiny, model=model, train=dataclasses.replace(tiny.train, epochs=1, warmup_epochs=0)
    )
    run = training.train(config, tiny_faces, tmp_path / "run")
    trunk = load_tree(run.folder / "trunk.safetensors")
    assert set(trunk) == {"embed", "block_0", "block_1"} - ({"block_1"} if blocks else set())
    assert not set(trunk) & set(run.state.params)
    assert_same(trunk, training.starting_point(config)[0])
    # What a run predicts is what each member's whole network, put together again, predicts.
    trained = prediction.load_run(run.folder)
    images = tiny_faces["test"].images[:9]
    ids = tiny_faces["test"].ids[:9]
    got = prediction.predict(prediction.predictor(trained), images, ids, 16).log_probs
    whole = jax.jit(vit.vit(dataclasses.replace(model, trainable_blocks=None), 8).apply)
    inputs = normalise(to_network_size(jnp.asarray(images), model.image_size))
    for member in range(3):
        logits = whole(prediction.member_params(trained, member), inputs).logits
        np.testing.assert_allclose(got[member], jax.nn.log_softmax(logits), atol=1e-4)
    file = run.folder / "trunk.safetensors"
    written = file.read_bytes()
    for at in np.random.default_rng(0).integers(len(written) // 2, len(written), 5):
        file.write_bytes(written[:at] + bytes([written[at] ^ 4]) + written[at + 1 :])
        with pytest.raises(ValueError, match=r"trunk\.safetensors: .* with other weights"):
            prediction.load_run(run.folder)


def test_a_dry_run_checks_and_counts_and_leaves_nothing(tiny, tiny_faces):
    budget = training.dry_run(tiny, tiny_faces).budget
    model = vit.members_model(tiny.model, 8)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    assert budget.member_parameters == sum(leaf.size for leaf in jax.tree.leaves(shapes))
    large = dataclasses.replace(tiny, train=dataclasses.replace(tiny.train, batch_size=512))
    with pytest.raises(ValueError, match="batch_size 512 is more than the"):
        training.dry_run(large, tiny_faces)
