"""A run's faces: splits that do not share a face, targets of the policy, and natural strangers."""

import dataclasses

import numpy as np
import pytest

from ferjax.faces import dataset, votes


def test_splits_share_no_face(tiny_faces):
    ids = np.concatenate([tiny_faces[name].ids for name in ("train", "valid", "test")])
    assert len(np.unique(ids)) == len(ids)
    assert (len(tiny_faces["train"].ids), len(tiny_faces["valid"].ids)) > (150, 30)


def test_every_kept_face_has_a_target_and_a_truth(tiny_faces):
    for name in ("train", "valid", "test"):
        faces = tiny_faces[name]
        np.testing.assert_allclose(faces.q.sum(1), 1, atol=1e-6)
        np.testing.assert_allclose(faces.q, votes.shares(faces.votes), atol=1e-6)
        assert faces.truth.shape == faces.q.shape
        assert not votes.not_a_face(faces.votes).any()


def test_strangers_are_what_people_could_not_name(tiny_faces):
    assert (tiny_faces["not_a_face"].votes[:, 9] >= 5).all()
    assert (tiny_faces["unknown"].votes[:, 8] >= 5).all()
    assert min(len(tiny_faces[name].ids) for name in ("not_a_face", "unknown")) > 0
    np.testing.assert_array_equal(tiny_faces["not_a_face"].q, 0)


def test_a_policy_changes_who_is_kept_and_the_target(tiny, tiny_faces):
    majority = dataset.load(dataclasses.replace(tiny.data, policy="majority"))
    assert set(np.unique(majority["train"].q)) == {0.0, 1.0}
    assert len(majority["train"].ids) < len(tiny_faces["train"].ids)


def test_rows_are_taken_together(tiny_faces):
    taken = tiny_faces["test"].take(np.array([4, 1]))
    for part, whole in zip(taken, tiny_faces["test"]):
        np.testing.assert_array_equal(part, whole[[4, 1]])


def test_twins_are_pixel_identical_pictures():
    images = np.arange(4 * 48 * 48).reshape(4, 48, 48).astype(np.uint8)
    images[1:3] += np.uint8(1)
    groups = dataset.duplicates(np.concatenate([images[:2], images[1:2], images[:1] + np.uint8(9)]))
    assert groups[1] == groups[2]
    assert len(np.unique(groups)) == 3


def test_a_missing_data_set_is_refused(tmp_path, tiny):
    with pytest.raises(FileNotFoundError, match="build one with"):
        dataset.load(dataclasses.replace(tiny.data, name="ferplus", path=str(tmp_path)))
