"""An evaluation on disk: one HTML file to read, the same numbers as JSON and CSV, thresholds,
pictures."""

import csv
import importlib.metadata
import io
import json
import math
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ferjax.evaluation import compiled, intervals, routing_comparison, validation
from ferjax.evaluation import scores as scores_of
from ferjax.evaluation import thresholds as threshold_choice
from ferjax.faces import votes as votes_of
from ferjax.files import write_atomically
from ferjax.predictions import Predictions
from ferjax.report import conclusions, html, plots, sections

__all__ = ["evaluate", "rows", "write_json"]

EXAMPLES = 6
"""Example faces of each region."""


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


def rows(value: Any, path: str = "") -> Iterator[tuple[str, Any, Any, Any]]:
    """Every number of nested tables as (path, value, low, high); low and high are None where there
    is no interval."""
    if isinstance(value, Mapping) and "value" in value:
        yield path, value["value"], value.get("low"), value.get("high")
        value = {k: v for k, v in value.items() if k not in ("value", "low", "high")}
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from rows(inner, f"{path}/{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from rows(inner, f"{path}/{number}")
    elif value is not None:
        yield path, value, None, None


def _write_csv(path: Path, tables: Mapping) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("figure", "value", "low", "high"))
    writer.writerows(rows(_finite(tables)))
    write_atomically(path, text.getvalue().encode())


def _versions() -> dict[str, str]:
    packages = ("ferjax", "jax", "numpy", "matplotlib")
    return {
        "Python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
    }


def evaluate(
    predictions: Mapping[str, Predictions],
    folder: Path,
    *,
    resamples: int,
    seed: int,
    false_rejection: float,
    defer_share: float,
    classes: tuple[str, ...] | None = None,
    images: Mapping[str, np.ndarray] | None = None,
    about: Mapping | None = None,
) -> dict:
    """Validates, chooses thresholds on valid, routes, and leaves everything in a folder.

    Args:
      predictions: condition -> predictions; ``test`` with votes is needed; without ``valid`` no
        thresholds are chosen.
      folder: gets ``report.html``, ``evaluation.json``, ``evaluation.csv``, ``grid.npz``,
        ``thresholds.json`` and pictures.
      resamples: bootstrap resamples.
      seed: seed of everything random in the evaluation.
      false_rejection: see :func:`thresholds.choose_thresholds`.
      defer_share: likewise.
      classes: names of the classes.
      images: condition -> uint8 pictures ``[face, H, W]`` or ``[face, H, W, 3]``, to show examples
        of.
      about: what the report should say of where this comes from: ``title``, ``data``, ``config``,
        ``command``.

    Returns:
      The tables, with ``findings`` in words, and ``files`` naming what was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    predictions, learned = scores_of.enrich(predictions)
    tables = validation.validate(predictions, resamples=resamples, seed=seed, classes=classes)
    test = predictions["test"]
    shifted = validation.shifted(predictions)
    thresholds = None
    if "valid" in predictions:
        thresholds = threshold_choice.choose_thresholds(
            predictions["valid"], false_rejection=false_rejection, defer_share=defer_share
        )
    tables["thresholds"] = thresholds
    tables["decisions"] = (
        threshold_choice.decisions({"test": test, **shifted}, thresholds) if thresholds else None
    )
    fitted = next(iter(learned.values()))["fitted"] if learned else ()
    tables |= routing_comparison.tables(
        predictions, intervals.draw(test, jax.random.key(seed), resamples), false_rejection, fitted
    )
    tables["learned"] = learned
    found = conclusions.find(tables)
    tables["findings"] = [f._asdict() for f in found]
    tables["about"] = {**(about or {}), "versions": _versions(), "seed": seed}

    if thresholds and any(p.corruption is not None for p in shifted.values()):
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **threshold_choice.threshold_grid(test, shifted, thresholds))
        write_atomically(folder / "grid.npz", buffer.getvalue())
    drawn = _figures(tables, test, shifted, thresholds)
    uris = {name: plots.data_uri(figure, raster=name == "plane") for name, figure in drawn.items()}
    faces = _examples(predictions, images or {}, thresholds, tables["classes"])
    page = html.page(
        tables["about"].get("title", "How far can these uncertainties be trusted?"),
        f"{tables['members']} member{'s' * (tables['members'] > 1)}, {len(test.ids):,} clean test faces, {len(shifted)} further conditions, "
        f"{resamples:,} bootstrap resamples",
        sections.top(tables, found),
        sections.build(tables, uris, faces, tables["about"]),
        "Made by ferjax. Entropies in nats; intervals are 95 % percentile bootstrap over test faces.",
    )
    write_atomically(folder / "report.html", page.encode())
    files = ["report.html", "evaluation.json", "evaluation.csv"]
    for name in ("plane", "severity", "routing"):
        if name in drawn:
            plots.save(drawn[name], folder / f"{name}.png")
            files.append(f"{name}.png")
    tables["files"] = [str(folder / name) for name in files]
    write_json(folder / "evaluation.json", tables)
    _write_csv(
        folder / "evaluation.csv",
        {k: v for k, v in tables.items() if k not in ("about", "files", "findings", "classes")},
    )
    if thresholds:  # Last: a run with thresholds is a run that was evaluated.
        write_json(folder / "thresholds.json", thresholds)
    return tables


def _figures(
    tables: Mapping,
    test: Predictions,
    shifted: Mapping[str, Predictions],
    thresholds: Mapping | None,
) -> dict[str, Any]:
    """Every figure that these tables allow, by name."""
    severity = tables["shift_severity"]
    scores = {"test": scores_of.from_predictions(test)}
    scores |= {name: scores_of.from_predictions(p) for name, p in shifted.items()}
    copies = [name for name, p in shifted.items() if p.corruption is not None]

    def pooled(name: str) -> np.ndarray:
        return np.concatenate([np.asarray(scores[condition][name]) for condition in copies])

    parts = ("aleatoric", "epistemic")
    points = {"clean test faces": tuple(np.asarray(scores["test"][part]) for part in parts)}
    if copies:
        points["corrupted, all severities"] = tuple(pooled(part) for part in parts)
    points |= {
        name.replace("_", " "): tuple(np.asarray(scores[name][part]) for part in parts)
        for name in shifted
        if name not in copies
    }
    figures = {
        "deciles": plots.deciles(tables["v1"]),
        "reliability": plots.reliability(tables["classification"]),
        "selective": plots.selective(tables["selective"]["curves"]),
        "sensitivity": plots.sensitivity(tables["sensitivity"]["sizes"]),
        "contributions": plots.contributions(tables["contributions"]),
        "plane": plots.plane(points, thresholds),
    }
    if copies:
        ambiguous, _ = validation.ambiguous_and_clear(test.votes)
        shared = [
            name
            for name in scores["test"]
            if all(name in scores[condition] for condition in copies)
        ]
        inside = {name: np.asarray(scores["test"][name])[ambiguous] for name in shared}
        figures |= {
            "severity": plots.severity_curves(tables["v2"]),
            "corruptions": plots.corruption_curves(tables["v2"]),
            "cross": plots.cross(tables["cross"], severity),
            "routing": plots.routing_curves(inside, {name: pooled(name) for name in inside}),
        }
    return figures


def _examples(
    predictions: Mapping[str, Predictions],
    images: Mapping[str, np.ndarray],
    thresholds: Mapping | None,
    classes: list[str],
) -> list[dict]:
    """The purest faces of each region of the plane, and the first of each other set, where their
    pictures were given."""
    if "test" not in images:
        return []
    test = predictions["test"]
    scores = {name: np.asarray(of) for name, of in scores_of.from_predictions(test).items()}
    limits = thresholds or {
        "aleatoric": np.quantile(scores["aleatoric"], 2 / 3),
        "epistemic": np.quantile(scores["epistemic"], 0.95),
    }
    unfamiliar = scores["epistemic"] > limits["epistemic"]
    ambiguous = (scores["aleatoric"] > limits["aleatoric"]) & ~unfamiliar
    regions = {
        "Clear and familiar: accepted": (~ambiguous & ~unfamiliar, scores["aleatoric"]),
        "Ambiguous: deferred": (ambiguous, -scores["aleatoric"]),
        "Unfamiliar although clean: rejected": (unfamiliar, -scores["epistemic"]),
    }
    groups = []
    for title, (inside, key) in regions.items():
        rows_ = np.flatnonzero(inside)
        rows_ = rows_[np.argsort(key[rows_], kind="stable")][:EXAMPLES]
        if len(rows_):
            groups.append(
                {
                    "title": title,
                    "faces": [
                        _example(test, images["test"], int(row), scores, classes) for row in rows_
                    ],
                }
            )
    for name, p in predictions.items():
        if name in validation.shifted(predictions) and p.corruption is None and name in images:
            of = {part: np.asarray(score) for part, score in scores_of.from_predictions(p).items()}
            shown = [
                _example(p, images[name], row, of, classes)
                for row in range(min(EXAMPLES, len(p.ids)))
            ]
            groups.append({"title": f"From the set {name.replace('_', ' ')}", "faces": shown})
    return groups


def _example(
    p: Predictions,
    images: np.ndarray,
    row: int,
    scores: Mapping[str, np.ndarray],
    classes: list[str],
) -> dict[str, str]:
    def best(shares: np.ndarray) -> str:
        order = np.argsort(-shares, kind="stable")[:2]
        return ", ".join(
            f"{html.escape(classes[c])} {shares[c]:.0%}" for c in order if shares[c] > 0.005
        )

    mean = np.exp(np.asarray(compiled.mean_log_probs(p.log_probs[:, row])))
    text = f"model: <b>{best(mean)}</b><br>"
    if p.votes is not None and p.votes[row, :-2].sum():
        text += f"people: {best(votes_of.shares(p.votes[row][None])[0])}<br>"
    text += f"al {scores['aleatoric'][row]:.2f} · ep {scores['epistemic'][row]:.3f}"
    return {"uri": plots.picture_uri(images[row]), "text": text}
