"""A run's predictions: the loop over members, one corrupted picture for all, any batch size."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.corruptions.suites import corrupt
from ferjax.ensemble import prediction
from ferjax.ensemble.methods import METHODS, method_of
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
    got = prediction.predict(compiled[corruption], images, ids, 8, severity).log_probs
    pictures = to_network_size(jnp.asarray(images), trained.config.model.image_size)
    if corruption:
        pictures = corrupt(
            corruption, pictures, severity, jnp.asarray(ids), seed=trained.config.evaluate.seed
        )
    apply = jax.jit(vit.vit(trained.config.model, 8).apply)
    for member in range(3):
        logits = apply(prediction.member_params(trained, member), normalise(pictures)).logits
        np.testing.assert_allclose(got[member], jax.nn.log_softmax(logits), atol=1e-4)


def test_neither_batches_nor_company_change_a_prediction(compiled, tiny_faces):
    images = tiny_faces["test"].images[:19]
    ids = tiny_faces["test"].ids[:19]
    whole, scores, none = prediction.predict(compiled["gnoise"], images, ids, 8, 3)
    assert whole.shape == (3, 19, 8) and none is None
    some = np.array([17, 3, 11])
    log_probs, of_some, _ = prediction.predict(compiled["gnoise"], images[some], ids[some], 8, 3)
    np.testing.assert_allclose(log_probs, whole[:, some], atol=1e-5)
    assert {"ood_density", "texture", "energy"} <= set(scores)
    for name, values in scores.items():
        assert values.shape == (19,)
        np.testing.assert_allclose(of_some[name], values[some], rtol=1e-3, atol=1e-3, err_msg=name)


def test_severity_is_an_argument_of_one_compiled_program(trained, tiny_faces, monkeypatch):
    images = tiny_faces["test"].images[:8]
    ids = tiny_faces["test"].ids[:8]
    # Traced once, whatever the severity; a second trace is an AssertionError.
    monkeypatch.setattr(prediction, "corrupt", chex.assert_max_traces(corrupt, n=1))
    run = prediction.predictor(trained, "gnoise")
    predictions = [prediction.predict(run, images, ids, 8, severity)[0] for severity in (1, 5)]
    assert np.abs(predictions[0] - predictions[1]).max() > 1e-3


def test_passes_count_as_members_beside_one_another(trained, tiny_faces, monkeypatch):
    """A network with nothing random in it answers the same in every pass."""
    images = tiny_faces["test"].images[:8]
    ids = tiny_faces["test"].ids[:8]
    once, scores, _ = prediction.predict(prediction.predictor(trained), images, ids, 8)
    twice_asked = method_of(trained.config)._replace(passes=2)
    monkeypatch.setitem(METHODS, "votes", lambda config: twice_asked)
    twice, same_scores, _ = prediction.predict(prediction.predictor(trained), images, ids, 8)
    np.testing.assert_allclose(twice, np.repeat(once, 2, axis=0), atol=1e-5)
    chex.assert_trees_all_close(scores, same_scores, rtol=1e-3, atol=1e-3)


def test_every_condition_is_on_disk_with_the_same_faces(run, tiny_faces):
    files = {path.stem: Predictions.load(path) for path in (run / "predictions").glob("*.npz")}
    clean = {"valid", "test", "not_a_face", "unknown"}
    tolerated = {f"{split}tolerance_{t}" for split in ("", "valid_") for t in ("zoom", "mirrored")}
    assert set(files) == clean | tolerated | {"gnoise_1", "gnoise_5"}
    for name in tolerated:
        p = files.pop(name)
        faces = tiny_faces["valid" if name.startswith("valid") else "test"]
        assert p.tolerance in name and p.corruption is None and p.split in ("valid", "test")
        assert set(p.ids) <= set(faces.ids) and len(p.ids) == min(
            len(faces.ids), 20 if p.split == "valid" else 10**9
        )
        assert not np.allclose(p.log_probs[0, 0], files[p.split].log_probs[0, 0], atol=1e-6)
    for name, p in files.items():
        faces = tiny_faces["test" if p.corruption else name]
        assert p.condition == name
        assert p.split == (name if name in ("test", "valid") else "test" if p.corruption else "ood")
        assert p.classes == tiny_faces.spec.classes
        np.testing.assert_array_equal(p.ids, faces.ids)
        np.testing.assert_array_equal(p.votes, faces.votes)
        np.testing.assert_array_equal(p.abstentions, faces.abstentions)
        assert p.log_probs.shape == (3, len(faces.ids), 8)
        assert {"ood_density", "energy", "head_relative", "block_1"} <= set(p.scores)
        assert all(np.isfinite(score).all() for score in p.scores.values())
    assert (files["gnoise_5"].corruption, files["gnoise_5"].severity) == ("gnoise", 5)


def test_best_parameters_are_the_ones_that_predict(run, trained, tiny_faces):
    p = Predictions.load(run / "predictions" / "valid.npz")
    accuracy = (p.log_probs.argmax(-1) == tiny_faces["valid"].q.argmax(-1)).mean(-1)
    np.testing.assert_allclose(accuracy, trained.best_accuracy, atol=1e-6)


def test_an_unknown_corruption_is_refused(trained, tiny_faces):
    with pytest.raises(ValueError, match="unknown corruption 'rain'"):
        prediction.predict(
            prediction.predictor(trained, "rain"), tiny_faces["test"].images[:4], np.arange(4), 4
        )


def with_evaluation(trained, **changes):
    settings = dataclasses.replace(trained.config.evaluate, **changes)
    return trained._replace(config=dataclasses.replace(trained.config, evaluate=settings))


@pytest.fixture(scope="module")
def few(tiny_faces):
    """At most eight faces of every set, but all that densities are fitted to."""

    def of(sets):
        return {name: faces.take(np.arange(min(8, len(faces.ids)))) for name, faces in sets.items()}

    splits = of(tiny_faces.splits) | {"train": tiny_faces["train"]}
    return dataclasses.replace(tiny_faces, splits=splits, ood=of(tiny_faces.ood))


@pytest.fixture
def predictions_made(trained, monkeypatch):
    """Fakes that compute nothing; a list of how many faces were predicted, call by call."""
    made = []

    def predict(run, images, *_):
        made.append(len(images))
        shape = (len(trained.best_accuracy), len(images), 8)
        return prediction.MemberOutputs(np.full(shape, -np.log(8), np.float32), {})

    monkeypatch.setattr(prediction, "predict", predict)
    monkeypatch.setattr(prediction, "predictor", lambda *_, **__: None)
    monkeypatch.setattr(prediction, "fit_densities", lambda *_: (trained.densities, None))
    return made


def test_an_interrupted_evaluation_goes_on_where_it_was(trained, few, tmp_path, monkeypatch):
    short = with_evaluation(trained, corruptions=("gnoise",), severities=(5,), tolerances=())
    events = []
    first = {
        p.condition: p
        for p in prediction.predict_conditions(short, few, tmp_path / "predictions", events.append)
    }
    progress = [event for event in events if event.task == "predicting 5 conditions"]
    assert [event.note for event in progress] == list(first)
    np.testing.assert_allclose([event.done for event in progress], np.arange(1, 6) / 5)
    assert any(event.task.startswith("densities of ") for event in events)
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


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t._replace(best_accuracy=t.best_accuracy + 0.1),
        lambda t: with_evaluation(t, seed=t.config.evaluate.seed + 1),
        lambda t: with_evaluation(t, density_faces=30),
        lambda t: t._replace(
            config=dataclasses.replace(
                t.config, train=dataclasses.replace(t.config.train, method="labels")
            )
        ),
        lambda t: t._replace(
            config=dataclasses.replace(t.config, data=dataclasses.replace(t.config.data, seed=9))
        ),
    ],
    ids=["members", "noise", "density faces", "method", "data"],
)
def test_predictions_of_another_kind_are_not_taken_for_its_own(
    trained, few, tmp_path, predictions_made, change
):
    """Whatever changes a prediction is in made_by.json: not only whose it is, its noise too."""
    folder = tmp_path / "predictions"
    clean = with_evaluation(trained, corruptions=())
    made = len(list(prediction.predict_conditions(clean, few, folder)))
    assert len(list(prediction.predict_conditions(clean, few, folder))) == made
    assert len(predictions_made) == made
    list(prediction.predict_conditions(change(clean), few, folder))
    assert len(predictions_made) == 2 * made


def test_a_moved_data_set_is_the_same(trained, few, tmp_path, predictions_made):
    folder = tmp_path / "predictions"
    clean = with_evaluation(trained, corruptions=())
    made = len(list(prediction.predict_conditions(clean, few, folder)))
    data = dataclasses.replace(clean.config.data, path="elsewhere")
    moved = clean._replace(config=dataclasses.replace(clean.config, data=data))
    list(prediction.predict_conditions(moved, few, folder))
    assert len(predictions_made) == made


def test_a_set_of_its_own_has_its_name_ids_and_votes(trained, tiny_faces):
    faces = tiny_faces["test"].take(np.arange(5))
    p = prediction.predict_set(trained, "mine", faces.images, faces.votes, first_id=1000)
    assert (p.condition, p.split, p.classes) == ("mine", "ood", tiny_faces.spec.classes)
    np.testing.assert_array_equal(p.ids, 1000 + np.arange(5))
    np.testing.assert_array_equal(p.votes, faces.votes)
    expected, scores, _ = prediction.predict(
        prediction.predictor(trained), faces.images, faces.ids, 64
    )
    np.testing.assert_allclose(p.log_probs, expected, atol=1e-5)
    assert set(p.scores) == set(scores)
