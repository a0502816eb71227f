"""From a folder of answers to judgments: every answer parsed, counted, and what failed told."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ferjax.judgments import Judge, Judgments, text_hash
from ferjax.texts.parse import Answer, Vocabulary, parse
from ferjax.texts.store import ANSWERED, read_answers, read_description, read_items

__all__ = ["SHARES_OF", "Parsed", "judgments_of"]

SHARES_OF = 10_000
"""A distribution that a model stated, or that its log-probabilities give, is written as counts of
so many answers: it has no noise of sampling, and so many have next to none."""


class Parsed(NamedTuple):
    """Judgments, and what became of the answers behind them."""

    judgments: Judgments
    answers: int
    """Slots that were answered."""
    unparsed: Counter
    """Of them, by reason."""
    unknown: Counter
    """Names in answers that are no label."""
    open: int
    """Slots whose attempts all failed; the next collection asks them again."""
    errors: Counter
    """Failed attempts, by status."""
    repeated: int
    """Further answers of slots that had one, left out; a sound store has none."""

    def to_json(self) -> dict[str, Any]:
        """Everything but the judgments, as JSON values."""
        counts = self._asdict()
        del counts["judgments"]
        return {k: dict(v.most_common()) if k in _TABLES else v for k, v in counts.items()}


_TABLES = ("unparsed", "unknown", "errors")


def judgments_of(folder: Path) -> Parsed:
    """Parses a folder of answers.

    Args:
      folder: see :mod:`ferjax.texts.store`; of a collection in progress too.

    Returns:
      :class:`Parsed`; its judges are the models at their temperatures, prompts and ways of asking,
      sorted by name, its items all texts of the collection.

    Raises:
      FileNotFoundError: if it is no such folder.
      ValueError: if it is damaged, or holds no answer.
    """
    description = read_description(folder)
    vocabulary = Vocabulary.of(description)
    texts = read_items(folder)
    position = {item: k for k, item in enumerate(texts.ids)}
    answered: dict[str, tuple[Judge, int, Answer]] = {}
    failed: set[str] = set()
    errors: Counter = Counter()
    tokens: Counter = Counter()
    repeated = 0
    for line in read_answers(folder):
        tokens[_judge(line, description), position[line["item"]]] += _tokens(line)
        if line["status"] not in ANSWERED:
            failed.add(line["key"])
            errors[line["status"]] += 1
        elif line["key"] in answered:
            repeated += 1
        else:
            judge = _judge(line, description)
            ask = description["prompts"][line["prompt"]]["ask"]
            answer = parse(line, vocabulary, ask)
            answered[line["key"]] = (judge, position[line["item"]], answer)
    if not answered:
        raise ValueError(f"{folder} holds no answer yet")
    judges = sorted({judge for judge, _, _ in answered.values()}, key=_sorting)
    number = {judge: k for k, judge in enumerate(judges)}
    shape = (len(judges), len(texts.ids))
    stated = [[[] for _ in texts.ids] for _ in judges]  # type: list[list[list[Answer]]]
    for judge, item, answer in answered.values():
        stated[number[judge]][item].append(answer)
    asked = np.zeros(shape, np.int32)
    unparsed = np.zeros(shape, np.int32)
    for k, i in np.ndindex(shape):
        asked[k, i] = len(stated[k][i])
        unparsed[k, i] = sum(not answer.parsed for answer in stated[k][i])
    about: dict[str, Any] = {
        "kind": description["kind"],
        "classes": vocabulary.labels,
        "judges": tuple(judges),
        "tokens": _spent(tokens, judges, asked),
        "ids": np.array(texts.ids),
        "hashes": np.array([text_hash(text) for text in texts.texts]),
    }
    if description["kind"] == "real":
        about |= {"levels": vocabulary.levels, "values": _values(stated, asked - unparsed)}
    else:
        about["counts"], asked, unparsed = _counts(stated, asked, unparsed, vocabulary)
        if description["kind"] == "multi":
            about["sets"] = _sets(stated, about["counts"])
    every = [answer for _, _, answer in answered.values()]
    return Parsed(
        Judgments(asked=asked, unparsed=unparsed, **about),
        answers=len(answered),
        unparsed=Counter(answer.why for answer in every if not answer.parsed),
        unknown=Counter(name for answer in every for name in answer.unknown),
        open=len(failed - set(answered)),
        errors=errors,
        repeated=repeated,
    )


def _judge(line: Mapping[str, Any], description: Mapping[str, Any]) -> Judge:
    prompts = description["prompts"]
    prompt = prompts[line["prompt"]]
    several = len({p["name"] for p in prompts.values()}) > 1
    ways = len({p["ask"] for p in prompts.values()}) > 1
    name = prompt["name"]
    if several and sum(p["name"] == name for p in prompts.values()) > 1:
        name = f"{name} {line['prompt'][:6]}"  # two files of one name, or one that was edited
    return Judge(
        line["model"],
        line["temperature"],
        name if several or len(prompts) > 1 else None,
        prompt["ask"] if ways or prompt["ask"] != "samples" else None,
    )


def _tokens(line: Mapping[str, Any]) -> int:
    """Tokens that a line says its reply took; those of a reply stand on its first line alone."""
    said = [line.get(name) for name in ("prompt_tokens", "completion_tokens")]
    return sum(n for n in said if isinstance(n, int) and not isinstance(n, bool) and n > 0)


def _spent(tokens: Counter, judges: list[Judge], asked: np.ndarray) -> np.ndarray | None:
    """Tokens ``[judge, item]``, NaN where the server did not say; None if it never did."""
    spent = np.zeros(asked.shape, np.float32)
    for (judge, item), number in tokens.items():
        if judge in judges:  # others have no answer at all
            spent[judges.index(judge), item] = number
    spent[(asked == 0) | (spent == 0)] = np.nan
    return spent if np.nansum(spent) else None


def _sorting(judge: Judge) -> tuple:
    return (judge.model, judge.prompt or "", judge.elicitation or "", judge.temperature or 0.0)


def _values(stated: list[list[list[Answer]]], answered: np.ndarray) -> np.ndarray:
    """``[judge, item, sample, dimension]``, NaN where there is no answer."""
    dimensions = next(
        (len(a.values) for row in stated for each in row for a in each if a.values), 1
    )
    values = np.full((*answered.shape, max(1, int(answered.max())), dimensions), np.nan, np.float32)
    for k, i in np.ndindex(answered.shape):
        sound = [answer.values for answer in stated[k][i] if answer.values is not None]
        if sound:
            values[k, i, : len(sound)] = sound
    return values


def _counts(
    stated: list[list[list[Answer]]],
    asked: np.ndarray,
    unparsed: np.ndarray,
    vocabulary: Vocabulary,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts ``[judge, item, class]``, with asked and unparsed to fit them."""
    counts = np.zeros((*asked.shape, len(vocabulary.labels)), np.int32)
    asked = asked.copy()
    unparsed = unparsed.copy()
    for k, i in np.ndindex(asked.shape):
        shares = [answer.shares for answer in stated[k][i] if answer.shares is not None]
        for answer in stated[k][i]:
            if answer.labels is not None:
                counts[k, i, sorted(answer.labels)] += 1
        if shares:
            mean = np.mean(shares, axis=0)
            counts[k, i] = (
                _whole(mean) if vocabulary.kind == "single" else np.rint(mean * SHARES_OF)
            )
            asked[k, i] = SHARES_OF + unparsed[k, i]
    return counts, asked, unparsed


def _sets(stated: list[list[list[Answer]]], counts: np.ndarray) -> np.ndarray | None:
    """Each answer's labels, bool ``[judge, item, sample, class]``; None where any are shares."""
    answers = [[[a.labels for a in each if a.parsed] for each in row] for row in stated]
    most = max((len(each) for row in answers for each in row), default=0)
    sets = np.zeros((*counts.shape[:2], max(1, most), counts.shape[2]), bool)
    for k, row in enumerate(answers):
        for i, each in enumerate(row):
            for sample, labels in enumerate(each):
                if labels is None:
                    return None
                sets[k, i, sample, sorted(labels)] = True
    return sets


def _whole(shares: np.ndarray) -> np.ndarray:
    """Whole numbers that sum to :data:`SHARES_OF`, nearest to shares (largest remainders)."""
    exact = shares / shares.sum() * SHARES_OF
    whole = np.floor(exact).astype(np.int64)
    missing = SHARES_OF - whole.sum()
    whole[np.argsort(whole - exact, kind="stable")[:missing]] += 1
    return whole
