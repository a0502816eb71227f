"""Class priors of an evaluation: chosen, estimated or refused, and followed by everything."""

import contextlib
import dataclasses
import json

import numpy as np
import pytest
import scipy.special

from ferjax import priors, workflow
from ferjax.evaluation import class_priors
from ferjax.evaluation.conditions import Conditions
from ferjax.evaluation.evaluate import evaluate
from ferjax.evaluation.prior_comparison import prior_comparison
from ferjax.evaluation.valid_thresholds import thresholds_on
from ferjax.predictions import Predictions
from ferjax.report.answer import answer
from ferjax.serving.program import read_thresholds

CLASSES = ("neutral", "happy", "sad", "fear")
TRAINING = np.array([0.6, 0.25, 0.1, 0.05])
ITEMS = 400
MEMBERS = 3


def drawn(prior, seed, noise=0.0, **about):
    """Members that know the classes' densities and the training prior, apart from some noise."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(4, ITEMS, p=prior)
    x = 1.6 * np.eye(4)[labels] + rng.normal(size=(ITEMS, 4)) + noise
    scores = 1.6 * x + np.log(TRAINING) + 0.3 * rng.normal(size=(MEMBERS, ITEMS, 4))
    log_probs = scipy.special.log_softmax(scores, -1).astype(np.float32)
    ids = 10_000 * seed + np.arange(ITEMS)
    return Predictions(log_probs, ids, 10 * np.eye(4, dtype=np.int64)[labels], **about)


@pytest.fixture(scope="module")
def valid():
    return drawn(TRAINING, 1, condition="valid", split="valid")


def chosen(test, valid, choice):
    unlabelled = dataclasses.replace(test, votes=None).log_probs
    return class_priors.choose(
        choice, TRAINING, CLASSES, unlabelled=unlabelled, valid=valid, seed=0
    )


def read(test, valid, choice):
    given = {"valid": valid, "test": test}
    adjustment = chosen(test, valid, choice)
    return Conditions.of(given, resamples=50, classes=CLASSES, adjustment=adjustment)


def right(test, adjustment):
    """Accuracy of the ensemble's mean."""
    log_probs = class_priors.adjusted(test, adjustment).log_probs
    return (np.exp(log_probs).mean(0).argmax(-1) == test.votes.argmax(-1)).mean()


@pytest.mark.parametrize(
    "shares, gained",
    [((0.3, 0.3, 0.2, 0.2), 0.01), ((0.1, 0.2, 0.35, 0.35), 0.1), ((0.05, 0.05, 0.2, 0.7), 0.2)],
)
def test_an_estimated_prior_regains_accuracy_under_label_shift(valid, shares, gained):
    test = drawn(shares, 2)
    found = chosen(test, valid, "estimated")
    before = right(test, None)
    known = right(test, priors.Adjustment.of("known", TRAINING, shares))
    after = right(test, found)
    assert after - before > gained and after - before > 0.6 * (known - before)
    np.testing.assert_allclose(found.prior, shares, atol=0.1)
    assert found.p_value > 0.05


def test_an_estimated_prior_costs_nothing_without_shift(valid):
    lost = []
    for seed in range(3, 9):
        test = drawn(TRAINING, seed)
        # One test in twenty refuses what it should believe.
        with contextlib.suppress(ValueError):
            lost.append(right(test, None) - right(test, chosen(test, valid, "estimated")))
    assert len(lost) >= 4 and np.mean(lost) < 0.005 and max(lost) < 0.02


def test_balanced_accuracy_rises_by_the_prior_alone(valid):
    test = drawn(TRAINING, 2)
    conditions = read(test, valid, "training")
    rows = prior_comparison(conditions).rows
    balanced = [rows[n].balanced_accuracy.value for n in ("training", "sqrt", "uniform")]
    accuracy = [rows[n].accuracy.value for n in ("training", "sqrt", "uniform")]
    assert balanced[0] + 0.05 < balanced[1] < balanced[2]
    assert accuracy[0] > accuracy[2]
    # The rows say what an evaluation under that prior finds.
    under = evaluate(read(test, valid, "uniform"))
    assert under.quality.balanced_accuracy == rows["uniform"].balanced_accuracy
    assert under.quality.accuracy == rows["uniform"].accuracy
    assert under.priors.name == "uniform" and under.priors.used["fear"] == 0.25
    assert under.priors.training["neutral"] == pytest.approx(0.6)
    assert "under the prior uniform" in answer(under)[0].text


def test_another_appearance_is_refused_in_a_sentence(valid):
    strange = drawn(TRAINING, 2, noise=np.array([0.0, 2.0, -2.0, 1.0]))
    with pytest.raises(ValueError, match=r"from these 400 items: .* \(label-shift test, p = 0\.0"):
        read(strange, valid, "estimated")
    with pytest.raises(ValueError, match="needs at least 50 items, got 7"):
        class_priors.choose(
            "estimated", TRAINING, CLASSES, unlabelled=strange.log_probs[:, :7], valid=valid
        )
    bare = dataclasses.replace(valid, votes=None)
    with pytest.raises(ValueError, match="beside clean valid items with votes"):
        class_priors.choose(
            "estimated", TRAINING, CLASSES, unlabelled=strange.log_probs, valid=bare
        )


def test_everything_follows_the_adjusted_probabilities(valid):
    """Scores, thresholds and concentrations are those of predictions that were made so."""
    test = drawn(TRAINING, 2)
    uniform = priors.Adjustment.of("uniform", TRAINING, np.ones(4))
    made = {
        p.condition: dataclasses.replace(p, log_probs=np.asarray(uniform.apply(p.log_probs)))
        for p in (valid, test)
    }
    expected = Conditions.of(made, resamples=5)
    got = read(test, valid, "uniform")
    for ours, theirs in ((got.test, expected.test), (got.valid, expected.valid)):
        assert set(ours.scores) == set(theirs.scores)
        for name in ours.scores:
            np.testing.assert_allclose(ours.scores[name], theirs.scores[name], atol=2e-4)
    chosen = evaluate(got).thresholds.routers["uar"]
    alone, fit = thresholds_on(
        {"valid": valid}, got.adjustment, false_rejection=0.05, defer_share=1 / 3
    )
    assert alone.routers["uar"].rule == chosen.rule
    assert fit.fitted == got.concentration.fitted
    other, _ = thresholds_on({"valid": valid}, None, false_rejection=0.05, defer_share=1 / 3)
    assert other.routers["uar"].rule != chosen.rule


def test_a_prior_is_read_from_a_file_or_refused(tmp_path):
    shares = {"Sad": 1, "neutral": 4, "fear": 2, "happy": 3}
    expected = (0.4, 0.3, 0.1, 0.2)
    files = {
        "a.json": json.dumps(shares),
        "b.json": json.dumps([4, 3, 1, 2]),
        "c.csv": "class,share\nsad,0.1\nneutral,.4\nfear,.2\nhappy,.3\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        got = class_priors.read_prior(tmp_path / name, CLASSES)
        assert got == pytest.approx(expected)
    for text, message in (
        ('{"joy": 1}', "'joy' is no class; the classes are neutral, happy"),
        ('{"sad": 1, "neutral": 4, "happy": 3}', "no share of 'fear'"),
        ("[1, 2]", "no prior: zip"),
        ("[1, 2, 3, 0]", "share of 'fear' is 0; it must be above 0"),
        ("[1, 2, 3, NaN]", "share of 'fear' is nan"),
        ('"uniform"', "expected shares by class"),
    ):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(ValueError, match=message):
            class_priors.read_prior(tmp_path / "bad.json", CLASSES)
    with pytest.raises(FileNotFoundError, match="no prior 'unifrom': expected training, uniform"):
        class_priors.require_prior("unifrom", CLASSES)


def test_scores_from_elsewhere_are_read_under_a_prior(tmp_path, valid):
    folder = tmp_path / "scores"
    folder.mkdir()
    named = {"classes": CLASSES}
    dataclasses.replace(drawn(TRAINING, 2), **named).save(folder / "test.npz")
    with pytest.raises(ValueError, match="--prior uniform needs the prior that these predictions"):
        workflow.evaluate_predictions([folder], tmp_path / "out", prior="uniform", resamples=5)
    assert not (tmp_path / "out").exists()
    dataclasses.replace(valid, **named).save(folder / "valid.npz")
    done = workflow.evaluate_predictions([folder], tmp_path / "out", prior="uniform", resamples=5)
    assert done.evaluation.priors.training["neutral"] == pytest.approx(0.6, abs=0.06)
    basis = read_thresholds(tmp_path / "out").basis
    assert basis.adjustment.name == "uniform" and basis.adjustment.prior == (0.25,) * 4
    report = done.files[0].read_text()
    assert "is read under the prior uniform" in report and "balanced accuracy" in report
    stored = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert set(stored["quality"]["recall"]) == set(CLASSES)
    assert stored["quality"]["balanced_accuracy"]["low"] < 1
    assert stored["priors"]["name"] == "uniform"
