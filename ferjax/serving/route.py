"""Pictures to a file of decisions, as ``ferjax route`` does it: checks, resuming, contact sheet."""

import collections
import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import numpy as np

from ferjax.faces.image_files import Finder
from ferjax.routing import ACTIONS
from ferjax.serving import sources
from ferjax.serving.contact_sheet import ContactSheet
from ferjax.serving.pipeline import Routed, route_items
from ferjax.serving.records import Csv, Done, Jsonl, Lines, Record, resume
from ferjax.serving.request import check_request, is_stream, lock_of
from ferjax.serving.router import Decision, Router

__all__ = ["RouteSummary", "check_request", "is_stream", "route_pictures"]


class RouteSummary(NamedTuple):
    """Lines of the output.

    Attributes:
      kept: those that were there before.
      new: those written now.
      contact_sheet: its file; None if none was asked for, or nothing was routed now.
      actions: accept, defer, reject -> faces, old and new.
    """

    kept: Routed
    new: Routed
    contact_sheet: Path | None
    actions: Mapping[str, int]

    @property
    def routed(self) -> int:
        """Faces with a decision, old and new."""
        return self.kept.routed + self.new.routed

    @property
    def failed(self) -> int:
        """Pictures that could not be read, old and new."""
        return self.kept.failed + self.new.failed


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
      out: file of lines, continued where it ends if this router wrote it; or an open binary
        stream. A pipe or a device of that name is written to from the start.
      form: JSON objects, or a table with a header.
      find: finds the faces in a picture (:func:`ferjax.faces.detection.haar_finder`); without it
        every picture is one face.
      contact_sheet: a PNG of up to 64 of the faces routed now.
      overwrite: start ``out`` anew.
      stdin: the stream ``-``; standard input by default.
      on_picture: called with the number of pictures done, first with those that were there.

    Returns:
      What the file holds now.

    Raises:
      FileNotFoundError: if a source does not exist, or holds no picture.
      FileExistsError: if another process writes to ``out``.
      ValueError: if there is no source, a file cannot be written where it is to be, or ``out``
        holds anything but lines of this router.
    """
    paths = [str(path) for path in paths]
    file = Path(out) if isinstance(out, str | Path) else None
    sheet_file = None if contact_sheet is None else Path(contact_sheet)
    check_request(paths, file, sheet_file)
    maker = getattr(router, "identity", "") + ("" if find is None else " faces")
    lines = (
        Jsonl(maker) if form == "jsonl" else Csv(router.classes, router.extra_scores, router=maker)
    )
    if stdin is None and sources.STREAM in paths:
        stdin = sys.stdin.buffer
    sheet = ContactSheet(router.rule)
    pictures = 0
    actions = collections.Counter(dict.fromkeys(ACTIONS, 0))

    def observe(record: Record, face: np.ndarray | None, decision: Decision | None) -> None:
        nonlocal pictures
        if decision is not None:
            actions[decision.action] += 1
        sheet.add(record, face, decision)
        if (record.get("face") or 0) + 1 == record.get("faces", 1):
            pictures += 1
            on_picture(pictures)

    with _opened(out, lines, overwrite) as (stream, done):
        pictures = done.pictures
        actions.update(done.actions)
        on_picture(pictures)
        if not sum((done.routed, done.failed)):
            stream.write(lines.header)
        items = done.skip(sources.items(paths, stdin))
        new = route_items(router, items, lines, stream, find=find, observe=observe)
    drawn = sheet.draw(sheet_file) if sheet_file is not None and new.routed else None
    return RouteSummary(Routed(done.routed, done.failed), new, drawn, actions)


@contextlib.contextmanager
def _opened(
    out: str | Path | BinaryIO, lines: Lines, overwrite: bool
) -> Iterator[tuple[BinaryIO, Done]]:
    """The stream to write to, and what it holds already; a file is locked meanwhile."""
    if not isinstance(out, str | Path):
        yield out, Done()
        return
    path = Path(out)
    if is_stream(path):
        # A pipe that nobody reads from would be waited for.
        with open(path, "wb", opener=lambda name, _: os.open(name, _WITHOUT_WAITING)) as stream:
            os.set_blocking(stream.fileno(), True)
            yield stream, Done()
        return
    target = Path(os.path.realpath(path))
    with lock_of(path):
        done = Done() if overwrite else resume(target, lines)
        with open(target, "wb" if overwrite else "ab") as file:
            if not sum((done.routed, done.failed)):
                file.truncate(0)
            yield file, done


_WITHOUT_WAITING = os.O_WRONLY | os.O_NONBLOCK
