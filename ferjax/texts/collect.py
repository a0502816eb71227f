"""Collecting answers of language models: every slot of a grid asked once, whatever happens.

The main thread owns the store, the order and the pace; threads only send requests. Answers are on
the disk before they count; errors are asked again, now and by the next run, and never counted.
"""

import heapq
import queue
import random
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ferjax.config import CollectConfig
from ferjax.events import Message, OnEvent, Progress, silent
from ferjax.interruption import Interrupted, Stop
from ferjax.texts.asking import Dialect, Outcome, Question, Replays, ask, lines
from ferjax.texts.client import Client, NoReply
from ferjax.texts.items import Texts
from ferjax.texts.prompting import load_prompt, prompt_hash
from ferjax.texts.replies import Failure
from ferjax.texts.slots import Slot, grid, group
from ferjax.texts.store import ANSWERED, Store, read_answers
from ferjax.texts.throttle import Pace, Throttle, backoff

__all__ = ["Collected", "ServerRefuses", "collect", "describe"]

_GRACE = 20.0  # seconds that requests in flight get to finish after a signal
_SHORT = 3  # replies in a row with too few choices, after which fewer are asked for
_BUSY = (429, 503, 529)
_HOPELESS = {
    401: "give the key's environment variable with --key-env",
    403: "give the key's environment variable with --key-env",
    404: "see --model and --base-url (it ends in /v1 for most servers)",
}


class Collected(NamedTuple):
    """What a run of the collector did."""

    slots: int
    """In the grid."""
    answered: int
    """Of them, by this run or an earlier one."""
    requests: int
    """Sent by this run."""
    failed: Counter
    """Failed attempts of this run, by status."""


class ServerRefuses(Exception):
    """Asking on makes no sense: the server refuses everybody, or no longer answers."""


def describe(config: CollectConfig) -> dict[str, Any]:
    """What the folder says of the question, see :mod:`ferjax.texts.store`."""
    prompt = load_prompt(config)
    asked = {**prompt._asdict(), "ask": config.ask}
    return {
        "kind": config.kind,
        "labels": list(config.labels),
        "none_label": config.none_label,
        "levels": list(config.levels),
        "synonyms": dict(config.synonyms),
        "prompts": {prompt_hash(prompt, config): asked},
    }


def collect(
    config: CollectConfig,
    texts: Texts,
    models: Sequence[str],
    client: Client,
    folder: Path,
    *,
    pace: Pace = Pace(),  # noqa: B008 - immutable
    on_event: OnEvent = silent,
) -> Collected:
    """Asks for every answer of the grid that the folder does not hold yet.

    Args:
      config: what is asked.
      texts: the texts.
      models: names of the models, all on one server.
      client: the server.
      folder: of the answers, see :mod:`ferjax.texts.store`.
      pace: how fast, and how often again.
      on_event: told how far it is.

    Raises:
      ValueError: if the folder holds answers to another question.
      FileExistsError: if it holds something else, or a live process collects into it.
      ServerRefuses: if the server refuses everybody or answers no more; all answers are saved.
      Interrupted: if SIGTERM or Ctrl-C came; all answers are saved.
    """
    prompt = load_prompt(config)
    question = Question(config, prompt, texts)
    slots = grid(config, prompt_hash(prompt, config), texts, models)
    with Store(folder, describe(config), texts) as store, Stop() as stop:
        loop = _Loop(question, slots, client, store, pace, stop, on_event)
        loop.run()
    return loop.done()


class _Loop:
    def __init__(
        self,
        question: Question,
        slots: list[Slot],
        client: Client,
        store: Store,
        pace: Pace,
        stop: Stop,
        on_event: OnEvent,
    ):
        self.question = question
        self.slots = slots
        self.client = client
        self.store = store
        self.pace = pace
        self.stop = stop
        self.on_event = on_event
        self.dialect = Dialect(seed=pace.seeds)
        self.throttle = Throttle(pace.at_once, pace.per_minute)
        self.dice = random.Random()
        self.replays = Replays()
        self.failed: Counter = Counter()
        self.last_error = ""
        self.requests = 0
        self.in_flight = 0
        self.short = 0
        self.in_vain = 0  # outcomes without an answer since the last one with
        self.answered = sum(slot.key in store.answered for slot in slots)
        self.before = self.answered
        self.began = time.monotonic()
        missing = [slot for slot in slots if slot.key not in store.answered]
        alone = question.config.permute_labels or question.config.ask == "logprobs"
        self.most = 1 if alone or not pace.several else question.config.samples
        self.waiting = deque((each, 1) for each in group(missing, self.most))
        self.again: list[tuple[float, int, list[Slot], int]] = []  # a heap, by time
        self.tie = 0
        self.jobs: queue.SimpleQueue = queue.SimpleQueue()
        self.outcomes: queue.SimpleQueue = queue.SimpleQueue()
        self.threads = 0

    def run(self) -> None:
        left = len(self.slots) - self.answered
        self.on_event(
            Message(
                f"{len(self.slots):,} answers wanted, {self.answered:,} there, {left:,} to ask for"
            )
        )
        if not left:
            return
        self._check_server()
        self._remember_replies()
        self.stop.graceful = True  # from here on a signal is looked for
        try:
            while self._unfinished():
                self._send()
                self._take(self._patience())
                self._tell()
            self._settle()
        finally:
            self.client.close()
            for _ in range(self.threads):
                self.jobs.put(None)
        if self.stop.received is not None and self.answered < len(self.slots):
            raise Interrupted(
                self.stop.received or signal.SIGTERM,
                f"{self.answered:,} of {len(self.slots):,} answers are saved",
            )

    def done(self) -> Collected:
        return Collected(len(self.slots), self.answered, self.requests, self.failed)

    def _check_server(self) -> None:
        """One cheap request first, so that a wrong address or key is told at once."""
        try:
            reply = self.client.models()
        except NoReply as error:
            raise ServerRefuses(f"no answer from {self.client.base_url}: {error}") from error
        if reply.status in (401, 403):
            raise ServerRefuses(
                f"{self.client.base_url} refuses: {reply.status}; {_HOPELESS[reply.status]}"
            )

    def _remember_replies(self) -> None:
        """Replies of earlier runs must not come again either."""
        if not self.before:
            return
        for line in read_answers(self.store.folder):
            if line["status"] in ANSWERED and line.get("id"):
                self.replays.remember(line["id"], line.get("created"), line.get("raw", ""))

    def _unfinished(self) -> bool:
        if self.stop.received is not None:
            return False
        if self.pace.most_requests is not None and self.requests >= self.pace.most_requests:
            return False
        return bool(self.waiting or self.again or self.in_flight)

    def _send(self) -> None:
        """Starts what may start now."""
        while self.waiting or self.again:
            now = time.monotonic()
            if self.throttle.wait(self.in_flight, now) != 0.0:
                return
            if self.pace.most_requests is not None and self.requests >= self.pace.most_requests:
                return
            if self.again and self.again[0][0] <= now:
                _, _, slots, attempt = heapq.heappop(self.again)
            elif self.waiting:
                slots, attempt = self.waiting.popleft()
            else:
                return
            if len(slots) > self.most:  # the server gives fewer at once than was thought
                self.waiting.appendleft((slots[self.most :], attempt))
                slots = slots[: self.most]
            if self.threads <= self.in_flight:
                threading.Thread(target=self._work, daemon=True).start()
                self.threads += 1
            self.throttle.sent(now)
            self.in_flight += 1
            self.requests += 1
            self.jobs.put((slots, attempt))

    def _work(self) -> None:
        """A thread: requests, one after another."""
        while (job := self.jobs.get()) is not None:
            slots, attempt = job
            try:
                outcome = ask(self.client, self.question, slots, attempt, self.dialect)
            except Exception as error:  # a fault of ours must not leave the main thread waiting
                self.outcomes.put(error)
            else:
                self.outcomes.put(outcome)

    def _take(self, patience: float) -> None:
        """Waits for outcomes, at most so many seconds; writes all that are there."""
        came: list[Any] = []
        try:
            came.append(self.outcomes.get(timeout=patience))
            while True:
                came.append(self.outcomes.get_nowait())
        except queue.Empty:
            pass
        written: list[dict[str, Any]] = []
        refusal: Exception | None = None
        for outcome in came:
            self.in_flight -= 1
            try:
                if isinstance(outcome, Exception):
                    raise outcome
                written += self._judge(outcome)
            except Exception as error:  # what else came is written first
                refusal = error
        if written:
            self.store.append(written)
            self.answered += sum(line["status"] in ANSWERED for line in written)
        if refusal is not None:
            raise refusal
        if self.in_vain >= max(20, 4 * self.pace.at_once):
            raise ServerRefuses(
                f"{self.in_vain} requests in a row brought no answer, the last: {self.last_error}"
            )

    def _patience(self) -> float:
        """Seconds until the next request may start, at most half of one: signals are looked for."""
        now = time.monotonic()
        wait = self.throttle.wait(self.in_flight, now)
        if wait is None:
            return 0.5  # until something comes, or a signal
        due = 0.0 if self.waiting else self.again[0][0] - now if self.again else 0.5
        return min(0.5, max(wait, due, 0.001))

    def _judge(self, outcome: Outcome) -> list[dict[str, Any]]:
        """What an outcome means for pace and order; returns the lines to write."""
        result = outcome.result
        if not isinstance(result, Failure) and self.replays.seen_before(result[0]):
            result = Failure("replayed", "the reply was given before; is there a cache between?")
            outcome = outcome._replace(result=result)
        if isinstance(result, Failure):
            return self._failed(outcome, result)
        self.in_vain = 0
        self.throttle.answered()
        left = outcome.group[len(result) :]
        if len(outcome.group) > 1:
            self.short = self.short + 1 if left else 0
        if self.short >= _SHORT:
            self.most = max(1, min(self.most, len(result)))
        if left:
            self.waiting.appendleft((left, outcome.attempt))
        return lines(self.question, outcome)

    def _failed(self, outcome: Outcome, failure: Failure) -> list[dict[str, Any]]:
        self.failed[failure.status] += 1
        self.last_error = failure.error
        if failure.code in _HOPELESS or "insufficient_quota" in failure.error:
            raise ServerRefuses(
                f"{self.client.base_url} refuses: {failure.error}"
                + (f"; {_HOPELESS[failure.code]}" if failure.code in _HOPELESS else "")
            )
        self.in_vain += 1
        busy = failure.code in _BUSY
        if busy or failure.status == "timeout":
            self.throttle.overloaded(outcome.sent, time.monotonic(), outcome.retry_after)
        if failure.code in (400, 422) and self._adapts(outcome, failure):
            self.waiting.appendleft((outcome.group, outcome.attempt))
            return []  # the request was wrong, not the slot
        counts = not (busy and outcome.retry_after is not None)
        attempt = outcome.attempt + counts
        for_good = failure.code is not None and 400 <= failure.code < 500 and not busy
        if (failure.code == 408 or not for_good) and attempt <= self.pace.attempts:
            wait = (outcome.retry_after or 0.0) + backoff(outcome.attempt, self.dice)
            self.tie += 1
            heapq.heappush(self.again, (time.monotonic() + wait, self.tie, outcome.group, attempt))
        return lines(self.question, outcome)

    def _adapts(self, outcome: Outcome, failure: Failure) -> bool:
        """Whether asking otherwise may help: fewer samples at once, another name of a field."""
        if len(outcome.group) > 1:
            self.most = max(1, min(self.most, len(outcome.group) // 2))
            return True
        other = "max_completion_tokens"
        if other in failure.error and self.dialect.max_tokens != other:
            self.dialect = self.dialect._replace(max_tokens=other)
            return True
        return False

    def _settle(self) -> None:
        """Lets requests in flight finish, for a while where a signal came: they are paid for."""
        if not self.in_flight:
            return
        if self.stop.received is not None:
            self.on_event(Message(f"waiting for {self.in_flight} requests in flight"))
        until = time.monotonic() + (_GRACE if self.stop.received is not None else float("inf"))
        while self.in_flight and time.monotonic() < until:
            self._take(0.2)

    def _tell(self) -> None:
        rate = (self.answered - self.before) / max(time.monotonic() - self.began, 1e-9)
        errors = sum(self.failed.values())
        note = f"{rate:.1f} answers/s, {self.in_flight} at once, {errors} errors"
        self.on_event(Progress("asking", self.answered / len(self.slots), note))
