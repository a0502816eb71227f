"""JSONL of items with their ratings: ``{"id", "text", "ratings": [{"rater", ...}]}``.

A rating says ``labels`` (a list of classes, with ``"unclear": true`` where the person could not
judge), as GoEmotions, or ``intensity`` (a number for each dimension), as BRIGHTER.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ferjax.ratings import Ratings
from ferjax.texts.readers._rows import Row, json_lines, name_rows, number, scale

__all__ = ["read"]


def read(
    path: Path, classes: tuple[str, ...] | None, levels: tuple[float, ...] | None
) -> tuple[Ratings, str, tuple[str, ...], tuple[str, ...]]:
    """Reads the file."""
    texts: dict[str, str] = {}
    items: list[int] = []
    raters: list[str] = []
    said: list[Any] = []
    unclear: list[int] = []
    places: list[Row] = []
    for row in json_lines(path):
        name = row.text("id")
        if name in texts:
            row.refuse(f"item {name} is there twice")
        texts[name] = row.text("text")
        ratings = row.fields.get("ratings")
        if not isinstance(ratings, list) or not all(isinstance(r, dict) for r in ratings):
            row.refuse("ratings must be a list of objects")
        here = [str(rating.get("rater")) for rating in ratings if rating.get("rater") is not None]
        if len(here) not in (0, len(ratings)):
            row.refuse("some ratings have a rater and some have not")
        if len(set(here)) != len(here):
            row.refuse("a rater rates the item twice")
        for rater, rating in zip(here or [""] * len(ratings), ratings):
            if not isinstance(rating.get("unclear", False), bool):
                row.refuse(f"unclear must be true or false, got {rating['unclear']!r}")
            if rating.get("unclear"):
                if rating.get("labels"):
                    row.refuse("a rating is unclear and names labels")
                unclear.append(len(texts) - 1)
                continue
            items.append(len(texts) - 1)
            raters.append(rater)
            said.append(_said(row, rating))
            places.append(row)
    if not said:
        raise ValueError(f"{path}: no rating")
    kinds = {type(value) for value in said}
    if len(kinds) > 1:
        raise ValueError(f"{path}: some ratings have labels and some have intensity")
    fields: dict[str, Any] = {}
    if kinds == {frozenset}:
        found = classes or tuple(sorted(set().union(*said)))
        fields = _choices(places, said, found)
        form = "raters' labels (JSONL)"
        notes = () if classes else ("classes are those that were chosen, in alphabetical order",)
    else:
        found = classes or tuple(said[0])
        fields = _values(places, said, found, levels)
        form = "raters' intensities (JSONL)"
        notes = ()
    known = any(raters)
    if known and "" in raters:
        raise ValueError(f"{path}: some items have raters and some have not")
    who, rater_row = name_rows(raters)
    return (
        Ratings(
            classes=found,
            ids=np.array(list(texts), np.str_),
            item=np.array(items, int),
            rater=rater_row if known else None,
            raters=who if known else (),
            unclear=np.bincount(unclear, minlength=len(texts)),
            texts=tuple(texts.values()),
            **fields,
        ),
        form,
        (str(path),),
        notes,
    )


def _said(row: Row, rating: dict) -> frozenset | dict:
    labels = rating.get("labels")
    intensity = rating.get("intensity")
    if isinstance(labels, list) and all(isinstance(label, str) for label in labels):
        if len(set(labels)) != len(labels):
            row.refuse(f"a rating names a label twice: {labels}")
        return frozenset(labels)
    if isinstance(intensity, dict) and intensity:
        return {name: number(row, name, value) for name, value in intensity.items()}
    row.refuse(f"a rating needs labels (a list of words) or intensity (numbers by name): {rating}")


def _choices(places: list[Row], said: list[frozenset], classes: tuple[str, ...]) -> dict:
    place = {name: number for number, name in enumerate(classes)}
    chosen = np.zeros((len(said), len(classes)), bool)
    for rating, (row, labels) in enumerate(zip(places, said)):
        foreign = labels - set(classes)
        if foreign:
            row.refuse(f"label {min(foreign)!r} is none of the {len(classes)} classes")
        chosen[rating, [place[label] for label in labels]] = True
    kind = "single" if bool((chosen.sum(1) == 1).all()) else "multi"
    return {"kind": kind, "chosen": chosen}


def _values(
    places: list[Row], said: list[dict], classes: tuple[str, ...], levels: Any
) -> dict[str, Any]:
    for row, rating in zip(places, said):
        if set(rating) != set(classes):
            row.refuse(f"intensity of {', '.join(rating)}; expected {', '.join(classes)}")
    values = np.array([[rating[name] for name in classes] for rating in said])
    kind, found = scale(values, None, levels)
    if found is not None:
        for row, line in zip(places, values):
            if not np.isin(line, found).all():
                row.refuse(f"an intensity is none of the levels {found}")
    return {"kind": kind, "values": values, "levels": found}
