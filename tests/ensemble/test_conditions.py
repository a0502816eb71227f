"""What an evaluation predicts, by name."""

import dataclasses

import numpy as np
import pytest

from ferjax.config import EvaluateConfig
from ferjax.ensemble.conditions import Condition, plan, refuse_reserved

SETTINGS = EvaluateConfig(corruptions=("gnoise",), severities=(1, 5), tolerances=("zoom",))


def test_a_condition_has_a_name_and_a_split():
    named = {
        Condition("valid"): ("valid", "valid"),
        Condition("not_a_face"): ("not_a_face", "ood"),
        Condition("test", "gnoise", 3): ("gnoise_3", "test"),
        Condition("valid", "gnoise", 3): ("valid_gnoise_3", "valid"),
        Condition("test", tolerance="zoom"): ("tolerance_zoom", "test"),
        Condition("valid", tolerance="zoom"): ("valid_tolerance_zoom", "valid"),
    }
    assert {c: (c.name, c.split) for c in named} == named


@pytest.mark.parametrize(
    "name",
    [
        *("gnoise_3", "gnoise", "jpeg_compression_2", "valid_x", "val", "validation_2", "train"),
        *("training_cats", "test_2", "tolerance_zoom", "tolerance", "cats_3", "not_a_face"),
    ],
)
def test_no_other_set_takes_the_name_of_a_condition(name):
    """Its predictions would replace that condition's, now and in every later evaluation."""
    with pytest.raises(ValueError, match=f"--ood {name}=.*(choose another|that name is taken)"):
        refuse_reserved(name, ("valid", "test", "not_a_face"))


def test_every_condition_of_an_evaluation_is_a_name_that_is_taken(tiny_faces):
    fit = dataclasses.replace(SETTINGS, fit_corruptions=("blur",), fit_severities=(3,))
    for condition in plan(fit, tiny_faces):
        with pytest.raises(ValueError, match="--ood"):
            refuse_reserved(condition.name, ("not_a_face", "unknown"))


def test_clean_splits_come_first_then_ood_sets_then_corruptions(tiny_faces):
    names = [condition.name for condition in plan(SETTINGS, tiny_faces)]
    clean = ["valid", "test", "not_a_face", "unknown"]
    assert names == [*clean, "valid_tolerance_zoom", "tolerance_zoom", "gnoise_1", "gnoise_5"]


def test_an_empty_ood_set_is_left_out(tiny_faces):
    empty = tiny_faces["unknown"].take(np.zeros(0, int))
    without = dataclasses.replace(tiny_faces, ood={**tiny_faces.ood, "unknown": empty})
    assert "unknown" not in [condition.name for condition in plan(SETTINGS, without)]


def test_valid_faces_are_corrupted_only_to_fit_routers(tiny_faces):
    fit = dataclasses.replace(SETTINGS, fit_corruptions=("blur",), fit_severities=(3,))
    assert [c.name for c in plan(fit, tiny_faces)][-1] == "valid_blur_3"
    names = [c.name for c in plan(SETTINGS, tiny_faces) if c.name.startswith("valid_")]
    assert names == ["valid_tolerance_zoom"]
