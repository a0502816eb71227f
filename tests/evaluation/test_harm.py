"""Whether rejection follows harm: harmful conditions, excess rejection, missed harm, the area."""

import dataclasses

import numpy as np
import pytest
import sklearn.metrics

from ferjax import routing
from ferjax.evaluation import harm
from ferjax.evaluation.conditions import Conditions
from ferjax.evaluation.routing_results import RouterThresholds, Thresholds
from ferjax.report.sections.harm import harm as section

RESAMPLES = 50


@pytest.fixture(scope="module")
def shifted(predicted):
    """The shared predictions, and the test items under one harmless change."""
    same = dataclasses.replace(predicted["test"], condition="tolerance_zoom", tolerance="zoom")
    noise = np.random.default_rng(1).normal(size=same.log_probs.shape) * 0.01
    moved = same.log_probs + noise - np.log(np.exp(same.log_probs + noise).sum(-1, keepdims=True))
    same = dataclasses.replace(same, log_probs=moved.astype(np.float32))
    return Conditions.of({**predicted, same.condition: same}, resamples=RESAMPLES)


def rejecting_above(threshold):
    rule = routing.RouterRule(10.0, threshold, "aleatoric", "epistemic", 0.05)
    return Thresholds(1, 0.05, 1 / 3, {"uar": RouterThresholds(rule, (), None)})


def test_a_condition_is_harmful_where_accuracy_fell(shifted):
    found = harm.harm(shifted, rejecting_above(0.1))
    clean = shifted.test.correct.mean()
    by_name = {c.name: c for c in (shifted.test, *shifted.tolerated, *shifted.corrupted)}
    assert set(found.conditions) == set(by_name)  # the set without votes has no accuracy
    for name, row in found.conditions.items():
        accuracy = by_name[name].correct.mean()
        assert row.accuracy == pytest.approx(accuracy)
        assert row.harmful == (accuracy < clean - harm.MARGIN)
    assert {r.kind for r in found.conditions.values()} == {"clean", "tolerance", "corruption"}
    assert found.conditions["gnoise_5"].harmful
    assert not found.conditions["tolerance_zoom"].harmful


def test_excess_and_missed_are_counts(shifted):
    threshold = float(np.median(shifted.test.scores["epistemic"]))
    found = harm.harm(shifted, rejecting_above(threshold))
    for c in (shifted.test, *shifted.corrupted):
        rejected = c.scores["epistemic"] > threshold
        row = found.conditions[c.name]
        assert row.rejected["uar"] == pytest.approx(rejected.mean())
        assert row.excess["uar"] == pytest.approx((rejected & c.correct).mean())
        if not rejected.all():
            assert row.accuracy_kept["uar"] == pytest.approx(c.correct[~rejected].mean())
        if rejected.any():
            assert row.accuracy_rejected["uar"] == pytest.approx(c.correct[rejected].mean())
        if row.harmful:
            assert row.missed["uar"] == pytest.approx((~rejected).mean())
        else:
            assert np.isnan(row.missed["uar"])


def test_the_area_is_an_auroc_of_harmful_against_harmless_and_ambiguous(shifted):
    found = harm.areas(shifted, {"gnoise_5"})
    inside = [shifted.test.scores["total"][shifted.test.voted.ambiguous]]
    inside += [c.scores["total"] for c in (*shifted.tolerated, *shifted.at(1))]
    outside = shifted.at(5)[0].scores["total"]
    both = np.concatenate([*inside, outside])
    labels = np.arange(len(both)) >= len(both) - len(outside)
    expected = sklearn.metrics.roc_auc_score(labels, both)
    assert found["total"].value == pytest.approx(expected, abs=1 / harm.BINS)
    assert found["total"].low < found["total"].value < found["total"].high
    assert set(found) == {"epistemic", "total", "single_max_prob"}
    assert harm.areas(shifted, set()) == {}


def test_the_report_shows_every_condition(shifted, evaluation):
    found = harm.harm(shifted, rejecting_above(0.1))
    (made,) = section(dataclasses.replace(evaluation, harm=found))
    for name in ("zoom", "gnoise 5"):
        assert name in made.inner
    assert section(dataclasses.replace(evaluation, harm=None)) == []
