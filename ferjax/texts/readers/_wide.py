"""A table of counts: one row an item, a column a class, as the votes of FER+ are published.

Columns ``unknown``, ``NF`` and ``unclear`` count people who could not judge. With a column
``raters`` the classes are answers to a question each (kind multi); without it every person chose
one. Who rated is not known.
"""

import numpy as np

from ferjax.ratings import Ratings
from ferjax.texts.readers._long import ITEM
from ferjax.texts.readers._rows import Csv, number
from ferjax.votes import MOST

__all__ = ["read", "recognised"]

_LARGEST = 2**28
"""Values of the ratings that counts stand for, one a rating and class, at most."""

FORMAT = "counts of people by class"
_ITEM = (*ITEM, "image name", "name", "path")
_APART = ("unknown", "nf", "unclear", "very_unclear")
_ABOUT = ("usage", "text", "split", "raters")


def recognised(header: tuple[str, ...]) -> bool:
    """Whether a column names the item; what the others hold is seen in the rows."""
    return any(name.lower() in _ITEM for name in header) and len(header) >= 3


def read(
    table: Csv,
    kind: str | None,
    classes: tuple[str, ...] | None,
    levels: tuple[float, ...] | None,
) -> tuple[Ratings, str, tuple[str, ...], tuple[str, ...]]:
    """Reads the table."""
    item = next(name for name in table.header if name.lower() in _ITEM)
    raters = next((name for name in table.header if name.lower() == "raters"), None)
    kind = kind or ("single" if raters is None else "multi")
    if levels or kind not in ("single", "multi"):
        raise ValueError(f"{table.path}: {FORMAT} are of kind single or multi, got {kind}")
    if (kind == "multi") != (raters is not None):
        needs = "needs" if raters is None else "has no"
        raise ValueError(
            f"{table.path}: kind {kind} {needs} column raters, how many people judged the item"
        )
    about = (item, *(n for n in table.header if n.lower() in (*_ABOUT, *_APART)))
    found = classes or tuple(name for name in table.header if name not in about)
    apart = [name for name in table.header if name.lower() in _APART and name not in found]
    text = next((name for name in table.header if name.lower() == "text"), None)
    ids: dict[str, str] = {}
    counts: list[list[int]] = []
    people: list[int] = []
    unclear: list[int] = []
    rows_seen: dict[str, dict] = {}
    nameless = 0
    copies = 0
    for row in table:
        if not row.fields[item].strip():
            # FER+ has rows without a picture's name: faces that were taken out of the set.
            nameless += 1
            continue
        name = row.text(item)
        if name in rows_seen:
            same = all(rows_seen[name][column] == row.fields[column] for column in table.header)
            if not same and any(number(row, column, row.fields[column]) for column in found):
                row.refuse(f"item {name} is there twice, with other counts")
            copies += 1
            continue
        rows_seen[name] = row.fields

        def whole(column: str, row=row) -> int:
            value = number(row, column, row.fields.get(column))
            if value < 0 or value != round(value):
                row.refuse(f"{column} must be a whole count, got {row.fields[column]!r}")
            if value > MOST:
                row.refuse(f"{column} is {row.fields[column]!r}; a count is at most {MOST:,}")
            return int(value)

        ids[name] = "" if text is None else row.fields[text]
        counts.append([whole(column) for column in found])
        people.append(sum(counts[-1]) if raters is None else whole(raters))
        if max(counts[-1], default=0) > people[-1]:
            row.refuse(f"more people chose a class than the {people[-1]} who judged")
        unclear.append(sum(whole(column) for column in apart))
    if not ids:
        raise ValueError(f"{table.path}: no item")
    if sum(people) * len(found) > _LARGEST:
        raise ValueError(
            f"{table.path}: {sum(people):,} ratings of {len(found):,} classes are a table of more "
            f"than {_LARGEST:,} values"
        )
    votes = np.array(counts)
    number_of = np.array(people)
    notes = ["who rated is not known: nothing is said rater by rater"]
    if nameless:
        notes.append(f"{nameless:,} rows without an item's name left out")
    if copies:
        notes.append(f"{copies:,} rows that repeat an item and add no rating left out")
    if kind == "multi":
        notes.append("which labels went together is not known: ratings are taken as nested")
    return (
        Ratings(
            kind=kind,
            classes=found,
            ids=np.array(list(ids), np.str_),
            item=np.repeat(np.arange(len(ids)), number_of),
            chosen=_expanded(votes, number_of, kind),
            unclear=np.array(unclear),
            texts=None if text is None else tuple(ids.values()),
        ),
        FORMAT,
        (str(table.path),),
        tuple(notes),
    )


def _expanded(votes: np.ndarray, people: np.ndarray, kind: str) -> np.ndarray:
    """Ratings ``[rating, class]`` that have these counts."""
    rows = np.repeat(np.arange(len(people)), people)
    slot = np.arange(len(rows)) - np.repeat(np.cumsum(people) - people, people)
    if kind == "multi":
        return slot[:, None] < votes[rows]
    past = np.cumsum(votes, 1)[rows]
    return (slot[:, None] < past) & (slot[:, None] >= past - votes[rows])
