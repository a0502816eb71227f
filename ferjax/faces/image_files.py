"""Pictures to faces: whatever an image file holds becomes gray 48 × 48 faces. The only file that
knows Pillow."""

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ferjax.faces.ferplus import SIDE

__all__ = ["SMALLEST", "SUFFIXES", "Finder", "faces_of", "faces_of_array", "from_array", "read"]

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
"""Pixels on a side below which what would be judged is the enlargement."""
LARGEST = 150_000_000
"""Pixels above which a picture is not decoded: a small file can claim any size."""
DETAIL = 1600
"""Side of a picture, pixels, in which faces are looked for."""

Finder = Callable[[np.ndarray], Sequence[tuple[int, int, int, int]]]
"""Gray uint8 ``[H, W]`` to the boxes (left, top, width, height) of the faces in it."""


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Deep gray ``[H, W]`` to uint8: by its 16-bit range, by [0, 1] or [0, 255], and else by the
    values it holds."""
    if not np.isfinite(values).all():
        raise ValueError("holds pixels that are not finite")
    low = float(values.min())
    high = float(values.max())
    if values.dtype.kind in "iu":
        low, high = (0.0, 65535.0) if low >= 0 and high <= 65535 else (low, high)
    elif low >= 0 and high <= 255:
        low = 0.0
        high = 1.0 if high <= 1 else 255.0
    return np.round(255 * (values.astype(np.float64) - low) / max(high - low, 1e-9)).astype(
        np.uint8
    )


def upright_gray(picture: Image.Image) -> Image.Image:
    """8-bit gray, turned as its EXIF says, on white where it is transparent; an animation is its
    first frame."""
    picture.load()
    if picture.mode.startswith("I") or picture.mode == "F":
        # Pillow would clip these modes to 8 bits.
        gray = Image.fromarray(_eight_bits(np.asarray(picture)))
    elif picture.has_transparency_data:
        picture_rgba = picture.convert("RGBA")
        gray = Image.alpha_composite(
            Image.new("RGBA", picture.size, "white"), picture_rgba
        ).convert("L")
    else:
        gray = picture.convert("L")
    try:
        turned = picture.getexif().get(0x0112, 1)
    except Exception:  # a broken EXIF block is no reason to refuse a good picture
        turned = 1
    if turned in _TURNS:
        return gray.transpose(_TURNS[turned])
    return gray


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _square(gray: Image.Image, side: int) -> np.ndarray:
    return np.asarray(ImageOps.fit(gray, (side, side), Image.Resampling.BILINEAR))


def _large_enough(width: int, height: int) -> None:
    if min(width, height) < SMALLEST:
        raise ValueError(f"{width} x {height} pixels; at least {SMALLEST} x {SMALLEST} are needed")


def from_array(array: np.ndarray, side: int = SIDE) -> np.ndarray:
    """One picture uint8 ``[H, W]`` or ``[H, W, 3]`` as a stored face, uint8 ``[side, side]``.

    Raises:
      ValueError: if it is smaller than 16 pixels on a side.
    """
    _large_enough(*array.shape[1::-1])
    return _square(Image.fromarray(np.ascontiguousarray(array)).convert("L"), side)


def faces_of(
    picture: Image.Image, find: Finder | None = None, *, shrunk: float = 1.0
) -> list[tuple[dict[str, Any], np.ndarray]]:
    """The faces of an open picture as the ensemble was trained to see them: gray, square, 48 × 48.

    Args:
      picture: any mode Pillow knows.
      find: finds faces; without it the whole picture is one face, its central square.
      shrunk: by how much the picture was reduced when decoding; boxes are told in its full size.

    Returns:
      ``(what to say of it, uint8 [48, 48])`` per face. With ``find`` the first holds ``face`` (its
      number, largest first; None: none was found and this is the whole picture), and where found
      ``faces`` (how many) and ``box`` (left, top, width, height in pixels of the upright picture).

    Raises:
      ValueError: if the picture is smaller than 16 pixels on a side.
    """
    width, height = picture.size
    _large_enough(round(width * shrunk), round(height * shrunk))
    gray = upright_gray(picture)
    if find is None:
        return [({}, _square(gray, SIDE))]
    gray.thumbnail((DETAIL, DETAIL))
    scale = shrunk * max(width, height) / max(gray.size)
    boxes = sorted(find(np.asarray(gray)), key=lambda box: (-box[2] * box[3], box))
    if not boxes:
        return [({"face": None}, _square(gray, SIDE))]
    return [
        (
            {"face": i, "faces": len(boxes), "box": [round(scale * v) for v in (x, y, w, h)]},
            _square(gray.crop((x, y, x + w, y + h)), SIDE),
        )
        for i, (x, y, w, h) in enumerate(boxes)
    ]


def faces_of_array(
    image: np.ndarray, find: Finder | None = None
) -> list[tuple[dict[str, Any], np.ndarray]]:
    """The faces of one picture uint8 ``[H, W]`` or ``[H, W, 3]``, as :func:`faces_of` gives
    them."""
    return faces_of(Image.fromarray(image), find)


def read(path: str | Path, find: Finder | None = None) -> list[tuple[dict[str, Any], np.ndarray]]:
    """The faces in an image file, as :func:`faces_of` gives them.

    Raises:
      ValueError: if it is no image file, is damaged, or is too small or too large; says which.
    """
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
            enough = 4 * SIDE if find is None else DETAIL
            picture.draft("L", (enough, enough))  # JPEGs decode straight to a small size
            return faces_of(picture, find, shrunk=max(width, height) / max(picture.size))
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
