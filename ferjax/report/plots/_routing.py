"""Figures of routing: the plane of the two uncertainties, and routing curves."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ferjax.evaluation.routing_comparison import CURVE
from ferjax.evaluation.routing_results import RoutingRow
from ferjax.evaluation.scores import label
from ferjax.report.plots._figure import (
    ACTION_COLOURS,
    INK,
    Figure,
    colour,
    legend_beside,
    panels,
    shown_scores,
    single,
)
from ferjax.routing import ACTIONS, RouterRule

__all__ = ["Panel", "plane", "routing_curves"]


class Panel(NamedTuple):
    """Items of one set: the scores that a router defers and rejects on, and its action, ``[item]``
    each."""

    defer: np.ndarray
    reject: np.ndarray
    action: np.ndarray


def plane(sets: Mapping[str, Panel], rule: RouterRule | None) -> Figure:
    """The plane of what a router reads: a panel per set of items, coloured by decision.

    Args:
      sets: title -> items.
      rule: the router whose thresholds are drawn; None where none was chosen, then the scores are
        aleatoric and epistemic.
    """
    columns = 2 if len(sets) == 4 else min(3, len(sets))
    rows = -(-len(sets) // columns)
    size = (3.6 * columns, 3.4 * rows)
    figure, grid = panels(size, len(sets), columns, sharex=True, sharey=True)
    all_rejecting = np.concatenate([p.reject for p in sets.values()])
    top = float(np.quantile(all_rejecting, 0.999))
    bottom = 0.0
    # Distances of corrupted items leave those of clean ones no room on a linear axis.
    if rule is not None and top > 20 * float(rule.reject_above) > 0 and all_rejecting.min() > 0:
        bottom = float(np.quantile(all_rejecting, 0.001)) / 1.5
    for axes, (title, items) in zip(grid, sets.items()):
        for code, name in enumerate(ACTIONS):
            of = items.action == code
            axes.scatter(
                items.defer[of],
                items.reject[of],
                s=4,
                alpha=0.5,
                lw=0,
                rasterized=True,
                color=INK if rule is None else ACTION_COLOURS[name],
                label=name,
            )
        if rule is not None:
            reject = float(rule.reject_above)
            defer = float(rule.defer_above)
            if np.isfinite(reject):
                axes.axhline(reject, color="#444", lw=0.8)
                top = max(top, 1.3 * reject)
            if np.isfinite(defer):
                axes.vlines(defer, bottom, min(reject, top), color="#444", lw=0.8)
            shares = [(name, (items.action == code).mean()) for code, name in enumerate(ACTIONS)]
            title += "\n" + ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares)
        axes.set_title(title, fontsize=9)
    for axes in grid[-columns:]:
        axes.tick_params(labelbottom=True)  # nothing may be below it
    read = ("aleatoric", "epistemic") if rule is None else (rule.defer, rule.reject)
    figure.supxlabel(f"{label(read[0])} (nats): how ambiguous", fontsize=9)
    figure.supylabel(f"{label(read[1]).split(' (')[0]}: how unlike what was seen", fontsize=9)
    if rule is not None:
        handles, titles = grid[0].get_legend_handles_labels()
        figure.legend(
            handles,
            titles,
            loc="outside upper center",
            ncols=3,
            frameon=False,
            fontsize=9,
            markerscale=4,
        )
    if bottom:
        grid[0].set_yscale("log")
        for axes in grid:
            axes.yaxis.set_major_formatter("{x:g}")
    grid[0].set_ylim(bottom, max(top, 1e-6) * (1.5 if bottom else 1.15))
    return figure


def routing_curves(rows: Mapping[str, RoutingRow]) -> Figure:
    """Ambiguous clean items kept against corrupted items rejected, a line per reject score."""
    figure, axes = single((5.2, 4.6), "corrupted items rejected", "ambiguous clean items kept")
    names = shown_scores(name for name in rows if name != "random")
    for name in names:
        title = f"{label(name)}  {rows[name].auc.value:.3f}"
        axes.plot(CURVE, rows[name].curve, color=colour(name, names), lw=1.8, label=title)
    axes.plot(CURVE, rows["random"].curve, color="#999", ls=":", label="random router  0.500")
    legend_beside(axes, title="routing area", title_fontsize=8)
    return figure
