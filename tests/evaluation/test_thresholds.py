"""Thresholds from valid, what they do elsewhere, and the plane of all others."""

import dataclasses

import numpy as np
import pytest

from ferjax import routing
from ferjax.evaluation import scores, thresholds
from ferjax.evaluation.validation import ambiguous_and_clear


def test_thresholds_keep_their_promises_on_valid_and_look_at_nothing_else(predicted):
    got = thresholds.choose_thresholds(predicted["valid"], false_rejection=0.1, defer_share=0.25)
    on_valid = scores.from_log_probs(predicted["valid"].log_probs)
    assert (np.asarray(on_valid["epistemic"]) > got["epistemic"]).mean() <= 0.1
    assert (np.asarray(on_valid["aleatoric"]) > got["aleatoric"]).mean() == pytest.approx(
        0.25, abs=0.01
    )
    assert got["valid_faces"] == len(predicted["valid"].ids)
    assert list(got["routers"]) == ["uar"]
    assert got["routers"]["uar"]["reject"] == {"score": "epistemic", "above": got["epistemic"]}
    unvoted = dataclasses.replace(predicted["valid"], votes=None, truth=None)
    again = thresholds.choose_thresholds(unvoted, false_rejection=0.1, defer_share=0.25)
    assert (again["aleatoric"], again["epistemic"]) == (got["aleatoric"], got["epistemic"])


def test_a_run_with_densities_has_a_second_router(predicted):
    valid = predicted["valid"]
    strange = np.linspace(0, 1, len(valid.ids)).astype(np.float32)
    got = thresholds.choose_thresholds(dataclasses.replace(valid, scores={"ood_density": strange}))
    assert list(got["routers"]) == ["uar", "familiarity"]
    assert got["routers"]["familiarity"]["reject"]["score"] == "ood_density"
    assert (strange > got["routers"]["familiarity"]["reject"]["above"]).mean() <= 0.05


def test_per_group_promises_hold_for_either_group(predicted):
    got = thresholds.choose_thresholds(predicted["valid"], false_rejection=0.1, per_group=True)
    epistemic = np.asarray(scores.from_log_probs(predicted["valid"].log_probs)["epistemic"])
    for group in ambiguous_and_clear(predicted["valid"].votes):
        assert (epistemic[group] > got["epistemic"]).mean() <= 0.1
    with pytest.raises(ValueError, match="has no votes"):
        thresholds.choose_thresholds(
            dataclasses.replace(predicted["valid"], votes=None), per_group=True
        )


def test_a_certificate_or_the_best_there_is():
    rng = np.random.default_rng(1)
    aleatoric = rng.random(2000)
    wrong = rng.random(2000) < 0.3 * aleatoric
    everyone = np.ones(2000, bool)
    got = thresholds.certified_defer_threshold(aleatoric, wrong, everyone, max_error=0.1, delta=0.1)
    assert 0.3 < got["above"] < 0.7
    assert got["error"] <= 0.1
    assert got["accepted"] == pytest.approx(got["above"], abs=0.05)
    with pytest.raises(
        ValueError, match=r"at most 1% .* confidence 90%; the best that can is \d+%"
    ):
        thresholds.certified_defer_threshold(aleatoric, wrong, everyone, max_error=0.01, delta=0.1)
    with pytest.raises(ValueError, match="nor can any other"):
        thresholds.certified_defer_threshold(aleatoric, wrong, ~everyone, max_error=0.01, delta=0.1)


def test_decisions_are_the_routers_and_their_accuracies_are_counted(predicted):
    chosen = thresholds.choose_thresholds(predicted["valid"])
    table = thresholds.decisions(predicted, chosen)
    assert set(table) == set(predicted)
    p = predicted["test"]
    row = table["test"]
    s = scores.from_log_probs(p.log_probs)
    action = np.asarray(
        routing.decide(
            s["aleatoric"],
            s["epistemic"],
            routing.Thresholds(chosen["aleatoric"], chosen["epistemic"]),
        )
    )
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
    rule = {
        "defer": {"score": "aleatoric", "above": np.inf},
        "reject": {"score": "epistemic", "above": np.inf},
    }
    row = thresholds.decisions({"test": predicted["test"]}, {"routers": {"uar": rule}})["test"]
    assert (row["accept"], row["defer"], row["reject"]) == (1.0, 0.0, 0.0)
    assert row["defer_accuracy"] is None


def test_the_grid_is_the_router_at_its_cells(predicted):
    shifted = {name: predicted[name] for name in ("gnoise_5", "not_a_face")}
    chosen = thresholds.choose_thresholds(predicted["valid"], accept_error=0.5)
    got = thresholds.threshold_grid(predicted["test"], shifted, chosen, size=7)
    ambiguous, _ = ambiguous_and_clear(predicted["test"].votes)
    clean, outside = (scores.from_log_probs(predicted[c].log_probs) for c in ("test", "gnoise_5"))
    wrong = np.exp(predicted["test"].log_probs).mean(0).argmax(1) != predicted["test"].votes[
        :, :8
    ].argmax(1)
    for i, j in ((0, 0), (3, 5), (6, 6), (5, 2)):
        limits = routing.Thresholds(got["defer_above"][i], got["reject_above"][j])
        inside, out = (
            np.asarray(routing.decide(s["aleatoric"], s["epistemic"], limits))
            for s in (clean, outside)
        )
        for code, name in enumerate(routing.ACTIONS):
            expected = [
                (inside[ambiguous] == code).sum(),
                (inside[~ambiguous] == code).sum(),
                (out == code).sum(),
            ]
            np.testing.assert_array_equal(got[name][:, i, j], expected)
        assert got["errors"][:2, i, j].sum() == (wrong & (inside == 0)).sum()
    i, j = got["best"]
    assert got["reject"][:2, i, j].sum() <= 0.05 * len(clean["total"])
    assert got["errors"][:2, i, j].sum() <= 0.5 * got["accept"][:2, i, j].sum()
    assert got["front"].any()
