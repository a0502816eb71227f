"""Reads image files: any picture to square faces of the stored size. The owner of Pillow.

Only the formats of :data:`FORMATS` are opened, whatever a file is called: Pillow would start an
interpreter for others. HEIC is read where the package pillow-heif is installed. What is open is
made upright in :mod:`ferjax.faces.upright`.
"""

import contextlib
import io
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ferjax.faces.pixel_budget import LARGEST, PixelBudget
from ferjax.faces.upright import flat, upright
from ferjax.files import printable

__all__ = [
    "FORMATS",
    "HEIF_SUFFIXES",
    "SMALLEST",
    "SUFFIXES",
    "Finder",
    "FoundFace",
    "faces_of",
    "faces_of_array",
    "faces_of_bytes",
    "find_files",
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
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "AVIF", "PPM")
"""What Pillow may open, by its names."""
HEIF_SUFFIXES = (".heic", ".heif")
DETAIL = 1600
"""Longest side, pixels, of the picture in which faces are detected."""

Finder = Callable[[np.ndarray], Sequence[tuple[int, int, int, int]]]
"""Gray uint8 ``[H, W]`` to the boxes (left, top, width, height) of the faces in it."""

# Pillow warns from a size on that is refused here anyway, or is none yet.
Image.MAX_IMAGE_PIXELS = LARGEST

_IN_FLIGHT = PixelBudget()
"""Of picture files, over all threads."""
FoundFace = tuple[dict[str, Any], np.ndarray]
"""Fields for the face's record, and its picture uint8 ``[side, side]``, or ``[side, side, 3]`` in
colour; see :func:`faces_of`."""


def find_files(folder: Path) -> list[Path]:
    """The picture files below a folder by their names, in order; hidden ones and folders apart."""
    suffixes = (*SUFFIXES, *HEIF_SUFFIXES)
    named = (p for p in folder.rglob("*") if p.suffix.lower() in suffixes)
    seen = (p for p in named if not any(x.startswith(".") for x in p.relative_to(folder).parts))
    return sorted(p for p in seen if p.is_file())


def _square(picture: Image.Image, side: int) -> np.ndarray:
    return np.asarray(ImageOps.fit(picture, (side, side), Image.Resampling.BILINEAR))


def _mode(colour: bool) -> str:
    return "RGB" if colour else "L"


def _check_large_enough(width: int, height: int) -> None:
    if min(width, height) < SMALLEST:
        raise ValueError(f"{width} x {height} pixels; at least {SMALLEST} x {SMALLEST} are needed")


def from_array(array: np.ndarray, side: int, *, colour: bool = False) -> np.ndarray:
    """One picture as a stored face: its central square, resized, gray or in colour.

    Args:
      array: uint8 ``[H, W]`` or ``[H, W, 3]``.
      side: of the stored face, pixels.
      colour: whether colour is kept; a gray picture then has three equal channels.

    Returns:
      uint8 ``[side, side]``, or ``[side, side, 3]``.

    Raises:
      ValueError: if it is smaller than 16 pixels on a side.
    """
    _check_large_enough(*array.shape[1::-1])
    if array.shape[0] * array.shape[1] > LARGEST:
        raise ValueError(f"{array.shape[1]} x {array.shape[0]} pixels; more than {LARGEST:,}")
    return _square(flat(Image.fromarray(np.ascontiguousarray(array)), _mode(colour)), side)


def faces_of(
    picture: Image.Image,
    side: int,
    find: Finder | None = None,
    *,
    colour: bool = False,
    shrunk: float = 1.0,
) -> list[FoundFace]:
    """The faces of an open picture as the ensemble is trained on them: square, gray or in colour.

    Args:
      picture: of any mode Pillow knows.
      side: of the stored faces, pixels.
      find: detects faces; without it the whole picture is one face, its central square.
      colour: whether colour is kept.
      shrunk: by how much the picture was reduced when decoding; boxes are told in its full size.

    Returns:
      (fields, uint8 ``[side, side]``, in colour ``[side, side, 3]``) per face. ``note`` says how a
      deep gray picture was read, where its range had to be found out. Without ``find`` there are no
      other fields. With it there is ``face`` (its number, largest first; None: none was found and
      this is the whole picture), and where one was found ``faces`` (how many) and ``box`` (left,
      top, width, height in pixels of the upright picture).

    Raises:
      ValueError: if the picture is smaller than 16 pixels on a side.
    """
    width, height = picture.size
    _check_large_enough(round(width * shrunk), round(height * shrunk))
    straight, note = upright(picture, _mode(colour))
    noted: dict[str, Any] = {"note": note} if note else {}
    if find is None:
        return [(noted, _square(straight, side))]
    straight.thumbnail((DETAIL, DETAIL))
    scale = shrunk * max(width, height) / max(straight.size)
    gray = np.asarray(straight.convert("L"))
    boxes = sorted(find(gray), key=lambda box: (-box[2] * box[3], box))
    if not boxes:
        return [({**noted, "face": None}, _square(straight, side))]
    found = []
    for number, (x, y, w, h) in enumerate(boxes):
        box = [round(scale * length) for length in (x, y, w, h)]
        fields = {**noted, "face": number, "faces": len(boxes), "box": box}
        found.append((fields, _square(straight.crop((x, y, x + w, y + h)), side)))
    return found


def faces_of_array(
    image: np.ndarray, side: int, find: Finder | None = None, *, colour: bool = False
) -> list[FoundFace]:
    """The faces of one picture uint8 ``[H, W]`` or ``[H, W, 3]``, as :func:`faces_of` has them."""
    return faces_of(Image.fromarray(image), side, find, colour=colour)


def faces_of_bytes(
    data: bytes, side: int, find: Finder | None = None, *, colour: bool = False
) -> list[FoundFace]:
    """The faces in the bytes of an image file, as :func:`read` has them of a file."""
    with _decoding(io.BytesIO(data), FORMATS) as (picture, full):
        return faces_of(picture, side, find, colour=colour, shrunk=full / max(picture.size))


def read(
    path: str | Path, side: int, find: Finder | None = None, *, colour: bool = False
) -> list[FoundFace]:
    """The faces in an image file, as :func:`faces_of` has them.

    Args:
      path: the file.
      side: of the stored faces, pixels.
      find: detects faces; without it the whole picture is one face.
      colour: whether colour is kept.

    Raises:
      ValueError: if it is no image file, is damaged, or is too small or too large; says which.
    """
    enough = 4 * side if find is None else DETAIL
    with _opened(path, (enough, enough), _mode(colour)) as (picture, full):
        return faces_of(picture, side, find, colour=colour, shrunk=full / max(picture.size))


def read_picture(path: str | Path) -> np.ndarray:
    """A picture file in colour, to be looked at.

    Returns:
      uint8 ``[H, W, 3]``, upright, on white where it is transparent.

    Raises:
      ValueError: if it is no image file, is damaged, or is too large; says which.
    """
    with _opened(path) as (picture, _):
        return np.asarray(upright(picture, "RGB")[0])


@contextlib.contextmanager
def _opened(
    path: str | Path, enough: tuple[int, int] | None = None, mode: str = "L"
) -> Iterator[tuple[Image.Image, int]]:
    """An open image file and its longer side; what goes wrong in the body is a ValueError.

    Args:
      path: the file.
      enough: pixels that suffice; JPEGs decode straight to a small size.
      mode: "L" or "RGB", what is wanted of a JPEG.
    """
    try:
        kind = os.stat(path).st_mode
    except FileNotFoundError:
        raise ValueError("no such file") from None
    except OSError as error:
        raise ValueError(f"cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(kind):  # opening a FIFO would wait for ever
        raise ValueError("a folder, not a file" if stat.S_ISDIR(kind) else "not a regular file")
    with _decoding(path, _formats(path), enough, mode) as opened:
        yield opened


@contextlib.contextmanager
def _decoding(
    source: str | Path | IO[bytes],
    formats: Sequence[str],
    enough: tuple[int, int] | None = None,
    mode: str = "L",
) -> Iterator[tuple[Image.Image, int]]:
    """An open picture within the budget of pixels; arguments as for :func:`_opened`."""
    try:
        with Image.open(source, formats=tuple(formats)) as picture:
            width, height = picture.size
            if width * height > LARGEST:
                raise ValueError(
                    f"{width} x {height} pixels; more than {LARGEST:,} are not decoded"
                )
            # A progressive JPEG is held whole, however small it is decoded.
            with _IN_FLIGHT.claim(width * height):
                if enough is not None:
                    picture.draft(mode, enough)
                yield picture, max(width, height)
    except UnidentifiedImageError:
        raise ValueError("not an image") from None
    except FileNotFoundError:
        raise ValueError("no such file") from None
    except PermissionError:
        raise ValueError("no permission to read it") from None
    except ValueError:
        raise
    except Exception as error:  # Pillow's decoders raise a dozen kinds for damaged files
        said = printable(" ".join(str(error).split())[:200])
        raise ValueError(f"damaged or unreadable image: {said}") from error


def _formats(path: str | Path) -> tuple[str, ...]:
    """The formats that a file may be opened as."""
    if not str(path).lower().endswith(HEIF_SUFFIXES):
        return FORMATS
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        raise ValueError("HEIC, which needs pillow-heif: pip install pillow-heif") from None
    register_heif_opener()
    return (*FORMATS, "HEIF")
