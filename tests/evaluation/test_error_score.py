"""The probability of an error: fitted as scikit-learn fits, out of fold and of family."""

import dataclasses

import numpy as np
import pytest
import scipy.special
import sklearn.metrics
from sklearn.linear_model import LogisticRegression

from ferjax.config import FAMILIES, family_of
from ferjax.corruptions.suites import CORRUPTIONS
from ferjax.evaluation import error_score
from ferjax.evaluation.conditions import scored
from ferjax.evaluation.thresholds import choose_thresholds
from ferjax.predictions import Predictions
from ferjax.recalibration import make_folds

ITEMS = 600
CLASSES = 4


def drawn(seed, hurt=0.0, strange=0.0, split="valid", first=0, **about):
    """Items whose votes follow what members see; ``hurt`` replaces what they see by something else,
    as surely told, and ``strange`` moves the density, which is high where items were hurt."""
    rng = np.random.default_rng(seed)
    truth = rng.dirichlet(np.full(CLASSES, 0.5), ITEMS)
    broken = rng.random(ITEMS) < hurt
    seen = np.where(broken[:, None], rng.dirichlet(np.full(CLASSES, 0.5), ITEMS), truth)
    noise = 0.3 * rng.normal(size=(3, ITEMS, CLASSES))
    log_probs = scipy.special.log_softmax(np.log(seen + 0.02)[None] + noise, -1)
    density = np.exp(rng.normal(size=ITEMS) + 2.5 * broken + strange)
    return Predictions(
        log_probs.astype(np.float32),
        first + np.arange(ITEMS),
        rng.multinomial(10, truth),
        scores={"ood_density": density.astype(np.float32)},
        split=split,
        **about,
    )


@pytest.fixture(scope="module")
def valid():
    return scored(drawn(0, condition="valid"))


@pytest.fixture(scope="module")
def fitting():
    """Two families that hurt, and one that is only strange."""
    made = [
        drawn(1, 0.5, 0.5, corruption="gnoise", severity=3, condition="valid_gnoise_3"),
        drawn(2, 0.8, 0.5, corruption="blur", severity=3, condition="valid_blur_3"),
        drawn(3, 0.0, 1.0, corruption="jpeg", severity=3, condition="valid_jpeg_3"),
    ]
    return [scored(p) for p in made]


@pytest.fixture(scope="module")
def fitted(valid, fitting):
    return error_score.fit_on(valid, fitting)


def test_ids_of_any_kind_leave_every_fold_items(valid, fitting):
    """Every other face of a set has even ids alone."""

    def renumbered(c):
        p = c.predictions
        return scored(dataclasses.replace(p, ids=2 * p.ids))

    even = renumbered(valid)
    fitted = error_score.fit_on(even, [renumbered(c) for c in fitting])
    found = error_score.add_errors(even, fitted).scores
    assert np.isfinite(found["error"]).all() and np.isfinite(found["excess_error"]).all()
    assert sklearn.metrics.roc_auc_score(~even.correct, found["error"]) > 0.6


def test_every_corruption_has_one_family():
    named = [name for of in FAMILIES.values() for name in of]
    assert sorted(named) == sorted(CORRUPTIONS)
    assert {family_of(name) for name in CORRUPTIONS} == set(FAMILIES)


def test_the_regression_is_scikit_learns(valid, fitting, fitted):
    every = [valid, *fitting]
    names = ("max_prob", "aleatoric", "epistemic", "ood_density")
    x = np.concatenate(
        [
            np.asarray(error_score.features({n: c.scores[n] for n in names}, names[3:]))
            for c in every
        ]
    )
    wrong = np.concatenate([~c.correct for c in every])
    clean = np.arange(len(x)) < ITEMS
    weights = np.where(clean, len(x) / (2 * ITEMS), len(x) / (2 * 3 * ITEMS))
    mean = np.average(x, axis=0, weights=weights)
    scale = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weights))
    z = np.clip((x - mean) / scale, -8, 8)
    reference = LogisticRegression(C=1.0, tol=1e-8).fit(z, wrong, sample_weight=weights)
    model = fitted.everything.model
    np.testing.assert_allclose(model.weights, reference.coef_[0], atol=0.02)
    np.testing.assert_allclose(model.bias, reference.intercept_[0], atol=0.02)
    admitted = LogisticRegression(C=1.0, tol=1e-8).fit(
        z[clean, :2], wrong[clean], sample_weight=weights[clean]
    )
    np.testing.assert_allclose(model.admitted, admitted.coef_[0], atol=0.02)
    probability = error_score.error_scores(model, x)["error"]
    assert np.average(probability, weights=weights) == pytest.approx(
        np.average(wrong, weights=weights), abs=0.01
    )


def test_no_item_and_no_family_is_scored_by_what_saw_it(valid, fitting, fitted):
    own = error_score.add_errors(valid, fitted).scores["error"]
    everything = fitted.everything(valid.scores)["error"]
    for fold, model in enumerate(fitted.without_fold):
        mine = make_folds(valid.predictions.ids, error_score.FOLDS) == fold
        again = error_score.fit_on(_part(valid, ~mine), [_part(c, ~mine) for c in fitting])
        np.testing.assert_allclose(model.weights, again.everything.model.weights, atol=2e-3)
        x = error_score.features({n: valid.scores[n] for n in valid.scores}, ("ood_density",))
        by_model = error_score.error_scores(model, x)["error"]
        np.testing.assert_allclose(own[mine], by_model[mine], atol=1e-5)
    assert np.abs(own - everything).max() > 1e-4
    test = scored(drawn(9, 0.5, corruption="imagenet_c.gaussian_noise", severity=3, split="test"))
    without = error_score.fit_on(valid, fitting[1:]).everything
    got = error_score.add_errors(test, fitted).scores
    np.testing.assert_allclose(got["error"], without(test.scores)["error"], atol=2e-3)
    clean = error_score.add_errors(scored(drawn(10, split="test")), fitted)
    expected = fitted.everything(clean.scores)["error"]
    np.testing.assert_allclose(clean.scores["error"], expected, atol=1e-6)


def _part(c, where):
    p = c.predictions
    return scored(
        dataclasses.replace(
            p,
            log_probs=p.log_probs[:, where],
            ids=p.ids[where],
            votes=p.votes[where],
            scores={n: of[where] for n, of in p.scores.items()},
        )
    )


def test_rejecting_what_it_does_not_admit_keeps_ambiguous_items_and_finds_harm(valid, fitted):
    """Where half of the items are answered wrongly and as surely as ever, distance helps; clean
    items that are ambiguous are wrong often, and are kept by what subtracts that."""
    clean = error_score.add_errors(scored(drawn(20, split="test")), fitted)
    hurt = error_score.add_errors(
        scored(drawn(21, 0.5, 0.5, corruption="imagenet_c.fog", severity=3, split="test")), fitted
    )
    wrong = np.concatenate([~clean.correct, ~hurt.correct])

    def finds(name):
        return sklearn.metrics.roc_auc_score(
            wrong, np.concatenate([clean.scores[name], hurt.scores[name]])
        )

    assert finds("error") > finds("max_prob") + 0.02
    assert finds("error") > finds("ood_density") + 0.02
    ambiguous = clean.people.ambiguous
    kept = {}
    for name in ("error", "excess_error"):
        above = np.quantile(hurt.scores[name], 0.5)
        kept[name] = (clean.scores[name][ambiguous] <= above).mean()
    assert kept["excess_error"] > kept["error"] + 0.1
    assert abs(clean.scores["excess_error"].mean()) < 0.1 < hurt.scores["excess_error"].mean()


def test_the_router_keeps_its_promise_out_of_fold(valid, fitted):
    chosen = choose_thresholds(error_score.add_errors(valid, fitted))
    rule = chosen.routers["error"].rule
    assert (rule.defer, rule.reject) == ("total", "excess_error")
    fresh = error_score.add_errors(scored(drawn(30, split="test")), fitted)
    assert (fresh.scores["excess_error"] > rule.reject_above).mean() < 0.08


def test_a_reader_is_written_and_read_again(valid, fitted):
    reader = fitted.everything
    again = error_score.ErrorReader.from_json(reader.to_json())
    for name in error_score.NAMES:
        expected = reader(valid.scores)[name]
        np.testing.assert_allclose(again(valid.scores)[name], expected, atol=1e-5)
    with pytest.raises(ValueError, match="leaves must be"):
        error_score.ErrorReader.from_json({**reader.to_json(), "carried": []})
    with pytest.raises(ValueError, match="no model of errors: 'carried'"):
        error_score.ErrorReader.from_json({})
    bare = {n: of for n, of in valid.scores.items() if n != "ood_density"}
    with pytest.raises(ValueError, match="reads ood_density, which is not there"):
        reader(bare)


def test_nothing_is_learned_of_nothing(valid, fitting):
    assert error_score.fit_on(valid, []) is None
    unasked = dataclasses.replace(valid, people=None)
    assert error_score.fit_on(unasked, fitting) is None
