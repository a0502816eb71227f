"""Replies taken apart: answers, and reasons why there is none."""

import json

import pytest

from ferjax.texts.client import Reply
from ferjax.texts.replies import Failure, read_reply


def reply(body, status=200):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, data, None, 0.1)


def choice(content='["joy"]', index=0, finish="stop", **more):
    message = {"role": "assistant", "content": content, **more}
    return {"index": index, "message": message, "finish_reason": finish}


def read(*choices, most=9, **more):
    return read_reply(reply({"id": "x", "model": "m", "choices": list(choices), **more}), most)


def test_answers_and_what_the_server_says_of_them():
    usage = {"prompt_tokens": 7, "completion_tokens": 9}
    first, second = read(choice("a"), choice("b", 1), usage=usage, system_fingerprint="f")
    assert (first.status, first.raw, second.raw) == ("ok", "a", "b")
    assert first.about == {"served": "m", "id": "x", "fingerprint": "f", **usage}
    assert second.about == {}


def test_choices_of_one_index_are_one_and_no_more_are_taken_than_were_asked_for():
    assert [c.raw for c in read(choice("a"), choice("a"), choice("b", 1))] == ["a", "b"]
    assert [c.raw for c in read(choice("a"), choice("b", 1), choice("c", 2), most=2)] == ["a", "b"]
    unnumbered = [{"message": {"content": text}} for text in "ab"]
    assert [c.raw for c in read(*unnumbered)] == ["a", "b"]


@pytest.mark.parametrize(
    "given, status",
    [
        (choice("x", finish="length"), "cut"),
        (choice("x", finish="content_filter"), "refused"),
        (choice(None, refusal="no"), "refused"),
        (choice(None), "empty"),
        (choice(" \n"), "empty"),
        (choice([{"type": "thinking", "thinking": "?"}, {"type": "text", "text": "x"}]), "ok"),
        (choice([{"type": "thinking", "thinking": "?"}]), "empty"),
    ],
)
def test_answers_that_say_nothing_are_answers(given, status):
    assert read(given)[0].status == status


@pytest.mark.parametrize("content", [3, True, {"a": 1}])
def test_a_message_that_is_no_text_is_an_error(content):
    assert read(choice(content)).status == "malformed"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"choices": [{"mess',
        b"<html>busy</html>",
        [],
        {},
        {"choices": []},
        {"choices": None},
        {"choices": [3]},
        {"choices": [{"text": "x"}]},
        {"error": {"message": "overloaded"}, "choices": [choice()]},
    ],
)
def test_a_reply_without_an_answer_is_an_error(body):
    assert read_reply(reply(body), 1).status == "malformed"


def test_an_http_error_says_what_the_server_said():
    failure = read_reply(reply({"error": {"message": "no such model"}}, 404), 1)
    assert failure == Failure("http", "404: no such model", 404)
    assert read_reply(reply(b"busy", 503), 1).error == "503: busy"
    filtered = {"error": {"message": "filtered", "code": "content_filter"}}
    assert read_reply(reply(filtered, 400), 1)[0].status == "refused"
