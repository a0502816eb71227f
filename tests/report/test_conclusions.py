"""Sentences turn with the numbers: good news, bad news, and news that is no news."""

import copy

import pytest

from ferjax.report import conclusions, write


@pytest.fixture(scope="module")
def tables(predicted, tmp_path_factory):
    return write.evaluate(
        predicted,
        tmp_path_factory.mktemp("findings"),
        resamples=20,
        seed=0,
        false_rejection=0.05,
        defer_share=1 / 3,
    )


def said(tables, *changes):
    """Tone by the first words of each finding, after ``changes``: (path of keys, value)."""
    changed = copy.deepcopy(tables)
    for *path, last, value in changes:
        part = changed
        for key in path:
            part = part[key]
        part[last] = value
    return {finding.text: finding.tone for finding in conclusions.find(changed)}


def tone_of(found, words):
    matching = [tone for text, tone in found.items() if words in text]
    assert matching, (words, found)
    return matching[0]


def interval(value, spread=0.02):
    return {"value": value, "low": value - spread, "high": value + spread}


@pytest.mark.parametrize(
    "rho, words, tone",
    [
        (interval(0.62), "strongly follows human disagreement", "good"),
        (interval(0.35), "moderately follows", "good"),
        (interval(0.12), "weakly follows", "note"),
        (interval(0.01), "does not demonstrably follow", "bad"),
        (interval(float("nan")), "cannot be said", "bad"),
    ],
)
def test_disagreement(tables, rho, words, tone):
    assert tone_of(said(tables, ("v1", "scores", "aleatoric", "spearman", rho)), words) == tone


@pytest.mark.parametrize(
    "area, words, tone",
    [
        (interval(0.85), "Epistemic uncertainty clearly tells corrupted", "good"),
        (interval(0.56), "barely tells", "note"),
        (interval(0.51), "does not tell corrupted", "bad"),
        (interval(0.4), "is lower on corrupted", "bad"),
    ],
)
def test_shift(tables, area, words, tone):
    assert tone_of(said(tables, ("cross", "epistemic", "shift", area)), words) == tone


@pytest.mark.parametrize(
    "gap, words, tone",
    [
        (interval(0.2), "Aleatoric follows disagreement better", "good"),
        (interval(0.04), "almost as well as aleatoric", "bad"),
        (interval(0.01), "almost as well as aleatoric", "bad"),
        (interval(-0.2), "Epistemic ranks human disagreement better", "bad"),
    ],
)
def test_one_signal_with_two_names_is_called_so(tables, gap, words, tone):
    assert (
        tone_of(said(tables, ("v1", "scores", "epistemic", "aleatoric_minus", gap)), words) == tone
    )


@pytest.mark.parametrize(
    "area, words, tone",
    [
        (interval(0.7), "a random router keeps 20 %", "good"),
        (interval(0.5), "no better than chance", "note"),
        (interval(0.4), "worse than chance", "bad"),
    ],
)
def test_routing(tables, area, words, tone):
    kept = ("matched", "epistemic", "retention", "0.8", interval(0.4))
    assert tone_of(said(tables, ("matched", "epistemic", "auc", area), kept), words) == tone


def test_no_praise_where_a_random_router_keeps_more(tables):
    found = said(
        tables,
        ("matched", "epistemic", "auc", interval(0.63)),
        ("matched", "epistemic", "retention", "0.8", interval(0.16)),
    )
    assert tone_of(found, "better than chance on the whole, but not at that threshold") == "note"


def test_a_broken_promise_is_bad_news(tables):
    assert (
        tone_of(said(tables, ("decisions", "test", "reject", 0.03)), "promised to turn away")
        == "good"
    )
    assert (
        tone_of(said(tables, ("decisions", "test", "reject", 0.3)), "promised to turn away")
        == "bad"
    )


def test_one_member_sees_no_shift(tables):
    assert tone_of(said(tables, ("members", 1)), "One member has no epistemic") == "bad"
