"""Pictures that are none, are more than they seem, or are darker than they were meant."""

import os
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

from ferjax.faces import image_files, image_folders, upright
from ferjax.faces.pixel_budget import PixelBudget
from ferjax.faces.spec import DataSpec
from ferjax.serving import sources


@pytest.mark.parametrize("kind", ["EPS", "PDF", "ICO", "PCX", "TGA", "SGI", "IM"])
def test_only_named_formats_are_opened(tmp_path, monkeypatch, kind, rng):
    """Whatever a file is called; an EPS would start an interpreter of PostScript."""
    import subprocess

    def never(*args, **more):
        raise AssertionError("a program was started")

    picture = Image.fromarray(rng.integers(0, 255, (64, 64), np.uint8))
    picture.save(tmp_path / "photo", kind)
    (tmp_path / "photo").rename(tmp_path / "photo.jpg")
    monkeypatch.setattr(subprocess, "Popen", never)
    with pytest.raises(ValueError, match="not an image"):
        image_files.read(tmp_path / "photo.jpg", 48)


def test_a_picture_that_needs_another_package_is_counted_and_told(tmp_path, rng, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    Image.fromarray(rng.integers(0, 255, (64, 64), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "b.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    found = image_folders.read_set(tmp_path, DataSpec(("a", "b"), 48))
    assert len(found.images) == 1
    ((name, reason),) = found.unreadable
    assert str(name).endswith("b.HEIC") and "needs pillow-heif" in reason
    assert [os.path.basename(item.path) for item in sources.items([tmp_path])] == [
        "a.png",
        "b.HEIC",
    ]


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_deep_gray_has_the_brightness_of_its_own_range(tmp_path, rng, bits):
    gray = rng.integers(0, 256, (64, 64)).astype(np.uint8)
    gray[0, 0] = 255
    deep = np.round(gray / 255 * (2**bits - 1)).astype(np.uint16)
    Image.fromarray(gray).save(tmp_path / "gray.png")
    Image.fromarray(deep).save(tmp_path / "deep.png")
    ((fields, face),) = image_files.read(tmp_path / "deep.png", 48)
    expected = image_files.read(tmp_path / "gray.png", 48)[0][1]
    assert np.abs(face.astype(int) - expected).max() <= 1
    assert ("note" in fields) == (bits < 16)


def test_a_file_that_says_its_bits_is_believed(tmp_path):
    """A dark picture of 16 bits stays dark where PNG's sBIT says that all of them count."""
    import struct
    import zlib

    Image.fromarray(np.full((32, 32), 200, np.uint16)).save(tmp_path / "dark.png")
    data = (tmp_path / "dark.png").read_bytes()
    chunk = b"sBIT" + bytes([16])
    chunk = struct.pack(">I", 1) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "dark.png").write_bytes(data[:33] + chunk + data[33:])
    ((fields, face),) = image_files.read(tmp_path / "dark.png", 48)
    assert fields == {} and face.max() <= 1


def test_large_pictures_are_converted_in_bands_to_the_same_pixels(tmp_path, rng, monkeypatch):
    colour = rng.integers(0, 255, (90, 70, 4), np.uint8)
    Image.fromarray(colour, "RGBA").save(tmp_path / "a.png")
    paletted = Image.fromarray(colour[..., :3]).convert("P")
    paletted.save(tmp_path / "b.png", transparency=3)
    whole = [image_files.read_picture(tmp_path / f"{n}.png") for n in "ab"]
    monkeypatch.setattr(upright, "_BAND", 700)
    for name, expected in zip("ab", whole):
        np.testing.assert_array_equal(image_files.read_picture(tmp_path / f"{name}.png"), expected)


def test_pixels_in_flight_are_bounded_over_threads():
    budget = PixelBudget(10)
    most = 0
    held = 0
    guard = threading.Lock()

    def decode():
        nonlocal most, held
        with budget.claim(4):
            with guard:
                held += 4
                most = max(most, held)
            time.sleep(0.002)
            with guard:
                held -= 4

    threads = [threading.Thread(target=decode) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 8
    with budget.claim(10**9):  # more than there is takes all there is
        pass
    dropped = budget.claim(10)
    del dropped
    assert budget.claim(10) is not None


def test_labels_are_found_at_any_depth(tmp_path, rng):
    for name in ("train/happy/1.png", "test/sad/2.png", ".ipynb_checkpoints/happy/3.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.fromarray(rng.integers(0, 255, (50, 40), np.uint8)).save(tmp_path / name)
    classes = ("happiness", "sadness")
    got = image_folders.read_set(tmp_path, DataSpec(classes, 48))
    assert got.votes.tolist() == [[0, 1], [1, 0]]
    assert "happiness 1, sadness 1" in got.notes[0]
    (tmp_path / "test" / "bored").mkdir()
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "test" / "bored" / "4.png")
    with pytest.raises(ValueError, match=r"bored are not \(1 pictures\).*--folder-classes bored="):
        image_folders.read_set(tmp_path, DataSpec(classes, 48))
    skipped = image_folders.read_set(tmp_path, DataSpec(classes, 48), {"bored": image_folders.SKIP})
    assert len(skipped.images) == 2 and "1 pictures skipped" in skipped.notes[1]
    mapped = image_folders.read_set(tmp_path, DataSpec(classes, 48), {"bored": "sad"})
    assert mapped.votes.sum(0).tolist() == [1, 2]
