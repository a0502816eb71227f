"""Folders, patterns and archives are walked in order and lazily; what is missing is refused."""

import itertools
import os

import numpy as np
import pytest

from ferjax.serving import sources


def names(*paths):
    return [os.path.basename(item.path) for item in sources.items(paths)]


@pytest.fixture
def folder(tmp_path):
    for name in ("b.png", "a.JPG", "c.txt", "z/d.webp", "m/e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_a_folder_is_walked_in_order_of_names(folder):
    assert names(folder) == ["a.JPG", "b.png", "e.png", "d.webp"]
    assert names(folder / "z", folder / "b.png") == ["d.webp", "b.png"]


def test_a_pattern_takes_what_it_names_whatever_its_suffix(folder):
    assert names(f"{folder}/**/*.png") == ["b.png", "e.png"]
    assert names(f"{folder}/?.*") == ["a.JPG", "b.png", "c.txt"]
    (folder / "[1].png").touch()
    assert names(f"{folder}/[1].png") == ["[1].png"]


def test_a_folder_larger_than_a_block_comes_whole(folder, monkeypatch):
    monkeypatch.setattr(sources, "BLOCK", 2)
    assert sorted(names(folder)) == ["a.JPG", "b.png", "d.webp", "e.png"]


def test_links_to_folders_are_followed_but_not_round(folder):
    os.symlink("..", folder / "m" / "up")
    os.symlink("z", folder / "y")
    assert names(folder) == ["a.JPG", "b.png", "e.png", "d.webp", "d.webp"]


def test_nothing_is_read_before_it_is_asked_for(folder):
    np.savez(folder / "0.npz", images=np.arange(5 * 16 * 16, dtype=np.uint8).reshape(5, 16, 16))
    first = list(itertools.islice(sources.items([folder]), 2))
    assert [item.row for item in first] == [0, 1]


@pytest.mark.parametrize(
    "save, message",
    [
        (lambda path: np.savez(path, images=np.zeros((2, 20, 20), np.float32)), "must be uint8"),
        (lambda path: np.savez(path, images=np.zeros((2, 20), np.uint8)), "must be uint8"),
        (
            lambda path: np.savez(path, faces=np.zeros((2, 20, 20), np.uint8)),
            "no array 'images'; found faces",
        ),
        (
            lambda path: np.savez(path, images=np.asfortranarray(np.zeros((2, 20, 20), np.uint8))),
            "Fortran",
        ),
        (lambda path: path.write_bytes(b"PK no"), "unreadable .npz"),
        (lambda path: path.mkdir(), "not a regular file"),
        (lambda path: path.symlink_to("nowhere"), "no such file"),
    ],
)
def test_an_archive_that_cannot_be_read_says_why(tmp_path, save, message):
    path = tmp_path / "stack.npz"
    save(path)
    (item,) = sources._of_file(str(path))
    with pytest.raises(ValueError, match=message):
        item.load(48, None)


@pytest.mark.parametrize("compressed", [False, True])
def test_an_archive_gives_its_rows(tmp_path, rng, compressed):
    images = rng.integers(0, 255, (3, 48, 48), np.uint8)
    (np.savez_compressed if compressed else np.savez)(
        tmp_path / "stack.npz", images=images, other=np.ones(3)
    )
    got = np.stack([item.load(48, None)[0][1] for item in sources.items([tmp_path])])
    np.testing.assert_array_equal(got, images)


def test_a_damaged_archive_keeps_the_rows_before_the_damage(tmp_path, rng):
    path = tmp_path / "stack.npz"
    np.savez(path, images=rng.integers(0, 255, (50, 48, 48), np.uint8))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    items = list(sources.items([path]))
    assert [item.row for item in items[:-1]] == list(range(len(items) - 1)) and len(items) > 10
    with pytest.raises(ValueError, match="unreadable .npz"):
        items[-1].load(48, None)


@pytest.mark.parametrize(
    "paths, error, message",
    [
        ((), ValueError, "nothing to route"),
        (("-", "-"), ValueError, "twice"),
        (("absent.png",), FileNotFoundError, "no such file or folder: absent.png"),
        (("absent/*.png",), FileNotFoundError, "no file matches this pattern"),
        (("{empty}",), FileNotFoundError, "no picture in this folder"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, paths, error, message):
    with pytest.raises(error, match=message):
        sources.check([word.format(empty=tmp_path) for word in paths])
