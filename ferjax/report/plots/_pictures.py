"""Sheets of pictures: decided items, and what corruptions do."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ferjax.report.plots._figure import ACTION_COLOURS, Figure, save

__all__ = ["contact_sheet", "corruption_sheet"]


def contact_sheet(
    images: Sequence[np.ndarray],
    captions: Sequence[str],
    path: Path,
    *,
    columns: int = 8,
    colours: Sequence[str] | None = None,
) -> Path:
    """Pictures in rows, each with a caption and a frame.

    Args:
      images: uint8 ``[H, W]`` or ``[H, W, 3]`` each.
      captions: one per picture.
      path: where the PNG goes.
      columns: pictures in a row.
      colours: names of actions or any colours, one per picture.
    """
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.5 * columns, 1.95 * rows))
    for position, (image, caption) in enumerate(zip(images, captions)):
        axes = figure.add_subplot(rows, columns, position + 1)
        axes.imshow(image, cmap="gray", vmin=0, vmax=255)
        axes.set_xticks([])
        axes.set_yticks([])
        edge = colours[position] if colours else "#444"
        for spine in axes.spines.values():
            spine.set_color(ACTION_COLOURS.get(edge, edge))
            spine.set_linewidth(2.5)
        axes.set_title(caption, fontsize=6.5)
    figure.tight_layout()
    return save(figure, path)


def corruption_sheet(rows: Mapping[str, np.ndarray], path: Path) -> Path:
    """A row per corruption: the picture, then the severities, pixel for pixel.

    Args:
      rows: corruption -> pictures in [0, 1], ``[1 + severity, S, S, C]``.
      path: where the PNG goes.
    """
    count, side = next(iter(rows.values())).shape[:2]
    gap = 4
    left = 150
    head = 24
    dpi = 100
    height = head + len(rows) * (side + gap)
    width = left + count * (side + gap)
    canvas = np.ones((height, width, 3))
    for r, pictures in enumerate(rows.values()):
        for c, picture in enumerate(pictures):
            y = head + r * (side + gap)
            x = left + c * (side + gap)
            canvas[y : y + side, x : x + side] = np.clip(picture, 0, 1)
    figure = Figure(figsize=(width / dpi, height / dpi))
    figure.figimage(canvas)
    for r, name in enumerate(rows):
        y = 1 - (head + r * (side + gap) + side / 2) / height
        title = name.replace("imagenet_c.", "imagenet_c.\n")
        figure.text((left - 8) / width, y, title, fontsize=8, ha="right", va="center")
    for c in range(count):
        x = (left + c * (side + gap) + side / 2) / width
        title = "clean" if c == 0 else f"severity {c}"
        figure.text(x, 1 - head / 2 / height, title, fontsize=8, ha="center", va="center")
    figure.savefig(path, dpi=dpi)
    return path
