"""Image files: every kind of picture is read as it looks; what is none is refused, saying why."""

import os
import sys
import types

import matplotlib
import numpy as np
import pytest
from PIL import Image

from ferjax.faces import image_files
from ferjax.faces.detection import haar_finder


@pytest.fixture
def gray(rng):
    """A smooth picture without symmetry, 64 x 64."""
    small = Image.fromarray(rng.integers(0, 255, (5, 5), np.uint8))
    return np.asarray(small.resize((64, 64), Image.Resampling.BICUBIC))


def face(path):
    ((fields, face),) = image_files.read(path, 48)
    assert fields == {} and face.dtype == np.uint8 and face.shape == (48, 48)
    return face.astype(int)


@pytest.fixture
def expected(gray, tmp_path):
    Image.fromarray(gray).save(tmp_path / "expected.png")
    return face(tmp_path / "expected.png")


def as_colour(gray):
    return Image.fromarray(np.stack([gray] * 3, axis=-1))


def as_cmyk(gray):
    return Image.fromarray(np.stack([*[np.zeros_like(gray)] * 3, 255 - gray], axis=-1), mode="CMYK")


def as_palette(gray):
    return Image.fromarray(gray).convert("P")


def as_float(gray):
    return Image.fromarray(gray.astype(np.float32) / 255)


@pytest.mark.parametrize(
    "name, make, tolerance",
    [
        ("rgb.png", as_colour, 0),
        ("rgb.bmp", as_colour, 0),
        ("rgb.jpg", as_colour, 12),
        ("rgb.webp", as_colour, 12),
        ("palette.gif", as_palette, 0),
        ("deep.png", lambda gray: Image.fromarray(gray.astype(np.uint16) * 257), 1),
        ("deep.tif", lambda gray: Image.fromarray(gray.astype(np.uint16) * 257), 1),
        ("deep.pgm", lambda gray: Image.fromarray(gray.astype(np.int32) * 257), 1),
        ("float.tif", as_float, 1),
        ("cmyk.jpg", as_cmyk, 12),
        ("cmyk.tif", as_cmyk, 0),
        ("opaque.png", lambda gray: as_colour(gray).convert("RGBA"), 0),
        ("gray_alpha.png", lambda gray: Image.fromarray(gray).convert("LA"), 0),
    ],
)
def test_every_kind_of_picture_is_seen_as_it_looks(gray, expected, tmp_path, name, make, tolerance):
    make(gray).save(tmp_path / name)
    assert np.abs(face(tmp_path / name) - expected).max() <= tolerance


def test_what_is_transparent_is_white(gray, tmp_path):
    """Under a hidden pixel anything may lie; nobody sees it."""
    seen = gray.copy()
    seen[:, :32] = 255
    layers = np.stack([gray] * 3 + [np.full_like(gray, 255)], axis=-1)
    layers[:, :32, 3] = 0
    Image.fromarray(layers).save(tmp_path / "cut.png")
    Image.fromarray(seen).save(tmp_path / "seen.png")
    np.testing.assert_array_equal(face(tmp_path / "cut.png"), face(tmp_path / "seen.png"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_stands_upright(gray, expected, tmp_path, orientation):
    """Stored as EXIF orientation n says, it is turned back to what was photographed."""
    stored = {
        1: gray,
        2: gray[:, ::-1],
        3: gray[::-1, ::-1],
        4: gray[::-1],
        5: gray.T,
        6: np.rot90(gray, 1),
        7: gray[::-1, ::-1].T,
        8: np.rot90(gray, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(face(tmp_path / "turned.png"), expected)


def test_an_animation_is_its_first_frame(gray, expected, tmp_path):
    frames = [Image.fromarray(g) for g in (gray, 255 - gray)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:], lossless=True)
    for name in ("moving.gif", "moving.webp"):
        assert np.abs(face(tmp_path / name) - expected).max() <= 1


def test_the_face_is_the_central_square(tmp_path):
    wide = np.zeros((60, 180), np.uint8)
    wide[:, 60:120] = 200
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert face(tmp_path / "wide.png")[:, 2:-2].min() == 200


def test_a_large_photograph_gives_the_same_face_as_a_small_one(gray, expected, tmp_path):
    """JPEGs are decoded small; the face must not depend on it."""
    Image.fromarray(gray).resize((1600, 1600), Image.Resampling.BICUBIC).save(
        tmp_path / "large.jpg", quality=95
    )
    assert np.abs(face(tmp_path / "large.jpg") - expected).mean() < 3


@pytest.mark.parametrize("side", [20, 48, 96])
def test_a_face_has_the_side_that_is_asked_for(gray, tmp_path, side):
    Image.fromarray(gray).save(tmp_path / "gray.png")
    ((_, read),) = image_files.read(tmp_path / "gray.png", side)
    ((_, taken),) = image_files.faces_of_array(gray, side)
    wanted = image_files.from_array(gray, side)
    assert wanted.shape == (side, side)
    np.testing.assert_array_equal(read, wanted)
    np.testing.assert_array_equal(taken, wanted)


def test_a_picture_to_look_at_keeps_its_colours(gray, tmp_path):
    colour = np.stack([gray, gray[::-1], gray[:, ::-1]], axis=-1)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = np.ascontiguousarray(np.rot90(colour))
    Image.fromarray(turned).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(image_files.read_picture(tmp_path / "turned.png"), colour)
    Image.fromarray(gray).save(tmp_path / "gray.png")
    three = image_files.read_picture(tmp_path / "gray.png")
    np.testing.assert_array_equal(three, np.stack([gray] * 3, axis=-1))
    with pytest.raises(ValueError, match="no such file"):
        image_files.read_picture(tmp_path / "absent.png")


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("empty.png", b"", "not an image"),
        ("text.png", b"hello", "not an image"),
        ("cut.png", "half", "damaged or unreadable"),
        ("cut.jpg", "half", "damaged or unreadable"),
        ("noise.tif", b"II*\0" + bytes(range(200)), "(not an image|damaged or unreadable)"),
    ],
)
def test_what_is_no_picture_says_why(gray, tmp_path, name, content, message):
    path = tmp_path / name
    if content == "half":
        Image.fromarray(gray).save(path)
        content = path.read_bytes()[: path.stat().st_size // 2]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        image_files.read(path, 48)


def test_what_is_no_file_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    for name, message in (
        ("pipe.png", "not a regular file"),
        ("folder.png", "a folder"),
        ("absent.png", "no such file"),
    ):
        with pytest.raises(ValueError, match=message):
            image_files.read(tmp_path / name, 48)


def test_pictures_too_small_or_not_finite_are_refused(tmp_path):
    Image.fromarray(np.zeros((15, 400), np.uint8)).save(tmp_path / "thin.png")
    with pytest.raises(ValueError, match="400 x 15 pixels; at least 16 x 16"):
        image_files.read(tmp_path / "thin.png", 48)
    not_finite = np.full((32, 32), np.nan, np.float32)
    Image.fromarray(not_finite).save(tmp_path / "nan.tif")
    with pytest.raises(ValueError, match="not finite"):
        image_files.read(tmp_path / "nan.tif", 48)


def test_boxes_are_told_in_the_upright_picture_at_full_size(tmp_path, rng):
    """Decoded small and turned, a box still points at the same pixels."""
    picture = np.full((2400, 3600), 90, np.uint8)
    picture[300:900, 2400:3000] = 250
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(picture))).save(tmp_path / "photo.jpg", exif=exif)

    def brightest(gray):
        rows, columns = np.nonzero(gray > 200)
        return [(columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)]

    ((fields, face),) = image_files.read(tmp_path / "photo.jpg", 48, brightest)
    assert fields["face"] == 0 and fields["faces"] == 1
    np.testing.assert_allclose(fields["box"], (2400, 300, 600, 600), atol=8)
    assert face.min() > 200


def test_haar_finds_the_faces_of_a_photograph(tmp_path):
    cv2 = pytest.importorskip("cv2", reason="extra: faces")
    if not hasattr(cv2, "CascadeClassifier"):
        pytest.skip(f"OpenCV {cv2.__version__} has no cascades; the extra faces asks for version 4")

    portrait = os.path.join(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg")
    with Image.open(portrait) as picture:
        pair = Image.new("RGB", (2 * picture.width, picture.height))
        for i in range(2):
            pair.paste(picture, (i * picture.width, 0))
        width = picture.width
    pair.save(tmp_path / "pair.jpg", quality=95)
    find = haar_finder()
    one = image_files.read(portrait, 48, find)
    two = image_files.read(tmp_path / "pair.jpg", 48, find)
    assert len(one) == 1
    left, top, side, _ = one[0][0]["box"]
    assert 100 < left < 200 and 30 < top < 150 and 150 < side < 350  # where her face is
    boxes = sorted(fields["box"] for fields, _ in two)
    assert [fields["faces"] for fields, _ in two] == [2, 2]
    np.testing.assert_allclose(
        boxes, [(left, top, side, side), (left + width, top, side, side)], atol=25
    )
    nothing = np.zeros((100, 100), np.uint8)
    assert find(nothing) == []


@pytest.mark.parametrize(
    "installed, message",
    [
        (None, "not installed"),
        (types.SimpleNamespace(__version__="5.0.0"), "5.0.0 has no cascades"),
    ],
)
def test_without_opencv_4_the_way_to_get_it_is_told(monkeypatch, installed, message):
    monkeypatch.setitem(sys.modules, "cv2", installed)
    with pytest.raises(ValueError, match=rf"{message}.* pip install 'opencv-python-headless>=4"):
        haar_finder()
