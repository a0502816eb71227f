"""EmoBank's individual ratings: ``id,V,A,D``, one row a rating, raters unknown.

The texts stand in ``emobank.csv`` or ``raw.csv`` beside it; items without a text are kept.
"""

import numpy as np

from ferjax.ratings import Ratings
from ferjax.texts.readers._rows import Csv, name_rows, number, scale

__all__ = ["read", "recognised"]

FORMAT = "EmoBank, individual ratings"
_NAMES = {"V": "valence", "A": "arousal", "D": "dominance"}


def recognised(header: tuple[str, ...]) -> bool:
    """Whether these are its columns."""
    return header == ("id", "V", "A", "D")


def read(
    table: Csv,
    kind: str | None,
    classes: tuple[str, ...] | None,
    levels: tuple[float, ...] | None,
) -> tuple[Ratings, str, tuple[str, ...], tuple[str, ...]]:
    """Reads the file."""
    if classes:
        raise ValueError(f"{table.path}: {FORMAT} have dimensions of their own")
    names: list[str] = []
    rows: list[list[float]] = []
    for row in table:
        names.append(row.text("id"))
        values = [number(row, name, row.fields[name]) for name in _NAMES]
        if levels is None and not all(1 <= value <= 5 for value in values):
            row.refuse(f"V, A and D are between 1 and 5, got {values}")
        rows.append(values)
    if not rows:
        raise ValueError(f"{table.path}: no rating")
    ids, item = name_rows(names)
    values_found = np.array(rows)
    kind, levels = scale(values_found, kind, levels)
    texts = _texts(table)
    missing = sum(name not in texts for name in ids)
    notes = ["who rated is not published: nothing is said rater by rater"]
    if missing:
        notes.append(f"{missing:,} items have no text beside {table.path.name}: kept without")
    return (
        Ratings(
            kind=kind,
            classes=tuple(_NAMES.values()),
            ids=np.array(ids, np.str_),
            item=item,
            values=values_found,
            levels=levels,
            # An item without text is known by its id, so that no two such are copies of each other.
            texts=tuple(texts.get(name, f"[no text: {name}]") for name in ids) if texts else None,
        ),
        FORMAT,
        (str(table.path),),
        tuple(notes),
    )


def _texts(table: Csv) -> dict[str, str]:
    for name in ("emobank.csv", "raw.csv"):
        path = table.path.with_name(name)
        if path.is_file():
            return {row.fields["id"]: row.fields["text"] for row in Csv(path)}
    return {}
