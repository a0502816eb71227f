"""What ten crowd votes say about a face: target distribution, disagreement, ambiguity, and which
faces to keep.

Pure functions on numpy arrays. A vote array is ``votes[face, 10]``, columns in FER+ order
:data:`COLUMNS`; the first eight are the classes. With other classes it is ``[face, C + 2]``: the
last two columns are always unknown and NF. Entropies are in nats and computed in float64 from
*sorted* shares, so that two faces with the same multiset of votes tie exactly.

References:
  Barsoum et al., Training Deep Networks for Facial Expression Recognition with Crowd-Sourced Label
  Distribution, 2016, https://arxiv.org/abs/1608.01041.
"""

from typing import NamedTuple

import numpy as np

__all__ = [
    "CLASSES",
    "COLUMNS",
    "POLICIES",
    "Targets",
    "ambiguity",
    "check",
    "disagreement",
    "entropy",
    "hard_labels",
    "not_a_face",
    "shares",
    "targets",
    "unknown_expression",
]

CLASSES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
COLUMNS = (*CLASSES, "unknown", "NF")
POLICIES = ("paper", "majority", "probability")


class Targets(NamedTuple):
    """Which faces a policy keeps, and the distribution it trains them towards.

    ``keep [face]`` bool; ``q [face, 8]`` float32, each kept row sums to 1, dropped rows are 0.
    """

    keep: np.ndarray
    q: np.ndarray


def check(votes: np.ndarray) -> np.ndarray:
    """Refuses what cannot be vote counts.

    Args:
      votes: ``[face, C + 2]`` non-negative whole numbers.

    Returns:
      The votes as int64.

    Raises:
      ValueError: naming the first bad row.
    """
    votes = np.asarray(votes)
    if votes.ndim != 2 or votes.shape[1] < 4:
        raise ValueError(
            f"votes must be [face, {len(COLUMNS)}] ({', '.join(COLUMNS)}), or [face, C + 2] with C >= 2 other "
            f"classes; got shape {votes.shape}"
        )
    bad = ~np.all((votes >= 0) & (votes < np.inf) & (votes == np.round(votes)), axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(f"votes row {row}: expected whole counts >= 0, got {votes[row].tolist()}")
    return votes.astype(np.int64)


def shares(votes: np.ndarray) -> np.ndarray:
    """The emotion votes of each face over their sum, ``[face, C]`` float64; 0 where a face has
    none.

    >>> shares(np.array([[5, 5, 0, 0, 0, 0, 0, 0, 0, 0]]))[0, :3].tolist()
    [0.5, 0.5, 0.0]
    """
    emotions = check(votes)[:, :-2].astype(np.float64)
    return emotions / np.maximum(emotions.sum(axis=1, keepdims=True), 1)


def targets(votes: np.ndarray, policy: str = "paper") -> Targets:
    """Applies a filter policy.

    * ``paper``: drop a face iff unknown + NF >= 5 or it has no emotion vote; target = shares of the
      emotion votes.
    * ``majority``: remove single votes; keep iff one class holds more than half of what is left;
      target one-hot.
    * ``probability``: remove single votes; take top classes until 75 % of the mass, at most three;
      drop if they hold half or less, or if unknown / NF leads.

    Args:
      votes: ``[face, 10]`` counts.
      policy: one of :data:`POLICIES`.

    Raises:
      ValueError: on an unknown policy or bad votes.

    References:
      The FER+ repository's README and training code (majority, probability).

    >>> targets(np.array([[6, 2, 0, 0, 0, 0, 0, 0, 2, 0], [1, 0, 0, 0, 0, 0, 0, 0, 4, 5]])).keep.tolist()
    [True, False]
    """
    votes = check(votes)
    if votes.shape[1] != len(COLUMNS):
        raise ValueError(
            f"policies are about FER+ votes [face, {len(COLUMNS)}] ({', '.join(COLUMNS)}), got shape {votes.shape}"
        )
    if policy == "paper":
        keep = (votes[:, 8:].sum(axis=1) < 5) & (votes[:, :8].sum(axis=1) > 0)
        q = shares(votes)
    elif policy == "majority":
        robust = np.where(votes > 1, votes, 0)
        winner = robust.argmax(axis=1)
        keep = (robust.max(axis=1) * 2 > robust.sum(axis=1)) & (winner < 8)
        q = np.eye(len(COLUMNS))[winner][:, :8]
    elif policy == "probability":
        keep, q = _top_classes(votes)
    else:
        raise ValueError(f"unknown policy {policy!r}; expected one of {', '.join(POLICIES)}")
    return Targets(keep, np.where(keep[:, None], q, 0).astype(np.float32))


def _top_classes(votes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    robust = np.where(votes > 1, votes, 0)
    mass = robust.sum(axis=1)
    taken = np.zeros_like(robust)
    count = np.zeros(len(votes), np.int64)
    valid = np.ones(len(votes), bool)
    # Equal counts enter together, so walk down the levels a count can have rather than the classes.
    for level in range(int(robust.max(initial=0)), 1, -1):
        active = (taken.sum(axis=1) < 0.75 * mass) & (count < 3) & valid
        enters = (robust == level) & active[:, None]
        emotions = enters[:, :8]
        no_face = enters[:, 8:].any(axis=1)
        taken[:, :8] += level * emotions
        count += emotions.sum(axis=1)
        leads = no_face & (taken.sum(axis=1) == 0)
        taken[:, 8] += level * leads
        count += leads
        valid &= ~no_face
    keep = (taken.sum(axis=1) * 2 > mass) & (count <= 3) & (taken[:, 8] == 0)
    q = taken[:, :8] / np.maximum(taken[:, :8].sum(axis=1, keepdims=True), 1)
    return keep, q


def hard_labels(q: np.ndarray) -> np.ndarray:
    """The most voted class, ties to the first: ``[face]`` int64 from ``q [face, 8]``."""
    return np.asarray(q).argmax(axis=-1)


def disagreement(q: np.ndarray) -> np.ndarray:
    """Human disagreement ``1 - max_c q_c``, ``[face]`` in [0, 1): what aleatoric uncertainty is
    validated against."""
    return 1.0 - np.asarray(q, np.float64).max(axis=-1)


def entropy(q: np.ndarray) -> np.ndarray:
    """Entropy of the vote distribution, ``[face]`` in nats; equal vote multisets give bit-equal
    entropies.

    >>> entropy(np.array([[0.5, 0.5, 0, 0, 0, 0, 0, 0]])).round(4).tolist()
    [0.6931]
    """
    q = np.sort(np.asarray(q, np.float64), axis=-1)
    return -np.sum(q * np.log(np.where(q > 0, q, 1.0)), axis=-1) + 0.0


def ambiguity(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The faces people disagree about, and the faces they agree about, relative to their own split.

    Args:
      q: ``[face, 8]`` vote distributions of one whole split.

    Returns:
      ``(ambiguous, clear)`` bool ``[face]``: entropy >= the split's 2/3 quantile, and <= its 1/3
      quantile.
    """
    h = entropy(q)
    if h.size == 0:
        return np.zeros(0, bool), np.zeros(0, bool)
    low, high = np.quantile(h, [1 / 3, 2 / 3])
    return h >= high, h <= low


def not_a_face(votes: np.ndarray) -> np.ndarray:
    """Faces that at least 5 of 10 people call "not a face": a natural out-of-distribution set,
    ``[face]`` bool."""
    return check(votes)[:, -1] >= 5


def unknown_expression(votes: np.ndarray) -> np.ndarray:
    """Faces whose expression at least 5 of 10 people call "unknown", ``[face]`` bool."""
    return check(votes)[:, -2] >= 5
