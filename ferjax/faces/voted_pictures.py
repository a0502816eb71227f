"""Pictures with labels or votes, wherever they come from: folders, tables, published layouts.

Five layouts are known: a table of labels beside pictures; folders named after classes (with the
splits above or below them, or none); FER+ as its own script leaves it (``FER2013Train/*.png`` with
a ``label.csv`` without header); Kaggle's ``train.csv`` of FER2013, pixels inside; and parquet files
as Hugging Face's datasets are stored. Nothing is decoded here.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ferjax.faces import image_files, label_tables, published_layouts
from ferjax.faces.label_tables import canonical_split
from ferjax.faces.labelled import Labelled, counted, kept, of_table

__all__ = ["Labelled", "find"]


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
        return of_table(table, found, classes, abstentions, names, notes)
    if path.is_file() and path.suffix.lower() == ".csv":
        return published_layouts.kaggle(path, classes, names)
    parquet = [path] if path.suffix.lower() == ".parquet" else sorted(path.rglob("*.parquet"))
    if parquet:
        return published_layouts.parquet(parquet, table_options, names)
    if not path.is_dir():
        raise ValueError(
            f"{path}: expected a folder of pictures, Kaggle's train.csv, or a parquet file"
        )
    left = sorted(path.glob("*/label.csv"))
    if left:
        return published_layouts.ferplus_folders(path, left)
    return _class_folders(path, classes, names)


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
    keep, votes, order, notes = counted(labels, classes, names, str(root))
    chosen = kept(files, keep)
    return Labelled(
        chosen,
        [str(file.relative_to(root)) for file in chosen],
        votes,
        np.zeros((len(votes), 0), np.int64),
        order,
        (),
        kept(splits, keep),
        None,
        ("the folder of a picture is its class", *notes),
    )
