"""The file of predictions: round trips, files of version 0.1.0 and others, and refusals."""

import dataclasses
import json
import os

import numpy as np
import pytest

from ferjax.predictions import SPLITS, Predictions

CLASSES = tuple("abcdefgh")


def some(items=4, **changes):
    draw = np.random.default_rng(0).dirichlet(np.ones(8), (2, items))
    given = {"log_probs": np.log(draw).astype(np.float32), "ids": np.arange(items) + 10}
    return Predictions(**given | changes)


def written(tmp_path, name="p", **arrays):
    """What is read from a file of these arrays; a ``meta`` that is no text becomes JSON."""
    if "meta" in arrays:
        arrays["meta"] = np.array(json.dumps(arrays["meta"]))
    np.savez(tmp_path / f"{name}.npz", **{"log_probs": some().log_probs} | arrays)
    return Predictions.load(tmp_path / f"{name}.npz")


def test_round_trip_of_everything(tmp_path):
    given = some(
        votes=np.arange(32).reshape(4, 8),
        truth=np.eye(8)[:4],
        condition="valid_gnoise_3",
        corruption="gnoise",
        severity=3,
        features={"trunk": np.ones((4, 5)), "head": np.zeros((2, 4, 3), np.float32)},
        scores={"density": np.arange(4.0)},
        groups=np.array([0, 0, 1, 2]),
        split="valid",
        abstentions=np.arange(8).reshape(4, 2),
        classes=CLASSES,
        log_concentration=np.array([[0.5, -3.0, np.inf, 2.0]] * 2, np.float32),
        passes=2,
    )
    given.save(tmp_path / "p.npz")
    got = Predictions.load(tmp_path / "p.npz")
    for field in dataclasses.fields(Predictions):
        before = getattr(given, field.name)
        after = getattr(got, field.name)
        if isinstance(before, dict):
            assert after.keys() == before.keys()
            for name, array in before.items():
                np.testing.assert_array_equal(after[name], array, err_msg=name)
        elif isinstance(before, np.ndarray):
            np.testing.assert_array_equal(after, before, err_msg=field.name)
        else:
            assert after == before, field.name
    assert os.listdir(tmp_path) == ["p.npz"]


def test_what_is_absent_stays_absent(tmp_path):
    some(condition="valid", split="valid").save(tmp_path / "p.npz")
    got = Predictions.load(tmp_path / "p.npz")
    absent = ("votes", "truth", "corruption", "severity", "groups", "abstentions", "classes")
    absent += ("log_concentration",)
    assert [name for name in absent if getattr(got, name) is not None] == []
    assert (dict(got.features), dict(got.scores)) == ({}, {})


@pytest.mark.parametrize("split", SPLITS)
def test_the_split_is_what_the_file_says_whatever_the_condition_is_called(tmp_path, split):
    for condition in ("test", "valid", "valid_blur_3", "other"):
        some(condition=condition, split=split, corruption="blur").save(tmp_path / "p.npz")
        got = Predictions.load(tmp_path / "p.npz")
        assert (got.condition, got.split) == (condition, split)


def test_bare_log_probs_of_another_framework_are_enough(tmp_path):
    got = written(tmp_path, "elsewhere")
    assert (got.condition, got.split) == ("elsewhere", "ood")
    np.testing.assert_array_equal(got.ids, np.arange(4))
    assert written(tmp_path, "test").split == "test"
    assert written(tmp_path, "valid").split == "valid"


@pytest.mark.parametrize(
    "condition, corruption, severity, split",
    [
        ("test", None, None, "test"),
        ("valid", None, None, "valid"),
        ("gnoise_5", "gnoise", 5, "test"),
        ("valid_blur_3", "blur", 3, "valid"),
        ("not_a_face", None, None, "ood"),
        ("unknown", None, None, "ood"),
        ("valid_looking", None, None, "ood"),
        ("testing", None, None, "ood"),
    ],
)
def test_files_of_version_0_1_0_are_read(tmp_path, condition, corruption, severity, split):
    """Ten columns of votes, no split, no class names, and the density score's old name."""
    votes = np.arange(40).reshape(4, 10)
    got = written(
        tmp_path,
        ids=np.arange(4),
        votes=votes,
        truth=np.eye(8)[:4],
        meta={"condition": condition, "corruption": corruption, "severity": severity},
        scores_unfamiliarity=np.arange(4.0),
        scores_texture=np.ones(4),
    )
    assert (got.condition, got.corruption, got.severity) == (condition, corruption, severity)
    assert got.split == split
    np.testing.assert_array_equal(got.votes, votes[:, :8])
    np.testing.assert_array_equal(got.abstentions, votes[:, 8:])
    assert got.classes is None
    assert got.scores.keys() == {"ood_density", "texture"}
    np.testing.assert_array_equal(got.scores["ood_density"], np.arange(4.0))
    got.save(tmp_path / "again.npz")
    again = Predictions.load(tmp_path / "again.npz")
    assert (again.split, again.scores.keys()) == (split, got.scores.keys())
    np.testing.assert_array_equal(again.abstentions, votes[:, 8:])


def test_votes_of_the_classes_alone_have_no_abstentions(tmp_path):
    votes = np.arange(32).reshape(4, 8)
    got = written(tmp_path, votes=votes)
    np.testing.assert_array_equal(got.votes, votes)
    assert got.abstentions is None


def test_impossible_classes_are_log_probabilities_too(tmp_path):
    with np.errstate(divide="ignore"):
        some(log_probs=np.log(np.eye(8)[None, :4])).save(tmp_path / "p.npz")
    assert np.isneginf(Predictions.load(tmp_path / "p.npz").log_probs).sum() == 28


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"log_probs": np.zeros((4, 8))}, r"log_probs must be \[member, item, class\]"),
        ({"log_probs": np.zeros((2, 4, 8))}, "member 0, item 0 sum to 8"),
        (
            {
                "log_probs": np.where(
                    np.arange(4) == 3, np.nan, some().log_probs.transpose(0, 2, 1)
                ).transpose(0, 2, 1)
            },
            "item 3 sum to nan",
        ),
        ({"ids": np.arange(3)}, r"ids must be \[item\] \(4,\), got \(3,\)"),
        ({"votes": np.ones((3, 8))}, r"votes must have one row for each of 4 items, got \(3, 8\)"),
        ({"votes": np.ones((4, 10))}, "votes must have a column for each of the 8 classes"),
        ({"truth": np.ones((4, 7))}, "truth must have a column for each of the 8 classes"),
        ({"abstentions": np.ones(4)}, "abstentions must have one row for each of 4 items"),
        ({"abstentions": np.ones((5, 2))}, "abstentions must have one row for each of 4 items"),
        ({"classes": CLASSES[:7]}, r"7 class names \(a, b.* for log_probs of 8 classes"),
        ({"split": "train"}, "split must be one of test, valid, ood, got 'train'"),
        ({"truth": np.ones(4)}, "truth must have one row"),
        ({"features": {"trunk": np.ones((3, 5))}}, "features 'trunk'"),
        ({"features": {"trunk": np.ones(4)}}, "features 'trunk'"),
        (
            {"scores": {"density": np.ones(3)}},
            r"scores 'density' must be \[item\] \(4,\), got \(3,\)",
        ),
        ({"groups": np.zeros((4, 1), int)}, r"groups must be \[item\]"),
        (
            {"log_concentration": np.ones((2, 3))},
            r"log_concentration must be floating point \[member, item\] \(2, 4\), got .* \(2, 3\)",
        ),
        ({"log_concentration": np.ones(4)}, r"got float64 \(4,\)"),
        ({"log_concentration": np.ones((2, 4), int)}, r"got int64 \(2, 4\)"),
        (
            {"log_concentration": np.array([[0.0] * 4, [0.0, 0.0, np.nan, 0.0]])},
            "log_concentration of member 1, item 2 is nan",
        ),
        (
            {"log_concentration": np.array([[0.0, -np.inf, 0.0, 0.0]] * 2)},
            "log_concentration of member 0, item 1 is -inf",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        some(**changes)


def _write(path, kind):
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("log_probs 0.1 0.2")
    elif kind == "truncated":
        some().save(path)
        path.write_bytes(path.read_bytes()[:-200])
    elif kind == "damaged":
        np.savez_compressed(path, log_probs=some(50).log_probs)
        data = bytearray(path.read_bytes())
        data[200:260] = bytes(60)
        path.write_bytes(data)
    elif kind == "one array":
        with open(path, "wb") as file:
            np.save(file, some().log_probs)
    elif kind == "pickled":
        np.savez(path, log_probs=np.array([{}], object))
    elif kind == "other arrays":
        np.savez(path, logits=np.ones((2, 4, 8)))
    elif kind == "logits":
        np.savez(path, log_probs=np.ones((2, 4, 8)))
    elif kind == "flat":
        np.savez(path, log_probs=np.ones(8))
    elif kind == "meta":
        np.savez(path, log_probs=some().log_probs, meta=np.array("{condition"))
    elif kind == "meta list":
        np.savez(path, log_probs=some().log_probs, meta=np.array("[1]"))
    else:
        np.savez(path, log_probs=some().log_probs, meta=np.array(kind))


@pytest.mark.parametrize(
    "kind",
    [
        "empty",
        "text",
        "truncated",
        "damaged",
        "one array",
        "pickled",
        "other arrays",
        "logits",
        "flat",
        "meta",
        "meta list",
        '{"split": "train"}',
        '{"split": 3}',
        '{"condition": ["test"]}',
        '{"corruption": 3}',
        '{"classes": "abcdefgh"}',
        '{"classes": 8}',
        '{"classes": [1, 2, 3, 4, 5, 6, 7, 8]}',
        '{"classes": ["a", "b"]}',
    ],
)
def test_files_that_are_no_predictions_are_refused_by_name(tmp_path, kind):
    path = tmp_path / "p.npz"
    _write(path, kind)
    with pytest.raises(ValueError, match=r"p\.npz: "):
        Predictions.load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Predictions.load(tmp_path / "nowhere.npz")


def test_passes_belong_to_members(tmp_path):
    assert written(tmp_path).passes == 1
    assert written(tmp_path, meta={"passes": 2}).passes == 2
    with pytest.raises(ValueError, match="2 members, no multiple of the 3 passes of each"):
        written(tmp_path, meta={"passes": 3})
    for wrong in (0, 1.5, "2", True):
        with pytest.raises(ValueError, match="passes must be a whole number, at least 1, got"):
            written(tmp_path, meta={"passes": wrong})
