"""Recall of each class and their mean, with intervals, from resampled recalls."""

from collections.abc import Sequence

import numpy as np
from jax.typing import ArrayLike

from ferjax.evaluation.intervals import Interval, by_label, interval
from ferjax.evaluation.results import ClassRecall

__all__ = ["balanced", "balanced_samples", "recall_by_class"]


def balanced_samples(recall: ArrayLike) -> np.ndarray:
    """Balanced accuracy ``[1 + resample]``: mean recall over the classes that have items.

    Args:
      recall: ``[1 + resample, class]``, NaN for a class without items.
    """
    recall = np.asarray(recall, np.float64)
    there = ~np.isnan(recall)
    count = there.sum(-1)
    total = np.where(there, recall, 0).sum(-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def balanced(recall: ArrayLike) -> Interval:
    """Balanced accuracy with its interval, see :func:`balanced_samples`."""
    return interval(balanced_samples(recall))


def recall_by_class(
    recall: ArrayLike, labels: np.ndarray, classes: Sequence[str]
) -> dict[str, ClassRecall]:
    """Class -> number of its items, and their recall with its interval.

    Args:
      recall: ``[1 + resample, class]``.
      labels: ``[item]``.
      classes: their names.
    """
    counts = np.bincount(labels, minlength=len(classes))
    of = by_label(recall, classes)
    return {name: ClassRecall(int(counts[c]), of[name]) for c, name in enumerate(classes)}
