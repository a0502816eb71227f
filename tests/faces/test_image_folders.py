"""Folders and .npz files as named sets of faces."""

import numpy as np
import pytest
from PIL import Image

from ferjax.faces import image_folders
from ferjax.faces.ferplus import CLASSES
from ferjax.faces.spec import DataSpec


def read_set(path, classes=CLASSES, side=48):
    return image_folders.read_set(path, DataSpec(tuple(classes), side))


@pytest.fixture
def draw(tmp_path, rng):
    def make(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (50, 40), np.uint8)).save(tmp_path / name)
        return tmp_path

    return make


def test_a_folder_is_an_unlabelled_set(draw):
    folder = draw("a.png", "deep/b.jpg")
    (folder / "broken.png").write_text("no picture")
    got = read_set(folder)
    assert got.images.shape == (2, 48, 48)
    assert got.votes is None
    assert got.abstentions is None
    assert [(path.name, reason) for path, reason in got.unreadable] == [
        ("broken.png", "not an image")
    ]
    assert read_set(folder, side=32).images.shape == (2, 32, 32)


def test_folders_named_by_expressions_are_labels(draw):
    got = read_set(draw("Happy/1.png", "sadness/2.png", "sadness/more/3.png"))
    assert got.votes.argmax(1).tolist() == [1, 3, 3]
    assert got.votes.shape == (3, 8)
    assert (got.votes.sum(1) == 1).all()


def test_labels_are_of_the_classes_that_are_given(draw):
    folder = draw("Happiness/1.png", "Bored/2.png")
    got = read_set(folder, classes=("bored", "happy", "sad"))
    assert got.votes.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert read_set(folder, classes=("cat", "dog")).votes is None


@pytest.mark.parametrize(
    "names, message",
    [
        (("happy/1.png", "cats/2.png"), "folders happy are named after classes, cats are not"),
        (("happy/1.png", "2.png"), "2.png lies beside the folders"),
    ],
)
def test_half_labelled_folders_are_refused(draw, names, message):
    with pytest.raises(ValueError, match=message):
        read_set(draw(*names))


def test_arrays_bring_labels_or_votes(tmp_path, rng):
    images = rng.integers(0, 255, (3, 60, 60, 3), np.uint8)

    def read(**arrays):
        np.savez(tmp_path / "a.npz", **{"images": images, **arrays})
        return read_set(tmp_path / "a.npz")

    labelled = read(labels=np.array([0, 7, 2]))
    assert labelled.votes.argmax(1).tolist() == [0, 7, 2]
    assert (labelled.votes.sum(1) == 1).all()
    assert read().votes is None

    counts = rng.integers(0, 10, (3, 10))
    voted = read(votes=counts[:, :8])
    np.testing.assert_array_equal(voted.votes, counts[:, :8])
    assert voted.abstentions is None
    for apart in (
        read(votes=counts[:, :8], abstentions=counts[:, 8:]),
        read(votes=counts),  # FER+'s ten columns
    ):
        np.testing.assert_array_equal(apart.votes, counts[:, :8])
        np.testing.assert_array_equal(apart.abstentions, counts[:, 8:])

    for changes, message in (
        ({"labels": np.array([0, 8, 1])}, "a.npz: labels must be .* class numbers 0..7"),
        ({"votes": np.ones((2, 8))}, "a.npz: 2 rows of votes for 3 images"),
        ({"votes": np.ones((3, 7))}, r"votes must be \[face, 8\], got \(3, 7\)"),
        ({"votes": np.full((3, 8), -1)}, "votes row 0: expected whole counts"),
        (
            {"votes": np.ones((3, 8)), "abstentions": np.ones((2, 2))},
            r"abstentions must be \[face, kind\] of 3, got \(2, 2\)",
        ),
        ({"images": images / 255}, "must be uint8"),
    ):
        with pytest.raises(ValueError, match=message):
            read(**changes)


def test_nothing_to_read_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder or file"):
        read_set(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no picture in this folder"):
        read_set(tmp_path)
    (tmp_path / "bad.npz").write_bytes(b"PK no")
    with pytest.raises(ValueError, match="bad.npz: .* damaged"):
        read_set(tmp_path / "bad.npz")
    with pytest.raises(ValueError, match="expected NAME=FOLDER"):
        image_folders.parse("photos/cats")
