"""``ferjax route``: decisions on pictures."""

import contextlib
import dataclasses
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from tyro.conf import Positional

from ferjax.commands.console import err

SOME_FAILED = 3
"""Exit status when some pictures could not be routed and the rest were."""


@dataclasses.dataclass(frozen=True)
class Route:
    """Decide on pictures: one line each, with action, label, whole distribution, both
    uncertainties, and why.

    ferjax route RUN photos/ --out lines.jsonl

    ferjax route FILE 'album/**/*.jpg' --faces --format csv --out lines.csv --wall wall.png

    find photos -name '*.png' | ferjax route RUN -

    A picture is taken as one face: gray, its central square, 48 x 48; with --faces every face found
    in it is one. A file that cannot be read gets a line with "error"; the others go on, and the
    exit status is 3. Broken off, the same command goes on where --out ends: lines that are whole
    stay, the rest is routed.
    """

    run_or_file: Positional[Path]
    """An evaluated run, or a file of `ferjax export` (they bring the thresholds)."""
    paths: Positional[tuple[str, ...]]
    """Image files, folders of them, quoted patterns like 'photos/**/*.jpg', .npz files with an
    array `images`, or -: a stream on standard input, each line a path or a JSON object with "path"
    whose other keys are carried through."""
    out: Path | None = None
    """Write the lines here instead of standard output; an unfinished file is continued."""
    format: Literal["jsonl", "csv"] = "jsonl"
    """jsonl: a JSON object per line; csv: a table with a header, the probability of class NAME in
    column p_NAME."""
    router: str = "uar"
    """Which of the run's routers decides; uar is the paper's: reject by epistemic, defer by
    aleatoric."""
    faces: bool = False
    """Find the faces in each picture and route each on its own line with its "box" (needs the extra
    `faces`); where none is found, "face" is null and the whole picture is judged."""
    wall: Path | None = None
    """Also draw a PNG of up to 64 of the faces routed now, a fair sample, with what was decided."""
    overwrite: bool = False
    """Start --out anew instead of continuing it."""
    batch_size: int = 64
    """Faces the model judges at a time."""

    def run(self) -> int:
        from ferjax.serving import sources
        from ferjax.serving.contact_sheet import ContactSheet
        from ferjax.serving.detection import haar_finder
        from ferjax.serving.pipeline import Routed, route_files
        from ferjax.serving.records import Csv, Done, Jsonl, resume
        from ferjax.serving.router import Router

        # What is wrong with the request should not wait for the model to load.
        sources.check(self.paths)
        find = haar_finder() if self.faces else None
        for file in (self.out, self.wall):
            if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
                raise ValueError(
                    f"cannot write {file}: "
                    + ("it is a folder" if file.is_dir() else "its folder does not exist")
                )
        router = Router(self.run_or_file, self.router, batch_size=self.batch_size)
        lines = Jsonl() if self.format == "jsonl" else Csv(router.classes, router.extra_scores)
        done = Done() if self.out is None or self.overwrite else resume(self.out, lines)
        kept = Routed(done.routed, done.failed)
        wall = ContactSheet()
        todo = done.skip(
            sources.items(self.paths, sys.stdin.buffer if sources.STREAM in self.paths else None)
        )
        with _output(self.out, self.overwrite) as out, _progress(self.paths, sum(kept)) as tick:
            if self.out is None or out.tell() == 0:
                out.write(lines.header)

            def watch(record: dict[str, Any], *decided: Any) -> None:
                wall.watch(record, *decided)
                if (record.get("face") or 0) + 1 == record.get("faces", 1):
                    tick()

            new = route_files(router, todo, lines, out, find=find, watch=watch)
        routed = kept.routed + new.routed
        failed = kept.failed + new.failed
        if sum(kept):
            err.print(
                f"continued {self.out}: {sum(kept):,} lines were there, {sum(new):,} are new",
                highlight=False,
            )
        err.print(
            f"{routed:,} routed"
            + (f', {failed:,} could not be read (see the lines with "error")' if failed else ""),
            highlight=False,
        )
        if self.wall is not None and new.routed:
            err.print(f"picture: {wall.draw(self.wall)}", highlight=False)
        return SOME_FAILED if failed else 0


@contextlib.contextmanager
def _output(path: Path | None, overwrite: bool) -> Iterator[Any]:
    if path is None:
        yield sys.stdout.buffer
        return
    with open(path, "wb" if overwrite else "ab") as file:
        yield file


@contextlib.contextmanager
def _progress(paths: tuple[str, ...], kept: int) -> Iterator[Callable[[], None]]:
    """A bar in a terminal, and nothing in a pipe; how many pictures there are is counted
    meanwhile."""
    if not err.is_terminal:
        yield lambda: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from ferjax.serving import sources

    with Progress(
        TextColumn("routing"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    ) as bar:
        task = bar.add_task("routing", total=None, completed=kept)
        if sources.STREAM not in paths:

            def count() -> None:
                bar.update(task, total=sum(1 for _ in sources.items(paths)))

            threading.Thread(target=count, daemon=True).start()
        yield lambda: bar.advance(task)
