"""Calibrators never look better than their truth, and routing keeps its promise."""

import dataclasses
import json

import numpy as np
import pytest

from ferjax import comparing
from ferjax.evaluation.judgments.calibrate import CHOSEN, NONE, applied, calibrate, fitted
from ferjax.evaluation.judgments.routing import ACTIONS
from ferjax.evaluation.judgments.sides import align
from ferjax.report.judgments import calibration as report

NAMES = ("temperature", "shrinkage", "isotonic")


@pytest.fixture(scope="module")
def table(worlds):
    return {
        kind: calibrate(worlds[kind][3], calibrators=NAMES, resamples=100)
        for kind in ("single", "multi")
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["single", "multi"])
def test_calibrators_never_look_better_than_their_truth(table, worlds, kind):
    """The cross-fitted gap is what the calibrated probabilities of texts that were not seen have:
    never less than that of the truth, and not below what the map really has."""
    _, truth, _, sides = worlds[kind]
    for judge, rows in table[kind].rows.items():
        for name, row in rows.items():
            assert row.gap.high > 0, (judge, name)
            assert row.skill.low < 1, (judge, name)
    stored = fitted(sides, dict.fromkeys(sides.names, "shrinkage"))
    p = applied(stored, sides.names, sides.shares, sides.answers, several=kind == "multi")
    for place, judge in enumerate(sides.names):
        really = ((p[place] - truth) ** 2).sum(-1).mean()
        row = table[kind].rows[judge]["shrinkage"].gap
        assert row.value > really - 2.5 * (row.high - row.low) / 4, judge


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["single", "multi"])
def test_the_over_confident_judge_gains_and_the_constant_does_not(table, kind):
    rows = table[kind].rows["sharp, t 1"]
    assert rows[CHOSEN].better_than_none.low > 0
    assert rows[CHOSEN].better_than_marginal.low > 0
    assert rows["marginal"].better_than_marginal.value == 0
    assert rows[NONE].better_than_none.value == 0
    constant = table[kind].rows["mean, t 1"]
    assert constant[CHOSEN].better_than_marginal.high < 0.02
    assert table[kind].best["mean, t 1"] in ("marginal", "shrinkage", "isotonic", "temperature")


@pytest.mark.slow
def test_the_file_of_calibrators_gives_the_same_back(table, worlds, tmp_path):
    sides = worlds["multi"][3]
    stored = fitted(sides, table["multi"].best)
    found, files = report.write(table["multi"], stored, ["t1"], tmp_path, {"command": "x"})
    assert len(found) == 4 and "cross-fitted" in files[0].read_text() + found[0].text
    judges, items = comparing.read_calibrators(files[-1], sides)
    assert items == {"t1"}
    before = applied(stored, sides.names, sides.shares, sides.answers, several=True)
    after = applied(judges, sides.names, sides.shares, sides.answers, several=True)
    np.testing.assert_allclose(before, after, atol=1e-6)
    files[-1].write_text(json.dumps({"judges": {}, "classes": ["x"], "items": []}))
    with pytest.raises(ValueError, match=r"calibrator\.json: calibrators of None classes x; here"):
        comparing.read_calibrators(files[-1], sides)
    files[-1].write_text("{")
    with pytest.raises(ValueError, match="not written by `ferjax judge calibrate`"):
        comparing.read_calibrators(files[-1], sides)


def test_values_and_unknown_calibrators_are_refused(worlds):
    with pytest.raises(ValueError, match="these ratings are values"):
        calibrate(worlds["ordinal"][3])
    with pytest.raises(ValueError, match="no calibrator 'platt'; there are temperature"):
        calibrate(worlds["single"][3], calibrators=("platt",))


@pytest.mark.slow
def test_routing_keeps_its_promise_on_texts_that_nobody_rated(worlds):
    """A third of the texts is rated; the true error among accepted others is below ε, shares hold
    the truth, and models that disagree are asked about."""
    ratings, truth, judgments, _ = worlds["single"]
    few = dataclasses.replace(ratings, **_without(ratings, 120))
    files = {"judges": judgments}
    whole = align(comparing.with_unrated(few, files), files, rated_only=False)
    assert len(whole.ratings.ids) == 240 and (whole.ratings.raters_of > 0).sum() == 120
    done = comparing.route_texts(whole, max_error=0.6, false_asks=0.1, seed=1)
    assert sum(done.decided.actions.values()) == 120
    order = [int(name[1:]) for name in done.ids]
    label = done.signals.probs.argmax(-1)
    wrong = 1 - truth[order, label]
    accepted = done.actions == ACTIONS.index("accept")
    assert accepted.any()
    assert wrong[accepted].mean() < 0.6
    for c, share in enumerate(done.shares.values()):
        assert share.low - 0.02 < truth[:, c].mean() < share.high + 0.02
    lines = comparing.routed_lines(done, ratings.classes)
    assert len(lines) == 240 and {"id", "action", "label", "probs", "why"} <= set(lines[0])
    stored = {name: {"calibrator": "none", "parameters": {}} for name in whole.names}
    with pytest.raises(ValueError, match="0 rated texts are left that the calibrators were not"):
        comparing.route_texts(whole, calibrators=stored, fitted_on=set(few.ids.tolist()))
    with pytest.raises(ValueError, match="no calibrator for judge"):
        comparing.route_texts(whole, calibrators={"x": {}}, fitted_on=set())


def _without(ratings, rated):
    """The fields of ratings of the first items only."""
    rows = ratings.item < rated
    kept = {"item": ratings.item[rows], "chosen": ratings.chosen[rows]}
    kept |= {"rater": ratings.rater[rows], "ids": ratings.ids[:rated]}
    return kept | {"unclear": ratings.unclear[:rated], "texts": ratings.texts[:rated]}
