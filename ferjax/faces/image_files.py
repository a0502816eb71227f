"""Reads image files: any picture to gray square faces of the stored size. The owner of Pillow."""

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

__all__ = [
    "SMALLEST",
    "SUFFIXES",
    "Finder",
    "FoundFace",
    "faces_of",
    "faces_of_array",
    "from_array",
    "read",
    "read_picture",
]

SUFFIXES = (
    ".png",
    ".apng",
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".bmp",
    ".gif",
    ".tif",
    ".tiff",
    ".webp",
    ".avif",
    ".pgm",
    ".ppm",
    ".pnm",
)
SMALLEST = 16
"""Smallest accepted side, pixels; below it the model would see interpolation."""
LARGEST = 150_000_000
"""Pixels above which a picture is not decoded: a small file can claim any size."""
DETAIL = 1600
"""Longest side, pixels, of the picture in which faces are detected."""

Finder = Callable[[np.ndarray], Sequence[tuple[int, int, int, int]]]
"""Gray uint8 ``[H, W]`` to the boxes (left, top, width, height) of the faces in it."""

FoundFace = tuple[dict[str, Any], np.ndarray]
"""Fields for the face's record, and its picture uint8 ``[side, side]``; see :func:`faces_of`."""

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Deep gray ``[H, W]`` to uint8.

    The range is 16 bits for whole numbers, [0, 1] or [0, 255] for others; where the values exceed
    it, it is theirs.
    """
    if not np.isfinite(values).all():
        raise ValueError("holds pixels that are not finite")
    low = float(values.min())
    high = float(values.max())
    if values.dtype.kind in "iu":
        if low >= 0 and high <= 65535:
            low = 0.0
            high = 65535.0
    elif low >= 0 and high <= 255:
        low = 0.0
        high = 1.0 if high <= 1 else 255.0
    scaled = (values.astype(np.float64) - low) / max(high - low, 1e-9)
    return np.round(255 * scaled).astype(np.uint8)


def _upright(picture: Image.Image, mode: str) -> Image.Image:
    """8-bit picture of ``mode`` "L" or "RGB", turned as its EXIF says.

    It is on white where it is transparent; an animation is its first frame.
    """
    picture.load()
    if picture.mode.startswith("I") or picture.mode == "F":
        # Pillow would clip these modes to 8 bits.
        flat = Image.fromarray(_eight_bits(np.asarray(picture))).convert(mode)
    elif picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        flat = Image.alpha_composite(white, picture.convert("RGBA")).convert(mode)
    else:
        flat = picture.convert(mode)
    try:
        orientation = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # a broken EXIF block is no reason to refuse a good picture
        orientation = 1
    return flat.transpose(_TURNS[orientation]) if orientation in _TURNS else flat


def _square(gray: Image.Image, side: int) -> np.ndarray:
    return np.asarray(ImageOps.fit(gray, (side, side), Image.Resampling.BILINEAR))


def _check_large_enough(width: int, height: int) -> None:
    if min(width, height) < SMALLEST:
        raise ValueError(f"{width} x {height} pixels; at least {SMALLEST} x {SMALLEST} are needed")


def from_array(array: np.ndarray, side: int) -> np.ndarray:
    """One picture as a stored face: gray, its central square, resized.

    Args:
      array: uint8 ``[H, W]`` or ``[H, W, 3]``.
      side: of the stored face, pixels.

    Returns:
      uint8 ``[side, side]``.

    Raises:
      ValueError: if it is smaller than 16 pixels on a side.
    """
    _check_large_enough(*array.shape[1::-1])
    return _square(Image.fromarray(np.ascontiguousarray(array)).convert("L"), side)


def faces_of(
    picture: Image.Image, side: int, find: Finder | None = None, *, shrunk: float = 1.0
) -> list[FoundFace]:
    """The faces of an open picture as the ensemble is trained on them: gray and square.

    Args:
      picture: of any mode Pillow knows.
      side: of the stored faces, pixels.
      find: detects faces; without it the whole picture is one face, its central square.
      shrunk: by how much the picture was reduced when decoding; boxes are told in its full size.

    Returns:
      (fields, uint8 ``[side, side]``) per face. Without ``find`` there are no fields. With it there
      is ``face`` (its number, largest first; None: none was found and this is the whole picture),
      and where one was found ``faces`` (how many) and ``box`` (left, top, width, height in pixels
      of the upright picture).

    Raises:
      ValueError: if the picture is smaller than 16 pixels on a side.
    """
    width, height = picture.size
    _check_large_enough(round(width * shrunk), round(height * shrunk))
    gray = _upright(picture, "L")
    if find is None:
        return [({}, _square(gray, side))]
    gray.thumbnail((DETAIL, DETAIL))
    scale = shrunk * max(width, height) / max(gray.size)
    boxes = sorted(find(np.asarray(gray)), key=lambda box: (-box[2] * box[3], box))
    if not boxes:
        return [({"face": None}, _square(gray, side))]
    found = []
    for number, (x, y, w, h) in enumerate(boxes):
        box = [round(scale * length) for length in (x, y, w, h)]
        fields = {"face": number, "faces": len(boxes), "box": box}
        found.append((fields, _square(gray.crop((x, y, x + w, y + h)), side)))
    return found


def faces_of_array(image: np.ndarray, side: int, find: Finder | None = None) -> list[FoundFace]:
    """The faces of one picture uint8 ``[H, W]`` or ``[H, W, 3]``, as :func:`faces_of` has them."""
    return faces_of(Image.fromarray(image), side, find)


def read(path: str | Path, side: int, find: Finder | None = None) -> list[FoundFace]:
    """The faces in an image file, as :func:`faces_of` has them.

    Args:
      path: the file.
      side: of the stored faces, pixels.
      find: detects faces; without it the whole picture is one face.

    Raises:
      ValueError: if it is no image file, is damaged, or is too small or too large; says which.
    """
    with _opened(path) as picture:
        full = max(picture.size)
        enough = 4 * side if find is None else DETAIL
        picture.draft("L", (enough, enough))  # JPEGs decode straight to a small size
        return faces_of(picture, side, find, shrunk=full / max(picture.size))


def read_picture(path: str | Path) -> np.ndarray:
    """A picture file in colour, to be looked at.

    Returns:
      uint8 ``[H, W, 3]``, upright, on white where it is transparent.

    Raises:
      ValueError: if it is no image file, is damaged, or is too large; says which.
    """
    with _opened(path) as picture:
        return np.asarray(_upright(picture, "RGB"))


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    """An open image file; what goes wrong in the body is a ValueError that says what."""
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):  # opening a FIFO would wait for ever
            raise ValueError("a folder, not a file" if stat.S_ISDIR(mode) else "not a regular file")
        with Image.open(path) as picture:
            width, height = picture.size
            if width * height > LARGEST:
                raise ValueError(
                    f"{width} x {height} pixels; more than {LARGEST:,} are not decoded"
                )
            yield picture
    except UnidentifiedImageError:
        raise ValueError("not an image") from None
    except FileNotFoundError:
        raise ValueError("no such file") from None
    except PermissionError:
        raise ValueError("no permission to read it") from None
    except ValueError:
        raise
    except Exception as error:  # Pillow's decoders raise a dozen kinds for damaged files
        raise ValueError(f"damaged or unreadable image: {error}") from error
