"""The tables of an evaluation for a terminal: the few that decide, the rest is in the report."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ferjax.evaluation.intervals import plain
from ferjax.report.plots import label

__all__ = ["show"]

_TONES = {
    "good": ("good     ", "green"),
    "bad": ("caution  ", "yellow"),
    "note": ("note     ", "blue"),
}


def _range(e: Any) -> str:
    if e is None or plain(e) is None:
        return "–"
    return (
        f"{e['value']:.3f} ({e['low']:.3f}–{e['high']:.3f})"
        if isinstance(e, Mapping)
        else f"{e:.3f}"
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def show(tables: Mapping, console: Console) -> None:
    """Prints the tables of :func:`ferjax.report.write.evaluate`."""
    c = tables["classification"]
    v1 = tables["v1"]
    v2 = tables["v2"]
    severity = tables["shift_severity"]
    console.print(
        f"{c['faces']} test faces, {tables['members']} member{'s' * (tables['members'] > 1)}: accuracy {plain(c['accuracy']):.3f} (members "
        f"{min(c['member_accuracy']):.3f}–{max(c['member_accuracy']):.3f}, majority class {c['majority_class']:.3f}), "
        f"NLL {plain(c['nll']):.3f}, ECE {plain(c['ece']):.3f}, vote accuracy {plain(c['vote_accuracy']):.3f}",
        highlight=False,
    )

    truth = "spearman_true_entropy" in next(iter(v1["scores"].values()))
    table = _table(
        f"does it follow disagreement, does it follow shift?  (ceiling of ρ with δ: {plain(v1['ceiling']):.2f})",
        "score",
        "ρ with human disagreement δ",
        *(["ρ with true entropy"] if truth else []),
        "AUROC ambiguous vs clear",
        *([f"AUROC shift, severity {severity}"] if severity else []),
    )
    for name, row in v1["scores"].items():
        table.add_row(
            label(name),
            _range(row["spearman"]),
            *([_range(row["spearman_true_entropy"])] if truth else []),
            _range(row["auroc_ambiguous"]),
            *([_range(v2["curve"].get(name, {}).get(severity))] if severity else []),
        )
    console.print(table)
    console.print(
        f"rank correlation of aleatoric and epistemic on clean faces: {_range(tables['rank_correlation'])}",
        highlight=False,
    )

    if v2["corruptions"]:
        severities = sorted({s for rows in v2["corruptions"].values() for s in rows})
        table = _table(
            "AUROC of epistemic, clean against corrupted",
            "corruption",
            *(f"severity {s}" for s in severities),
        )
        for name, rows in v2["corruptions"].items():
            table.add_row(
                name,
                *(f"{rows[s]['epistemic']['value']:.3f}" if s in rows else "" for s in severities),
            )
        table.add_section()
        table.add_row("mean", *(f"{plain(v2['curve']['epistemic'][s]):.3f}" for s in severities))
        console.print(table)
    for name, row in v2["natural"].items():
        console.print(
            f"{name}: {row['faces']} pictures, AUROC against clean faces: epistemic {_range(row['epistemic']['auroc'])}, "
            f"total {_range(row['total']['auroc'])}",
            highlight=False,
        )
    for name, row in tables["cross_dataset"].items():
        console.print(
            f"{name}: {row['faces']} labelled faces, accuracy {_range(row['accuracy'])}, NLL {_range(row['nll'])}",
            highlight=False,
        )

    if tables["matched"]:
        rejections = list(next(iter(tables["matched"].values()))["retention"])
        table = _table(
            "ambiguous clean faces kept, at matched rejection of corrupted faces",
            "reject score",
            "area",
            *(f"at {float(r):.0%}" for r in rejections),
            "× single at 80%",
        )
        for name, row in tables["matched"].items():
            ratio = plain((row.get("ratio") or {}).get("0.8"))
            table.add_row(
                "random router" if name == "random" else label(name),
                f"{plain(row['auc']):.3f}",
                *(f"{plain(row['retention'][r]):.3f}" for r in rejections),
                "–" if ratio is None else f"{ratio:.2f}",
            )
        console.print(table)

    if tables["thresholds"]:
        t = tables["thresholds"]
        d = tables["decisions"]["test"]
        console.print(
            f"thresholds from {t['valid_faces']} valid faces: reject above epistemic {t['epistemic']:.4f}, defer above aleatoric "
            f"{t['aleatoric']:.4f}\nclean test faces: accept {d['accept']:.1%} (accuracy {d['accept_accuracy'] or float('nan'):.3f}), "
            f"defer {d['defer']:.1%}, reject {d['reject']:.1%}; ambiguous ones: reject {d['ambiguous']['reject']:.1%}",
            highlight=False,
        )
    for finding in tables["findings"]:
        console.print(Text.assemble(_TONES[finding["tone"]], finding["text"]))
