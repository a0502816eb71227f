"""Methods side by side: paired on the same items, in any order of them; worth in people."""

import dataclasses
import io
import json

import numpy as np
import pytest
import scipy.special
import scipy.stats
from rich.console import Console

from ferjax.evaluation import vote_quality
from ferjax.evaluation.comparison import FIGURES, Cost, compare
from ferjax.evaluation.conditions import People
from ferjax.report import comparison as report

RESAMPLES = 50
CLASSES = tuple("abcdefgh")


@pytest.fixture(scope="module")
def methods(predicted):
    """The ensemble, and one that is sharper than it should be, with its items and classes in
    another order and its ids, of two digits and three, as texts."""
    order = np.random.default_rng(1).permutation(150)
    given = {
        name: dataclasses.replace(
            p, classes=CLASSES, ids=p.ids - 100 if p.split == "test" else p.ids
        )
        for name, p in predicted.items()
    }

    def sharper(p):
        log_probs = scipy.special.log_softmax(3 * p.log_probs, -1).astype(np.float32)
        p = dataclasses.replace(p, log_probs=log_probs).with_classes(CLASSES[::-1])
        if p.split != "test":
            return p
        return dataclasses.replace(
            p,
            log_probs=p.log_probs[:, order],
            ids=p.ids[order].astype(str),
            votes=p.votes[order],
            truth=p.truth[order],
        )

    return {"votes": given, "sharp": {name: sharper(p) for name, p in given.items()}}


@pytest.fixture(scope="module")
def comparison(methods):
    return compare(methods, costs={"votes": Cost(10, 2e15, 3e9)}, resamples=RESAMPLES)


def test_rows_are_the_figures_of_each_evaluation(comparison, evaluation):
    assert list(comparison.rows) == ["votes", "sharp", "votes, one member", "votes, T (votes)"]
    of = comparison.rows["votes"].figures
    assert set(of) == set(FIGURES)
    for name in ("accuracy", "nll", "jensen_shannon", "ece"):
        assert of[name].value == pytest.approx(getattr(evaluation.quality, name).value, abs=1e-5)
        assert of[name].low == pytest.approx(getattr(evaluation.quality, name).low, abs=1e-5)
    row = evaluation.disagreement.scores["aleatoric"]
    assert of["spearman"].value == pytest.approx(row.spearman.value, abs=1e-5)
    assert of["share_of_ceiling"].high == pytest.approx(row.share_of_ceiling.high, abs=1e-5)
    area = evaluation.shift.at_worst("epistemic")
    assert (of["shift_auroc"].value, of["shift_auroc"].low) == pytest.approx(
        (area.value, area.low), abs=1e-5
    )
    routing = evaluation.matched["epistemic"]
    assert of["routing_area"].value == pytest.approx(routing.auc.value, abs=1e-5)
    assert of["kept"].value == pytest.approx(routing.retention["0.8"].value, abs=1e-5)
    assert comparison.rows["votes"].cost.parameters == 10
    assert comparison.rows["sharp"].cost is None
    assert (comparison.severity, comparison.corruptions) == (5, ("gnoise",))


def test_differences_are_paired_whatever_the_order_of_items(comparison):
    one, other = comparison.rows["votes"], comparison.rows["sharp"]
    assert one.minus == {}
    # Sharpening a mixture's members changes few labels: the same items are right.
    minus = other.minus["accuracy"]
    assert minus.value == pytest.approx(
        other.figures["accuracy"].value - one.figures["accuracy"].value, abs=1e-6
    )
    width = one.figures["accuracy"].high - one.figures["accuracy"].low
    assert minus.high - minus.low < 0.7 * width
    assert other.minus["nll"].low > 0
    assert "worse in NLL to votes" in report.conclusions(comparison)[0]


def test_a_temperature_and_one_member_are_methods(comparison, predicted):
    scaled = comparison.rows["votes, T (votes)"]
    assert scaled.minus["nll"].value <= 1e-3
    assert not scaled.figures["shift_auroc"].defined
    one = comparison.rows["votes, one member"]
    assert one.members == 1
    p = np.exp(predicted["test"].log_probs[0].astype(np.float64))
    right = p.argmax(-1) == predicted["test"].votes.argmax(-1)
    assert one.figures["accuracy"].value == pytest.approx(right.mean(), abs=1e-6)


def test_another_baseline_turns_the_signs(methods, comparison):
    turned = compare(methods, baseline="sharp", resamples=RESAMPLES)
    there = comparison.rows["sharp"].minus["nll"]
    back = turned.rows["votes"].minus["nll"]
    assert (back.value, back.low, back.high) == pytest.approx(
        (-there.value, -there.high, -there.low), abs=0.02
    )


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda m: {"votes": m["votes"]}, "at least two methods, got 1"),
        (
            lambda m: {**m, "sharp": {"test": _rows(m["sharp"]["test"], slice(10, None))}},
            "votes and sharp were not read on the same test items: 150 and 140, 10 of them in one",
        ),
        (
            lambda m: {
                **m,
                "sharp": {
                    "test": dataclasses.replace(
                        m["sharp"]["test"], votes=m["sharp"]["test"].votes[:, ::-1]
                    )
                },
            },
            "votes and sharp bring different votes",
        ),
        (lambda m: {**m, "sharp": {"valid": m["sharp"]["valid"]}}, "sharp has no clean test items"),
        (
            lambda m: {**m, "sharp": {"test": _named(m["sharp"]["test"], (*CLASSES[1:], "z"))}},
            "method sharp, condition test: its classes are b, c, .*, z, expected a, b",
        ),
        (
            lambda m: {**m, "sharp": {"test": _of_two_classes(m["sharp"]["test"])}},
            "methods votes and sharp tell 8 and 2 classes apart",
        ),
    ],
)
def test_methods_that_do_not_fit_are_refused(methods, change, message):
    with pytest.raises(ValueError, match=message):
        compare(change(methods), resamples=2)


def _rows(p, rows):
    return dataclasses.replace(
        p, log_probs=p.log_probs[:, rows], ids=p.ids[rows], votes=p.votes[rows], truth=None
    )


def _named(p, classes):
    return dataclasses.replace(p, classes=classes)


def _of_two_classes(p):
    half = np.full((*p.log_probs.shape[:2], 2), np.log(0.5))
    return dataclasses.replace(p, log_probs=half, classes=None, votes=p.votes[:, :2], truth=None)


def test_passes_of_a_member_are_one_member(predicted):
    """Every member asked twice, as by dropout, is an ensemble of as many members."""
    test = _rows(predicted["test"], slice(40))  # too few for concentrations to be fitted
    twice = dataclasses.replace(test, log_probs=test.log_probs.repeat(2, axis=0), passes=2)
    found = compare({"twice": {"test": twice}, "once": {"test": test}}, resamples=2)
    assert {name: row.members for name, row in found.rows.items()} == {
        "twice": 3,
        "once": 3,
        "twice, one member": 1,
        "twice, T (votes)": 3,
    }
    p = np.exp(test.log_probs[0].astype(np.float64))
    right = p.argmax(-1) == test.votes.argmax(-1)
    one = found.rows["twice, one member"].figures["accuracy"]
    assert one.value == pytest.approx(right.mean(), abs=1e-6)


def test_an_unknown_baseline_is_refused(methods):
    with pytest.raises(ValueError, match="no method 'other' to compare with; there are votes"):
        compare(methods, baseline="other", resamples=2)


def test_the_report_of_a_comparison(comparison, tmp_path):
    files = report.write(comparison, tmp_path)
    assert [file.name for file in files] == [
        "comparison.html",
        "comparison.json",
        "comparison.csv",
    ]
    page = files[0].read_text()
    assert "Differences from votes" in page and "worth so many people" in page
    stored = json.loads(files[1].read_text())
    assert stored["rows"]["sharp"]["minus"]["nll"]["low"] > 0
    assert "rows/sharp/figures/nll" in files[2].read_text()


def test_worth_in_people_is_found_where_it_is_known():
    """A mean of k other people, as a prediction, is worth k people; the truth all of them."""
    rng = np.random.default_rng(0)
    items = 20_000
    truth = rng.dirichlet(np.full(4, 0.7), items)
    votes = rng.multinomial(rng.integers(1, 11, items), truth)
    people = People.of(votes)
    weights = np.ones((2, items), np.float32)
    for k in (1, 5, 20):
        others = rng.multinomial(k, truth) / k
        with np.errstate(divide="ignore"):
            log_probs = np.log(others).astype(np.float32)
        gap, person = vote_quality.squared_gaps(log_probs, votes)
        assert np.isnan(gap).mean() == pytest.approx((votes.sum(1) < 2).mean())
        assert np.nanmean(person) / np.nanmean(gap) == pytest.approx(k, rel=0.12)
    found = vote_quality.quality_samples(np.log(truth), people, weights)
    assert found["people"].samples[0] > 100
    assert found["nll"].samples[0] == pytest.approx(
        -(votes / votes.sum(1, keepdims=True) * np.log(truth)).sum(1).mean(), rel=1e-4
    )


def test_single_votes_are_worth_nothing_known():
    votes = np.eye(4, dtype=int)[[0, 1, 2, 3]]
    found = vote_quality.quality_samples(
        np.log(np.full((4, 4), 0.25)), People.of(votes), np.ones((2, 4), np.float32)
    )
    assert np.isnan(found["people"].samples).all()


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_figure_is_cut_in_a_terminal(comparison, width):
    text = io.StringIO()
    report.show(comparison, Console(file=text, width=width))
    shown = text.getvalue()
    assert "…" not in shown
    for name, row in comparison.rows.items():
        assert f"{row.figures['nll'].value:.3f}" in shown, name
