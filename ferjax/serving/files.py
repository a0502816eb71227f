"""Files and folders in, JSON lines out: one line per picture, whatever happens to any of them."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ferjax.faces.ferplus import SIDE
from ferjax.serving.router import Router

__all__ = ["SUFFIXES", "find", "read_picture", "route_files"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
SMALLEST = 16


def to_face(picture: Image.Image) -> np.ndarray:
    """A picture as the ensemble was trained to see faces: gray, the central square, 48 × 48.

    Raises:
      ValueError: if the picture is smaller than 16 pixels on a side: what would be judged is the enlargement.
    """
    if min(picture.size) < SMALLEST:
        raise ValueError(f"{picture.width} x {picture.height} pixels; at least {SMALLEST} x {SMALLEST} are needed")
    if picture.mode in ("I;16", "I", "F"):
        # Pillow clips these modes to 8 bits; scale them instead.
        values = np.asarray(picture, np.float64)
        picture = Image.fromarray((255 * (values - values.min()) / max(np.ptp(values), 1e-9)).astype(np.uint8))
    gray = ImageOps.exif_transpose(picture).convert("L")
    return np.asarray(ImageOps.fit(gray, (SIDE, SIDE), Image.Resampling.BILINEAR))


def read_picture(path: Path) -> np.ndarray:
    """Reads an image file as a face, uint8 ``[48, 48]``.

    Raises:
      ValueError: if it is no image, is damaged, or is too small; says which.
    """
    try:
        with Image.open(path) as picture:
            picture.draft("L", (4 * SIDE, 4 * SIDE))  # JPEGs decode straight to a small size
            return to_face(picture)
    except UnidentifiedImageError:
        raise ValueError("not an image") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"damaged or unreadable image: {error}") from error


def find(paths: Iterable[str | Path]) -> Iterator[Path]:
    """Image files among paths: files as they are, folders searched below for image suffixes and .npz, in order.

    Raises:
      FileNotFoundError: if a path does not exist, or a folder holds no picture.
    """
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in (*SUFFIXES, ".npz") and p.is_file())
            if not inside:
                raise FileNotFoundError(f"{path}: no picture in this folder (looked for {' '.join(SUFFIXES)} .npz)")
            yield from inside
        elif path.exists():
            yield path
        else:
            raise FileNotFoundError(f"no such file or folder: {path}")


def _npz_faces(path: Path) -> Iterator[tuple[dict, np.ndarray | None]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            name = next((n for n in ("images", "image", "arr_0") if n in file.files), None)
            if name is None:
                raise ValueError(f"no array 'images'; found {', '.join(file.files) or 'nothing'}")
            images = file[name]
    except Exception as error:  # numpy raises half a dozen kinds for a file that is no .npz
        yield {"path": str(path), "error": f"unreadable .npz: {error}"}, None
        return
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        yield {"path": str(path), "error": f"images must be uint8 [face, H, W] or [face, H, W, 3], got {images.dtype} {images.shape}"}, None
        return
    for i, image in enumerate(images):
        line: dict[str, Any] = {"path": str(path), "index": i}
        try:
            yield line, to_face(Image.fromarray(image))
        except (ValueError, TypeError) as error:
            yield {**line, "error": str(error)}, None


def _faces(paths: Iterable[Path]) -> Iterator[tuple[dict, np.ndarray | None]]:
    for path in paths:
        if path.suffix.lower() == ".npz":
            yield from _npz_faces(path)
            continue
        try:
            yield {"path": str(path)}, read_picture(path)
        except ValueError as error:
            yield {"path": str(path), "error": str(error)}, None


def route_files(router: Router, paths: Iterable[str | Path], out: TextIO) -> tuple[int, int]:
    """Writes one JSON line per picture, in order; a picture that cannot be read gets its own line with ``error``.

    Args:
      router: the router.
      paths: files, folders, .npz files with ``images``.
      out: where the lines go.

    Returns:
      (pictures routed, pictures that failed).
    """
    waiting: list[tuple[dict, np.ndarray | None]] = []
    routed = failed = 0

    def flush() -> None:
        nonlocal routed, failed
        faces = [face for _, face in waiting if face is not None]
        decided = iter(router(np.stack(faces)) if faces else [])
        for line, face in waiting:
            if face is not None:
                line = {**line, **next(decided)._asdict()}
            print(json.dumps(line), file=out)
            routed, failed = routed + (face is not None), failed + (face is None)
        out.flush()
        waiting.clear()

    for item in _faces(find(paths)):
        waiting.append(item)
        if len(waiting) == router.batch_size:
            flush()
    flush()
    return routed, failed
