"""FER+: its classes, abstention columns and picture size, and which faces its label filters keep.

The only module that knows the columns of FER+: eight expressions (:data:`CLASSES`), then two kinds
of abstention (:data:`ABSTENTIONS`). Pure functions on numpy arrays; votes ``[face, class]`` and
abstentions ``[face, kind]`` are counts of the ten annotators of a face.

References:
  Barsoum et al., Training Deep Networks for Facial Expression Recognition with Crowd-Sourced Label
  Distribution, 2016, https://arxiv.org/abs/1608.01041.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ferjax import votes as vote_arithmetic
from ferjax.faces.spec import DataSpec

__all__ = [
    "ABSTENTIONS",
    "CLASSES",
    "COLUMNS",
    "LABEL_FILTERS",
    "PUBLISHED_FACES",
    "SIDE",
    "SPEC",
    "SPLITS",
    "Targets",
    "not_a_face",
    "split_columns",
    "targets",
    "unknown_expression",
]

CLASSES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
ABSTENTIONS = ("unknown", "NF")
"""Kinds of abstention: the annotator cannot name the expression; the picture is not a face."""
COLUMNS = (*CLASSES, *ABSTENTIONS)
"""Vote columns of the published file, in its order."""
SIDE = 48
"""Side of a published picture, pixels."""
SPEC = DataSpec(CLASSES, SIDE)
PUBLISHED_FACES = {"train": 28_709, "valid": 3_589, "test": 3_589}
"""Faces in FER2013's splits; a label filter keeps fewer."""
SPLITS = {"Training": "train", "PublicTest": "valid", "PrivateTest": "test"}
"""Values of the Usage column, and the split each stands for."""
LABEL_FILTERS = ("paper", "majority", "probability")

_ABSTAINED = 5  # abstentions of ten from which on a face is dropped


class Targets(NamedTuple):
    """Which faces a label filter keeps, and the distribution it trains them towards.

    Attributes:
      keep: bool ``[face]``.
      q: float32 ``[face, class]``; each kept row sums to 1, dropped rows are 0.
    """

    keep: np.ndarray
    q: np.ndarray


def split_columns(counts: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Separates the published columns into votes and abstentions.

    Args:
      counts: ``[face, 10]`` whole numbers >= 0, columns as in :data:`COLUMNS`.

    Returns:
      votes int64 ``[face, 8]`` and abstentions int64 ``[face, 2]``.

    Raises:
      ValueError: on another number of columns, or what cannot be counts; names the first bad row.

    >>> [part.shape for part in split_columns(np.ones((3, 10)))]
    [(3, 8), (3, 2)]
    """
    counts = np.asarray(counts)
    if counts.ndim != 2 or counts.shape[1] != len(COLUMNS):
        expected = f"[face, {len(COLUMNS)}] ({', '.join(COLUMNS)})"
        raise ValueError(f"expected FER+ votes {expected}, got shape {counts.shape}")
    checked = vote_arithmetic.check(counts)
    return checked[:, : len(CLASSES)], checked[:, len(CLASSES) :]


def targets(votes: ArrayLike, abstentions: ArrayLike, label_filter: str = "paper") -> Targets:
    """Applies a label filter: which faces are kept, and the target distribution of each.

    * ``paper``: drop a face iff unknown + NF >= 5 or it has no vote for a class; target = the vote
      distribution.
    * ``majority``: remove single votes; keep iff one class holds more than half of what is left,
      abstentions included; target one-hot.
    * ``probability``: remove single votes; take the top classes until 75 % of the votes, at most
      three; drop if they hold half or less, or if an abstention leads.

    Args:
      votes: ``[face, class]`` counts, classes as in :data:`CLASSES`.
      abstentions: ``[face, kind]`` counts, kinds as in :data:`ABSTENTIONS`.
      label_filter: one of :data:`LABEL_FILTERS`.

    Returns:
      :class:`Targets`.

    Raises:
      ValueError: on an unknown label filter, or on counts that do not fit.

    References:
      The FER+ repository's README and training code (majority, probability).

    >>> votes = [[6, 2, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]]
    >>> targets(votes, [[2, 0], [4, 5]]).keep.tolist()
    [True, False]
    """
    votes = np.asarray(votes)
    abstentions = np.asarray(abstentions)
    rows = len(votes)
    fits = votes.shape == (rows, len(CLASSES)) and abstentions.shape == (rows, len(ABSTENTIONS))
    if not fits:
        raise ValueError(
            f"label filters expect FER+ votes [face, {len(CLASSES)}] and abstentions "
            f"[face, {len(ABSTENTIONS)}], got shapes {votes.shape} and {abstentions.shape}"
        )
    votes, abstentions = split_columns(np.concatenate([votes, abstentions], axis=1))
    if label_filter == "paper":
        keep = (abstentions.sum(axis=1) < _ABSTAINED) & (votes.sum(axis=1) > 0)
        q = vote_arithmetic.distribution(votes)
    elif label_filter == "majority":
        keep, q = _majority(_without_single_votes(votes, abstentions))
    elif label_filter == "probability":
        keep, q = _top_classes(_without_single_votes(votes, abstentions))
    else:
        raise ValueError(
            f"unknown label filter {label_filter!r}; expected one of {', '.join(LABEL_FILTERS)}"
        )
    return Targets(keep, np.where(keep[:, None], q, 0).astype(np.float32))


def _without_single_votes(votes: np.ndarray, abstentions: np.ndarray) -> np.ndarray:
    """``[face, column]``; the published filters treat a single vote as a slip."""
    counts = np.concatenate([votes, abstentions], axis=1)
    return np.where(counts > 1, counts, 0)


def _majority(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    winner = counts.argmax(axis=1)
    keep = (counts.max(axis=1) * 2 > counts.sum(axis=1)) & (winner < len(CLASSES))
    return keep, np.eye(len(COLUMNS))[winner][:, : len(CLASSES)]


def _top_classes(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    total = counts.sum(axis=1)
    taken = np.zeros((len(counts), len(CLASSES)), np.int64)
    taken_classes = np.zeros(len(counts), np.int64)
    abstention_leads = np.zeros(len(counts), bool)
    stopped = np.zeros(len(counts), bool)
    # Equal counts enter together, so walk down the levels a count can have rather than the classes.
    for level in range(int(counts.max(initial=0)), 1, -1):
        active = (taken.sum(axis=1) < 0.75 * total) & (taken_classes < 3) & ~stopped
        enters = (counts == level) & active[:, None]
        classes_enter = enters[:, : len(CLASSES)]
        abstention_enters = enters[:, len(CLASSES) :].any(axis=1)
        taken += level * classes_enter
        taken_classes += classes_enter.sum(axis=1)
        abstention_leads |= abstention_enters & (taken.sum(axis=1) == 0)
        stopped |= abstention_enters
    held = taken.sum(axis=1)
    keep = (held * 2 > total) & (taken_classes <= 3) & ~abstention_leads
    return keep, taken / np.maximum(held[:, None], 1)


def not_a_face(abstentions: ArrayLike) -> np.ndarray:
    """Faces that at least 5 of 10 annotators call "not a face": an out-of-distribution set.

    Args:
      abstentions: ``[face, kind]`` counts, kinds as in :data:`ABSTENTIONS`.

    Returns:
      bool ``[face]``.

    >>> not_a_face([[0, 5], [5, 4]]).tolist()
    [True, False]
    """
    return np.asarray(abstentions)[:, ABSTENTIONS.index("NF")] >= _ABSTAINED


def unknown_expression(abstentions: ArrayLike) -> np.ndarray:
    """Faces whose expression at least 5 of 10 annotators call "unknown": an OOD set.

    Args:
      abstentions: ``[face, kind]`` counts, kinds as in :data:`ABSTENTIONS`.

    Returns:
      bool ``[face]``.

    >>> unknown_expression([[0, 5], [5, 4]]).tolist()
    [False, True]
    """
    return np.asarray(abstentions)[:, ABSTENTIONS.index("unknown")] >= _ABSTAINED
