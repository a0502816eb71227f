"""Findings about judges: the winner and its number first, whoever it is; quiet about ties."""

import dataclasses
import math

import pytest

from ferjax.evaluation.intervals import Interval
from ferjax.evaluation.judgments.calibrate import CHOSEN, NONE, CalibratedRow, Calibration
from ferjax.evaluation.judgments.results import (
    Comparison,
    Difference,
    DimensionRow,
    JudgeRow,
    Panel,
    ReplacementRow,
    Stratum,
)
from ferjax.evaluation.judgments.rows import MEAN, PERSON
from ferjax.report import html
from ferjax.report.judgments import calibration, words, worth
from ferjax.report.judgments.sections import build


def around(value, width=0.1):
    return Interval(value, value - width, value + width)


def judge(skill, people, tokens=None, **more):
    """A judge of some worth."""
    row = {
        "judges": 1,
        "items": 200,
        "answers": 10.0,
        "unparsed": 0.0,
        "gap": around(0.3 * (1 - skill), 0.02),
        "skill": around(skill),
        "people": around(people),
        "score": around(0.5),
        "as_used": around(0.4),
        "split_skill": None,
        "cross_entropy": around(1.0),
        "jsd": around(0.5 - 0.2 * skill, 0.01),
        "jsd_floor": 0.2,
        "kl": around(2.0),
        "entropy_correlation": around(0.4),
        "entropy_if_right": 0.6,
        "tokens": None if tokens is None else 1000.0,
        "per_1000_tokens": tokens,
        "by_source": {},
    }
    return JudgeRow(**{**row, **more})


def comparison(judges, **more):
    mean = dataclasses.replace(judge(0.0, 6.9), answers=math.inf)
    found = {
        "kind": "single",
        "classes": ("a", "b"),
        "panel": Panel(200, 1000, 5, 5, 5, 0, 200, around(0.5), around(0.6)),
        "judges": judges,
        "pools": {},
        "rivals": {MEAN: mean, PERSON: judge(-1.0, 1.0)},
        "differences": (),
        "by_class": {},
        "by_dimension": {},
        "strata": {},
        "jury": None,
        "replacement": {},
        "transparency": None,
        "shift": {},
        "resamples": 100,
        "seed": 0,
        "notes": (),
    }
    return Comparison(**{**found, **more})


def texts(c):
    return [finding.text for finding in words.conclude(c)]


def test_where_all_judges_are_worse_the_mean_is_the_winner():
    c = comparison({"x": judge(-0.5, 4.1), "y": judge(-0.3, 5.2)})
    first = words.conclude(c)[0]
    assert first.tone == "bad"
    assert first.text.startswith(
        "On these 200 texts people's mean distribution, which knows nothing of the text, is worth "
        "6.9 people (6.8 – 7.0), more than any of the 2 judges; the best of them, y, which is "
        "worth 5.2 people (5.1 – 5.3): skill −0.30 (−0.40 – −0.20)"
    )
    assert not any("of the 2 judges: " in text for text in texts(c))
    alone = texts(comparison({"y": judge(-0.3, 5.2)}))[0]
    assert "more than the judge, y, which is worth 5.2 people" in alone


def test_a_winner_stands_before_those_that_are_worse():
    c = comparison({"x": judge(-0.5, 4.1), "y": judge(0.5, 12.0), "z": judge(-0.3, 5.2)})
    first, second = texts(c)[:2]
    assert first.startswith("On these 200 texts the best judge, y, is worth 12 people (12 – 12)")
    assert second.startswith(
        "People's mean distribution, which knows nothing of the text, is worth 6.9 people "
        "(6.8 – 7.0), more than 2 of the 3 judges: x (4.1); z (5.2)."
    )
    assert "not shown to be more than people's" in texts(comparison({"y": judge(0.05, 7.2)}))[0]
    assert list(worth.ranked(c)) == ["y", "z", "x", MEAN, PERSON]


def test_worth_per_tokens_names_the_winner_and_is_quiet_about_ties():
    c = comparison({"x": judge(0.5, 9.0, around(2.0)), "y": judge(0.5, 9.0, around(4.0))})
    (said,) = [text for text in texts(c) if "tokens" in text]
    assert said.startswith("y is worth 4.0 people (3.9 – 4.1) for every 1,000 tokens")
    tied = comparison({"x": judge(0.5, 9.0, around(3.9)), "y": judge(0.5, 9.0, around(4.0))})
    assert not any("tokens" in text for text in texts(tied))
    section = worth.section(c, {}).inner
    assert "people per 1,000 tokens" in section and "tokens a text" in section
    assert "tokens" not in worth.section(comparison({"x": judge(0.5, 9.0)}), {}).inner


def test_plug_in_and_gap_are_told_apart_only_where_the_gaps_differ():
    rows = {"x": judge(0.5, 9.0, jsd=around(0.5)), "y": judge(0.3, 7.0, jsd=around(0.3))}
    apart = Difference("x", "y", around(0.2), around(-0.06, 0.01), around(0.2))
    (said,) = [t for t in texts(comparison(rows, differences=(apart,))) if "would pick" in t]
    assert said.startswith("x has the smallest gap, 0.150 (0.130 – 0.170); plug-in")
    tied = dataclasses.replace(apart, gap=around(-0.06))
    assert not any("would pick" in t for t in texts(comparison(rows, differences=(tied,))))


@pytest.mark.parametrize(
    "rate, said, tone",
    [
        (0.8, "x beats 80 % of 5 raters in the alternative annotator test (ε = 0.1); half", "good"),
        (0.2, "x beats 20 % of 5 raters in the alternative annotator test (ε = 0.1), more", "bad"),
    ],
)
def test_standing_in_begins_with_the_judge_that_beats_most(rate, said, tone):
    rows = {
        "y": ReplacementRow(5, 0.1, 0.0, 0.3, 0.0, 0.3, {}),
        "x": ReplacementRow(5, 0.1, rate, 0.6, 0.8, 0.7, {}),
    }
    c = comparison({"x": judge(0.5, 9.0), "y": judge(0.3, 7.0)}, replacement=rows)
    (found,) = [f for f in words.conclude(c) if "annotator test" in f.text]
    assert found.text.startswith(said) and found.tone == tone


def calibrated(nats, people, better, rival):
    return CalibratedRow(
        cross_entropy=around(nats),
        score=around(0.5),
        gap=around(0.1),
        skill=around(0.5),
        people=around(people),
        better_than_none=around(better),
        better_than_marginal=around(rival),
        jsd=around(0.3),
    )


@pytest.mark.parametrize(
    "best, better, rival, said, tone",
    [
        ("isotonic", 0.4, 0.3, "Isotonic makes j worth 5.0 people (4.9 – 5.1) instead of", "good"),
        ("isotonic", 0.4, 0.05, "Isotonic makes j worth 5.0 people (4.9 – 5.1) instead of", "bad"),
        ("isotonic", 0.05, 0.3, "j: the best calibrator, isotonic, is not shown to make", "note"),
        (NONE, -0.4, 0.3, "j as it is, worth 2.0 people (1.9 – 2.1)", "note"),
        ("marginal", 0.4, 0.0, "What people choose on the whole, worth 3.0 people", "bad"),
    ],
)
def test_calibration_begins_with_what_is_best(best, better, rival, said, tone):
    rows = {
        NONE: calibrated(1.4, 2.0, 0.0, -0.1),
        "marginal": calibrated(1.3, 3.0, 0.1, 0.0),
        "isotonic": calibrated(1.0, 5.0, better, rival),
        CHOSEN: calibrated(1.0, 5.0, better, rival),
    }
    c = Calibration("single", ("a",), 10, 5, {"j": rows}, {"j": best}, 100, 0, ())
    (found,) = calibration.conclude(c)
    assert found.text.startswith(said) and found.tone == tone


def test_strata_and_dimensions_are_tables_of_judges_the_best_first():
    names = ("x", "y")
    of = {name: around(0.5) for name in names}
    stratum = Stratum(120, of, of)
    wide = {**of, "x": Interval(2.0, 1.0, 9.0)}
    dimension = DimensionRow(
        around(0.7), around(0.8), 0.3, around(0.9), of, of, of, of, of, wide, of
    )
    judges = {"x": judge(0.3, 5.0), "y": judge(0.5, math.inf)}
    c = comparison(
        judges, strata={"two raters agree": stratum}, by_dimension={"valence": dimension}
    )
    sections = {s.anchor: s.inner for s in build(c, {}, {})}
    strata = sections["strata"]
    assert "two raters agree (120 texts)" in strata
    assert strata.index("<td>y</td>") < strata.index("<td>x</td>") and MEAN not in strata
    assert "2.0<small>1.0 – 9.0</small>" in sections["dimensions"]
    assert "CRPS" in sections["judges"] and "&gt; " in sections["judges"]
    assert any(text.startswith("valence: x correlates best with the panel's") for text in texts(c))


def test_cells_of_people_have_few_decimals_and_an_open_end():
    assert html.cell(worth.people(Interval(19.29, 8.31, math.inf))) == (
        "19.3<small>8.3 – ∞</small>"
    )
    assert worth.people(Interval(math.inf, 40.2, math.inf)) == "> 40"
    assert html.cell(worth.people(Interval(0.581, 0.49, 0.69))) == "0.58<small>0.49 – 0.69</small>"
