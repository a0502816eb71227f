"""Building blocks of the report's HTML, and the page around them: one file that opens from disk.

Everything is inside the file (styles, pictures as ``data:`` addresses); nothing is fetched and no
script runs.
"""

import math
import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from ferjax.evaluation.intervals import Interval

__all__ = [
    "Rounded",
    "Section",
    "cell",
    "details",
    "escape",
    "figure",
    "page",
    "paragraph",
    "section",
    "table",
]


SHORT = 15
"""Rows of a table that stays on one page of paper, its caption with it."""


class Section(NamedTuple):
    """A section of the page: its anchor, its title, its HTML, and what the menu calls it."""

    anchor: str
    title: str
    inner: str
    name: str = ""


class Rounded(NamedTuple):
    """A figure of a table whose decimals are not those of the others."""

    figure: Any
    digits: int


def cell(value: Any, digits: int = 3) -> str:
    """A number, or one with its interval below it; "–" where it is not defined.

    >>> cell(0.25), cell(1234), cell(None), cell(Interval.exact(0.5)), cell(Rounded(1.94, 1))
    ('0.250', '1,234', '–', '0.500', '1.9')
    >>> cell(Interval(2.0, 1.0, math.inf), 1)
    '2.0<small>1.0 – ∞</small>'
    """
    if isinstance(value, Rounded):
        return cell(value.figure, value.digits)
    if isinstance(value, Interval):
        inner = cell(value.value, digits)
        exact = value.low == value.high == value.value
        if exact or not math.isfinite(value.low) or math.isnan(value.high):
            return inner
        low, high = (_number(end, digits) for end in (value.low, value.high))
        p = getattr(value, "p_value", math.nan)
        beside = "" if math.isnan(p) else f"; p {'< 0.001' if p < 0.001 else f'{p:.3f}'}"
        return f"{inner}<small>{low} – {high}{escape(beside)}</small>"
    if isinstance(value, float):
        return _number(value, digits) if math.isfinite(value) else "–"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "–" if value is None else escape(str(value))


def _number(value: float, digits: int) -> str:
    if value == math.inf:
        return "∞"
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def paragraph(text: str) -> str:
    """Plain text as a paragraph."""
    return f"<p>{escape(text)}</p>"


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    caption: str = "",
    main: Sequence[str] = (),
    digits: int = 3,
    most_columns: int = 8,
    texts: bool = False,
) -> str:
    """A table that fits on paper, and scrolls sideways where the screen is narrow.

    Args:
      head: names of the columns.
      rows: cells, see :func:`cell`.
      caption: what stands above it.
      main: first cells of the rows that are set bold.
      digits: decimals.
      most_columns: a table with more is cut into several, which repeat the first column.
      texts: its cells are words, which stand on the left and are folded.
    """
    rows = [tuple(row) for row in rows]
    if len(head) > most_columns:
        rest = range(1, len(head))
        step = -(-len(rest) // -(-len(rest) // (most_columns - 1)))
        cuts = [[0, *rest[start : start + step]] for start in range(0, len(rest), step)]
        return "".join(
            table(
                [head[i] for i in cut],
                [[row[i] for i in cut] for row in rows],
                caption=caption if not number else f"{caption} (continued)" if caption else "",
                main=main,
                digits=digits,
                texts=texts,
            )
            for number, cut in enumerate(cuts)
        )

    def line(row: Sequence[Any]) -> str:
        cells = "".join(f"<td>{cell(value, digits)}</td>" for value in row)
        return f"<tr{' class=main' if row[0] in main else ''}>{cells}</tr>"

    top = "".join(f"<th scope=col>{escape(name)}</th>" for name in head)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    body = "".join(line(row) for row in rows)
    kind = " class=texts" if texts else ""
    inner = f"<table{kind}>{title}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    short = " short" if len(rows) <= SHORT else ""
    return f'<div class="wide{short}" tabindex=0>{inner}</div>'


def figure(uri: str | None, alt: str, caption: str = "", *, broad: bool = False) -> str:
    """A picture with its words; nothing where there is no picture. A broad one has panels side by
    side: on a phone it keeps its size, and scrolls."""
    if uri is None:
        return ""
    words = f"<figcaption>{escape(caption)}</figcaption>"
    picture = f'<img src="{uri}" alt="{escape(alt, quote=True)}">'
    if broad:
        picture = f"<div class=broad tabindex=0>{picture}</div>"
    return f"<figure>{picture}{words}</figure>"


def details(summary: str, inner: str) -> str:
    """Something folded away until asked for."""
    return f"<details><summary>{escape(summary)}</summary>{inner}</details>"


def section(anchor: str, title: str, *inner: str, name: str = "") -> Section:
    """A section of :func:`page` from its parts; the menu calls it by its anchor unless named."""
    return Section(anchor, title, "".join(inner), name)


def page(title: str, lead: str, top: str, sections: Sequence[Section], foot: str) -> str:
    """The whole document."""
    style = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    links = "".join(
        f'<a href="#{s.anchor}">{escape(s.name or s.anchor.replace("-", " "))}</a>'
        for s in sections
    )
    body = "".join(
        f'<section id="{s.anchor}"><h2>{escape(s.title)}</h2>{s.inner}</section>' for s in sections
    )
    # A number and its per-cent sign stay on one line, and so does the temperature of a judge.
    top, body, lead = (
        re.sub(r"(?<=, t) (?=\d)", "\u00a0", text.replace(" %", "\u00a0%"))
        for text in (top, body, lead)
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head>"
        f"<body><header><div><h1>{escape(title)}</h1>"
        f'<p class="lead">{escape(lead)}</p></div></header>'
        f"<nav><div>{links}</div></nav><main>{top}{body}<footer>{foot}</footer></main>"
        "</body></html>\n"
    )
