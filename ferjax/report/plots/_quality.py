"""Figures of the predictions themselves: calibration, selective prediction, members."""

from collections.abc import Mapping

import numpy as np

from ferjax.evaluation.results import ClassContribution, Quality, Selective, SizeRow
from ferjax.evaluation.scores import label
from ferjax.report.plots._figure import (
    INK,
    MAIN,
    Figure,
    Patch,
    colour,
    legend_above,
    panels,
    shown_scores,
    single,
)

__all__ = ["contributions", "reliability", "selective", "sensitivity"]


def reliability(q: Quality) -> Figure:
    """Confidence of the ensemble against how often it is right; dots grow with the share."""
    figure, axes = single((3.9, 3.7), "confidence, max p̄", "share of labels met")
    confidence = [b.confidence for b in q.reliability]
    correct = [b.correct for b in q.reliability]
    sizes = [12 + 500 * b.share for b in q.reliability]
    axes.plot([0, 1], [0, 1], color="#999", lw=0.8, ls=":")
    axes.plot(confidence, correct, color=INK, lw=1)
    axes.scatter(confidence, correct, s=sizes, color=INK, alpha=0.75, lw=0)
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    return figure


def selective(s: Selective) -> Figure:
    """Accuracy of the items kept against the share kept: against labels, and against people."""
    figure, grid = panels((8.2, 3.5), 2, 2)
    names = shown_scores(s.curves)
    titles = {"label": "label is right", "votes": "share of people who agree"}
    for axes, (kind, title) in zip(grid, titles.items()):
        axes.set_xlabel("share of items kept, most certain first")
        axes.set_ylabel(title)
        for name in names:
            look = {"color": colour(name, names), "label": label(name)}
            axes.plot(s.coverage, s.curves[name][kind], lw=1.7, **look)
    legend_above(figure, grid[0])
    return figure


_HEADLINE = {
    "spearman": "ρ(aleatoric, δ)",
    "shift_auroc": "shift AUROC of epistemic",
    "accuracy": "accuracy",
    "mean_epistemic": "mean epistemic (nats)",
}


def sensitivity(sizes: Mapping[int, SizeRow]) -> Figure:
    """The headline figures against the number of members; bands: range over sub-ensembles."""

    def curve(name: str) -> dict[int, tuple[float, float, float]]:
        found = {k: row.figures[name] for k, row in sizes.items() if name in row.figures}
        return {k: (s.mean, s.low, s.high) for k, s in found.items()}

    named = None
    wanted = {name: title for name, title in _HEADLINE.items() if curve(name)}
    figure, grid = panels((2.6 * len(wanted), 2.7), len(wanted), len(wanted))
    for axes, (name, title) in zip(grid, wanted.items()):
        of = curve(name)
        mean, low, high = zip(*of.values())
        axes.plot(list(of), mean, marker="o", ms=4, color=INK, lw=1.7)
        axes.fill_between(list(of), low, high, color=INK, alpha=0.15, lw=0)
        corrected = curve("mean_epistemic_corrected")
        if name == "mean_epistemic" and corrected:
            means = [point[0] for point in corrected.values()]
            look = {"color": "#b3261e", "lw": 1.2, "ls": "--"}
            look |= {"label": "mean epistemic × K/(K − 1)"}
            axes.plot(list(corrected), means, marker="o", ms=3, **look)
            named = axes
        axes.set_title(title, fontsize=9)
        ticks = list(sizes)
        axes.set_xticks(ticks if len(ticks) <= 10 else ticks[:: len(ticks) // 8])
    figure.supxlabel("members K", fontsize=9)
    if named is not None:
        legend_above(figure, named)
    return figure


def contributions(table: Mapping[str, ClassContribution]) -> Figure:
    """Mean nats per item that each class contributes to the two uncertainties."""
    figure, grid = panels((7.6, 0.28 * len(table) + 1.2), 2, 2, sharey=True)
    row = np.arange(len(table))
    for axes, part in zip(grid, ("aleatoric", "epistemic")):
        clean = [getattr(c, part) for c in table.values()]
        corrupted = np.array([getattr(c, f"{part}_corrupted") for c in table.values()])
        axes.barh(row - 0.2, clean, 0.4, color=MAIN[part], label="clean")
        if not np.isnan(corrupted).any():
            axes.barh(row + 0.2, corrupted, 0.4, color=MAIN[part], alpha=0.4, label="corrupted")
        axes.set_xlabel(f"{part} (nats per item)")
    figure.legend(
        [Patch(color="#777"), Patch(color="#c4c4c4")],
        ["clean", "corrupted (paler)"],
        loc="outside upper center",
        ncols=2,
        frameon=False,
        fontsize=8,
    )
    grid[0].set_yticks(row, list(table))
    grid[0].invert_yaxis()
    return figure
