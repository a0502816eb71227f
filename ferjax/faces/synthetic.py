"""Drawn faces whose true vote distribution is known: the default data, and a test of uncertainty.

A face is a *blend* of eight expression prototypes. p(class | face) follows from the blend, and ten
votes are drawn from it: a face halfway between sadness and neutral is truly ambiguous, and
aleatoric uncertainty can be compared with the entropy of p(class | face) itself. Some items are not
faces, and some are covered so that nobody can name the expression. Classes, abstentions and size
are those of FER+.
"""

from typing import NamedTuple

import jax
import numpy as np

from ferjax.faces.drawing import PROTOTYPES, draw
from ferjax.faces.ferplus import CLASSES, split_columns

__all__ = ["Blend", "Drawn", "make", "sample_blends", "vote_distribution"]

_PRIOR = np.array([0.27, 0.2, 0.13, 0.13, 0.1, 0.06, 0.06, 0.05])
_UNIFORM_SHARE = 0.04  # share of votes that are uniform over the classes, however clear the face
_NOT_A_FACE = 0.03
_COVERED = 0.02
_ABSTENTION_SHARES = np.array([[0.01, 0.002], [0.1, 0.85], [0.75, 0.03]])  # [kind, abstention]


class Blend(NamedTuple):
    """What is drawn.

    Attributes:
      weights: ``[face, class]`` shares of the expressions, sum 1.
      kind: ``[face]`` 0 face, 1 not a face, 2 covered face.
    """

    weights: np.ndarray
    kind: np.ndarray


class Drawn(NamedTuple):
    """Drawn faces with their votes.

    Attributes:
      images: uint8 ``[face, side, side]``.
      votes: int64 ``[face, class]``.
      abstentions: int64 ``[face, kind]``.
      truth: float32 ``[face, class]``, the true p(class | face).
    """

    images: np.ndarray
    votes: np.ndarray
    abstentions: np.ndarray
    truth: np.ndarray


def sample_blends(rng: np.random.Generator, faces: int) -> Blend:
    """Half nearly pure expressions, half blends of two, a few of three.

    Args:
      rng: numpy's generator.
      faces: how many.
    """
    classes = len(CLASSES)
    order = np.array(
        [rng.choice(classes, size=3, replace=False, p=_PRIOR) for _ in range(faces)]
    ).reshape(faces, 3)
    style = rng.random(faces)
    main = np.where(style < 0.5, rng.uniform(0.92, 1.0, faces), rng.uniform(0.42, 0.7, faces))
    third = np.where(style > 0.9, rng.uniform(0.1, 0.25, faces), 0.0)
    weights = np.zeros((faces, classes))
    for column, share in enumerate((main, 1 - main - third, third)):
        weights[np.arange(faces), order[:, column]] += share
    kind = rng.choice(3, size=faces, p=[1 - _NOT_A_FACE - _COVERED, _NOT_A_FACE, _COVERED])
    return Blend(weights, kind)


def vote_distribution(blend: Blend) -> np.ndarray:
    """The true p(vote | item) over the columns of FER+, float64 ``[face, class + abstention]``.

    The classes' columns, renormalised, are p(class | face).
    """
    emotions = (1 - _UNIFORM_SHARE) * blend.weights + _UNIFORM_SHARE / len(CLASSES)
    outside = _ABSTENTION_SHARES[blend.kind]
    return np.concatenate([emotions * (1 - outside.sum(1, keepdims=True)), outside], axis=1)


def make(faces: int, seed: int) -> Drawn:
    """Draws faces, and the votes of ten annotators on each.

    Args:
      faces: how many.
      seed: same seed, same faces and votes.

    Returns:
      :class:`Drawn`.
    """
    rng = np.random.default_rng(seed)
    blend = sample_blends(rng, faces)
    p_vote = vote_distribution(blend)
    votes, abstentions = split_columns(rng.multinomial(10, p_vote))
    actions = 1.2 * blend.weights @ PROTOTYPES + rng.normal(0, 0.04, (faces, PROTOTYPES.shape[1]))
    images = np.asarray(draw(jax.random.key(seed), actions.astype(np.float32), blend.kind))
    emotions = p_vote[:, : len(CLASSES)]
    truth = emotions / emotions.sum(1, keepdims=True)
    return Drawn(images, votes, abstentions, truth.astype(np.float32))
