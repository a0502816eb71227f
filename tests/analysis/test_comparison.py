"""Thresholds from valid, what they do elsewhere, and reject scores at matched rejection."""

import dataclasses

import numpy as np
import pytest

from ferjax import metrics, routing
from ferjax.analysis import comparison, scores
from ferjax.analysis.validation import ambiguous_and_clear


def test_thresholds_keep_their_promises_on_valid_and_look_at_nothing_else(predicted):
    got = comparison.choose_thresholds(predicted["valid"], false_rejection=0.1, defer_share=0.25)
    on_valid = scores.from_log_probs(predicted["valid"].log_probs)
    assert (np.asarray(on_valid["epistemic"]) > got["epistemic"]).mean() <= 0.1
    assert (np.asarray(on_valid["aleatoric"]) > got["aleatoric"]).mean() == pytest.approx(0.25, abs=0.01)
    assert got["valid_faces"] == len(predicted["valid"].ids)
    unvoted = dataclasses.replace(predicted["valid"], votes=None, truth=None)
    assert comparison.choose_thresholds(unvoted, false_rejection=0.1, defer_share=0.25) == got


def test_decisions_are_the_routers_and_their_accuracies_are_counted(predicted):
    thresholds = comparison.choose_thresholds(predicted["valid"])
    table = comparison.decisions(predicted, thresholds)
    assert set(table) == set(predicted)
    p, row = predicted["test"], table["test"]
    s = scores.from_log_probs(p.log_probs)
    action = np.asarray(routing.decide(s["aleatoric"], s["epistemic"], routing.Thresholds(
        thresholds["aleatoric"], thresholds["epistemic"])))
    right = np.exp(p.log_probs).mean(0).argmax(1) == p.votes[:, :8].argmax(1)
    ambiguous, clear = ambiguous_and_clear(p.votes)
    for code, name in enumerate(routing.ACTIONS):
        assert row[name] == pytest.approx((action == code).mean())
        assert row[f"{name}_accuracy"] == pytest.approx(right[action == code].mean())
        assert row["ambiguous"][name] == pytest.approx((action[ambiguous] == code).mean())
        assert row["clear"][name] == pytest.approx((action[clear] == code).mean())
    assert "accept_accuracy" not in table["not_a_face"]
    assert table["gnoise_5"]["reject"] > table["test"]["reject"]


def test_an_action_that_nobody_gets_has_no_accuracy(predicted):
    row = comparison.decisions({"test": predicted["test"]}, {"aleatoric": np.inf, "epistemic": np.inf})["test"]
    assert (row["accept"], row["defer"], row["reject"]) == (1.0, 0.0, 0.0)
    assert row["defer_accuracy"] is None


def test_comparison_at_matched_rejection(predicted):
    shifted = {name: predicted[name] for name in ("gnoise_1", "gnoise_5", "not_a_face")}
    table = comparison.compare(predicted["test"], shifted)
    assert list(table) == [*scores.LABELS, "random"]
    ambiguous, _ = ambiguous_and_clear(predicted["test"].votes)
    for name in scores.LABELS:
        inside = scores.from_log_probs(predicted["test"].log_probs)[name][ambiguous]
        outside = np.concatenate([scores.from_log_probs(predicted[c].log_probs)[name] for c in ("gnoise_1", "gnoise_5")])
        assert table[name]["auc"] == pytest.approx(float(metrics.auroc_between(inside, outside)), abs=1e-5)
        for rejection, kept in table[name]["retention"].items():
            threshold = np.quantile(outside, 1 - float(rejection))
            assert kept == pytest.approx((np.asarray(inside) <= threshold).mean(), abs=0.03)
            single = table["single_max_prob"]["retention"][rejection]
            assert table[name]["ratio"][rejection] == (pytest.approx(kept / single) if single else None)
    assert table["random"]["retention"] == pytest.approx({"0.7": 0.3, "0.8": 0.2, "0.9": 0.1})
    assert table["random"]["auc"] == 0.5
    assert comparison.compare(predicted["test"], {"not_a_face": predicted["not_a_face"]}) == {}


def test_the_grid_is_the_router_at_its_cells(predicted):
    shifted = {name: predicted[name] for name in ("gnoise_5", "not_a_face")}
    got = comparison.threshold_grid(predicted["test"], shifted, size=7)
    ambiguous, _ = ambiguous_and_clear(predicted["test"].votes)
    clean, outside = (scores.from_log_probs(predicted[c].log_probs) for c in ("test", "gnoise_5"))
    for i, j in ((0, 0), (3, 5), (6, 6), (5, 2)):
        limits = routing.Thresholds(got["aleatoric"][i], got["epistemic"][j])
        inside, out = (np.asarray(routing.decide(s["aleatoric"], s["epistemic"], limits)) for s in (clean, outside))
        for code, name in enumerate(routing.ACTIONS):
            expected = [(inside[ambiguous] == code).sum(), (inside[~ambiguous] == code).sum(), (out == code).sum()]
            np.testing.assert_array_equal(got[name][:, i, j], expected)
