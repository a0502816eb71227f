"""What depends on the members, in the report."""

from collections.abc import Mapping

from ferjax.evaluation.intervals import Interval
from ferjax.evaluation.results import EnsembleSize, Evaluation
from ferjax.report import html
from ferjax.report.html import Section

__all__ = ["members"]

_FIGURES = {
    "accuracy": "accuracy",
    "nll": "NLL of the votes",
    "spearman": "ρ(aleatoric, δ)",
    "shift_auroc": "shift AUROC of epistemic",
    "routing_auc": "routing area of epistemic at the highest severity",
    "rank_correlation": "ρ(aleatoric, epistemic)",
    "mean_epistemic": "mean epistemic (nats)",
    "mean_epistemic_corrected": "the same, as of endlessly many members",
}
_FORMS = {
    "variance_epistemic": "variance form, epistemic",
    "variance_aleatoric": "variance form, aleatoric",
    "jackknife_epistemic": "epistemic, jackknifed",
}


def members(e: Evaluation, figures: Mapping[str, str]) -> Section:
    """Number of members, jackknife, other forms of the uncertainties, and contributions."""
    size = e.ensemble_size
    parts = [
        html.paragraph(
            "Every sub-ensemble of each size (a random sample where there are too many), not just "
            "the first members: mean, and range. A smaller ensemble sees less contradiction than "
            "there is: times K / (K − 1), of K members, undoes that on average."
        ),
        html.figure(
            figures.get("sensitivity"),
            "Headline figures against the number of members",
            broad=True,
        ),
        html.details("In numbers", _sizes(size)),
    ]
    if size.jackknife:
        parts += _jackknife(size)
    forms = [(_FORMS.get(n, n), r.spearman, r.shift_auroc) for n, r in size.forms.items()]
    parts += [
        "<h3>Forms other than the entropy split</h3>",
        html.table(("form", "ρ with δ", "shift AUROC"), forms),
        "<h3>Which classes it comes from</h3>",
        html.figure(
            figures.get("contributions"),
            "Contribution of each class to both uncertainties",
            broad=True,
        ),
        html.details("In numbers", _contributions(size)),
    ]
    return html.section("members", "What depends on the members", *parts)


def _sizes(size: EnsembleSize) -> str:
    known = {n for row in size.sizes.values() for n in row.figures}
    shown = [name for name in _FIGURES if name in known]
    rows = []
    for k, row in size.sizes.items():
        found = [row.figures.get(name) for name in shown]
        cells = [None if s is None else Interval(s.mean, s.low, s.high) for s in found]
        rows.append((k, row.subsets, *cells))
    return html.table(("members K", "subsets", *(_FIGURES[n] for n in shown)), rows, most_columns=9)


def _jackknife(size: EnsembleSize) -> list[str]:
    rows = [
        (title, size.jackknife[name].value, size.jackknife[name].standard_error)
        for name, title in _FIGURES.items()
        if name in size.jackknife
    ]
    items = [(part, of.value, of.standard_error) for part, of in size.mean_item.items()]
    return [
        "<div class=pair>",
        html.table(
            ("figure", "value", "± over members"),
            rows,
            caption="how much it depends on which members were trained (jackknife: each left out "
            "once)",
        ),
        html.table(("mean item", "nats, bias-corrected", "± over members"), items),
        "</div>",
    ]


def _contributions(size: EnsembleSize) -> str:
    head = ["class", "share of votes", "aleatoric", "epistemic"]
    head += ["aleatoric, corrupted", "epistemic, corrupted"]
    rows = [
        (n, c.votes, c.aleatoric, c.epistemic, c.aleatoric_corrupted, c.epistemic_corrupted)
        for n, c in size.contributions.items()
    ]
    return html.table(head, rows, digits=4)
