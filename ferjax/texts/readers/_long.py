"""A long table: one row a rating (or a choice), with any name of the usual for its columns.

``item,rater,label``: a row a choice; several rows of one rater and item are several labels.
``item,rater,value`` or ``item,rater,V,A,D``: a row a rating, every further column a dimension.
``text`` is taken along; ``rater`` may be missing where there is a row a rating.
"""

from typing import Any

import numpy as np

from ferjax.ratings import Ratings
from ferjax.texts.readers._rows import Csv, Row, name_rows, number, scale

__all__ = ["read", "recognised"]

ITEM = ("item", "id", "item_id", "text_id", "example_id")
RATER = ("rater", "rater_id", "annotator", "annotator_id", "worker", "worker_id", "user", "user_id")
LABEL = ("label", "class", "emotion", "category", "answer")
_UNCLEAR = ("unclear", "very_unclear")


def _column(header: tuple[str, ...], names: tuple[str, ...]) -> str | None:
    lower = {name.lower(): name for name in header}
    return next((lower[name] for name in names if name in lower), None)


def recognised(header: tuple[str, ...]) -> bool:
    """Whether it names an item and either a label or a rater."""
    found = [_column(header, names) is not None for names in (ITEM, RATER, LABEL)]
    return found[0] and (found[1] or found[2])


def read(
    table: Csv,
    kind: str | None,
    classes: tuple[str, ...] | None,
    levels: tuple[float, ...] | None,
) -> tuple[Ratings, str, tuple[str, ...], tuple[str, ...]]:
    """Reads the table."""
    item = _column(table.header, ITEM)
    rater = _column(table.header, RATER)
    label = _column(table.header, LABEL)
    text = _column(table.header, ("text",))
    assert item is not None
    texts: dict[str, str] = {}
    rows = []
    for row in table:
        name = row.text(item)
        if text is not None and texts.setdefault(name, row.fields[text]) != row.fields[text]:
            row.refuse(f"item {name} has another text than before")
        rows.append((row, name, "" if rater is None else row.text(rater)))
    if not rows:
        raise ValueError(f"{table.path}: no rating")
    if label is not None and kind not in ("ordinal", "real"):
        found = _labels(rows, label, kind, classes, rater is not None)
        form = "long table of labels"
    else:
        if label is not None:
            dimensions: tuple[str, ...] = (label,)
        else:
            dimensions = tuple(n for n in table.header if n not in (item, rater, text))
        found = _values(rows, classes or dimensions, kind, levels)
        form = "long table of values"
    columns = {"item": item, "rater": rater, "label": label}
    words = ", ".join(f"{what} is column {name!r}" for what, name in columns.items() if name)
    ids = found.pop("ids")
    return (
        Ratings(ids=ids, texts=tuple(texts[name] for name in ids) if texts else None, **found),
        form,
        (str(table.path),),
        (words,),
    )


def _labels(
    rows: list[tuple[Row, str, str]],
    label: str,
    kind: str | None,
    classes: tuple[str, ...] | None,
    known: bool,
) -> dict[str, Any]:
    # Without raters, every row is a rating of its own.
    sets: dict[tuple[str, Any], set[str]] = {}
    apart: list[str] = []
    for place, (row, name, rater) in enumerate(rows):
        said = row.fields[label].strip()
        labels = sets.setdefault((name, rater if known else place), set())
        if said.lower() in _UNCLEAR and said not in (classes or ()):
            apart.append(name)
            del sets[name, rater if known else place]
            continue
        if said in labels:
            row.refuse(f"rater {rater} gives item {name} the label {said!r} twice")
        if classes is not None and said and said not in classes:
            row.refuse(f"label {said!r} is none of {', '.join(classes)}")
        if said:  # an empty label is a rating that names none
            labels.add(said)
        elif kind == "single":
            row.refuse(f"{label} is empty, expected one class (kind single)")
        if kind == "single" and len(labels) > 1:
            row.refuse(f"rater {rater} gives item {name} a second label (kind single)")
    found = classes or tuple(sorted(set().union(*sets.values())))
    chosen = np.array([[name in labels for name in found] for labels in sets.values()], bool)
    names, _ = name_rows([name for _, name, _ in rows])
    place_of = {name: place for place, name in enumerate(names)}
    who, rater_row = name_rows([str(rater) for _, rater in sets])
    if kind is None:
        kind = "single" if bool((chosen.sum(1) == 1).all()) else "multi"
    return {
        "kind": kind,
        "classes": found,
        "ids": np.array(names, np.str_),
        "item": np.array([place_of[name] for name, _ in sets], int),
        "chosen": chosen.reshape(len(sets), len(found)),
        "rater": rater_row if known else None,
        "raters": who if known else (),
        "unclear": np.bincount([place_of[name] for name in apart], minlength=len(names)),
    }


def _values(
    rows: list[tuple[Row, str, str]],
    dimensions: tuple[str, ...],
    kind: str | None,
    levels: tuple[float, ...] | None,
) -> dict[str, Any]:
    if not dimensions:
        raise ValueError(f"{rows[0][0].path}: no column of values beside item and rater")
    seen = set()
    values = []
    for row, name, rater in rows:
        if rater and (name, rater) in seen:
            row.refuse(f"rater {rater} rates item {name} twice")
        seen.add((name, rater))
        values.append([number(row, column, row.fields.get(column)) for column in dimensions])
        if levels is not None and not set(values[-1]) <= set(levels):
            row.refuse(f"{values[-1]} is none of the levels {levels}")
    ids, item = name_rows([name for _, name, _ in rows])
    who, rater_row = name_rows([rater for _, _, rater in rows])
    kind, levels = scale(np.array(values), kind, levels)
    known = bool(rows[0][2])
    return {
        "kind": kind,
        "classes": dimensions,
        "ids": np.array(ids, np.str_),
        "item": item,
        "values": np.array(values),
        "levels": levels,
        "rater": rater_row if known else None,
        "raters": who if known else (),
    }
