"""Predictions of any framework: log-probabilities, probabilities or logits in, :class:`Predictions`
out; no model is needed.

A file holds one condition: the clean test items, their corrupted copies, or other items. What it
may be:

* ``.npz`` with one of the arrays ``log_probs``, ``probs``, ``logits``, ``[member, item, class]``
  (``[item, class]`` is one member). Optional beside it: ``ids [item]``, ``votes [item, class]`` or
  ``[item, class + 2]`` (then unknown and NF come last), ``labels [item]`` (class numbers, for sets
  with one label per face), ``groups``, ``truth``, ``features_*``, ``scores_*`` and ``meta``, all as
  :mod:`ferjax.predictions` describes them. ``probabilities`` is another name for ``probs``.
  ``alpha [member, item, class]`` in their place are the parameters of Dirichlet distributions, as
  evidential networks predict them.
* ``.npy`` with the bare array; what it holds is recognised by its sums, see
  :mod:`ferjax.evaluation.recognition`; what could be of two kinds is refused.

Which condition: the file's ``meta``, else its name. ``test`` is the clean test split (a single file
is, whatever its name), ``valid`` (or ``val``) chooses thresholds, ``NAME_3`` is the test items
under corruption NAME at severity 3, in the same order, ``valid_NAME_3`` the valid items likewise,
and any other name is an out-of-distribution set. What each file was taken for is told. Where files
name their classes (an array ``classes``, or ``meta``) they are paired by name. Ten lines that write
one from PyTorch::

    import numpy as np, torch

    @torch.no_grad()
    def dump(members, loader, path):       # networks that return logits; loader of images, votes
        outputs, votes = [], []
        for images, counts in loader:
            outputs.append(torch.stack([m.eval()(images) for m in members]).log_softmax(-1).cpu())
            votes.append(counts)             # whole votes for each class
        np.savez(path, log_probs=torch.cat(outputs, 1).numpy(), votes=torch.cat(votes).numpy())
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ferjax.evaluation.recognition import KINDS, split_alpha, to_log_probs
from ferjax.evaluation.vote_files import Votes, read_votes, split_votes
from ferjax.events import Message, OnEvent, Progress, silent
from ferjax.files import read_arrays
from ferjax.predictions import SEVERITIES, Predictions

__all__ = ["Loaded", "Votes", "load", "read_condition", "read_votes", "to_log_probs"]

_VALID_NAMES = ("valid", "val", "validation")
_TRAINING_NAMES = ("train", "training")


class _Read(NamedTuple):
    """One file: what it holds, and how that was known."""

    predictions: Predictions
    kind: str
    """log_probs, probs, logits or alpha."""
    named: bool
    """Whether the file says the kind; else its sums did."""
    role_by: str
    """What said which condition it is: its meta, or its name."""
    has_ids: bool


def read_condition(path: Path) -> tuple[Predictions, str]:
    """Reads one file of predictions, and says what kind of numbers it held.

    Raises:
      FileNotFoundError: if there is none.
      ValueError: naming the file, if it holds no predictions.
    """
    read = _read(path)
    return read.predictions, read.kind


def _read(path: Path) -> _Read:
    arrays = read_arrays(path)
    names = [name for name in arrays if name in KINDS]
    if "" not in arrays and len(names) != 1:
        raise ValueError(
            f"{path}: expected one of the arrays {', '.join(KINDS)}; "
            f"found {', '.join(arrays) or 'nothing'}"
        )
    try:
        source = names[0] if names else ""
        given: dict[str, np.ndarray | None] = dict(arrays)
        if source == "alpha":
            if "log_concentration" in arrays:
                raise ValueError("alpha brings its concentration; found log_concentration as well")
            values, given["log_concentration"] = split_alpha(arrays["alpha"])
            log_probs, _ = to_log_probs(values, "log_probs")
            kind = "alpha"
        else:
            log_probs, kind = to_log_probs(arrays[source], KINDS.get(source))
        given |= {"log_probs": log_probs, **_votes_of(arrays, *log_probs.shape[1:])}
        p = Predictions.from_arrays(given, default_condition=path.stem)
        by_meta = "meta" in arrays
        p = p if by_meta else _by_name(p)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return _Read(p, kind, bool(names), "its meta" if by_meta else "its name", "ids" in arrays)


def _votes_of(
    arrays: Mapping[str, np.ndarray], items: int, classes: int
) -> dict[str, np.ndarray | None]:
    """Votes of a file with predictions; a label counts as one vote."""
    votes = arrays.get("votes")
    if votes is not None:
        counts, abstentions = split_votes(votes, classes, "array votes")
        return {"votes": counts, "abstentions": arrays.get("abstentions", abstentions)}
    if "labels" not in arrays:
        return {}
    labels = arrays["labels"]
    if labels.shape != (items,) or not np.isin(labels, np.arange(classes)).all():
        raise ValueError(
            f"labels must be [item] ({items},) class numbers 0..{classes - 1}, "
            f"got shape {labels.shape}"
        )
    return {"votes": np.eye(classes, dtype=np.int64)[labels.astype(np.int64)]}


def _by_name(p: Predictions) -> Predictions:
    """The condition that a file's name says, where the file itself does not."""
    name = p.condition
    if name in _VALID_NAMES:
        return dataclasses.replace(p, condition="valid", split="valid")
    if name in _TRAINING_NAMES:
        raise ValueError(
            "named after the training split, which is no part of an evaluation; leave it out, or "
            "say what it is in meta"
        )
    named = re.fullmatch(r"(?:(valid|val|validation)_)?(.+)_(\d+)", name)
    if named and int(named[3]) in SEVERITIES:
        split = "valid" if named[1] else "test"
        condition = f"valid_{named[2]}_{named[3]}" if named[1] else name
        return dataclasses.replace(
            p, condition=condition, corruption=named[2], severity=int(named[3]), split=split
        )
    if named and named[1]:
        raise ValueError(f"severity must be 1 to 5, got {named[3]}")
    if re.match(r"(valid|val|validation|test)_", name):
        raise ValueError(
            "could be a part of that split, or another set of items; say which in meta, or name it "
            "otherwise"
        )
    return p


class Loaded(NamedTuple):
    """A whole evaluation."""

    predictions: dict[str, Predictions]
    """By condition."""
    kinds: dict[str, str]
    """Condition -> what its file held."""
    classes: tuple[str, ...] | None
    """Names of the classes, where any file says them."""


def load(paths: Iterable[Path], votes: Path | None = None, on_event: OnEvent = silent) -> Loaded:
    """Reads a whole evaluation.

    Args:
      paths: files of predictions, or folders of them.
      votes: votes of the test items, by row or, where it has ids, by id.
      on_event: told, in words, what every file was taken for.

    Raises:
      FileNotFoundError: if a file or folder does not exist or holds nothing.
      ValueError: if files do not fit together; names them.
    """
    files: list[Path] = []
    for path in paths:
        inside = [path]
        if path.is_dir():
            inside = sorted(f for f in path.iterdir() if f.suffix.lower() in (".npz", ".npy"))
        if not inside:
            raise FileNotFoundError(f"{path}: no .npz or .npy file in this folder")
        files += inside
    if not files:
        raise ValueError("no predictions given")
    found: dict[str, _Read] = {}
    for number, file in enumerate(files):
        on_event(Progress(f"reading {len(files)} files", number / len(files), file.name))
        read = _read(file)
        p = read.predictions
        if len(files) == 1:
            read = _alone(read, file)
            p = read.predictions
        if p.condition in found:
            raise ValueError(f"{file}: condition {p.condition} was given twice")
        found[p.condition] = read
    if "test" not in found:
        raise ValueError(
            f"no condition 'test' among {', '.join(found)}: name the file of the clean test "
            "items test.npz"
        )
    test = found["test"].predictions
    predictions = {name: _aligned(read.predictions, test) for name, read in found.items()}
    _require_copies(found, test)
    _require_severities(found)
    kinds = {name: read.kind for name, read in found.items()}
    notes = _notes(found)
    classes = test.classes
    if votes is not None:
        text_ids = test.ids if test.ids.dtype.kind in "US" else None
        given = read_votes(votes, test.log_probs.shape[2], classes, text_ids)
        predictions["test"], pairing = _with_votes(test, given, votes, found["test"].has_ids)
        notes += [*given.notes, pairing]
        classes = classes or given.classes
    for note in notes:
        on_event(Message(note))
    return Loaded(predictions, kinds, classes)


def _alone(read: _Read, file: Path) -> _Read:
    """A single file is of the clean test items, unless it says that it is not."""
    p = read.predictions
    if p.condition == "test":
        return read
    if p.split != "ood" or p.corruption is not None or read.role_by == "its meta":
        raise ValueError(
            f"no condition 'test': {file} is {_role(p)}, by {read.role_by}; name the file of the "
            "clean test items test.npz"
        )
    p = dataclasses.replace(p, condition="test", split="test")
    return read._replace(predictions=p, role_by="being the only file")


def _role(p: Predictions) -> str:
    if p.corruption is not None:
        return f"the {p.split} items under {p.corruption} at severity {p.severity}"
    return "an out-of-distribution set" if p.split == "ood" else f"the clean {p.split} items"


def _aligned(p: Predictions, test: Predictions) -> Predictions:
    """The condition with its classes in the order of the test items', where both name them."""
    if p.classes is None or test.classes is None or p.classes == test.classes:
        return p
    try:
        return p.with_classes(test.classes)
    except ValueError as error:
        raise ValueError(f"condition {p.condition}: {error}") from error


def _require_copies(found: Mapping[str, _Read], test: Predictions) -> None:
    """Refuses what is called a corrupted copy by its name alone and has other items."""
    for name, read in found.items():
        p = read.predictions
        copy = p.split == "test" and p.corruption is not None and read.role_by == "its name"
        if copy and len(p.ids) != len(test.ids):
            raise ValueError(
                f"condition {name} is called like {_role(p)}, but has {len(p.ids):,} items where "
                f"they are {len(test.ids):,}; another set of items needs another name, or meta"
            )


def _require_severities(found: Mapping[str, _Read]) -> None:
    """Refuses NAME_9 beside NAME_3: it would be another set of items."""
    corruptions = {read.predictions.corruption for read in found.values()} - {None}
    for name, read in found.items():
        stem, _, number = name.rpartition("_")
        of_corruption = read.predictions.corruption is None and stem in corruptions
        if read.role_by == "its name" and of_corruption and number.isdecimal():
            raise ValueError(f"condition {name}: severity must be 1 to 5, got {number}")


def _notes(found: Mapping[str, _Read]) -> list[str]:
    """What every file was taken for; severities of one corruption in one sentence."""
    together: dict[tuple, list[_Read]] = {}
    for read in found.values():
        p = read.predictions
        own = p.condition if p.corruption is None else (p.split, p.corruption)
        key = (own, read.kind, read.named, read.role_by, p.log_probs.shape)
        together.setdefault(key, []).append(read)
    notes = []
    for reads in together.values():
        first = reads[0]
        p = first.predictions
        role = _role(p)
        if p.corruption is not None:
            severities = ", ".join(str(s) for s in sorted(_severities(reads)))
            role = f"the {p.split} items under {p.corruption}, severities {severities}"
        kind = first.kind.replace("_", "-")
        how = "as it says" if first.named else "by their sums"
        members, items, classes = p.log_probs.shape
        notes.append(
            f"{p.condition}: {kind} ({how}) of {members} members, {items:,} items, {classes} "
            f"classes; {role} (by {first.role_by})"
        )
    return notes


def _severities(reads: Iterable[_Read]) -> list[int]:
    return [read.predictions.severity or 0 for read in reads]


def _with_votes(
    test: Predictions, read: Votes, path: Path, has_ids: bool
) -> tuple[Predictions, str]:
    """The test items with their votes, by id where both have ids; and how they were paired."""
    rows = np.arange(len(read))
    texts = read.ids is not None and read.ids.dtype.kind in "US"
    if read.ids is not None and (has_ids or not texts):
        rows = _rows_by_id(test.ids, read.ids, path)
        pairing = "votes: paired with the predictions by id"
    elif len(rows) != len(test.ids):
        raise ValueError(
            f"{path}: {len(rows)} rows of votes for {len(test.ids)} test items; rows must agree, "
            f"or both need ids{_turned(test, len(rows))}"
        )
    else:
        pairing = "votes: paired with the predictions by row, since not both have ids"
    paired = read.take(rows)
    voted = dataclasses.replace(
        test, votes=paired.counts, vote_shares=paired.shares, abstentions=paired.abstentions
    )
    return voted, pairing


def _turned(test: Predictions, rows: int) -> str:
    """A word about axes in another order, where the rows say so."""
    if rows not in (test.log_probs.shape[0], test.log_probs.shape[2]):
        return ""
    return f"; are predictions [member, item, class]? They are {test.log_probs.shape}"


def _rows_by_id(wanted: np.ndarray, ids: np.ndarray, path: Path) -> np.ndarray:
    """The row of each wanted id; whole numbers and texts that show them are the same."""
    if ids.ndim != 1 or ids.dtype.kind not in "iuUS":
        raise ValueError(f"{path}: ids must be [item] numbers or texts, got {ids.dtype}")
    row_of: dict[str, int] = {}
    for row, one in enumerate(map(str, ids.tolist())):
        if one in row_of:
            raise ValueError(f"{path}: id {one} is there twice, in rows {row_of[one]} and {row}")
        row_of[one] = row
    absent = [one for one in map(str, wanted.tolist()) if one not in row_of]
    if absent:
        raise ValueError(
            f"{path}: no votes for {len(absent)} of {len(wanted)} test items; the first is id "
            f"{absent[0]}"
        )
    return np.array([row_of[one] for one in map(str, wanted.tolist())])
