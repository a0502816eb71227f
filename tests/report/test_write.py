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

from ferjax.evaluation.conditions import Conditions
from ferjax.evaluation.evaluate import evaluate
from ferjax.report import conclusions, console, write
from ferjax.routing import read_rules


def strict(path):
    """JSON without NaN or Infinity, as other languages read it."""

    def refuse(name):
        raise ValueError(name)

    return json.loads(path.read_text(), parse_constant=refuse)


def shown(evaluation):
    text = io.StringIO()
    found = conclusions.conclude(evaluation)
    console.show(evaluation, found, Console(file=text, width=200))
    return text.getvalue()


def _check_csv(path, evaluation):
    """Every number of the evaluation is in the CSV, with its interval."""
    with open(path, newline="") as file:
        rows = {row["figure"]: row for row in csv.DictReader(file)}
    for part in ("disagreement", "shift", "quality", "pools", "ensemble_size", "selective"):
        numbers = {name: rest for name, *rest in write.rows(getattr(evaluation, part), part)}
        assert numbers
        for name, cells in numbers.items():
            got = [rows[name][column] for column in ("value", "low", "high")]
            assert got == ["" if cell is None else str(cell) for cell in cells], name


class _Page(HTMLParser):
    """Checks nesting, and collects what a page would fetch."""

    VOID = frozenset({"meta", "img", "br", "!doctype"})

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


def _check_page(text, evaluation):
    page = _Page()
    page.feed(text)
    page.close()
    assert page.open == []
    assert page.sources and all(source.startswith("data:image/") for source in page.sources)
    assert page.links and page.links <= {f"#{anchor}" for anchor in page.anchors}
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert "url(" not in text and "@import" not in text
    assert "a &lt;count&gt;" in text and "a <count>" not in text
    for conclusion in conclusions.conclude(evaluation):
        assert html.escape(conclusion.text) in text
    rho = evaluation.disagreement.scores["aleatoric"].spearman.value
    for words in ("arXiv 2606.22725", "random router", f"{rho:.3f}", "gnoise"):
        assert words in text
    assert sum(source.startswith("data:image/png") for source in page.sources) > 6


PICTURES = ("plane.png", "severity.png", "routing.png")


def test_everything_is_left_in_the_folder(conditions, evaluation, tmp_path):
    items = conditions.test.items
    pictures = np.random.default_rng(0).integers(0, 255, (items, 8, 8), np.uint8)
    files = write.write(
        evaluation,
        conditions,
        tmp_path,
        images={"test": pictures},
        about={"data": {"a <count>": 7}},
    )
    assert files[0] == tmp_path / "report.html"
    names = {"report.html", "evaluation.json", "evaluation.csv", *PICTURES}
    assert {file.name for file in files} == names
    assert {p.name for p in tmp_path.iterdir()} == names | {"thresholds.json", "grid.npz"}
    saved = strict(tmp_path / "evaluation.json")
    cell = evaluation.shift.corruptions["gnoise"][5]["epistemic"].auroc
    assert saved["shift"]["corruptions"]["gnoise"]["5"]["epistemic"]["auroc"] == {
        "value": cell.value,
        "low": cell.low,
        "high": cell.high,
    }
    assert saved["about"]["data"] == {"a <count>": 7}
    assert saved["conclusions"][0]["tone"] in ("good", "bad", "note")
    _check_csv(tmp_path / "evaluation.csv", evaluation)
    _check_page((tmp_path / "report.html").read_text(), evaluation)
    rules = read_rules(strict(tmp_path / "thresholds.json"))
    assert rules == {name: of.rule for name, of in evaluation.thresholds.routers.items()}
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in PICTURES)
    grid = np.load(tmp_path / "grid.npz")
    assert (sum(grid[a] for a in ("accept", "defer", "reject")).sum(0) == 3 * items).all()
    text = shown(evaluation)
    for part in (
        "random router",
        "gnoise",
        "not_a_face: 20 items",
        "ρ with true entropy",
        "thresholds from 150 valid items",
    ):
        assert part in text


def test_a_class_may_be_called_anything(conditions, evaluation, tmp_path):
    """Names of classes come from files, and are escaped where they are shown."""
    names = ("<b>", *evaluation.classes[1:])
    table = dict(zip(names, evaluation.ensemble_size.contributions.values()))
    size = dataclasses.replace(evaluation.ensemble_size, contributions=table)
    changed = dataclasses.replace(evaluation, classes=names, ensemble_size=size)
    write.write(changed, dataclasses.replace(conditions, classes=names), tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert "&lt;b&gt;" in text and "<td><b>" not in text


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["one member", "no corruption", "no truth", "few valid items", "no valid"]
)
def test_degenerate_evaluations_are_reported_not_crashed(predicted, tmp_path, kind):
    given = {name: predicted[name] for name in ("valid", "test", "gnoise_5")}
    if kind == "one member":
        given = {n: dataclasses.replace(p, log_probs=p.log_probs[:1]) for n, p in given.items()}
    elif kind == "no corruption":
        del given["gnoise_5"]
    elif kind == "no truth":
        given = {n: dataclasses.replace(p, truth=None) for n, p in given.items()}
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
    conditions = Conditions.of(given, resamples=50)
    evaluation = evaluate(conditions)
    write.write(evaluation, conditions, tmp_path)
    saved = strict(tmp_path / "evaluation.json")
    text = shown(evaluation)
    assert ("thresholds from" in text) == (kind != "no valid")
    assert (tmp_path / "report.html").read_text().endswith("</html>\n")
    if kind == "one member":
        assert saved["disagreement"]["scores"]["epistemic"]["spearman"]["value"] is None
        cell = saved["shift"]["corruptions"]["gnoise"]["5"]["epistemic"]
        assert cell["auroc"]["value"] == 0.5
    elif kind == "no corruption":
        assert not (tmp_path / "severity.png").exists()
        assert saved["pools"] == {}
        assert saved["conclusions"][1]["text"].startswith("No corrupted copies were given")
    elif kind == "no valid":
        assert not (tmp_path / "thresholds.json").exists()
        assert saved["decisions"] == {}
    elif kind == "no truth":
        assert "ρ with true entropy" not in text
    else:
        rules = strict(tmp_path / "thresholds.json")["routers"]
        assert rules["uar"]["reject"]["above"] is None
        assert saved["decisions"]["gnoise_5"]["shares"]["reject"] == 0
