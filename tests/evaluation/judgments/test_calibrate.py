"""Calibrators never look better than their truth, whatever they are."""

import json

import numpy as np
import pytest

from ferjax import comparing
from ferjax.evaluation.judgments.calibrate import (
    CHOSEN,
    NONE,
    applied,
    calibrate,
    cross_fitted,
    fitted,
)
from ferjax.recalibration import CALIBRATORS, make_folds
from ferjax.report.judgments import calibration as report

FOLDS = 5


@pytest.fixture(scope="module")
def table(worlds):
    return {kind: calibrate(worlds[kind][3], resamples=100) for kind in ("single", "multi")}


@pytest.fixture(scope="module")
def mapped(worlds):
    """Kind -> judge -> calibrator -> probabilities of texts that it was not fitted on; as above."""
    found = {}
    for kind in ("single", "multi"):
        sides = worlds[kind][3]
        fold = make_folds(sides.ratings.groups, FOLDS, seed=0)
        found[kind] = dict(cross_fitted(sides, tuple(CALIBRATORS), fold))
    return found


def nats(of, probs, several):
    """Cross-entropy of each text, for people's shares or for the truth."""
    loss = -(of * np.log(probs))
    if several:
        loss = loss - (1 - of) * np.log(1 - probs)
    return loss.sum(-1)


@pytest.mark.slow
@pytest.mark.parametrize("name", [NONE, *CALIBRATORS])
@pytest.mark.parametrize("kind", ["single", "multi"])
def test_calibrators_never_look_better_than_their_truth(table, mapped, worlds, kind, name):
    """What is reported of a calibrated judge is, within the noise of the ratings, what it has
    against the distribution that people answer from; and the truth itself is never beaten."""
    _, truth, _, sides = worlds[kind]
    several = kind == "multi"
    for judge, by_name in mapped[kind].items():
        p = by_name[name].astype(np.float64)
        row = table[kind].rows[judge][name]
        seen = nats(sides.people_shares, p, several)
        really = nats(truth, p, several)
        assert row.cross_entropy.value == pytest.approx(seen.mean(), abs=1e-4)
        off = seen - really
        error = off.std(ddof=1) / np.sqrt(len(off))
        assert abs(off.mean()) < 3.5 * error, judge
        known = (really - nats(truth, np.clip(truth, 1e-12, 1 - 1e-12), several)).mean()
        assert known >= 0
        gap = ((p - truth) ** 2).sum(-1).mean()
        assert abs(row.gap.value - gap) < 3.5 * (row.gap.high - row.gap.low) / 3.92, judge
        assert row.gap.high > 0 and row.skill.low < 1


def test_fitted_and_scored_on_the_same_texts_it_would_look_better(worlds):
    """What the test above guards against: many parameters, few texts."""
    _, truth, _, sides = worlds["single"]
    few = sides.take(np.arange(25))
    stored = fitted(few, dict.fromkeys(few.names, "dirichlet"))
    p = applied(stored, few.names, few.shares, few.answers, several=False)
    for own in p.astype(np.float64):
        assert nats(few.people_shares, own, False).mean() < nats(truth[:25], own, False).mean()


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


@pytest.mark.slow
def test_the_file_of_calibrators_gives_the_same_back(table, worlds, tmp_path):
    sides = worlds["multi"][3]
    stored = fitted(sides, dict.fromkeys(sides.names, "shrinkage"))
    found, files = report.write(table["multi"], stored, ["t1"], tmp_path, {"command": "x"})
    page = files[0].read_text().replace("\u00a0", " ")
    assert len(found) == 4 and all(finding.text in page for finding in found)
    judges, items = comparing.read_calibrators(files[-1], sides)
    assert items == {"t1"}
    before = applied(stored, sides.names, sides.shares, sides.answers, several=True)
    after = applied(judges, sides.names, sides.shares, sides.answers, several=True)
    np.testing.assert_allclose(before, after, atol=1e-6)
    files[-1].write_text(json.dumps({"judges": {}, "classes": ["x"], "items": [], "kind": "multi"}))
    with pytest.raises(ValueError, match=r"calibrator\.json: calibrators of multi classes x; her"):
        comparing.read_calibrators(files[-1], sides)
    files[-1].write_text("{")
    with pytest.raises(ValueError, match=r"calibrator\.json: not JSON"):
        comparing.read_calibrators(files[-1], sides)
    files[-1].write_text("{}")
    with pytest.raises(ValueError, match="not written by `ferjax judge calibrate`"):
        comparing.read_calibrators(files[-1], sides)


def test_values_and_unknown_calibrators_are_refused(worlds):
    with pytest.raises(ValueError, match="these ratings are values"):
        calibrate(worlds["ordinal"][3])
    with pytest.raises(ValueError, match="no calibrator 'platt'; there are temperature"):
        calibrate(worlds["single"][3], calibrators=("platt",))
