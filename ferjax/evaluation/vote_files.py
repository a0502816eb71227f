"""Votes from a file: a CSV with a header, ``.npz`` with ``votes``, or a bare ``.npy``.

A CSV has a column for each class, and may have ``unknown`` and ``NF`` (people who could not judge),
an id (``id``, or a name of the picture), and FER+'s ``Usage``, of which the test rows are taken.
Where predictions name their classes, columns are found by those names and others are passed over;
otherwise every other column is a class. What was taken for what is said in :attr:`Votes.notes`.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ferjax import votes as votes_of
from ferjax.files import Row, read_arrays, read_table, require_file

__all__ = ["Votes", "read_votes", "split_votes"]

_NAMES = ("image name", "image", "name", "path", "file", "filename")
_ROW_NUMBERS = ("", "index", "unnamed: 0")
_SPLITS = ("usage", "split")
_ABSTENTIONS = ("unknown", "nf")
_NOT_CLASSES = ("id", *_NAMES, *_ROW_NUMBERS, *_SPLITS, *_ABSTENTIONS)
_TEST = ("privatetest", "test")
SHARES_TOLERANCE = 1e-2
"""How far shares of votes may be from a sum of 1: they are published rounded."""


@dataclasses.dataclass(frozen=True)
class Votes:
    """Votes of a file, by row."""

    counts: np.ndarray | None
    """``[item, class]`` whole votes; None where the file holds shares."""
    abstentions: np.ndarray | None = None
    """``[item, 2]`` (unknown, NF)."""
    ids: np.ndarray | None = None
    """``[item]`` whole numbers or texts."""
    classes: tuple[str, ...] | None = None
    """Names of the classes."""
    shares: np.ndarray | None = None
    """``[item, class]`` shares of the votes, in place of counts."""
    notes: tuple[str, ...] = ()
    """What was taken for what, in words."""

    def __len__(self) -> int:
        """Number of items."""
        return len(self.shares if self.counts is None else self.counts)  # type: ignore[arg-type]

    def take(self, rows: np.ndarray) -> "Votes":
        """The votes of these rows."""
        taken: dict[str, Any] = {
            name: None if getattr(self, name) is None else getattr(self, name)[rows]
            for name in ("counts", "abstentions", "ids", "shares")
        }
        return dataclasses.replace(self, **taken)


def split_votes(
    counts: np.ndarray, classes: int, where: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Votes for the classes, and the two columns of abstentions where there are two more.

    Args:
      counts: ``[item, class]`` or ``[item, class + 2]``.
      classes: how many there are.
      where: what to call the array in messages.

    Raises:
      ValueError: if it is neither, or they are no counts.
    """
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


def read_votes(
    path: Path,
    classes: int,
    names: Sequence[str] | None = None,
    ids: np.ndarray | None = None,
) -> Votes:
    """Reads votes.

    Args:
      path: the file.
      classes: how many classes the predictions have.
      names: their names, where the predictions have them; votes come back in this order.
      ids: ids of the predictions, where they are texts: a column of such texts pairs them.

    Raises:
      FileNotFoundError: if there is none.
      ValueError: naming file and row, if these are no votes, or are of other classes.
    """
    require_file(path, "file of votes")
    if path.suffix.lower() == ".csv":
        return _of_table(path, classes, names, ids)
    arrays = read_arrays(path)
    counts = arrays.get("votes", arrays.get(""))
    if counts is None:
        raise ValueError(f"{path}: no array votes; found {', '.join(arrays) or 'nothing'}")
    own = None if "classes" not in arrays else tuple(map(str, arrays["classes"].ravel()))
    if counts.dtype.kind == "f" and counts.ndim == 2 and _are_shares(counts):
        found = Votes(None, ids=arrays.get("ids"), classes=own, shares=counts, notes=(_SHARES,))
        if counts.shape[1] != classes:
            raise ValueError(f"{path}: shares must be [item, {classes}], got {counts.shape}")
    else:
        whole, abstentions = split_votes(counts, classes, str(path))
        notes = () if abstentions is None else ("votes: the last two columns are unknown and NF",)
        found = Votes(whole, abstentions, arrays.get("ids"), own, notes=notes)
    if own is None or names is None:
        return found
    order = _order(own, names, str(path))
    return dataclasses.replace(
        found,
        counts=None if found.counts is None else found.counts[:, order],
        shares=None if found.shares is None else found.shares[:, order],
        classes=tuple(names),
    )


_SHARES = "votes: shares of votes, so that what needs counts (ceiling, posterior) is left out"


def _are_shares(values: np.ndarray) -> bool:
    """Whether rows are shares rather than counts: not whole, and every sum is 1."""
    if not np.isfinite(values).all() or (values < 0).any() or not len(values):
        return False
    whole = (values == np.round(values)).all()
    return bool(not whole and (np.abs(values.sum(1) - 1) < SHARES_TOLERANCE).all())


def _order(own: Sequence[str], names: Sequence[str], where: str) -> list[int]:
    """Where each of ``names`` stands among ``own``, whatever the case of letters."""
    at = {_folded(name): column for column, name in enumerate(own)}
    absent = [name for name in names if _folded(name) not in at]
    if absent or len(own) != len(names):
        raise ValueError(
            f"{where}: its classes are {_listed(own)}, those of the predictions {_listed(names)}"
        )
    return [at[_folded(name)] for name in names]


def _listed(names: Iterable[str], longest: int = 500) -> str:
    text = ", ".join(names)
    return text if len(text) <= longest else f"{text[:longest]}…"


def _folded(name: str) -> str:
    return name.strip().casefold()


def _of_table(
    path: Path, classes: int, names: Sequence[str] | None, ids: np.ndarray | None
) -> Votes:
    rows = list(read_table(path, "file of votes"))
    if len(rows) < 2:
        raise ValueError(f"{path}: a header and at least one row of votes are needed")
    first, *rows = rows
    header = [name.strip() for name in first.fields]
    if all(_is_number(name) for name in header):
        raise ValueError(
            f"{path}, line 1: a header is needed, the names of the classes; got numbers "
            f"({_listed(header[:4])}, …)"
        )
    lower = [_folded(name) for name in header]
    twice = sorted({name for name in lower if name and lower.count(name) > 1})
    if twice:
        raise ValueError(f"{path}, line 1: column {twice[0][:100]!r} is there twice")
    for row in rows:
        if len(row.fields) != len(header):
            raise ValueError(
                f"{path}, line {row.line}: {len(row.fields)} columns where the header has "
                f"{len(header)}"
            )
    notes: list[str] = []
    columns = _class_columns(path, header, classes, names, notes)
    rows = _of_the_test_split(path, rows, lower, notes)
    values = _numbers(path, rows, columns)
    _refuse_totals(path, header, columns, values)
    kinds = [lower.index(name) if name in lower else None for name in _ABSTENTIONS]
    abstained = None
    if any(column is not None for column in kinds):
        parts = [
            np.zeros((len(rows), 1)) if c is None else _numbers(path, rows, [c]) for c in kinds
        ]
        abstained = np.concatenate(parts, axis=1)
    found = Votes(
        None,
        ids=_ids(path, rows, lower, ids, notes),
        classes=tuple(header[c] for c in columns) if names is None else tuple(names),
    )
    if _are_shares(values):
        return dataclasses.replace(found, shares=values, notes=(*notes, _SHARES))
    try:
        counts = votes_of.check(values)
        abstentions = None if abstained is None else votes_of.check(abstained)
    except ValueError as error:
        raise ValueError(f"{path}: {_with_line(str(error), rows)}") from error
    return dataclasses.replace(found, counts=counts, abstentions=abstentions, notes=tuple(notes))


def _with_line(message: str, rows: Sequence[Row]) -> str:
    """A message about ``votes row N``, with the line of the file."""
    start, _, rest = message.partition("votes row ")
    number = rest.partition(":")[0]
    if start or not number.isdecimal():
        return message
    return f"line {rows[int(number)].line}, {message}"


def _class_columns(
    path: Path,
    header: Sequence[str],
    classes: int,
    names: Sequence[str] | None,
    notes: list[str],
) -> list[int]:
    """Columns of the classes: by name where the predictions name theirs, else all others."""
    lower = [_folded(name) for name in header]
    others = [c for c, name in enumerate(lower) if name not in _NOT_CLASSES]
    if names is not None:
        at = {name: column for column, name in enumerate(lower)}
        absent = [name for name in names if _folded(name) not in at]
        if absent:
            raise ValueError(
                f"{path}, line 1: no column {', '.join(absent)}; its columns are "
                f"{_listed(header)}, the classes of the predictions {_listed(names)}"
            )
        columns = [at[_folded(name)] for name in names]
        spare = [header[c] for c in others if c not in columns]
        if spare:
            notes.append(f"votes: column {', '.join(spare)} is no class and passed over")
        return columns
    if len(others) != classes:
        raise ValueError(
            f"{path}: {len(others)} class columns ({_listed(header[c] for c in others)}), "
            f"predictions have {classes} classes"
        )
    notes.append(
        f"votes: classes in the order of the columns, {', '.join(header[c] for c in others)}"
    )
    return others


def _of_the_test_split(
    path: Path, rows: list[Row], lower: Sequence[str], notes: list[str]
) -> list[Row]:
    """The rows of the test split, where a column says the split."""
    column = next((lower.index(name) for name in _SPLITS if name in lower), None)
    if column is None:
        return rows
    found = {_folded(row.fields[column]) for row in rows}
    if len(found) == 1:
        return rows
    test = [row for row in rows if _folded(row.fields[column]) in _TEST]
    if not test:
        raise ValueError(
            f"{path}: column {lower[column]} holds {_listed(sorted(found)[:5])}; expected "
            "PrivateTest or test among them, the test rows"
        )
    notes.append(
        f"votes: {len(test):,} of {len(rows):,} rows, those whose {lower[column]} is "
        f"{test[0].fields[column].strip()}"
    )
    return test


def _numbers(path: Path, rows: Sequence[Row], columns: Sequence[int]) -> np.ndarray:
    values = np.zeros((len(rows), len(columns)))
    for number, row in enumerate(rows):
        try:
            values[number] = [float(row.fields[c]) for c in columns]
        except ValueError as error:
            said = str(error)[:100]
            raise ValueError(f"{path}, line {row.line}: not a row of votes: {said}") from error
    return values


def _refuse_totals(
    path: Path, header: Sequence[str], columns: Sequence[int], values: np.ndarray
) -> None:
    """A column that is the sum of all others is a total, not a class."""
    if len(columns) < 3 or len(values) < 3:
        return
    sums = values.sum(1, keepdims=True)
    total = (values == sums - values).all(0) & (values > 0).any(0)
    if total.any():
        name = header[columns[int(np.argmax(total))]]
        raise ValueError(f"{path}: column {name[:100]!r} is the sum of the others: no class")


def _ids(
    path: Path,
    rows: Sequence[Row],
    lower: Sequence[str],
    wanted: np.ndarray | None,
    notes: list[str],
) -> np.ndarray | None:
    """Ids of the rows; of a column with another name only where it holds the wanted texts."""
    if "id" in lower:
        column = lower.index("id")
    else:
        texts = set() if wanted is None or wanted.dtype.kind not in "US" else set(wanted.tolist())
        column = next(
            (
                c
                for c, name in enumerate(lower)
                if name in _NAMES and texts & {row.fields[c].strip() for row in rows}
            ),
            -1,
        )
        if column < 0:
            return None
        notes.append(f"votes: paired by column {lower[column]}")
    texts_of = [row.fields[column].strip() for row in rows]
    seen: dict[str, int] = {}
    for text, row in zip(texts_of, rows):
        if text in seen:
            raise ValueError(
                f"{path}, line {row.line}: id {text[:100]!r} is there twice, first in {seen[text]}"
            )
        seen[text] = row.line
    try:
        return np.array([int(text) for text in texts_of], np.int64)
    except (ValueError, OverflowError):
        return np.array(texts_of)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
