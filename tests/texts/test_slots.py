"""The grid: a key for every slot, shuffled by seed, and grouped by what one request can ask."""

import dataclasses

import pytest

from ferjax.config import CollectConfig
from ferjax.texts.items import Texts, read_texts
from ferjax.texts.prompting import load_prompt, messages, prompt_hash
from ferjax.texts.slots import grid, group, label_order, schema

CONFIG = CollectConfig("", ("joy", "anger", "neutral"), temperatures=(0.0, 0.7, 1.0), samples=4)
TEXTS = Texts(("a", "b", "c"), ("one", "two", "one"))


def slots(config=CONFIG, texts=TEXTS, models=("m", "n"), prompt="p"):
    return grid(config, prompt, texts, models)


def test_every_slot_has_a_key_of_its_own():
    assert len(slots()) == 3 * 2 * (1 + 4 + 4)  # at temperature 0 all samples are the same
    assert len({slot.key for slot in slots()}) == len(slots())


@pytest.mark.parametrize(
    "change",
    [{"top_p": 0.9}, {"max_tokens": 9}, {"seed": 1}, {"json_schema": True}, {"extra": {"a": 1}}],
)
def test_whatever_the_answer_depends_on_is_in_the_key(change):
    changed = slots(dataclasses.replace(CONFIG, **change))
    assert not {slot.key for slot in changed} & {slot.key for slot in slots()}
    assert not {slot.key for slot in slots(prompt="q")} & {slot.key for slot in slots()}


def test_more_samples_temperatures_and_models_keep_the_keys():
    more = dataclasses.replace(CONFIG, samples=6, temperatures=(0.7, 0.0, 1.0, 1.3))
    keys = {slot.key for slot in slots(more, models=("n", "o", "m"))}
    assert {slot.key for slot in slots()} < keys


def test_the_order_is_drawn_by_the_seed():
    assert slots() == slots()
    items = [slot.item for slot in slots()]
    assert items != sorted(items)
    other = dataclasses.replace(CONFIG, seed=1)
    assert [s[1:] for s in slots(other)] != [s[1:] for s in slots()]


def test_groups_differ_in_the_sample_alone():
    groups = group(slots(), 3)
    assert sorted(slot for each in groups for slot in each) == sorted(slots())
    assert {len(each) for each in groups} == {1, 3}
    for each in groups:
        assert len({slot[1:4] + slot[5:] for slot in each}) == 1
    assert all(len(each) == 1 for each in group(slots(), 1))


def test_label_orders_are_drawn_by_slot_and_stay():
    orders = [label_order(slot, 28) for slot in slots()]
    assert orders == [label_order(slot, 28) for slot in slots()]
    assert len({tuple(order) for order in orders}) == len(orders)
    assert all(sorted(order) == list(range(28)) for order in orders)


@pytest.mark.parametrize(
    "kind, ask",
    [
        *(("multi", "samples"), ("single", "samples"), ("real", "samples"), ("multi", "shares")),
        *(("single", "shares"), ("single", "logprobs")),
    ],
)
def test_every_prompt_that_comes_along_is_filled(kind, ask):
    config = dataclasses.replace(CONFIG, kind=kind, ask=ask)
    prompt = load_prompt(config)
    system, user = messages(prompt, "A {text} of {labels}", config.labels)
    assert user == {"role": "user", "content": "A {text} of {labels}"}
    assert "{label" not in system["content"] and "{none}" not in system["content"]
    assert kind == "real" or "joy" in system["content"]


def test_a_prompt_is_known_by_all_that_it_says(tmp_path):
    own = tmp_path / "own.txt"
    own.write_text("Choose from {labels}.\n--- user ---\nText: {text}\n")
    config = dataclasses.replace(CONFIG, prompt=str(own))
    prompt = load_prompt(config)
    assert messages(prompt, "t", ["joy", "x"])[0]["content"] == "Choose from joy, x."
    hashes = {
        prompt_hash(prompt, config),
        prompt_hash(load_prompt(CONFIG), CONFIG),
        prompt_hash(prompt._replace(user="{text}"), config),
        prompt_hash(prompt, dataclasses.replace(config, labels=("joy", "fear"))),
    }
    assert len(hashes) == 4
    own.write_text("Choose from {labels}. {text}")
    with pytest.raises(ValueError, match=r"own\.txt: expected a line `--- user ---`"):
        load_prompt(config)


def test_a_schema_allows_what_the_parser_reads():
    names = schema(dataclasses.replace(CONFIG, none_label="neutral"))
    assert names["items"]["enum"] == ["joy", "anger", "neutral"]
    assert (names["minItems"], schema(CONFIG)["minItems"]) == (1, 0)
    assert schema(dataclasses.replace(CONFIG, kind="single"))["maxItems"] == 1
    assert schema(dataclasses.replace(CONFIG, kind="real"))["required"] == list(CONFIG.labels)


def test_texts_from_files(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text('item,text,label\n1,"a, b",x\n1,"a, b",y\n2,c,x\n', encoding="utf-8-sig")
    assert read_texts(table) == Texts(("1", "2"), ("a, b", "c"))
    lines = tmp_path / "t.jsonl"
    lines.write_text('{"id": 7, "text": "a"}\n\n{"id": "8", "text": "b"}\n')
    assert read_texts(lines) == Texts(("7", "8"), ("a", "b"))
    assert read_texts(lines, most=1).ids == ("7",)
    bare = tmp_path / "t.tsv"
    bare.write_text("text\nx\ny\n")
    assert read_texts(bare).ids == ("0", "1")


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("t.csv", "id,text\n1,a\n1,b\n", "line 3: id '1' had another text before"),
        ("t.csv", "id,text\n1,a,z\n", "line 2: 3 columns, the header has 2"),
        ("t.csv", "id,words\n1,a\n", "line 1: expected a header with the columns id and text"),
        ("t.csv", "id,text\n1,\n", "line 2: expected a text"),
        ("t.csv", "", "expected a header"),
        ("t.csv", "id,text\n", "no text in it"),
        ("t.csv", 'id,text\n1,"a\n', "line 2"),
        ("t.jsonl", '{"id": 1, "text": "a"}\n{"id": 2', "line 2: not JSON"),
        ("t.jsonl", "[1]\n", "line 1: expected a JSON object"),
        ("t.jsonl", '{"id": [1], "text": "a"}\n', "line 1: an id is text or a number"),
        ("t.jsonl", '{"id": 1, "text": 3}\n', "line 1: expected a text"),
    ],
)
def test_bad_rows_are_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as refused:
        read_texts(path)
    assert name in str(refused.value)
