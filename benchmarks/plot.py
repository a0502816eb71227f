"""Time against size, one panel per case, one line per candidate, both axes logarithmic."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

__all__ = ["lines"]

_KNOWN = {"panel", "candidate", "median", "low", "high", "runs", "first"}


def lines(timings: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Draws :attr:`Results.timings`.

    Args:
      timings: each with ``panel``, ``candidate``, ``median``/``low``/``high`` seconds, and one more
        key: the horizontal axis.
      path: PNG file to write.
    """
    panels = list(dict.fromkeys(t["panel"] for t in timings))
    candidates = list(dict.fromkeys(t["candidate"] for t in timings))
    colour = dict(zip(candidates, matplotlib.colormaps["tab10"].colors * 4))
    columns = 2 if len(panels) == 4 else min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.1 * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[len(panels) :]:
        axis.remove()
    for axis, panel in zip(axes, panels):
        here = [t for t in timings if t["panel"] == panel]
        (x_name,) = set(here[0]) - _KNOWN
        for name in candidates:
            points = sorted(
                (t[x_name], t["median"], t["low"], t["high"])
                for t in here
                if t["candidate"] == name
            )
            if points:
                x, middle, low, high = zip(*points)
                axis.plot(x, middle, marker="o", markersize=3, color=colour[name], label=name)
                axis.fill_between(x, low, high, color=colour[name], alpha=0.15, linewidth=0)
        sizes = sorted({t[x_name] for t in here})
        axis.set(
            xscale="log", yscale="log", title=panel, xlabel=x_name, ylabel="seconds", xticks=sizes
        )
        axis.set_xticks(sizes, [f"{size:,g}" for size in sizes])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    labels = {
        label: handle
        for axis in axes[: len(panels)]
        for handle, label in zip(*axis.get_legend_handles_labels())
    }
    figure.legend(
        labels.values(),
        labels.keys(),
        loc="outside lower center",
        ncols=min(len(labels), 5),
        frameon=False,
    )
    figure.savefig(path, dpi=90)
    return path
