"""Does it follow shift? And both questions side by side: sections of the report."""

from collections.abc import Mapping

from ferjax.evaluation.results import Cell, Evaluation, LabelledSet, Quality
from ferjax.evaluation.scores import label
from ferjax.report import html
from ferjax.report.html import Section

__all__ = ["both_questions", "shift"]


def shift(e: Evaluation, figures: Mapping[str, str]) -> Section:
    """Corrupted copies, out-of-distribution sets, labelled sets, and distances."""
    parts = [
        *(_corruptions(e, figures) if e.shift.severity is not None else []),
        *(_ood(e) if e.shift.ood else []),
        *(_labelled(e) if e.shift.labelled else []),
        *(_distance(e) if e.shift.distance.sets else []),
    ]
    if not parts:
        parts = [html.paragraph("No corrupted copies and no other sets were given.")]
    return html.section("shift", "Does it follow shift?", *parts)


def _corruptions(e: Evaluation, figures: Mapping[str, str]) -> list[str]:
    s = e.shift
    curve = s.curve["epistemic"]
    rows = [
        (name, *(of[k]["epistemic"].auroc if k in of else None for k in curve))
        for name, of in s.corruptions.items()
    ]
    rows.append(("mean", *curve.values()))
    return [
        html.paragraph(
            "The same test items, clean against corrupted. AUROC 0.5 means the score sees no "
            "difference; below 0.5 it takes the corrupted items for the more ordinary ones."
        ),
        html.figure(
            figures.get("severity"),
            "Mean shift AUROC of every score against severity",
            "Unweighted mean over corruptions, with 95 % bands (items resampled, pairs kept "
            "together).",
        ),
        html.table(
            ("corruption", *(f"severity {k}" for k in curve)),
            rows,
            main=("mean",),
            caption="AUROC of epistemic uncertainty",
        ),
        html.figure(
            figures.get("corruptions"),
            "Shift AUROC of both uncertainties for each corruption",
            "Each corruption on its own, 95 % bands.",
            broad=True,
        ),
        html.table(
            ("severity", "accuracy", "ECE", "total", "aleatoric", "epistemic"),
            [
                (k or "clean", of.accuracy, of.ece, of.total, of.aleatoric, of.epistemic)
                for k, of in s.severities.items()
            ],
            caption="predictions and mean uncertainties (nats), means over corruptions",
        ),
        html.details(
            "How much better epistemic sees it than a single network's 1 − max p, by corruption",
            html.table(
                ("corruption", *(f"severity {k}" for k in curve)),
                [
                    (name, *(of.get(k) for k in curve))
                    for name, of in s.epistemic_minus_single.items()
                ],
                caption="paired difference of the AUROC",
            ),
        ),
        html.details(
            "All scores",
            html.paragraph(
                "AUROC by severity; at the highest also AUPR, the area under precision and recall "
                "of the corrupted items, and false alarms, the share of clean items above the "
                "threshold that finds 95 % of the corrupted ones. Their intervals, and all "
                "severities, are in evaluation.csv."
            )
            + "".join(_every_score(name, of) for name, of in s.corruptions.items()),
        ),
    ]


def _every_score(corruption: str, of: Mapping[int, Mapping[str, Cell]]) -> str:
    """Every score under one corruption, a row each, without intervals."""
    severities = sorted(of)
    last = severities[-1]
    head = ("score", *map(str, severities), f"AUPR at {last}", f"false alarms at {last}")
    rows = [
        (
            label(score),
            *(of[k][score].auroc.value if score in of[k] else None for k in severities),
            cell.aupr.value,
            cell.fpr_at_95.value,
        )
        for score, cell in of[last].items()
    ]
    return html.table(head, rows, caption=corruption.replace("_", " "))


def _ood(e: Evaluation) -> list[str]:
    scores = list(e.disagreement.scores)
    sets = e.shift.ood
    head = ("score", *(f"{n.replace('_', ' ')}, {of.items:,} items" for n, of in sets.items()))
    parts = ["<h3>Out-of-distribution sets</h3>"]
    for part, title in {"auroc": "AUROC", "aupr": "AUPR", "fpr_at_95": "FPR@95"}.items():
        rows = [
            (label(s), *(getattr(of.scores.get(s), part, None) for of in sets.values()))
            for s in scores
        ]
        made = html.table(head, rows, caption=f"{title} against the clean test items")
        parts.append(made if part == "auroc" else html.details(f"The same as {title}", made))
    return parts


def _labelled(e: Evaluation) -> list[str]:
    sets: dict[str, LabelledSet | Quality] = {**e.shift.labelled, "clean test items": e.quality}
    rows = [
        (
            n.replace("_", " "),
            *(of.items, of.accuracy, of.balanced_accuracy, of.vote_accuracy, of.nll, of.ece),
        )
        for n, of in sets.items()
    ]
    head = ("set", "items", "accuracy", "balanced accuracy", "vote accuracy", "NLL", "ECE")
    classes = list(e.quality.recall)
    recalls = [
        (n.replace("_", " "), *(of.recall[c].recall for c in classes)) for n, of in sets.items()
    ]
    return [
        "<h3>Cross-dataset test</h3>",
        html.table(head, rows),
        html.table(("set", *classes), recalls, caption="recall of each class"),
    ]


def _distance(e: Evaluation) -> list[str]:
    d = e.shift.distance
    rows = [
        (n.replace("_", " "), of.mmd2, of.p_value, f"{of.clean_items} / {of.set_items}")
        for n, of in d.sets.items()
    ]
    return [
        "<h3>How far away are they?</h3>",
        html.paragraph(
            "Squared maximum mean discrepancy between clean test items and each set, RBF kernel at "
            f"the median distance, in the space of {d.space.replace('_', ' ')}; the p-value is "
            f"exact by {d.permutations} permutations. Corrupted copies are compared with other "
            "clean items, not with their own originals."
        ),
        html.table(("set", "MMD²", "p", "items, clean / set"), rows, digits=4),
    ]


def both_questions(e: Evaluation, figures: Mapping[str, str]) -> Section:
    """Every score by how well it follows disagreement and shift."""
    own = e.disagreement.rank_correlation
    severity = e.shift.severity
    rows = []
    for name, row in e.disagreement.scores.items():
        minus = e.shift.epistemic_minus.get(name, {}).get(severity) if severity else None
        rows.append((label(name), row.spearman, e.shift.at_worst(name), minus))
    head = (
        "score",
        "disagreement: ρ with δ",
        f"shift: AUROC at severity {severity}",
        "epistemic is better by",
    )
    return html.section(
        "both-questions",
        "Both questions, every score",
        html.paragraph(
            "A claim that aleatoric means ambiguity and epistemic means shift holds only if each "
            "follows its own target better than the other does, and better than scores that need "
            "no decomposition. The last column is paired: how much better epistemic sees shift "
            "than the score in that row. The two uncertainties' own rank correlation on clean "
            f"items is {own.value:.2f} ({own.low:.2f} – {own.high:.2f})."
        ),
        html.table(head, rows, main=(label("aleatoric"), label("epistemic"))),
        html.figure(
            figures.get("cross"),
            "Every score by how well it follows disagreement and shift",
            "To the right: follows disagreement. Up: follows shift. Dotted: no relation at all. "
            "Bars are 95 % intervals; gray: the other scores of the table.",
        ),
    )
