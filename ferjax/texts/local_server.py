"""A local server that speaks OpenAI's protocol, answers from known distributions, and fails on
request.

For trying things out and for tests: no network, no model. Faults come at random with the shares
they are given, independent of the answer, so that what is left of the answers is as it would have
been without them.
"""

import json
import math
import random
import socket
import struct
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple

from ferjax.texts.prompting import LETTERS

__all__ = ["ALL_FAULTS", "Faults", "LocalServer", "Shares"]

Shares = Callable[[str, str, float], Mapping[str, float]]
"""``shares(text, model, temperature)``: the probability of each label."""


class Faults(NamedTuple):
    """How often what goes wrong, each a share of the requests, or of the answers.

    The first seven spoil a whole request, the next two its choices, the others an answer.
    """

    limited: float = 0.0
    """429 with Retry-After."""
    error: float = 0.0
    """500."""
    reset: float = 0.0
    """The connection is reset."""
    hang: float = 0.0
    """No answer until the client gives up."""
    cut: float = 0.0
    """The reply breaks off."""
    broken: float = 0.0
    """The reply is whole, and half a JSON object."""
    replay: float = 0.0
    """The reply is that to an earlier request for this text, as from a cache."""
    n_ignored: float = 0.0
    """One choice, however many were asked for."""
    doubled: float = 0.0
    """The first choice stands there twice, with its index."""
    reasoning: float = 0.0
    """A thought that never ends."""
    refusal: float = 0.0
    """The model refuses."""
    empty: float = 0.0
    """An answer of no characters, or null."""
    unknown: float = 0.0
    """Names that are no label."""
    no_strings: float = 0.0
    """Numbers and nulls for names."""


ALL_FAULTS = Faults(*[0.004, 0.02, 0.02, 0.002, 0.02, 0.02, 0.01, 0.05, 0.05], *[0.03] * 5)
"""Some of everything: about a tenth of the requests fails, and a seventh of the answers."""

_UNUSABLE = {
    "reasoning": ("<think>They could mean joy, or rather", "stop"),
    "refusal": ("I cannot help with that.", "stop"),
    "empty": ("", "stop"),
    "unknown": ('["bliss", "zeal"]', "stop"),
    "no_strings": ("[3, null, true]", "stop"),
}


class LocalServer:
    """Serves on a free port of this machine while it is open; use it as a context.

    Args:
      shares: what a model answers; a text that it raises KeyError for is refused with 400.
      faults: what goes wrong.
      seed: of answers and faults.
      most_n: choices in a reply at most; more are refused with 400, as by llama.cpp.
      multi: whether an answer names every label with its probability, and not one of them.
      port: a given one instead of a free one.

    Attributes:
      counts: what happened to requests and answers, by name; ``answers`` are those sent whole.
    """

    def __init__(
        self,
        shares: Shares,
        faults: Faults = Faults(),  # noqa: B008 - immutable
        *,
        seed: int = 0,
        most_n: int = 64,
        multi: bool = False,
        port: int = 0,
    ):
        self.shares = shares
        self.faults = faults
        self.most_n = most_n
        self.multi = multi
        self.counts: Counter = Counter()
        self.replies: dict[Any, bytes] = {}
        self._dice = random.Random(seed)
        self._lock = threading.Lock()
        self._closing = threading.Event()

        class Handler(_Handler):
            server_of = self

        self._http = _Http(("127.0.0.1", port), Handler)

    @property
    def base_url(self) -> str:
        """What clients are given."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> "LocalServer":
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()

    def wait(self, seconds: float) -> None:
        """Hangs, but not beyond the server's own end."""
        self._closing.wait(seconds)

    def draw(self, names: Sequence[str], count: bool = True) -> str | None:
        """Which of these faults happens now, if any; never two."""
        with self._lock:
            at = self._dice.random()
            for name in names:
                at -= getattr(self.faults, name)
                if at < 0:
                    if count:
                        self.counts[name] += 1
                    return name
        return None

    def answer(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Choices for a request.

        Raises:
          KeyError: if its text is none that is known.
        """
        system = " ".join(m["content"] for m in body["messages"] if m["role"] == "system")
        text = body["messages"][-1]["content"]
        shares = self.shares(text, body["model"], float(body.get("temperature", 1.0)))
        choices = []
        for index in range(int(body.get("n", 1))):
            if body.get("logprobs"):
                choices.append({"index": index, **_letters(shares, system)})
                continue
            spoilt = self.draw(("reasoning", "refusal", "empty", "unknown", "no_strings"))
            with self._lock:
                said = _stated(shares) if "hundred" in system else self._sampled(shares)
            content, finish = (said, "stop") if spoilt is None else _UNUSABLE[spoilt]
            message: dict[str, Any] = {"role": "assistant", "content": content}
            if spoilt == "refusal":
                message["refusal"] = content
            if spoilt == "empty" and index % 2:
                message["content"] = None
            choices.append({"index": index, "message": message, "finish_reason": finish})
        return choices

    def _sampled(self, shares: Mapping[str, float]) -> str:
        names = list(shares)
        if self.multi:
            chosen = [name for name in names if self._dice.random() < shares[name]]
        else:
            chosen = self._dice.choices(names, weights=list(shares.values()))
        answer = json.dumps(chosen)
        forms = ("{}", "{}", "{}", "```json\n{}\n```", "<think>Well.</think>\n{}", "Answer: {}")
        return self._dice.choice(forms).format(answer)


def _stated(shares: Mapping[str, float]) -> str:
    return json.dumps({name: round(100 * share, 2) for name, share in shares.items()})


def _letters(shares: Mapping[str, float], system: str) -> dict[str, Any]:
    """The first token's probabilities, by the letters that the prompt gives the labels."""
    named = dict(line.split(": ", 1) for line in system.splitlines() if line[1:3] == ": ")
    likely = sorted(((shares[name], letter) for letter, name in named.items()), reverse=True)
    assert all(letter in LETTERS for letter in named)
    top = [{"token": letter, "logprob": math.log(p)} for p, letter in likely[:20] if p > 0]
    return {
        "message": {"role": "assistant", "content": likely[0][1]},
        "finish_reason": "length",
        "logprobs": {"content": [{**top[0], "top_logprobs": top}]},
    }


def _asked(body: Mapping[str, Any]) -> tuple:
    """What a cache that overlooks seeds knows a request by."""
    return (body["model"], body["messages"][-1]["content"], body.get("temperature"))


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients go when they like."""


class _Handler(BaseHTTPRequestHandler):
    server_of: LocalServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        """The list of models."""
        self._reply(200, {"object": "list", "data": [{"id": "local"}]})

    def do_POST(self) -> None:
        """A chat completion, or a fault."""
        server = self.server_of
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.counts["requests"] += 1
        fault = server.draw(("limited", "error", "reset", "hang", "cut", "broken"))
        if fault is None and server.draw(("replay",), count=False):
            fault = "replay"
        if fault == "limited":
            self._reply(429, {"error": {"message": "too fast"}}, {"Retry-After": "1"})
        elif fault == "error":
            self._reply(500, {"error": {"message": "a fault of the server"}})
        elif fault == "reset":
            # Lingering for no time makes the system send a reset instead of an end.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            self.close_connection = True
        elif fault == "hang":
            server.wait(3600)
            self.close_connection = True
        elif fault == "replay" and _asked(body) in server.replies:
            server.counts["replay"] += 1
            self._send(200, server.replies[_asked(body)])
        else:
            self._answer(body, fault)

    def _answer(self, body: dict[str, Any], fault: str | None) -> None:
        server = self.server_of
        if int(body.get("n", 1)) > server.most_n:
            self._reply(400, {"error": {"message": f"n must be at most {server.most_n}"}})
            return
        try:
            choices = server.answer(body)
        except KeyError as error:
            self._reply(400, {"error": {"message": f"unknown text {error}"}})
            return
        if server.draw(("n_ignored",), count=len(choices) > 1):
            choices = choices[:1]
        if server.draw(("doubled",)):
            choices.insert(1, choices[0])
        reply = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",  # unlike those of a server of the same seed
            "object": "chat.completion",
            "created": int(time.time()),
            "model": body["model"],
            "choices": choices,
            "usage": {"prompt_tokens": 100, "completion_tokens": 8 * len(choices)},
        }
        data = json.dumps(reply).encode()
        if fault == "cut":
            self._send(200, data[: len(data) // 2], length=len(data))
            self.close_connection = True
        elif fault == "broken":
            self._send(200, data[: len(data) // 2])
        else:
            server.counts["answers"] += len(choices)
            server.replies[_asked(body)] = data
            self._send(200, data)

    def _reply(
        self, status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None
    ) -> None:
        self._send(status, json.dumps(body).encode(), headers)

    def _send(
        self,
        status: int,
        data: bytes,
        headers: Mapping[str, str] | None = None,
        length: int | None = None,
    ) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data) if length is None else length))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True  # the client is gone
