"""Sentences turn with the numbers: good news, bad news, and news that is no news."""

import dataclasses

import pytest

from ferjax.evaluation.intervals import Interval
from ferjax.evaluation.results import ConcentrationFit
from ferjax.report import conclusions


def replaced(value, path, new):
    """A copy of nested dataclasses and mappings with one value changed."""
    if not path:
        return new
    first, *rest = path
    if isinstance(value, dict):
        return {**value, first: replaced(value[first], rest, new)}
    inner = replaced(getattr(value, first), rest, new)
    return dataclasses.replace(value, **{first: inner})


def said(evaluation, *changes):
    """Tone by the text of each conclusion, after ``changes``: (path, value)."""
    for *path, value in changes:
        evaluation = replaced(evaluation, path, value)
    return {c.text: c.tone for c in conclusions.conclude(evaluation)}


def tone_of(found, words):
    matching = [tone for text, tone in found.items() if words in text]
    assert matching, (words, found)
    return matching[0]


def around(value, spread=0.02):
    return Interval(value, value - spread, value + spread)


@pytest.mark.parametrize(
    "rho, words, tone",
    [
        (around(0.62), "strongly follows human disagreement", "good"),
        (around(0.35), "moderately follows", "good"),
        (around(0.12), "weakly follows", "note"),
        (around(0.01), "does not demonstrably follow", "bad"),
        (Interval.undefined(), "cannot be said", "bad"),
    ],
)
def test_disagreement(evaluation, rho, words, tone):
    path = ("disagreement", "scores", "aleatoric", "spearman")
    assert tone_of(said(evaluation, (*path, rho)), words) == tone


@pytest.mark.parametrize(
    "area, words, tone",
    [
        (around(0.85), "Epistemic uncertainty clearly tells corrupted", "good"),
        (around(0.56), "barely tells", "note"),
        (around(0.51), "does not tell corrupted", "bad"),
        (around(0.4), "is lower on corrupted", "bad"),
    ],
)
def test_shift(evaluation, area, words, tone):
    assert tone_of(said(evaluation, ("shift", "curve", "epistemic", 5, area)), words) == tone


@pytest.mark.parametrize(
    "gap, words, tone",
    [
        (around(0.2), "Aleatoric follows disagreement better than epistemic: ρ = ", "good"),
        (around(-0.2), "Epistemic follows disagreement better than aleatoric", "bad"),
        (around(0.01), "", None),
        (around(0.019, 0.001), "", None),
    ],
)
def test_the_better_signal_is_named_and_a_tie_is_not_worth_a_word(evaluation, gap, words, tone):
    path = ("disagreement", "scores", "epistemic", "aleatoric_minus")
    found = said(evaluation, (*path, gap))
    if tone is None:
        better = [text for text in found if "follows disagreement better" in text]
        assert not [text for text in better if "pistemic" in text]
    else:
        assert tone_of(found, words) == tone


def test_one_signal_with_two_names_is_called_so(evaluation):
    path = ("disagreement", "rank_correlation")
    words = "hardly separate signals"
    assert tone_of(said(evaluation, (*path, around(0.8))), words) == "note"
    assert not [text for text in said(evaluation, (*path, around(0.2))) if words in text]


def _shift_areas(evaluation, **areas):
    """Changes that give scores these areas at severity 5, each known to a thousandth."""
    ours = areas["epistemic"]
    for name in evaluation.shift.curve:
        yield ("shift", "curve", name, 5, around(areas.get(name, ours - 0.2), 0.001))
    for name in evaluation.shift.epistemic_minus:
        gap = around(ours - areas.get(name, ours - 0.2), 0.001)
        yield ("shift", "epistemic_minus", name, 5, gap)


def test_of_better_scores_the_winner_and_its_number_come_first(evaluation):
    found = said(evaluation, *_shift_areas(evaluation, epistemic=0.6, total=0.96, max_prob=0.7))
    words = "Total entropy sees shift better than epistemic: AUROC 0.96 against 0.60; so do"
    assert tone_of(found, words) == "bad"


def test_1_000_against_0_997_is_no_caution(evaluation):
    found = said(evaluation, *_shift_areas(evaluation, epistemic=0.997, total=1.0, aleatoric=1.0))
    assert not [text for text in found if "sees shift better" in text]


@pytest.mark.parametrize(
    "accuracy, words",
    [
        (around(0.262), "The ensemble is right on"),
        (around(0.22), "no better than that"),
        (around(0.20), "worse than that"),
        (around(0.15, 0.001), "worse than that"),
    ],
)
def test_a_model_below_the_majority_class_is_called_worse(evaluation, accuracy, words):
    """First of all, with the winner's number before its own."""
    path = ("quality", "majority_class", 0.213)
    found = said(evaluation, path, ("quality", "accuracy", accuracy))
    assert tone_of(found, words) == ("note" if "right on" in words else "bad")
    first = next(iter(found))
    changed = replaced(replaced(evaluation, path[:2], 0.213), ("quality", "accuracy"), accuracy)
    assert (conclusions.caution(changed) == first) == ("that" in words)
    if "that" in words:
        assert first.startswith("Always saying the most frequent class is right on 21.3 %")


ROW = ("pools", "base", "epistemic")


@pytest.mark.parametrize(
    "area, words, tone",
    [
        (around(0.7), "a random router keeps 20 %", "good"),
        (around(0.5), "no better than chance", "note"),
        (around(0.4), "worse than chance", "bad"),
    ],
)
def test_routing(evaluation, area, words, tone):
    kept = (*ROW, "retention", "0.8", around(0.4))
    assert tone_of(said(evaluation, (*ROW, "auc", area), kept), words) == tone


def test_no_praise_where_a_random_router_keeps_more(evaluation):
    found = said(
        evaluation,
        (*ROW, "auc", around(0.63)),
        (*ROW, "retention", "0.8", around(0.16)),
    )
    assert tone_of(found, "better than chance on the whole, but not at that threshold") == "note"


@pytest.mark.parametrize("rejected, tone", [(0.03, "good"), (0.3, "bad")])
def test_a_broken_promise_is_bad_news(evaluation, rejected, tone):
    found = said(evaluation, ("decisions", "test", "shares", "reject", rejected))
    assert tone_of(found, "promised to turn away") == tone


def test_one_member_without_a_concentration_sees_no_shift(evaluation):
    none = ("concentration", ConcentrationFit("none"))
    assert tone_of(said(evaluation, ("members", 1), none), "One member has no epistemic") == "bad"
    knowing = said(evaluation, ("members", 1))
    assert not any("One member has no epistemic" in text for text in knowing)
