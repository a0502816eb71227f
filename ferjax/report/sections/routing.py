"""Routing in the report: thresholds and decisions, reject scores compared, learned routers."""

import math
from collections.abc import Mapping

from ferjax.evaluation.results import Evaluation
from ferjax.evaluation.routing_results import (
    LearnedRouter,
    RouterThresholds,
    RoutingRow,
)
from ferjax.evaluation.scores import label
from ferjax.report import html
from ferjax.report.html import Section
from ferjax.report.words import percent, portion
from ferjax.routing import ACTIONS

__all__ = ["plane", "routing"]

_POOLS = {
    "base": "the paper's five corruptions",
    "all": "all corruptions",
    "broad": "the corruptions beyond the paper's five",
    "never fitted": "the corruptions that no learned score was fitted on",
}
"""Pool of corrupted copies -> what is in it."""


def routing(e: Evaluation, figures: Mapping[str, str]) -> Section:
    """Everything about accepting, deferring and rejecting."""
    parts = _thresholds(e)
    for number, (name, rows) in enumerate(e.pools.items()):
        made = "".join(_matched(rows))
        if number:
            title = f"The same against {_POOLS.get(name, f'the corruptions {name}')}"
            parts.append(html.details(title, made))
            continue
        parts += [
            "<h3>Reject scores at matched rejection</h3>",
            html.paragraph(
                "Each score, at the threshold that removes 70, 80 or 90 % of the corrupted items "
                f"(here of {_POOLS.get(name, name)}): the share of ambiguous clean items that "
                "survives. The area under that curve is 0.5 for a random router, which is always "
                "in the table. Against one network: how many times the share that is kept where a "
                "single network's 1 − max p rejects instead. Lowest: the area for the corruption "
                "that the score serves worst."
            ),
            made,
        ]
    parts.append(
        html.figure(figures.get("routing"), "Ambiguous items kept against corrupted items rejected")
    )
    parts += _rejections(e)
    parts += [
        html.details(f"How the {label(name)} was learned", _learned(of))
        for name, of in e.learned.items()
    ]
    return html.section("routing", "Routing: accept, defer, reject", *parts)


def plane(e: Evaluation, figures: Mapping[str, str]) -> str:
    """Every item by what the router reads of it, for the top of the page."""
    words = "Every dot is an item: to the right more ambiguous, upwards more unlike what was seen."
    if e.thresholds is not None:
        words += " Lines are the thresholds: right of the one, deferred; above the other, rejected."
    title = "Items in the plane of the two scores that the router reads"
    return html.figure(figures.get("plane"), title, words, broad=True)


def _thresholds(e: Evaluation) -> list[str]:
    t = e.thresholds
    if t is None:
        return [
            html.paragraph(
                "No valid split was given, so no thresholds were chosen; what follows compares "
                "scores at matched rejection."
            )
        ]
    rule = t.rule
    reject, defer = (html.cell(float(x), 4) for x in (rule.reject_above, rule.defer_above))
    rows = [
        (
            name,
            *(percent(d.shares[action], 1) for action in ACTIONS),
            d.accuracy.get("accept"),
            d.vote_accuracy.get("accept"),
        )
        for name, d in e.decisions.items()
    ]
    head = ("condition", *ACTIONS, "accuracy of accepted", "people agree with accepted")
    made = html.table(head, rows)
    if len(rows) > 8:
        made = html.details(f"What happens to each of {len(rows)} conditions", made)
    return [
        html.paragraph(
            f"Thresholds were chosen on {t.valid_items:,} valid items and nowhere else. The router "
            f"{t.default}, which decides where none is named: reject above {label(rule.reject)} "
            f"{reject} (bounds the false rejection of clean items at "
            f"{percent(t.false_rejection)}), else defer above {label(rule.defer)} {defer} nats "
            f"({portion(t.defer_share)} of the valid items, by design), else accept."
        ),
        html.details("Every router's thresholds and certificate", _routers(t.routers, e.classes)),
        made,
    ]


def _routers(routers: Mapping[str, RouterThresholds], classes: tuple[str, ...]) -> str:
    rows = []
    for name, of in routers.items():
        c = of.certificate
        promise = "–"
        if c is not None:
            promise = c.refused or (
                f"{label(of.rule.defer)} up to {c.above:.4f}: error at most "
                f"{percent(c.accept_error)} with {percent(c.confidence)} confidence; of valid "
                f"{percent(c.accepted, 1)} accepted, error {percent(c.error, 1)}"
            )
        reject = f"{label(of.rule.reject)} above {float(of.rule.reject_above):.4g}"
        defer = f"{label(of.rule.defer)} above {float(of.rule.defer_above):.4g}"
        rows.append((name, reject, defer, promise))
    groups = dict.fromkeys(group for of in routers.values() for group in of.by_tolerance)
    by_group = [
        (
            group.replace("_", " "),
            *(float(of.by_tolerance.get(group, math.nan)) for of in routers.values()),
        )
        for group in groups
    ]
    by_class = [
        (label(of.rule.reject), *(float(above) for above in of.by_class)) for of in routers.values()
    ]
    return (
        html.paragraph(
            "Certificate: the largest threshold of the defer score at which the error among "
            "accepted items is proven on valid, should a bound on errors be wanted in place of a "
            "share of deferred items. No router here uses it; ferjax adapt does."
        )
        + html.table(("router", "reject", "else defer", "certificate"), rows, texts=True)
        + html.table(
            ("reject score", *classes),
            by_class,
            caption="the reject threshold each predicted class would need for the same promise",
        )
        + html.table(
            ("group", *(label(of.rule.reject) for of in routers.values())),
            by_group,
            caption="the reject threshold each group needs for the promise: clean items, "
            "tolerances, accepted sets; the largest is taken",
        )
    )


def _matched(rows: Mapping[str, RoutingRow]) -> list[str]:
    rejections = list(rows["random"].retention)
    head = ["reject score", "area", *(f"kept at {percent(float(r))}" for r in rejections)]
    head += ["at 80 %, against one network", "lowest"]
    cells = [
        (label(n), r.auc, *(r.retention[k] for k in rejections), r.ratio["0.8"], r.lowest)
        for n, r in rows.items()
    ]
    corruptions = list(rows["random"].corruptions)
    by_corruption = [(label(n), *(r.corruptions[c] for c in corruptions)) for n, r in rows.items()]
    others = [
        (label(n), r.minus_single, *(r.clean_retention[k] for k in rejections))
        for n, r in rows.items()
    ]
    beside = ("reject score", "area above one network's", *head[2 : 2 + len(rejections)])
    return [
        html.table(head, cells, main=(label("epistemic"),)),
        html.details(
            "Against a single network's 1 − max p, and all clean items in place of the ambiguous",
            html.table(
                beside,
                others,
                caption="paired difference of the areas; share of all clean items kept",
            ),
        ),
        html.details("By corruption", html.table(("reject score", *corruptions), by_corruption)),
    ]


def _rejections(e: Evaluation) -> list[str]:
    """What each score does at its own conformal threshold: how much of every set it rejects, and of
    sets of other items, how good either side is."""
    scores = e.rejections
    sets = list(dict.fromkeys(group for of in scores.values() for group in of))
    if not sets:
        return []
    shares = [
        (label(n), *(percent(of[s].rejected) if s in of else None for s in sets))
        for n, of in scores.items()
    ]
    head = ("reject score", *(s.removeprefix("tolerance_").replace("_", " ") for s in sets))
    parts = [html.table(head, shares, caption="rejected")]
    head = ("reject score", "accuracy kept", "accuracy rejected")
    head += ("people disagree, kept", "people disagree, rejected")
    copies = {*e.shift.corruptions, *(s for s in sets if s.startswith("tolerance_"))}
    for name in (s for s in sets if s not in copies):
        rows = [
            (
                label(n),
                *(of[name].accuracy_kept, of[name].accuracy_rejected),
                *(of[name].vote_error_kept, of[name].vote_error_rejected),
            )
            for n, of in scores.items()
            if name in of
        ]
        parts.append(html.table(head, rows, caption=name.replace("_", " ")))
    title = f"Each score at its own conformal threshold, on each of {len(sets)} sets"
    words = html.paragraph("How good either side of copies is stands in evaluation.csv.")
    return [html.details(title, words + "".join(parts))]


def _learned(of: LearnedRouter) -> str:
    severities = sorted({s for row in of.auroc.values() for s in row})
    rows = [(name, *(row.get(s) for s in severities)) for name, row in of.auroc.items()]
    return (
        html.paragraph(f"Fitted on valid items under {', '.join(of.fitted)}.")
        + html.table(
            ("corruption", *(f"severity {s}" for s in severities)),
            rows,
            caption="shift AUROC of a router fitted without that corruption",
        )
        + html.table(("feature", "weight"), list(of.weights.items()))
    )
