"""A comparison of judges on disk: one HTML file to read, the same numbers as JSON and CSV."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ferjax.evaluation.judgments.results import Comparison, JudgeRow
from ferjax.files import write_atomically
from ferjax.report import html, plots
from ferjax.report.findings import Conclusion
from ferjax.report.judgments import pictures, sections, words
from ferjax.report.write import rows, to_json, versions, write_json

__all__ = ["write"]

TITLE = "Is a language model's uncertainty people's uncertainty?"


def write(
    comparison: Comparison, folder: Path, about: Mapping[str, Any] | None = None
) -> tuple[list[Conclusion], list[Path]]:
    """Writes report.html, comparison.json and comparison.csv.

    Args:
      comparison: what was found.
      folder: made if it is not there.
      about: ``title``, ``command``, ``files_read``, whatever is known.

    Returns:
      The findings in words, and the files, the report first.

    Raises:
      OSError: if they cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about = {**(about or {}), "versions": versions(), "seed": comparison.seed}
    found = words.conclude(comparison)
    uris = {name: plots.data_uri(figure) for name, figure in pictures.figures(comparison).items()}
    p = comparison.panel
    page = html.page(
        about.get("title", TITLE),
        f"{len(comparison.judges)} judge{'s' * (len(comparison.judges) > 1)} beside "
        f"{p.ratings:,} ratings of {p.items:,} texts, {len(comparison.classes)} "
        f"{'dimensions' if comparison.by_dimension else 'classes'}",
        _top(comparison, found),
        sections.build(comparison, uris, about),
        "Made by ferjax. Gaps and scores are unbiased whatever the number of raters and samples; "
        "intervals are 95 % percentile bootstrap over texts.",
    )
    files = [folder / name for name in ("report.html", "comparison.json", "comparison.csv")]
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(("figure", "value", "low", "high"))
    table.writerows(rows(comparison))
    write_atomically(files[0], page.encode())
    write_atomically(files[2], text.getvalue().encode())
    write_json(files[1], {**to_json(comparison), "conclusions": found, "about": about})
    return found, files


def _top(c: Comparison, found: list[Conclusion]) -> str:
    scored = {n: r for n, r in {**c.judges, **c.pools}.items() if r.skill.defined}
    best = sorted(scored.items(), key=lambda pair: -pair[1].skill.value)[:3]
    cards = "".join(_card(name, row) for name, row in best)
    words_of = {"good": "good", "bad": "caution", "note": "note"}
    items = "".join(
        f"<li class={f.tone}><b>{words_of[f.tone]}</b>{html.escape(f.text)}</li>" for f in found
    )
    return f"<div class=cards>{cards}</div><h2>In words</h2><ul class=findings>{items}</ul>"


def _card(name: str, row: JudgeRow) -> str:
    many = row.people.value > words.MANY
    value = f"&gt; {min(row.people.low, words.MANY):.0f}" if many else f"{row.people.value:.1f}"
    return (
        f"<div class=card><span>{html.escape(name)}: worth in people</span><b>{value}</b>"
        f"<i>skill {row.skill.value:.2f} ({row.skill.low:.2f} – {row.skill.high:.2f})</i></div>"
    )
