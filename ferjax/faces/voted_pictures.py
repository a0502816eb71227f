"""Pictures with labels or votes, wherever they come from: folders, tables, published layouts.

Five layouts are known: a table of labels beside pictures; folders named after classes (with the
splits above or below them, or none); FER+ as its own script leaves it (``FER2013Train/*.png`` with
a ``label.csv`` without header); Kaggle's ``train.csv`` of FER2013, pixels inside; and parquet files
as Hugging Face's datasets are stored. Nothing is decoded here.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ferjax.faces import ferplus, image_files, label_tables
from ferjax.faces.label_tables import LabelTable, canonical_split
from ferjax.files import parse_json, printable, read_table, shortened

__all__ = ["Labelled", "find"]

KAGGLE_CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""Classes of FER2013 by their numbers."""


class Labelled(NamedTuple):
    """Pictures and what people said of them.

    Attributes:
      pictures: what each is read from: a file, the bytes of one, or uint8 ``[H, W]``.
      names: what each is called in messages.
      votes: int64 ``[picture, class]`` counts; one for a label.
      abstentions: int64 ``[picture, kind]``.
      classes: names of the classes.
      kinds: names of the kinds of abstention.
      splits: train, valid, test, or "" where nothing says.
      groups: pictures of one group belong into one split; None: nothing says.
      notes: what everything was taken for, in words.
    """

    pictures: list[Any]
    names: list[str]
    votes: np.ndarray
    abstentions: np.ndarray
    classes: tuple[str, ...]
    kinds: tuple[str, ...]
    splits: list[str]
    groups: list[str] | None
    notes: tuple[str, ...]


def find(
    path: Path,
    labels: Path | None = None,
    *,
    classes: Sequence[str] = (),
    abstentions: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
) -> Labelled:
    """Finds labelled pictures.

    Args:
      path: a folder of pictures, Kaggle's ``train.csv``, or a parquet file or a folder of them.
      labels: a CSV file of labels or votes, for pictures in the folder or beside the file.
      classes: the classes, in the order that is wanted; by default those found, by name.
      abstentions: columns of a table that count people who chose no class.
      names: name of a folder or a label -> its class, or "" to leave its pictures out.
      columns: role -> column of a table, see :data:`ferjax.faces.label_tables.ROLES`.

    Returns:
      :class:`Labelled`; no picture is opened.

    Raises:
      FileNotFoundError: if there is nothing.
      ValueError: naming file or folder, if it is none of the layouts, or ambiguous.
    """
    if not path.exists():
        raise FileNotFoundError(f"no such folder or file: {path}")
    names = dict(names or {})
    table_options: dict[str, Any] = {
        "classes": classes,
        "abstentions": abstentions,
        "columns": columns,
    }
    if labels is not None:
        if not path.is_dir():
            raise ValueError(f"{path}: a table of labels goes with a folder of pictures")
        table = label_tables.read_csv(labels, **table_options)
        found, notes = label_tables.picture_paths(table, (path, labels.parent))
        return _of_table(table, found, classes, abstentions, names, notes)
    if path.is_file() and path.suffix.lower() == ".csv":
        return _kaggle(path, classes, names)
    parquet = [path] if path.suffix.lower() == ".parquet" else sorted(path.rglob("*.parquet"))
    if parquet:
        return _parquet(parquet, table_options, names)
    if not path.is_dir():
        raise ValueError(
            f"{path}: expected a folder of pictures, Kaggle's train.csv, or a parquet file"
        )
    left = sorted(path.glob("*/label.csv"))
    if left:
        return _ferplus_folders(path, left)
    return _class_folders(path, classes, names)


def _counted(
    labels: Sequence[str], classes: Sequence[str], names: Mapping[str, str], where: str
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """Rows to keep, votes ``[kept, class]``, classes and notes, of one label each."""
    mapped = [names.get(label, label) for label in labels]
    keep = np.array([bool(name) for name in mapped])
    present = dict.fromkeys(sorted({name for name in mapped if name}))
    order = tuple(classes) or tuple(present)
    unknown = [name for name in present if name not in order]
    if unknown:
        label = printable(shortened(unknown[0], 60))
        known = printable(shortened(", ".join(order)))
        raise ValueError(
            f"{where}: label {label!r} is none of the classes {known}; say what it is with "
            f"--names {label}=CLASS, or leave it out with {label}="
        )
    if len(order) < 2:
        raise ValueError(f"{where}: only one label, {', '.join(order)}; at least two are needed")
    number = {name: i for i, name in enumerate(order)}
    votes = np.eye(len(order), dtype=np.int64)[[number[name] for name in mapped if name]]
    notes = [f"classes: {', '.join(order)}"]
    if not keep.all():
        notes.append(f"{(~keep).sum():,} pictures left out, as --names says")
    return keep, votes, order, tuple(notes)


def _kept(values: Sequence[Any], keep: np.ndarray) -> list[Any]:
    return [value for value, kept in zip(values, keep) if kept]


def _of_table(
    table: LabelTable,
    found: Sequence[Any],
    classes: Sequence[str],
    abstentions: Sequence[str],
    names: Mapping[str, str],
    notes: Sequence[str],
) -> Labelled:
    there = np.array([picture is not None for picture in found])
    kinds: tuple[str, ...] = ()
    if table.votes is not None:
        keep = there
        order = tuple(classes)
        kinds = tuple(abstentions)
        votes = table.votes[keep][:, : len(order)]
        abstained = table.votes[keep][:, len(order) :]
        said: tuple[str, ...] = (f"classes: {', '.join(order)}",)
    else:
        assert table.labels is not None
        labels = _kept(table.labels, there)
        inside, votes, order, said = _counted(labels, classes, names, "the table of labels")
        keep = there.copy()
        keep[there] = inside
        abstained = np.zeros((len(votes), 0), np.int64)
    return Labelled(
        _kept(found, keep),
        _kept(table.pictures, keep),
        votes,
        abstained,
        order,
        kinds,
        _kept(table.splits, keep),
        None if table.groups is None else _kept(table.groups, keep),
        (*table.notes, *notes, *said),
    )


def _class_folders(root: Path, classes: Sequence[str], names: Mapping[str, str]) -> Labelled:
    """Folders named after classes: whatever folder a picture lies in, that is no split."""
    files = image_files.find_files(root)
    if not files:
        raise FileNotFoundError(f"{root}: no picture in this folder")
    labels = []
    splits = []
    for file in files:
        above = file.relative_to(root).parts[:-1]
        split = [canonical_split(part) for part in above]
        named = [part for part, is_split in zip(above, split) if not is_split]
        if len(named) != 1:
            what = "no folder names its class" if not named else f"both {' and '.join(named)} could"
            raise ValueError(
                f"{file}: {what}; expected CLASS/picture, SPLIT/CLASS/picture or "
                "CLASS/SPLIT/picture, or a table with --labels"
            )
        labels.append(named[0])
        splits.append(next((name for name in split if name), ""))
    keep, votes, order, notes = _counted(labels, classes, names, str(root))
    chosen = _kept(files, keep)
    return Labelled(
        chosen,
        [str(file.relative_to(root)) for file in chosen],
        votes,
        np.zeros((len(votes), 0), np.int64),
        order,
        (),
        _kept(splits, keep),
        None,
        ("the folder of a picture is its class", *notes),
    )


def _ferplus_folders(root: Path, tables: Sequence[Path]) -> Labelled:
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


def _kaggle(path: Path, classes: Sequence[str], names: Mapping[str, str]) -> Labelled:
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
    keep, votes, order, notes = _counted(labels, classes, names, str(path))
    return Labelled(
        _kept(pictures, keep),
        _kept([f"row {i}" for i in range(len(pictures))], keep),
        votes,
        np.zeros((len(votes), 0), np.int64),
        order,
        (),
        _kept(splits, keep),
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


def _parquet(
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
    return _of_table(table_of_all, pictures, options["classes"], options["abstentions"], names, ())


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
