"""The client: deadlines, connections that end, and a key that nobody gets to see."""

import json
import socket
import threading
import time
from email.message import Message
from email.utils import formatdate

import pytest

from ferjax.texts import client as clients
from ferjax.texts.client import Client, NoReply, key_from_environment
from ferjax.texts.local_server import Faults, LocalServer

BODY = {"model": "m", "messages": [{"role": "user", "content": "x"}]}


def server(**faults):
    return LocalServer(lambda *_: {"joy": 1.0}, Faults(**faults))


def test_a_reply():
    with server() as s, Client(s.base_url) as client:
        first = client.chat(BODY)
        second = client.chat(BODY)
        assert json.loads(first.body)["choices"][0]["message"]["content"]
        assert (first.status, second.status, client.models().status) == (200, 200, 200)
        client.close()
        assert client.chat(BODY).status == 200


@pytest.mark.parametrize(
    "fault, kind", [("hang", "timeout"), ("cut", "malformed"), ("reset", "connection")]
)
def test_no_reply_is_told_by_kind(fault, kind):
    with server(**{fault: 1.0}) as s:
        client = Client(s.base_url, timeout=0.3)
        for _ in range(2):  # a second request is no worse off
            with pytest.raises(NoReply) as failed:
                client.chat(BODY)
            assert failed.value.kind == kind


def drip(listener):
    """Serves one connection a header byte at a time, for longer than any patience."""
    connection, _ = listener.accept()
    connection.recv(65536)
    try:
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X" * 1000:
            connection.sendall(bytes([byte]))
            time.sleep(0.02)
    except OSError:
        pass
    connection.close()


def test_the_deadline_is_for_the_whole_reply():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=drip, args=(listener,), daemon=True).start()
        client = Client(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", timeout=0.3)
        began = time.monotonic()
        with pytest.raises(NoReply) as failed:
            client.chat(BODY)
        assert failed.value.kind == "timeout"
        assert time.monotonic() - began < 3


def test_closing_ends_what_is_in_flight():
    with server(hang=1.0) as s:
        client = Client(s.base_url, timeout=60)
        failed = []

        def wait():
            try:
                client.chat(BODY)
            except NoReply as error:
                failed.append(error.kind)

        thread = threading.Thread(target=wait)
        thread.start()
        while not s.counts["hang"]:
            time.sleep(0.01)
        client.close()
        thread.join(5)
        assert not thread.is_alive()
        assert len(failed) == 1


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NoReply) as failed:
        Client(f"http://127.0.0.1:{port}/v1").chat(BODY)
    assert failed.value.kind == "connection"


def test_the_key_comes_from_the_environment_and_is_never_shown(monkeypatch):
    monkeypatch.setenv("SOME_KEY", " sk-secret \n")
    assert key_from_environment("SOME_KEY") == "sk-secret"
    assert key_from_environment(None) is None
    client = Client("http://127.0.0.1:1/v1", "sk-secret")
    assert client.without_key("Incorrect key sk-secret.") == "Incorrect key [key]."
    for value in ("", "sk secret", "sk-secret\nX: y", "sk-sécret"):
        monkeypatch.setenv("SOME_KEY", value)
        with pytest.raises(ValueError, match="--key-env SOME_KEY") as refused:
            key_from_environment("SOME_KEY")
        assert "cret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        *("127.0.0.1:8080/v1", "ftp://a/v1", "http://", "http://a:b@host/v1"),
        *("http://host:port/v1", "http://host/v1?key=sk-secret"),
    ],
)
def test_other_addresses_are_refused(url):
    with pytest.raises(ValueError, match="--base-url") as refused:
        Client(url)
    assert "secret" not in str(refused.value)


def test_a_key_in_the_clear_is_noticed():
    assert Client("http://example.org/v1", "k").sends_key_in_the_clear
    assert not Client("http://127.0.0.1/v1", "k").sends_key_in_the_clear
    assert not Client("http://localhost/v1", "k").sends_key_in_the_clear
    assert not Client("https://example.org/v1", "k").sends_key_in_the_clear
    assert not Client("http://example.org/v1").sends_key_in_the_clear


@pytest.mark.parametrize(
    "name, value, expected",
    [
        ("Retry-After", "7", 7.0),
        ("Retry-After", "0.25", 0.25),
        ("retry-after-ms", "250", 0.25),
        ("Retry-After", "-3", 0.0),
        ("Retry-After", "soon", None),
        ("Retry-After", "nan", None),
        ("Retry-After", "inf", None),
    ],
)
def test_how_long_to_wait(name, value, expected):
    headers = Message()
    headers[name] = value
    assert clients._retry_after(headers) == expected


def test_how_long_to_wait_as_a_date():
    headers = Message()
    headers["Retry-After"] = formatdate(time.time() + 30, usegmt=True)
    assert 27 < clients._retry_after(headers) <= 30


def test_proxies_of_the_environment_but_never_for_this_machine(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    assert clients._proxy("http", "models.example") == ("proxy.example", 3128)
    assert clients._proxy("http", "127.0.0.1") is None
    monkeypatch.setenv("no_proxy", "models.example")
    assert clients._proxy("http", "models.example") is None
