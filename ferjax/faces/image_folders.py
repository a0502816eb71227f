"""A folder of pictures, or an ``.npz``, as a named set of faces: strangers, or another data set
with its own labels."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ferjax.faces import image_files
from ferjax.faces import votes as votes_of

__all__ = ["FaceSet", "parse", "read_set"]

_OTHER_NAMES = {
    "neutrality": "neutral",
    "happy": "happiness",
    "surprised": "surprise",
    "sad": "sadness",
    "angry": "anger",
    "disgusted": "disgust",
    "afraid": "fear",
    "fearful": "fear",
}


class FaceSet(NamedTuple):
    """``images`` uint8 ``[face, 48, 48]``; ``votes [face, 10]`` where labels or votes are known,
    one vote for a label; ``unreadable``: (path, reason) of files that were left out."""

    images: np.ndarray
    votes: np.ndarray | None
    unreadable: list[tuple[Path, str]]


def parse(text: str) -> tuple[str, Path]:
    """``NAME=PATH`` as its two parts.

    Raises:
      ValueError: if it is not of that form, or the name could not be a file's.

    >>> parse("cats=photos/cats")[0]
    'cats'
    """
    name, equals, path = text.partition("=")
    if (
        not equals
        or not path
        or not name.replace("_", "a").replace("-", "a").replace(".", "a").isalnum()
    ):
        raise ValueError(
            f"expected NAME=FOLDER or NAME=FILE.npz (letters, digits, _ - . in the name), got {text!r}"
        )
    return name, Path(path)


def _class_of(folder: str) -> int | None:
    name = folder.lower()
    name = _OTHER_NAMES.get(name, name)
    return votes_of.CLASSES.index(name) if name in votes_of.CLASSES else None


def _one_vote(labels: np.ndarray) -> np.ndarray:
    return np.eye(len(votes_of.COLUMNS), dtype=np.int64)[labels]


def read_set(path: Path) -> FaceSet:
    """Reads a set of pictures as the ensemble sees faces: gray, the central square, 48 × 48.

    A folder is searched below; when all folders in it are named by expressions (``happiness`` or
    ``happy``, …), it is a labelled set. An ``.npz`` holds ``images`` uint8 ``[face, H, W]`` or
    ``[face, H, W, 3]``, and may hold ``labels [face]`` (class numbers) or ``votes [face, 10]``.

    Raises:
      FileNotFoundError: if there is nothing, or no readable picture.
      ValueError: if some folders are named by expressions and others are not, or arrays do not fit.
    """
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such folder or file: {path}")
    if path.suffix.lower() != ".npz":
        raise ValueError(f"{path}: a set of faces is a folder of pictures or an .npz with images")
    return _npz(path)


def _folder(path: Path) -> FaceSet:
    inside = sorted(p for p in path.iterdir() if p.is_dir())
    classes = {p: _class_of(p.name) for p in inside}
    named = [p.name for p, c in classes.items() if c is not None]
    unnamed = [p.name for p, c in classes.items() if c is None]
    if named and unnamed:
        raise ValueError(
            f"{path}: folders {', '.join(named)} are named by expressions, {', '.join(unnamed)} are not; "
            f"expressions are {', '.join(votes_of.CLASSES)}"
        )
    files = sorted(
        p for p in path.rglob("*") if p.suffix.lower() in image_files.SUFFIXES and p.is_file()
    )
    if not files:
        raise FileNotFoundError(
            f"{path}: no picture in this folder (looked for {' '.join(image_files.SUFFIXES)})"
        )
    faces = []
    labels = []
    unreadable = []
    for file in files:
        top = path / file.relative_to(path).parts[0]
        try:
            faces.append(image_files.read(file)[0][1])
            labels.append(classes.get(top) if named else None)
        except ValueError as error:
            unreadable.append((file, str(error)))
    if not faces:
        raise FileNotFoundError(
            f"{path}: none of {len(files)} pictures could be read; the first, {unreadable[0][0].name}: {unreadable[0][1]}"
        )
    loose = [file for file in files if file.parent == path] if named else []
    if loose:
        raise ValueError(
            f"{path}: {loose[0].name} lies beside the folders that name expressions, so it has no label"
        )
    return FaceSet(
        np.stack(faces), _one_vote(np.array(labels, np.int64)) if named else None, unreadable
    )


def _npz(path: Path) -> FaceSet:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:  # numpy raises half a dozen kinds for a file that is no .npz
        raise ValueError(f"{path}: unreadable .npz: {error}") from error
    images = arrays.get("images")
    if images is None:
        raise ValueError(f"{path}: no array images; found {', '.join(arrays) or 'nothing'}")
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or not len(images):
        raise ValueError(
            f"{path}: images must be uint8 [face, H, W] or [face, H, W, 3], at least one, got {images.dtype} {images.shape}"
        )
    votes = arrays.get("votes")
    if "labels" in arrays:
        labels = arrays["labels"]
        if (
            labels.shape != (len(images),)
            or not np.isin(labels, np.arange(len(votes_of.CLASSES))).all()
        ):
            raise ValueError(
                f"{path}: labels must be [face] ({len(images)},) class numbers 0..{len(votes_of.CLASSES) - 1}"
            )
        votes = _one_vote(labels.astype(np.int64))
    if votes is not None and len(votes_of.check(votes)) != len(images):
        raise ValueError(f"{path}: {len(votes)} rows of votes for {len(images)} images")
    return FaceSet(np.stack([image_files.from_array(image) for image in images]), votes, [])
