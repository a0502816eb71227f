"""A student: its teacher is the ensemble as one Dirichlet, and it is a run like any other."""

import dataclasses
import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import dirichlet, recalibration, uncertainty
from ferjax.cli import main
from ferjax.ensemble import distillation, prediction, regroup, training
from ferjax.ensemble.trained import load_run


def drawn(members=4, faces=50, classes=6):
    rng = np.random.default_rng(0)
    log_probs = jax.nn.log_softmax(jnp.asarray(rng.normal(size=(members, faces, classes))) * 2)
    return log_probs.astype(jnp.float32), jnp.asarray(rng.normal(size=(members, faces)) + 1)


@pytest.mark.parametrize("evidence", [False, True])
def test_the_teacher_has_the_ensembles_mean_and_its_two_uncertainties(evidence):
    log_probs, concentration = drawn()
    if not evidence:
        concentration = jnp.full_like(concentration, jnp.inf)
    teacher = distillation.as_teacher(log_probs, concentration)
    probs = np.exp(np.asarray(log_probs, np.float64))
    np.testing.assert_allclose(teacher.probs, probs.mean(0), atol=1e-6)
    if evidence:
        aleatoric = dirichlet.expected_entropy(log_probs, concentration).mean(0)
    else:
        aleatoric = uncertainty.decompose(log_probs).aleatoric
    found = dirichlet.expected_entropy(jnp.log(teacher.probs), teacher.log_concentration)
    np.testing.assert_allclose(found, aleatoric, atol=1e-4)


def test_members_that_agree_leave_nothing_but_their_mean():
    log_probs = jnp.repeat(drawn(members=1)[0], 3, axis=0)
    teacher = distillation.as_teacher(log_probs, jnp.full((3, 50), jnp.inf))
    total = uncertainty.entropy(log_probs[0])
    own = dirichlet.expected_entropy(jnp.log(teacher.probs), teacher.log_concentration)
    np.testing.assert_allclose(own, total, atol=1e-4)
    assert (teacher.log_concentration > 7).all()


@pytest.mark.parametrize("votes, alone", [(1, True), (10, False)])
def test_single_votes_give_members_no_concentration(monkeypatch, votes, alone):
    """Nobody can say from one vote per face how people divide: none is fitted to such."""
    log_probs = np.asarray(drawn(members=2, faces=60)[0])
    said = prediction.MemberOutputs(log_probs, {})
    monkeypatch.setattr(prediction, "predictor", lambda trained: None)
    monkeypatch.setattr(prediction, "predict", lambda *args, **rest: said)
    evaluate = SimpleNamespace(batch_size=64)
    trained = SimpleNamespace(
        config=SimpleNamespace(evaluate=evaluate), _replace=lambda **fields: trained
    )
    counts = np.random.default_rng(0).multinomial(votes, np.full(6, 1 / 6), 60)
    faces = SimpleNamespace(images=np.zeros((60, 2, 2), np.uint8), ids=np.arange(60), votes=counts)
    told = []
    teacher = distillation.teach(trained, faces, faces, told.append)
    twice = np.concatenate([log_probs, log_probs])
    bare = distillation.as_teacher(twice, np.full((4, 60), np.inf, np.float32))
    same = np.allclose(teacher.log_concentration, bare.log_concentration, atol=1e-4)
    assert same == alone
    assert any("without concentrations" in getattr(of, "text", "") for of in told) == alone


@pytest.fixture(scope="module")
def student(run, tmp_path_factory):
    """A student of the shared run, made by the command line."""
    out = tmp_path_factory.mktemp("distilled") / "student"
    with pytest.raises(SystemExit) as exit:
        main(["distil", str(run), "--out", str(out), "--epochs", "2", "--seed", "7"])
    assert exit.value.code == 0
    return out


@pytest.mark.slow
def test_a_student_is_one_member_taught_by_the_ensemble_on_both_views(run, student, tiny_faces):
    config = json.loads((student / "config.json").read_text())
    assert config["train"]["method"] == "distil" and config["train"]["seeds"] == [7]
    trained = load_run(run)
    faces = tiny_faces["train"]
    ask = prediction.predictor(trained._replace(densities=None))
    valid = tiny_faces["valid"]
    one, other, of_valid = (
        prediction.predict(ask, images, ids, 64).log_probs
        for images, ids in (
            (faces.images, faces.ids),
            (faces.images[:, :, ::-1], faces.ids),
            (valid.images, valid.ids),
        )
    )
    both = np.concatenate([one, other])
    kept = training.load_teacher(training.RunFolder(student))
    np.testing.assert_allclose(kept.probs, np.exp(both).mean(0), atol=1e-5)
    fitted = recalibration.fit_members(valid.votes, of_valid)
    own = [recalibration.apply_members(fitted, view) for view in (one, other)]
    aleatoric = dirichlet.expected_entropy(both, jnp.concatenate(own)).mean(0)
    found = dirichlet.expected_entropy(jnp.log(kept.probs), kept.log_concentration)
    np.testing.assert_allclose(found, aleatoric, atol=1e-3)
    taught = load_run(student)
    said = prediction.predict(prediction.predictor(taught), faces.images[:9], faces.ids[:9], 64)
    assert said.log_probs.shape == (1, 9, 8) and said.log_concentration.shape == (1, 9)
    assert (uncertainty.decompose(said.log_probs).epistemic == 0).all()


@pytest.mark.slow
def test_a_finished_student_resumes_to_itself_and_merges_with_another(
    run, student, tiny_faces, tmp_path
):
    before = regroup.open_run_members(student)
    again = distillation.distil(run, student, seed=7, epochs=2, data=tiny_faces, resume=True)
    np.testing.assert_array_equal(
        again.state.params["extra"]["kernel"], before.state.params["extra"]["kernel"]
    )
    added = regroup.add_members(student, [8], tmp_path / "two", data=tiny_faces)
    two = regroup.open_run_members(added)
    assert two.config.train.seeds == (7, 8)
    assert (added / "teacher.safetensors").read_bytes() == (
        student / "teacher.safetensors"
    ).read_bytes()
    other = tmp_path / "other"
    regroup.select(added, [1], other)
    file = other / "teacher.safetensors"
    file.write_bytes(file.read_bytes()[:-4] + b"abcd")
    with pytest.raises(ValueError, match="teacher.safetensors: the checkpoint of step 10 was wr"):
        regroup.merge((student, other), tmp_path / "x")


@pytest.mark.slow
def test_wrong_students_are_refused(run, student, tiny_faces, tmp_path):
    with pytest.raises(ValueError, match="is a student itself"):
        distillation.distil(student, tmp_path / "x", data=tiny_faces)
    with pytest.raises(FileExistsError, match="not empty"):
        distillation.distil(run, student, data=tiny_faces)
    with pytest.raises(ValueError, match="another configuration: train.seeds"):
        distillation.distil(run, student, seed=9, epochs=2, data=tiny_faces, resume=True)
    fewer = dataclasses.replace(
        tiny_faces,
        splits={**tiny_faces.splits, "train": tiny_faces["train"].take(np.arange(100))},
    )
    with pytest.raises(
        ValueError, match="the teacher speaks of .* faces, the training split has 100"
    ):
        distillation.distil(run, student, seed=7, epochs=2, data=fewer, resume=True)


@pytest.mark.slow
def test_a_student_may_have_another_architecture_and_training(run, tiny_faces, tmp_path):
    ensemble = load_run(run).config
    like = dataclasses.replace(
        ensemble,
        data=dataclasses.replace(ensemble.data, seed=99),
        model=dataclasses.replace(ensemble.model, depth=1, trainable_blocks=None),
        train=dataclasses.replace(ensemble.train, epochs=1, views=2, learning_rate=1e-3),
    )
    student = distillation.distil(run, tmp_path / "small", like=like, data=tiny_faces)
    config = load_run(student.folder).config
    assert config.model == like.model and config.data == ensemble.data
    assert config.train == dataclasses.replace(
        like.train, method="distil", seeds=ensemble.train.seeds[:1]
    )
    assert set(student.state.params) >= {"block_0"} and "block_1" not in student.state.params
    texts = dataclasses.replace(
        like,
        model=dataclasses.replace(like.model, network="ngrams"),
        train=dataclasses.replace(like.train, views=1),
    )
    with pytest.raises(ValueError, match="must read pictures, its configuration has model.network"):
        distillation.distil(run, tmp_path / "other", like=texts, data=tiny_faces)
