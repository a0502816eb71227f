"""From a raw answer to labels, numbers or shares. Pure, and repeatable: raw answers are kept whole.

What cannot be read is *unparsed*, and never stands for a label. Labels are taken by their names,
apart from case and surrounding blanks, and by the synonyms that are listed; nothing else is guessed
at. Names that are no label are left out and counted; where nothing remains, or nothing but the
label that means no other applies, the answer is unparsed.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ferjax.config import CollectConfig
from ferjax.texts.prompting import LETTERS

__all__ = ["Answer", "Vocabulary", "parse", "without_reasoning"]

_TAGS = "think|thinking|thought|reasoning|reason|analysis|scratchpad"
_REASONING = re.compile(rf"<({_TAGS})\b[^>]*>.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_UNOPENED = re.compile(rf"^.*</({_TAGS})\s*>", re.DOTALL | re.IGNORECASE)
_UNCLOSED = re.compile(rf"<({_TAGS})\b[^>]*>.*$", re.DOTALL | re.IGNORECASE)
_FINAL_CHANNEL = re.compile(r"^.*<\|channel\|>\s*final\s*<\|message\|>", re.DOTALL)
_OTHER_CHANNEL = re.compile(r"<\|channel\|>(?!\s*final).*$", re.DOTALL)
_SPECIAL = re.compile(r"<\|[a-z_]+\|>")
_KEYS = ("labels", "emotions", "label", "emotion", "answer", "categories", "category", "result")


class Vocabulary(NamedTuple):
    """What answers may hold."""

    kind: str
    """``multi``, ``single`` or ``real``."""
    labels: tuple[str, ...]
    """Classes, or dimensions where the kind is real."""
    none_label: str
    levels: tuple[float, float]
    known: Mapping[str, int]
    """Case-folded names and synonyms, to numbers of labels."""

    @classmethod
    def of(cls, config: CollectConfig | Mapping[str, Any]) -> "Vocabulary":
        """From a configuration, or from a collection's description."""
        if isinstance(config, CollectConfig):
            config = vars(config)
        labels = tuple(config["labels"])
        number = {name: k for k, name in enumerate(labels)}
        known = {_fold(name): k for name, k in number.items()}
        known |= {_fold(w): number[name] for w, name in config.get("synonyms", {}).items()}
        low, high = config["levels"]
        return cls(config["kind"], labels, config["none_label"], (low, high), known)


class Answer(NamedTuple):
    """What an answer says; one of the first three, or none of them where it is unparsed."""

    labels: frozenset[int] | None = None
    """Numbers of the labels chosen."""
    values: tuple[float, ...] | None = None
    """A number per dimension."""
    shares: tuple[float, ...] | None = None
    """A share per label; they sum to one where the kind is single."""
    unknown: tuple[str, ...] = ()
    """Names in it that are no label."""
    why: str = ""
    """Why it is unparsed."""

    @property
    def parsed(self) -> bool:
        """Whether it says anything."""
        return not (self.labels is None and self.values is None and self.shares is None)


def parse(line: Mapping[str, Any], vocabulary: Vocabulary, ask: str = "samples") -> Answer:
    """Reads one answer.

    Args:
      line: of the store, with a status of :data:`ferjax.texts.store.ANSWERED`.
      vocabulary: what answers may hold.
      ask: how was asked: ``samples``, ``shares`` or ``logprobs``.

    >>> config = CollectConfig("t.csv", ("joy", "anger", "neutral"), none_label="neutral")
    >>> of = lambda raw: parse({"status": "ok", "raw": raw}, Vocabulary.of(config))
    >>> sorted(of('<think>neutral?</think>["Joy", "anger"]').labels)
    [0, 1]
    >>> of("I feel neutral about it").why
    'no JSON in it'
    """
    if line["status"] != "ok":
        return Answer(why=line["status"])
    if ask == "logprobs":
        return _letters(line, vocabulary)
    text = without_reasoning(str(line.get("raw") or ""))
    if not text:
        return Answer(why="nothing but reasoning")
    found = _named_alone(text, vocabulary) if vocabulary.kind != "real" else None
    values = [found] if found is not None else list(_json_values(text))
    if not values:
        return Answer(why="no JSON in it")
    if ask == "shares":
        answers = [_shares(value, vocabulary) for value in values]
    elif vocabulary.kind == "real":
        answers = [_numbers(value, vocabulary) for value in values]
    else:
        answers = [_labels(value, vocabulary) for value in values]
    sound = [answer for answer in answers if answer.parsed]
    if any(answer[:3] != sound[0][:3] for answer in sound[1:]):
        return Answer(why="several answers that differ")
    return sound[0] if sound else answers[-1]


def without_reasoning(raw: str) -> str:
    """An answer without what a model thought before it.

    Blocks in tags of :data:`_TAGS` are taken out; what stands before a closing tag that nobody
    opened is reasoning too (templates open it in the prompt), and so is all that follows a tag that
    is never closed.

    >>> without_reasoning("<think>joy? anger?</think> [] ")
    '[]'
    >>> without_reasoning('["joy"]<think>or is it')
    '["joy"]'
    """
    text = _FINAL_CHANNEL.sub("", raw)
    text = _OTHER_CHANNEL.sub("", text)
    while (shorter := _REASONING.sub("", text)) != text:
        text = shorter
    text = _UNOPENED.sub("", text)
    text = _UNCLOSED.sub("", text)
    return _SPECIAL.sub("", text).strip()


def _fold(name: str) -> str:
    return " ".join(name.split()).casefold()


def _json_values(text: str) -> Iterator[Any]:
    """Every JSON array and object in a text that is not a part of another."""
    decoder = json.JSONDecoder()
    position = 0
    while (start := _next_bracket(text, position)) is not None:
        try:
            value, position = decoder.raw_decode(text, start)
        except RecursionError:
            return  # a thousand brackets deep, and so again from each of them
        except ValueError:
            position = start + 1
        else:
            yield value


def _next_bracket(text: str, position: int) -> int | None:
    found = [i for i in (text.find("[", position), text.find("{", position)) if i >= 0]
    return min(found, default=None)


def _named_alone(text: str, vocabulary: Vocabulary) -> list[str] | None:
    """Labels of an answer that is nothing but labels, with or without quotes and commas."""
    names = [name.strip().strip("\"'`.").strip() for name in re.split(r"[,\n]", text)]
    names = [name for name in names if name]
    return names if names and all(_fold(name) in vocabulary.known for name in names) else None


def _labels(value: Any, vocabulary: Vocabulary) -> Answer:
    names = _names(value)
    if names is None:
        return Answer(why="not an array of names")
    chosen = {vocabulary.known[_fold(name)] for name in names if _fold(name) in vocabulary.known}
    unknown = tuple(name for name in names if _fold(name) not in vocabulary.known)
    none = vocabulary.none_label
    only_none = none and chosen <= {vocabulary.labels.index(none)}
    if unknown and (not chosen or only_none):
        return Answer(unknown=unknown, why="no label in it")
    if not chosen and (none or vocabulary.kind == "single"):
        return Answer(why="no label in it")
    if vocabulary.kind == "single" and (len(chosen) > 1 or unknown):
        return Answer(unknown=unknown, why="several labels where one was asked for")
    return Answer(labels=frozenset(chosen), unknown=unknown)


def _names(value: Any) -> list[str] | None:
    """The names in an array, in an object that holds one, or that are true in an object."""
    if isinstance(value, dict):
        inside = [value[key] for key in value if _fold(key) in _KEYS]
        if len(inside) == 1:
            value = [inside[0]] if isinstance(inside[0], str) else inside[0]
        elif value and all(isinstance(v, bool) or v in (0, 1) for v in value.values()):
            value = [name for name, v in value.items() if v]
    if not isinstance(value, list):
        return None
    # Numbers, nulls and arrays are no names: they are unknown, like a word that is no label.
    return [item if isinstance(item, str) else json.dumps(item) for item in value]


def _numbers(value: Any, vocabulary: Vocabulary) -> Answer:
    """A number per dimension, under its name or its first letter."""
    if not isinstance(value, dict):
        return Answer(why="not an object of numbers")
    given: dict[int, float] = {}
    initials = {name[0].casefold(): k for k, name in enumerate(vocabulary.labels)}
    short = initials if len(initials) == len(vocabulary.labels) else {}
    unknown = []
    for name, stated in value.items():
        number = vocabulary.known.get(_fold(name), short.get(_fold(name)))
        if number is None:
            unknown.append(name)
            continue
        level = _number(stated)
        if level is None or number in given:
            return Answer(why=f"no one number for {vocabulary.labels[number]}")
        if not vocabulary.levels[0] <= level <= vocabulary.levels[1]:
            return Answer(why=f"{vocabulary.labels[number]} outside the scale")
        given[number] = level
    if len(given) < len(vocabulary.labels):
        return Answer(unknown=tuple(unknown), why="a dimension is missing")
    values = tuple(given[k] for k in range(len(vocabulary.labels)))
    return Answer(values=values, unknown=tuple(unknown))


def _number(stated: Any) -> float | None:
    """A finite number, also as text or with a percent sign."""
    if isinstance(stated, str):
        try:
            stated = float(stated.strip().removesuffix("%"))
        except ValueError:
            return None
    if isinstance(stated, bool) or not isinstance(stated, int | float):
        return None
    try:
        return float(stated) if math.isfinite(stated) else None
    except OverflowError:
        return None


def _shares(value: Any, vocabulary: Vocabulary) -> Answer:
    """How many of a hundred would choose each label."""
    if not isinstance(value, dict):
        return Answer(why="not an object of numbers")
    inside = [part for part in value.values() if isinstance(part, dict)]
    if len(value) == 1 and inside:
        value = inside[0]
    shares = [0.0] * len(vocabulary.labels)
    named = set()
    unknown = []
    for name, stated in value.items():
        share = _number(stated)
        number = vocabulary.known.get(_fold(name))
        if share is None or not 0 <= share <= 100 or number in named:
            return Answer(why=f"no one share from 0 to 100 for {name}")
        if number is None:
            unknown.append(name)
        else:
            shares[number] = share
            named.add(number)
    total = sum(shares)
    if unknown or total <= 0:
        return Answer(
            unknown=tuple(unknown), why="no label in it" if not named else "unknown labels"
        )
    scale = total if vocabulary.kind == "single" else 100.0
    return Answer(shares=tuple(share / scale for share in shares))


def _letters(line: Mapping[str, Any], vocabulary: Vocabulary) -> Answer:
    """Probabilities of the labels' letters as the first token, renormalised over the letters."""
    order = line.get("order") or range(len(vocabulary.labels))
    label_of = dict(zip(LETTERS, order))
    shares = [0.0] * len(vocabulary.labels)
    for token in line.get("logprobs") or []:
        if not isinstance(token, dict):
            continue
        label = label_of.get(str(token.get("token", "")).strip())
        logprob = _number(token.get("logprob"))
        if label is not None and logprob is not None:
            shares[label] += math.exp(min(logprob, 0.0))
    total = sum(shares)
    if total <= 0:
        return Answer(why="no letter of a label among the likely tokens")
    return Answer(shares=tuple(share / total for share in shares))
