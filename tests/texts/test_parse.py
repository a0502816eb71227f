"""Raw answers read, or counted as unparsed; nothing is taken for a label that is not one."""

import pytest

from ferjax.config import VAD, CollectConfig
from ferjax.texts.parse import Vocabulary, parse, without_reasoning

LABELS = ("joy", "anger", "sadness", "neutral")
MULTI = Vocabulary.of(CollectConfig("", LABELS, none_label="neutral", synonyms={"mad": "anger"}))
NO_NONE = Vocabulary.of(CollectConfig("", LABELS[:3]))
SINGLE = Vocabulary.of(CollectConfig("", LABELS, kind="single"))
REAL = Vocabulary.of(CollectConfig("", VAD, kind="real"))


def read(raw, vocabulary=MULTI, ask="samples", **line):
    return parse({"status": "ok", "raw": raw, **line}, vocabulary, ask)


def names(answer):
    return None if answer.labels is None else {LABELS[k] for k in answer.labels}


@pytest.mark.parametrize(
    "raw, expected",
    [
        ('["joy"]', {"joy"}),
        ('["joy", "anger", "joy"]', {"joy", "anger"}),
        (' [ " Joy ", "ANGER" ] ', {"joy", "anger"}),
        ('```json\n["sadness"]\n```', {"sadness"}),
        ('Sure! The answer is ["joy"]. Anything else?', {"joy"}),
        ('<think>["anger"]? No.</think>["joy"]', {"joy"}),
        ('first ["anger"], then\n</think>\n["joy"]', {"joy"}),
        ('<|channel|>analysis<|message|>anger?<|channel|>final<|message|>["joy"]', {"joy"}),
        ('["mad"]', {"anger"}),
        ('{"emotions": ["joy", "sadness"]}', {"joy", "sadness"}),
        ('{"label": "joy"}', {"joy"}),
        ('{"joy": true, "anger": false, "sadness": true}', {"joy", "sadness"}),
        ("joy, anger", {"joy", "anger"}),
        ('"neutral".', {"neutral"}),
        ('["joy"] and again ["joy"]', {"joy"}),
        ('["joy", "bliss"]', {"joy"}),
    ],
)
def test_what_names_labels_is_read(raw, expected):
    assert names(read(raw)) == expected


@pytest.mark.parametrize(
    "raw",
    [
        *(
            "",
            "   ",
            "I feel neutral about this",
            "joyful",
            '["joyful"]',
            '["madness"]',
            "[]",
            "{}",
        ),
        *('["joy', '{"labels": ["joy"', "[3, null, true]", "null", "true", "[[]]", '["jo", "y"]'),
        *("<think>joy", '<think>["joy"]', "<THINKING>neutral?", '["joy"] or ["anger"]'),
        *('{"joy": 0.7, "anger": 0.3}', '{"joy": false}', '["neutral", "bliss"]', "[" * 5000),
        *('{"labels": ["joy"], "emotions": ["anger"]}', "neutral or joy", '"not joy"'),
    ],
)
def test_what_does_not_is_unparsed(raw):
    answer = read(raw)
    assert not answer.parsed
    assert answer.why
    assert answer.labels is answer.values is answer.shares is None


def test_an_empty_set_is_an_answer_where_no_label_stands_for_it():
    assert read("[]", NO_NONE).labels == frozenset()
    assert not read("[]", MULTI).parsed
    assert not read("[]", SINGLE).parsed


def test_names_that_are_no_label_are_kept_for_the_count():
    assert read('["joy", "bliss", 3]').unknown == ("bliss", "3")
    assert read('["bliss"]').unknown == ("bliss",)


@pytest.mark.parametrize("raw", ['["joy", "anger"]', '["joy", "bliss"]', "joy, anger", "[]"])
def test_one_label_means_one(raw):
    assert not read(raw, SINGLE).parsed


@pytest.mark.parametrize("status", ["refused", "empty", "cut"])
def test_what_is_no_whole_answer_is_not_looked_into(status):
    answer = parse({"status": status, "raw": '["joy"]'}, MULTI)
    assert answer == answer._replace(labels=None, why=status)
    assert not answer.parsed


@pytest.mark.parametrize(
    "raw, expected",
    [
        ('{"valence": 4, "arousal": 2.5, "dominance": "3.25"}', (4, 2.5, 3.25)),
        ('{"V": 1, "A": 5, "D": 3}', (1, 5, 3)),
        ('<think>hm</think> {"dominance": 3, "valence": 1, "arousal": 5, "note": "x"}', (1, 5, 3)),
    ],
)
def test_numbers_are_read(raw, expected):
    assert read(raw, REAL).values == expected


@pytest.mark.parametrize(
    "raw",
    [
        *(
            '{"valence": 4, "arousal": 2}',
            '{"valence": 0, "arousal": 2, "dominance": 3}',
            "[3, 2, 4]",
        ),
        *('{"valence": 5.01, "arousal": 2, "dominance": 3}', "3, 2, 4", "valence 3"),
        *(
            '{"valence": NaN, "arousal": 2, "dominance": 3}',
            '{"V": 1, "valence": 2, "A": 1, "D": 1}',
        ),
        *('{"valence": true, "arousal": 2, "dominance": 3}', '{"valence": [1], "A": 2, "D": 3}'),
        '{"valence": 1e999, "arousal": 2, "dominance": 3}',
        '{"valence": ' + "1" * 400 + ', "arousal": 2, "dominance": 3}',
    ],
)
def test_numbers_outside_the_scale_are_not_pulled_into_it(raw):
    assert not read(raw, REAL).parsed


def test_shares_of_a_hundred():
    one = read('{"joy": 60, "anger": "30%", "sadness": 0}', SINGLE, "shares").shares
    assert one == pytest.approx((2 / 3, 1 / 3, 0, 0))
    many = read('{"shares": {"joy": 60, "anger": 55}}', MULTI, "shares").shares
    assert many == pytest.approx((0.6, 0.55, 0, 0))
    for raw in ('{"joy": -1}', '{"joy": 101}', '{"joy": "much"}', '{"bliss": 50, "joy": 50}', "{}"):
        assert not read(raw, SINGLE, "shares").parsed


def test_letters_of_the_first_token():
    tokens = [{"token": " B", "logprob": -0.5}, {"token": "A", "logprob": -1.5}, {"token": "The"}]
    order = [2, 0, 1, 3]
    shares = read("B", SINGLE, "logprobs", logprobs=tokens, order=order).shares
    assert sum(shares) == pytest.approx(1)
    assert shares[0] / shares[2] == pytest.approx(2.718281828)
    assert shares[1] == shares[3] == 0
    assert not read("B", SINGLE, "logprobs", logprobs=[{"token": "The", "logprob": 0}]).parsed
    assert not read("B", SINGLE, "logprobs").parsed


def test_reasoning_is_taken_out_wherever_it_stands():
    assert without_reasoning("<think>a<think>b</think>c</think>d") == "d"
    assert without_reasoning("<think>a</think>b<think>c") == "b"
    assert without_reasoning("<thinker>a</thinker>") == "<thinker>a</thinker>"
