"""Conditions: sorted by role, scored once, one set of resamples, keys that are used once."""

import dataclasses

import jax
import numpy as np
import pytest

from ferjax.evaluation import conditions as conditions_module
from ferjax.evaluation import scores
from ferjax.evaluation.conditions import Conditions, class_names
from ferjax.evaluation.evaluate import evaluate

RESAMPLES = 50


def test_conditions_are_sorted_by_their_role(conditions):
    assert conditions.test.name == "test"
    assert conditions.valid.name == "valid"
    assert [c.name for c in conditions.corrupted] == ["gnoise_1", "gnoise_5"]
    assert [c.name for c in conditions.ood] == ["not_a_face"]
    assert conditions.severities == (1, 5)
    assert [c.name for c in conditions.worst] == ["gnoise_5"]
    assert conditions.weights.shape == (RESAMPLES, 150)


def test_each_condition_is_scored_once_in_a_whole_evaluation(predicted, monkeypatch):
    """With copies of valid items to learn routers from, too: as many scorings as conditions."""
    copies = {
        f"valid_{name}_5": dataclasses.replace(
            predicted["gnoise_5"],
            condition=f"valid_{name}_5",
            corruption=name,
            split="valid",
            ids=predicted["valid"].ids,
        )
        for name in ("gnoise", "blur")
    }
    given = {**predicted, **copies}
    scored = []
    counted = []
    score = scores.score
    people = conditions_module.People.of
    monkeypatch.setattr(scores, "score", lambda *of: scored.append(of) or score(*of))
    monkeypatch.setattr(
        conditions_module.People, "of", lambda *of: counted.append(of) or people(*of)
    )
    found = evaluate(Conditions.of(given, resamples=RESAMPLES))
    assert len(scored) == len(given)
    assert len(counted) == len([p for p in given.values() if p.split == "valid"]) + 1
    assert set(found.learned) == {"l_uar"}
    assert "l_uar" in found.disagreement.scores


def test_nothing_else_of_the_evaluation_decomposes():
    import ast
    from pathlib import Path

    folder = Path(conditions_module.__file__).parent
    users = {
        path.name
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "decompose"
    }
    assert users == {"scores.py"}


def test_what_people_said_is_shared_by_all_copies(conditions):
    assert conditions.corrupted[0].people is conditions.test.people
    assert conditions.ood[0].people is None
    with pytest.raises(ValueError, match="condition not_a_face has no votes"):
        _ = conditions.ood[0].voted


def test_copies_without_votes_have_those_of_the_test_items(predicted):
    bare = dataclasses.replace(predicted["gnoise_5"], votes=None)
    found = Conditions.of({"test": predicted["test"], "gnoise_5": bare}, resamples=2)
    np.testing.assert_array_equal(found.corrupted[0].voted.counts, predicted["test"].votes)


def test_every_purpose_has_a_key_of_its_own(conditions):
    keys = [conditions.key(purpose) for purpose in conditions_module._PURPOSES]
    assert len({tuple(np.asarray(jax.random.key_data(key))) for key in keys}) == len(keys)
    with pytest.raises(ValueError):
        conditions.key("another")


def test_epistemic_given_aleatoric_is_a_rank_among_valid_items(conditions, predicted):
    """Of items whose epistemic uncertainty is raised: near the top among valid items, although
    ranked among themselves they would be spread evenly."""
    name = "epistemic_given_aleatoric"
    assert 0.3 < conditions.test.scores[name].mean() < 0.7
    assert conditions.corrupted[1].scores[name].mean() > 0.8
    without = Conditions.of({"test": predicted["test"]}, resamples=2)
    assert name not in without.test.scores


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda p: {"valid": p["valid"]}, "needs condition 'test' with votes; got valid"),
        (
            lambda p: {"test": dataclasses.replace(p["test"], votes=None)},
            "needs condition 'test' with votes",
        ),
        (
            lambda p: {**p, "more": dataclasses.replace(p["test"], condition="more")},
            "conditions test, more are all the clean test split",
        ),
        (
            lambda p: {
                **p,
                "gnoise_5": dataclasses.replace(p["gnoise_5"], ids=p["gnoise_5"].ids[::-1]),
            },
            "condition gnoise_5 holds other items than the clean test split",
        ),
        (
            lambda p: {
                **p,
                "gnoise_5": dataclasses.replace(
                    p["gnoise_5"], log_probs=p["gnoise_5"].log_probs[:2]
                ),
            },
            "condition gnoise_5 has 2 members and 8 classes, the test items have 3 and 8",
        ),
        *(
            (
                lambda p, n=n: {
                    **p,
                    "test": dataclasses.replace(
                        p["test"], scores={n: np.zeros(len(p["test"].ids))}
                    ),
                },
                f"condition test carries scores called {n}, which are computed here",
            )
            for n in ("epistemic", "aleatoric", "max_prob", "epistemic_given_aleatoric", "l_uar")
        ),
    ],
)
def test_conditions_that_do_not_fit_are_refused(predicted, change, message):
    with pytest.raises(ValueError, match=message):
        Conditions.of(change(predicted), resamples=2)


def test_items_that_nobody_could_judge_are_refused(predicted):
    votes = predicted["test"].votes.copy()
    votes[7] = 0
    given = {"test": dataclasses.replace(predicted["test"], votes=votes)}
    with pytest.raises(ValueError, match=r"test item 7 \(id 157\) has no vote"):
        Conditions.of(given, resamples=2)


def test_classes_without_names_are_numbered():
    """Eight of them, too: nobody's classes are named after another data set's."""
    assert class_names(8) == tuple(f"class {c}" for c in range(8))
    assert class_names(2, ("cat", "dog")) == ("cat", "dog")
    with pytest.raises(ValueError, match=r"1 class names \(cat\) for predictions of 2 classes"):
        class_names(2, ("cat",))


def test_names_travel_with_the_predictions(predicted, conditions):
    assert conditions.classes[0] == "class 0"
    named = tuple("abcdefgh")
    given = {"test": dataclasses.replace(predicted["test"], classes=named)}
    assert Conditions.of(given, resamples=2).classes == named
