"""Reads a folder of pictures or an ``.npz`` as a named set of faces, labelled or not."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ferjax import votes as vote_arithmetic
from ferjax.faces import ferplus, image_files
from ferjax.files import read_arrays

__all__ = ["FaceSet", "parse", "read_set"]

_SYNONYMS = {
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
    """A set of faces from outside the data set.

    Attributes:
      images: uint8 ``[face, side, side]``.
      votes: int64 ``[face, class]`` where labels or votes are known, one vote for a label.
      abstentions: int64 ``[face, kind]`` where they are known.
      unreadable: (path, reason) of files that were left out.
    """

    images: np.ndarray
    votes: np.ndarray | None
    abstentions: np.ndarray | None
    unreadable: list[tuple[Path, str]]


def parse(text: str) -> tuple[str, Path]:
    """``NAME=PATH`` as its two parts.

    Raises:
      ValueError: if it is not of that form, or the name could not be a file's.

    >>> parse("cats=photos/cats")[0]
    'cats'
    """
    name, equals, path = text.partition("=")
    bare = name.replace("_", "a").replace("-", "a").replace(".", "a")
    if not equals or not path or not bare.isalnum():
        raise ValueError(
            "expected NAME=FOLDER or NAME=FILE.npz (letters, digits, _ - . in the name), "
            f"got {text!r}"
        )
    return name, Path(path)


def read_set(path: Path, classes: Sequence[str], side: int) -> FaceSet:
    """Reads a set of pictures as the ensemble sees faces: gray, the central square, resized.

    A folder is searched below. If every folder in it is named after a class (``happiness``, or a
    synonym such as ``happy``), the set is labelled. An ``.npz`` holds ``images`` uint8
    ``[face, H, W]`` or ``[face, H, W, 3]``, and may hold ``labels [face]`` (class numbers), or
    ``votes [face, class]`` with or without ``abstentions [face, kind]``; for FER+'s classes
    ``votes`` may be the ten published columns.

    Args:
      path: the folder or ``.npz``.
      classes: names of the classes, in the order of the result's votes.
      side: of the stored faces, pixels.

    Returns:
      :class:`FaceSet`.

    Raises:
      FileNotFoundError: if there is nothing, or no readable picture.
      ValueError: if some folders are named after classes and others are not, or arrays do not fit.
    """
    if path.is_dir():
        return _read_folder(path, classes, side)
    if not path.is_file():
        raise FileNotFoundError(f"no such folder or file: {path}")
    if path.suffix.lower() != ".npz":
        raise ValueError(f"{path}: a set of faces is a folder of pictures or an .npz with images")
    return _read_npz(path, classes, side)


def _folder_classes(path: Path, classes: Sequence[str]) -> dict[str, int]:
    """Class number of each folder in ``path``; none where no folder is named after a class."""
    numbers = {_canonical(name): number for number, name in enumerate(classes)}
    folders = sorted(p.name for p in path.iterdir() if p.is_dir())
    found = {name: numbers[_canonical(name)] for name in folders if _canonical(name) in numbers}
    others = [name for name in folders if name not in found]
    if found and others:
        raise ValueError(
            f"{path}: folders {', '.join(found)} are named after classes, {', '.join(others)} are "
            f"not; the classes are {', '.join(classes)}"
        )
    return found


def _canonical(name: str) -> str:
    return _SYNONYMS.get(name.lower(), name.lower())


def _read_folder(path: Path, classes: Sequence[str], side: int) -> FaceSet:
    class_of = _folder_classes(path, classes)
    files = sorted(
        p for p in path.rglob("*") if p.suffix.lower() in image_files.SUFFIXES and p.is_file()
    )
    if not files:
        raise FileNotFoundError(
            f"{path}: no picture in this folder (looked for {' '.join(image_files.SUFFIXES)})"
        )
    loose = [file for file in files if class_of and file.parent == path]
    if loose:
        raise ValueError(
            f"{path}: {loose[0].name} lies beside the folders that are named after classes, "
            "so it has no label"
        )
    faces = []
    labels = []
    unreadable = []
    for file in files:
        try:
            faces.append(image_files.read(file, side)[0][1])
            labels.append(class_of.get(file.relative_to(path).parts[0], -1))
        except ValueError as error:
            unreadable.append((file, str(error)))
    if not faces:
        file, reason = unreadable[0]
        raise FileNotFoundError(
            f"{path}: none of {len(files)} pictures could be read; the first, {file.name}: {reason}"
        )
    votes = _one_vote(np.array(labels), len(classes)) if class_of else None
    return FaceSet(np.stack(faces), votes, None, unreadable)


def _one_vote(labels: np.ndarray, classes: int) -> np.ndarray:
    return np.eye(classes, dtype=np.int64)[labels]


def _read_npz(path: Path, classes: Sequence[str], side: int) -> FaceSet:
    arrays = read_arrays(path)
    images = arrays.get("images")
    if images is None:
        raise ValueError(f"{path}: no array images; found {', '.join(arrays) or 'nothing'}")
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or not len(images):
        raise ValueError(
            f"{path}: images must be uint8 [face, H, W] or [face, H, W, 3], at least one, "
            f"got {images.dtype} {images.shape}"
        )
    try:
        votes, abstentions = _votes_of(arrays, len(images), classes)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    faces = np.stack([image_files.from_array(image, side) for image in images])
    return FaceSet(faces, votes, abstentions, [])


def _votes_of(
    arrays: dict[str, np.ndarray], faces: int, classes: Sequence[str]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Votes and abstentions of an ``.npz``, each None where it says nothing of them."""
    labels = arrays.get("labels")
    if labels is not None:
        if labels.shape != (faces,) or not np.isin(labels, np.arange(len(classes))).all():
            raise ValueError(
                f"labels must be [face] ({faces},), class numbers 0..{len(classes) - 1}"
            )
        return _one_vote(labels.astype(np.int64), len(classes)), None
    votes = arrays.get("votes")
    abstentions = arrays.get("abstentions")
    if votes is None:
        return None, None
    if len(votes) != faces:
        raise ValueError(f"{len(votes)} rows of votes for {faces} images")
    published = votes.ndim == 2 and votes.shape[1] == len(ferplus.COLUMNS)
    if published and tuple(classes) == ferplus.CLASSES:
        return ferplus.split_columns(votes)
    votes = vote_arithmetic.check(votes)
    if votes.shape[1] != len(classes):
        raise ValueError(f"votes must be [face, {len(classes)}], got {votes.shape}")
    if abstentions is not None and (abstentions.ndim != 2 or len(abstentions) != faces):
        raise ValueError(f"abstentions must be [face, kind] of {faces}, got {abstentions.shape}")
    return votes, None if abstentions is None else abstentions.astype(np.int64)
