"""Replies of a server, taken apart: choices that are answers, or why there is none. Pure."""

from typing import Any, NamedTuple

from ferjax.files import parse_json
from ferjax.texts.client import Reply

__all__ = ["Choice", "Failure", "read_reply"]


class Choice(NamedTuple):
    """One answer of a model, as the server gave it."""

    status: str
    """``ok``, ``refused``, ``empty`` or ``cut``."""
    raw: str
    finish_reason: str | None
    logprobs: Any
    """The first token's most likely alternatives, where they were asked for."""
    about: dict[str, Any]
    """Served model, fingerprint, id and tokens; those of the whole reply with its first choice."""


class Failure(NamedTuple):
    """Why no answer came."""

    status: str
    """``http``, ``malformed``."""
    error: str
    code: int | None = None
    """HTTP status, where that was the reason."""


def read_reply(reply: Reply, most: int) -> list[Choice] | Failure:
    """The answers in a reply.

    Args:
      reply: of a chat completion.
      most: choices that were asked for; further ones are left, and so are repetitions of one index.

    Returns:
      At least one choice, or :class:`Failure`.
    """
    try:
        body = parse_json(reply.body)
    except ValueError:
        body = None
    if reply.status != 200:
        text, code = _error(body, reply.body)
        if code in ("content_filter", "content_policy_violation"):
            return [Choice("refused", "", code, None, {"error": text})]
        return Failure("http", f"{reply.status}: {text}", reply.status)
    if not isinstance(body, dict):
        return Failure("malformed", "the reply is no JSON object (cut off?)")
    if body.get("error"):
        return Failure("malformed", f"an error in a reply: {_error(body, reply.body)[0]}")
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        return Failure("malformed", "a reply without choices")
    read: dict[Any, Choice] = {}
    for number, choice in enumerate(choices):
        answer = _choice(choice)
        if answer is None:
            return Failure("malformed", "a choice without a message of text")
        index = choice.get("index")
        read.setdefault(number if not isinstance(index, int) else index, answer)
    first, *others = list(read.values())[:most]
    return [first._replace(about=_about(body)), *others]


def _choice(choice: Any) -> Choice | None:
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return None
    finish = choice.get("finish_reason")
    finish = finish if isinstance(finish, str) else None
    content = message.get("content")
    refusal = message.get("refusal")
    if isinstance(content, list):
        content = _joined(content)
    if isinstance(refusal, str) and refusal:
        return Choice("refused", content or refusal, finish, None, {})
    if content is None:
        content = ""
    if not isinstance(content, str):
        return None
    logprobs = choice.get("logprobs")
    tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
    first = tokens[0] if isinstance(tokens, list) and tokens else None
    top = first.get("top_logprobs") if isinstance(first, dict) else None
    if finish == "content_filter":
        status = "refused"
    elif finish == "length" and top is None:
        status = "cut"
    else:
        status = "ok" if content.strip() else "empty"
    return Choice(status, content, finish, top, {})


def _joined(parts: list) -> str | None:
    """The text of a message in parts; parts of another type (reasoning) are no answer."""
    inside = [p.get("text") for p in parts if isinstance(p, dict) and p.get("type") == "text"]
    texts = [text for text in inside if isinstance(text, str)]
    return "".join(texts) if texts and len(texts) == len(inside) else None


def _about(body: dict[str, Any]) -> dict[str, Any]:
    usage = body.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    found = {
        "served": body.get("model"),
        "fingerprint": body.get("system_fingerprint"),
        "id": body.get("id"),
        "created": body.get("created"),
        "prompt_tokens": usage.get("prompt_tokens"),
        "completion_tokens": usage.get("completion_tokens"),
    }
    return {name: value for name, value in found.items() if isinstance(value, str | int | float)}


def _error(body: Any, raw: bytes) -> tuple[str, Any]:
    """What an error says, and its code."""
    error = body.get("error", body) if isinstance(body, dict) else None
    if isinstance(error, dict):
        return str(error.get("message") or error)[:500], error.get("code")
    return (str(error) if error else raw.decode(errors="replace").strip())[:500], None
