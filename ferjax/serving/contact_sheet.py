"""A picture wall of what was routed: a fair sample of bounded size, however many pictures went
by."""

import random
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ferjax.serving.router import Decision

__all__ = ["ContactSheet"]

PICTURES = 64


class _Tile(NamedTuple):
    number: int
    name: str
    face: np.ndarray
    decision: Decision


class ContactSheet:
    """Keeps up to 64 routed faces, each that went by with the same chance (Vitter's reservoir
    sampling), and draws them."""

    def __init__(self, pictures: int = PICTURES):
        self._pictures = pictures
        self._seen = 0
        self._kept = list[_Tile]()
        self._luck = random.Random(0)

    def watch(
        self, record: dict[str, Any], face: np.ndarray | None, decision: Decision | None
    ) -> None:
        """Looks at one line; failed ones have nothing to show."""
        if face is None or decision is None:
            return
        at = self._seen if self._seen < self._pictures else self._luck.randrange(self._seen + 1)
        if at < self._pictures:
            brick = _Tile(self._seen, Path(record["path"]).name, face, decision)
            self._kept[at : at + 1] = [brick]
        self._seen += 1

    def draw(self, path: Path) -> Path:
        """Writes the wall as a PNG.

        Raises:
          ValueError: if no picture was routed.
        """
        from ferjax.report import plots

        if not self._kept:
            raise ValueError(f"no picture was routed, there is nothing to draw in {path}")
        bricks = sorted(self._kept, key=lambda brick: brick.number)
        captions = [f"{_short(b.name)}\n{b.decision.action}: {_shares(b.decision)}" for b in bricks]
        return plots.contact_sheet(
            [b.face for b in bricks], captions, path, colours=[b.decision.action for b in bricks]
        )


def _short(name: str, most: int = 18) -> str:
    """A file name that matplotlib can draw: short, printable, and no formula."""
    name = "".join(
        c if c.isprintable() and not 0xD800 <= ord(c) < 0xE000 else "?" for c in name
    ).replace("$", r"\$")
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-most // 2 + 1 :]}"


def _shares(decision: Decision) -> str:
    order = sorted(decision.probs, key=decision.probs.__getitem__, reverse=True)
    shown = order[:1] if decision.action == "accept" else order[:2]
    return "\n".join(f"{100 * decision.probs[name]:.0f} % {name}" for name in shown)
