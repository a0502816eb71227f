"""Pictures of an evaluation. The only file that knows matplotlib; figures are drawn off screen."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from ferjax import routing
from ferjax.analysis import scores as scores_of

__all__ = ["contact_sheet", "plane", "routing_curves", "severity_curves"]

COLOURS = {"accept": "#2a7f62", "defer": "#d98e04", "reject": "#b3261e"}
SCORE_COLOURS = dict(zip(scores_of.LABELS, ("#b3261e", "#d98e04", "#3b5b92", "#6a4c93", "#7a7a7a")))


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=130, bbox_inches="tight")
    return path


def _axes(figure: Figure, x: str, y: str):
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def plane(points: Mapping[str, tuple[np.ndarray, np.ndarray]], thresholds: Mapping, path: Path) -> Path:
    """The aleatoric-epistemic plane: a panel per set of faces, coloured by decision, thresholds drawn.

    Args:
      points: title -> (aleatoric ``[face]``, epistemic ``[face]``) in nats.
      thresholds: ``aleatoric`` and ``epistemic``.
      path: where the PNG goes.
    """
    figure = Figure(figsize=(4.2 * len(points), 4))
    panels = figure.subplots(1, len(points), sharex=True, sharey=True, squeeze=False)[0]
    limits = routing.Thresholds(thresholds["aleatoric"], thresholds["epistemic"])
    for panel, (title, (aleatoric, epistemic)) in zip(panels, points.items()):
        action = np.asarray(routing.decide(aleatoric, epistemic, limits))
        for code, name in enumerate(routing.ACTIONS):
            of = action == code
            panel.scatter(aleatoric[of], epistemic[of], s=5, alpha=0.5, lw=0, color=COLOURS[name],
                          label=f"{name} {of.mean():.0%}", rasterized=True)
        if np.isfinite(limits.epistemic):
            panel.axhline(limits.epistemic, color="#444", lw=0.8)
        panel.vlines(limits.aleatoric, 0, min(limits.epistemic, 10), color="#444", lw=0.8)
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("aleatoric (nats): how ambiguous")
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(frameon=False, fontsize=8, markerscale=3, loc="upper left")
    panels[0].set_ylabel("epistemic (nats): how unfamiliar")
    top = float(np.quantile(np.concatenate([e for _, e in points.values()]), 0.999))
    if np.isfinite(limits.epistemic):
        top = max(top, 1.3 * float(limits.epistemic))
    panels[0].set_ylim(0, top * 1.15)
    return _save(figure, path)


def severity_curves(v2: Mapping, path: Path) -> Path:
    """Mean shift AUROC of each score against severity, the corruptions of the epistemic score thin behind it."""
    figure = Figure(figsize=(6, 4))
    axes = _axes(figure, "severity", "AUROC, clean against corrupted")
    for corruption, rows in v2["corruptions"].items():
        line = [rows[s]["epistemic"]["value"] for s in sorted(rows)]
        axes.plot(sorted(rows), line, color=SCORE_COLOURS["epistemic"], lw=0.7, alpha=0.45)
        axes.annotate(corruption, (max(rows), line[-1]), fontsize=6, color="#777", xytext=(3, 0), textcoords="offset points")
    for name, label in scores_of.LABELS.items():
        curve = v2["curve"][name]
        axes.plot(list(curve), list(curve.values()), marker="o", ms=4, lw=2, color=SCORE_COLOURS[name], label=label)
    axes.axhline(0.5, color="#999", lw=0.8, ls=":")
    axes.set_xticks(sorted(next(iter(v2["curve"].values()))))
    axes.legend(frameon=False, fontsize=8)
    return _save(figure, path)


def routing_curves(inside: Mapping[str, np.ndarray], outside: Mapping[str, np.ndarray], path: Path) -> Path:
    """Ambiguous clean faces kept against corrupted faces rejected, a line per reject score, and the random router.

    Args:
      inside: score name -> ``[n]`` of ambiguous clean faces.
      outside: score name -> ``[m]`` of corrupted faces.
      path: where the PNG goes.
    """
    figure = Figure(figsize=(5.2, 4.6))
    axes = _axes(figure, "corrupted faces rejected", "ambiguous clean faces kept")
    for name, label in scores_of.LABELS.items():
        curve = routing.routing_curve(inside[name], outside[name])
        auc = float(routing.routing_auc(inside[name], outside[name]))
        axes.plot(curve.rejection, curve.retention, color=SCORE_COLOURS[name], lw=1.8, label=f"{label}  {auc:.3f}")
    axes.plot([0, 1], [1, 0], color="#999", ls=":", label="random router  0.500")
    axes.legend(frameon=False, fontsize=8, title="area", title_fontsize=8)
    return _save(figure, path)


def contact_sheet(images: Sequence[np.ndarray], captions: Sequence[str], path: Path, *, columns: int = 8,
                  colours: Sequence[str] | None = None) -> Path:
    """Pictures in rows, each with a caption; ``colours`` are action names or any matplotlib colours, one per picture."""
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.5 * columns, 1.95 * rows))
    for position, (image, caption) in enumerate(zip(images, captions)):
        axes = figure.add_subplot(rows, columns, position + 1)
        axes.imshow(image, cmap="gray", vmin=0, vmax=255)
        axes.set_xticks([])
        axes.set_yticks([])
        colour = colours[position] if colours else "#444"
        for spine in axes.spines.values():
            spine.set_color(COLOURS.get(colour, colour))
            spine.set_linewidth(2.5)
        axes.set_title(caption, fontsize=6.5)
    figure.tight_layout()
    return _save(figure, path)


matplotlib.rcParams["font.family"] = "DejaVu Sans"
