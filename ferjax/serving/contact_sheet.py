"""A contact sheet of routed faces: a uniform sample of bounded size, drawn as a PNG."""

import random
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ferjax.report import plots
from ferjax.serving.records import Record
from ferjax.serving.router import Decision

__all__ = ["ContactSheet"]

TILES = 64


class _Tile(NamedTuple):
    number: int
    name: str
    face: np.ndarray
    decision: Decision


class ContactSheet:
    """Keeps a uniform sample of the faces that were routed, and draws it.

    Args:
      tiles: faces on the sheet, at most.
      seed: of the sample.

    References:
      Vitter, Random Sampling with a Reservoir, 1985.
    """

    def __init__(self, tiles: int = TILES, seed: int = 0):
        self._size = tiles
        self._seen = 0
        self._tiles: list[_Tile] = []
        self._uniform = random.Random(seed)

    def add(self, record: Record, face: np.ndarray | None, decision: Decision | None) -> None:
        """Takes a line into the sample; one that failed has nothing to show."""
        if face is None or decision is None:
            return
        full = self._seen >= self._size
        position = self._uniform.randrange(self._seen + 1) if full else self._seen
        if position < self._size:
            tile = _Tile(self._seen, Path(record["path"]).name, face, decision)
            self._tiles[position : position + 1] = [tile]
        self._seen += 1

    def draw(self, path: Path) -> Path:
        """Writes the sheet as a PNG.

        Args:
          path: the file.

        Returns:
          The path.

        Raises:
          ValueError: if no picture was routed.
        """
        if not self._tiles:
            raise ValueError(f"no picture was routed, there is nothing to draw in {path}")
        tiles = sorted(self._tiles, key=lambda tile: tile.number)
        return plots.contact_sheet(
            [tile.face for tile in tiles],
            [_caption(tile) for tile in tiles],
            path,
            colours=[tile.decision.action for tile in tiles],
        )


def _caption(tile: _Tile) -> str:
    probs = tile.decision.probs
    order = sorted(probs, key=probs.__getitem__, reverse=True)
    shown = order[:1] if tile.decision.action == "accept" else order[:2]
    likely = "\n".join(f"{100 * probs[name]:.0f} % {_short(name)}" for name in shown)
    return f"{_short(tile.name)}\n{tile.decision.action}: {likely}"


def _short(name: str, longest: int = 18) -> str:
    """A name that matplotlib can draw: short, printable, and no formula."""
    if len(name) > longest:
        name = f"{name[: longest // 2]}…{name[-longest // 2 + 1 :]}"
    drawable = (c if c.isprintable() and not 0xD800 <= ord(c) < 0xE000 else "?" for c in name)
    return "".join(drawable).replace("$", r"\$")
