"""A contact sheet of routed faces: a uniform sample of bounded size, drawn as a PNG."""

import random
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ferjax.report import plots
from ferjax.routing import RouterRule
from ferjax.serving.records import Record
from ferjax.serving.router import Decision

__all__ = ["ContactSheet", "rules_in_words"]

TILES = 64


class _Tile(NamedTuple):
    number: int
    name: str
    face: np.ndarray
    decision: Decision


class ContactSheet:
    """Keeps a uniform sample of the faces that were routed, and draws it.

    Args:
      rule: of the router that decides, for the legend.
      tiles: faces on the sheet, at most.
      seed: of the sample.

    References:
      Vitter, Random Sampling with a Reservoir, 1985.
    """

    def __init__(self, rule: RouterRule, tiles: int = TILES, seed: int = 0):
        self._rule = rule
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
        return plots.decision_wall(
            [_drawn(tile, self._rule) for tile in tiles], path, rules=rules_in_words(self._rule)
        )


def rules_in_words(rule: RouterRule) -> dict[str, str]:
    """When a router takes each action, with its thresholds.

    >>> rules_in_words(RouterRule(1.0, 0.12, false_rejection=0.05))["reject"]
    'epistemic above 0.12, too unlike the training pictures (at most 5 % of clean ones)'
    """
    defer, reject = (name.replace("_", " ") for name in (rule.defer, rule.reject))
    limits = [float(np.asarray(of)) for of in (rule.defer_above, rule.reject_above)]
    above = [f"{limit:.4g}" if np.isfinite(limit) else "any value" for limit in limits]
    promise = ""
    if rule.false_rejection:
        promise = f" (at most {100 * rule.false_rejection:.3g} % of clean ones)"
    return {
        "accept": f"{defer} up to {above[0]} and {reject} up to {above[1]}; the label stands",
        "defer": f"{defer} above {above[0]}, no label is likely enough; the distribution is given",
        "reject": f"{reject} above {above[1]}, too unlike the training pictures{promise}",
    }


def _drawn(tile: _Tile, rule: RouterRule) -> plots.WallTile:
    decision = tile.decision
    values = {"aleatoric": decision.aleatoric, "epistemic": decision.epistemic, **decision.scores}
    refusal = f"{rule.reject.replace('_', ' ')}\n{values[rule.reject]:.4g}"
    probs = {_short(name): p for name, p in decision.probs.items()}
    return plots.WallTile(tile.face, _short(tile.name), decision.action, probs, refusal)


def _short(name: str, longest: int = 18) -> str:
    """A name that matplotlib can draw: short and printable."""
    if len(name) > longest:
        name = f"{name[: longest // 2]}…{name[-longest // 2 + 1 :]}"
    drawable = (c if c.isprintable() and not 0xD800 <= ord(c) < 0xE000 else "?" for c in name)
    return "".join(drawable)
