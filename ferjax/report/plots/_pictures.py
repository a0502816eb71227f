"""A sheet of what corruptions do to a picture."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ferjax.report.plots._figure import Figure, save

__all__ = ["corruption_sheet"]


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
    return save(figure, path, dpi=dpi, tight=False)
