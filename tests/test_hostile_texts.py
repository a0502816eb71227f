"""Readers of texts, panels, prompts, answers and calibrators: whatever a file holds, it is read or
refused in one sentence that names it."""

import json
import os

import numpy as np
import pytest

from ferjax import comparing
from ferjax.config import load_collect_config
from ferjax.evaluation.judgments.calibrate import restored
from ferjax.judgments import Judgments
from ferjax.texts import store
from ferjax.texts.client import Reply
from ferjax.texts.dataset import read_labelled
from ferjax.texts.items import read_texts
from ferjax.texts.prompting import load_prompt
from ferjax.texts.readers import read_answers, read_panel
from ferjax.texts.replies import Failure, read_reply

NESTED = '{"a":' * 5_000
READERS = {
    "panel.csv": read_panel,
    "panel.jsonl": read_panel,
    "answers.csv": read_answers,
    "texts.csv": read_texts,
    "texts.tsv": read_texts,
    "texts.jsonl": read_texts,
    "labelled.tsv": lambda path: read_labelled(str(path), ("joy", "anger")),
    "lexicon.json": lambda path: comparing.read_words(path, None, None),
    "calibrator.json": lambda path: comparing.read_calibrators(path, None),
    "config.json": load_collect_config,
    "config.py": load_collect_config,
    "collection.json": lambda path: store.read_description(path.parent),
}
CONTENTS = {
    "nothing": b"",
    "nested": NESTED.encode(),
    "NUL": b"item,rater,label\nx,\0,y\n",
    "latin-1": "item,rater,label\ncaf\xe9,a,b\n".encode("latin-1"),
    "open quote in the header": b'"item,rater,label\nx,a,b\n',
    "huge field": b"item,rater,label,text\nx," + b"a" * 2**21 + b",b,c\n",
    "null": b"null",
    "five": b"5",
    "list": b"[1, 2]",
    "binary": bytes(range(256)),
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("name", READERS)
def test_what_is_none_of_ours_is_refused_by_name(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError)) as refused:
        READERS[name](path)
    said = str(refused.value)
    assert str(tmp_path) in said and len(said) < 600
    assert "\x1b" not in said and "\0" not in said


@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_is_never_waited_for(tmp_path, name):
    if name == "collection.json":
        pytest.skip("a folder without one is a folder without one")
    os.mkfifo(tmp_path / name)
    with pytest.raises((ValueError, FileNotFoundError), match=name.split(".", maxsplit=1)[0]):
        READERS[name](tmp_path / name)


@pytest.mark.parametrize(
    "text, message",
    [
        ("raise SystemExit(0)", r"c\.py: SystemExit: 0 \(line 1\)"),
        ("x = 1\n1 / 0", r"ZeroDivisionError: division by zero \(line 2\)"),
        ("config = 5", r"must define `config = CollectConfig\(...\)`, found int"),
        ("x = (\n", r"c\.py, line 1: SyntaxError"),
        (
            "from ferjax.config import CollectConfig as C\nC('t.csv', ('a', 'b'), label=1)",
            "did you mean labels",
        ),
    ],
)
def test_a_configuration_that_fails_is_refused_by_line(tmp_path, text, message):
    (tmp_path / "c.py").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_collect_config(tmp_path / "c.py")


@pytest.mark.parametrize(
    "values, message",
    [
        ({"synonyms": 5}, "collect.synonyms must be an object, got 5"),
        ({"synonyms": {"glad": 5}}, "collect.synonyms.glad must be text, got 5"),
        ({"extra": [1]}, r"collect.extra must be an object, got \(1,\)"),
        ({"temperatures": "hot"}, "collect.temperatures must be a list, got 'hot'"),
        ({"samples": 10**12}, "collect.samples must be at most"),
        ({"labels": 5}, "collect.labels must be names, a list of texts, got 5"),
        ({"kind": ["multi"]}, "collect.kind must be one of multi, single, real"),
    ],
)
def test_a_configuration_of_other_types_is_refused_by_field(tmp_path, values, message):
    given = {"texts": "t.csv", "labels": ["a", "b"], **values}
    (tmp_path / "c.json").write_text(json.dumps(given))
    with pytest.raises(ValueError, match=r"c\.json: " + message):
        load_collect_config(tmp_path / "c.json")


def test_what_must_be_given_is_named(tmp_path):
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(ValueError, match=r"c\.json: texts, labels must be given"):
        load_collect_config(tmp_path / "c.json")


def test_a_prompt_that_is_no_text_is_named(tmp_path):
    (tmp_path / "prompt.txt").write_bytes(b"--- user ---\n{text}\xff")
    (tmp_path / "c.json").write_text(
        json.dumps({"texts": "t", "labels": ["a", "b"], "prompt": str(tmp_path / "prompt.txt")})
    )
    with pytest.raises(ValueError, match=r"prompt\.txt, line 2: not UTF-8"):
        load_prompt(load_collect_config(tmp_path / "c.json"))


def test_a_reply_nested_without_end_is_one_failed_answer():
    found = read_reply(Reply(200, NESTED.encode(), None, 0.0), 1)
    assert isinstance(found, Failure) and found.status == "malformed"


def test_a_damaged_answer_is_named_by_line(tmp_path):
    description = {"kind": "multi", "labels": [], "none_label": "", "levels": [], "prompts": {}}
    (tmp_path / "collection.json").write_text(json.dumps(description))
    whole = json.dumps({"key": "k", "status": "ok"})
    (tmp_path / "answers.jsonl").write_text(f"{whole}\n{NESTED}\n{whole}\n")
    with pytest.raises(ValueError, match=r"answers\.jsonl, line 2: damaged"):
        list(store.read_answers(tmp_path))


def test_meta_of_judgments_nested_without_end_is_refused(tmp_path):
    ones = np.ones((1, 1), int)
    np.savez(tmp_path / "j.npz", asked=ones, unparsed=ones, ids=np.array(["a"]), meta=NESTED)
    with pytest.raises(ValueError, match=r"j\.npz: meta needs kind, classes and judges \(.*nested"):
        Judgments.load(tmp_path / "j.npz")


BIAS = {"calibrator": "bias", "parameters": {"bias": [[0.0, 0.0, 0.0]]}}


@pytest.mark.parametrize(
    "kept",
    [
        *(5, None, [], {}, {"calibrator": 5}, {"calibrator": ["bias"], "parameters": {}}),
        {"calibrator": "coin", "parameters": {}},
        {"calibrator": "bias", "parameters": 5},
        {"calibrator": "bias", "parameters": {}},
        {"calibrator": "bias", "parameters": {"bias": "x"}},
        {"calibrator": "bias", "parameters": {"bias": [[0.0, 0.0]]}},
        {"calibrator": "bias", "parameters": {"bias": [[0.0, None, 0.0]]}},
        {"calibrator": "bias", "parameters": {"bias": [[0.0, float("nan"), 0.0]]}},
        {"calibrator": "temperature", "parameters": {"bias": [[0.0, 0.0, 0.0]]}},
    ],
)
def test_a_calibrator_that_was_changed_is_refused(kept):
    assert restored(BIAS, 3, several=False) is not None
    with pytest.raises(ValueError, match="no calibrator of 3 classes|numbers that are not finite"):
        restored(kept, 3, several=False)


def test_few_rows_do_not_claim_a_huge_table(tmp_path):
    rows = [f"i{k},m{k},1,0.5" for k in range(1500)] + ["i0,m0,1,0.5"] * 1500
    (tmp_path / "a.csv").write_text("\n".join(["item,model,temperature,V", *rows]))
    with pytest.raises(ValueError, match=r"a\.csv: 1,500 judges x 1,500 items x 1,501 answers"):
        read_answers(tmp_path / "a.csv")
    rows = [f"i{k},r{k},joy" for k in range(20_000)] + [f"i0,s{k},anger" for k in range(20_000)]
    (tmp_path / "p.csv").write_text("\n".join(["item,rater,label", *rows]))
    with pytest.raises(ValueError, match="20,000 items with up to 20,001 ratings"):
        _ = read_panel(tmp_path / "p.csv").ratings.by_item


def test_one_large_number_does_not_claim_a_huge_table(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("item,joy,anger\nx,999999999,1\ny,0,3\n")
    with pytest.raises(ValueError, match=r"line 2: joy is '999999999'; a count is at most 1,000,0"):
        read_panel(path)
    path.write_text("item,joy,anger\n" + "".join(f"x{k},1000000,0\n" for k in range(200)))
    with pytest.raises(ValueError, match=r"p\.csv: 200,000,000 ratings of 2 classes"):
        read_panel(path)
    path.write_text("item,rater,V\nx,a,0\nx,b,9999999999\n")
    assert read_panel(path).ratings.kind == "real"


def test_a_table_keeps_line_breaks_in_its_fields(tmp_path):
    (tmp_path / "t.csv").write_bytes(b'id,text\r\n1,"two\nlines"\r\n2,"three\r\nlines"\r\n')
    assert read_texts(tmp_path / "t.csv").texts == ("two\nlines", "three\r\nlines")
