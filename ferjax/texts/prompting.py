"""Prompts: editable files, filled with labels and a text.

A prompt is a text file: what the system says, a line ``--- user ---``, and what the user says.
``{text}`` stands for the text, ``{labels}`` for the labels separated by commas,
``{lettered_labels}`` for a line a label with its letter, ``{none}`` for the answer that none
applies, and ``{label_1}`` to ``{label_3}`` for labels in an example. Other braces stay as they are.
"""

import hashlib
import re
import string
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ferjax.config import CollectConfig
from ferjax.files import read_text

__all__ = ["LETTERS", "Prompt", "load_prompt", "messages", "prompt_hash"]

LETTERS = string.ascii_uppercase + string.ascii_lowercase
_FOLDER = Path(__file__).parent / "prompts"
_BREAK = "--- user ---"
_BUILT_IN = {
    ("multi", "samples"): "labels",
    ("single", "samples"): "label",
    ("real", "samples"): "vad",
    ("multi", "shares"): "shares_of_labels",
    ("single", "shares"): "shares_of_label",
    ("single", "logprobs"): "letter",
}
_FIELD = re.compile(r"\{(text|labels|lettered_labels|none|label_[123])\}")


class Prompt(NamedTuple):
    """A prompt before labels and text are filled in."""

    name: str
    system: str
    user: str


def load_prompt(config: CollectConfig) -> Prompt:
    """The prompt of a collection.

    Args:
      config: names the file, or the kind and the way of asking that a prompt comes along for.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: naming the file, if it has no user part or no ``{text}`` in it.

    >>> load_prompt(CollectConfig("texts.csv", ("joy", "anger"))).name
    'labels'
    """
    built_in = _FOLDER / f"{_BUILT_IN[config.kind, config.ask]}.txt"
    path = Path(config.prompt) if config.prompt else built_in
    if not path.is_file():
        raise FileNotFoundError(f"no prompt at {path}; the ones that come along are in {_FOLDER}")
    system, found, user = read_text(path, "prompt").partition(f"{_BREAK}\n")
    if not found or "{text}" not in user:
        raise ValueError(f"{path}: expected a line `{_BREAK}`, and {{text}} somewhere after it")
    return Prompt(path.stem, system.strip(), user.strip())


def messages(
    prompt: Prompt, text: str, labels: Sequence[str], none_label: str = ""
) -> list[dict[str, str]]:
    """What is sent to a model.

    Args:
      prompt: with its fields still open.
      text: the text; braces in it are left alone.
      labels: in the order in which they are named.
      none_label: the label that means no other applies, if there is one.

    >>> prompt = Prompt("p", "Choose: {labels}. If none: {none}", "{text}")
    >>> [m["content"] for m in messages(prompt, "{labels}!", ["joy", "anger"])]
    ['Choose: joy, anger. If none: []', '{labels}!']
    """
    examples = [name for name in labels if name != none_label] or list(labels)
    fields = {
        "text": text,
        "labels": ", ".join(labels),
        "lettered_labels": "\n".join(f"{a}: {name}" for a, name in zip(LETTERS, labels)),
        "none": f'["{none_label}"]' if none_label else "[]",
        **{f"label_{n}": examples[(n - 1) % len(examples)] for n in (1, 2, 3)},
    }

    def filled(part: str) -> str:
        return _FIELD.sub(lambda field: fields[field[1]], part)

    parts = (("system", filled(prompt.system)), ("user", filled(prompt.user)))
    return [{"role": role, "content": content} for role, content in parts if content]


def prompt_hash(prompt: Prompt, config: CollectConfig) -> str:
    """What a prompt with its labels is known by in an answer's key.

    >>> config = CollectConfig("texts.csv", ("joy", "anger"))
    >>> len(prompt_hash(load_prompt(config), config))
    16
    """
    parts = (prompt.system, prompt.user, *config.labels, config.none_label, config.kind, config.ask)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
