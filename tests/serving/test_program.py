"""Rules of routers: read with care, applied to the scores that are there."""

import json

import jax
import numpy as np
import pytest

from ferjax.routing import RouterRule
from ferjax.serving import program


def test_a_router_over_an_unknown_score_is_refused_and_the_others_go_on(rng):
    rules = {"uar": RouterRule(1.0, 0.1), "odd": RouterRule(1.0, 2.0, reject="aura")}
    log_probs = jax.nn.log_softmax(rng.normal(size=(3, 5, 8)).astype(np.float32))
    compiled = jax.jit(program.router_output)
    output = compiled(log_probs, {}, rules)
    assert set(output.action) == {"uar"}
    program.require_scores(output, "uar", rules["uar"])
    with pytest.raises(ValueError, match=r"router 'odd' reads aura; this ensemble has .*epistemic"):
        program.require_scores(output, "odd", rules["odd"])
    flat = np.full((3, 5, 8), -np.log(8), np.float32)
    output = compiled(flat, {"aura": np.arange(5.0, dtype=np.float32)}, rules)
    assert output.action["odd"].tolist() == [1, 1, 1, 2, 2]


def test_another_threshold_is_not_another_program(rng):
    """Rules are an argument of what is compiled: names static, thresholds not."""
    traces = []

    @jax.jit
    def compiled(log_probs, rules):
        traces.append(1)
        return program.router_output(log_probs, {}, rules)

    log_probs = jax.nn.log_softmax(rng.normal(size=(3, 5, 8)).astype(np.float32))
    lenient = compiled(log_probs, {"uar": RouterRule(9.0, np.inf)})
    strict = compiled(log_probs, {"uar": RouterRule(0.0, 0.0)})
    assert lenient.action["uar"].tolist() == [0] * 5 and strict.action["uar"].tolist() == [2] * 5
    assert len(traces) == 1


def test_thresholds_are_read_with_care(tmp_path):
    for text, message in (
        ("{", "thresholds.json: "),
        ('{"aleatoric": 1}', "missing .*epistemic"),
        (
            '{"aleatoric": 1, "epistemic": 1, "routers": {"a": {"defer": 1}}}',
            "router 'a': a router must have defer and reject",
        ),
    ):
        (tmp_path / "thresholds.json").write_text(text)
        with pytest.raises(ValueError, match=message):
            program.load_thresholds(tmp_path)
    with pytest.raises(FileNotFoundError, match="choose thresholds with `ferjax evaluate"):
        program.load_thresholds(tmp_path / "absent")


def test_thresholds_of_the_first_version_are_read(tmp_path):
    """As `ferjax evaluate` wrote them in 0.1.0, with the old names of router and score."""
    uar = {
        "defer": {"score": "aleatoric", "above": 1.2},
        "reject": {"score": "epistemic", "above": 0.3},
        "by_class": [None, 0.2],
    }
    other = {**uar, "reject": {"score": "unfamiliarity", "above": 40.0}}
    old = {
        "aleatoric": 1.2,
        "epistemic": 0.3,
        "false_rejection": 0.05,
        "defer_share": 1 / 3,
        "per_group": False,
        "valid_faces": 60,
        "routers": {"uar": uar, "familiarity": other},
    }
    (tmp_path / "thresholds.json").write_text(json.dumps(old))
    rules, caution = program.load_thresholds(tmp_path)
    assert not caution
    assert rules == {
        "uar": RouterRule(1.2, 0.3, false_rejection=0.05),
        "density": RouterRule(1.2, 40.0, reject="ood_density", false_rejection=0.05),
    }
    assert program.as_rules(old) == rules == program.as_rules(rules)
