"""Learned routers, and the scores that need other faces to be computed."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from ferjax import uncertainty
from ferjax.evaluation import learned_router, scores


@pytest.fixture(scope="module")
def conditions(predicted):
    """With copies of valid faces to fit on, and a score in every file."""
    made = dict(predicted)
    for name in ("gnoise", "blur"):
        made[f"valid_{name}_5"] = dataclasses.replace(
            predicted["valid"],
            log_probs=predicted["gnoise_5"].log_probs,
            corruption=name,
            severity=5,
            condition=f"valid_{name}_5",
        )
    return {
        name: dataclasses.replace(p, scores={"distance": p.log_probs.std(0).mean(-1)})
        for name, p in made.items()
    }


def test_logistic_regression_is_scikit_learns(rng):
    x = rng.normal(size=(300, 3)) * [1, 10, 0.1] + [0, 5, 1]
    y = rng.random(300) < 1 / (1 + np.exp(1 - x[:, 0] - 4 * (x[:, 2] - 1)))
    got = learned_router.fit_logistic(jnp.asarray(x, jnp.float32), jnp.asarray(y), 1.0)
    standard = (x - x.mean(0)) / x.std(0)
    reference = LogisticRegression(C=1.0, class_weight="balanced", tol=1e-8).fit(standard, y)
    np.testing.assert_allclose(got.weights, reference.coef_[0], atol=5e-3)
    np.testing.assert_allclose(got.bias, reference.intercept_[0], atol=5e-3)


def test_the_seven_features_are_the_protocols(predicted):
    log_probs = predicted["test"].log_probs
    got = np.asarray(learned_router.seven_features(log_probs))
    p = np.exp(log_probs)
    mean = np.sort(p.mean(0), -1)
    h = -(p * log_probs).sum(-1)
    expected = np.stack(
        [
            *uncertainty.decompose(log_probs),
            mean[:, -1],
            mean[:, -1] - mean[:, -2],
            p.max(-1).std(0),
            h.std(0),
        ],
        -1,
    )
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert got.shape[1] == len(learned_router.FEATURES)


def test_enriched_conditions_hold_ranks_and_learned_scores(conditions):
    got, table = scores.enrich(conditions)
    assert set(got) == {name for name in conditions if not name.startswith("valid_")}
    for p in got.values():
        assert {
            "distance",
            "expected_pairwise_kl",
            "epistemic_given_aleatoric",
            "l_uar",
            "l_uar_density",
        } <= set(p.scores)
    rank = got["valid"].scores["epistemic_given_aleatoric"]
    assert 0 <= rank.min() < 0.1 < 0.9 < rank.max() <= 1
    assert got["gnoise_5"].scores["l_uar"].mean() > got["test"].scores["l_uar"].mean() + 1
    assert table["l_uar"]["fitted"] == ["blur", "gnoise"]
    assert table["l_uar"]["auroc"]["gnoise"]["5"] > 0.8
    assert set(table["l_uar"]["weights"]) == set(learned_router.FEATURES)
    assert set(table["l_uar_density"]["weights"]) == {*learned_router.FEATURES, "distance"}


def test_a_corruption_is_tested_by_a_router_that_never_saw_it(conditions):
    """With labels of the fitted copies of one corruption made useless, only the other corruption's
    figure may suffer."""
    useless = dict(conditions)
    useless["valid_blur_5"] = dataclasses.replace(
        conditions["valid_blur_5"], log_probs=conditions["valid"].log_probs
    )
    copies = [conditions["gnoise_5"]]
    fitting = [useless["valid_blur_5"], useless["valid_gnoise_5"]]
    held_out = learned_router.leave_one_out(
        conditions["valid"], fitting, conditions["test"], copies, with_scores=False
    )
    alone = learned_router.fit(conditions["valid"], [useless["valid_blur_5"]], with_scores=False)
    from ferjax import metrics

    expected = metrics.auroc_between(
        learned_router.score(alone, conditions["test"]),
        learned_router.score(alone, conditions["gnoise_5"]),
    )
    assert held_out["auroc"]["gnoise"]["5"] == pytest.approx(float(expected), abs=1e-6)


def test_without_valid_faces_nothing_is_added(conditions):
    got, table = scores.enrich({"test": conditions["test"]})
    assert set(got["test"].scores) == {"distance"}
    assert table == {}
    _, nothing = scores.enrich({name: conditions[name] for name in ("valid", "test")})
    assert nothing == {}


def test_every_score_has_a_name_for_people():
    assert scores.label("epistemic") == "epistemic (paper)"
    assert scores.label("block_4") == "Mahalanobis, after block 4"
    assert scores.label("my_own") == "my own"
