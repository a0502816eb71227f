"""How a run ended: a note in its folder as its process leaves, and none where it was killed."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from ferjax.ensemble.folder import RunFolder
from ferjax.ensemble.log_lines import read_log
from ferjax.files import write_atomically
from ferjax.interruption import Interrupted

__all__ = ["Ending", "how_it_ended", "noted"]

_NOTE = "ended.json"


class Ending(NamedTuple):
    """What became of a run, and a word about it.

    ``training``: a live process works in the folder. ``finished``: every epoch is done.
    ``interrupted``: stopped by a signal, saved. ``failed``: stopped by an error. ``killed``: its
    process is gone and said nothing. ``unknown``: no process, no note, epochs missing.
    """

    how: Literal["training", "finished", "interrupted", "failed", "killed", "unknown"]
    detail: str = ""


@contextlib.contextmanager
def noted(run: RunFolder) -> Iterator[None]:
    """Leaves a note in an open run folder of how the work inside ended."""
    (run.path / _NOTE).unlink(missing_ok=True)
    try:
        yield
    except Interrupted as interrupted:
        _write(run.path, Ending("interrupted", str(interrupted)))
        raise
    except BaseException as error:
        with contextlib.suppress(OSError):  # a full disk may be the very error
            _write(run.path, Ending("failed", f"{type(error).__name__}: {error}"))
        raise
    _write(run.path, Ending("finished"))


def _write(folder: Path, ending: Ending) -> None:
    from ferjax.ensemble import multihost  # whoever reads the note needs no JAX

    if multihost.is_primary():
        write_atomically(folder / _NOTE, (json.dumps(ending._asdict()) + "\n").encode())


def how_it_ended(run: RunFolder) -> Ending:
    """What became of a run, from its folder alone; runs of earlier versions left no note."""
    if run.in_use:
        return Ending("training", run.owner)
    try:
        return Ending(**json.loads((run.path / _NOTE).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        pass
    lines = read_log(run.log)
    if lines and lines[-1]["epoch"] >= run.config().train.epochs:
        return Ending("finished")
    return Ending("killed" if run.left_locked else "unknown")
