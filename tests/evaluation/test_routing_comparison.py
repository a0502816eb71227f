"""Reject scores at matched rejection, and what each of them keeps and rejects."""

import dataclasses

import jax
import numpy as np
import pytest

from ferjax import bootstrap, metrics
from ferjax.evaluation import routing_comparison, scores
from ferjax.evaluation.validation import ambiguous_and_clear


@pytest.fixture(scope="module")
def weights(predicted):
    return bootstrap.resample_weights(jax.random.key(0), len(predicted["test"].ids), 20)


@pytest.fixture(scope="module")
def table(predicted, weights):
    return routing_comparison.compare(
        predicted["test"], [predicted["gnoise_1"], predicted["gnoise_5"]], weights
    )


def test_comparison_at_matched_rejection(predicted, table):
    assert list(table) == [*scores.LABELS, "random"]
    ambiguous, _ = ambiguous_and_clear(predicted["test"].votes)
    for name in scores.LABELS:
        inside = scores.from_log_probs(predicted["test"].log_probs)[name][ambiguous]
        apart = [
            scores.from_log_probs(predicted[c].log_probs)[name] for c in ("gnoise_1", "gnoise_5")
        ]
        outside = np.concatenate(apart)
        assert table[name]["auc"]["value"] == pytest.approx(
            float(metrics.auroc_between(inside, outside)), abs=1e-5
        )
        expected = np.mean([float(metrics.auroc_between(inside, o)) for o in apart])
        assert table[name]["corruptions"] == {"gnoise": pytest.approx(expected, abs=1e-5)}
        for rejection, kept in table[name]["retention"].items():
            threshold = np.quantile(outside, 1 - float(rejection))
            assert kept["value"] == pytest.approx(
                (np.asarray(inside) <= threshold).mean(), abs=0.03
            )
            single = table["single_max_prob"]["retention"][rejection]["value"]
            ratio = table[name]["ratio"][rejection]
            assert (
                ratio["value"] == pytest.approx(kept["value"] / single) if single else ratio is None
            )
    assert table["random"]["retention"] == pytest.approx({"0.7": 0.3, "0.8": 0.2, "0.9": 0.1})
    assert table["random"]["auc"] == 0.5


def test_intervals_resample_faces_with_their_copies(predicted, table, weights):
    ambiguous, _ = ambiguous_and_clear(predicted["test"].votes)
    inside = scores.from_log_probs(predicted["test"].log_probs)["epistemic"]
    outside = [
        scores.from_log_probs(predicted[c].log_probs)["epistemic"] for c in ("gnoise_1", "gnoise_5")
    ]
    slow = [
        float(
            metrics.auroc_between(
                np.asarray(inside)[ambiguous],
                np.concatenate(outside),
                np.asarray(w)[ambiguous],
                np.tile(w, 2),
            )
        )
        for w in np.asarray(weights)
    ]
    low, high = np.quantile(slow, [0.025, 0.975])
    assert table["epistemic"]["auc"]["low"] == pytest.approx(low, abs=1e-4)
    assert table["epistemic"]["auc"]["high"] == pytest.approx(high, abs=1e-4)
    # The ratio of a score to itself is 1 in every resample: intervals are paired.
    assert table["single_max_prob"]["ratio"]["0.8"] == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_pools_are_named_once(predicted, weights):
    one = predicted["gnoise_1"]
    five = predicted["gnoise_5"]
    other = dataclasses.replace(five, corruption="jpeg", condition="jpeg_5")
    assert {
        name: [p.condition for p in pool]
        for name, pool in routing_comparison.pools([one, five]).items()
    } == {"all": ["gnoise_1", "gnoise_5"]}
    found = routing_comparison.pools([one, five, other], fitted=["blur"])
    assert list(found) == ["all", "base", "broad"]
    assert routing_comparison.pools([], ["gnoise"]) == {}
    assert routing_comparison.compare(predicted["test"], [], weights) == {}


def test_consequences_are_counted(predicted):
    got = routing_comparison.consequences(
        predicted["valid"], {n: p for n, p in predicted.items() if n != "valid"}, 0.1
    )["total"]
    assert set(got) == {"test", "gnoise"}
    known = np.asarray(scores.from_log_probs(predicted["valid"].log_probs)["total"])
    above = np.sort(known)[int(np.ceil(0.9 * (len(known) + 1))) - 1]
    p = predicted["test"]
    rejected = np.asarray(scores.from_log_probs(p.log_probs)["total"]) > above
    q = p.votes[:, :8] / p.votes[:, :8].sum(1, keepdims=True)
    chosen = np.exp(p.log_probs).mean(0).argmax(1)
    assert got["test"]["rejected"] == pytest.approx(rejected.mean())
    assert got["test"]["accuracy_kept"] == pytest.approx((chosen == q.argmax(1))[~rejected].mean())
    assert got["test"]["vote_error_rejected"] == pytest.approx(
        1 - q[np.arange(len(q)), chosen][rejected].mean(), abs=1e-6
    )


def test_the_whole_comparison(predicted, weights):
    whole = routing_comparison.tables(predicted, weights, 0.1)
    assert set(whole) == {"matched", "matched_pools", "consequences"}
    assert next(iter(whole["matched"])) == "epistemic"
    alone = routing_comparison.tables({"test": predicted["test"]}, weights, 0.1)
    assert alone == {"matched": {}, "matched_pools": {}, "consequences": {}}
