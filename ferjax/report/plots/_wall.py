"""A wall of decided pictures: a frame by action, the likely classes as bars, the rules above."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ferjax.report.plots._figure import ACTION_COLOURS, Figure, Patch, save

__all__ = ["WallTile", "decision_wall"]

BARS = 3
"""Classes that a deferred picture shows, at most."""


class WallTile(NamedTuple):
    """A picture uint8 ``[H, W]`` or ``[H, W, 3]``, its caption, its action, class -> probability,
    and what stands in place of them where the picture is rejected."""

    picture: np.ndarray
    caption: str
    action: str
    probs: Mapping[str, float]
    refusal: str = ""


def decision_wall(
    tiles: Sequence[WallTile], path: Path, *, rules: Mapping[str, str], columns: int = 8
) -> Path:
    """Draws decided pictures.

    Args:
      tiles: the pictures.
      path: where the PNG goes.
      rules: action -> when it is taken, for the legend above.
      columns: pictures in a row.
    """
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    width = max(1.3 * columns, 6.5)
    height = 1.95 * rows + 0.75
    figure = Figure(figsize=(width, height))
    head = 0.75 / height
    figure.legend(
        [Patch(color=ACTION_COLOURS[action]) for action in rules],
        [f"{action}: {text}" for action, text in rules.items()],
        loc="upper left",
        bbox_to_anchor=(0.01, 1 - 0.04 / height),
        frameon=False,
        fontsize=8,
        labelspacing=0.25,
    )
    grid = figure.add_gridspec(
        2 * rows,
        columns,
        height_ratios=[1.0, 0.42] * rows,
        left=0.02,
        right=0.98,
        top=1 - head - 0.12 / height,
        bottom=0.02,
        hspace=0.22,
        wspace=0.12,
    )
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        axes = figure.add_subplot(grid[2 * row, column])
        axes.imshow(tile.picture, cmap="gray", vmin=0, vmax=255)
        axes.set_title(tile.caption, fontsize=6.5, pad=3)
        for spine in axes.spines.values():
            spine.set_color(ACTION_COLOURS[tile.action])
            spine.set_linewidth(2.5)
        below = figure.add_subplot(grid[2 * row + 1, column])
        _classes(below, tile)
        for part in (axes, below):
            part.set_xticks([])
            part.set_yticks([])
        below.set_frame_on(False)
    return save(figure, path)


def _classes(axes: Any, tile: WallTile) -> None:
    """The classes that the action speaks of, as bars; a reason where it speaks of none."""
    axes.set_xlim(0, 1)
    axes.set_ylim(BARS - 0.5, -0.5)
    text = {"fontsize": 6.2, "va": "center", "ha": "left"}
    if tile.action == "reject":
        axes.text(0, 0, tile.refusal, color="#555", **text)
        return
    order = sorted(tile.probs, key=tile.probs.__getitem__, reverse=True)
    most = 1 if tile.action == "accept" else BARS
    shown = [n for n in order[:most] if tile.probs[n] >= 0.05 or n == order[0]]
    for place, name in enumerate(shown):
        share = tile.probs[name]
        axes.barh(place, share, 0.86, color=ACTION_COLOURS[tile.action], alpha=0.3, lw=0)
        axes.text(0.02, place, f"{100 * share:.0f} % {name}", color="#222", **text)
