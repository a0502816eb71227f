"""The store: whole lines or none, one writer, and answers to one question only."""

import json
import os

import pytest

from ferjax.texts.items import Texts
from ferjax.texts.store import Store, read_answers, read_items

TEXTS = Texts(("a", "b"), ("one", "two"))
ABOUT = {"kind": "multi", "labels": ["joy", "anger"], "none_label": "", "levels": [1, 5]}
ABOUT |= {"synonyms": {}, "prompts": {"p": {"name": "labels"}}}


def line(key, status="ok"):
    return {"key": key, "status": status, "raw": 'ü\u2028["joy"]'}


def keys(folder):
    return [each["key"] for each in read_answers(folder)]


@pytest.fixture
def folder(tmp_path):
    with Store(tmp_path / "run", ABOUT, TEXTS) as store:
        store.append([line("1"), line("2", "http")])
        store.append([line("3", "cut")])
    return tmp_path / "run"


def test_answers_count_and_errors_do_not(folder):
    with Store(folder, ABOUT, TEXTS) as store:
        assert store.answered == {"1", "3"}
    assert keys(folder) == ["1", "2", "3"]
    assert next(read_answers(folder))["raw"] == 'ü\u2028["joy"]'
    assert read_items(folder) == TEXTS


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_torn_tail_is_taken_away_at_whatever_byte(folder, cut):
    path = folder / "answers.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    assert keys(folder) == ["1", "2"] + ["3"] * (cut == 1)  # only the end of the line is missing
    with Store(folder, ABOUT, TEXTS) as store:
        store.append([line("4")])
    assert keys(folder) == ["1", "2"] + ["3"] * (cut == 1) + ["4"]


def test_a_tail_of_zeros_is_taken_away(folder):
    with open(folder / "answers.jsonl", "ab") as file:
        file.write(b"\0" * 100 + b"\n" + b'{"key": 3}\n')
    with Store(folder, ABOUT, TEXTS) as store:
        store.append([line("4")])
    assert keys(folder) == ["1", "2", "3", "4"]


def test_damage_before_whole_lines_is_named_and_left(folder):
    path = folder / "answers.jsonl"
    rows = path.read_bytes().splitlines(keepends=True)
    damaged = b"".join([rows[0], rows[1][:20] + b"\n", rows[2]])
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"answers\.jsonl, line 2: damaged"):
        Store(folder, ABOUT, TEXTS)
    assert path.read_bytes() == damaged
    path.write_bytes(rows[0] + rows[2])
    with Store(folder, ABOUT, TEXTS) as store:
        assert store.answered == {"1", "3"}


def test_two_writers_are_refused(folder):
    with (
        Store(folder, ABOUT, TEXTS),
        pytest.raises(FileExistsError, match=f"process {os.getpid()}"),
    ):
        Store(folder, ABOUT, TEXTS)
    with Store(folder, ABOUT, TEXTS):
        pass


@pytest.mark.parametrize(
    "change, message",
    [
        ({"labels": ["joy", "fear"]}, "labels was"),
        ({"kind": "single"}, "kind was 'multi', now 'single'"),
    ],
)
def test_another_question_is_refused(folder, change, message):
    before = (folder / "collection.json").read_bytes()
    with pytest.raises(ValueError, match=f"answers to another question: {message}"):
        Store(folder, {**ABOUT, **change}, TEXTS)
    assert (folder / "collection.json").read_bytes() == before
    with Store(folder, ABOUT, TEXTS):
        pass  # the lock was given back


def test_more_texts_and_prompts_join(folder):
    more = {**ABOUT, "prompts": {"q": {"name": "other"}}}
    with Store(folder, more, Texts(("c",), ("three",))):
        pass
    assert read_items(folder) == Texts(("a", "b", "c"), ("one", "two", "three"))
    prompts = json.loads((folder / "collection.json").read_text())["prompts"]
    assert list(prompts) == ["p", "q"]
    with pytest.raises(ValueError, match="id 'a' was another text"):
        Store(folder, ABOUT, Texts(("a",), ("uno",)))


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="holds no answers; choose another"):
        Store(tmp_path, ABOUT, TEXTS)
    with pytest.raises(FileExistsError, match="is a file"):
        Store(tmp_path / "notes.txt", ABOUT, TEXTS)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_what_a_kill_leaves_of_a_beginning_does_no_harm(tmp_path):
    (tmp_path / "texts.jsonl").write_text('{"id": "a", "text": "one"}\n')
    (tmp_path / ".collection.json.123").write_text("{")
    with Store(tmp_path, ABOUT, TEXTS):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("answers.jsonl", "collection.json", "texts.jsonl"),
    ]


def test_a_folder_without_a_collection_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no collection\.json"):
        list(read_answers(tmp_path))
