"""Routing under another class prior: probabilities, scores, thresholds, files, and refusals."""

import json
import re
import shutil

import numpy as np
import pytest

from ferjax import priors, uncertainty
from ferjax.evaluation import scores as scores_of
from ferjax.evaluation.valid_thresholds import thresholds_on
from ferjax.predictions import Predictions
from ferjax.serving.export import export
from ferjax.serving.pipeline import sample_faces
from ferjax.serving.router import Router
from ferjax.serving.sources import items

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def uniform(run):
    return Router(run, "uar", prior="uniform", batch_size=16)


def adjustment_of(run):
    shares = list(json.loads((run / "prior.json").read_text())["shares"].values())
    return priors.Adjustment.of("uniform", shares, np.ones(len(shares)))


def test_a_run_keeps_the_prior_of_its_training_targets(run, tiny_faces):
    kept = json.loads((run / "prior.json").read_text())["shares"]
    assert list(kept) == list(tiny_faces.spec.classes)
    mean = tiny_faces["train"].q.mean(0)
    np.testing.assert_allclose(list(kept.values()), mean, atol=1 / len(tiny_faces["train"].ids))


def test_labels_scores_and_thresholds_follow_the_prior(run, uniform, tiny_faces):
    """As predictions that were adjusted on disk give them."""
    adjustment = adjustment_of(run)
    known = {}
    for path in (run / "predictions").glob("valid*.npz"):
        p = Predictions.load(path)
        if p.corruption is None:
            known[p.condition] = p
    assert {"valid", "valid_tolerance_zoom"} <= set(known)
    chosen, *_ = thresholds_on(known, adjustment, false_rejection=0.05, defer_share=1 / 3)
    assert uniform.rules == {name: of.rule for name, of in chosen.routers.items()}
    assert uniform.rule != Router(run, "uar", batch_size=16).rule
    decisions = uniform(tiny_faces["test"].images[:16])
    test = Predictions.load(run / "predictions" / "test.npz").log_probs[:, :16]
    adjusted = adjustment.apply(test)
    mean = np.exp(uncertainty.mean_log_probs(adjusted))
    got = np.array([list(d.probs.values()) for d in decisions])
    np.testing.assert_allclose(got, mean, atol=2e-5)
    assert [d.label for d in decisions] == [uniform.classes[c] for c in mean.argmax(-1)]
    total = scores_of.from_log_probs(adjusted)["total"]
    parts = [d.aleatoric + d.epistemic for d in decisions]
    np.testing.assert_allclose(parts, total, atol=1e-4)
    likeliest = f"{100 * got[0].max():.0f} % {decisions[0].label}"
    if decisions[0].action != "reject":
        assert likeliest in decisions[0].why


def test_a_file_decides_under_the_prior_it_was_exported_with(run, uniform, tmp_path, tiny_faces):
    about = export(run, tmp_path / "file", prior="uniform", platforms=("cpu",))
    assert about["prior"]["name"] == "uniform"
    opened = Router(tmp_path / "file", "uar", batch_size=16)
    images = tiny_faces["test"].images[:16]
    assert [d.action for d in opened(images)] == [d.action for d in uniform(images)]
    assert opened.adjustment == uniform.adjustment
    assert opened.identity.startswith("uar, prior uniform, ")
    with pytest.raises(ValueError, match="export the run again with --prior sqrt"):
        Router(tmp_path / "file", prior="sqrt")


def test_the_training_prior_is_what_a_router_decides_under(run, uniform):
    usual = Router(run, "uar", batch_size=16)
    assert Router(run, "uar", prior="training", batch_size=16).identity == usual.identity
    assert uniform.identity != usual.identity and not usual.adjustment.changes


def test_what_cannot_be_done_is_refused(run, tmp_path, tiny_faces, ferjax, capsys, pictures):
    images = tiny_faces["test"].images
    with pytest.raises(ValueError, match=f"needs at least 50 pictures, got {len(images)}"):
        Router(run, prior="estimated", unlabelled=images)
    with pytest.raises(ValueError, match="needs unlabelled pictures"):
        Router(run, prior="estimated")
    with pytest.raises(ValueError, match="unlabelled pictures are for the prior 'estimated'"):
        Router(run, prior="sqrt", unlabelled=images)
    with pytest.raises(ValueError, match="thresholds that are given were chosen under a prior"):
        Router(run, prior="sqrt", thresholds={"aleatoric": 1, "epistemic": 1})
    with pytest.raises(FileNotFoundError, match="no prior 'sqr'"):
        Router(run, prior="sqr")
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "prior.json").unlink()
    with pytest.raises(ValueError, match="does not say which class prior .* `ferjax evaluate"):
        Router(copy, prior="sqrt")
    shutil.copy(run / "prior.json", copy)
    (copy / "predictions" / "valid.npz").unlink()
    with pytest.raises(ValueError, match=r"no longer holds predictions/valid.npz"):
        Router(copy, prior="sqrt")
    for words, message in (
        (("route", run, "-", "--prior", "estimated"), "a stream \\(-\\) is read once"),
        (("export", run, "--out", tmp_path / "x", "--prior", "estimated"), "go together"),
        (("route", run, pictures, "--prior", "estimated"), "at least 50 pictures, got 7"),
    ):
        assert ferjax(*words) == 2
        assert re.search(message, " ".join(capsys.readouterr().err.split()))


def test_faces_are_sampled_alike_and_unreadable_ones_passed_over(pictures):
    faces = sample_faces(items([pictures]), 48)
    assert faces.shape == (7, 48, 48)
    few = [sample_faces(items([pictures]), 48, most=3) for _ in range(2)]
    np.testing.assert_array_equal(*few)
    assert few[0].shape == (3, 48, 48)
