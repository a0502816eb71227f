"""Readers of panels: ratings of people as they are published, one file a format.

A format is recognised by what the file says, never by its name, and what it was taken for is
reported with the ratings.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from ferjax.ratings import Ratings
from ferjax.texts.readers import _answers, _emobank, _goemotions, _long, _raters, _wide
from ferjax.texts.readers._answers import read_answers
from ferjax.texts.readers._rows import Csv, first_line

__all__ = ["Panel", "is_answers", "read_answers", "read_panel"]


@dataclasses.dataclass(frozen=True)
class Panel:
    """Ratings, and a report of what was read."""

    ratings: Ratings
    format: str
    """What the file was taken for, in words."""
    files: tuple[str, ...]
    notes: tuple[str, ...]
    """Sentences on what was left out or could not be known."""

    @property
    def summary(self) -> str:
        """One line: how much was read, and as what."""
        r = self.ratings
        who = f"{len(r.raters):,} raters" if r.rater is not None else "raters unknown"
        apart = 0 if r.unclear is None else int(r.unclear.sum())
        unclear = f", {apart:,} ratings apart as unclear" if apart else ""
        few = r.raters_of.min() if len(r.ids) else 0
        many = r.raters_of.max(initial=0)
        names = "dimensions" if r.values is not None else "classes"
        return (
            f"{self.format}: {len(r.ids):,} items, {len(r.item):,} ratings ({few} – {many} an "
            f"item) by {who}{unclear}; kind {r.kind}, {len(r.classes)} {names}"
        )


def is_answers(path: str | Path) -> bool:
    """Whether a file is a table of models' answers, not of people's ratings."""
    path = Path(path)
    if path.is_dir() or first_line(path).lstrip().startswith("{"):
        return False
    return _answers.recognised(Csv(path).header)


def read_panel(
    path: str | Path,
    *,
    kind: str | None = None,
    classes: tuple[str, ...] | None = None,
    levels: tuple[float, ...] | None = None,
) -> Panel:
    """Reads ratings of people, in any of the formats of this package.

    Args:
      path: a file, or a folder of GoEmotions' three raw files.
      kind: ``single``, ``multi``, ``ordinal`` or ``real``, where the file leaves it open (a long
        table); otherwise told by the file.
      classes: all classes and their order, where the file holds only those that were chosen.
      levels: of an ordinal scale; otherwise those that occur, if they are whole numbers.

    Returns:
      :class:`Panel`.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: naming file and line of the first row that is wrong, or what was expected of a
        file that is none of these.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no panel at {path}")
    if path.is_dir():
        return Panel(*_goemotions.read_folder(path))
    opening = first_line(path)
    if opening.lstrip().startswith("{"):
        return Panel(*_raters.read(path, classes, levels))
    table = Csv(path)
    for reader, recognised in _READERS:
        if recognised(table.header):
            return Panel(*reader(table, kind, classes, levels))
    raise ValueError(
        f"{path}: the first line {opening[:60]!r} is none of: a JSON object with ratings; columns "
        "of GoEmotions' raw files; id,V,A,D of EmoBank; item,rater,label (one row a choice); "
        "item,rater and columns of values; item and columns of whole counts"
    )


_READERS: tuple[tuple[Callable, Callable[[tuple[str, ...]], bool]], ...] = (
    (_goemotions.read, _goemotions.recognised),
    (_emobank.read, _emobank.recognised),
    (_long.read, _long.recognised),
    (_wide.read, _wide.recognised),
)
