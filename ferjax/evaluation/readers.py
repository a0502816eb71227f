"""Predictions of any framework: log-probabilities, probabilities or logits in, :class:`Predictions`
out; no model is needed.

A file holds one condition: the clean test items, their corrupted copies, or other items. What it
may be:

* ``.npz`` with one of the arrays ``log_probs``, ``probs``, ``logits``, ``[member, item, class]``
  (``[item, class]`` is one member). Optional beside it: ``ids [item]``, ``votes [item, class]`` or
  ``[item, class + 2]`` (then unknown and NF come last), ``labels [item]`` (class numbers, for sets
  with one label per face), ``groups``, ``truth``, ``features_*``, ``scores_*`` and ``meta``, all as
  :mod:`ferjax.predictions` describes them. ``probabilities`` is another name for ``probs``.
* ``.npy`` with the bare array; what it holds is recognised by its sums.

Which condition: the file's ``meta``, else its name. ``test`` is the clean test split (a single file
is, whatever its name), ``valid`` (or ``val``) chooses thresholds, ``NAME_3`` is the test items
under corruption NAME at severity 3, in the same order, and any other name is an out-of-distribution
set. Ten lines that write one from PyTorch::

    import numpy as np, torch

    @torch.no_grad()
    def dump(members, loader, path):       # networks that return logits; loader of images, votes
        outputs, votes = [], []
        for images, counts in loader:
            outputs.append(torch.stack([m.eval()(images) for m in members]).log_softmax(-1).cpu())
            votes.append(counts)             # whole votes for each class
        np.savez(path, log_probs=torch.cat(outputs, 1).numpy(), votes=torch.cat(votes).numpy())
"""

import csv
import dataclasses
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ferjax import votes as votes_of
from ferjax.files import read_arrays
from ferjax.predictions import Predictions

__all__ = ["Loaded", "Votes", "load", "read_condition", "read_votes", "to_log_probs"]

_KINDS = {"log_probs": "log_probs", "probs": "probs", "probabilities": "probs", "logits": "logits"}
_VALID_NAMES = ("valid", "val", "validation")
_NOT_CLASSES = ("usage", "image name", "image", "name", "path", "file", "id", "unknown", "nf")


def to_log_probs(values: np.ndarray, kind: str | None = None) -> tuple[np.ndarray, str]:
    """Turns an array into member log-probabilities.

    Args:
      values: ``[member, item, class]`` or ``[item, class]``.
      kind: log_probs, probs or logits; recognised from the sums over classes unless given.

    Returns:
      float32 log-probabilities ``[member, item, class]``, and the kind.

    Raises:
      ValueError: if the array is not of that kind, or could be of more than one.

    >>> to_log_probs(np.array([[0.25, 0.75]]))[1]
    'probs'
    """
    values = np.asarray(values)
    if not np.issubdtype(values.dtype, np.floating):
        raise ValueError(f"predictions must be floating point, got {values.dtype}")
    if values.ndim == 2:
        values = values[None]
    if values.ndim != 3 or values.shape[-1] < 2 or 0 in values.shape:
        raise ValueError(
            "predictions must be [member, item, class] or [item, class] with at least one member, "
            f"one item and two classes, got {values.shape}"
        )
    values = values.astype(np.float64)
    if np.isnan(values).any():
        member, item = np.argwhere(np.isnan(values).any(-1))[0]
        raise ValueError(f"predictions of member {member}, item {item} are not numbers")
    sums = values.sum(-1)
    shares = (values >= -1e-6).all() and (np.abs(sums - 1) < 1e-2).all()
    logs = (values <= 1e-4).all() and (np.abs(np.exp(values).sum(-1) - 1) < 1e-2).all()
    if kind is None:
        if not shares and not logs and values.min() >= 0 and values.max() <= 1:
            raise ValueError(
                "predictions lie in [0, 1] but do not sum to 1: say what they are, "
                "np.savez(path, logits=...) or probs=..."
            )
        kind = "probs" if shares else "log_probs" if logs else "logits"
    if kind == "probs" and not shares:
        worst = np.unravel_index(np.abs(sums - 1).argmax(), sums.shape)
        raise ValueError(
            f"probabilities of member {worst[0]}, item {worst[1]} sum to {sums[worst]:.4g} "
            "(or are negative), expected 1"
        )
    if kind == "log_probs" and not logs:
        raise ValueError(
            "log-probabilities do not sum to 1 after exp; if they are not normalised, they are "
            "logits"
        )
    if kind == "probs":
        with np.errstate(divide="ignore"):
            values = np.log(np.maximum(values, 0))
    if np.isposinf(values).any() or np.isneginf(values).all(-1).any():
        raise ValueError("predictions hold infinities that leave no distribution")
    values = values - values.max(-1, keepdims=True)
    return (values - np.log(np.exp(values).sum(-1, keepdims=True))).astype(np.float32), kind


class Votes(NamedTuple):
    """Votes from a file: ``counts [item, class]``, ``abstentions [item, 2]`` (unknown, NF) or None,
    ``ids [item]`` or None, and the names of the classes or None."""

    counts: np.ndarray
    abstentions: np.ndarray | None
    ids: np.ndarray | None
    classes: tuple[str, ...] | None


def _split_votes(
    counts: np.ndarray, classes: int, where: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Votes for the classes, and the two columns of abstentions where there are two more."""
    if counts.ndim != 2 or counts.shape[1] not in (classes, classes + 2):
        raise ValueError(
            f"{where}: votes must be [item, {classes}], one column per class, or "
            f"[item, {classes + 2}] with unknown and NF; got {counts.shape}"
        )
    try:
        checked = votes_of.check(counts)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    if counts.shape[1] == classes:
        return checked, None
    return checked[:, :classes], checked[:, classes:]


def read_votes(path: Path, classes: int) -> Votes:
    """Reads votes: a CSV with a header, ``.npz`` with ``votes`` (and ``ids``), or ``.npy``.

    CSV columns are one per class, in the order of the predictions; ``unknown``, ``NF`` and ``id``
    may be among them, and FER+'s ``Usage`` and ``Image name`` are passed over.

    Args:
      path: the file.
      classes: how many classes the predictions have.

    Raises:
      FileNotFoundError: if there is none.
      ValueError: naming file and row, if these are no votes.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no votes at {path}")
    if path.suffix.lower() == ".csv":
        return _csv_votes(path, classes)
    arrays = read_arrays(path)
    counts = arrays.get("votes", arrays.get(""))
    if counts is None:
        raise ValueError(f"{path}: no array votes; found {', '.join(arrays) or 'nothing'}")
    return Votes(*_split_votes(counts, classes, str(path)), arrays.get("ids"), None)


def _csv_votes(path: Path, classes: int) -> Votes:
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if row]
    if len(rows) < 2:
        raise ValueError(f"{path}: a header and at least one row of votes are needed")
    if all(_is_number(name) for name in rows[0]):
        raise ValueError(
            f"{path}, line 1: a header is needed, the names of the classes; got numbers "
            f"({', '.join(rows[0][:4])}, …)"
        )
    header = [name.strip() for name in rows[0]]
    lower = [name.lower() for name in header]
    columns = [c for c, name in enumerate(lower) if name not in _NOT_CLASSES]
    if len(columns) != classes:
        raise ValueError(
            f"{path}: {len(columns)} class columns ({', '.join(header[c] for c in columns)}), "
            f"predictions have {classes} classes"
        )
    wanted = [*columns, *(lower.index(n) if n in lower else None for n in ("unknown", "nf"))]
    counts = np.zeros((len(rows) - 1, classes + 2))
    ids = np.zeros(len(counts), np.int64) if "id" in lower else None
    for number, row in enumerate(rows[1:]):
        if len(row) != len(header):
            raise ValueError(
                f"{path}, line {number + 2}: {len(row)} columns where the header has {len(header)}"
            )
        try:
            counts[number] = [0 if c is None else float(row[c]) for c in wanted]
            if ids is not None:
                ids[number] = int(row[lower.index("id")])
        except ValueError as error:
            raise ValueError(f"{path}, line {number + 2}: not a row of votes: {error}") from error
    names = tuple(header[c] for c in columns)
    return Votes(*_split_votes(counts, classes, str(path)), ids, names)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_condition(path: Path) -> tuple[Predictions, str]:
    """Reads one file of predictions, and says what kind of numbers it held.

    Raises:
      FileNotFoundError: if there is none.
      ValueError: naming the file, if it holds no predictions.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no predictions at {path}")
    arrays = read_arrays(path)
    names = [name for name in arrays if name in _KINDS]
    if "" not in arrays and len(names) != 1:
        raise ValueError(
            f"{path}: expected one of the arrays {', '.join(_KINDS)}; "
            f"found {', '.join(arrays) or 'nothing'}"
        )
    try:
        source = names[0] if names else ""
        log_probs, kind = to_log_probs(arrays[source], _KINDS.get(source))
        given = {**arrays, "log_probs": log_probs, **_votes_of(arrays, *log_probs.shape[1:])}
        p = Predictions.from_arrays(given, default_condition=path.stem)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return (p if "meta" in arrays else _by_name(p)), kind


def _votes_of(
    arrays: Mapping[str, np.ndarray], items: int, classes: int
) -> dict[str, np.ndarray | None]:
    """Votes of a file with predictions; a label counts as one vote."""
    votes = arrays.get("votes")
    if votes is not None:
        counts, abstentions = _split_votes(votes, classes, "array votes")
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
    if p.condition in _VALID_NAMES:
        return dataclasses.replace(p, condition="valid", split="valid")
    named = re.fullmatch(r"(.+)_([1-5])", p.condition)
    if named:
        return dataclasses.replace(p, corruption=named[1], severity=int(named[2]), split="test")
    return p


class Loaded(NamedTuple):
    """Condition -> predictions; condition -> what its file held; names of the classes or None."""

    predictions: dict[str, Predictions]
    kinds: dict[str, str]
    classes: tuple[str, ...] | None


def load(paths: Iterable[Path], votes: Path | None = None) -> Loaded:
    """Reads a whole evaluation.

    Args:
      paths: files of predictions, or folders of them.
      votes: votes of the test items, by row or, where it has ids, by id.

    Raises:
      FileNotFoundError: if a file or folder does not exist or holds nothing.
      ValueError: if files do not fit together; names them.
    """
    files: list[Path] = []
    for path in paths:
        inside = [path]
        if path.is_dir():
            inside = sorted(f for f in path.iterdir() if f.suffix in (".npz", ".npy"))
        if not inside:
            raise FileNotFoundError(f"{path}: no .npz or .npy file in this folder")
        files += inside
    if not files:
        raise ValueError("no predictions given")
    predictions: dict[str, Predictions] = {}
    kinds: dict[str, str] = {}
    for file in files:
        p, kind = read_condition(file)
        if len(files) == 1 and p.corruption is None:  # a single file is of the clean test items
            p = dataclasses.replace(p, condition="test", split="test")
        if p.condition in predictions:
            raise ValueError(f"{file}: condition {p.condition} was given twice")
        predictions[p.condition] = p
        kinds[p.condition] = kind
    if "test" not in predictions:
        raise ValueError(
            f"no condition 'test' among {', '.join(predictions)}: name the file of the clean test "
            "items test.npz"
        )
    test = predictions["test"]
    if votes is None:
        return Loaded(predictions, kinds, test.classes)
    read = read_votes(votes, test.log_probs.shape[2])
    predictions["test"] = _with_votes(test, read, votes)
    return Loaded(predictions, kinds, read.classes or test.classes)


def _with_votes(test: Predictions, read: Votes, path: Path) -> Predictions:
    """The test items with their votes, paired by id where the votes have ids."""
    rows = np.arange(len(read.counts))
    if read.ids is not None:
        row_of = {int(i): row for row, i in enumerate(read.ids)}
        absent = [int(i) for i in test.ids if int(i) not in row_of]
        if absent:
            raise ValueError(
                f"{path}: no votes for {len(absent)} of {len(test.ids)} test items; the first is "
                f"id {absent[0]}"
            )
        rows = np.array([row_of[int(i)] for i in test.ids])
    elif len(rows) != len(test.ids):
        raise ValueError(
            f"{path}: {len(rows)} rows of votes for {len(test.ids)} test items; rows must agree, "
            "or both need ids"
        )
    abstentions = None if read.abstentions is None else read.abstentions[rows]
    return dataclasses.replace(test, votes=read.counts[rows], abstentions=abstentions)
