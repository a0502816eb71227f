"""The file between wings: round trips, files from other frameworks, refusals, and never half a
file."""

import os

import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.files import write_atomically
from ferjax.predictions import Predictions


def some(faces=4, **changes):
    log_probs = np.log(np.random.default_rng(0).dirichlet(np.ones(8), (2, faces))).astype(
        np.float32
    )
    return Predictions(**{"log_probs": log_probs, "ids": np.arange(faces) + 10, **changes})


def test_round_trip_of_everything(tmp_path):
    given = some(
        votes=np.arange(40).reshape(4, 10),
        truth=np.eye(8)[:4],
        condition="gnoise_3",
        corruption="gnoise",
        severity=3,
        features={"trunk": np.ones((4, 5)), "head": np.zeros((2, 4, 3), np.float32)},
        scores={"density": np.arange(4.0)},
        groups=np.array([0, 0, 1, 2]),
    )
    given.save(tmp_path / "p.npz")
    got = Predictions.load(tmp_path / "p.npz")
    for name in ("log_probs", "ids", "votes", "truth"):
        np.testing.assert_array_equal(getattr(got, name), getattr(given, name))
    assert (got.condition, got.corruption, got.severity) == ("gnoise_3", "gnoise", 3)
    assert got.features.keys() == given.features.keys()
    np.testing.assert_array_equal(got.features["head"], given.features["head"])
    assert got.scores.keys() == {"density"}
    np.testing.assert_array_equal(got.scores["density"], given.scores["density"])
    np.testing.assert_array_equal(got.groups, given.groups)
    assert os.listdir(tmp_path) == ["p.npz"]


def test_what_is_absent_stays_absent(tmp_path):
    some(condition="valid").save(tmp_path / "p.npz")
    got = Predictions.load(tmp_path / "p.npz")
    assert (got.votes, got.truth, got.corruption, got.severity, got.groups) == (
        None,
        None,
        None,
        None,
        None,
    )
    assert (dict(got.features), dict(got.scores)) == ({}, {})


def test_bare_log_probs_of_another_framework_are_enough(tmp_path):
    np.savez(tmp_path / "strangers.npz", log_probs=some().log_probs)
    got = Predictions.load(tmp_path / "strangers.npz")
    assert got.condition == "strangers"
    np.testing.assert_array_equal(got.ids, np.arange(4))


def test_impossible_classes_are_log_probabilities_too(tmp_path):
    some(log_probs=np.asarray(jnp.log(jnp.eye(8)[None, :4]))).save(tmp_path / "p.npz")
    assert np.isneginf(Predictions.load(tmp_path / "p.npz").log_probs).sum() == 28


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"log_probs": np.zeros((4, 8))}, r"log_probs must be \[member, face, class\]"),
        ({"log_probs": np.zeros((2, 4, 8))}, "member 0, face 0 sum to 8"),
        (
            {
                "log_probs": np.where(
                    np.arange(4) == 3, np.nan, some().log_probs.transpose(0, 2, 1)
                ).transpose(0, 2, 1)
            },
            "face 3 sum to nan",
        ),
        ({"ids": np.arange(3)}, r"ids must be \[face\] \(4,\), got \(3,\)"),
        ({"votes": np.ones((3, 10))}, "votes must have one row for each of 4 faces"),
        ({"truth": np.ones(4)}, "truth must have one row"),
        ({"features": {"trunk": np.ones((3, 5))}}, "features 'trunk'"),
        ({"features": {"trunk": np.ones(4)}}, "features 'trunk'"),
        (
            {"scores": {"density": np.ones(3)}},
            r"scores 'density' must be \[face\] \(4,\), got \(3,\)",
        ),
        ({"groups": np.zeros((4, 1), int)}, r"groups must be \[face\]"),
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


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "p.npz"
    write_atomically(path, b"old")

    def full_disk(_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_atomically(path, b"new and longer")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["p.npz"]
