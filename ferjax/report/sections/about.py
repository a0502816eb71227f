"""What was evaluated, examples of it, the paper's figures beside, and how the report was made."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ferjax.config import BASE_CORRUPTIONS
from ferjax.evaluation.intervals import Interval
from ferjax.evaluation.results import Evaluation
from ferjax.report import html
from ferjax.report.examples import ExampleGroup
from ferjax.report.html import Section
from ferjax.report.words import percent

__all__ = ["data", "faces", "how", "paper"]


def data(e: Evaluation, about: Mapping[str, Any]) -> Section:
    """Counts of what was evaluated."""
    d = e.disagreement
    severities = next(iter(e.shift.curve.values()), {})
    by = "item"
    if e.groups is not None:
        by = f"group of identical pictures ({e.groups:,} groups)"
    rows: list[tuple[str, Any]] = [
        ("clean test items", d.items),
        ("of these ambiguous (vote entropy in the upper third)", d.ambiguous),
        ("of these clear (lower third)", d.clear),
        ("items with unanimous votes", percent(d.unanimous, 1)),
        ("share of the most frequent class", percent(e.quality.majority_class, 1)),
        ("ensemble members", e.members),
        ("corruptions × severities", f"{len(e.shift.corruptions)} × {len(severities)}"),
    ]
    rows += [(f"other set: {n.replace('_', ' ')}", of.items) for n, of in e.shift.ood.items()]
    rows += [("bootstrap resamples", e.resamples), ("resampled by", by)]
    rows += [(str(name), value) for name, value in about.get("data", {}).items()]
    parts = [html.table(("what", "count"), rows)]
    for title, inner in about.get("files", {}).items():
        parts.append(html.details(title, html.table(("", ""), inner, texts=True)))
    return html.section("data", "What was evaluated", *parts)


def faces(groups: Sequence[ExampleGroup]) -> str:
    """Example items and what the router does with them; nothing where there are no pictures."""
    if not groups:
        return ""
    inner = []
    for group in groups:
        shown = "".join(f'<div><img src="{x.uri}" alt="">{x.text}</div>' for x in group.examples)
        kind = f" {group.action}" if group.action else ""
        inner.append(
            f'<div class="group{kind}"><h3>{html.escape(group.title)}</h3>'
            f"<div class=faces>{shown}</div></div>"
        )
    return f"<h2>What it does with some of them</h2>{''.join(inner)}"


def paper(e: Evaluation, about: Mapping[str, Any]) -> list[Section]:
    """The paper's headline figures, and the same figures here; none but of its own data: FER+
    faces under its label filter."""
    of_data = (about.get("config") or {}).get("data", {})
    if (of_data.get("name"), of_data.get("policy")) != ("ferplus", "paper"):
        return []
    corruptions = e.shift.corruptions
    five = [
        corruptions[name][5]["epistemic"].auroc.value
        for name in BASE_CORRUPTIONS
        if 5 in corruptions.get(name, {})
    ]
    mean = Interval.undefined()
    if len(five) == len(BASE_CORRUPTIONS):
        mean = Interval.exact(sum(five) / len(five))
        if set(corruptions) == set(BASE_CORRUPTIONS):  # the curve is that mean, with its interval
            mean = e.shift.curve["epistemic"][5]
    routing = e.matched.get("epistemic")
    undefined = Interval.undefined()
    rows = [
        (
            "ρ(aleatoric, human disagreement), FER+ test",
            e.disagreement.scores["aleatoric"].spearman,
            "0.66 (0.64 – 0.68)",
        ),
        ("mean AUROC of epistemic, severity 5, five base corruptions", mean, "0.699"),
        (
            "routing area (a random router has 0.500)",
            undefined if routing is None else routing.auc,
            "0.424",
        ),
        (
            "ambiguous faces kept at 80 % rejection, against routing by one member's 1 − max p",
            undefined if routing is None else routing.ratio["0.8"],
            "about 1.8 ×",
        ),
    ]
    made = html.section(
        "paper",
        "Beside the paper",
        html.table(("figure", "here", "arXiv 2606.22725"), rows),
        html.paragraph(
            "The paper's figures are of the same faces under the same label filter, with five "
            "fine-tuned ViT-B/14. Another split, other models or other corruptions are not "
            "expected to reproduce them; its headline routing area lies below a random router's."
        ),
    )
    return [made]


def how(about: Mapping[str, Any]) -> Section:
    """Versions, seed and configuration."""
    known = {**about.get("versions", {})}
    known |= {name: about.get(name) for name in ("seed", "command")}
    rows = [(name, str(value)) for name, value in known.items() if value is not None]
    config = about.get("config")
    folded = ""
    if config:
        text = html.escape(json.dumps(config, indent=2))
        folded = html.details("Configuration", f"<pre>{text}</pre>")
    return html.section("how", "How this was made", html.table(("", ""), rows), folded)
