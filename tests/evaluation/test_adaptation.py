"""Adapting to a new population: what is fitted, what is promised, and whether promises hold."""

import dataclasses

import numpy as np
import pytest
import scipy.special

from ferjax.evaluation import adaptation
from ferjax.evaluation.class_priors import adjusted
from ferjax.evaluation.conditions import scored
from ferjax.predictions import Predictions

TRAINING = np.array([0.6, 0.25, 0.1, 0.05])
THERE = np.array([0.1, 0.2, 0.4, 0.3])
MEMBERS = 3


def drawn(items, seed, signal=1.5, heat=1.0):
    """Labelled items of another prior, told too surely by a factor of ``heat``."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(4, items, p=THERE)
    x = signal * np.eye(4)[labels] + rng.normal(size=(items, 4))
    scores = signal * x + np.log(TRAINING) + 0.3 * rng.normal(size=(MEMBERS, items, 4))
    log_probs = scipy.special.log_softmax(heat * scores, -1).astype(np.float32)
    density = rng.normal(size=items).astype(np.float32) ** 2
    return Predictions(
        log_probs,
        np.arange(items),
        np.eye(4, dtype=np.int64)[labels],
        scores={"ood_density": density},
        split="ood",
        condition="there",
    )


def test_parts_share_every_item_out_once():
    for items in (50, 51, 77, 300):
        parts = adaptation.split(items, seed=3)
        together = np.concatenate([parts.fit, parts.choose, parts.certify])
        assert sorted(together) == list(range(items))
        assert abs(len(parts.choose) - len(parts.certify)) <= 2 and len(parts.fit) == items // 4


def test_prior_and_temperature_are_found_again():
    p = drawn(4000, 1, heat=2.0)
    found = adaptation.fit_adjustment("there", p.log_probs, p.votes, TRAINING)
    np.testing.assert_allclose(found.prior, THERE, atol=0.03)
    assert found.temperature == pytest.approx(2.0, rel=0.15)
    few = adaptation.fit_adjustment("there", p.log_probs[:, :1], p.votes[:1], TRAINING)
    assert few.temperature == pytest.approx(1.0, abs=0.5)
    assert np.abs(np.array(few.prior) - TRAINING).sum() < 0.25


def adapted(p, seed=0, **more):
    given = {"name": "there", "router": "density", "accept_error": 0.25, "seed": seed, **more}
    return adaptation.adapt(p, TRAINING, **given)


def test_accuracy_of_another_population_is_regained():
    found = adapted(drawn(300, 5, heat=1.5))
    assert found.parts == {"fit": 75, "choose": 112, "certify": 113}
    assert found.accuracy_after["accuracy"] > found.accuracy_before["accuracy"] + 0.03
    assert not found.certificate.refused
    assert found.certificate.error <= 0.25 and found.certificate.accepted > 0.3
    rule = found.thresholds.routers["density"].rule
    assert (rule.defer, rule.reject) == ("total", "ood_density")
    assert float(rule.defer_above) == found.certificate.above
    assert found.adjustment.name == "there" and found.adjustment.temperature > 1


def test_the_promises_hold_over_many_calibrations():
    """Error among accepted at most ε with probability 1 - δ, rejection at most α on average; on a
    population of which accepting everything would break the first."""
    population = drawn(6000, 99)
    broken = []
    rejected = []
    for seed in range(60):
        found = adapted(drawn(150, 1000 + seed), seed)
        rule = found.thresholds.routers["density"].rule
        rejected.append((population.scores["ood_density"] > rule.reject_above).mean())
        if found.certificate.refused:
            continue
        condition = scored(adjusted(population, found.adjustment))
        accepted = condition.scores["total"] <= rule.defer_above
        accepted &= condition.scores["ood_density"] <= rule.reject_above
        broken.append((~condition.correct[accepted]).mean() > 0.25)
    assert len(broken) >= 15
    assert sum(broken) <= 0.1 * 60 + 5
    assert np.mean(rejected) <= 0.05 + 0.02


def test_what_cannot_be_promised_is_said():
    found = adapted(drawn(60, 5, signal=0.2), accept_error=0.05)
    assert "cannot be promised with confidence 90 %" in found.certificate.refused
    assert np.isnan(found.certificate.above)
    with pytest.raises(ValueError, match="there: 49 labelled items; at least 50 are needed"):
        adapted(drawn(49, 5))
    bare = dataclasses.replace(drawn(60, 5), scores={})
    with pytest.raises(ValueError, match="router 'density' reads total and ood_density"):
        adapted(bare)
    assert adapted(bare, router="uar").router == "uar"
