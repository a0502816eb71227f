"""Pictures to a file of decisions, as ``ferjax route`` does it: checks, resuming, contact sheet."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import numpy as np

from ferjax.faces.image_files import Finder
from ferjax.serving import sources
from ferjax.serving.contact_sheet import ContactSheet
from ferjax.serving.pipeline import Routed, route_items
from ferjax.serving.records import Csv, Done, Jsonl, Record, resume
from ferjax.serving.router import Decision, Router

__all__ = ["RouteSummary", "check_request", "route_pictures"]


class RouteSummary(NamedTuple):
    """Lines of the output.

    Attributes:
      kept: those that were there before.
      new: those written now.
      contact_sheet: its file; None if none was asked for, or nothing was routed now.
    """

    kept: Routed
    new: Routed
    contact_sheet: Path | None

    @property
    def routed(self) -> int:
        """Faces with a decision, old and new."""
        return self.kept.routed + self.new.routed

    @property
    def failed(self) -> int:
        """Pictures that could not be read, old and new."""
        return self.kept.failed + self.new.failed


def check_request(paths: Iterable[str | Path], *files: Path | None) -> None:
    """Refuses what cannot be done, before a model is loaded for it.

    Args:
      paths: the sources, see :func:`ferjax.serving.sources.items`.
      files: what shall be written.

    Raises:
      FileNotFoundError: if a source does not exist, or holds no picture.
      ValueError: if there is no source, or a file cannot be written where it is to be.
    """
    sources.check(paths)
    for file in files:
        if file is None:
            continue
        if file.is_dir():
            raise ValueError(f"cannot write {file}: it is a folder")
        if not file.absolute().parent.is_dir():
            raise ValueError(f"cannot write {file}: its folder does not exist")


def route_pictures(
    router: Router,
    paths: Iterable[str | Path],
    out: str | Path | BinaryIO,
    *,
    form: Literal["jsonl", "csv"] = "jsonl",
    find: Finder | None = None,
    contact_sheet: str | Path | None = None,
    overwrite: bool = False,
    stdin: BinaryIO | None = None,
    on_picture: Callable[[int], None] = lambda done: None,
) -> RouteSummary:
    """Decides on every picture of the sources and writes a line per face.

    Args:
      router: the router.
      paths: files, folders, patterns, .npz files, and ``-`` for a stream.
      out: file of lines, continued where it ends; or an open binary stream.
      form: JSON objects, or a table with a header.
      find: finds the faces in a picture (:func:`ferjax.serving.detection.haar_finder`); without it
        every picture is one face.
      contact_sheet: a PNG of up to 64 of the faces routed now.
      overwrite: start ``out`` anew.
      stdin: the stream ``-``; standard input by default.
      on_picture: called with the number of pictures done, first with those that were there.

    Returns:
      What the file holds now.

    Raises:
      FileNotFoundError: if a source does not exist, or holds no picture.
      ValueError: if there is no source, a file cannot be written where it is to be, or ``out``
        holds anything but such lines.
    """
    paths = [str(path) for path in paths]
    file = Path(out) if isinstance(out, str | Path) else None
    sheet_file = None if contact_sheet is None else Path(contact_sheet)
    check_request(paths, file, sheet_file)
    lines = Jsonl() if form == "jsonl" else Csv(router.classes, router.extra_scores)
    done = Done() if file is None or overwrite else resume(file, lines)
    if stdin is None and sources.STREAM in paths:
        stdin = sys.stdin.buffer
    sheet = ContactSheet(router.rule)
    pictures = done.pictures
    on_picture(pictures)

    def observe(record: Record, face: np.ndarray | None, decision: Decision | None) -> None:
        nonlocal pictures
        sheet.add(record, face, decision)
        if (record.get("face") or 0) + 1 == record.get("faces", 1):
            pictures += 1
            on_picture(pictures)

    with _opened(out, overwrite) as stream:
        if file is None or stream.tell() == 0:
            stream.write(lines.header)
        items = done.skip(sources.items(paths, stdin))
        new = route_items(router, items, lines, stream, find=find, observe=observe)
    drawn = sheet.draw(sheet_file) if sheet_file is not None and new.routed else None
    return RouteSummary(Routed(done.routed, done.failed), new, drawn)


@contextlib.contextmanager
def _opened(out: str | Path | BinaryIO, overwrite: bool) -> Iterator[BinaryIO]:
    if not isinstance(out, str | Path):
        yield out
        return
    with open(out, "wb" if overwrite else "ab") as file:
        yield file
