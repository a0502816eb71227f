"""Reject scores at matched rejection, and what each of them keeps and rejects."""

import dataclasses

import numpy as np
import pytest
import sklearn.metrics

from ferjax import metrics
from ferjax.evaluation import routing_comparison
from ferjax.evaluation.conditions import Conditions
from ferjax.evaluation.intervals import Interval


def areas(conditions, name):
    """AUROC of each copy against the ambiguous clean items, and of all of them, by scikit-learn."""
    inside = conditions.test.scores[name][conditions.test.voted.ambiguous]

    def area(outside):
        labels = np.repeat([0, 1], [len(inside), len(outside)])
        return sklearn.metrics.roc_auc_score(labels, np.concatenate([inside, outside]))

    copies = [c.scores[name] for c in conditions.corrupted]
    return [area(copy) for copy in copies], area(np.concatenate(copies)), inside, copies


def test_comparison_at_matched_rejection(conditions, evaluation):
    table = evaluation.matched
    assert next(iter(table)) == "epistemic"
    assert list(table)[-1] == "random"
    assert set(table) == {*conditions.test.scores, "random"}
    for name in conditions.test.scores:
        each, pooled, inside, copies = areas(conditions, name)
        row = table[name]
        assert row.auc.value == pytest.approx(pooled, abs=1e-5)
        assert row.corruptions == {"gnoise": pytest.approx(np.mean(each), abs=1e-5)}
        for rejection, kept in row.retention.items():
            threshold = np.quantile(np.concatenate(copies), 1 - float(rejection))
            assert kept.value == pytest.approx((inside <= threshold).mean(), abs=0.03)
            single = table["single_max_prob"].retention[rejection].value
            ratio = row.ratio[rejection]
            assert (
                not ratio.defined
                if not single
                else ratio.value == pytest.approx(kept.value / single, rel=1e-5)
            )


def test_the_random_router_is_known_without_error(evaluation):
    random = evaluation.matched["random"]
    assert random.auc == Interval.exact(0.5)
    assert random.retention["0.8"] == Interval.exact(1 - 0.8)
    single = evaluation.matched["single_max_prob"].retention["0.7"].value
    assert random.ratio["0.7"].value == pytest.approx(0.3 / single)
    assert random.ratio["0.7"].low == random.ratio["0.7"].high


def test_the_lowest_corruption_is_the_worst_one(conditions, predicted):
    """Two corruptions, of which one is no corruption at all."""
    nothing = dataclasses.replace(
        predicted["test"], condition="blur_5", corruption="blur", severity=5
    )
    found = Conditions.of({**predicted, "blur_5": nothing}, resamples=50)
    row = routing_comparison.compare(found, found.corrupted)["epistemic"]
    assert set(row.corruptions) == {"gnoise", "blur"}
    assert row.lowest == row.corruptions["blur"] < row.corruptions["gnoise"]


def test_intervals_resample_items_with_their_copies(conditions, evaluation):
    _, _, inside, copies = areas(conditions, "epistemic")
    ambiguous = conditions.test.voted.ambiguous
    slow = [
        float(metrics.auroc_between(inside, np.concatenate(copies), w[ambiguous], np.tile(w, 2)))
        for w in np.asarray(conditions.weights)
    ]
    low, high = np.quantile(slow, [0.025, 0.975])
    row = evaluation.matched["epistemic"].auc
    assert row.low == pytest.approx(low, abs=1e-4)
    assert row.high == pytest.approx(high, abs=1e-4)
    # The ratio of a score to itself is 1 in every resample: intervals are paired.
    assert evaluation.matched["single_max_prob"].ratio["0.8"] == Interval.exact(1.0)


def test_a_curve_runs_from_everything_kept_to_nothing(conditions, evaluation):
    for row in evaluation.matched.values():
        assert row.curve[0] == pytest.approx(1, abs=1e-5)
        assert (np.diff(row.curve) <= 1e-6).all()
    row = evaluation.matched["total"]
    at = [row.curve[round(100 * float(r))] for r in row.retention]
    assert at == pytest.approx([kept.value for kept in row.retention.values()], abs=1e-4)


def test_pools_are_named_once(conditions):
    one, five = conditions.corrupted
    jpeg = dataclasses.replace(
        five,
        predictions=dataclasses.replace(five.predictions, corruption="jpeg", condition="jpeg_5"),
    )
    assert {n: [c.name for c in p] for n, p in routing_comparison.pools([one, five]).items()} == {
        "base": ["gnoise_1", "gnoise_5"]
    }
    found = routing_comparison.pools([one, five, jpeg], fitted=["blur"])
    assert list(found) == ["base", "all", "broad"]
    assert list(routing_comparison.pools([one, jpeg], fitted=["gnoise"])) == [
        "base",
        "all",
        "broad",
    ]
    assert [c.name for c in routing_comparison.pools([one, five], ["gnoise"])["base"]]
    assert routing_comparison.pools([], ["gnoise"]) == {}


def test_rejections_are_counted(conditions):
    got = routing_comparison.rejections(conditions, 0.1)["total"]
    assert set(got) == {"test", "gnoise"}
    known = conditions.valid.scores["total"]
    above = np.sort(known)[int(np.ceil(0.9 * (len(known) + 1))) - 1]
    test = conditions.test
    rejected = test.scores["total"] > above
    assert got["test"].rejected == pytest.approx(rejected.mean())
    assert got["test"].accuracy_kept == pytest.approx(test.correct[~rejected].mean())
    wrong = 1 - test.vote_share[rejected].mean()
    assert got["test"].vote_error_rejected == pytest.approx(wrong, abs=1e-6)
    pooled = np.concatenate([c.scores["total"] > above for c in conditions.corrupted])
    assert got["gnoise"].rejected == pytest.approx(pooled.mean())


def test_without_copies_or_valid_items_there_is_nothing_to_compare(predicted):
    alone = Conditions.of({"test": predicted["test"]}, resamples=2)
    assert routing_comparison.routing_comparison(alone) == {}
    assert routing_comparison.rejections(alone, 0.1) == {}
