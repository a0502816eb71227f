"""Folders and .npz files as named sets of faces."""

import numpy as np
import pytest
from PIL import Image

from ferjax.faces import image_folders


@pytest.fixture
def draw(tmp_path, rng):
    def make(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (50, 40), np.uint8)).save(tmp_path / name)
        return tmp_path

    return make


def test_a_folder_is_a_set_of_strangers(draw):
    folder = draw("a.png", "deep/b.jpg")
    (folder / "broken.png").write_text("no picture")
    got = image_folders.read_set(folder)
    assert got.images.shape == (2, 48, 48)
    assert got.votes is None
    assert [(path.name, reason) for path, reason in got.unreadable] == [
        ("broken.png", "not an image")
    ]


def test_folders_named_by_expressions_are_labels(draw):
    got = image_folders.read_set(draw("Happy/1.png", "sadness/2.png", "sadness/more/3.png"))
    assert got.votes.argmax(1).tolist() == [1, 3, 3]
    assert (got.votes.sum(1) == 1).all()


@pytest.mark.parametrize(
    "names, message",
    [
        (("happy/1.png", "cats/2.png"), "folders happy are named by expressions, cats are not"),
        (("happy/1.png", "2.png"), "2.png lies beside the folders"),
    ],
)
def test_half_labelled_folders_are_refused(draw, names, message):
    with pytest.raises(ValueError, match=message):
        image_folders.read_set(draw(*names))


def test_arrays_bring_labels_or_votes(tmp_path, rng):
    images = rng.integers(0, 255, (3, 60, 60, 3), np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.array([0, 7, 2]))
    assert image_folders.read_set(tmp_path / "a.npz").votes.argmax(1).tolist() == [0, 7, 2]
    np.savez(tmp_path / "b.npz", images=images)
    assert image_folders.read_set(tmp_path / "b.npz").votes is None
    for changes, message in (
        ({"labels": np.array([0, 8, 1])}, "class numbers"),
        ({"votes": np.ones((2, 10))}, "2 rows of votes for 3 images"),
        ({"images": images / 255}, "must be uint8"),
    ):
        np.savez(tmp_path / "c.npz", **{"images": images, **changes})
        with pytest.raises(ValueError, match=message):
            image_folders.read_set(tmp_path / "c.npz")


def test_nothing_to_read_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder or file"):
        image_folders.read_set(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no picture in this folder"):
        image_folders.read_set(tmp_path)
    with pytest.raises(ValueError, match="expected NAME=FOLDER"):
        image_folders.parse("photos/cats")
