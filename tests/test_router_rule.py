"""The router's rule: what it decides, how it is saved, and what it is not read from."""

import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import routing
from ferjax.routing import RouterRule, read_rules

decide = jax.jit(routing.decide)


def test_decisions_of_every_kind_of_score():
    nan = np.nan
    inf = np.inf
    defer = np.float32([0.5, 0.6, 0.5, 0.6, nan, 0.1, nan, inf, -inf])
    reject = np.float32([0.2, 0.2, 0.3, 0.3, 0.1, nan, nan, 0.1, -inf])
    decided = decide(defer, reject, RouterRule(np.float32(0.5), np.float32(0.2)))
    assert decided.dtype == jnp.int32
    assert [routing.ACTIONS[a] for a in decided] == [
        "accept",
        "defer",
        "reject",
        "reject",
        "reject",
        "reject",
        "reject",
        "defer",
        "accept",
    ]


def test_thresholds_may_differ_by_item():
    per_item = RouterRule(jnp.array([0.4, 0.7]), jnp.array([1.0, 0.1]))
    decided = decide(jnp.array([0.5, 0.6]), jnp.array([0.2, 0.2]), per_item)
    assert [routing.ACTIONS[a] for a in decided] == ["defer", "reject"]


def test_another_threshold_is_not_another_program():
    scores = jnp.array([0.1, 0.5, 0.9])
    once = jax.jit(chex.assert_max_traces(routing.decide, n=1))
    assert once(scores, scores, RouterRule(0.4, 0.8)).tolist() == [0, 1, 2]
    assert once(scores, scores, RouterRule(0.95, 0.8)).tolist() == [0, 0, 2]
    assert once(scores, scores, RouterRule(0.0, float("inf"))).tolist() == [1, 1, 1]


def test_names_are_static_and_thresholds_are_leaves():
    rule = RouterRule(1.0, 2.0, "total", "ood_density", 0.05)
    assert jax.tree.leaves(rule) == [1.0, 2.0]
    doubled = jax.tree.map(lambda t: 2 * t, rule)
    assert doubled == RouterRule(2.0, 4.0, "total", "ood_density", 0.05)
    # Another score is another program: its name is part of the tree.
    assert jax.tree.structure(rule) == jax.tree.structure(doubled)
    assert jax.tree.structure(rule) != jax.tree.structure(RouterRule(1.0, 2.0))


def test_a_rule_reads_each_score_once():
    assert RouterRule(1.0, 2.0).scores == ("aleatoric", "epistemic")
    assert RouterRule(1.0, 2.0, "total", "total").scores == ("total",)


@pytest.mark.parametrize(
    "rule",
    [
        RouterRule(1.25, 0.125),
        RouterRule(float("inf"), 0.125, "total", "max_prob", 0.05),
        RouterRule(-1.5, float("inf"), reject="ood_density", false_rejection=0.1),
    ],
)
def test_what_is_saved_is_read_again(rule):
    text = json.dumps(rule.to_json(), allow_nan=False)
    assert RouterRule.from_json(json.loads(text)) == rule
    of_arrays = jax.tree.map(jnp.float32, rule)
    assert RouterRule.from_json(of_arrays.to_json()) == rule


@pytest.mark.parametrize("threshold", [float("nan"), -float("inf"), jnp.zeros(2)])
def test_what_could_not_be_read_again_is_not_saved(threshold):
    for rule in (RouterRule(threshold, 1.0), RouterRule(1.0, threshold)):
        with pytest.raises(ValueError, match="a threshold to be saved must be one number"):
            rule.to_json()


GOOD = {"score": "epistemic", "above": 0.1}


def router(**changes):
    return {"defer": {"score": "aleatoric", "above": 1.0}, "reject": GOOD, **changes}


WRONG = {
    "no object": 5,
    "none": None,
    "a list": [GOOD, GOOD],
    "text": "uar",
    "empty": {},
    "no reject": {"defer": GOOD},
    "no defer": {"reject": GOOD},
    "side none": router(defer=None),
    "side a number": router(reject=0.1),
    "side a list": router(reject=["epistemic", 0.1]),
    "side text": router(defer="aleatoric"),
    "no score": router(reject={"above": 0.1}),
    "no threshold": router(reject={"score": "epistemic"}),
    "score a number": router(defer={"score": 1, "above": 0.1}),
    "score a list": router(defer={"score": ["aleatoric"], "above": 0.1}),
    "score none": router(defer={"score": None, "above": 0.1}),
    "threshold text": router(reject={"score": "epistemic", "above": "0.1"}),
    "threshold bool": router(reject={"score": "epistemic", "above": True}),
    "threshold a list": router(reject={"score": "epistemic", "above": [0.1]}),
    "threshold an object": router(reject={"score": "epistemic", "above": {}}),
    "threshold NaN": router(reject={"score": "epistemic", "above": float("nan")}),
    "threshold -inf": router(reject={"score": "epistemic", "above": -float("inf")}),
    "threshold huge": router(reject={"score": "epistemic", "above": 10**400}),
    "promise text": router(false_rejection="0.05"),
    "promise bool": router(false_rejection=True),
    "promise 0": router(false_rejection=0),
    "promise 1": router(false_rejection=1.0),
    "promise NaN": router(false_rejection=float("nan")),
    "promise an object": router(false_rejection={}),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_every_wrong_shape_of_a_router_is_refused_by_name(wrong):
    with pytest.raises(ValueError, match="router 'mine': a router must have defer and reject"):
        read_rules({"routers": {"uar": router(), "mine": wrong}})


@pytest.mark.parametrize(
    "wrong, message",
    [
        (None, "thresholds must be an object, got None"),
        ([], r"thresholds must be an object, got \[\]"),
        ("uar", "thresholds must be an object, got 'uar'"),
        ({}, "missing routers, or aleatoric, epistemic"),
        ({"aleatoric": 1.0}, "missing routers, or epistemic"),
        ({"routers": {}}, r"at least one router, got \{\}"),
        ({"routers": []}, r"routers must be an object with at least one router, got \[\]"),
        ({"routers": 3}, "routers must be an object"),
        ({"aleatoric": "1", "epistemic": 1.0}, "router 'uar': "),
        ({"aleatoric": 1.0, "epistemic": float("nan")}, "router 'uar': "),
        ({"routers": {"uar": router()}, "false_rejection": 2}, "router 'uar': "),
    ],
)
def test_every_wrong_shape_of_the_file_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        read_rules(wrong)


def test_routers_are_read_by_name():
    rules = {
        "uar": RouterRule(1.0, 0.1, false_rejection=0.05),
        "density": RouterRule(1.0, float("inf"), reject="ood_density"),
    }
    saved = {"format": 2, "valid_items": 100, "defer_share": 1 / 3}
    saved["routers"] = {
        name: {**rule.to_json(), "by_class": [None, 1.0], "certificate": {"refused": "no"}}
        for name, rule in rules.items()
    }
    assert read_rules(json.loads(json.dumps(saved))) == rules


def test_a_router_of_its_own_promise_keeps_it():
    saved = {"false_rejection": 0.05, "routers": {"a": router(), "b": router(false_rejection=0.1)}}
    promises = {name: rule.false_rejection for name, rule in read_rules(saved).items()}
    assert promises == {"a": 0.05, "b": 0.1}


def test_files_of_version_0_1_0_are_read():
    """As its choose_thresholds wrote them: the uar thresholds twice, and one promise for all."""
    defer = {"score": "aleatoric", "above": 1.1}
    old = {
        "aleatoric": 1.1,
        "epistemic": 0.07,
        "false_rejection": 0.05,
        "defer_share": 1 / 3,
        "per_group": False,
        "valid_faces": 3569,
        "routers": {
            "uar": {
                "defer": defer,
                "reject": {"score": "epistemic", "above": 0.07},
                "by_class": [0.1, None],
                "certificate": {"accept_error": 0.25, "confidence": 0.9, "above": 0.9},
            },
            "familiarity": {
                "defer": defer,
                "reject": {"score": "unfamiliarity", "above": 1.6},
                "by_class": [1.2, 1.8],
            },
        },
    }
    uar = RouterRule(1.1, 0.07, false_rejection=0.05)
    density = RouterRule(1.1, 1.6, reject="ood_density", false_rejection=0.05)
    assert read_rules(old) == {"uar": uar, "density": density}
    # Its exports, and files written by hand, hold the two thresholds alone.
    alone = {"aleatoric": 1.1, "epistemic": 0.07, "false_rejection": 0.05}
    assert read_rules(alone) == {"uar": uar}
    assert read_rules({"aleatoric": 1.1, "epistemic": None})["uar"].reject_above == float("inf")
