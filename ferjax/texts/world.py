"""A world of texts whose true p(label | text) is known, with people and models that read them.

A text is built from words of one, two or three emotions; how often each is meant is its *blend*, of
which p(label | text) follows. People answer from that distribution. Models do so too, or are wrong
in a way that is known: :data:`MODELS`. What an estimate should find can thus be computed.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from ferjax.texts.items import Texts

__all__ = ["LABELS", "MODELS", "World", "make", "ratings"]

_WORDS = {
    "joy": "delighted cheerful smiling glad laughing sunny thrilled merry",
    "sadness": "crying lonely tearful gloomy grieving heavy hopeless blue",
    "anger": "furious shouting outraged bitter raging fuming hostile mad",
    "fear": "scared trembling panicking dreading nervous haunted frozen afraid",
    "surprise": "suddenly astonished unexpected stunned startled wow amazing unbelievable",
    "neutral": "usual ordinary scheduled regular table report office average",
}
LABELS = tuple(_WORDS)
_FILLERS = (
    *("the", "a", "we", "they", "about", "today", "again", "with"),
    *("there", "it", "really", "was", "then", "this", "all", "so"),
)
_PRIOR = np.array([0.24, 0.16, 0.16, 0.1, 0.1, 0.24])
_UNIFORM = 0.04  # share of answers that are uniform over the labels, however clear the text


def _right(truth: np.ndarray) -> np.ndarray:
    return truth


def _overconfident(truth: np.ndarray) -> np.ndarray:
    sharp = truth**3
    return sharp / sharp.sum(-1, keepdims=True)


def _biased(truth: np.ndarray) -> np.ndarray:
    return 0.65 * truth + 0.35 * np.eye(truth.shape[-1])[LABELS.index("neutral")]


def _constant(truth: np.ndarray) -> np.ndarray:
    return np.broadcast_to(truth.mean(0), truth.shape)


MODELS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "right": _right,
    "overconfident": _overconfident,
    "biased": _biased,
    "constant": _constant,
}
"""Models of the world, by name: from the true ``[item, label]`` to theirs at temperature 1."""


class World(NamedTuple):
    """Texts, and what people would say of them.

    Attributes:
      texts: with their ids.
      truth: float64 ``[item, label]``, p(label | text); labels are :data:`LABELS`.
    """

    texts: Texts
    truth: np.ndarray

    def model(self, name: str, temperature: float) -> np.ndarray:
        """What a model answers, float64 ``[item, label]``; at temperature 0 its likeliest label.

        Raises:
          ValueError: if there is no such model.
        """
        if name not in MODELS:
            raise ValueError(f"no model {name!r} in this world; there are {', '.join(MODELS)}")
        p = MODELS[name](self.truth)
        if temperature == 0:
            return np.eye(p.shape[1])[p.argmax(1)]
        p = p ** (1 / temperature)
        return p / p.sum(1, keepdims=True)


def make(items: int, seed: int) -> World:
    """Draws texts; same seed, same texts.

    Args:
      items: how many, all different.
      seed: of the texts.

    >>> world = make(3, seed=0)
    >>> world.truth.shape, len(set(world.texts.texts))
    ((3, 6), 3)
    """
    rng = np.random.default_rng(seed)
    words = [line.split() for line in _WORDS.values()]
    texts: dict[str, np.ndarray] = {}
    while len(texts) < items:
        meant = rng.choice(len(LABELS), size=3, replace=False, p=_PRIOR)
        style = rng.random()
        main = rng.uniform(0.9, 1.0) if style < 0.5 else rng.uniform(0.4, 0.7)
        third = rng.uniform(0.1, 0.25) if style > 0.85 else 0.0
        blend = np.zeros(len(LABELS))
        blend[meant] += (main, 1 - main - third, third)
        # Words come in the blend's proportions, so that a text tells its blend.
        counts = np.rint(blend * 8).astype(int)
        said = [str(w) for k, n in enumerate(counts) for w in rng.choice(words[k], n)]
        said += [str(w) for w in rng.choice(_FILLERS, 8)]
        rng.shuffle(said)
        texts.setdefault(" ".join(said).capitalize() + ".", blend)
    blends = np.array(list(texts.values()))
    truth = (1 - _UNIFORM) * blends + _UNIFORM / len(LABELS)
    return World(Texts(tuple(f"w{k:05d}" for k in range(items)), tuple(texts)), truth)


def ratings(world: World, raters: int, seed: int) -> np.ndarray:
    """What people chose: numbers of labels, int64 ``[item, rater]``.

    Args:
      world: its texts.
      raters: of each text; the same people rate all.
      seed: of their choices.
    """
    rng = np.random.default_rng(seed)
    edges = world.truth.cumsum(1)[:, None, :-1]
    return (rng.random((len(world.truth), raters, 1)) > edges).sum(-1)
