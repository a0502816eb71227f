"""An evaluation on disk and on screen, the degenerate ones included."""

import dataclasses
import io
import json

import numpy as np
import pytest
from rich.console import Console

from ferjax.analysis import report

SETTINGS = {"resamples": 20, "seed": 0, "false_rejection": 0.05, "defer_share": 1 / 3}


def strict(path):
    """JSON without NaN or Infinity, as other languages read it."""
    def refuse(name):
        raise ValueError(name)
    return json.loads(path.read_text(), parse_constant=refuse)


def shown(tables):
    text = io.StringIO()
    report.show(tables, Console(file=text, width=160))
    return text.getvalue()


@pytest.mark.slow
def test_everything_is_left_in_the_folder(predicted, tmp_path):
    tables = report.evaluate(predicted, tmp_path, **SETTINGS)
    assert {p.name for p in tmp_path.iterdir()} == {
        "evaluation.json", "thresholds.json", "grid.npz", "plane.png", "severity.png", "routing.png"}
    saved = strict(tmp_path / "evaluation.json")
    assert saved["cross"] == tables["cross"]
    assert strict(tmp_path / "thresholds.json") == tables["thresholds"]
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in ("plane.png", "severity.png", "routing.png"))
    grid = np.load(tmp_path / "grid.npz")
    clean, corrupted = len(predicted["test"].ids), 2 * len(predicted["test"].ids)
    assert (sum(grid[a] for a in ("accept", "defer", "reject")).sum(0) == clean + corrupted).all()
    text = shown(tables)
    for part in ("random router", "gnoise", "not_a_face: 20 pictures", "ρ with true entropy", "thresholds from 150 valid faces"):
        assert part in text


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["one member", "no corruption", "no truth", "few valid faces"])
def test_degenerate_evaluations_are_reported_not_crashed(predicted, tmp_path, kind):
    given = {name: predicted[name] for name in ("valid", "test", "gnoise_5")}
    if kind == "one member":
        given = {name: dataclasses.replace(p, log_probs=p.log_probs[:1]) for name, p in given.items()}
    elif kind == "no corruption":
        del given["gnoise_5"]
    elif kind == "no truth":
        given = {name: dataclasses.replace(p, truth=None) for name, p in given.items()}
    else:  # too few to promise 5 %: the reject threshold is infinite, nothing is rejected
        few = predicted["valid"]
        given["valid"] = dataclasses.replace(
            few, log_probs=few.log_probs[:, :9], ids=few.ids[:9], votes=few.votes[:9], truth=few.truth[:9])
    tables = report.evaluate(given, tmp_path, **SETTINGS)
    saved, text = strict(tmp_path / "evaluation.json"), shown(tables)
    assert "thresholds from" in text
    if kind == "one member":
        assert saved["v1"]["scores"]["epistemic"]["spearman"]["value"] is None
        assert saved["v2"]["corruptions"]["gnoise"]["5"]["epistemic"]["value"] == 0.5
    elif kind == "no corruption":
        assert not (tmp_path / "severity.png").exists()
        assert saved["matched"] == {}
    elif kind == "no truth":
        assert "ρ with true entropy" not in text
    else:
        assert strict(tmp_path / "thresholds.json")["epistemic"] is None
        assert saved["decisions"]["gnoise_5"]["reject"] == 0
