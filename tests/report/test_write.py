"""An evaluation on disk and on screen, the degenerate ones included."""

import csv
import dataclasses
import datetime
import html
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import ferjax
from ferjax.evaluation.conditions import Conditions, People
from ferjax.evaluation.evaluate import evaluate
from ferjax.evaluation.scores import label
from ferjax.report import conclusions, console, examples, write
from ferjax.report import html as pages
from ferjax.report.answer import answer
from ferjax.report.sections import routing
from ferjax.routing import MEANINGS, read_rules


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
        assert html.escape(conclusion.text).replace(" %", "\u00a0%") in text
    rho = evaluation.disagreement.scores["aleatoric"].spearman.value
    for words in ("random router", f"{rho:.3f}", "gnoise"):
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


def test_the_end_of_a_command_fits_on_a_screen(evaluation):
    """What is known about it in a few lines, the cautions first, and the file to open."""
    found = conclusions.conclude(evaluation)
    found = [conclusions.Conclusion("bad", f"caution number {i}") for i in range(5)] + found
    text = io.StringIO()
    console.show(
        evaluation,
        found,
        Console(file=text, width=80, force_terminal=True, no_color=True, highlight=False),
        report=Path("runs/a/report.html"),
        more=[("next", "ferjax route runs/a photos/")],
    )
    lines = re.sub(r"\x1b\[[\d;]*m", "", text.getvalue()).splitlines()
    assert len(lines) <= 15 and max(map(len, lines)) <= 80
    topics = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert topics == [
        *("accuracy", "disagreement", "shift", "router", "corrupted"),
        *("caution", "caution", "report", "next"),
    ]
    assert "open runs/a/report.html" in text.getvalue()


def test_a_report_says_its_words_where_they_first_stand(conditions, evaluation, tmp_path):
    """And names run, data, date and version before anything else."""
    about = {"run": "my_run", "data": {"data set": "drawn faces"}}
    write.write(evaluation, conditions, tmp_path, about=about)
    text = (tmp_path / "report.html").read_text()
    body = re.sub(r"<style>.*?</style>", "", text, flags=re.S)
    assert "<title>Evaluation of my_run</title>" in text
    head = body[: body.index("<nav>")]
    for part in ("drawn faces", datetime.date.today().isoformat(), f"ferjax {ferjax.__version__}"):
        assert part in head
    for word, meaning in {
        "leatoric": "ambiguous",
        "pistemic": "does not know",
        "severity": "from 1 to 5",
        "AUROC": "0.5 is a coin",
        "ρ": "rank correlation",
        "Accept:": "the label stands",
        **{f"{action.capitalize()}:": said for action, said in MEANINGS.items()},
        "How many are deferred": "a third of the valid items lie above it",
    }.items():
        assert 0 < body.index(meaning) - body.index(word) < 900, word
    assert "(a third of valid by design)" in body
    words = re.sub(r'src="[^"]*"', "", body)
    for jargon in ("V1", "V2", "L-UAR", "single-uncertainty", "× single"):
        assert jargon not in words, jargon


def test_the_papers_figures_stand_beside_its_own_data_alone(conditions, evaluation, tmp_path):
    for name, policy, there in (
        ("ferplus", "paper", True),
        ("ferplus", "majority", False),
        ("synthetic", "paper", False),
        (None, None, False),
    ):
        about = {"config": {"data": {"name": name, "policy": policy}}} if name else {}
        write.write(evaluation, conditions, tmp_path, about=about)
        text = (tmp_path / "report.html").read_text()
        assert ('id="paper"' in text) is there


def test_a_certificate_names_its_score(evaluation):
    """And what the answer and the examples say of each action is one sentence."""
    page = routing.routing(evaluation, {}).inner
    for of in evaluation.thresholds.routers.values():
        if of.certificate is not None and not of.certificate.refused:
            assert f"{label(of.rule.defer)} up to {of.certificate.above:.4f}: error at most" in page
    (told,) = [of for of in answer(evaluation) if of.topic == "router"]
    assert MEANINGS["defer"] in told.meaning and "evaluate.defer_share" in told.meaning


def test_a_wide_table_is_cut_where_paper_ends():
    head = ["score", *(f"c{i}" for i in range(12))]
    text = pages.table(head, [["epistemic", *range(12)]], caption="all of it")
    assert text.count("<table>") == 2 and text.count("<td>epistemic</td>") == 2
    assert max(part.count("<th ") for part in text.split("</table>")) <= 8
    assert "all of it (continued)" in text
    for i in range(12):
        assert text.count(f">c{i}<") == 1


def test_per_cent_is_spelt_in_one_way(conditions, evaluation, tmp_path):
    write.write(evaluation, conditions, tmp_path, about={"data": {"share": 1}})
    body = re.sub(r"<style>.*?</style>", "", (tmp_path / "report.html").read_text(), flags=re.S)
    body = re.sub(r'src="[^"]*"', "", body)
    assert "\u00a0%" in body and not re.search(r"\d%", body)


def test_a_report_written_twice_is_the_same_bytes(conditions, evaluation, tmp_path):
    """Whatever was drawn in between; ids inside pictures are not drawn anew."""
    for name in ("one", "other"):
        write.write(evaluation, conditions, tmp_path / name)
    one, other = (tmp_path / name / "report.html" for name in ("one", "other"))
    assert one.read_text().replace("/one/", "/other/") == other.read_text()


def test_an_item_that_people_could_not_name_is_not_given_a_label(conditions):
    """Nine of ten named no class: the tenth's vote is no "people: sadness 100 %"."""
    other = conditions.ood[0]
    votes = np.zeros((other.items, 8), int)
    votes[:, 2] = 1
    abstentions = np.full((other.items, 1), 9)
    p = dataclasses.replace(other.predictions, votes=votes, abstentions=abstentions)
    changed = dataclasses.replace(other, predictions=p, people=People.of(votes))
    assert examples._people(changed, 0, conditions.classes) == "people: 9 of 10 named no class"


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
    "kind", ["one member, no truth", "few valid items, no corruption", "no valid items"]
)
def test_degenerate_evaluations_are_reported_not_crashed(predicted, tmp_path, kind):
    given = {name: predicted[name] for name in ("valid", "test", "gnoise_5")}
    if "one member" in kind:
        given = {
            name: dataclasses.replace(p, log_probs=p.log_probs[:1], truth=None)
            for name, p in given.items()
        }
    elif "few valid" in kind:  # too few to promise 5 %: nothing is rejected
        del given["gnoise_5"]
        few = given["valid"]
        given["valid"] = dataclasses.replace(
            few,
            log_probs=few.log_probs[:, :9],
            ids=few.ids[:9],
            votes=few.votes[:9],
            truth=few.truth[:9],
        )
    else:
        del given["valid"]
    conditions = Conditions.of(given, resamples=50)
    evaluation = evaluate(conditions)
    write.write(evaluation, conditions, tmp_path)
    saved = strict(tmp_path / "evaluation.json")
    text = shown(evaluation)
    assert ("router  " in text) == (kind != "no valid items")
    assert (tmp_path / "report.html").read_text().endswith("</html>\n")
    if "one member" in kind:
        assert saved["disagreement"]["scores"]["between"]["spearman"]["value"] is None
        cell = saved["shift"]["corruptions"]["gnoise"]["5"]["between"]
        assert cell["auroc"]["value"] == 0.5
        assert "ρ with true entropy" not in (tmp_path / "report.html").read_text()
    elif "few valid" in kind:
        rules = strict(tmp_path / "thresholds.json")["routers"]
        assert rules["uar"]["reject"]["above"] is None
        assert saved["decisions"]["test"]["shares"]["reject"] == 0
        assert not (tmp_path / "severity.png").exists()
        assert saved["pools"] == {}
        assert saved["conclusions"][1]["text"].startswith("No corrupted copies were given")
    else:
        assert evaluation.thresholds is None
        assert not (tmp_path / "thresholds.json").exists()
        assert saved["decisions"] == {}
