"""An evaluation on disk: one HTML file to read, the same numbers as JSON and CSV, and pictures."""

import csv
import dataclasses
import datetime
import importlib.metadata
import io
import json
import math
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import ferjax
from ferjax.evaluation import thresholds as threshold_choice
from ferjax.evaluation.conditions import Conditions
from ferjax.evaluation.error_score import ErrorReader
from ferjax.evaluation.intervals import Interval
from ferjax.evaluation.results import ConcentrationFit, Evaluation
from ferjax.evaluation.routing_results import Thresholds
from ferjax.files import cell, digest_json, write_atomically
from ferjax.priors import Adjustment
from ferjax.report import conclusions, examples, html, plots, sections
from ferjax.routing import RouterRule

__all__ = ["rows", "thresholds_json", "to_json", "versions", "write", "write_json"]

PICTURES = ("plane", "severity", "routing")
"""Figures that are also written as files."""


def to_json(value: Any) -> Any:
    """Results as JSON values: fields by name, an undefined or infinite figure as null.

    >>> to_json(Interval(0.5, float("nan"), 1.0))
    {'value': 0.5, 'low': None, 'high': 1.0}
    """
    if isinstance(value, RouterRule):
        return value.to_json()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, value: Any) -> None:
    """Writes results as JSON, in one piece."""
    write_atomically(path, (json.dumps(to_json(value), indent=1) + "\n").encode())


def rows(value: Any, path: str = "") -> Iterator[tuple[str, Any, Any, Any]]:
    """Every number of results as (path, value, low, high); the ends are None without interval."""
    if isinstance(value, Interval):
        yield path, *(to_json(end) for end in (value.value, value.low, value.high))
    elif isinstance(value, RouterRule):
        yield from rows(value.to_json(), path)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        yield from rows(fields, path)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from rows(inner, f"{path}/{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from rows(inner, f"{path}/{number}")
    elif value is not None:
        yield path, to_json(value), None, None


def _write_csv(path: Path, evaluation: Evaluation) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("figure", "value", "low", "high"))
    writer.writerows(tuple(map(_cell, row)) for row in rows(evaluation))
    write_atomically(path, text.getvalue().encode())


def _cell(value: Any) -> Any:
    return cell(value) if isinstance(value, str) else value


def thresholds_json(
    thresholds: Thresholds,
    caution: str = "",
    of: Mapping[str, str | None] | None = None,
    concentration: ConcentrationFit | None = None,
    adjustment: Adjustment | None = None,
    errors: ErrorReader | None = None,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What thresholds.json holds: see :func:`ferjax.routing.read_rules`.

    Args:
      thresholds: of every router.
      caution: what a router of this model must say first.
      of: digests of what they were chosen for; None: of predictions alone.
      concentration: of the members, that the scores were made with.
      adjustment: the class prior that the scores were made under.
      errors: what was learned of errors, for the router of that name.
      more: further JSON values to keep beside them.

    Returns:
      JSON values; ``digest`` is of all others.
    """
    routers = {
        name: {
            **of.rule.to_json(),
            "by_class": to_json(of.by_class),
            "by_tolerance": to_json(of.by_tolerance),
            "certificate": to_json(of.certificate),
        }
        for name, of in thresholds.routers.items()
    }
    values = {
        "format": 2,
        **({"caution": caution} if caution else {}),
        "valid_items": thresholds.valid_items,
        "defer_share": to_json(thresholds.defer_share),
        "routers": to_json(routers),
        "of": None if of is None else dict(of),
        "concentration": None if concentration is None else to_json(concentration.fitted),
        "prior": None if adjustment is None else adjustment.to_json(),
        **({} if errors is None else {"errors": errors.to_json()}),
        **(more or {}),
    }
    return {**values, "digest": digest_json(values)}


def versions() -> dict[str, str]:
    """Of what a report was made with."""
    packages = ("jax", "numpy", "matplotlib")
    found = {name: importlib.metadata.version(name) for name in packages}
    return {"ferjax": ferjax.__version__, "Python": platform.python_version(), **found}


def _today() -> str:
    return datetime.date.today().isoformat()


def _title(about: Mapping[str, Any]) -> str:
    run = about.get("run")
    return f"Evaluation of {run}" if run else "How far can these uncertainties be trusted?"


def _lead(e: Evaluation, conditions: Conditions, about: Mapping[str, Any]) -> str:
    """Members, data, date and version, in a line."""
    name = about.get("data", {}).get("data set")
    of = f" of {name}" if name else ""
    return (
        f"{e.members} member{'s' * (e.members > 1)} · {e.quality.items:,} test items{of} and "
        f"{len(conditions.shifted)} further conditions · {about['date']} · "
        f"ferjax {about['versions']['ferjax']}"
    )


def write(
    evaluation: Evaluation,
    conditions: Conditions,
    folder: Path,
    *,
    images: Mapping[str, np.ndarray] | None = None,
    about: Mapping[str, Any] | None = None,
    of: Mapping[str, str | None] | None = None,
) -> list[Path]:
    """Writes an evaluation into a folder.

    Args:
      evaluation: what was found.
      conditions: the scored conditions that it was found in, for the pictures.
      folder: gets ``report.html``, ``evaluation.json``, ``evaluation.csv`` and pictures; with
        thresholds also ``grid.npz`` and ``thresholds.json``.
      images: condition -> uint8 pictures ``[item, H, W]`` or ``[item, H, W, 3]``, to show examples.
      about: where this comes from: ``run``, ``data``, ``files``, ``config``, ``command``.
      of: digests of the members and densities that were evaluated, for the thresholds.

    Returns:
      The files to look at, the report first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = {"versions": versions(), "seed": evaluation.seed, "date": _today()}
    about = {**(about or {}), **made}
    found = conclusions.conclude(evaluation)
    drawn = plots.figures(evaluation, conditions)
    uris = {n: plots.data_uri(figure, raster=n == "plane") for n, figure in drawn.items()}
    groups = examples.examples(conditions, evaluation.thresholds, images or {})
    page = html.page(
        _title(about),
        _lead(evaluation, conditions, about),
        sections.top(evaluation, found, groups, uris),
        sections.build(evaluation, uris, about),
        "Made by ferjax. Entropies in nats; intervals are 95 % percentile bootstrap over test "
        "items, those of calibration errors basic bootstrap.",
    )
    files = [folder / name for name in ("report.html", "evaluation.json", "evaluation.csv")]
    write_atomically(files[0], page.encode())
    _write_csv(files[2], evaluation)
    files += [plots.save(drawn[n], folder / f"{n}.png") for n in PICTURES if n in drawn]
    beside = {"conclusions": found, "about": about, "files": [str(file) for file in files]}
    write_json(files[1], {**to_json(evaluation), **beside})
    if evaluation.thresholds is not None:
        if conditions.corrupted:
            buffer = io.BytesIO()
            grid = threshold_choice.threshold_grid(conditions, evaluation.thresholds)
            np.savez_compressed(buffer, **grid)  # type: ignore[arg-type]  # numpy's own keywords
            write_atomically(folder / "grid.npz", buffer.getvalue())
        # Last: a run with thresholds is a run that was evaluated.
        caution = conclusions.caution(evaluation)
        stored = thresholds_json(
            evaluation.thresholds,
            caution,
            of,
            evaluation.concentration,
            conditions.adjustment,
            conditions.errors,
        )
        write_json(folder / "thresholds.json", stored)
    return files
