"""What a collection will take: requests, tokens, time and money, before the first request."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ferjax.config import CollectConfig
from ferjax.texts.items import Texts
from ferjax.texts.prompting import load_prompt, messages, prompt_hash
from ferjax.texts.slots import grid, group
from ferjax.texts.store import ANSWERED, read_answers
from ferjax.texts.throttle import Pace

__all__ = ["Estimate", "estimate"]

_SECONDS = 2.0  # of a request, where none was made yet
_CHARACTERS = 4.0  # in a token, where none was counted yet


class Estimate(NamedTuple):
    """What is still to be done."""

    slots: int
    answered: int
    requests: int
    prompt_tokens: float
    answer_tokens: float
    seconds: float
    measured: bool
    """Whether tokens and seconds are those of answers that are there, and not assumed."""

    def sentences(self, price_in: float | None, price_out: float | None) -> list[str]:
        """The estimate in words.

        Args:
          price_in: of a million tokens of prompt, in any currency.
          price_out: of a million tokens of answer.
        """
        hours, rest = divmod(round(self.seconds), 3600)
        took = f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"
        if not self.measured:
            took += f", at {_SECONDS:g} s a request and {_CHARACTERS:g} characters a token"
        told = [
            f"to do: {self.slots - self.answered:,} of {self.slots:,} answers in about "
            f"{self.requests:,} requests, {self.prompt_tokens:,.0f} tokens of prompt and "
            f"{self.answer_tokens:,.0f} of answer; about {took}"
        ]
        if price_in is not None or price_out is not None:
            cost = self.prompt_tokens * (price_in or 0) + self.answer_tokens * (price_out or 0)
            told.append(f"cost: about {cost / 1e6:,.2f}")
        return told


def estimate(
    config: CollectConfig, texts: Texts, models: Sequence[str], folder: Path, pace: Pace
) -> Estimate:
    """Adds up a collection, from the answers that are there where there are any.

    Args:
      config: what is asked.
      texts: the texts.
      models: names of the models.
      folder: of the answers; need not be there.
      pace: requests at once and a minute.
    """
    prompt = load_prompt(config)
    slots = grid(config, prompt_hash(prompt, config), texts, models)
    attempts = read_answers(folder) if (folder / "answers.jsonl").is_file() else ()
    there = [line for line in attempts if line["status"] in ANSWERED]
    keys = {line["key"] for line in there}
    missing = [slot for slot in slots if slot.key not in keys]
    alone = config.permute_labels or config.ask == "logprobs" or not pace.several
    groups = group(missing, 1 if alone else config.samples)
    requests = len(groups)
    lengths = [
        sum(len(m["content"]) for m in messages(prompt, t, config.labels)) for t in texts.texts
    ]
    prompt_tokens = sum(lengths[each[0].item] for each in groups) / _CHARACTERS
    answer_tokens = len(missing) * (1 if config.ask == "logprobs" else min(config.max_tokens, 20))
    # The first line of a reply holds the whole reply's tokens.
    counted = [line for line in there if isinstance(line.get("completion_tokens"), int)]
    seconds = _SECONDS
    if counted:
        answer_tokens = len(missing) * sum(c["completion_tokens"] for c in counted) / len(there)
        seconds = sum(line["seconds"] for line in counted) / len(counted)
    total = requests * seconds / pace.at_once
    if pace.per_minute is not None:
        total = max(total, requests * 60 / pace.per_minute)
    return Estimate(
        len(slots),
        len(slots) - len(missing),
        requests,
        prompt_tokens,
        answer_tokens,
        total,
        bool(counted),
    )
