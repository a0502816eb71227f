"""Reads a folder of pictures or an ``.npz`` as a named set of faces, labelled or not."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ferjax import votes as vote_arithmetic
from ferjax.faces import ferplus, image_files
from ferjax.faces.spec import DataSpec
from ferjax.files import read_arrays

__all__ = ["FaceSet", "parse", "read_set", "synonyms"]

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


def synonyms(classes: Sequence[str]) -> dict[str, str]:
    """Usual words for some of the classes that are none of them themselves: word -> class.

    >>> synonyms(("happiness", "sad"))["happy"]
    'happiness'
    """
    return {
        word: name for word, name in _SYNONYMS.items() if name in classes and word not in classes
    }


class FaceSet(NamedTuple):
    """A set of faces from outside the data set.

    Attributes:
      images: uint8 ``[face, side, side]``, or ``[face, side, side, 3]`` in colour.
      votes: int64 ``[face, class]`` where labels or votes are known, one vote for a label.
      abstentions: int64 ``[face, kind]`` where they are known.
      unreadable: (path, reason) of files that were left out.
      notes: what the files were taken for, in words.
    """

    images: np.ndarray
    votes: np.ndarray | None
    abstentions: np.ndarray | None
    unreadable: list[tuple[Path, str]]
    notes: tuple[str, ...] = ()


SKIP = ""
"""In place of a class: pictures in folders of that name are left out."""


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


def read_set(
    path: Path,
    spec: DataSpec,
    folder_classes: Mapping[str, str] | None = None,
) -> FaceSet:
    """Reads a set of pictures as the ensemble sees faces: the central square, resized, gray or not.

    A folder is searched below, hidden folders apart. If the pictures lie in folders named after
    classes (``happiness``, or a synonym such as ``happy``), at any depth, the set is labelled.

    An ``.npz`` holds ``images`` uint8 ``[face, H, W]`` or ``[face, H, W, 3]``, and may hold
    ``labels [face]`` (class numbers), or ``votes [face, class]`` with or without ``abstentions
    [face, kind]``; for FER+'s classes ``votes`` may be the ten published columns.

    Args:
      path: the folder or ``.npz``.
      spec: names of the classes, in the order of the result's votes; side and colour of the stored
        faces.
      folder_classes: name of a folder -> the class of its pictures, or :data:`SKIP`; for folders
        that are named otherwise.

    Returns:
      :class:`FaceSet`.

    Raises:
      FileNotFoundError: if there is nothing, or no readable picture.
      ValueError: if some folders are named after classes and others are not, or arrays do not fit.
    """
    if path.is_dir():
        return _read_folder(path, spec, folder_classes or {})
    if not path.is_file():
        raise FileNotFoundError(f"no such folder or file: {path}")
    if path.suffix.lower() != ".npz":
        raise ValueError(f"{path}: a set of faces is a folder of pictures or an .npz with images")
    return _read_npz(path, spec)


def _canonical(name: str) -> str:
    return _SYNONYMS.get(name.strip().lower(), name.strip().lower())


def _read_folder(path: Path, spec: DataSpec, folder_classes: Mapping[str, str]) -> FaceSet:
    classes = spec.classes
    files = image_files.find_files(path)
    if not files:
        raise FileNotFoundError(
            f"{path}: no picture in this folder (looked for {' '.join(image_files.SUFFIXES)})"
        )
    class_of = _class_of_each(path, files, classes, folder_classes)
    skipped = sum(number == _SKIPPED for number in class_of)
    faces = []
    labels = []
    unreadable = []
    for file, number in zip(files, class_of):
        if number == _SKIPPED:
            continue
        try:
            faces.append(image_files.read(file, spec.side, colour=spec.colour)[0][1])
            labels.append(number)
        except ValueError as error:
            unreadable.append((file, str(error)))
    if not faces:
        reason = f"{unreadable[0][0].name}: {unreadable[0][1]}" if unreadable else "all are skipped"
        raise FileNotFoundError(
            f"{path}: none of {len(files)} pictures could be read; the first, {reason}"
        )
    if labels[0] == _UNLABELLED:
        note = f"{len(faces):,} pictures without labels: no folder is named after a class"
        return FaceSet(np.stack(faces), None, None, unreadable, (note,))
    counts = np.bincount(labels, minlength=len(classes))
    held = ", ".join(f"{name} {n:,}" for name, n in zip(classes, counts) if n)
    notes = [f"{len(faces):,} pictures, labelled by the folders they are in: {held}"]
    if skipped:
        notes.append(f"{skipped:,} pictures skipped, in folders that were to be skipped")
    votes = _one_vote(np.array(labels), len(classes))
    return FaceSet(np.stack(faces), votes, None, unreadable, tuple(notes))


_UNLABELLED = -1
_SKIPPED = -2


def _class_of_each(
    root: Path, files: Sequence[Path], classes: Sequence[str], folder_classes: Mapping[str, str]
) -> list[int]:
    """Class number of each file by the folders above it, or what else becomes of it; all are
    unlabelled where no folder is named after a class."""
    numbers = {_canonical(name): number for number, name in enumerate(classes)}
    for folder, name in folder_classes.items():
        if name != SKIP and _canonical(name) not in numbers:
            raise ValueError(f"no class {name!r} for folders {folder!r}; {_known(classes)}")
        numbers[_canonical(folder)] = _SKIPPED if name == SKIP else numbers[_canonical(name)]
    found = []
    for file in files:
        above = [_canonical(part) for part in file.relative_to(root).parts[:-1]]
        named = {numbers[part]: part for part in above if part in numbers}
        if len(named) > 1:
            raise ValueError(
                f"{file}: lies in folders of two classes, {' and '.join(named.values())}"
            )
        found.append(next(iter(named), None))
    if all(number is None for number in found):
        return [_UNLABELLED] * len(files)
    without = [file for file, number in zip(files, found) if number is None]
    if without:
        _refuse_unlabelled(root, without, files, found, classes)
    return [number for number in found if number is not None]


def _refuse_unlabelled(
    root: Path,
    without: Sequence[Path],
    files: Sequence[Path],
    found: Sequence[int | None],
    classes: Sequence[str],
) -> None:
    loose = [file for file in without if file.parent == root]
    if loose:
        raise ValueError(
            f"{root}: {loose[0].name} lies beside the folders that are named after classes, "
            "so it has no label"
        )
    labelled = sorted({f.parent.name for f, n in zip(files, found) if n is not None})
    others = sorted({file.parent.name for file in without})
    raise ValueError(
        f"{root}: folders {', '.join(labelled)} are named after classes, {', '.join(others)} are "
        f"not ({len(without):,} pictures); {_known(classes)}. Say what they are with "
        f"--folder-classes {others[0]}=CLASS, or leave them out with {others[0]}="
    )


def _known(classes: Sequence[str]) -> str:
    return f"the classes are {', '.join(classes)}"


def _one_vote(labels: np.ndarray, classes: int) -> np.ndarray:
    return np.eye(classes, dtype=np.int64)[labels]


def _read_npz(path: Path, spec: DataSpec) -> FaceSet:
    classes = spec.classes
    arrays = read_arrays(path)
    images = arrays.get("images")
    if images is None:
        raise ValueError(f"{path}: no array images; found {', '.join(arrays) or 'nothing'}")
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    colour = images.ndim == 4 and images.shape[3] == 3
    if images.dtype != np.uint8 or not (images.ndim == 3 or colour) or not images.size:
        raise ValueError(
            f"{path}: images must be uint8 [face, H, W] or [face, H, W, 3], at least one, "
            f"got {images.dtype} {images.shape}"
        )
    try:
        votes, abstentions = _votes_of(arrays, len(images), classes)
        faces = np.stack(
            [image_files.from_array(image, spec.side, colour=spec.colour) for image in images]
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    said = "labels or votes" if votes is not None else "no labels"
    return FaceSet(faces, votes, abstentions, [], (f"{len(faces):,} pictures with {said}",))


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
    if votes.ndim != 2 or len(votes) != faces:
        raise ValueError(f"{len(votes) if votes.ndim else 0} rows of votes for {faces} images")
    published = votes.ndim == 2 and votes.shape[1] == len(ferplus.COLUMNS)
    if published and tuple(classes) == ferplus.CLASSES:
        return ferplus.split_columns(votes)
    votes = vote_arithmetic.check(votes)
    if votes.shape[1] != len(classes):
        raise ValueError(f"votes must be [face, {len(classes)}], got {votes.shape}")
    if abstentions is not None and (abstentions.ndim != 2 or len(abstentions) != faces):
        raise ValueError(f"abstentions must be [face, kind] of {faces}, got {abstentions.shape}")
    if abstentions is None:
        return votes, None
    whole = abstentions.dtype.kind in "iuf" and (
        (abstentions >= 0) & (abstentions <= vote_arithmetic.MOST) & (abstentions % 1 == 0)
    )
    if not np.all(whole):
        raise ValueError("abstentions must be whole counts >= 0")
    return votes, abstentions.astype(np.int64)
