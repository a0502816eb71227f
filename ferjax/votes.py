"""Vote arithmetic: distribution, most voted class, disagreement, entropy and ambiguity of items.

Pure functions on numpy arrays. Votes are counts ``[item, class]``, how many people chose each
class; people who could not judge an item are no part of them (a data set keeps such abstentions in
an array of its own). Entropies are in nats and computed in float64 on the host from *sorted*
shares, so that two items with the same multiset of votes tie exactly. Without items, results are
empty; a NaN share makes its own item NaN.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ferjax.distributions import require_shares

__all__ = [
    "Ambiguity",
    "ambiguity",
    "check",
    "disagreement",
    "distribution",
    "entropy",
    "hard_labels",
]


MOST = 10**6
"""The largest count: nobody asks more people about one item, and sums stay exact everywhere."""


class Ambiguity(NamedTuple):
    """Items that people disagree about, and items they agree about."""

    ambiguous: np.ndarray
    """bool ``[item]``."""
    clear: np.ndarray
    """bool ``[item]``."""


def check(counts: ArrayLike) -> np.ndarray:
    """Vote counts as int64, refusing what cannot be counts.

    Args:
      counts: ``[item, class]`` whole numbers >= 0, at least two classes.

    Returns:
      int64 ``[item, class]``.

    Raises:
      ValueError: naming the first bad row, what was expected and what came.

    >>> check([[5.0, 0.0]]).tolist()
    [[5, 0]]
    """
    counts = np.asarray(counts)
    if counts.ndim != 2 or counts.shape[1] < 2:
        raise ValueError(f"votes must be [item, class] of at least 2 classes, got {counts.shape}")
    if counts.dtype.kind not in "biuf":
        raise ValueError(f"votes must be numbers, got {counts.dtype}")
    whole = (counts >= 0) & (counts <= MOST) & (counts == np.round(counts))
    bad = ~np.all(whole, axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        most = f" (at most {MOST:,})" if counts[row].max() > MOST else ""
        raise ValueError(
            f"votes row {row}: expected whole counts >= 0, got {counts[row].tolist()}{most}"
        )
    return counts.astype(np.int64)


def distribution(counts: ArrayLike) -> np.ndarray:
    """The votes of each item over their sum.

    Args:
      counts: ``[item, class]`` whole numbers >= 0, at least two classes.

    Returns:
      float64 ``[item, class]``; 0 where an item has no vote.

    Raises:
      ValueError: if they cannot be counts; names the first bad row.

    >>> distribution([[5, 5, 0], [0, 0, 0]]).tolist()
    [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]
    """
    votes = check(counts).astype(np.float64)
    return votes / np.maximum(votes.sum(axis=1, keepdims=True), 1)


def hard_labels(q: ArrayLike) -> np.ndarray:
    """The most voted class, ties to the first.

    Args:
      q: ``[item, class]`` vote distributions or counts.

    Returns:
      int64 ``[item]``; 0 where an item has no vote, the first NaN where it has one.

    >>> hard_labels([[0.2, 0.4, 0.4]]).tolist()
    [1]
    """
    return np.asarray(q).argmax(axis=-1)


def disagreement(q: ArrayLike) -> np.ndarray:
    """Human disagreement ``1 - max_c q_c``: what aleatoric uncertainty is held against.

    Args:
      q: ``[item, class]`` vote distributions.

    Returns:
      float64 ``[item]`` in [0, 1), unitless; 1 where an item has no vote.

    >>> disagreement([[0.75, 0.25]]).tolist()
    [0.25]
    """
    shares = np.asarray(q, np.float64)
    require_shares(shares)
    return 1.0 - shares.max(axis=-1)


def entropy(q: ArrayLike) -> np.ndarray:
    """Entropy of the vote distribution; equal vote multisets give bit-equal entropies.

    Args:
      q: ``[item, class]`` vote distributions.

    Returns:
      float64 ``[item]`` in nats; 0 where an item has no vote.

    >>> entropy([[0.5, 0.5, 0, 0, 0, 0, 0, 0]]).round(4).tolist()
    [0.6931]
    """
    shares = np.asarray(q, np.float64)
    require_shares(shares)
    shares = np.sort(shares, axis=-1)
    return -np.sum(shares * np.log(np.where(shares > 0, shares, 1.0)), axis=-1) + 0.0


def ambiguity(q: ArrayLike) -> Ambiguity:
    """Which items of a split people disagree and agree about, relative to that split.

    Args:
      q: ``[item, class]`` vote distributions of one whole split.

    Returns:
      :class:`Ambiguity`: entropy >= the split's 2/3 quantile, and <= its 1/3 quantile. Where enough
      items tie, an item can be both; where one is NaN, none is either.

    >>> ambiguity([[1.0, 0.0], [0.8, 0.2], [0.5, 0.5]]).ambiguous.tolist()
    [False, False, True]
    """
    h = entropy(q)
    if h.size == 0:
        return Ambiguity(np.zeros(0, bool), np.zeros(0, bool))
    low, high = np.quantile(h, [1 / 3, 2 / 3])
    return Ambiguity(h >= high, h <= low)
