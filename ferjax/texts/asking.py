"""One request for a group of slots: the body that is sent, and the lines that come of the reply."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from ferjax.config import CollectConfig
from ferjax.texts import slots as grids
from ferjax.texts.client import Client, NoReply
from ferjax.texts.items import Texts
from ferjax.texts.prompting import Prompt, messages
from ferjax.texts.replies import Choice, Failure, read_reply
from ferjax.texts.slots import Slot

__all__ = ["Outcome", "Question", "Replays", "ask", "lines"]


class Question(NamedTuple):
    """What is the same for every request of a collection."""

    config: CollectConfig
    prompt: Prompt
    texts: Texts

    def order(self, slot: Slot) -> list[int] | None:
        """The order in which the slot's labels are named; None for the configured one."""
        permuted = self.config.permute_labels
        return grids.label_order(slot, len(self.config.labels)) if permuted else None

    def body(self, group: Sequence[Slot], dialect: "Dialect") -> dict[str, Any]:
        """The request for a group of slots that differ in their sample alone."""
        c = self.config
        slot = group[0]
        order = self.order(slot)
        labels = c.labels if order is None else [c.labels[k] for k in order]
        text = self.texts.texts[slot.item]
        body: dict[str, Any] = {
            "model": slot.model,
            "messages": messages(self.prompt, text, labels, c.none_label),
            "temperature": slot.temperature,
            dialect.max_tokens: 1 if c.ask == "logprobs" else c.max_tokens,
        }
        if dialect.seed:
            body["seed"] = grids.seed_of(slot)
        if c.top_p is not None:
            body["top_p"] = c.top_p
        if len(group) > 1:
            body["n"] = len(group)
        if c.ask == "logprobs":
            body["logprobs"] = True
            body["top_logprobs"] = 20
        elif c.json_schema:
            named = {"name": "answer", "strict": True, "schema": grids.schema(c)}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return {**body, **c.extra}


class Dialect(NamedTuple):
    """What servers name or take differently."""

    max_tokens: str = "max_tokens"
    seed: bool = True


class Outcome(NamedTuple):
    """What came of a request."""

    group: list[Slot]
    attempt: int
    sent: float
    """When it started, on the clock of :func:`time.monotonic`."""
    seconds: float
    result: list[Choice] | Failure
    retry_after: float | None = None


def ask(
    client: Client, question: Question, group: list[Slot], attempt: int, dialect: Dialect
) -> Outcome:
    """Sends one request and takes its reply apart; raises nothing that a server could cause."""
    sent = time.monotonic()
    try:
        reply = client.chat(question.body(group, dialect))
    except NoReply as error:
        failure = Failure(error.kind, str(error))
        return Outcome(group, attempt, sent, time.monotonic() - sent, failure)
    result = read_reply(reply, len(group))
    if isinstance(result, Failure):
        result = result._replace(error=client.without_key(result.error))
    return Outcome(group, attempt, sent, reply.seconds, result, reply.retry_after)


class Replays:
    """Notices a reply that was given before, as a cache between model and collector gives it.

    Two slots with one answer between them are one sample counted twice. Servers whose ids repeat
    with other contents have no ids worth looking at, and are left alone.
    """

    def __init__(self) -> None:
        self._seen: dict[Any, Any] = {}
        self._telling = True

    def seen_before(self, choice: Choice) -> bool:
        """Whether the reply that begins with this choice came before; remembers it."""
        known = choice.about.get("id")
        return bool(known) and self.remember(known, choice.about.get("created"), choice.raw)

    def remember(self, known: Any, created: Any, raw: str) -> bool:
        """Remembers a reply by its id, time and first answer; whether it was there before."""
        signature = (created, raw)
        before = self._seen.setdefault(known, signature)
        if before is signature:
            return False
        self._telling = self._telling and before == signature
        return self._telling and len(self._seen) > 1


def lines(question: Question, outcome: Outcome) -> list[dict[str, Any]]:
    """The lines that the store gets of an outcome: one for each slot that has an answer or an
    error."""
    written = []
    result = outcome.result
    for number, slot in enumerate(outcome.group):
        line: dict[str, Any] = {
            "key": slot.key,
            "item": question.texts.ids[slot.item],
            "model": slot.model,
            "temperature": slot.temperature,
            "sample": slot.sample,
            "prompt": slot.prompt,
            "attempt": outcome.attempt,
            "seconds": round(outcome.seconds, 3),
            "time": round(time.time(), 3),
        }
        order = question.order(slot)
        if order is not None:
            line["order"] = order
        if isinstance(result, Failure):
            line |= {"status": result.status, "error": result.error}
            if result.code is not None:
                line["code"] = result.code
        elif number < len(result):
            choice = result[number]
            line |= {"status": choice.status, "raw": choice.raw, **choice.about}
            if choice.finish_reason is not None:
                line["finish_reason"] = choice.finish_reason
            if choice.logprobs is not None:
                line["logprobs"] = choice.logprobs
        else:
            continue  # fewer choices than asked for: that slot stays open
        written.append(line)
    return written
