"""An evaluation on disk and on screen, the degenerate ones included."""

import csv
import dataclasses
import html
import io
import json
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console

from ferjax.report import console, write

SETTINGS = {"resamples": 20, "seed": 0, "false_rejection": 0.05, "defer_share": 1 / 3}


def strict(path):
    """JSON without NaN or Infinity, as other languages read it."""

    def refuse(name):
        raise ValueError(name)

    return json.loads(path.read_text(), parse_constant=refuse)


def shown(tables):
    text = io.StringIO()
    console.show(tables, Console(file=text, width=200))
    return text.getvalue()


def _check_csv(path, saved):
    """Every number of the JSON is in the CSV, with its interval."""
    with open(path, newline="") as file:
        rows = {row["figure"]: row for row in csv.DictReader(file)}
    for part in ("cross", "v1", "v2", "classification", "matched", "sensitivity", "distance"):
        numbers = {
            f"{part}/{name}" if name else part: rest for name, *rest in write.rows(saved[part])
        }
        assert numbers
        for name, (value, low, high) in numbers.items():
            got = rows[name]
            assert [got["value"], got["low"], got["high"]] == [
                "" if v is None else str(v) for v in (value, low, high)
            ], name


class _Page(HTMLParser):
    """Checks nesting, and collects what a page would fetch."""

    VOID = {"meta", "img", "br", "!doctype"}

    def __init__(self):
        super().__init__()
        self.open = []
        self.sources = []
        self.anchors = set()
        self.links = set()
        self.tags = []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.sources += [attrs[name] for name in ("src", "srcset", "data") if name in attrs]
        self.anchors |= {attrs["id"]} if "id" in attrs else set()
        self.links |= {attrs["href"]} if "href" in attrs else set()
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def _check_page(text, tables):
    page = _Page()
    page.feed(text)
    page.close()
    assert page.open == []
    assert page.sources and all(source.startswith("data:image/") for source in page.sources)
    assert page.links and page.links <= {f"#{anchor}" for anchor in page.anchors}
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert "url(" not in text and "@import" not in text
    assert "a &lt;count&gt;" in text and "a <count>" not in text
    for finding in tables["findings"]:
        assert html.escape(finding["text"]) in text
    for shown in (
        "arXiv 2606.22725",
        "random router",
        f"{tables['cross']['aleatoric']['disagreement']['value']:.3f}",
        "gnoise",
    ):
        assert shown in text
    assert (
        page.sources.count(page.sources[-1]) >= 1
        and sum(s.startswith("data:image/png") for s in page.sources) > 6
    )


@pytest.mark.slow
def test_everything_is_left_in_the_folder(predicted, tmp_path):
    pictures = np.random.default_rng(0).integers(
        0, 255, (len(predicted["test"].ids), 8, 8), np.uint8
    )
    tables = write.evaluate(
        predicted, tmp_path, images={"test": pictures}, about={"data": {"a <count>": 7}}, **SETTINGS
    )
    assert {p.name for p in tmp_path.iterdir()} == {
        "report.html",
        "evaluation.json",
        "evaluation.csv",
        "thresholds.json",
        "grid.npz",
        "plane.png",
        "severity.png",
        "routing.png",
    }
    saved = strict(tmp_path / "evaluation.json")
    assert saved["cross"]["epistemic"]["shift"] == tables["cross"]["epistemic"]["shift"]
    _check_csv(tmp_path / "evaluation.csv", saved)
    _check_page((tmp_path / "report.html").read_text(), tables)
    assert strict(tmp_path / "thresholds.json") == tables["thresholds"]
    assert all(
        (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        for name in ("plane.png", "severity.png", "routing.png")
    )
    grid = np.load(tmp_path / "grid.npz")
    clean = len(predicted["test"].ids)
    corrupted = 2 * len(predicted["test"].ids)
    assert (sum(grid[a] for a in ("accept", "defer", "reject")).sum(0) == clean + corrupted).all()
    text = shown(tables)
    for part in (
        "random router",
        "gnoise",
        "not_a_face: 20 pictures",
        "ρ with true entropy",
        "thresholds from 150 valid faces",
    ):
        assert part in text


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["one member", "no corruption", "no truth", "few valid faces", "no valid"]
)
def test_degenerate_evaluations_are_reported_not_crashed(predicted, tmp_path, kind):
    given = {name: predicted[name] for name in ("valid", "test", "gnoise_5")}
    if kind == "one member":
        given = {
            name: dataclasses.replace(p, log_probs=p.log_probs[:1]) for name, p in given.items()
        }
    elif kind == "no corruption":
        del given["gnoise_5"]
    elif kind == "no truth":
        given = {name: dataclasses.replace(p, truth=None) for name, p in given.items()}
    elif kind == "no valid":
        del given["valid"]
    else:  # too few to promise 5 %: the reject threshold is infinite, nothing is rejected
        few = predicted["valid"]
        given["valid"] = dataclasses.replace(
            few,
            log_probs=few.log_probs[:, :9],
            ids=few.ids[:9],
            votes=few.votes[:9],
            truth=few.truth[:9],
        )
    tables = write.evaluate(given, tmp_path, **SETTINGS)
    saved = strict(tmp_path / "evaluation.json")
    text = shown(tables)
    assert ("thresholds from" in text) == (kind != "no valid")
    assert (tmp_path / "report.html").read_text().endswith("</html>\n")
    if kind == "one member":
        assert saved["v1"]["scores"]["epistemic"]["spearman"]["value"] is None
        assert saved["v2"]["corruptions"]["gnoise"]["5"]["epistemic"]["value"] == 0.5
    elif kind == "no corruption":
        assert not (tmp_path / "severity.png").exists()
        assert saved["matched"] == {}
        assert saved["findings"][1]["text"].startswith("No corrupted copies were given")
    elif kind == "no valid":
        assert not (tmp_path / "thresholds.json").exists()
        assert saved["decisions"] is None
    elif kind == "no truth":
        assert "ρ with true entropy" not in text
    else:
        assert strict(tmp_path / "thresholds.json")["epistemic"] is None
        assert saved["decisions"]["gnoise_5"]["reject"] == 0
