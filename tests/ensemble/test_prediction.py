"""A run's predictions: the loop over members, one corrupted picture for all of them, any batch
size."""

import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.corruptions.suites import corrupt
from ferjax.ensemble import prediction
from ferjax.faces.images import normalise, to_network_size
from ferjax.models import vit
from ferjax.predictions import Predictions


@pytest.fixture(scope="module")
def trained(run):
    return prediction.load_run(run)


@pytest.fixture(scope="module")
def compiled(trained):
    return {name: prediction.predictor(trained, name) for name in (None, "gnoise")}


@pytest.mark.parametrize("corruption, severity", [(None, 1), ("gnoise", 1), ("gnoise", 5)])
def test_predictions_are_the_loop_over_members(trained, compiled, tiny_faces, corruption, severity):
    """And all members see the same corrupted picture: the one that its face's id names."""
    images = tiny_faces["test"].images[:8]
    ids = tiny_faces["test"].ids[:8]
    got, _ = prediction.predict(compiled[corruption], images, ids, 8, severity)
    pictures = to_network_size(jnp.asarray(images), trained.config.model.image_size)
    if corruption:
        pictures = corrupt(
            corruption, pictures, severity, jnp.asarray(ids), seed=trained.config.evaluate.seed
        )
    apply = jax.jit(vit.vit(trained.config.model).apply)
    for member in range(3):
        expected = apply(prediction.one_member(trained, member), normalise(pictures)).log_probs
        np.testing.assert_allclose(got[member], expected, atol=1e-4)


def test_neither_batches_nor_company_change_a_prediction(compiled, tiny_faces):
    images = tiny_faces["test"].images[:19]
    ids = tiny_faces["test"].ids[:19]
    whole, scores = prediction.predict(compiled["gnoise"], images, ids, 8, 3)
    assert whole.shape == (3, 19, 8)
    some = np.array([17, 3, 11])
    log_probs, of_some = prediction.predict(compiled["gnoise"], images[some], ids[some], 8, 3)
    np.testing.assert_allclose(log_probs, whole[:, some], atol=1e-5)
    assert {"ood_density", "texture", "energy"} <= set(scores)
    for name, values in scores.items():
        assert values.shape == (19,)
        np.testing.assert_allclose(of_some[name], values[some], rtol=1e-3, atol=1e-3, err_msg=name)


def test_severity_is_an_argument_of_one_compiled_program(compiled, tiny_faces):
    images = tiny_faces["test"].images[:8]
    ids = tiny_faces["test"].ids[:8]
    predictions = [
        prediction.predict(compiled["gnoise"], images, ids, 8, severity)[0] for severity in (1, 5)
    ]
    assert np.abs(predictions[0] - predictions[1]).max() > 1e-3


def test_every_condition_is_on_disk_with_the_same_faces(run, tiny_faces):
    files = {path.stem: Predictions.load(path) for path in (run / "predictions").glob("*.npz")}
    assert set(files) == {"valid", "test", "not_a_face", "unknown", "gnoise_1", "gnoise_5"}
    for name, p in files.items():
        faces = tiny_faces["test" if p.corruption else name]
        assert p.condition == name
        np.testing.assert_array_equal(p.ids, faces.ids)
        np.testing.assert_array_equal(p.votes, faces.votes)
        assert p.log_probs.shape == (3, len(faces.ids), 8)
        assert {"ood_density", "energy", "head_relative", "block_1"} <= set(p.scores)
        assert all(np.isfinite(score).all() for score in p.scores.values())
    assert (files["gnoise_5"].corruption, files["gnoise_5"].severity) == ("gnoise", 5)


def test_best_parameters_are_the_ones_that_predict(run, trained, tiny_faces):
    p = Predictions.load(run / "predictions" / "valid.npz")
    accuracy = (p.log_probs.argmax(-1) == tiny_faces["valid"].q.argmax(-1)).mean(-1)
    np.testing.assert_allclose(accuracy, trained.best_accuracy, atol=1e-6)


def test_one_member_is_a_whole_network(trained):
    with pytest.raises(ValueError, match=r"no member 3: this run has members 0\.\.2"):
        prediction.one_member(trained, 3)


def test_an_unknown_corruption_is_refused(trained, tiny_faces):
    with pytest.raises(ValueError, match="unknown corruption 'rain'"):
        prediction.predict(
            prediction.predictor(trained, "rain"), tiny_faces["test"].images[:4], np.arange(4), 4
        )


def test_what_is_no_trained_run_is_refused(run, tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a run: it holds no config.json"):
        prediction.load_run(tmp_path)
    shutil.copy(run / "config.json", tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no checkpoints; was it trained"):
        prediction.load_run(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):
        prediction.load_run(tmp_path)


def test_a_split_without_strangers_is_left_out(trained, tiny_faces, tmp_path):
    empty = tiny_faces["unknown"].take(np.zeros(0, int))
    settings = dataclasses.replace(trained.config.evaluate, corruptions=())
    quiet = trained._replace(config=dataclasses.replace(trained.config, evaluate=settings))
    names = [
        p.condition
        for p in prediction.predict_conditions(quiet, {**tiny_faces, "unknown": empty}, tmp_path)
    ]
    assert names == ["valid", "test", "not_a_face"]


def test_an_interrupted_evaluation_goes_on_and_other_members_start_anew(
    trained, tiny_faces, tmp_path, monkeypatch
):
    settings = dataclasses.replace(
        trained.config.evaluate, corruptions=("gnoise",), severities=(5,)
    )
    short = trained._replace(config=dataclasses.replace(trained.config, evaluate=settings))
    few = {
        name: faces.take(np.arange(min(8, len(faces.ids)))) for name, faces in tiny_faces.items()
    } | {"train": tiny_faces["train"]}
    first = {
        p.condition: p for p in prediction.predict_conditions(short, few, tmp_path / "predictions")
    }
    calls = []
    monkeypatch.setattr(
        prediction,
        "predict",
        lambda *given, original=prediction.predict: calls.append(1) or original(*given),
    )
    (tmp_path / "predictions" / "gnoise_5.npz").unlink()
    again = {
        p.condition: p for p in prediction.predict_conditions(short, few, tmp_path / "predictions")
    }
    assert len(calls) == 1
    for name, p in first.items():
        np.testing.assert_allclose(again[name].log_probs, p.log_probs, atol=1e-6)
    other = short._replace(best_accuracy=short.best_accuracy + 0.1)
    assert len(list(prediction.predict_conditions(other, few, tmp_path / "predictions"))) == len(
        first
    )
    assert len(calls) == 1 + len(first)


def test_valid_faces_are_corrupted_only_to_fit_routers(trained, tiny_faces):
    settings = dataclasses.replace(
        trained.config.evaluate, fit_corruptions=("blur",), fit_severities=(3,)
    )
    assert [c.name for c in prediction.plan(settings, tiny_faces)][-1] == "valid_blur_3"
    assert not [
        c
        for c in prediction.plan(trained.config.evaluate, tiny_faces)
        if c.name.startswith("valid_")
    ]
