"""Files of FER+: the two published CSV files, paired and checked, and the TFDS data set of them.

The published files pair by *row position*; the number in the image name is compacted and drifts.
Everything is checked before anything is written. The data set holds every face with all of its
votes; label filters apply when it is read. No TensorFlow is involved: array_record files are
written and read through TFDS's Python data sources.

References:
  Goodfellow et al., Challenges in Representation Learning (FER2013), 2013,
  https://arxiv.org/abs/1307.0414; Barsoum et al., FER+, 2016, https://arxiv.org/abs/1608.01041.
"""

import contextlib
import functools
import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ferjax.faces.ferplus import COLUMNS, SIDE, SPLITS, split_columns
from ferjax.files import new_folder, printable, read_table, require_new_folder

__all__ = ["Pixels", "Rows", "build", "pair", "read", "read_pixels", "read_votes"]


class Rows(NamedTuple):
    """Rows of the published files.

    Attributes:
      split: ``[row]`` name of the split, one of the values of :data:`ferjax.faces.ferplus.SPLITS`.
      ids: int64 ``[row]`` row number in the files, from 0.
      votes: int64 ``[row, class]``.
      abstentions: int64 ``[row, kind]``.
      images: uint8 ``[row, side, side]``, or None where only votes were read.
    """

    split: np.ndarray
    ids: np.ndarray
    votes: np.ndarray
    abstentions: np.ndarray
    images: np.ndarray | None = None

    def by_split(self) -> dict[str, "Rows"]:
        """The rows of each split, in file order."""
        return {name: self._take(self.split == name) for name in SPLITS.values()}

    def _take(self, rows: np.ndarray) -> "Rows":
        return Rows._make(None if part is None else part[rows] for part in self)


class Pixels(NamedTuple):
    """Rows of the pixel file: ``split [row]``, "" where it does not say, and ``images`` uint8
    ``[row, side, side]``."""

    split: np.ndarray
    images: np.ndarray


def _fields(
    path: Path, needed: list[str], optional: tuple[str, ...] = ()
) -> Iterator[tuple[int, list[str | None]]]:
    """Yields (line number, the needed fields, then the optional ones or None) of a CSV file."""
    rows = read_table(path, "file")
    first = next(rows, None)
    header = [] if first is None else [name.strip() for name in first.fields]
    missing = [name for name in needed if name not in header]
    if missing:
        published = "; this is label.csv of the CNTK layout: give fer2013new.csv, its source"
        raise ValueError(
            f"{path}: missing column {', '.join(missing)}; expected {', '.join(needed)}, "
            f"the header is {printable(', '.join(header)[:200]) or 'empty'}"
            + (published if len(header) == 12 and header[1].startswith("(") else "")
        )
    columns = [header.index(name) for name in needed]
    columns += [header.index(name) if name in header else -1 for name in optional]
    for line, row in rows:
        if len(row) < len(header):
            raise ValueError(
                f"{path} line {line}: {len(row)} fields, expected {len(header)}; truncated file?"
            )
        yield line, [None if c < 0 else row[c] for c in columns]


def _split_name(path: Path, line: int, usage: str) -> str:
    if usage not in SPLITS:
        raise ValueError(
            f"{path} line {line}: Usage is {usage!r}, expected one of {', '.join(SPLITS)}"
        )
    return SPLITS[usage]


def read_votes(path: str | os.PathLike) -> Rows:
    """Reads ``fer2013new.csv``: Usage, Image name, ten vote counts.

    Args:
      path: the file.

    Returns:
      :class:`Rows` in file order, without images.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: naming file and line, on missing columns, unknown Usage, or votes that are not
        whole counts >= 0.
    """
    path = Path(path)
    splits = []
    counts = []
    for line, (usage, *fields) in _fields(path, ["Usage", *COLUMNS]):
        splits.append(_split_name(path, line, str(usage)))
        # "4.0" is what a spreadsheet makes of 4; "-1", "2.5", "nan" and "" are no counts.
        whole = [(field or "").strip().removesuffix(".0") for field in fields]
        if not all(text.isdecimal() and len(text) <= 9 for text in whole):
            got = printable(",".join(map(str, fields))[:100])
            raise ValueError(f"{path} line {line}: votes must be whole counts >= 0, got {got}")
        counts.append([int(text) for text in whole])
    if not counts:
        raise ValueError(f"{path}: no rows after the header")
    votes, abstentions = split_columns(np.array(counts))
    return Rows(np.array(splits), np.arange(len(counts)), votes, abstentions)


def read_pixels(
    path: str | os.PathLike, on_row: Callable[[int], None] = lambda rows: None
) -> Pixels:
    """Reads ``fer2013.csv``: emotion (ignored), 48 × 48 pixels, Usage (or none).

    Args:
      path: the file.
      on_row: called with the number of rows read so far.

    Returns:
      :class:`Pixels` in file order; splits are "" where the file has no column Usage.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: naming file and line, on missing columns, unknown Usage, or a picture that is not
        48 × 48 bytes.
    """
    path = Path(path)
    splits = []
    images = []
    for line, (text, usage) in _fields(path, ["pixels"], ("Usage",)):
        splits.append("" if usage is None else _split_name(path, line, usage))
        images.append(_picture(f"{path} line {line}", str(text)))
        on_row(len(images))
    if not images:
        raise ValueError(f"{path}: no rows after the header")
    return Pixels(np.array(splits), np.stack(images))


def _picture(place: str, text: str) -> np.ndarray:
    """Pixels separated by spaces as uint8 ``[side, side]``; ``place`` names them in errors."""
    fields = [field.removesuffix(".0") for field in text.split()]
    try:
        pixels = np.array(fields, dtype=np.int64)
    except (ValueError, OverflowError):
        bad = next((f for f in fields if not f.isdecimal()), max(fields, key=len))
        raise ValueError(f"{place}: pixel {bad[:40]!r} is not a whole number 0..255") from None
    if pixels.size != SIDE * SIDE:
        expected = f"{SIDE} x {SIDE} = {SIDE * SIDE}"
        raise ValueError(f"{place}: {pixels.size} pixels, expected {expected}")
    if pixels.min() < 0 or pixels.max() > 255:
        raise ValueError(f"{place}: pixels must be 0..255, got {pixels.min()}..{pixels.max()}")
    return pixels.astype(np.uint8).reshape(SIDE, SIDE)


def pair(pixels: Pixels, voted: Rows, pixels_path: object, votes_path: object) -> Rows:
    """Pairs pixels and votes by row position.

    Args:
      pixels: rows of the pixel file.
      voted: rows of the votes file.
      pixels_path: what to call the pixel file in errors.
      votes_path: what to call the votes file in errors.

    Returns:
      ``voted`` with images.

    Raises:
      ValueError: if the row counts differ, or a Usage does; names the first bad row.
    """
    silent = not pixels.split[0]
    if len(pixels.split) != len(voted.split):
        if silent:
            raise ValueError(
                f"{pixels_path} has {len(pixels.split)} rows and no column Usage, as the "
                f"competition's train.csv; {votes_path} has {len(voted.split)} rows: give "
                "fer2013.csv, which holds them all"
            )
        raise ValueError(
            f"{pixels_path} has {len(pixels.split)} rows, {votes_path} has {len(voted.split)}: "
            f"they pair row by row, so one is truncated or not its partner; "
            f"the first row without a partner is row {min(len(pixels.split), len(voted.split)) + 1}"
        )
    differs = (pixels.split != voted.split) & (not silent)
    if differs.any():
        row = int(np.argmax(differs))
        raise ValueError(
            f"row {row + 1}: Usage is {pixels.split[row]} in {pixels_path} but {voted.split[row]} "
            f"in {votes_path}; the files pair row by row, so one of them is out of order"
        )
    return voted._replace(images=pixels.images)


@functools.cache  # TFDS registers the class by name, once in a process
def _builder_class() -> type:
    # Importing TFDS takes seconds and nothing else needs it: wait until a data set is opened.
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()  # whoever calls tells how far it is, in words of its own

    class FerPlus(tfds.core.GeneratorBasedBuilder):
        """FER+: 48 x 48 gray faces with ten crowd votes each, unfiltered."""

        VERSION = tfds.core.Version("1.0.0")
        pkg_dir_path = Path(__file__).parent
        rows: Rows | None = None
        on_face: Callable[[], object] = staticmethod(lambda: None)

        def _info(self) -> tfds.core.DatasetInfo:
            features = {
                "image": tfds.features.Tensor(shape=(SIDE, SIDE), dtype=np.uint8),
                "votes": tfds.features.Tensor(shape=(len(COLUMNS),), dtype=np.uint8),
                "id": tfds.features.Scalar(dtype=np.int64),
            }
            return tfds.core.DatasetInfo(
                builder=self,
                description="FER2013 faces with FER+ votes (neutral ... contempt, unknown, NF); "
                "id is the row in the files.",
                features=tfds.features.FeaturesDict(features),
                homepage="https://github.com/microsoft/FERPlus",
            )

        def _split_generators(self, dl_manager):
            del dl_manager
            return {split: self._generate_examples(split) for split in SPLITS.values()}

        def _generate_examples(self, split):
            assert self.rows is not None and self.rows.images is not None
            counts = np.concatenate([self.rows.votes, self.rows.abstentions], axis=1)
            for i in np.flatnonzero(self.rows.split == split):
                row = int(self.rows.ids[i])
                yield (
                    row,
                    {
                        "image": self.rows.images[i],
                        "votes": counts[i].astype(np.uint8),
                        "id": row,
                    },
                )
                self.on_face()

    return FerPlus


def build(rows: Rows, out: str | os.PathLike, on_face: Callable[[], object] = lambda: None) -> None:
    """Writes the TFDS data set; the folder appears complete or not at all.

    Args:
      rows: paired rows with images.
      out: folder to create, with the rights that the user's umask leaves.
      on_face: called as every face is written.

    Raises:
      FileExistsError: if ``out`` exists and is not empty.
      ValueError: if a split is empty or a vote does not fit a byte.
    """
    out = Path(out)
    require_new_folder(out)
    empty = [usage for usage, split in SPLITS.items() if not (rows.split == split).any()]
    if empty:
        raise ValueError(
            f"no row has Usage {', '.join(empty)}; all of {', '.join(SPLITS)} are needed"
        )
    most = max(rows.votes.max(), rows.abstentions.max())
    if most > 255:
        raise ValueError(f"votes up to {most}: a count above 255 is not a crowd of ten")
    with new_folder(out) as folder:
        builder = _builder_class()(data_dir=str(folder), file_format="array_record")
        builder.rows = rows
        builder.on_face = on_face
        with contextlib.redirect_stdout(io.StringIO()):  # it speaks of downloads; there are none
            builder.download_and_prepare()
        shutil.rmtree(folder / "downloads", ignore_errors=True)


def require_built(path: str | os.PathLike) -> Path:
    """The folder of a data set's files inside the one that :func:`build` wrote.

    Raises:
      FileNotFoundError: if there is no such data set.
    """
    path = Path(path)
    found = sorted(path.glob("*/1.0.0/dataset_info.json"))
    if not found:
        raise FileNotFoundError(
            f"no FER+ data set in {path}; build one with `ferjax data ferplus ... --out {path}`"
        )
    return found[0].parent


def read(path: str | os.PathLike) -> dict[str, Rows]:
    """Reads a data set that :func:`build` wrote.

    Args:
      path: its folder.

    Returns:
      The rows of each split, with images, ordered by id.

    Raises:
      FileNotFoundError: if there is no such data set.
    """
    found = require_built(path)
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(found))
    splits = {}
    for name in SPLITS.values():
        source = builder.as_data_source(split=name)
        records = sorted((source[i] for i in range(len(source))), key=lambda r: int(r["id"]))
        votes, abstentions = split_columns(np.stack([record["votes"] for record in records]))
        splits[name] = Rows(
            np.full(len(records), name),
            np.array([record["id"] for record in records], np.int64),
            votes,
            abstentions,
            np.stack([record["image"] for record in records]),
        )
    return splits
