"""The words for a decision, of any classes and any two scores."""

import re

import pytest

from ferjax.routing import RouterRule
from ferjax.serving.explanation import explain

ANIMALS = {"cat": 0.62, "dog": 0.31, "red panda": 0.07}


@pytest.mark.parametrize("names", [("aleatoric", "epistemic"), ("total", "ood_density")])
@pytest.mark.parametrize(
    "defer, reject, action", [(0, 0, "accept"), (2, 0, "defer"), (0, 2, "reject")]
)
def test_the_words_name_the_score_that_decided(names, defer, reject, action):
    rule = RouterRule(1.0, 1.0, *names, false_rejection=0.1)
    words = explain(action, ANIMALS, dict(zip(names, (defer, reject))), rule)
    plain = [name.replace("_", " ") for name in names]
    if action == "reject":
        assert words == (
            f"rejected: {plain[1]} 2.00 is above 1.00, the level 90 % of clean items stay below"
        )
    else:
        assert "62 % cat, 31 % dog" in words and "panda" not in words
        assert (f"{plain[0]} 2.00 is above 1.00" in words) == (action == "defer")
        assert ("is within" in words) == (action == "accept")


def test_one_score_may_do_both():
    rule = RouterRule(0.5, 2.0, "total", "total")
    assert "0.30 is within 0.50" in explain("accept", ANIMALS, {"total": 0.3}, rule)
    assert "0.70 is above 0.50" in explain("defer", ANIMALS, {"total": 0.7}, rule)
    assert "2.50 is above 2.00" in explain("reject", ANIMALS, {"total": 2.5}, rule)


def test_what_no_threshold_limits_is_not_told():
    rule = RouterRule(float("inf"), float("inf"))
    words = explain("accept", ANIMALS, {"aleatoric": 1.0, "epistemic": 0.1}, rule)
    assert words == "accepted: 62 % cat, 31 % dog"


@pytest.mark.parametrize("missing", ["aleatoric", "epistemic"])
def test_a_score_that_is_no_number_is_said(missing):
    scores = {"aleatoric": 1.0, "epistemic": 0.1, missing: float("nan")}
    words = explain("reject", ANIMALS, scores, RouterRule(1.0, 0.2))
    assert words.startswith(f"rejected: {missing} is not a number")


@pytest.mark.parametrize("score, above", [(0.12345, 0.12344), (1e-5, 9e-6), (-3.2, -3.21), (9, 1)])
def test_numbers_differ_as_written_and_are_not_zero(score, above):
    rule = RouterRule(1.0, above)
    words = explain("reject", ANIMALS, {"aleatoric": 0.0, "epistemic": score}, rule)
    written, limit = map(float, re.findall(r"-?\d+\.\d+", words))
    assert written > limit and written * limit != 0
