"""Whether rejection follows harm, in the report: harmless changes, corruptions, other sets."""

from ferjax.evaluation.results import Evaluation
from ferjax.evaluation.routing_results import Harm, HarmRow
from ferjax.evaluation.scores import label
from ferjax.report import html
from ferjax.report.html import Section
from ferjax.report.words import percent

__all__ = ["harm"]

TITLES = {
    "clean": "Clean items",
    "tolerance": "Harmless changes: what a router must not mind",
    "corruption": "Corruptions",
    "other set": "Other sets with labels",
}


def harm(e: Evaluation) -> list[Section]:
    """The section; none where no thresholds were chosen."""
    found = e.harm
    if found is None:
        return []
    parts = [
        html.paragraph(
            f"A condition is harmful where accuracy falls by more than {percent(found.margin)} "
            "below that of clean items. Excess: items rejected although the answer was right. "
            "Missed: items of a harmful condition that were kept."
        )
    ]
    if found.area:
        areas = [(label(name), area) for name, area in found.area.items()]
        parts.append(
            html.table(
                ("reject score", "area"),
                areas,
                caption="area under (items of harmful conditions rejected; items under harmless "
                "changes, and clean ambiguous items, kept); 0.5 is chance",
            )
        )
    for kind, title in TITLES.items():
        rows = {name: row for name, row in found.conditions.items() if row.kind == kind}
        if not rows:
            continue
        made = _table(found, rows)
        if len(rows) > 12:
            made = html.details(f"All {len(rows)} of them", made)
        parts += [f"<h3>{html.escape(title)}</h3>", made]
    return [html.section("harm", "Does rejection follow harm?", *parts)]


def _table(found: Harm, rows: dict[str, HarmRow]) -> str:
    """A table for each router."""
    head = ["condition", "accuracy", "harmful", "rejected"]
    head += ["accuracy kept", "accuracy rejected", "excess", "missed"]
    tables = []
    for router in next(iter(found.conditions.values())).rejected:
        cells = [
            (
                name.removeprefix("tolerance_").replace("_", " "),
                row.accuracy,
                "yes" if row.harmful else "no",
                percent(row.rejected[router], 1),
                row.accuracy_kept[router],
                row.accuracy_rejected[router],
                percent(row.excess[router], 1),
                percent(row.missed[router], 1) if row.harmful else "–",
            )
            for name, row in rows.items()
        ]
        tables.append(html.table(head, cells, caption=f"router {router}"))
    return "".join(tables)
