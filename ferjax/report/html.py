"""One HTML file that opens from disk, on a phone, and on paper: building blocks, and the page
around them.

Everything is inside the file (styles, pictures as ``data:`` addresses); nothing is fetched and no
script runs.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

__all__ = ["cell", "details", "escape", "figure", "page", "section", "table"]

_STYLE = """
:root{--ink:#1d2430;--soft:#5b6675;--line:#dfe4ea;--paper:#fff;--wash:#f5f7f9;--good:#2a7f62;--bad:#b3261e;--note:#3b5b92}
*{box-sizing:border-box}html{-webkit-text-size-adjust:100%;scroll-padding-top:3.2rem}
body{margin:0;color:var(--ink);background:var(--paper);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main,header>div,nav>div{max-width:66rem;margin:0 auto;padding:0 1.1rem}
header{background:var(--wash);border-bottom:1px solid var(--line);padding:1.6rem 0 1.3rem}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 .3rem}h2{font-size:1.28rem;margin:2.6rem 0 .5rem;padding-top:.2rem}
h3{font-size:1.02rem;margin:1.6rem 0 .3rem}p{margin:.4rem 0 .8rem;max-width:48rem}.lead{color:var(--soft);margin:0}
nav{position:sticky;top:0;z-index:1;background:rgba(255,255,255,.96);border-bottom:1px solid var(--line)}
nav>div{display:flex;gap:1.25rem;overflow-x:auto;white-space:nowrap;padding-top:.55rem;padding-bottom:.55rem;font-size:.88rem}
a{color:var(--note);text-decoration:none}a:hover{text-decoration:underline}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.6rem,1fr));gap:.7rem;margin:1.3rem 0 .4rem}
.card{border:1px solid var(--line);border-radius:.55rem;padding:.65rem .8rem;background:var(--paper)}
.card b{display:block;font-size:1.5rem;line-height:1.25;font-variant-numeric:tabular-nums}
.card span{display:block;font-size:.83rem;color:var(--soft)}.card i{font-style:normal;font-size:.8rem;color:var(--soft)}
ul.findings{list-style:none;margin:.8rem 0;padding:0;max-width:52rem}
ul.findings li{border-left:.28rem solid var(--note);background:var(--wash);margin:.4rem 0;padding:.45rem .8rem;border-radius:0 .35rem .35rem 0}
ul.findings li.good{border-color:var(--good)}ul.findings li.bad{border-color:var(--bad)}
ul.findings li b{font-size:.74rem;text-transform:uppercase;letter-spacing:.05em;margin-right:.5em;color:var(--note)}
ul.findings li.good b{color:var(--good)}ul.findings li.bad b{color:var(--bad)}
.wide{overflow-x:auto;margin:.6rem 0 1rem}table{border-collapse:collapse;font-size:.89rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--soft);font-size:.85rem;padding-bottom:.3rem}
th,td{padding:.32rem .75rem .32rem 0;text-align:right;border-bottom:1px solid var(--line);vertical-align:baseline}
th:first-child,td:first-child{text-align:left;padding-right:1.2rem}th{font-weight:600;vertical-align:bottom}
td small{display:block;color:var(--soft);font-size:.78em;white-space:nowrap}tr.main td{font-weight:600}tr.main td small{font-weight:400}
figure{margin:.8rem 0 1.2rem}figure img{max-width:100%;height:auto;display:block}figcaption{font-size:.85rem;color:var(--soft);max-width:46rem}
.pair{display:flex;flex-wrap:wrap;gap:.4rem 2rem;align-items:flex-start}.pair>*{min-width:0}
.pair figure{width:27rem}.pair>div:not(.wide){flex:1 1 20rem}
details{margin:.6rem 0 1rem;border:1px solid var(--line);border-radius:.45rem;padding:.45rem .8rem}
summary{cursor:pointer;font-weight:600;font-size:.92rem}
pre{overflow-x:auto;background:var(--wash);padding:.7rem;border-radius:.4rem;font-size:.8rem;line-height:1.4}
.faces{display:grid;grid-template-columns:repeat(auto-fill,minmax(7.4rem,1fr));gap:.8rem;margin:.5rem 0 1.2rem}
.faces div{font-size:.76rem;line-height:1.35;color:var(--soft)}.faces b{color:var(--ink)}
.faces img{width:100%;aspect-ratio:1;object-fit:cover;image-rendering:pixelated;border-radius:.3rem;display:block;margin-bottom:.25rem}
footer{margin:3rem 0 2rem;color:var(--soft);font-size:.84rem}
@media(max-width:34rem){body{font-size:15px}h1{font-size:1.35rem}.cards{grid-template-columns:1fr 1fr}
.faces{grid-template-columns:repeat(3,1fr);gap:.55rem}
th,td{padding-right:.6rem}}
@media print{nav{display:none}body{font-size:10.5pt}main{max-width:none}h2{break-after:avoid}
figure,table,.card,.faces div,li{break-inside:avoid}
.wide{overflow:visible}table{font-size:8.2pt}header{background:none}details{border:0;padding:0}}
"""


def cell(value: Any, digits: int = 3) -> str:
    """A number, or one with its interval below it; "–" where it is not defined."""
    if isinstance(value, Mapping) and "value" in value:
        inner = cell(value["value"], digits)
        if inner == "–" or not _number(value.get("low")) or not _number(value.get("high")):
            return inner
        return f"{inner}<small>{_minus(value['low'], digits)} – {_minus(value['high'], digits)}</small>"
    if isinstance(value, float):
        return _minus(value, digits) if _number(value) else "–"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "–" if value is None else escape(str(value))


def _minus(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and value == value and abs(value) != float("inf")


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    caption: str = "",
    main: Sequence[str] = (),
    digits: int = 3,
) -> str:
    """A table that scrolls sideways where the screen is narrow; rows whose first cell is in
    ``main`` are set bold."""
    body = "".join(
        f"<tr{' class=main' if row[0] in main else ''}>{''.join(f'<td>{cell(value, digits)}</td>' for value in row)}</tr>"
        for row in rows
    )
    top = "".join(f"<th scope=col>{escape(name)}</th>" for name in head)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<div class=wide><table>{title}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def figure(uri: str, alt: str, caption: str = "") -> str:
    """A picture with its words."""
    return f'<figure><img src="{uri}" alt="{escape(alt, quote=True)}"><figcaption>{escape(caption)}</figcaption></figure>'


def details(summary: str, inner: str) -> str:
    """Something folded away until asked for."""
    return f"<details><summary>{escape(summary)}</summary>{inner}</details>"


def section(anchor: str, title: str, *inner: str) -> tuple[str, str, str]:
    """A section for :func:`page`: its anchor, its title, its HTML."""
    return anchor, title, "".join(inner)


def page(
    title: str, lead: str, top: str, sections: Sequence[tuple[str, str, str]], foot: str
) -> str:
    """The whole document."""
    links = "".join(
        f'<a href="#{anchor}">{anchor.replace("-", " ")}</a>' for anchor, _, _ in sections
    )
    body = "".join(
        f'<section id="{anchor}"><h2>{escape(name)}</h2>{inner}</section>'
        for anchor, name, inner in sections
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><header><div><h1>{escape(title)}</h1>"
        f'<p class="lead">{escape(lead)}</p></div></header><nav><div>{links}</div></nav><main>{top}{body}'
        f"<footer>{foot}</footer></main></body></html>\n"
    )
