"""A data set made of any labelled pictures: decoded, split, kept in a folder, and read again.

The folder holds ``data.json`` (classes, kinds of abstention, side, colour, where it came from) and
an ``.npz`` for each split with ``images``, ``votes``, ``abstentions``, ``ids`` and ``names``. It is
written whole or not at all.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ferjax import votes as vote_arithmetic
from ferjax.faces import image_files
from ferjax.faces.image_files import Finder
from ferjax.faces.spec import DataSpec
from ferjax.faces.voted_pictures import Labelled
from ferjax.files import new_folder, printable, read_arrays, read_json, write_atomically

__all__ = [
    "ABOUT",
    "LABEL_FILTERS",
    "Decoded",
    "Stored",
    "decode",
    "load",
    "save",
    "split",
    "targets",
]

ABOUT = "data.json"
SPLITS = ("train", "valid", "test")
LABEL_FILTERS = ("paper", "majority")
LARGEST_SIDE = 512


class Decoded(NamedTuple):
    """Labelled pictures as they are stored, and what was left out.

    Attributes:
      images: uint8 ``[picture, side, side]`` or ``[picture, side, side, 3]``.
      found: the pictures that these are of.
      unreadable: (name, reason) of those that could not be read.
    """

    images: np.ndarray
    found: Labelled
    unreadable: list[tuple[str, str]]


class Stored(NamedTuple):
    """A split of a data set.

    Attributes:
      images: uint8 ``[picture, side, side]`` or ``[picture, side, side, 3]``.
      votes: int64 ``[picture, class]``.
      abstentions: int64 ``[picture, kind]``.
      ids: int64 ``[picture]``, unique over all splits.
      names: what each was read from.
    """

    images: np.ndarray
    votes: np.ndarray
    abstentions: np.ndarray
    ids: np.ndarray
    names: np.ndarray


def decode(
    found: Labelled,
    side: int,
    *,
    colour: bool = False,
    find: Finder | None = None,
    on_picture: Callable[[float], None] = lambda share: None,
) -> Decoded:
    """Reads every picture.

    Args:
      found: labelled pictures.
      side: of the stored pictures, pixels, 16 to 512.
      colour: whether colour is kept.
      find: detects faces; the largest is taken, and a picture without one is left out.
      on_picture: told the share that is done.

    Raises:
      ValueError: if ``side`` is out of range, or no picture could be read.
    """
    if not image_files.SMALLEST <= side <= LARGEST_SIDE:
        raise ValueError(
            f"side must be {image_files.SMALLEST} to {LARGEST_SIDE} pixels, got {side}"
        )
    if not found.pictures:
        raise ValueError("no picture is left: every label was left out")
    images = []
    keep = []
    unreadable = []
    for number, picture in enumerate(found.pictures):
        try:
            fields, image = _read(picture, side, find, colour)[0]
            if find is not None and fields.get("face") is None:
                raise ValueError("no face was found")
            images.append(image)
            keep.append(number)
        except ValueError as error:
            unreadable.append((found.names[number], str(error)))
        on_picture((number + 1) / len(found.pictures))
    if not images:
        name, reason = unreadable[0]
        raise ValueError(
            f"none of {len(found.pictures):,} pictures could be read; the first, "
            f"{printable(name)}: {reason}"
        )
    return Decoded(np.stack(images), _take(found, np.array(keep)), unreadable)


def _read(picture: Any, side: int, find: Finder | None, colour: bool) -> list:
    if isinstance(picture, bytes):
        return image_files.faces_of_bytes(picture, side, find, colour=colour)
    if isinstance(picture, np.ndarray):
        return image_files.faces_of_array(picture, side, find, colour=colour)
    return image_files.read(picture, side, find, colour=colour)


def _take(found: Labelled, rows: np.ndarray) -> Labelled:
    return found._replace(
        pictures=[found.pictures[i] for i in rows],
        names=[found.names[i] for i in rows],
        votes=found.votes[rows],
        abstentions=found.abstentions[rows],
        splits=[found.splits[i] for i in rows],
        groups=None if found.groups is None else [found.groups[i] for i in rows],
    )


def split(
    decoded: Decoded, *, valid: float = 0.1, test: float = 0.1, seed: int = 0
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The split of every picture: as given, and drawn where a split is missing.

    A split that nothing names is drawn from the training pictures. Pictures of one group, and
    pixel-identical pictures, are drawn together.

    Args:
      decoded: pictures.
      valid: share of the pictures to draw for valid, if no picture is in it.
      test: share to draw for test, likewise.
      seed: of the draw.

    Returns:
      ``[picture]`` train, valid or test, and what was drawn, in words.

    Raises:
      ValueError: if some pictures have a split and others none, or a split stays empty.
    """
    found = decoded.found
    given = np.array(found.splits)
    without = given == ""
    if without.any() and not without.all():
        first = int(without.argmax())
        raise ValueError(
            f"{without.sum():,} pictures are in no split, {printable(found.names[first])} first, "
            "and others are; expected train, valid and test, or none"
        )
    splits = np.where(without, "train", given)
    notes = []
    groups = groups_of(decoded)
    rng = np.random.default_rng(seed)
    for name, share in (("valid", valid), ("test", test)):
        if (splits == name).any():
            continue
        pool = np.unique(groups[splits == "train"])
        drawn = rng.permutation(pool)[: max(1, round(share * len(np.unique(groups))))]
        where = np.isin(groups, drawn) & (splits == "train")
        splits = np.where(where, name, splits)
        notes.append(f"{name}: {where.sum():,} pictures drawn from those of train (seed {seed})")
    for name in SPLITS:
        if not (splits == name).any():
            raise ValueError(f"split {name} is empty: there are too few pictures to draw it from")
    return splits, tuple(notes)


def groups_of(decoded: Decoded) -> np.ndarray:
    """Number of the group of every picture; identical pictures join the groups they are in."""
    names = decoded.found.groups or decoded.found.names
    number = np.unique(names, return_inverse=True)[1]
    digests = [
        hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in decoded.images
    ]
    same = np.unique(np.array(digests, "S16"), return_inverse=True)[1]
    while True:  # until no two identical pictures are in two groups
        lowest = np.full(same.max() + 1, len(number))
        np.minimum.at(lowest, same, number)
        of_group = np.arange(number.max() + 1)
        np.minimum.at(of_group, number, lowest[same])
        joined = of_group[number]
        if (joined == number).all():
            return number
        number = joined


def save(
    decoded: Decoded, splits: np.ndarray, spec: DataSpec, out: Path, about: Mapping[str, Any]
) -> None:
    """Writes the data set; the folder appears complete or not at all.

    Args:
      decoded: pictures.
      splits: ``[picture]`` of :func:`split`.
      spec: classes, side and colour.
      out: folder to create.
      about: where it came from, kept in ``data.json``.

    Raises:
      FileExistsError: if ``out`` exists and is not empty.
    """
    found = decoded.found
    with new_folder(out) as folder:
        for name in SPLITS:
            rows = np.flatnonzero(splits == name)
            np.savez(
                folder / f"{name}.npz",
                images=decoded.images[rows],
                votes=found.votes[rows],
                abstentions=found.abstentions[rows],
                ids=rows,
                names=np.array([found.names[i] for i in rows]),
            )
        facts = {"format": 1, **spec.to_json(), "abstentions": list(found.kinds), **about}
        write_atomically(folder / ABOUT, (json.dumps(facts, indent=1) + "\n").encode())


def require_saved(path: str | os.PathLike) -> Path:
    """The folder, if it holds a data set that :func:`save` wrote.

    Raises:
      FileNotFoundError: if it does not.
    """
    folder = Path(path)
    if not (folder / ABOUT).is_file():
        raise FileNotFoundError(
            f"{folder}: no data set that `ferjax data folder --out {folder}` wrote is there"
        )
    return folder


def load(path: str | os.PathLike) -> tuple[DataSpec, tuple[str, ...], dict[str, Stored]]:
    """Reads a data set that :func:`save` wrote.

    Returns:
      Specification, kinds of abstention, and the splits.

    Raises:
      FileNotFoundError: if there is no such data set.
      ValueError: naming the file, if it is damaged or does not fit.
    """
    folder = require_saved(path)
    about = read_json(folder / ABOUT)
    try:
        spec = DataSpec.from_json(about)
        kinds = about["abstentions"]
        if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
            raise ValueError(f"expected abstentions as a list of names, got {kinds!r}")
    except (ValueError, KeyError, AttributeError) as error:
        raise ValueError(f"{folder / ABOUT}: {error}") from error
    return spec, tuple(kinds), {name: _stored(folder, name, spec, len(kinds)) for name in SPLITS}


def _stored(folder: Path, name: str, spec: DataSpec, kinds: int) -> Stored:
    file = folder / f"{name}.npz"
    arrays = read_arrays(file)
    missing = [field for field in Stored._fields if field not in arrays]
    if missing:
        raise ValueError(f"{file}: no array {missing[0]}")
    stored = Stored(**{field: arrays[field] for field in Stored._fields})
    count = len(stored.images)
    shapes = {
        "images": (count, *spec.shape),
        "votes": (count, len(spec.classes)),
        "abstentions": (count, kinds),
        "ids": (count,),
        "names": (count,),
    }
    for field, shape in shapes.items():
        if getattr(stored, field).shape != shape:
            raise ValueError(
                f"{file}: {field} must be {list(shape)}, got {list(getattr(stored, field).shape)}"
            )
    if stored.images.dtype != np.uint8:
        raise ValueError(f"{file}: images must be uint8, got {stored.images.dtype}")
    return stored._replace(votes=vote_arithmetic.check(stored.votes))


def targets(
    votes: np.ndarray, abstentions: np.ndarray, label_filter: str
) -> tuple[np.ndarray, np.ndarray]:
    """Applies a label filter, for any number of people.

    * ``paper``: drop a picture that nobody labelled, or that at least half of the people could not
      label; target = the vote distribution.
    * ``majority``: keep it if one class holds more than half of all answers, abstentions included;
      target one-hot.

    Args:
      votes: ``[picture, class]`` counts.
      abstentions: ``[picture, kind]`` counts.
      label_filter: one of :data:`LABEL_FILTERS`.

    Returns:
      Which pictures are kept, bool ``[picture]``, and targets float32 ``[picture, class]``.

    Raises:
      ValueError: on another label filter.

    >>> targets(np.array([[3, 1], [0, 1]]), np.array([[0], [1]]), "paper")[0].tolist()
    [True, False]
    """
    voted = votes.sum(1)
    everyone = voted + abstentions.sum(1)
    q = vote_arithmetic.distribution(votes)
    if label_filter == "paper":
        keep = (voted > 0) & (2 * abstentions.sum(1) < everyone)
    elif label_filter == "majority":
        keep = 2 * votes.max(1) > everyone
        q = np.eye(votes.shape[1])[votes.argmax(1)]
    else:
        raise ValueError(
            f"data.policy {label_filter!r} is FER+'s own; for other pictures there are "
            f"{', '.join(LABEL_FILTERS)}"
        )
    return keep, np.where(keep[:, None], q, 0).astype(np.float32)
