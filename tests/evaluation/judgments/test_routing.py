"""Routing of texts keeps what it promises: the error of labels, the gap of distributions."""

import dataclasses

import numpy as np
import pytest

from ferjax import comparing
from ferjax.evaluation.judgments.align import align, with_unrated
from ferjax.evaluation.judgments.promises import HIGHEST, LOWEST, Promise, certify, gaps
from ferjax.evaluation.judgments.routing import ACTIONS


def without(ratings, rated):
    """Ratings of the first items only."""
    rows = ratings.item < rated
    kept = {"item": ratings.item[rows], "chosen": ratings.chosen[rows]}
    kept |= {"rater": ratings.rater[rows], "ids": ratings.ids[:rated]}
    kept |= {"unclear": ratings.unclear[:rated], "texts": ratings.texts[:rated]}
    return dataclasses.replace(ratings, **kept)


@pytest.fixture(scope="module")
def whole(worlds):
    """Judgments of 240 texts, of which people rated 120; and calibrators that change nothing."""
    ratings, _, judgments, _ = worlds["single"]
    files = {"judges": judgments}
    sides = align(with_unrated(without(ratings, 120), files), files, rated_only=False)
    assert len(sides.ratings.ids) == 240 and (sides.ratings.raters_of > 0).sum() == 120
    return sides, {name: {"calibrator": "none", "parameters": {}} for name in sides.names}


@pytest.mark.parametrize(
    "promise", [Promise(0.6), Promise(max_gap=0.4), Promise(0.65, 0.45)], ids=str
)
def test_the_promise_is_kept_on_texts_that_nobody_rated(worlds, whole, promise):
    ratings, truth, _, _ = worlds["single"]
    sides, stored = whole
    done = comparing.route_texts(sides, calibrators=stored, promise=promise, seed=1)
    assert sum(done.decided.actions.values()) == 120
    order = [int(name[1:]) for name in done.ids]
    accepted = done.actions == ACTIONS.index("accept")
    assert accepted[120:].sum() > 20
    certificate = done.router.certificate
    p = done.signals.probs
    if promise.max_error is not None:
        wrong = 1 - truth[order, p.argmax(-1)]
        assert wrong[accepted].mean() < promise.max_error
        assert certificate.error < promise.max_error
    if promise.max_gap is not None:
        gap = ((p - truth[order]) ** 2).sum(-1)
        assert gap[accepted].mean() < promise.max_gap
        assert certificate.gap < promise.max_gap
    for c, share in enumerate(done.shares.values()):
        assert share.low - 0.02 < truth[:, c].mean() < share.high + 0.02
    lines = comparing.routed_lines(done, ratings.classes)
    assert len(lines) == 240 and {"id", "action", "label", "probs", "why"} <= set(lines[0])


@pytest.mark.slow
def test_without_calibrators_one_half_fits_them_and_the_other_certifies(whole):
    sides, _ = whole
    promise = Promise(max_gap=0.6)
    done = comparing.route_texts(sides, choose_from=("shrinkage",), promise=promise, seed=1)
    assert done.router.rated in range(55, 66)
    assert sum(done.decided.actions.values()) == 120
    few = sides.take(np.arange(30))
    with pytest.raises(ValueError, match="routing needs at least 40 rated texts, got 30"):
        comparing.route_texts(few)


def test_calibrators_that_do_not_fit_are_refused(whole):
    sides, stored = whole
    with pytest.raises(ValueError, match="0 rated texts are left that the calibrators were not"):
        comparing.route_texts(sides, calibrators=stored, fitted_on=set(sides.ratings.ids.tolist()))
    with pytest.raises(ValueError, match="no calibrator for judge"):
        comparing.route_texts(sides, calibrators={"x": {}}, fitted_on=set())


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_the_gap_of_a_text_is_bounded_and_right_on_average(worlds, kind):
    """Against the truth, for a distribution that is wrong."""
    _, truth, _, sides = worlds[kind]
    p = np.roll(truth, 1, -1) * 0.7 + 0.1
    found = gaps(sides, p)
    known = ~np.isnan(found)
    assert known.mean() > 0.8
    assert LOWEST <= found[known].min() < 0 and 1 < found[known].max() <= HIGHEST
    if kind == "single":
        # As of single answers a sum over classes, brought to sum 1.
        q = truth
        scale = p
    else:
        # A vote is split evenly over what it names: its expectation by counting all sets.
        sets = (np.arange(16)[:, None] >> np.arange(4)) & 1
        chance = np.where(sets[None], truth[:, None], 1 - truth[:, None]).prod(-1)[:, 1:]
        q = chance @ (sets[1:] / sets[1:].sum(1, keepdims=True)) / chance.sum(1, keepdims=True)
        scale = p / p.sum(1, keepdims=True)
    off = found[known] - ((scale - q) ** 2).sum(-1)[known]
    assert abs(off.mean()) < 3 * off.std() / np.sqrt(known.sum())


def test_gaps_reach_their_ends():
    from ferjax import panels

    people = panels.of_counts(np.array([[1, 1, 0], [2, 0, 0]]), np.array([2, 2]))
    judge = panels.of_probs(np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]))
    assert panels.gap(people, judge).tolist() == [LOWEST, HIGHEST]


@pytest.mark.parametrize("promise", [Promise(0.4), Promise(max_gap=0.3), Promise(0.4, 0.3)])
def test_no_more_than_delta_of_promises_are_broken(promise):
    """In worlds where most thresholds break them: accepting is worse the more are accepted."""
    rng = np.random.default_rng(0)
    broken = kept = 0
    runs = 120
    for _ in range(runs):
        ambiguity = rng.random(400)
        wrong = rng.random(400) < 0.25 + 0.45 * ambiguity
        seen = 0.1 + 0.6 * ambiguity + rng.choice([-0.2, 0.2], 400)
        found = certify(ambiguity, np.ones(400, bool), wrong, seen, promise)
        if found.refused:
            continue
        # Of all texts below the threshold, in expectation.
        error = 0.25 + 0.45 * found.above / 2
        gap = 0.1 + 0.6 * found.above / 2
        kept += 1
        broken += (promise.max_error or 1) < error or (promise.max_gap or 2) < gap
    assert kept > 0.1 * runs
    assert broken <= 0.1 * runs + 3 * np.sqrt(0.1 * 0.9 * runs)


def test_where_all_are_asked_about_nothing_is_accepted():
    none = np.zeros(80, bool)
    found = certify(np.linspace(0, 1, 80), none, none, np.zeros(80), Promise(0.3))
    assert np.isnan(found.above) and "(the models disagree about all of them)" in found.refused


def test_what_cannot_be_proven_is_refused_in_words():
    rng = np.random.default_rng(0)
    wrong = rng.random(80) < 0.5
    found = certify(rng.random(80), np.ones(80, bool), wrong, np.full(80, 0.6), Promise(0.3, 0.2))
    assert np.isnan(found.above)
    assert "an error of at most 30 % and a gap of at most 0.2 among accepted" in found.refused
    assert "a gap of 0.600" in found.refused and "rate more texts, or promise less" in found.refused


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({}, "a promise needs max_error or max_gap"),
        ({"max_error": 1.2}, "max_error must lie between 0 and 1, got 1.2"),
        ({"max_gap": 2.5}, "max_gap must lie between 0 and 2, got 2.5"),
        ({"max_gap": 0.5, "confidence": 1.0}, "confidence must lie between 0 and 1, got 1"),
    ],
)
def test_promises_that_are_none_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Promise(**wrong)
