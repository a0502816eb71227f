"""Pictures of an evaluation. The only file that knows matplotlib; figures are drawn off screen.

A function draws one figure from tables; :func:`save` puts it on disk, :func:`data_uri` into a page.
"""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.image
import numpy as np
from matplotlib.figure import Figure

from ferjax import routing
from ferjax.evaluation import compiled
from ferjax.evaluation import scores as scores_of
from ferjax.evaluation.intervals import plain

__all__ = [
    "colour",
    "contact_sheet",
    "contributions",
    "corruption_curves",
    "corruption_sheet",
    "cross",
    "data_uri",
    "deciles",
    "label",
    "picture_uri",
    "plane",
    "read_picture",
    "reliability",
    "routing_curves",
    "save",
    "selective",
    "sensitivity",
    "severity_curves",
]

COLOURS = {"accept": "#2a7f62", "defer": "#d98e04", "reject": "#b3261e"}
_MAIN = {
    "epistemic": "#b3261e",
    "aleatoric": "#d98e04",
    "total": "#3b5b92",
    "max_prob": "#6a4c93",
    "single_max_prob": "#7a7a7a",
}
_FIRST = ("ood_density", "l_uar", "head_density")
_MORE = ("#2a7f62", "#00798c", "#8c564b", "#bc5090", "#5c7c2f")


def save(figure: Figure, path: Path) -> Path:
    """Writes a PNG."""
    figure.savefig(path, dpi=130, bbox_inches="tight")
    return path


def data_uri(figure: Figure, *, raster: bool = False) -> str:
    """The figure as a ``data:`` address: SVG, or PNG where there are thousands of points."""
    buffer = io.BytesIO()
    figure.savefig(
        buffer,
        format="png" if raster else "svg",
        dpi=150,
        bbox_inches="tight",
        metadata=None if raster else {"Date": None},
    )
    kind = "png" if raster else "svg+xml"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def picture_uri(image: np.ndarray) -> str:
    """A uint8 picture ``[H, W]`` or ``[H, W, 3]`` as a ``data:`` address."""
    buffer = io.BytesIO()
    matplotlib.image.imsave(buffer, image, cmap="gray", vmin=0, vmax=255, format="png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


label = scores_of.label
"""A score's name as people read it."""


def colour(name: str, names: Sequence[str] = ()) -> str:
    """A score's colour, the same in every figure of an evaluation."""
    others = [n for n in names if n not in _MAIN]
    return _MAIN.get(name) or _MORE[others.index(name) % len(_MORE) if name in others else 0]


def few(names: Iterable[str]) -> list[str]:
    """The scores a figure has room for: those of log-probabilities alone, and three of the
    others."""
    names = list(names)
    others = [n for n in names if n not in _MAIN]
    wanted = sorted(others, key=lambda n: (n not in _FIRST, _FIRST.index(n) if n in _FIRST else 0))[
        :3
    ]
    return [n for n in names if n in _MAIN or n in wanted]


def _axes(figure: Figure, x: str, y: str) -> Any:
    return _dress(figure.subplots(), x, y)


def _dress(axes: Any, x: str, y: str) -> Any:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _band(axes: Any, x: Sequence, cells: Sequence, **look: Any) -> None:
    """A line through intervals, with the intervals as a band."""
    axes.plot(x, [plain(c) for c in cells], **look)
    axes.fill_between(
        x,
        [c["low"] for c in cells],
        [c["high"] for c in cells],
        color=look["color"],
        alpha=0.15,
        lw=0,
    )


def deciles(v1: Mapping) -> Figure:
    """Mean human disagreement per decile of aleatoric uncertainty."""
    figure = Figure(figsize=(5.2, 3.4))
    axes = _axes(
        figure,
        "aleatoric uncertainty, mean of each tenth of the faces (nats)",
        "human disagreement δ",
    )
    rows = v1["deciles"]
    axes.errorbar(
        [r["aleatoric"] for r in rows],
        [r["disagreement"] for r in rows],
        yerr=[1.96 * r["standard_error"] for r in rows],
        marker="o",
        color=_MAIN["aleatoric"],
        lw=1.8,
        ms=5,
        capsize=2,
    )
    axes.axhline(v1["mean_disagreement"], color="#999", lw=0.8, ls=":")
    axes.annotate(
        "mean of all faces",
        (rows[0]["aleatoric"], v1["mean_disagreement"]),
        fontsize=7,
        color="#777",
        va="bottom",
    )
    axes.set_ylim(bottom=0)
    return figure


def cross(table: Mapping, severity: int | None) -> Figure:
    """Every score in the plane of the two questions: does it follow disagreement, does it follow
    shift?"""
    figure = Figure(figsize=(5.2, 4.2))
    axes = _axes(
        figure,
        "follows disagreement: Spearman ρ with δ",
        f"follows shift: mean AUROC at severity {severity}",
    )
    names = few(table)
    for name, row in table.items():
        x = row["disagreement"]
        y = row["shift"]
        if y is None:
            continue
        axes.errorbar(
            x["value"],
            y["value"],
            marker="o",
            ms=7,
            color=colour(name, names) if name in names else "#bbb",
            capsize=2,
            lw=1.2,
            xerr=[[max(0, x["value"] - x["low"])], [max(0, x["high"] - x["value"])]],
            yerr=[[max(0, y["value"] - y["low"])], [max(0, y["high"] - y["value"])]],
            label=label(name) if name in names else None,
            zorder=2 + (name in names),
        )
    axes.axhline(0.5, color="#999", lw=0.8, ls=":")
    axes.axvline(0.0, color="#999", lw=0.8, ls=":")
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def plane(
    points: Mapping[str, tuple[np.ndarray, np.ndarray]], thresholds: Mapping | None
) -> Figure:
    """The aleatoric-epistemic plane: a panel per set of faces, coloured by decision, thresholds
    drawn.

    Args:
      points: title -> (aleatoric ``[face]``, epistemic ``[face]``) in nats.
      thresholds: ``aleatoric`` and ``epistemic``; None where none were chosen.
    """
    columns = 2 if len(points) == 4 else min(3, len(points))
    rows = -(-len(points) // columns)
    figure = Figure(figsize=(3.6 * columns, 3.4 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    limits = (
        routing.Thresholds(np.inf, np.inf)
        if thresholds is None
        else routing.Thresholds(thresholds["aleatoric"], thresholds["epistemic"])
    )
    for panel, (title, (aleatoric, epistemic)) in zip(panels, points.items()):
        action = np.asarray(compiled.decide(aleatoric, epistemic, limits))
        for code, name in enumerate(routing.ACTIONS):
            of = action == code
            panel.scatter(
                aleatoric[of],
                epistemic[of],
                s=4,
                alpha=0.5,
                lw=0,
                rasterized=True,
                color=COLOURS[name] if thresholds else "#3b5b92",
                label=f"{name} {of.mean():.0%}",
            )
        if np.isfinite(limits.epistemic):
            panel.axhline(limits.epistemic, color="#444", lw=0.8)
        if np.isfinite(limits.aleatoric):
            panel.vlines(limits.aleatoric, 0, min(limits.epistemic, 10), color="#444", lw=0.8)
        panel.set_title(title, fontsize=10)
        panel.spines[["top", "right"]].set_visible(False)
        if thresholds:
            panel.legend(frameon=False, fontsize=7.5, markerscale=3, loc="upper left")
    for panel in panels[len(points) :]:
        panel.set_visible(False)
    for panel in panels[len(points) - columns : len(points)]:
        panel.tick_params(labelbottom=True)  # nothing may be below it
    figure.supxlabel("aleatoric (nats): how ambiguous", fontsize=9)
    figure.supylabel("epistemic (nats): how unfamiliar", fontsize=9)
    top = float(np.quantile(np.concatenate([e for _, e in points.values()]), 0.999))
    if np.isfinite(limits.epistemic):
        top = max(top, 1.3 * float(limits.epistemic))
    panels[0].set_ylim(0, max(top, 1e-6) * 1.15)
    return figure


def severity_curves(v2: Mapping) -> Figure:
    """Mean shift AUROC of each score against severity, with 95 % bands."""
    figure = Figure(figsize=(5.6, 3.8))
    axes = _axes(figure, "severity", "AUROC, clean against corrupted")
    names = few(v2["curve"])
    for name in names:
        curve = v2["curve"][name]
        _band(
            axes,
            list(curve),
            list(curve.values()),
            marker="o",
            ms=4,
            lw=2,
            color=colour(name, names),
            label=label(name),
        )
    axes.axhline(0.5, color="#999", lw=0.8, ls=":")
    axes.set_xticks(sorted(next(iter(v2["curve"].values()))))
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def corruption_curves(v2: Mapping) -> Figure:
    """A panel per corruption: AUROC of both uncertainties against severity, with 95 % bands."""
    corruptions = v2["corruptions"]
    columns = len(corruptions) if len(corruptions) <= 5 else 4
    rows = -(-len(corruptions) // columns)
    figure = Figure(figsize=(2.1 * columns + 0.4, 2.0 * rows + 0.5), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for panel, (title, severities) in zip(panels, corruptions.items()):
        for name in ("epistemic", "aleatoric"):
            _band(
                panel,
                sorted(severities),
                [severities[s][name] for s in sorted(severities)],
                marker="o",
                ms=2.5,
                lw=1.4,
                color=_MAIN[name],
                label=name,
            )
        panel.axhline(0.5, color="#999", lw=0.8, ls=":")
        panel.set_title(title.removeprefix("imagenet_c.").replace("_", " "), fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
        panel.set_xticks(sorted(severities))
    panels[0].legend(frameon=False, fontsize=7.5, loc="upper left")
    for panel in panels[len(corruptions) :]:
        panel.set_visible(False)
    figure.supxlabel("severity", fontsize=9)
    figure.supylabel("AUROC", fontsize=9)
    return figure


def reliability(classification: Mapping) -> Figure:
    """Confidence of the ensemble against how often it is right; dots grow with the share of
    faces."""
    figure = Figure(figsize=(3.9, 3.7))
    axes = _axes(figure, "confidence, max p̄", "share of labels met")
    bins = classification["reliability"]
    axes.plot([0, 1], [0, 1], color="#999", lw=0.8, ls=":")
    axes.plot([b["confidence"] for b in bins], [b["correct"] for b in bins], color="#3b5b92", lw=1)
    axes.scatter(
        [b["confidence"] for b in bins],
        [b["correct"] for b in bins],
        s=[12 + 500 * b["share"] for b in bins],
        color="#3b5b92",
        alpha=0.75,
        lw=0,
    )
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    return figure


def selective(curves: Mapping) -> Figure:
    """Accuracy of the faces kept against the share kept, for each score: against labels, and
    against people."""
    figure = Figure(figsize=(8.2, 3.5), layout="constrained")
    panels = figure.subplots(1, 2)
    names = few(name for name in curves if name != "coverage")
    for panel, kind, title in zip(
        panels, ("label", "votes"), ("label is right", "share of people who agree")
    ):
        _dress(panel, "share of faces kept, most certain first", title)
        for name in names:
            panel.plot(
                curves["coverage"],
                curves[name][kind],
                lw=1.7,
                color=colour(name, names),
                label=label(name),
            )
    panels[0].legend(frameon=False, fontsize=8, loc="lower left")
    return figure


def sensitivity(sizes: Mapping) -> Figure:
    """The headline figures against the number of members; bands are the range over
    sub-ensembles."""
    wanted = {
        "spearman": "ρ(aleatoric, δ)",
        "shift_auroc": "shift AUROC of epistemic",
        "accuracy": "accuracy",
        "mean_epistemic": "mean epistemic (nats)",
    }
    wanted = {
        name: title
        for name, title in wanted.items()
        if any(row.get(name) for row in sizes.values())
    }
    figure = Figure(figsize=(2.6 * len(wanted), 2.7), layout="constrained")
    for panel, (name, title) in zip(
        figure.subplots(1, len(wanted), squeeze=False)[0], wanted.items()
    ):
        of = {k: row[name] for k, row in sizes.items() if row.get(name)}
        panel.plot(
            list(of), [c["mean"] for c in of.values()], marker="o", ms=4, color="#3b5b92", lw=1.7
        )
        panel.fill_between(
            list(of),
            [c["min"] for c in of.values()],
            [c["max"] for c in of.values()],
            color="#3b5b92",
            alpha=0.15,
            lw=0,
        )
        if name == "mean_epistemic":
            corrected = {
                k: row["mean_epistemic_corrected"]
                for k, row in sizes.items()
                if row.get("mean_epistemic_corrected")
            }
            panel.plot(
                list(corrected),
                [c["mean"] for c in corrected.values()],
                marker="o",
                ms=3,
                color="#b3261e",
                lw=1.2,
                ls="--",
                label="× K/(K − 1)",
            )
            panel.legend(frameon=False, fontsize=7.5, loc="lower right")
        panel.set_title(title, fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
        panel.set_xticks(list(sizes) if len(sizes) <= 10 else list(sizes)[:: len(sizes) // 8])
    figure.supxlabel("members K", fontsize=9)
    return figure


def contributions(table: Mapping) -> Figure:
    """Mean nats per face that each class contributes to the two uncertainties."""
    figure = Figure(figsize=(7.6, 0.28 * len(table) + 1.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    names = list(table)
    row = np.arange(len(table))
    for panel, part in zip(panels, ("aleatoric", "epistemic")):
        panel.barh(
            row - 0.2, [table[n][part] for n in names], 0.4, color=_MAIN[part], label="clean"
        )
        if all(f"{part}_shifted" in table[n] for n in names):
            panel.barh(
                row + 0.2,
                [table[n][f"{part}_shifted"] for n in names],
                0.4,
                color=_MAIN[part],
                alpha=0.4,
                label="corrupted",
            )
        _dress(panel, f"{part} (nats per face)", "")
        panel.legend(frameon=False, fontsize=7.5, loc="lower right")
    panels[0].set_yticks(row, names)
    panels[0].invert_yaxis()
    return figure


def routing_curves(inside: Mapping[str, np.ndarray], outside: Mapping[str, np.ndarray]) -> Figure:
    """Ambiguous clean faces kept against corrupted faces rejected, a line per reject score, and the
    random router.

    Args:
      inside: score name -> ``[n]`` of ambiguous clean faces.
      outside: score name -> ``[m]`` of corrupted faces.
    """
    figure = Figure(figsize=(5.2, 4.6))
    axes = _axes(figure, "corrupted faces rejected", "ambiguous clean faces kept")
    names = few(inside)
    for name in names:
        curve = compiled.routing_curve(inside[name], outside[name])
        auc = float(compiled.routing_auc(inside[name], outside[name]))
        axes.plot(
            curve.rejection,
            curve.retention,
            color=colour(name, names),
            lw=1.8,
            label=f"{label(name)}  {auc:.3f}",
        )
    axes.plot([0, 1], [1, 0], color="#999", ls=":", label="random router  0.500")
    axes.legend(frameon=False, fontsize=8, title="area", title_fontsize=8, loc="lower left")
    return figure


def contact_sheet(
    images: Sequence[np.ndarray],
    captions: Sequence[str],
    path: Path,
    *,
    columns: int = 8,
    colours: Sequence[str] | None = None,
) -> Path:
    """Pictures in rows, each with a caption; ``colours`` are action names or any matplotlib
    colours, one per picture."""
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.5 * columns, 1.95 * rows))
    for position, (image, caption) in enumerate(zip(images, captions)):
        axes = figure.add_subplot(rows, columns, position + 1)
        axes.imshow(image, cmap="gray", vmin=0, vmax=255)
        axes.set_xticks([])
        axes.set_yticks([])
        edge = colours[position] if colours else "#444"
        for spine in axes.spines.values():
            spine.set_color(COLOURS.get(edge, edge))
            spine.set_linewidth(2.5)
        axes.set_title(caption, fontsize=6.5)
    figure.tight_layout()
    return save(figure, path)


def read_picture(path: Path) -> np.ndarray:
    """A picture file as uint8 ``[H, W]`` or ``[H, W, 3]``.

    Raises:
      FileNotFoundError: if there is none.
      ValueError: naming the file, if it is no picture.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no picture at {path}")
    try:
        pixels = matplotlib.image.imread(path)
    except Exception as error:  # decoders raise a dozen kinds
        raise ValueError(f"{path}: not a readable picture: {error}") from error
    if pixels.dtype != np.uint8:  # matplotlib gives PNGs as floats in [0, 1]
        pixels = np.round(255 * np.asarray(pixels, np.float64)).astype(np.uint8)
    return (
        pixels[..., :3]
        if pixels.ndim == 3 and pixels.shape[2] >= 3
        else pixels[..., 0]
        if pixels.ndim == 3
        else pixels
    )


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
        figure.text(
            (left - 8) / width,
            y,
            name.replace("imagenet_c.", "imagenet_c.\n"),
            fontsize=8,
            ha="right",
            va="center",
        )
    for c in range(count):
        x = (left + c * (side + gap) + side / 2) / width
        figure.text(
            x,
            1 - head / 2 / height,
            "clean" if c == 0 else f"severity {c}",
            fontsize=8,
            ha="center",
            va="center",
        )
    figure.savefig(path, dpi=dpi)
    return path


matplotlib.rcParams["font.family"] = "DejaVu Sans"
