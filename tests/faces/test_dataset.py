"""A run's data set: disjoint splits, targets of the label filter, out-of-distribution sets."""

import dataclasses
import json

import numpy as np
import pytest

from ferjax import votes
from ferjax.faces import dataset, ferplus


def test_splits_share_no_face(tiny_faces):
    ids = np.concatenate([tiny_faces[name].ids for name in ("train", "valid", "test")])
    assert len(np.unique(ids)) == len(ids)
    assert (len(tiny_faces["train"].ids), len(tiny_faces["valid"].ids)) > (150, 30)


def test_every_kept_face_has_a_target_and_a_truth(tiny_faces):
    for name in ("train", "valid", "test"):
        faces = tiny_faces[name]
        np.testing.assert_allclose(faces.q.sum(1), 1, atol=1e-6)
        np.testing.assert_allclose(faces.q, votes.distribution(faces.votes), atol=1e-6)
        assert faces.truth.shape == faces.q.shape
        assert not ferplus.not_a_face(faces.abstentions).any()


def test_out_of_distribution_sets_are_what_annotators_could_not_name(tiny_faces):
    assert (tiny_faces["not_a_face"].abstentions[:, 1] >= 5).all()
    assert (tiny_faces["unknown"].abstentions[:, 0] >= 5).all()
    assert set(tiny_faces.ood) == {"not_a_face", "unknown"}
    assert min(len(faces.ids) for faces in tiny_faces.ood.values()) > 0
    np.testing.assert_array_equal(tiny_faces["not_a_face"].q, 0)


def test_a_data_set_knows_its_classes_and_its_parts(tiny_faces):
    assert tiny_faces.spec == ferplus.SPEC
    assert set(tiny_faces.splits) == {"train", "valid", "test"}
    for name in ("train", "valid", "test"):
        faces = tiny_faces[name]
        assert faces is tiny_faces.splits[name]
        assert faces.images.shape[1:] == (tiny_faces.spec.side,) * 2
        assert faces.votes.shape == faces.q.shape == (len(faces.ids), len(tiny_faces.spec.classes))
    with pytest.raises(KeyError, match="'dev'; known: .*train, valid, test"):
        tiny_faces["dev"]


def test_a_specification_survives_json_and_refuses_nonsense():
    spec = dataset.DataSpec(("cat", "dog", "cow"), 64)
    assert dataset.DataSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    for classes, side, message in (
        (("cat",), 48, "two or more different classes"),
        (("cat", "cat"), 48, "two or more different classes"),
        (("cat", "dog"), 0, "at least 1 pixel"),
    ):
        with pytest.raises(ValueError, match=message):
            dataset.DataSpec(classes, side)
    for values, message in (
        ({"side": 48}, "expected classes as a list of names, got None"),
        ({"classes": "cat", "side": 48}, "expected classes as a list"),
        ({"classes": ["cat", "dog"], "side": "48"}, "expected side as a whole number"),
    ):
        with pytest.raises(ValueError, match=message):
            dataset.DataSpec.from_json(values)


def test_other_classes_colours_and_sides_fit_the_types(monkeypatch, tiny):
    """A data set of three classes in colour, without abstentions, truth or FER+'s columns."""
    spec = dataset.DataSpec(("cat", "dog", "cow"), 5, colour=True)

    def read():
        counts = np.array([[3, 0, 0], [1, 1, 1], [0, 0, 0]])
        images = np.zeros((3, 5, 5, 3), np.uint8)
        return {
            name: dataset.Faces(images, counts, 3 * i + np.arange(3), np.zeros((3, 3), np.float32))
            for i, name in enumerate(("train", "valid", "test"))
        }

    def targets(counts, abstentions, label_filter):
        assert abstentions.shape == (3, 0)
        return ferplus.Targets(counts.sum(1) > 0, votes.distribution(counts).astype(np.float32))

    source = dataset.Source(spec, read(), targets, {})
    monkeypatch.setitem(dataset.SOURCES, "synthetic", lambda config: source)
    loaded = dataset.load(tiny.data)
    assert loaded.spec == spec and loaded.ood == {}
    assert loaded["train"].ids.tolist() == [0, 1]
    assert loaded["test"].images.shape == (2, 5, 5, 3)
    np.testing.assert_allclose(loaded["test"].q, [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]], atol=1e-7)


def test_a_label_filter_changes_who_is_kept_and_the_target(tiny, tiny_faces):
    majority = dataset.load(dataclasses.replace(tiny.data, policy="majority"))
    assert set(np.unique(majority["train"].q)) == {0.0, 1.0}
    assert len(majority["train"].ids) < len(tiny_faces["train"].ids)


def test_rows_are_taken_together(tiny_faces):
    taken = tiny_faces["test"].take(np.array([4, 1]))
    assert all(part is not None for part in taken)
    for part, whole in zip(taken, tiny_faces["test"]):
        np.testing.assert_array_equal(part, whole[[4, 1]])


def test_duplicates_are_pixel_identical_pictures():
    images = np.arange(4 * 48 * 48).reshape(4, 48, 48).astype(np.uint8)
    images[1:3] += np.uint8(1)
    groups = dataset.duplicates(np.concatenate([images[:2], images[1:2], images[:1] + np.uint8(9)]))
    assert groups[1] == groups[2]
    assert len(np.unique(groups)) == 3


def test_duplicates_of_held_out_faces_leave_the_training_split(monkeypatch, tiny):
    drawn = dataset.SOURCES["synthetic"](tiny.data)
    copied = drawn.splits["train"].images.copy()
    copied[:20] = drawn.splits["test"].images[:20]
    splits = {**drawn.splits, "train": drawn.splits["train"]._replace(images=copied)}
    source = drawn._replace(splits=splits)
    monkeypatch.setitem(dataset.SOURCES, "synthetic", lambda config: source)
    all_faces = dataset.load(tiny.data)
    fewer = dataset.load(dataclasses.replace(tiny.data, deduplicate=True))
    gone = np.setdiff1d(all_faces["train"].ids, fewer["train"].ids)
    copies = np.arange(20)[np.isin(240 + np.arange(20), all_faces["test"].ids)]
    assert gone.tolist() == np.intersect1d(copies, all_faces["train"].ids).tolist()
    assert len(gone) > 10
    for name in ("valid", "test"):
        np.testing.assert_array_equal(fewer[name].ids, all_faces[name].ids)


def test_a_split_without_a_face_is_refused(monkeypatch, tiny):
    keep_none = dataset.SOURCES["synthetic"](tiny.data)._replace(
        targets=lambda counts, abstentions, label_filter: ferplus.Targets(
            np.zeros(len(counts), bool), np.zeros(counts.shape, np.float32)
        )
    )
    monkeypatch.setitem(dataset.SOURCES, "synthetic", lambda config: keep_none)
    with pytest.raises(ValueError, match="split train has no face left under label filter 'paper'"):
        dataset.load(tiny.data)


def test_a_missing_data_set_is_refused(tmp_path, tiny):
    with pytest.raises(FileNotFoundError, match="build one with"):
        dataset.load(dataclasses.replace(tiny.data, name="ferplus", path=str(tmp_path)))
