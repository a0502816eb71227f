"""Figures drawn off screen, in the report's look. The only file that knows matplotlib."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.image
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ferjax.evaluation.intervals import Interval
from ferjax.files import write_atomically

__all__ = [
    "ACTION_COLOURS",
    "Figure",
    "Patch",
    "band",
    "colour",
    "data_uri",
    "legend_above",
    "legend_beside",
    "panels",
    "picture_uri",
    "save",
    "shown_scores",
    "single",
    "tidy",
]

matplotlib.rcParams["font.family"] = "DejaVu Sans"
matplotlib.rcParams["text.parse_math"] = False  # names are text, not formulas
matplotlib.rcParams["svg.hashsalt"] = "ferjax"  # the same figure is the same bytes

ACTION_COLOURS = {"accept": "#2a7f62", "defer": "#d98e04", "reject": "#b3261e"}
MAIN = {
    "epistemic": "#b3261e",
    "aleatoric": "#d98e04",
    "total": "#3b5b92",
    "max_prob": "#6a4c93",
    "single_max_prob": "#7a7a7a",
}
_FIRST = ("ood_density", "l_uar", "head_density")
_MORE = ("#2a7f62", "#00798c", "#8c564b", "#bc5090", "#5c7c2f")
INK = "#3b5b92"


def save(figure: Figure, path: Path, *, dpi: float = 130, tight: bool = True) -> Path:
    """Writes a PNG, whole or not at all.

    Raises:
      OSError: if it cannot be written.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight" if tight else None)
    write_atomically(path, buffer.getvalue())
    return path


def data_uri(figure: Figure, *, raster: bool = False) -> str:
    """The figure as a ``data:`` address: SVG, or PNG where there are thousands of points."""
    buffer = io.BytesIO()
    kind = "png" if raster else "svg"
    metadata = None if raster else {"Date": None}
    figure.savefig(buffer, format=kind, dpi=150, bbox_inches="tight", metadata=metadata)
    media = "png" if raster else "svg+xml"
    return f"data:image/{media};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def picture_uri(image: np.ndarray) -> str:
    """A uint8 picture ``[H, W]`` or ``[H, W, 3]`` as a ``data:`` address."""
    buffer = io.BytesIO()
    matplotlib.image.imsave(buffer, image, cmap="gray", vmin=0, vmax=255, format="png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def shown_scores(names: Iterable[str]) -> list[str]:
    """The scores a figure has room for: those of log-probabilities, and three of the others."""
    names = list(names)
    others = [n for n in names if n not in MAIN]
    rank = {name: place for place, name in enumerate(_FIRST)}
    chosen = sorted(others, key=lambda n: rank.get(n, len(rank)))[:3]
    return [n for n in names if n in MAIN or n in chosen]


def colour(name: str, names: Sequence[str] = ()) -> str:
    """A score's colour, the same in every figure of an evaluation."""
    others = [n for n in names if n not in MAIN]
    return MAIN.get(name) or _MORE[others.index(name) % len(_MORE) if name in others else 0]


def single(size: tuple[float, float], x: str, y: str) -> tuple[Figure, Any]:
    """A figure with one pair of axes, named."""
    figure = Figure(figsize=size)
    axes = tidy(figure.subplots())
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes


def panels(
    size: tuple[float, float], count: int, columns: int, **options: Any
) -> tuple[Figure, list[Any]]:
    """A figure of so many panels in rows; ``options`` of matplotlib's ``subplots``."""
    rows = -(-count // columns)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, **options).ravel()
    for axes in grid[count:]:
        axes.set_visible(False)
    return figure, [tidy(axes) for axes in grid[:count]]


def tidy(axes: Any) -> Any:
    """Axes without a box around them."""
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def legend_beside(axes: Any, **options: Any) -> None:
    """A legend to the right of the axes, where no data are; none where nothing has a name."""
    if not axes.get_legend_handles_labels()[0]:
        return
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0), **options)


def legend_above(figure: Figure, axes: Any, columns: int = 4) -> None:
    """One legend above all panels of a figure, from one of them; none where nothing has a name."""
    handles, titles = axes.get_legend_handles_labels()
    if not handles:
        return
    figure.legend(
        handles,
        titles,
        loc="outside upper center",
        ncols=min(columns, len(titles)),
        frameon=False,
        fontsize=8,
    )


def band(axes: Any, curve: Mapping[Any, Interval], **look: Any) -> None:
    """A line through figures, with their intervals as a band."""
    x = list(curve)
    figures = list(curve.values())
    axes.plot(x, [f.value for f in figures], **look)
    low = [f.low for f in figures]
    high = [f.high for f in figures]
    axes.fill_between(x, low, high, color=look["color"], alpha=0.15, lw=0)
