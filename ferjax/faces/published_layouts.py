"""Layouts that labelled faces are published in: FER+'s folders, Kaggle's table, parquet files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ferjax.faces import ferplus, label_tables
from ferjax.faces.label_tables import canonical_split
from ferjax.faces.labelled import Labelled, counted, kept, of_table
from ferjax.files import parse_json, printable, read_table

__all__ = ["KAGGLE_CLASSES", "ferplus_folders", "kaggle", "parquet"]

KAGGLE_CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""Classes of FER2013 by their numbers."""


def ferplus_folders(root: Path, tables: Sequence[Path]) -> Labelled:
    """What FER+'s own script leaves: a folder a split, its label.csv without a header."""
    pictures = []
    names = []
    splits = []
    counts = []
    lost = 0
    for table in tables:
        split = canonical_split(table.parent.name)
        if not split:
            raise ValueError(f"{table.parent}: expected FER2013Train, FER2013Valid, FER2013Test")
        for line, fields in read_table(table, "label.csv"):
            if len(fields) != 2 + len(ferplus.COLUMNS):
                raise ValueError(
                    f"{table} line {line}: {len(fields)} fields, expected the picture, its box and "
                    f"{len(ferplus.COLUMNS)} counts"
                )
            whole = [text.strip().removesuffix(".0") for text in fields[2:]]
            if not all(text.isdecimal() and len(text) <= 9 for text in whole):
                raise ValueError(f"{table} line {line}: votes must be whole counts >= 0")
            file = table.parent / fields[0].strip()
            if not file.is_file():
                lost += 1
                continue
            pictures.append(file)
            names.append(f"{table.parent.name}/{file.name}")
            splits.append(split)
            counts.append([int(text) for text in whole])
    if not pictures:
        raise ValueError(f"{root}: none of {lost:,} pictures of label.csv is there")
    votes, abstentions = ferplus.split_columns(np.array(counts))
    notes = ["FER+ as its own script leaves it: votes and splits of label.csv"]
    if lost:
        notes.append(f"{lost:,} pictures of label.csv are not there")
    return Labelled(
        pictures,
        names,
        votes,
        abstentions,
        ferplus.CLASSES,
        ferplus.ABSTENTIONS,
        splits,
        None,
        tuple(notes),
    )


def kaggle(path: Path, classes: Sequence[str], names: Mapping[str, str]) -> Labelled:
    """FER2013 as Kaggle has it: emotion, pixels, and the split in some editions."""
    rows = read_table(path, "Kaggle's train.csv")
    first = next(rows, None)
    header = [] if first is None else [name.strip() for name in first.fields]
    if not {"emotion", "pixels"} <= set(header):
        raise ValueError(
            f"{path}: expected columns emotion and pixels (Kaggle's FER2013); the header is "
            f"{printable(', '.join(header)[:200]) or 'empty'}. A table beside a folder of pictures "
            "is given with --labels"
        )
    pictures = []
    labels = []
    splits = []
    for line, fields in rows:
        row = dict(zip(header, fields))
        number = row.get("emotion", "").strip().removesuffix(".0")
        if not number.isdecimal() or len(number) > 9 or int(number) >= len(KAGGLE_CLASSES):
            came = printable(row.get("emotion", "")[:40])
            raise ValueError(f"{path} line {line}: emotion must be 0 to 6, got {came!r}")
        labels.append(KAGGLE_CLASSES[int(number)])
        pictures.append(_pixels(path, line, row.get("pixels", "")))
        usage = row.get("Usage", "")
        splits.append(canonical_split(usage))
        if usage and not splits[-1]:
            raise ValueError(f"{path} line {line}: Usage is {printable(usage[:40])!r}")
    if not pictures:
        raise ValueError(f"{path}: no row below the header")
    keep, votes, order, notes = counted(labels, classes, names, str(path))
    return Labelled(
        kept(pictures, keep),
        kept([f"row {i}" for i in range(len(pictures))], keep),
        votes,
        np.zeros((len(votes), 0), np.int64),
        order,
        (),
        kept(splits, keep),
        None,
        ("Kaggle's FER2013: one label a picture, pixels in the table", *notes),
    )


def _pixels(path: Path, line: int, text: str) -> np.ndarray:
    levels = [level.removesuffix(".0") for level in text.split()]
    side = int(len(levels) ** 0.5)
    if not levels or side * side != len(levels):
        raise ValueError(f"{path} line {line}: {len(levels)} pixels are no square picture")
    if not all(level.isdecimal() and len(level) <= 9 and int(level) <= 255 for level in levels):
        raise ValueError(f"{path} line {line}: pixels must be whole numbers 0 to 255")
    return np.array(levels, np.int64).astype(np.uint8).reshape(side, side)


def parquet(
    files: Sequence[Path], options: Mapping[str, Any], names: Mapping[str, str]
) -> Labelled:
    """Tables that hold the pictures themselves; labels by number are named by the file."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise ValueError(f"{files[0]}: parquet files need pyarrow: pip install pyarrow") from None
    rows: list[list[Any]] = []
    places = []
    pictures = []
    header: list[str] = []
    for file in files:
        try:
            table = pyarrow.parquet.read_table(file)
        except Exception as error:  # pyarrow raises many kinds for damaged files
            raise ValueError(f"{file}: not a parquet file, or damaged: {error}") from error
        if header and [*table.column_names, "split of the file"] != header:
            raise ValueError(f"{file}: other columns than {files[0]}")
        header = [*table.column_names, "split of the file"]
        by_number = _class_labels(table.schema.metadata or {})
        split = canonical_split(file.stem.split("-")[0]) or canonical_split(file.parent.name)
        image = next((n for n in header if n.lower() in label_tables.ROLES["picture"]), None)
        if image is None:
            raise ValueError(
                f"{file}: no column of pictures; there are {', '.join(table.column_names)}"
            )
        for number, row in enumerate(table.to_pylist()):
            pictures.append(_bytes_of(row[image], f"{file} row {number}"))
            row[image] = f"{file.name} row {number}"
            for column, of in by_number.items():
                if isinstance(row.get(column), int) and 0 <= row[column] < len(of):
                    row[column] = of[row[column]]
            rows.append([*(row[name] for name in table.column_names), split or "train"])
            places.append(f"{file} row {number}")
    columns = dict(options["columns"] or {})
    known = [n for n in header[:-1] if n.lower() in label_tables.ROLES["split"]]
    columns.setdefault("split", known[0] if known else "split of the file")
    table_of_all = label_tables.from_rows(
        str(files[0]), header, rows, places, **{**options, "columns": columns}
    )
    return of_table(table_of_all, pictures, options["classes"], options["abstentions"], names, ())


def _bytes_of(value: Any, place: str) -> bytes:
    if isinstance(value, dict):
        value = value.get("bytes")
    if not isinstance(value, bytes):
        raise ValueError(f"{place}: expected a picture's bytes, or {{bytes, path}} with them")
    return value


def _class_labels(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """Names of the labels by column, as Hugging Face's datasets keep them in a parquet file."""
    try:
        features = parse_json(metadata[b"huggingface"])["info"]["features"]
        return {
            column: [str(name) for name in feature["names"]]
            for column, feature in features.items()
            if isinstance(feature, dict) and isinstance(feature.get("names"), list)
        }
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}
