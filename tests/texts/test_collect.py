"""Collecting: every slot once, errors never counted, and what cannot go on said at once."""

import dataclasses
import json
import os
import signal
import threading
import time

import numpy as np
import pytest

from benchmarks.collection import agreement, check, run, shares_of
from ferjax.cli import main
from ferjax.config import CollectConfig
from ferjax.interruption import Interrupted
from ferjax.texts import world as worlds
from ferjax.texts.answers import judgments_of
from ferjax.texts.client import Client
from ferjax.texts.collect import ServerRefuses, collect
from ferjax.texts.local_server import ALL_FAULTS, Faults, LocalServer
from ferjax.texts.store import ANSWERED, read_answers
from ferjax.texts.throttle import Pace
from ferjax.texts.world import LABELS

WORLD = worlds.make(20, 0)
SHARES = shares_of(WORLD)
CONFIG = CollectConfig("", LABELS, kind="single", temperatures=(0.7, 1.0), samples=5)


def ask(server, folder, config=CONFIG, models=("right",), timeout=0.5, key=None, **pace):
    client = Client(server.base_url, key, timeout)
    return collect(config, WORLD.texts, models, client, folder, pace=Pace(**pace))


def answered(folder):
    return [line for line in read_answers(folder) if line["status"] in ANSWERED]


def test_all_faults_at_once(tmp_path):
    faults = ALL_FAULTS._replace(limited=0.0, hang=0.01)  # the latter are waited for
    with LocalServer(SHARES, faults) as server:
        done = ask(server, tmp_path / "a", models=("right", "constant"), at_once=16)
        requests = server.counts["requests"]
        again = ask(server, tmp_path / "a", models=("right", "constant"))
        assert server.counts["requests"] == requests
    assert (done.answered, again.requests) == (400, 0)
    assert check(tmp_path / "a", WORLD, 400)["wrong"] == []


def test_a_request_for_several_samples_where_the_server_gives_them(tmp_path):
    with LocalServer(SHARES) as server:
        assert ask(server, tmp_path / "n").requests == 40
        assert ask(server, tmp_path / "one", several=False).requests == 200
    # llama.cpp refuses more than its slots with 400; others give one whatever they are asked
    with LocalServer(SHARES, most_n=2) as server:
        done = ask(server, tmp_path / "two")
        assert (done.answered, 100 <= done.requests < 150) == (200, True)
    with LocalServer(SHARES, Faults(n_ignored=1.0)) as server:
        done = ask(server, tmp_path / "ignored")
        assert (done.answered, done.requests) == (200, 200)
    for name in ("n", "one", "two", "ignored"):
        judgments = judgments_of(tmp_path / name).judgments
        assert (judgments.answered == 5).all()
        # The server counts 100 tokens a prompt and 8 an answer.
        fewest = 140 if name == "n" else 540 if name in ("one", "ignored") else 340
        assert (judgments.tokens >= fewest).all()
        assert name == "two" or (judgments.tokens == fewest).all()
        assert (abs(agreement(judgments, WORLD)[0]) < 4.5).all()


def test_what_is_missing_is_asked_and_nothing_else(tmp_path):
    with LocalServer(SHARES) as server:
        assert ask(server, tmp_path, several=False, most_requests=30).answered == 30
        first = {line["key"]: line["raw"] for line in answered(tmp_path)}
        assert len({line["item"] for line in answered(tmp_path)}) > 10  # a random part of the grid
        more = dataclasses.replace(CONFIG, samples=6)
        assert ask(server, tmp_path, more, several=False).requests == 240 - 30
    lines = {line["key"]: line["raw"] for line in answered(tmp_path)}
    assert len(lines) == len(answered(tmp_path)) == 240
    assert first.items() < lines.items()


def test_errors_are_asked_again_by_the_next_run(tmp_path):
    with LocalServer(SHARES, Faults(error=0.4)) as server:
        done = ask(server, tmp_path, several=False, attempts=1)
    assert 0 < done.answered < 200
    assert done.failed == {"http": 200 - done.answered}
    assert judgments_of(tmp_path).open == 200 - done.answered
    assert judgments_of(tmp_path).judgments.asked.sum() == done.answered
    with LocalServer(SHARES) as server:
        assert ask(server, tmp_path, several=False).requests == 200 - done.answered
    assert judgments_of(tmp_path).open == 0


def test_a_server_that_always_fails_is_given_up(tmp_path):
    with LocalServer(SHARES, Faults(broken=1.0)) as server:
        with pytest.raises(ServerRefuses, match="in a row brought no answer"):
            ask(server, tmp_path, at_once=2)
        assert server.counts["requests"] < 60
    with pytest.raises(ServerRefuses, match="no answer from"):
        ask(server, tmp_path)


class Answering:
    """A client that gives one reply to everything."""

    base_url = "http://there/v1"

    def __init__(self, status, body):
        from ferjax.texts.client import Reply

        self.reply = Reply(status, json.dumps(body).encode(), None, 0.0)
        self.bodies = []

    def chat(self, body):
        self.bodies.append(body)
        return self.reply

    def models(self):
        return self.reply._replace(status=200)

    def close(self):
        pass

    def without_key(self, text):
        return text


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_of_everybody_ends_it_at_once(tmp_path, status):
    client = Answering(status, {"error": {"message": "not you"}})
    with pytest.raises(ServerRefuses, match=f"{status}: not you"):
        collect(CONFIG, WORLD.texts, ("m",), client, tmp_path)
    assert len(client.bodies) <= 8


def test_a_field_of_another_name(tmp_path):
    client = Answering(400, {"error": {"message": "use max_completion_tokens instead"}})
    pace = Pace(several=False, at_once=1, most_requests=5)
    collect(CONFIG, WORLD.texts, ("m",), client, tmp_path, pace=pace)
    assert "max_tokens" in client.bodies[0]
    assert "max_completion_tokens" in client.bodies[-1]


def test_ctrl_c_waits_for_what_is_in_flight_and_keeps_it(tmp_path):
    def slowly(*words):
        time.sleep(0.05)
        return SHARES(*words)

    with LocalServer(slowly) as server:
        threading.Timer(0.4, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(Interrupted, match=r"stopped by SIGINT; \d+ of 200 answers are saved"):
            ask(server, tmp_path, several=False, at_once=4)
        there = len(answered(tmp_path))
        assert 0 < there < 200
        assert server.counts["answers"] == there
        assert ask(server, tmp_path, at_once=32, several=False).answered == 200


@pytest.mark.parametrize("way", ["shares", "logprobs"])
def test_other_ways_of_asking_give_the_distribution_itself(tmp_path, way):
    config = dataclasses.replace(
        CONFIG, ask=way, temperatures=(1.0,), samples=2, permute_labels=True
    )
    with LocalServer(SHARES) as server:
        ask(server, tmp_path, config)
    judgments = judgments_of(tmp_path).judgments
    assert judgments.judges[0].elicitation == way
    shares = judgments.counts[0] / judgments.answered[0][:, None]
    np.testing.assert_allclose(shares, WORLD.truth, atol=3e-4)


def test_sets_of_labels_are_kept_answer_by_answer(tmp_path):
    config = CollectConfig("", ("joy", "anger"), temperatures=(1.0,), samples=3)
    answers = iter(['["joy"]', "[]", "no", '["anger", "joy"]'] * 15)

    class InTurn(Answering):
        def chat(self, body):
            content = {"choices": [{"message": {"content": next(answers)}}]}
            return self.reply._replace(body=json.dumps(content).encode())

    pace = Pace(several=False, at_once=1)
    collect(config, WORLD.texts, ("m",), InTurn(200, {}), tmp_path, pace=pace)
    judgments = judgments_of(tmp_path).judgments
    assert judgments.counts.sum(1).tolist() == [[30, 15]]
    assert judgments.unparsed.sum() == 15
    assert judgments.sets.shape == (1, 20, 3, 2)
    np.testing.assert_array_equal(judgments.sets.sum(2), judgments.counts)


def test_numbers_of_three_scales(tmp_path):
    config = CollectConfig("", ("valence", "arousal"), kind="real", temperatures=(1.0,), samples=3)
    body = {"choices": [{"message": {"content": '{"valence": 4, "arousal": 2.5}'}}]}
    collect(config, WORLD.texts, ("m",), Answering(200, body), tmp_path)
    judgments = judgments_of(tmp_path).judgments
    assert judgments.values.shape == (1, 20, 3, 2)
    assert (judgments.values == [4, 2.5]).all()
    assert judgments.levels == (1, 5)


def test_prompts_and_ways_are_judges_of_their_own(tmp_path):
    own = tmp_path / "short.txt"
    own.write_text("{labels}\n--- user ---\n{text}\n")
    with LocalServer(SHARES) as server:
        for change in ({}, {"prompt": str(own)}, {"ask": "shares"}):
            config = dataclasses.replace(CONFIG, samples=1, temperatures=(1.0,), **change)
            ask(server, tmp_path / "run", config)
    names = [judge.name for judge in judgments_of(tmp_path / "run").judgments.judges]
    assert len(set(names)) == len(names) == 3
    assert sum("short" in name for name in names) == 1


def test_the_key_is_nowhere_on_the_disk(tmp_path):
    with LocalServer(SHARES, Faults(error=0.3)) as server:
        ask(server, tmp_path, key="sk-very-secret")
    for path in tmp_path.iterdir():
        assert b"sk-very-secret" not in path.read_bytes()


@pytest.mark.slow
def test_killed_and_resumed(tmp_path):
    """benchmarks/collection.py, in small."""
    faults = ALL_FAULTS._replace(limited=0.001, hang=0.001)
    found = run(tmp_path, texts=50, kills=2, seed=1, faults=faults)
    assert found["wrong"] == []
    assert found["slots"] == 2000


def test_the_commands(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("A_KEY", "sk-very-secret")
    rows = (json.dumps({"id": i, "text": t}) for i, t in zip(*WORLD.texts))
    (tmp_path / "texts.jsonl").write_text("\n".join(rows))
    config = dataclasses.asdict(CONFIG) | {"texts": str(tmp_path / "texts.jsonl")}
    (tmp_path / "c.json").write_text(json.dumps(config))

    def ferjax(*words):
        with pytest.raises(SystemExit) as exit:
            main(["judge", *map(str, words)])
        shown = capsys.readouterr()
        assert "sk-very-secret" not in shown.out + shown.err
        return exit.value.code, " ".join(shown.out.split()), " ".join(shown.err.split())

    with LocalServer(SHARES) as server:
        words = ["collect", tmp_path / "c.json", "--base-url", server.base_url, "--model", "right"]
        words += ["--out", tmp_path / "run", "--key-env", "A_KEY"]
        code, told, _ = ferjax(*words, "--dry-run", "--price-in", "1", "--price-out", "10")
        assert (code, server.counts["requests"], (tmp_path / "run").exists()) == (0, 0, False)
        assert "200 of 200 answers in about 40 requests" in told
        assert "cost: about 0.04" in told
        code, told, _ = ferjax(*words, "--max-requests", "3")
        assert code == 0
        assert "15 of 200 answers" in told
        code, told, _ = ferjax(*words)
        assert code == 0
        assert f"next: ferjax judge parse {tmp_path / 'run'}" in told
    code, told, _ = ferjax("parse", tmp_path / "run")
    assert code == 0
    assert "200 answers of 2 judges to 20 texts; 0 unparsed" in told
    report = json.loads((tmp_path / "run" / "parsed.json").read_text())
    assert report["answers"] == 200
    code, _, told = ferjax(*words[:-4], "--model", "other", "--out", tmp_path / "run")
    assert code == 3
    assert "no answer from" in told
    code, _, told = ferjax("parse", tmp_path)
    assert (code, "holds no collection.json" in told) == (2, True)
