"""Methods side by side: the report of a comparison, as HTML, JSON and CSV, and for a terminal."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ferjax.evaluation.comparison import FIGURES, Comparison, MethodRow
from ferjax.evaluation.intervals import Interval
from ferjax.files import write_atomically
from ferjax.report import html
from ferjax.report.write import rows, write_json

__all__ = ["conclusions", "show", "write"]

_SMALLER_IS_BETTER = ("nll", "jensen_shannon", "ece", "ece_votes")


def conclusions(c: Comparison) -> list[str]:
    """What differs from the baseline beyond its interval, a sentence for each method."""
    found = []
    for name, row in c.rows.items():
        if not row.minus:
            continue
        better = [FIGURES[f] for f, of in row.minus.items() if _sign(f, of) > 0]
        worse = [FIGURES[f] for f, of in row.minus.items() if _sign(f, of) < 0]
        parts = [f"better in {', '.join(better)}" if better else ""]
        parts += [f"worse in {', '.join(worse)}" if worse else ""]
        words = "; ".join(part for part in parts if part) or "no figure differs beyond its interval"
        found.append(f"{name} against {c.baseline}: {words}.")
    return found


def _sign(figure: str, minus: Interval) -> int:
    """1 better, -1 worse, 0 within the interval or undefined."""
    sign = int(minus.low > 0) - int(minus.high < 0)
    return -sign if figure in _SMALLER_IS_BETTER else sign


def write(c: Comparison, folder: Path) -> list[Path]:
    """Writes a comparison into a folder.

    Args:
      c: what was found.
      folder: gets ``comparison.html``, ``comparison.json`` and ``comparison.csv``.

    Returns:
      The files, the page first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"comparison.{kind}" for kind in ("html", "json", "csv")]
    said = conclusions(c)
    shifted = "no corrupted copies in common"
    if c.severity is not None:
        shifted = f"shift at severity {c.severity} ({', '.join(c.corruptions)})"
    page = html.page(
        "Methods side by side",
        f"{len(c.rows)} methods on the same {c.items:,} items, {shifted}, {c.resamples:,} "
        "bootstrap resamples",
        "<ul class=findings>"
        + "".join(f"<li class=note><b>note</b>{html.escape(text)}</li>" for text in said)
        + "</ul>",
        [
            html.section("figures", "Figures", _table(c, differences=False)),
            html.section(
                "differences",
                f"Differences from {c.baseline}, on the same items",
                html.paragraph("Paired: both methods are read on the same resamples."),
                _table(c, differences=True),
            ),
            html.section("cost", "Cost", _costs(c)),
            html.section("how", "What the figures are", *map(html.paragraph, _meanings(c))),
        ],
        "Made by ferjax. Intervals are 95 % percentile bootstrap over test items.",
    )
    write_atomically(files[0], page.encode())
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("figure", "value", "low", "high"))
    writer.writerows(rows(c))
    write_atomically(files[2], text.getvalue().encode())
    write_json(files[1], c)
    return files


def _table(c: Comparison, *, differences: bool) -> str:
    lines = [
        [name, *((row.minus if differences else row.figures)[f] for f in FIGURES)]
        for name, row in c.rows.items()
        if row.minus or not differences
    ]
    return html.table(["method", *FIGURES.values()], lines, main=(c.baseline,))


def _costs(c: Comparison) -> str:
    head = ["method", "members", "parameters", "training, PFLOP", "serving one item, GFLOP"]
    lines = []
    for name, row in c.rows.items():
        cost = row.cost
        known: Iterable = [None] * 3
        if cost is not None:
            known = [cost.parameters, cost.train_flops / 1e15, cost.serve_flops / 1e9]
        lines.append([name, row.members, *known])
    return html.table(head, lines, main=(c.baseline,))


def _meanings(c: Comparison) -> list[str]:
    fitted = sorted({row.concentration for row in c.rows.values()})
    return [
        "NLL, JSD and ECE to votes are against what people said; ECE to labels against the most "
        "voted class. Worth so many people: so many votes predict the remaining votes of an item "
        "as well as the method does; infinite where it is as good as everybody.",
        f"ρ is of aleatoric with disagreement; no score could reach more than {c.ceiling.value:.2f}"
        " with so few votes. Shift AUROC, routing area and ambiguous items kept are of epistemic.",
        "Concentrations come from: " + ", ".join(fitted) + " (valid or test: fitted to these "
        "items' votes, cross-fitted where they are scored).",
    ]


def show(c: Comparison, console: Console) -> None:
    """Prints the table, and what differs."""
    names = list(c.rows)
    # Figures are rows, so that a narrow terminal cuts none: it gets a table for every few methods.
    at_once = max(1, (console.width - 26) // 28)
    for start in range(0, len(names), at_once):
        shown = names[start : start + at_once]
        table = Table(title=f"{c.items:,} items; differences from {c.baseline} below each figure")
        table.add_column("figure")
        for name in shown:
            table.add_column(name, justify="right")
        for figure, words in FIGURES.items():
            table.add_row(words, *(_cell(c.rows[name], figure) for name in shown))
        console.print(table)
    for text in conclusions(c):
        console.print(text, highlight=False)


def _cell(row: MethodRow, figure: str) -> str:
    of = row.figures[figure]
    if not of.defined:
        return "–"
    text = f"{of.value:.3f}"
    if figure in row.minus:
        minus = row.minus[figure]
        text += f"\n{minus.value:+.3f} ({minus.low:+.3f}, {minus.high:+.3f})"
    return text
