"""An evaluation on disk and on screen: JSON, pictures, and tables for a terminal."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ferjax.analysis import comparison, plots, validation
from ferjax.analysis import scores as scores_of
from ferjax.predictions import Predictions, write_atomically

__all__ = ["evaluate", "show"]


def _finite(value: Any) -> Any:
    """JSON has no NaN or infinity; an undefined figure becomes null."""
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, value: Any) -> None:
    """Writes JSON in one piece; NaN and infinity become null."""
    write_atomically(path, (json.dumps(_finite(value), indent=1) + "\n").encode())


def evaluate(predictions: Mapping[str, Predictions], folder: Path, *, resamples: int, seed: int, false_rejection: float,
             defer_share: float) -> dict:
    """Validates, chooses thresholds on valid, routes, and leaves everything in a folder.

    Args:
      predictions: condition -> predictions; ``valid`` and ``test`` are needed.
      folder: gets ``evaluation.json``, ``thresholds.json``, ``grid.npz`` and the pictures.
      resamples: bootstrap resamples.
      seed: seed of bootstrap and half splits.
      false_rejection: see :func:`comparison.choose_thresholds`.
      defer_share: likewise.

    Returns:
      The tables, with ``pictures`` naming the files.
    """
    tables = validation.validate(predictions, resamples=resamples, seed=seed)
    thresholds = comparison.choose_thresholds(predictions["valid"], false_rejection=false_rejection, defer_share=defer_share)
    test = predictions["test"]
    shifted = {name: p for name, p in predictions.items() if name not in ("valid", "test")}
    corrupted = [p for p in shifted.values() if p.corruption is not None]
    tables["thresholds"] = thresholds
    tables["decisions"] = comparison.decisions({"test": test, **shifted}, thresholds)
    tables["matched"] = comparison.compare(test, shifted)

    clean = scores_of.from_log_probs(test.log_probs)
    panels = {"clean test faces": clean}
    if corrupted:
        outside = [scores_of.from_log_probs(p.log_probs) for p in corrupted]
        pooled = {name: np.concatenate([np.asarray(o[name]) for o in outside]) for name in clean}
        panels["corrupted, all severities"] = pooled
        np.savez_compressed(folder / "grid.npz", **comparison.threshold_grid(test, shifted))
    for name, p in shifted.items():
        if p.corruption is None:
            panels[name.replace("_", " ")] = scores_of.from_log_probs(p.log_probs)
    points = {title: (np.asarray(s["aleatoric"]), np.asarray(s["epistemic"])) for title, s in panels.items()}
    pictures = [plots.plane(points, thresholds, folder / "plane.png")]
    if corrupted:
        ambiguous, _ = validation.ambiguous_and_clear(test.votes)
        pictures.append(plots.severity_curves(tables["v2"], folder / "severity.png"))
        pictures.append(plots.routing_curves({n: np.asarray(s)[ambiguous] for n, s in clean.items()}, pooled, folder / "routing.png"))
    tables["pictures"] = [str(p) for p in pictures]
    write_json(folder / "evaluation.json", tables)
    # Last: a run with thresholds is a run that was evaluated.
    write_json(folder / "thresholds.json", thresholds)
    return tables


def _range(e: Mapping) -> str:
    return f"{e['value']:.3f} ({e['low']:.3f}–{e['high']:.3f})"


def show(tables: Mapping, console: Console) -> None:
    """Prints the tables of :func:`evaluate`."""
    c, v1, v2 = tables["classification"], tables["v1"], tables["v2"]
    console.print(
        f"{c['faces']} test faces, {tables['members']} members: accuracy {c['accuracy']:.3f} (members "
        f"{min(c['member_accuracy']):.3f}–{max(c['member_accuracy']):.3f}, majority class {c['majority_class']:.3f}), "
        f"NLL {c['nll']:.3f}, ECE {c['ece']:.3f}, vote accuracy {c['vote_accuracy']:.3f}", highlight=False)

    truth = "spearman_true_entropy" in next(iter(v1["scores"].values()))
    severity = tables["shift_severity"]
    table = Table(title=f"does it follow disagreement, does it follow shift?  (ceiling of ρ with δ: {v1['ceiling']:.2f})")
    for column in ("score", "ρ with human disagreement δ", *(["ρ with true entropy"] if truth else []),
                   "AUROC ambiguous vs clear", *([f"AUROC shift, severity {severity}"] if severity else [])):
        table.add_column(column, justify="left" if column == "score" else "right")
    for name, label in scores_of.LABELS.items():
        row = v1["scores"][name]
        cells = [label, _range(row["spearman"]), *([_range(row["spearman_true_entropy"])] if truth else []),
                 _range(row["auroc_ambiguous"])]
        table.add_row(*cells, *([f"{v2['curve'][name][severity]:.3f}"] if severity else []))
    console.print(table)
    console.print(f"rank correlation of aleatoric and epistemic on clean faces: {_range(tables['rank_correlation'])}", highlight=False)

    if v2["corruptions"]:
        severities = sorted({s for rows in v2["corruptions"].values() for s in rows})
        table = Table(title="AUROC of epistemic, clean against corrupted")
        for column in ("corruption", *(f"severity {s}" for s in severities)):
            table.add_column(column, justify="left" if column == "corruption" else "right")
        for name, rows in v2["corruptions"].items():
            table.add_row(name, *(f"{rows[s]['epistemic']['value']:.3f}" if s in rows else "" for s in severities))
        table.add_section()
        table.add_row("mean", *(f"{v2['curve']['epistemic'][s]:.3f}" for s in severities))
        console.print(table)
    for name, row in v2["natural"].items():
        console.print(f"{name}: {row['faces']} pictures, AUROC against clean faces: epistemic {row['epistemic']:.3f}, "
                      f"total {row['total']:.3f}", highlight=False)

    if tables["matched"]:
        table = Table(title="ambiguous clean faces kept, at matched rejection of corrupted faces")
        for column in ("reject score", "area", *(f"at {r:.0%}" for r in comparison.MATCHED), "× single at 80%"):
            table.add_column(column, justify="left" if column == "reject score" else "right")
        for name, row in tables["matched"].items():
            ratio = row["ratio"]["0.8"]
            table.add_row(scores_of.LABELS.get(name, "random router"), f"{row['auc']:.3f}",
                          *(f"{row['retention'][str(r)]:.3f}" for r in comparison.MATCHED), "–" if ratio is None else f"{ratio:.2f}")
        console.print(table)

    t, d = tables["thresholds"], tables["decisions"]["test"]
    console.print(
        f"thresholds from {t['valid_faces']} valid faces: reject above epistemic {t['epistemic']:.4f}, defer above aleatoric "
        f"{t['aleatoric']:.4f}\nclean test faces: accept {d['accept']:.1%} (accuracy {d['accept_accuracy'] or float('nan'):.3f}), "
        f"defer {d['defer']:.1%}, reject {d['reject']:.1%}; ambiguous ones: reject {d['ambiguous']['reject']:.1%}", highlight=False)
