"""The tables of an evaluation for a terminal: the few that decide; the rest is in the report."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ferjax.evaluation.intervals import Interval
from ferjax.evaluation.results import Evaluation
from ferjax.evaluation.scores import label
from ferjax.report.conclusions import Conclusion

__all__ = ["show"]

_TONES = {
    "good": ("good     ", "green"),
    "bad": ("caution  ", "yellow"),
    "note": ("note     ", "blue"),
}


def _range(figure: Interval) -> str:
    if not figure.defined:
        return "–"
    return f"{figure.value:.3f} ({figure.low:.3f}–{figure.high:.3f})"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def show(e: Evaluation, conclusions: Sequence[Conclusion], console: Console) -> None:
    """Prints what decides, and the conclusions."""

    def line(text: str) -> None:
        console.print(text)

    q = e.quality
    line(
        f"{q.items} test items, {e.members} member{'s' * (e.members > 1)}: accuracy "
        f"{q.accuracy.value:.3f} (members {min(q.member_accuracy):.3f}–"
        f"{max(q.member_accuracy):.3f}, majority class {q.majority_class:.3f}), NLL "
        f"{q.nll.value:.3f}, ECE {q.ece.value:.3f}, vote accuracy {q.vote_accuracy.value:.3f}"
    )
    console.print(_both_questions(e))
    line(
        "rank correlation of aleatoric and epistemic on clean items: "
        f"{_range(e.disagreement.rank_correlation)}"
    )
    if e.shift.corruptions:
        console.print(_corruptions(e))
    for name, found in e.shift.ood.items():
        areas = [f"{part} {_range(found.scores[part].auroc)}" for part in ("epistemic", "total")]
        line(f"{name}: {found.items} items, AUROC against clean items: {', '.join(areas)}")
    for name, of in e.shift.labelled.items():
        line(
            f"{name}: {of.items} labelled items, accuracy {_range(of.accuracy)}, "
            f"NLL {_range(of.nll)}"
        )
    if e.matched:
        console.print(_matched(e))
    if e.thresholds is not None:
        rule = e.thresholds.routers["uar"].rule
        d = e.decisions["test"]
        line(
            f"thresholds from {e.thresholds.valid_items} valid items: reject above epistemic "
            f"{rule.reject_above:.4f}, defer above aleatoric {rule.defer_above:.4f}\n"
            f"clean test items: accept {d.shares['accept']:.1%} (accuracy "
            f"{d.accuracy['accept']:.3f}), defer {d.shares['defer']:.1%}, reject "
            f"{d.shares['reject']:.1%}; ambiguous ones: reject {d.ambiguous['reject']:.1%}"
        )
    for conclusion in conclusions:
        console.print(Text.assemble(_TONES[conclusion.tone], conclusion.text))


def _both_questions(e: Evaluation) -> Table:
    d = e.disagreement
    severity = e.shift.severity
    columns = ["score", "ρ with human disagreement δ"]
    columns += ["ρ with true entropy"] if d.truth_known else []
    columns += ["AUROC ambiguous vs clear"]
    columns += [f"AUROC shift, severity {severity}"] if severity else []
    table = _table(
        "does it follow disagreement, does it follow shift?  "
        f"(ceiling of ρ with δ: {d.ceiling.value:.2f})",
        *columns,
    )
    for name, row in d.scores.items():
        figures = [row.spearman]
        figures += [row.spearman_true_entropy] if d.truth_known else []
        figures += [row.auroc_ambiguous]
        figures += [e.shift.at_worst(name)] if severity else []
        table.add_row(label(name), *map(_range, figures))
    return table


def _corruptions(e: Evaluation) -> Table:
    curve = e.shift.curve["epistemic"]
    table = _table(
        "AUROC of epistemic, clean against corrupted",
        "corruption",
        *(f"severity {s}" for s in curve),
    )
    for name, of in e.shift.corruptions.items():
        cells = [f"{of[s]['epistemic'].auroc.value:.3f}" if s in of else "" for s in curve]
        table.add_row(name, *cells)
    table.add_section()
    table.add_row("mean", *(f"{area.value:.3f}" for area in curve.values()))
    return table


def _matched(e: Evaluation) -> Table:
    rejections = list(e.matched["random"].retention)
    table = _table(
        "ambiguous clean items kept, at matched rejection of corrupted items",
        "reject score",
        "area",
        *(f"at {float(r):.0%}" for r in rejections),
        "× single at 80%",
    )
    for name, row in e.matched.items():
        ratio = row.ratio["0.8"]
        table.add_row(
            label(name),
            f"{row.auc.value:.3f}",
            *(f"{row.retention[r].value:.3f}" for r in rejections),
            f"{ratio.value:.2f}" if ratio.defined else "–",
        )
    return table
