"""GoEmotions' published raw ratings: three CSV files, one row a rating, a 0/1 column an emotion."""

from pathlib import Path

import numpy as np

from ferjax.ratings import Ratings
from ferjax.texts.readers._rows import Csv, Row, name_rows

__all__ = ["read", "read_folder", "recognised"]

_BEFORE = ("text", "id", "rater_id", "example_very_unclear")
_ABOUT = (*_BEFORE, "author", "subreddit", "link_id", "parent_id", "created_utc")
FORMAT = "GoEmotions, raw ratings"


def recognised(header: tuple[str, ...]) -> bool:
    """Whether these are its columns."""
    return set(_BEFORE) <= set(header)


def read_folder(path: Path) -> tuple[Ratings, str, tuple[str, ...], tuple[str, ...]]:
    """Reads all of the raw files of a folder (goemotions_1.csv to goemotions_3.csv)."""
    tables = [Csv(file) for file in sorted(path.glob("*.csv"))]
    tables = [table for table in tables if recognised(table.header)]
    if not tables:
        raise ValueError(
            f"{path}: no raw file of GoEmotions here (*.csv with columns {', '.join(_BEFORE)}); "
            "give the panel's file instead of its folder"
        )
    return _read(tables)


def read(
    table: Csv,
    kind: str | None,
    classes: tuple[str, ...] | None,
    levels: tuple[float, ...] | None,
) -> tuple[Ratings, str, tuple[str, ...], tuple[str, ...]]:
    """Reads one of the raw files."""
    if kind not in (None, "multi") or levels or classes:
        raise ValueError(f"{table.path}: {FORMAT} are of kind multi, with classes of their own")
    return _read([table])


def _read(tables: list[Csv]) -> tuple[Ratings, str, tuple[str, ...], tuple[str, ...]]:
    classes = tuple(name for name in tables[0].header if name not in _ABOUT)
    for table in tables[1:]:
        if tuple(name for name in table.header if name not in _ABOUT) != classes:
            raise ValueError(f"{table.path}: other emotions than {tables[0].path}")
    texts: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    names: list[str] = []
    raters: list[str] = []
    chosen: list[list[bool]] = []
    unclear: list[str] = []
    for table in tables:
        for row in table:
            item = row.text("id")
            rater = row.text("rater_id")
            text = row.fields["text"]
            if texts.setdefault(item, text) != text:
                row.refuse(f"item {item} has another text than before")
            if (item, rater) in seen:
                row.refuse(f"rater {rater} rates item {item} twice")
            seen.add((item, rater))
            labels = [_flag(row, name) for name in classes]
            if _flag(row, "example_very_unclear"):
                if any(labels):
                    row.refuse("a rating is very unclear and names an emotion")
                unclear.append(item)
                continue
            names.append(item)
            raters.append(rater)
            chosen.append(labels)
    ids = np.array(list(texts), np.str_)
    place = {name: number for number, name in enumerate(texts)}
    who, rater_row = name_rows(raters)
    ratings = Ratings(
        kind="multi",
        classes=classes,
        ids=ids,
        item=np.array([place[name] for name in names], int),
        chosen=np.array(chosen, bool).reshape(len(chosen), len(classes)),
        rater=rater_row,
        raters=who,
        unclear=np.bincount([place[name] for name in unclear], minlength=len(ids)),
        texts=tuple(texts.values()),
    )
    files = tuple(str(table.path) for table in tables)
    empty = int((~ratings.said.any(1)).sum())
    notes = (f"{empty:,} ratings name no emotion and are not unclear: kept, empty",) * (empty > 0)
    return ratings, FORMAT, files, notes


_FLAGS = {"0": False, "1": True, "false": False, "true": True, "0.0": False, "1.0": True}


def _flag(row: Row, name: str) -> bool:
    value = row.fields[name]
    if value.strip().lower() not in _FLAGS:
        row.refuse(f"{name} must be 0 or 1, True or False, got {value!r}")
    return _FLAGS[value.strip().lower()]
