"""FER+ as a TFDS data set: FER2013 pixels with FER+ votes, checked row by row before anything is
written.

The two published files pair by *row position*; the number in the image name is compacted and
drifts. The data set holds every face with all ten votes; which faces to keep is decided when it is
read. No TensorFlow is involved: array_record files, written and read through TFDS's Python data
sources.

References:
  Goodfellow et al., Challenges in Representation Learning (FER2013), 2013; Barsoum et al., FER+,
  2016.
"""

import csv
import functools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ferjax.faces import votes as votes_of

__all__ = ["SIDE", "SPLITS", "Rows", "build", "read", "read_pixels", "read_votes"]

SIDE = 48
SPLITS = {"Training": "train", "PublicTest": "valid", "PrivateTest": "test"}
"""The Usage column, and the split it stands for."""


class Rows(NamedTuple):
    """Rows of the published files in file order; ``images`` is None when only votes were read."""

    split: np.ndarray
    votes: np.ndarray
    images: np.ndarray | None = None


def _open(path: Path, needed: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yields (line number, the needed fields) of a CSV file whose header must name them all."""
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    with open(path, newline="", encoding="utf-8", errors="replace") as file:
        reader = _readable(path, csv.reader(file))
        _, first = next(reader, (0, []))
        header = [name.strip() for name in first]
        missing = [name for name in needed if name not in header]
        if missing:
            raise ValueError(
                f"{path}: missing column {', '.join(missing)}; expected {', '.join(needed)}, the header is "
                f"{', '.join(header)[:200] or 'empty'}"
            )
        columns = [header.index(name) for name in needed]
        for line, row in reader:
            if not row:
                continue
            if len(row) < len(header):
                raise ValueError(
                    f"{path} line {line}: {len(row)} fields, expected {len(header)}; truncated file?"
                )
            yield line, [row[c] for c in columns]


def _readable(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise ValueError(f"{path} line {reader.line_num}: not a CSV file: {error}") from error


def _split(path: Path, line: int, usage: str) -> str:
    if usage not in SPLITS:
        raise ValueError(
            f"{path} line {line}: Usage is {usage!r}, expected one of {', '.join(SPLITS)}"
        )
    return SPLITS[usage]


def read_votes(path: str | os.PathLike) -> Rows:
    """Reads ``fer2013new.csv``: Usage, Image name, ten vote counts.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: naming file and line, on missing columns, unknown Usage, or votes that are not
        whole counts >= 0.
    """
    path = Path(path)
    splits = []
    counts = []
    for line, (usage, *fields) in _open(path, ["Usage", *votes_of.COLUMNS]):
        splits.append(_split(path, line, usage))
        # isdecimal also refuses "-1", "2.5", "nan" and ""; nine digits fit every integer type.
        if not all(field.strip().isdecimal() and len(field.strip()) <= 9 for field in fields):
            raise ValueError(
                f"{path} line {line}: votes must be whole counts >= 0, got {','.join(fields)}"
            )
        counts.append([int(field) for field in fields])
    if not counts:
        raise ValueError(f"{path}: no rows after the header")
    return Rows(np.array(splits), votes_of.check(np.array(counts)))


def read_pixels(path: str | os.PathLike, progress: Callable[[int], None] = lambda _: None) -> Rows:
    """Reads ``fer2013.csv``: emotion (ignored), 48 × 48 pixels, Usage. ``votes`` of the result is
    empty.

    Args:
      path: the file.
      progress: called with the number of rows read so far.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: naming file and line, on missing columns, unknown Usage, or a picture that is not
        48 × 48 bytes.
    """
    path = Path(path)
    splits = []
    images = []
    for line, (text, usage) in _open(path, ["pixels", "Usage"]):
        splits.append(_split(path, line, usage))
        fields = text.split()
        try:
            pixels = np.array(fields, dtype=np.int64)
        except (ValueError, OverflowError):
            bad = next((f for f in fields if not f.isdecimal()), max(fields, key=len))
            raise ValueError(
                f"{path} line {line}: pixel {bad!r} is not a whole number 0..255"
            ) from None
        if pixels.size != SIDE * SIDE:
            raise ValueError(
                f"{path} line {line}: {pixels.size} pixels, expected {SIDE} x {SIDE} = {SIDE * SIDE}"
            )
        if pixels.min() < 0 or pixels.max() > 255:
            raise ValueError(
                f"{path} line {line}: pixels must be 0..255, got {pixels.min()}..{pixels.max()}"
            )
        images.append(pixels.astype(np.uint8).reshape(SIDE, SIDE))
        progress(len(images))
    if not images:
        raise ValueError(f"{path}: no rows after the header")
    return Rows(np.array(splits), np.zeros((0, 10), np.int64), np.stack(images))


def pair(pixels: Rows, voted: Rows, pixels_path: object, votes_path: object) -> Rows:
    """Pairs pixels and votes by row position.

    Raises:
      ValueError: if the row counts differ, or a Usage does; names the first bad row.
    """
    if len(pixels.split) != len(voted.split):
        raise ValueError(
            f"{pixels_path} has {len(pixels.split)} rows, {votes_path} has {len(voted.split)}: "
            f"they pair row by row, so one is truncated or not its partner; "
            f"the first row without a partner is row {min(len(pixels.split), len(voted.split)) + 1}"
        )
    differs = pixels.split != voted.split
    if differs.any():
        row = int(np.argmax(differs))
        raise ValueError(
            f"row {row + 1}: Usage is {pixels.split[row]} in {pixels_path} but {voted.split[row]} in {votes_path}; "
            "the files pair row by row, so one of them is out of order"
        )
    return Rows(voted.split, voted.votes, pixels.images)


@functools.cache  # TFDS registers the class by name, once in a process
def _builder_class() -> type:
    # Importing TFDS takes seconds and nothing else needs it, so it waits until a data set is
    # opened.
    import tensorflow_datasets as tfds

    if not sys.stderr.isatty():
        tfds.disable_progress_bar()

    class FerPlus(tfds.core.GeneratorBasedBuilder):
        """FER+: 48 x 48 gray faces with ten crowd votes each, unfiltered."""

        VERSION = tfds.core.Version("1.0.0")
        pkg_dir_path = Path(__file__).parent
        rows: Rows | None = None

        def _info(self) -> tfds.core.DatasetInfo:
            features = {
                "image": tfds.features.Tensor(shape=(SIDE, SIDE), dtype=np.uint8),
                "votes": tfds.features.Tensor(shape=(len(votes_of.COLUMNS),), dtype=np.uint8),
                "id": tfds.features.Scalar(dtype=np.int64),
            }
            return tfds.core.DatasetInfo(
                builder=self,
                description="FER2013 faces with FER+ votes (neutral ... contempt, unknown, NF); id is the row in the files.",
                features=tfds.features.FeaturesDict(features),
                homepage="https://github.com/microsoft/FERPlus",
            )

        def _split_generators(self, dl_manager):
            del dl_manager
            return {split: self._generate_examples(split) for split in SPLITS.values()}

        def _generate_examples(self, split):
            assert self.rows is not None and self.rows.images is not None
            for i in np.flatnonzero(self.rows.split == split):
                yield (
                    int(i),
                    {
                        "image": self.rows.images[i],
                        "votes": self.rows.votes[i].astype(np.uint8),
                        "id": int(i),
                    },
                )

    return FerPlus


def build(rows: Rows, out: str | os.PathLike) -> None:
    """Writes the TFDS data set; the folder appears complete or not at all.

    Args:
      rows: paired rows with images.
      out: folder to create.

    Raises:
      FileExistsError: if ``out`` exists and is not empty.
      ValueError: if a split is empty or a vote does not fit a byte.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} exists and is not empty; choose a new folder or remove it")
    empty = [usage for usage, split in SPLITS.items() if not (rows.split == split).any()]
    if empty:
        raise ValueError(
            f"no row has Usage {', '.join(empty)}; all of {', '.join(SPLITS)} are needed"
        )
    if rows.votes.max() > 255:
        raise ValueError(f"votes up to {rows.votes.max()}: a count above 255 is not a crowd of ten")
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        builder = _builder_class()(data_dir=str(scratch), file_format="array_record")
        builder.rows = rows
        builder.download_and_prepare()
        if out.exists():
            out.rmdir()
        os.rename(scratch, out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def read(path: str | os.PathLike) -> dict[str, dict[str, np.ndarray]]:
    """Reads a data set that :func:`build` wrote.

    Returns:
      For each split: ``image`` uint8 ``[face, 48, 48]``, ``votes`` ``[face, 10]``, ``id``
      ``[face]``, ordered by id.

    Raises:
      FileNotFoundError: if there is no such data set.
    """
    path = Path(path)
    found = sorted(path.glob("*/1.0.0/dataset_info.json"))
    if not found:
        raise FileNotFoundError(
            f"no FER+ data set in {path}; build one with `ferjax data ferplus ... --out {path}`"
        )
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(found[0].parent))
    splits = {}
    for split in SPLITS.values():
        source = builder.as_data_source(split=split)
        records = [source[i] for i in range(len(source))]
        records.sort(key=lambda record: int(record["id"]))
        splits[split] = {
            name: np.stack([record[name] for record in records])
            for name in ("image", "votes", "id")
        }
    return splits
