"""Thresholds from valid, what they do elsewhere, and the plane of all others."""

import dataclasses

import numpy as np
import pytest

from ferjax import conformal, routing
from ferjax.evaluation import thresholds


def with_scores(condition, **scores):
    return dataclasses.replace(condition, scores={**condition.scores, **scores})


def test_thresholds_keep_their_promises_on_valid_and_look_at_nothing_else(conditions):
    valid = conditions.valid
    got = thresholds.choose_thresholds(valid, false_rejection=0.1, defer_share=0.25)
    rule = got.routers["uar"].rule
    assert (rule.defer, rule.reject, rule.false_rejection) == ("aleatoric", "epistemic", 0.1)
    assert (valid.scores["epistemic"] > rule.reject_above).mean() <= 0.1
    assert (valid.scores["aleatoric"] > rule.defer_above).mean() == pytest.approx(0.25, abs=0.01)
    assert got.valid_items == valid.items
    assert list(got.routers) == ["uar", "paper"]
    paper = got.routers["paper"].rule
    assert (paper.defer, paper.reject) == ("mean_entropy", "between")
    assert (valid.scores["mean_entropy"] > paper.defer_above).mean() == pytest.approx(
        0.25, abs=0.01
    )
    unvoted = dataclasses.replace(valid, people=None)
    again = thresholds.choose_thresholds(unvoted, false_rejection=0.1, defer_share=0.25)
    assert again.routers["uar"].rule == rule
    assert again.routers["uar"].certificate is None


def test_a_run_with_densities_has_a_second_router(conditions):
    strange = np.linspace(0, 1, conditions.valid.items).astype(np.float32)
    got = thresholds.choose_thresholds(with_scores(conditions.valid, ood_density=strange))
    assert list(got.routers) == ["uar", "paper", "density"]
    rule = got.routers["density"].rule
    assert (rule.defer, rule.reject) == ("total", "ood_density")
    assert (strange > rule.reject_above).mean() <= 0.05
    assert got.default == "density" and got.rule == rule


def test_what_members_know_little_of_is_not_accepted_by_the_router_that_decides(conditions):
    """A low concentration leaves little aleatoric uncertainty to an item with no likely label."""
    valid = conditions.valid
    unsure = np.arange(valid.items) % 4 == 0
    made = with_scores(
        valid,
        aleatoric=np.where(unsure, 0.1, 1.0).astype(np.float32),
        epistemic=np.where(unsure, 1.8, 0.1).astype(np.float32),
        total=np.where(unsure, 1.9, 1.1).astype(np.float32),
        ood_density=np.zeros(valid.items, np.float32),
        excess_error=np.zeros(valid.items, np.float32),
    )
    got = thresholds.choose_thresholds(made)
    for router in ("density", "error"):
        action = thresholds.actions(made, got.routers[router].rule)
        assert (action[unsure] == routing.ACTIONS.index("defer")).all()
        assert (action[~unsure] == routing.ACTIONS.index("accept")).all()


def test_each_predicted_class_has_a_threshold_with_the_same_promise(conditions):
    valid = conditions.valid
    got = thresholds.choose_thresholds(valid, false_rejection=0.2).routers["uar"].by_class
    assert len(got) == 8
    for c, above in enumerate(got):
        inside = valid.scores["epistemic"][valid.predicted == c]
        assert (inside > above).sum() <= 0.2 * (len(inside) + 1)


def under(condition, tolerance, **scores):
    made = dataclasses.replace(condition.predictions, tolerance=tolerance)
    return dataclasses.replace(with_scores(condition, **scores), predictions=made)


def test_the_largest_threshold_over_the_tolerances_keeps_each_promise(conditions, rng):
    valid = conditions.valid
    tolerated = [
        under(valid, name, epistemic=rng.gamma(2, scale, valid.items).astype(np.float32))
        for name, scale in {"zoom": 0.001, "jpeg": 3.0}.items()
    ]
    got = thresholds.choose_thresholds(valid, tolerated, false_rejection=0.1).routers["uar"]
    assert list(got.by_tolerance) == ["valid", "zoom", "jpeg"]
    assert got.by_tolerance["zoom"] < got.by_tolerance["jpeg"] == float(got.rule.reject_above)
    for c in (valid, *tolerated):
        assert (c.scores["epistemic"] > got.rule.reject_above).mean() <= 0.1
    alone = thresholds.choose_thresholds(valid, false_rejection=0.1).routers["uar"]
    assert float(alone.rule.reject_above) == got.by_tolerance["valid"]


def test_the_promise_holds_under_every_tolerance_in_10_000_calibrations(rng):
    """The chance that a fresh item is rejected, over calibrations, is at most α for each."""
    calibrations, items, alpha = 10_000, 99, 0.1
    promised = np.zeros((calibrations, 4))
    scales = np.array([1.0, 1.3, 0.7, 1.3])
    for t, scale in enumerate(scales):
        scores = np.sort(scale * rng.exponential(size=(calibrations, items)), axis=1)
        promised[:, t] = scores[:, conformal.conformal_rank(items, alpha) - 1]
    above = promised.max(1)
    rejected = np.exp(-above[:, None] / scales[None]).mean(0)  # the exact tail of a fresh item
    assert (rejected <= alpha).all() and rejected.max() > 0.05
    assert np.exp(-promised / scales[None]).mean(0) == pytest.approx(np.full(4, alpha), abs=2e-3)


def draw_errors(rng):
    aleatoric = rng.random(2000)
    return aleatoric, rng.random(2000) < 0.3 * aleatoric, np.ones(2000, bool)


def certified(aleatoric, wrong, passes, accept_error):
    return thresholds.certified_defer_threshold(
        aleatoric, wrong, passes, accept_error=accept_error, confidence=0.9
    )


def test_a_certificate_or_the_best_there_is():
    aleatoric, wrong, everyone = draw_errors(np.random.default_rng(1))
    got = certified(aleatoric, wrong, everyone, 0.1)
    assert not got.refused
    assert 0.3 < got.above < 0.7
    assert got.error <= 0.1
    assert got.accepted == pytest.approx(got.above, abs=0.05)
    refused = certified(aleatoric, wrong, everyone, 0.01)
    assert "at most 1 % among accepted items cannot be promised" in refused.refused
    best = float(refused.refused.split()[-2]) / 100
    assert not certified(aleatoric, wrong, everyone, best).refused
    assert certified(aleatoric, wrong, everyone, best - 0.01).refused
    assert "nor can any other" in certified(aleatoric, wrong, ~everyone, 0.01).refused


def test_what_proposes_does_not_certify():
    """Labels of the proposing half change nothing; those of the certifying half do."""
    aleatoric, wrong, everyone = draw_errors(np.random.default_rng(1))
    plain = certified(aleatoric, wrong, everyone, 0.1)
    proposing = np.arange(2000) % 2 == 0
    assert certified(aleatoric, wrong | proposing, everyone, 0.1) == plain
    assert certified(aleatoric, wrong | ~proposing, everyone, 0.1).refused
    # The thresholds themselves come from the proposing half alone.
    moved = np.where(proposing, aleatoric, aleatoric + 1e-3)
    walk = np.quantile(aleatoric[proposing], np.linspace(0, 1, 41)[1:])
    assert np.isclose(certified(moved, wrong, everyone, 0.1).above, walk).any()


def test_decisions_are_the_routers_and_their_accuracies_are_counted(conditions):
    rule = thresholds.choose_thresholds(conditions.valid).routers["uar"].rule
    table = thresholds.decisions(conditions, rule)
    assert set(table) == {"test", "gnoise_1", "gnoise_5", "not_a_face"}
    test = conditions.test
    row = table["test"]
    s = test.scores
    action = np.asarray(routing.decide(s["aleatoric"], s["epistemic"], rule))
    people = test.voted
    for code, name in enumerate(routing.ACTIONS):
        of = action == code
        assert row.shares[name] == pytest.approx(of.mean())
        assert row.accuracy[name] == pytest.approx(test.correct[of].mean())
        assert row.vote_accuracy[name] == pytest.approx(test.vote_share[of].mean())
        assert row.ambiguous[name] == pytest.approx(of[people.ambiguous].mean())
        assert row.clear[name] == pytest.approx(of[people.clear].mean())
    assert table["not_a_face"].accuracy == {}
    assert table["gnoise_5"].shares["reject"] > row.shares["reject"]


def test_an_action_that_nobody_gets_has_no_accuracy(conditions):
    rule = routing.RouterRule(np.inf, np.inf)
    row = thresholds.decisions(conditions, rule)["test"]
    assert row.shares == {"accept": 1.0, "defer": 0.0, "reject": 0.0}
    assert np.isnan(row.accuracy["defer"])


def test_the_grid_is_the_router_at_its_cells(conditions):
    chosen = thresholds.choose_thresholds(conditions.valid, accept_error=0.5)
    got = thresholds.threshold_grid(conditions, chosen, size=7)
    test = conditions.test
    ambiguous = test.voted.ambiguous
    for i, j in ((0, 0), (3, 5), (6, 6), (5, 2)):
        rule = routing.RouterRule(got["defer_above"][i], got["reject_above"][j])
        actions = [
            np.asarray(routing.decide(c.scores["aleatoric"], c.scores["epistemic"], rule))
            for c in (test, *conditions.corrupted)
        ]
        inside = actions[0]
        out = np.concatenate(actions[1:])
        for code, name in enumerate(routing.ACTIONS):
            expected = [
                (inside[ambiguous] == code).sum(),
                (inside[~ambiguous] == code).sum(),
                (out == code).sum(),
            ]
            np.testing.assert_array_equal(got[name][:, i, j], expected)
        assert got["errors"][:2, i, j].sum() == (~test.correct & (inside == 0)).sum()
    i, j = got["best"]
    assert got["reject"][:2, i, j].sum() <= 0.05 * test.items
    assert got["errors"][:2, i, j].sum() <= 0.5 * got["accept"][:2, i, j].sum()
    assert got["front"].any()


def test_a_router_reads_only_what_every_item_has(conditions):
    strange = np.linspace(0, 1, conditions.valid.items).astype(np.float32)
    valid = with_scores(conditions.valid, ood_density=strange)
    without = set(valid.scores) - {"ood_density"}
    got = thresholds.choose_thresholds(valid, carried=without)
    assert list(got.routers) == ["uar", "paper"] and got.default == "uar"
