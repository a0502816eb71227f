"""Class priors of an evaluation: chosen, estimated or refused, and followed by everything."""

import contextlib
import dataclasses
import json

import numpy as np
import pytest
import scipy.special

from ferjax import metrics, priors, workflow
from ferjax.evaluation import class_priors, prior_estimate
from ferjax.evaluation.conditions import Conditions
from ferjax.evaluation.prior_comparison import prior_comparison
from ferjax.evaluation.thresholds import choose_thresholds
from ferjax.evaluation.valid_thresholds import thresholds_on
from ferjax.predictions import Predictions
from ferjax.report.answer import answer
from ferjax.report.sections.quality import prior_words, quality
from ferjax.serving.program import read_thresholds

CLASSES = ("neutral", "happy", "sad", "fear")
TRAINING = np.array([0.6, 0.25, 0.1, 0.05])
ITEMS = 1500
MEMBERS = 3
RESAMPLES = 50


def drawn(prior, seed, noise=0.0, items=ITEMS, **about):
    """Members that know the classes' densities and the training prior, apart from some noise."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(4, items, p=prior)
    x = 1.6 * np.eye(4)[labels] + rng.normal(size=(items, 4)) + noise
    scores = 1.6 * x + np.log(TRAINING) + 0.3 * rng.normal(size=(MEMBERS, items, 4))
    log_probs = scipy.special.log_softmax(scores, -1).astype(np.float32)
    ids = 10_000 * seed + np.arange(items)
    return Predictions(log_probs, ids, 10 * np.eye(4, dtype=np.int64)[labels], **about)


@pytest.fixture(scope="module")
def valid():
    return drawn(TRAINING, 1, items=400, condition="valid", split="valid")


def chosen(test, valid, choice):
    unlabelled = dataclasses.replace(test, votes=None).log_probs
    return class_priors.choose(
        choice, TRAINING, CLASSES, unlabelled=unlabelled, valid=valid, seed=0
    )


def right(test, adjustment):
    """Accuracy of the ensemble's mean."""
    log_probs = class_priors.adjusted(test, adjustment).log_probs
    return (np.exp(log_probs).mean(0).argmax(-1) == test.votes.argmax(-1)).mean()


@pytest.mark.parametrize(
    "shares, gained",
    [((0.3, 0.3, 0.2, 0.2), 0.005), ((0.1, 0.2, 0.35, 0.35), 0.1), ((0.05, 0.05, 0.2, 0.7), 0.2)],
)
def test_an_estimated_prior_regains_accuracy_under_label_shift(valid, shares, gained):
    test = drawn(shares, 2)
    found = chosen(test, valid, "estimated")
    before = right(test, None)
    known = right(test, priors.Adjustment.of("known", TRAINING, shares))
    after = right(test, found)
    assert after - before > gained and after - before > 0.6 * (known - before)
    assert np.abs(np.array(found.prior) - shares).sum() / 2 < 0.15  # from 20 valid items of "fear"
    assert found.p_value > 0.05


def test_an_estimated_prior_costs_nothing_without_shift(valid):
    lost = []
    for seed in range(3, 7):
        test = drawn(TRAINING, seed)
        # One test in twenty refuses what it should believe.
        with contextlib.suppress(ValueError):
            lost.append(right(test, None) - right(test, chosen(test, valid, "estimated")))
    assert len(lost) >= 3 and np.mean(lost) < 0.002 and max(lost) < 0.01
    assert lost.count(0) >= 2  # nearly always no shift can be shown, and nothing is changed


def test_a_class_that_cannot_be_told_from_others_gets_no_share_from_noise():
    """The answers say nothing of the last class but how frequent it was, and a touch too much."""
    others = np.random.default_rng(0).dirichlet([3, 3, 3], ITEMS)
    said = np.concatenate([0.947 * others, np.full((ITEMS, 1), 0.053)], axis=1)
    prior = np.array([0.95 / 3] * 3 + [0.05])
    few, share = (
        priors.estimate(np.log(said), prior, strength=strength)[3]
        for strength in (10.0, prior_estimate.PRIOR_SHARE * ITEMS)
    )
    assert share < 0.35 < 0.8 < few


def test_balanced_accuracy_rises_by_the_prior_alone(valid):
    test = drawn(TRAINING, 2)
    labels = test.votes.argmax(-1)
    found = {}
    for name in ("training", "sqrt", "uniform"):
        adjustment = class_priors.choose(name, TRAINING, CLASSES)
        mean = np.log(np.exp(class_priors.adjusted(test, adjustment).log_probs).mean(0))
        balanced = float(metrics.balanced_accuracy(mean, labels))
        found[name] = (right(test, adjustment), balanced)
    accuracy, balanced = zip(*found.values())
    assert balanced[0] + 0.03 < balanced[1] < balanced[2] - 0.01
    assert accuracy[0] > accuracy[2] and accuracy[1] > accuracy[0] - 0.03


def test_another_appearance_is_refused_in_a_sentence(valid):
    strange = drawn(TRAINING, 2, noise=np.array([0.0, 2.0, -2.0, 1.0]))
    with pytest.raises(ValueError, match=r"1,500 items: .* \(label-shift test, p = 0\.0"):
        chosen(strange, valid, "estimated")
    with pytest.raises(ValueError, match="needs at least 50 items, got 7"):
        class_priors.choose(
            "estimated", TRAINING, CLASSES, unlabelled=strange.log_probs[:, :7], valid=valid
        )
    bare = dataclasses.replace(valid, votes=None)
    with pytest.raises(ValueError, match="beside clean valid items with votes"):
        class_priors.choose(
            "estimated", TRAINING, CLASSES, unlabelled=strange.log_probs, valid=bare
        )


@pytest.fixture(scope="module")
def uniform(predicted):
    """The shared predictions under the uniform prior, and a training prior that is not."""
    training = np.linspace(1, 8, 8) / 36
    adjustment = priors.Adjustment.of("uniform", training, np.ones(8))
    return Conditions.of(predicted, resamples=RESAMPLES, adjustment=adjustment)


def test_everything_follows_the_adjusted_probabilities(predicted, uniform):
    """Scores, thresholds and concentrations are those of predictions that were made so."""
    adjustment = uniform.adjustment
    made = {
        name: dataclasses.replace(p, log_probs=np.asarray(adjustment.apply(p.log_probs)))
        for name, p in predicted.items()
    }
    expected = Conditions.of(made, resamples=RESAMPLES)
    pairs = zip(
        (uniform.test, uniform.valid, *uniform.shifted),
        (expected.test, expected.valid, *expected.shifted),
        strict=True,
    )
    for ours, theirs in pairs:
        assert set(ours.scores) == set(theirs.scores)
        for name in ours.scores:
            np.testing.assert_allclose(ours.scores[name], theirs.scores[name], atol=2e-3)
    of_valid = {"valid": predicted["valid"]}
    promise = {"false_rejection": 0.05, "defer_share": 1 / 3}
    alone, fit, _ = thresholds_on(of_valid, adjustment, **promise)
    assert alone.routers["uar"].rule == choose_thresholds(uniform.valid).routers["uar"].rule
    assert fit.fitted == uniform.concentration.fitted
    plain, *_ = thresholds_on(of_valid, None, **promise)
    assert plain.routers["uar"].rule != alone.routers["uar"].rule


def test_rows_under_other_priors_are_what_evaluations_under_them_find(
    predicted, uniform, evaluation
):
    trained = priors.Adjustment.of("training", *[uniform.adjustment.training] * 2)
    assert not trained.changes
    before = prior_comparison(Conditions.of(predicted, resamples=RESAMPLES, adjustment=trained))
    after = prior_comparison(uniform)
    assert list(before.rows) == list(after.rows) == ["training", "sqrt", "uniform"]
    for name, row in before.rows.items():
        for figure in ("accuracy", "balanced_accuracy", "nll"):
            ours = dataclasses.astuple(getattr(row, figure))
            theirs = dataclasses.astuple(getattr(after.rows[name], figure))
            assert ours == pytest.approx(theirs, abs=0.01)
    assert before.rows["training"].accuracy == evaluation.quality.accuracy
    assert before.rows["training"].balanced_accuracy == evaluation.quality.balanced_accuracy
    assert after.name == "uniform" and set(after.used.values()) == {0.125}
    assert after.training["class 7"] == pytest.approx(8 / 36)
    told = dataclasses.replace(evaluation, priors=after)
    assert "under the prior uniform" in answer(told)[0].text
    assert "is read under the prior uniform" in prior_words(after)
    assert "read under the training prior" in prior_words(before)
    assert evaluation.priors is None


def test_what_is_taken_for_the_training_prior_is_called_what_it_is(predicted, uniform, evaluation):
    """Of scores from elsewhere nothing is known of training; the votes of valid are not it."""
    taken = class_priors.known_training_prior(predicted, None, uniform.classes)
    assert taken.known_from == "valid"
    for choice in ("training", "uniform"):
        found = class_priors.adjustment_for(predicted, choice, taken, uniform.classes)
        assert found.known_from == "valid"
        assert priors.Adjustment.from_json(found.to_json()) == found
        compared = prior_comparison(dataclasses.replace(uniform, adjustment=found))
        words = prior_words(compared)
        assert "is not known" in words and "the votes of the valid items are taken" in words
        assert "training prior" not in words
        told = dataclasses.replace(evaluation, priors=compared)
        page = quality(told, {}).inner
        assert "training prior" not in page and "votes of valid" in page
    assert "known_from" not in uniform.adjustment.to_json()  # a run's own


def test_a_prior_is_read_from_a_file_or_refused(tmp_path):
    shares = {"Sad": 1, "neutral": 4, "fear": 2, "happy": 3}
    expected = (0.4, 0.3, 0.1, 0.2)
    files = {
        "a.json": json.dumps(shares),
        "b.json": json.dumps([4, 3, 1, 2]),
        "c.csv": "class,share\nsad,0.1\nneutral,.4\nfear,.2\nhappy,.3\n",
        "d.json": json.dumps([4e300, 3e300, 1e300, 2e300]),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        got = class_priors.read_prior(tmp_path / name, CLASSES)
        assert got == pytest.approx(expected)
    for text, message in (
        ('{"joy": 1}', "'joy' is no class; the classes are neutral, happy"),
        ('{"sad": 1, "neutral": 4, "happy": 3}', "no share of 'fear'"),
        ("[1, 2]", "no prior: 2 shares; expected one for each of the 4 classes, neutral, happy"),
        ('{"sad": 1, "neutral": 4, "happy": 3, "fear": 1, " Sad": 2}', "' Sad' is there twice"),
        ('[1, 2, 3, "many"]', "share of 'fear' is no number: 'many'"),
        ("[1, 2, 3, null]", "share of 'fear' is no number: None"),
        (f"[1, 2, 3, {10**400}]", "share of 'fear' is no number: 1000"),
        ("[1, 2, 3, 0]", "share of 'fear' is 0; it must be above 0"),
        ("[1, 2, 3, NaN]", "share of 'fear' is nan"),
        ('"uniform"', "expected shares by class"),
    ):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(ValueError, match=message):
            class_priors.read_prior(tmp_path / "bad.json", CLASSES)
    with pytest.raises(FileNotFoundError, match="no prior 'unifrom': expected training, uniform"):
        class_priors.require_prior("unifrom", CLASSES)


def test_scores_from_elsewhere_are_read_under_a_prior(tmp_path, predicted):
    folder = tmp_path / "scores"
    folder.mkdir()
    out = tmp_path / "out"
    for name in ("test", "gnoise_1", "gnoise_5"):
        predicted[name].save(folder / f"{name}.npz")
    with pytest.raises(ValueError, match="--prior uniform needs the prior that these predictions"):
        workflow.evaluate_predictions([folder], out, prior="uniform", resamples=RESAMPLES)
    assert not out.exists()
    predicted["valid"].save(folder / "valid.npz")
    done = workflow.evaluate_predictions([folder], out, prior="uniform", resamples=RESAMPLES)
    mean = predicted["valid"].votes.mean(0) / 10
    training = done.evaluation.priors.training
    np.testing.assert_allclose(list(training.values()), mean, atol=0.005)
    basis = read_thresholds(out).basis
    assert basis.adjustment.name == "uniform" and set(basis.adjustment.prior) == {0.125}
    assert "is read under the prior uniform" in done.files[0].read_text()
    stored = json.loads((out / "evaluation.json").read_text())
    assert stored["quality"]["recall"]["class 3"]["items"] > 0
    assert stored["quality"]["balanced_accuracy"]["low"] < 1
    assert stored["priors"]["name"] == "uniform"
