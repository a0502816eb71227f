"""Figures of the scores: against disagreement, against shift, and both."""

from ferjax.evaluation.results import Disagreement, Evaluation, Shift
from ferjax.evaluation.scores import label
from ferjax.report.plots._figure import (
    MAIN,
    Figure,
    band,
    colour,
    legend_above,
    legend_beside,
    panels,
    shown_scores,
    single,
)

__all__ = ["corruption_curves", "cross", "deciles", "severity_curves"]


def deciles(d: Disagreement) -> Figure:
    """Mean human disagreement per decile of aleatoric uncertainty."""
    figure, axes = single(
        (5.2, 3.4),
        "aleatoric uncertainty, mean of each tenth of the items (nats)",
        "human disagreement δ",
    )
    axes.errorbar(
        [r.aleatoric for r in d.deciles],
        [r.disagreement for r in d.deciles],
        yerr=[1.96 * r.standard_error for r in d.deciles],
        marker="o",
        color=MAIN["aleatoric"],
        lw=1.8,
        ms=5,
        capsize=2,
    )
    axes.axhline(d.mean_disagreement, color="#999", lw=0.8, ls=":")
    # Beside the axes: within them it would lie on the curve.
    axes.annotate(
        "mean of\nall items",
        (1.01, d.mean_disagreement),
        xycoords=("axes fraction", "data"),
        fontsize=7,
        color="#777",
        va="center",
    )
    axes.set_ylim(bottom=0)
    return figure


def cross(e: Evaluation) -> Figure:
    """Every score in the plane of the two questions: disagreement and shift."""
    figure, axes = single(
        (5.2, 4.2),
        "follows disagreement: Spearman ρ with δ",
        f"follows shift: mean AUROC at severity {e.shift.severity}",
    )
    rows = {n: (of.spearman, e.shift.at_worst(n)) for n, of in e.disagreement.scores.items()}
    names = shown_scores(rows)
    for name, (x, y) in rows.items():
        if not (x.defined and y.defined):
            continue
        shown = name in names
        axes.errorbar(
            x.value,
            y.value,
            xerr=[[max(0, x.value - x.low)], [max(0, x.high - x.value)]],
            yerr=[[max(0, y.value - y.low)], [max(0, y.high - y.value)]],
            marker="o",
            ms=7,
            capsize=2,
            lw=1.2,
            color=colour(name, names) if shown else "#bbb",
            label=label(name) if shown else None,
            zorder=2 + shown,
        )
    axes.axhline(0.5, color="#999", lw=0.8, ls=":")
    axes.axvline(0.0, color="#999", lw=0.8, ls=":")
    legend_beside(axes)
    return figure


def severity_curves(s: Shift) -> Figure:
    """Mean shift AUROC of each score against severity, with 95 % bands."""
    figure, axes = single((5.6, 3.8), "severity", "AUROC, clean against corrupted")
    names = shown_scores(s.curve)
    for name in names:
        look = {"color": colour(name, names), "label": label(name)}
        band(axes, s.curve[name], marker="o", ms=4, lw=2, **look)
    axes.axhline(0.5, color="#999", lw=0.8, ls=":")
    axes.set_xticks(sorted(s.curve[names[0]]))
    legend_beside(axes)
    return figure


def corruption_curves(s: Shift) -> Figure:
    """A panel per corruption: AUROC of both uncertainties against severity, with 95 % bands."""
    count = len(s.corruptions)
    columns = count if count <= 5 else 4
    rows = -(-count // columns)
    size = (2.1 * columns + 0.4, 2.0 * rows + 0.5)
    figure, grid = panels(size, count, columns, sharex=True, sharey=True)
    for axes, (title, severities) in zip(grid, s.corruptions.items()):
        for name in ("epistemic", "aleatoric"):
            curve = {k: severities[k][name].auroc for k in sorted(severities)}
            band(axes, curve, marker="o", ms=2.5, lw=1.4, color=MAIN[name], label=name)
        axes.axhline(0.5, color="#999", lw=0.8, ls=":")
        axes.set_title(title.removeprefix("imagenet_c.").replace("_", " "), fontsize=9)
        axes.set_xticks(sorted(severities))
    legend_above(figure, grid[0])
    figure.supxlabel("severity", fontsize=9)
    figure.supylabel("AUROC", fontsize=9)
    return figure
