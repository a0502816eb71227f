"""Tables of labels or votes beside pictures: one row a picture, CSV or parquet.

A table names pictures in one column and says what people saw in others: one label, counts of votes
by class, or shares of them. What each column is taken for is decided by its name, or said by the
caller, never by its values, and always told.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ferjax import votes as vote_arithmetic
from ferjax.files import printable, read_table, shortened

__all__ = ["ROLES", "LabelTable", "canonical_split", "from_rows", "read_csv"]

ROLES = {
    "picture": (
        "path",
        "file",
        "filename",
        "file_name",
        "image",
        "image name",
        "image_path",
        "pth",
    ),
    "label": ("label", "emotion", "expression", "class"),
    "split": ("split", "usage", "subset", "set", "partition"),
    "group": ("group", "subject", "subject_id", "person", "video"),
}
"""What a column is for, and the names that it is known by, whatever their case."""

_SPLITS = {
    "train": ("train", "training", "fer2013train"),
    "valid": ("valid", "val", "validation", "dev", "publictest", "fer2013valid"),
    "test": ("test", "testing", "privatetest", "fer2013test"),
}
_MOST_RATERS = 100
"""Shares are taken for multiples of 1/n up to this n."""


class LabelTable(NamedTuple):
    """What a table says of its pictures.

    Attributes:
      pictures: name of each picture, as in the table.
      labels: ``[row]`` a label for each, or None where there are votes.
      votes: int64 ``[row, column]`` counts, or None where there are labels.
      columns: names of the vote columns.
      splits: ``[row]`` train, valid, test, or "" where the table does not say.
      groups: ``[row]`` rows of one group must stay in one split; None: every row is its own.
      notes: what the columns were taken for, in words.
    """

    pictures: list[str]
    labels: list[str] | None
    votes: np.ndarray | None
    columns: tuple[str, ...]
    splits: list[str]
    groups: list[str] | None
    notes: tuple[str, ...]


def canonical_split(name: str) -> str:
    """``train``, ``valid`` or ``test`` for any usual name of it, "" for anything else.

    >>> canonical_split("PublicTest"), canonical_split("faces")
    ('valid', '')
    """
    return next((s for s, known in _SPLITS.items() if name.strip().lower() in known), "")


def read_csv(
    path: str | os.PathLike,
    *,
    classes: Sequence[str] = (),
    abstentions: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
) -> LabelTable:
    """Reads a CSV file with a header.

    Args:
      path: the file.
      classes: names of the vote columns; needed where there is no column of labels.
      abstentions: names of columns that count people who chose no class.
      columns: role -> name of its column, for columns of other names than :data:`ROLES` has.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: naming file, line and column, on anything that does not fit.
    """
    rows = read_table(path, "table of labels")
    first = next(rows, None)
    if first is None:
        raise ValueError(f"{path}: empty; a header is expected")
    header = [name.strip() for name in first.fields]
    body = []
    places = []
    for line, fields in rows:
        if len(fields) != len(header):
            raise ValueError(
                f"{path} line {line}: {len(fields)} fields, the header has {len(header)}"
            )
        body.append(fields)
        places.append(f"{path} line {line}")
    return from_rows(
        str(path),
        header,
        body,
        places,
        classes=classes,
        abstentions=abstentions,
        columns=columns,
    )


def from_rows(
    source: str,
    header: Sequence[str],
    rows: Sequence[Sequence[Any]],
    places: Sequence[str],
    *,
    classes: Sequence[str] = (),
    abstentions: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
) -> LabelTable:
    """Takes a table apart by the names of its columns; arguments as for :func:`read_csv`.

    Args:
      source: name of the table, for messages.
      header: names of the columns.
      rows: the fields of each row.
      places: where each row is, for messages.
      classes: as for :func:`read_csv`.
      abstentions: as for :func:`read_csv`.
      columns: as for :func:`read_csv`.
    """
    if not rows:
        raise ValueError(f"{source}: no row below the header")
    twice = sorted({name for name in header if list(header).count(name) > 1})
    if twice:
        raise ValueError(f"{source}: column {twice[0]!r} is there twice")
    at = _roles(source, header, columns or {})
    shown = printable(", ".join(header)[:200])
    if "picture" not in at:
        raise ValueError(
            f"{source}: no column names the pictures; known names are "
            f"{', '.join(ROLES['picture'])}; the header is {shown}"
        )
    voted = [*classes, *abstentions]
    missing = [name for name in voted if name not in header]
    if voted and missing and "label" not in at:
        raise ValueError(f"{source}: no column {missing[0]!r}; the header is {shown}")
    counted = bool(voted) and not missing
    if not counted and "label" not in at:
        rest = [name for name in header if name not in {header[i] for i in at.values()}]
        others = printable(", ".join(rest)[:200]) or "other columns"
        raise ValueError(
            f"{source}: no column of labels ({', '.join(ROLES['label'])}); if {others} are votes, "
            "name the classes among them with --classes"
        )
    notes = [f"column {header[i]!r} is the {role}" for role, i in at.items()]
    votes = None
    labels = None
    if counted:
        at.pop("label", None)
        votes, said = _counts(source, rows, places, [header.index(name) for name in voted])
        notes.append(said)
    else:
        labels = [str(row[at["label"]]).strip() for row in rows]
        empty = next((i for i, label in enumerate(labels) if not label), None)
        if empty is not None:
            raise ValueError(f"{places[empty]}: no label")
    splits = [""] * len(rows)
    if "split" in at:
        splits = [canonical_split(str(row[at["split"]])) for row in rows]
        strange = next((i for i, split in enumerate(splits) if not split), None)
        if strange is not None:
            known = ", ".join(name for names in _SPLITS.values() for name in names)
            came = printable(str(rows[strange][at["split"]])[:60])
            raise ValueError(f"{places[strange]}: split {came!r}; expected one of {known}")
    pictures = [str(row[at["picture"]]).strip() for row in rows]
    seen: dict[str, int] = {}
    for i, name in enumerate(pictures):
        if name in seen:
            raise ValueError(f"{places[i]}: {printable(shortened(name))} is there twice")
        seen[name] = i
    groups = [str(row[at["group"]]) for row in rows] if "group" in at else None
    return LabelTable(pictures, labels, votes, tuple(voted), splits, groups, tuple(notes))


def _roles(source: str, header: Sequence[str], columns: Mapping[str, str]) -> dict[str, int]:
    found = {}
    for role, known in ROLES.items():
        if role in columns:
            if columns[role] not in header:
                raise ValueError(
                    f"{source}: no column {columns[role]!r}; the header is "
                    f"{printable(', '.join(header)[:200])}"
                )
            found[role] = list(header).index(columns[role])
            continue
        named = [i for i, name in enumerate(header) if name.lower() in known]
        if len(named) > 1:
            raise ValueError(
                f"{source}: columns {' and '.join(header[i] for i in named)} could both be the "
                f"{role}; say which with --columns {role}={header[named[0]]}"
            )
        if named:
            found[role] = named[0]
    unknown = sorted(set(columns) - set(ROLES))
    if unknown:
        raise ValueError(f"no role {unknown[0]!r}; there are {', '.join(ROLES)}")
    return found


def _counts(
    source: str, rows: Sequence[Sequence[Any]], places: Sequence[str], at: Sequence[int]
) -> tuple[np.ndarray, str]:
    """Votes as whole counts, and what they were taken for."""
    values = np.empty((len(rows), len(at)))
    for i, row in enumerate(rows):
        for j, column in enumerate(at):
            try:
                values[i, j] = float(row[column])
            except (TypeError, ValueError):
                shown = printable(str(row[column])[:40])
                raise ValueError(f"{places[i]}: votes must be numbers, got {shown!r}") from None
    bad = ~((values >= 0) & np.isfinite(values)).all(1)
    if bad.any():
        first = int(bad.argmax())
        raise ValueError(f"{places[first]}: votes must be >= 0, got {values[first].tolist()}")
    whole = (values == np.round(values)).all(1)
    if whole.all():
        return vote_arithmetic.check(values), "votes are counts"
    sums = values.sum(1)
    if not (np.abs(sums - 1) < 0.02).all():
        first = int((~whole).argmax())
        raise ValueError(
            f"{places[first]}: votes are neither whole counts nor shares that sum to 1, got "
            f"{values[first].tolist()}"
        )
    for raters in range(2, _MOST_RATERS + 1):
        scaled = values * raters
        if (np.abs(scaled - np.round(scaled)) < 0.005 * raters).all():
            counts = np.round(scaled)
            if (counts.sum(1) == raters).all():
                said = f"votes are shares, all multiples of 1/{raters}: {raters} votes a picture"
                return counts.astype(np.int64), said
    raise ValueError(
        f"{source}: votes are shares of no common number of people (up to {_MOST_RATERS}); give "
        "counts"
    )


def picture_paths(
    table: LabelTable, roots: Iterable[Path]
) -> tuple[list[Path | None], tuple[str, ...]]:
    """Where each picture of a table is, looked for below each of the folders; None: nowhere."""
    roots = list(roots)
    found: list[Path | None] = []
    for name in table.pictures:
        candidates = (root / name for root in roots)
        found.append(next((path for path in candidates if path.is_file()), None))
    lost = [name for name, path in zip(table.pictures, found) if path is None]
    if len(lost) == len(found):
        where = " or ".join(str(root) for root in roots)
        raise ValueError(
            f"none of {len(lost):,} pictures of the table is in {where}; the first is "
            f"{printable(shortened(lost[0]))}"
        )
    notes: tuple[str, ...] = ()
    if lost:
        first = printable(shortened(lost[0]))
        notes = (f"{len(lost):,} pictures of the table are not there, {first} first",)
    return found, notes
