"""Learned routers: fitted on corrupted valid items, tested on corruptions they never saw."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import sklearn.metrics
from sklearn.linear_model import LogisticRegression

from ferjax import uncertainty
from ferjax.evaluation import learned_router, scores
from ferjax.evaluation.conditions import Conditions


def with_copies(predicted):
    """With copies of valid items to fit on, and a score in every file."""
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


@pytest.fixture(scope="module")
def learned(predicted):
    return Conditions.of(with_copies(predicted), resamples=2)


def test_logistic_regression_is_scikit_learns(rng):
    x = rng.normal(size=(300, 3)) * [1, 10, 0.1] + [0, 5, 1]
    y = rng.random(300) < 1 / (1 + np.exp(1 - x[:, 0] - 4 * (x[:, 2] - 1)))
    got = learned_router.fit_logistic(jnp.asarray(x, jnp.float32), jnp.asarray(y), 1.0)
    standard = (x - x.mean(0)) / x.std(0)
    reference = LogisticRegression(C=1.0, class_weight="balanced", tol=1e-8).fit(standard, y)
    np.testing.assert_allclose(got.weights, reference.coef_[0], atol=5e-3)
    np.testing.assert_allclose(got.bias, reference.intercept_[0], atol=5e-3)


def test_the_seven_features_are_the_protocols(predicted, conditions):
    log_probs = predicted["test"].log_probs
    p = np.exp(log_probs)
    mean = np.sort(p.mean(0), -1)
    h = -(p * log_probs).sum(-1)
    expected = np.stack(
        [
            *uncertainty.decompose(log_probs)[:3],
            mean[:, -1],
            mean[:, -1] - mean[:, -2],
            p.max(-1).std(0),
            h.std(0),
        ],
        -1,
    )
    np.testing.assert_allclose(conditions.test.features, expected, atol=1e-5)
    assert expected.shape[1] == len(scores.FEATURES)


def test_conditions_hold_learned_scores(learned):
    assert {c.name for c in (learned.test, learned.valid, *learned.shifted)} == {
        "test",
        "valid",
        "gnoise_1",
        "gnoise_5",
        "not_a_face",
    }
    for c in (learned.test, learned.valid, *learned.shifted):
        assert {"distance", "expected_pairwise_kl", "l_uar", "l_uar_density"} <= set(c.scores)
    worst = learned.corrupted[1]
    assert worst.scores["l_uar"].mean() > learned.test.scores["l_uar"].mean() + 1
    found = learned.learned["l_uar"]
    assert found.fitted == ("blur", "gnoise")
    assert found.auroc["gnoise"][5] > 0.8
    assert set(found.weights) == set(scores.FEATURES)
    assert set(learned.learned["l_uar_density"].weights) == {*scores.FEATURES, "distance"}


def test_a_corruption_is_tested_by_a_router_that_never_saw_it(predicted, learned):
    """With copies under blur on which members agree, a router that knows nothing else takes noisy
    items, on which they do not, for clean ones; one that saw noise does not."""
    given = with_copies(predicted)
    log_probs = predicted["valid"].log_probs
    agreed = np.broadcast_to(scipy.special.log_softmax(log_probs.mean(0), -1), log_probs.shape)
    given["valid_blur_5"] = dataclasses.replace(given["valid_blur_5"], log_probs=agreed)
    misled = Conditions.of(given, resamples=2)
    assert misled.learned["l_uar"].auroc["gnoise"][5] < 0.5
    assert learned.learned["l_uar"].auroc["gnoise"][5] > 0.8


def test_the_figure_is_scikit_learns(learned):
    test = learned.test
    copy = learned.corrupted[1]
    router = learned_router.fit(learned.valid, [copy], with_scores=False)
    ours = learned_router.leave_one_out(
        learned.valid, [copy], test, [copy], with_scores=False
    ).auroc["gnoise"][5]
    both = np.concatenate([learned_router.score(router, c) for c in (test, copy)])
    labels = np.repeat([0, 1], test.items)
    assert ours == pytest.approx(sklearn.metrics.roc_auc_score(labels, both), abs=1e-6)


def test_without_valid_items_or_copies_nothing_is_learned(predicted, conditions):
    assert conditions.learned == {}
    alone = Conditions.of({"test": predicted["test"]}, resamples=2)
    assert alone.learned == {}
    assert "l_uar" not in alone.test.scores


def test_every_score_has_a_name_for_people():
    assert scores.label("between") == "epistemic between members (paper)"
    assert scores.label("block_4") == "Mahalanobis, after block 4"
    assert scores.label("my_own") == "my own"


def test_a_set_that_lacks_a_score_goes_without_the_router_that_reads_it(predicted):
    """Pictures of --ood do: the densities of heads are not kept for them."""
    made = with_copies(predicted)
    (name,) = (n for n, p in made.items() if p.split == "ood")
    made[name] = dataclasses.replace(made[name], scores={})
    found = Conditions.of(made, resamples=2)
    (bare,) = found.ood
    assert "l_uar" in bare.scores and "l_uar_density" not in bare.scores
    assert "l_uar_density" in found.test.scores
