"""What language models are asked: texts, labels, prompt, temperatures and samples."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ferjax.config._checks import require, require_known_choices
from ferjax.config._loading import load

__all__ = ["GOEMOTIONS", "VAD", "CollectConfig", "load_collect_config"]

VAD = ("valence", "arousal", "dominance")
"""EmoBank's dimensions."""
GOEMOTIONS = (
    *("admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion"),
    *("curiosity", "desire", "disappointment", "disapproval", "disgust", "embarrassment"),
    *("excitement", "fear", "gratitude", "grief", "joy", "love", "nervousness", "optimism"),
    *("pride", "realization", "relief", "remorse", "sadness", "surprise", "neutral"),
)
"""GoEmotions' categories, in the order of their numbers."""


@dataclasses.dataclass(frozen=True)
class CollectConfig:
    """Which judgments are asked for; the models themselves are named with the command."""

    texts: str
    """CSV, TSV or JSON lines with the columns ``id`` (or ``item``) and ``text``."""
    labels: tuple[str, ...]
    """The classes, by the names that answers must use; the dimensions, where kind is real."""
    kind: Literal["multi", "single", "real"] = "multi"
    """multi: any number of labels apply; single: exactly one does; real: a number per dimension."""
    none_label: str = ""
    """The label that means no other applies, e.g. neutral; empty: an empty array means that."""
    levels: tuple[float, ...] = (1.0, 5.0)
    """Lowest and highest number of a dimension (kind real)."""
    synonyms: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Other words that count as a label; none are guessed."""
    ask: Literal["samples", "shares", "logprobs"] = "samples"
    """samples: an answer a sample; shares: the model says how many people of a hundred would choose
    each label; logprobs: the probabilities of the labels' letters as the first token."""
    prompt: str = ""
    """File of the prompt; empty: the one for this kind and way of asking that comes along."""
    temperatures: tuple[float, ...] = (0.7, 1.0)
    samples: int = 10
    """Answers per text, model and temperature; one at temperature 0, where all are the same."""
    top_p: float | None = None
    """Nucleus sampling, in (0, 1]; unset: the server's own."""
    max_tokens: int = 200
    """Tokens of an answer at most; one that is longer is cut, and counts as unparsed."""
    permute_labels: bool = False
    """Name the labels in another order for every sample, drawn by seed."""
    json_schema: bool = False
    """Hold the server to a JSON schema of valid answers (llama.cpp, vLLM, most hosted ones)."""
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Further fields of each request, e.g. {"chat_template_kwargs": {"enable_thinking": False}}."""
    seed: int = 0
    """Of label orders, of the order of the grid, and of each sample's own seed."""

    def __post_init__(self) -> None:
        require_known_choices(self, "collect")
        require(
            isinstance(self.labels, tuple)
            and len(self.labels) >= (1 if self.kind == "real" else 2)
            and all(isinstance(name, str) and name.strip() for name in self.labels),
            f"labels must be names, two or more, got {self.labels!r}",
        )
        folded = [name.strip().casefold() for name in self.labels]
        twice = sorted({name for name in folded if folded.count(name) > 1})
        require(not twice, f"labels holds {twice} more than once, apart from case")
        require(
            not self.none_label or self.none_label in self.labels,
            f"none_label {self.none_label!r} is not one of the labels",
        )
        for word, label in self.synonyms.items():
            require(label in self.labels, f"synonyms: {word!r} stands for {label!r}, no label")
            require(word.strip().casefold() not in folded, f"synonyms: {word!r} is a label itself")
        require(
            len(self.levels) == 2 and self.levels[0] < self.levels[1],
            f"levels must be the lowest and the highest number, got {self.levels!r}",
        )
        require(len(self.temperatures) >= 1, "temperatures is empty")
        require(
            all(0 <= t < float("inf") for t in self.temperatures),
            f"temperatures must be 0 or more, got {self.temperatures}",
        )
        require(
            len(set(self.temperatures)) == len(self.temperatures),
            f"temperatures holds one twice: {self.temperatures}",
        )
        for name in ("samples", "max_tokens"):
            require(
                getattr(self, name) >= 1, f"{name} must be at least 1, got {getattr(self, name)}"
            )
        require(
            self.top_p is None or 0 < self.top_p <= 1, f"top_p must be in (0, 1], got {self.top_p}"
        )
        require(
            self.ask == "samples" or self.kind != "real",
            f"ask {self.ask} is for labels; numbers (kind real) are asked for as samples",
        )
        require(
            self.ask != "logprobs" or self.kind == "single",
            "ask logprobs gives one distribution over the labels: it needs kind single",
        )
        require(
            self.ask != "logprobs" or len(self.labels) <= 52,
            f"ask logprobs has letters for 52 labels, got {len(self.labels)}",
        )


def load_collect_config(path: str | Path) -> CollectConfig:
    """Reads what is asked for from a Python file that defines ``config``, or from JSON.

    Args:
      path: a ``.py`` file with a module-level ``config = CollectConfig(...)``, a ``.json`` file, or
        the name of a configuration that comes with ferjax.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it builds no valid :class:`CollectConfig`; names the file.
    """
    return load(CollectConfig, path, (CollectConfig,))
