"""Panels and judges brought together: by ids, by texts, by names of classes."""

import dataclasses

import numpy as np
import pytest

from ferjax.evaluation.judgments.align import align
from ferjax.judgments import Judge
from ferjax.predictions import Predictions

CLASSES = ("joy", "anger", "fear", "neutral")
ITEMS = 240


def test_classes_and_items_are_matched_by_name(worlds):
    ratings, _, judgments, sides = worlds["single"]
    rows = np.random.default_rng(0).permutation(ITEMS)
    order = [2, 0, 3, 1]
    mixed = dataclasses.replace(
        judgments,
        ids=judgments.ids[rows],
        hashes=judgments.hashes[rows],
        asked=judgments.asked[:, rows],
        unparsed=judgments.unparsed[:, rows],
        counts=judgments.counts[:, rows][..., order],
        classes=tuple(CLASSES[k] for k in order),
    )
    np.testing.assert_array_equal(align(ratings, {"j": mixed}).shares, sides.shares)
    renamed = dataclasses.replace(mixed, ids=np.array([f"other {k}" for k in range(ITEMS)]))
    np.testing.assert_array_equal(align(ratings, {"j": renamed}).shares, sides.shares)


def test_a_network_is_one_judge_whose_distribution_is_known(worlds):
    ratings, truth, judgments, _ = worlds["single"]
    rows = np.arange(10, ITEMS)
    network = Predictions(
        log_probs=np.log(truth[None, rows]).astype(np.float32), ids=rows, classes=CLASSES
    )
    sides = align(ratings, {"j": judgments, "net": network})
    assert sides.names[-1] == "net"
    assert np.isinf(sides.answers[-1, 10:]).all() and (sides.answers[-1, :10] == 0).all()
    np.testing.assert_allclose(sides.shares[-1, 10:], truth[10:], atol=1e-5)
    assert "net: its ids were taken as row numbers of the panel" in sides.notes


def test_items_without_ratings_or_judgments_are_left_out(worlds):
    ratings, _, judgments, _ = worlds["single"]
    asked = judgments.asked.copy()
    asked[:, :7] = 0
    counts = judgments.counts.copy()
    counts[:, :7] = 0
    unparsed = judgments.unparsed.copy()
    unparsed[:, :7] = 0
    part = dataclasses.replace(judgments, asked=asked, counts=counts, unparsed=unparsed)
    sides = align(ratings, {"j": part})
    assert len(sides.ratings.ids) == ITEMS - 7
    assert sides.ratings.raters_of.tolist() == [5] * (ITEMS - 7)
    assert sides.notes == ("7 items of the panel left out: no judge answered",)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"ids": np.array([f"x{k}" for k in range(ITEMS)]), "hashes": None}, "none of its items"),
        ({"hashes": np.array(["0"] * ITEMS)}, "item t0: it judged another text than people rated"),
        ({"classes": ("joy", "anger", "fear", "glee")}, "it has no class neutral; it has joy"),
        ({"kind": "multi"}, "judgments of kind multi, people's ratings are single"),
    ],
)
def test_what_does_not_belong_together_is_refused(worlds, change, message):
    ratings, _, judgments, _ = worlds["single"]
    with pytest.raises(ValueError, match=f"j: .*{message}"):
        align(ratings, {"j": dataclasses.replace(judgments, **change)})


def test_a_judge_in_two_files_is_refused(worlds):
    ratings, _, judgments, _ = worlds["single"]
    other = dataclasses.replace(judgments, judges=(*judgments.judges[:3], Judge("other")))
    with pytest.raises(
        ValueError, match=r"judge 'right, t 0\.7' is there twice, in the files a, b"
    ):
        align(ratings, {"a": judgments, "b": other})
