"""Evaluation as a function: sets from outside, settings of the run, silence by default."""

import shutil

import numpy as np
import pytest

import ferjax
from ferjax.comparing_methods import compare_methods
from ferjax.ensemble.ending import how_it_ended
from ferjax.ensemble.folder import RunFolder
from ferjax.ensemble.log import read_log
from ferjax.events import Message
from ferjax.locking import FolderLock
from ferjax.predictions import Predictions


@pytest.fixture(scope="module")
def evaluated(run, tmp_path_factory):
    """A copy of the shared run, evaluated once more with two sets of noise beside its own, while
    another process trains in its folder and a third one watches it."""
    folder = tmp_path_factory.mktemp("workflow")
    copy = folder / "run"
    shutil.copytree(run, copy)
    rng = np.random.default_rng(0)
    sets = {}
    for name in ("noise", "more_noise"):
        sets[name] = folder / f"{name}.npz"
        np.savez(sets[name], images=rng.integers(0, 255, (5, 60, 60), np.uint8))
    said = []
    watched = []

    def watch(event):
        said.append(event)
        run = RunFolder(copy)
        watched.append((how_it_ended(run).how, len(read_log(run.log))))

    with FolderLock(copy):
        found = ferjax.evaluate_run(copy, ood=sets, out=folder / "report", on_event=watch)
    assert set(watched) == {("training", 2)}
    return copy, found, said


def test_one_evaluation_of_a_run_at_a_time(evaluated):
    run, _, _ = evaluated
    before = {path: path.read_bytes() for path in (run / "predictions").glob("*.npz")}
    for evaluate in (
        lambda: ferjax.evaluate_run(run),
        lambda: compare_methods([run, shutil.copytree(run, run.parent / "other")], {}, run.parent),
    ):
        with (
            FolderLock(run / "predictions"),
            pytest.raises(FileExistsError, match="the evaluation of .* is in use by process"),
        ):
            evaluate()
    assert {path: path.read_bytes() for path in before} == before


def test_ids_of_sets_from_outside_are_nobody_elses(evaluated):
    run, _, _ = evaluated
    files = {p.stem: Predictions.load(p) for p in (run / "predictions").glob("*.npz")}
    names = ("valid", "test", "not_a_face", "unknown", "noise", "more_noise")
    ids = np.concatenate([files[name].ids for name in names])
    assert len(np.unique(ids)) == len(ids)
    assert {files[name].split for name in names[2:]} == {"ood"}


def test_sets_from_outside_are_in_the_tables(evaluated):
    _, found, said = evaluated
    assert {"noise", "more_noise"} <= set(found.evaluation.shift.ood)
    assert found.evaluation.shift.ood["noise"].items == 5
    assert found.files[0].name == "report.html"
    assert found.files[0].parent.name == "report"
    told = [
        event.text if isinstance(event, Message) else getattr(event, "task", "") for event in said
    ]
    for part in (
        *("scoring", "uncertainties of each", "evaluating with", "accuracy and calibration"),
        *("selective prediction", "human disagreement", "shift", "numbers of members"),
        *("reject scores", "recalibration", "drawing and writing"),
    ):
        assert any(part in text for text in told), part


def test_names_of_the_runs_own_sets_are_taken(run, tmp_path):
    with pytest.raises(ValueError, match=r"--ood test=...: that name is taken"):
        ferjax.evaluate_run(run, ood={"test": tmp_path}, out=tmp_path / "out")


def test_it_is_silent_unless_asked(predicted, tmp_path, capfd):
    for p in predicted.values():
        p.save(tmp_path / f"{p.condition}.npz")
    found = ferjax.evaluate_predictions([tmp_path], tmp_path / "out", resamples=50)
    assert found.evaluation.quality.items == 150
    assert capfd.readouterr() == ("", "")


def test_predictions_without_votes_are_refused(predicted, tmp_path):
    test = predicted["test"]
    np.savez(tmp_path / "test.npz", log_probs=test.log_probs)
    with pytest.raises(ValueError, match="bring no votes: give --votes FILE"):
        ferjax.evaluate_predictions([tmp_path / "test.npz"], tmp_path / "out")
