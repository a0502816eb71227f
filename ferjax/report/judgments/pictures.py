"""Pictures of a comparison: worth in people, plug-in against its floor, classes and dimensions."""

import math
from collections.abc import Mapping

from ferjax.evaluation.intervals import Interval
from ferjax.evaluation.judgments.results import Comparison, JudgeRow
from ferjax.report.judgments.worth import ranked
from ferjax.report.plots._figure import INK, MAIN, Figure, single

__all__ = ["figures"]

GOOD = "#2a7f62"


def figures(c: Comparison) -> dict[str, Figure]:
    """Every picture that a comparison allows, by name."""
    rows = ranked(c)
    drawn = {"people": _people(rows)}
    if any(row.jsd is not None for row in rows.values()):
        drawn["floors"] = _floors({n: row for n, row in rows.items() if n not in c.rivals})
    if c.by_class:
        drawn["classes"] = _classes(c)
    if c.transparency is not None:
        drawn["transparency"] = _transparency(c)
    return drawn


def _bars(axes, names: list[str], figures: list[Interval], cap: float, colours: list[str]) -> None:
    places = range(len(names))[::-1]
    for place, figure, shade in zip(places, figures, colours):
        if math.isnan(figure.value):
            continue
        value = min(figure.value, cap)
        low = min(max(figure.low, -cap), cap)
        high = min(max(figure.high, -cap), cap)
        axes.plot([low, high], [place, place], color=shade, lw=2.2, solid_capstyle="butt")
        mark = ">" if figure.value > cap else "o"
        axes.plot(value, place, mark, color=shade, ms=6)
    axes.set_yticks(list(places), names, fontsize=9)


def _people(rows: Mapping[str, JudgeRow]) -> Figure:
    """People-equivalents with intervals; beyond the largest finite one, an arrow."""
    height = 0.9 + 0.28 * len(rows)
    figure, axes = single((5.6, height), "people that the judge is worth", "")
    finite = [r.people.high for r in rows.values() if r.people.high < 100]
    cap = max([5.0, *finite]) * 1.1
    colours = [
        MAIN["total"] if r.judges == 1 else GOOD if r.judges else "#777" for r in rows.values()
    ]
    _bars(axes, list(rows), [r.people for r in rows.values()], cap, colours)
    axes.axvline(1.0, color="#999", lw=0.8, ls=":")
    axes.set_xlim(0, cap)
    return figure


def _floors(rows: Mapping[str, JudgeRow]) -> Figure:
    """Plug-in divergence, and what a judge that is right would show at the same numbers."""
    figure, axes = single((5.6, 0.9 + 0.28 * len(rows)), "Jensen-Shannon divergence, bits", "")
    shown = {n: r for n, r in rows.items() if r.jsd is not None}
    jsd = [r.jsd for r in shown.values() if r.jsd is not None]
    _bars(axes, list(shown), jsd, 1.0, [INK] * len(shown))
    places = range(len(shown))[::-1]
    for place, row in zip(places, shown.values()):
        if row.jsd_floor is not None:
            axes.plot(row.jsd_floor, place, "|", color=MAIN["epistemic"], ms=13, mew=2)
    axes.set_xlim(0, None)
    return figure


def _classes(c: Comparison) -> Figure:
    """Mean correlation of judges' rates with people's, class by class, with its ceiling."""
    order = sorted(c.by_class, key=lambda n: -c.by_class[n].rate.value)[:40]
    figure, axes = single((5.6, 0.9 + 0.22 * len(order)), "Spearman of rates with people's", "")
    rows = [c.by_class[name] for name in order]
    _bars(axes, order, [row.mean_spearman for row in rows], 1.0, [INK] * len(order))
    for place, row in zip(range(len(order))[::-1], rows):
        if row.ceiling.defined:
            axes.plot(row.ceiling.value, place, "|", color=MAIN["epistemic"], ms=10, mew=1.6)
    axes.axvline(0, color="#999", lw=0.8, ls=":")
    return figure


def _transparency(c: Comparison) -> Figure:
    figure, axes = single((5.6, 4.2), "transparency", "correlation over its ceiling")
    assert c.transparency is not None
    for name, row in c.transparency.classes.items():
        if math.isnan(row.share_of_ceiling):
            continue
        axes.plot(row.score, row.share_of_ceiling, "o", color=INK, ms=4)
        at = (row.score, row.share_of_ceiling)
        axes.annotate(name, at, xytext=(3, 2), textcoords="offset points", fontsize=7, color="#555")
    return figure
