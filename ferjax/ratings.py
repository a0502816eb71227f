"""What a panel of people said, rating by rating: who rated what, and what they chose.

One row a rating. Everything that compares judges with people starts from here, whatever was rated
and wherever the ratings came from; ratings of people who could not judge ("very unclear") are kept
apart, they are neither a class nor agreement.
"""

import dataclasses
import functools

import numpy as np
from numpy.typing import ArrayLike

from ferjax.judgments import KINDS, text_hash

__all__ = ["Ratings"]

_LARGEST = 2**29
"""Values of the largest table: one item that everybody rated would make all rows as wide."""


@dataclasses.dataclass(frozen=True)
class Ratings:
    """Ratings of items by people.

    Raises:
      ValueError: naming the field, and the first item, that does not fit.
    """

    kind: str
    """``single``, ``multi``, ``ordinal`` or ``real``, as in :mod:`ferjax.judgments`."""
    classes: tuple[str, ...]
    """Classes that were chosen from; dimensions, where ratings are values."""
    ids: np.ndarray
    """Text ``[item]``."""
    item: np.ndarray
    """int ``[rating]``, the row of ``ids`` that was rated."""
    chosen: np.ndarray | None = None
    """bool ``[rating, class]``: what was chosen, of kinds ``single`` and ``multi``."""
    values: np.ndarray | None = None
    """float64 ``[rating, dimension]``: the values, of kinds ``ordinal`` and ``real``."""
    rater: np.ndarray | None = None
    """int ``[rating]``, the row of ``raters``; None where it is not known who rated."""
    raters: tuple[str, ...] = ()
    levels: tuple[float, ...] | None = None
    """The levels of an ordinal scale, ascending."""
    unclear: np.ndarray | None = None
    """int ``[item]``: how many people could not judge the item."""
    texts: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if (self.chosen is None) == (self.values is None):
            raise ValueError("ratings are either choices or values, one of them")
        if (self.chosen is None) == (self.kind in ("single", "multi")):
            what = "choices" if self.values is not None else "values"
            raise ValueError(f"ratings of kind {self.kind} need {what}")
        rows = self.said.shape
        if rows != (len(self.item), len(self.classes)):
            raise ValueError(
                f"{len(self.item)} ratings of {len(self.classes)} classes, but rows of {rows}"
            )
        if len(set(self.ids.tolist())) != len(self.ids):
            ids, often = np.unique(self.ids, return_counts=True)
            raise ValueError(f"item {str(ids[often > 1][0])!r} is there twice")
        for name, number in (("rater", len(self.item)), ("unclear", len(self.ids))):
            array = getattr(self, name)
            if array is not None and array.shape != (number,):
                raise ValueError(f"{name} must be ({number},), got {array.shape}")
        if self.texts is not None and len(self.texts) != len(self.ids):
            raise ValueError(f"{len(self.texts)} texts for {len(self.ids)} items")
        self._check_rows()

    def _check_rows(self) -> None:
        if self.kind == "single":
            assert self.chosen is not None
            wrong = self.chosen.sum(1) != 1
            self._refuse(wrong, "a rating of kind single names one class")
        if self.values is not None:
            self._refuse(~np.isfinite(self.values).all(1), "a value is no finite number")
            if self.levels is not None:
                outside = ~np.isin(self.values, self.levels).all(1)
                levels = ", ".join(f"{level:g}" for level in self.levels)
                self._refuse(outside, f"a value is none of the levels {levels}")
        if self.kind == "ordinal" and self.levels is None:
            raise ValueError("ratings of kind ordinal need levels")

    def _refuse(self, wrong: ArrayLike, why: str) -> None:
        wrong = np.asarray(wrong)
        if wrong.any():
            raise ValueError(f"item {self.ids[self.item[np.argmax(wrong)]]}: {why}")

    @property
    def said(self) -> np.ndarray:
        """Choices or values, ``[rating, class]``."""
        if self.chosen is not None:
            return self.chosen
        assert self.values is not None
        return self.values

    @functools.cached_property
    def raters_of(self) -> np.ndarray:
        """How many people judged each item, int ``[item]``; unclear ratings are no part of it."""
        return np.bincount(self.item, minlength=len(self.ids))

    @functools.cached_property
    def counts(self) -> np.ndarray:
        """How many people chose each class, int ``[item, class]``; of choices only."""
        if self.chosen is None:
            raise ValueError(f"ratings of kind {self.kind} have values, not counts")
        counts = np.zeros((len(self.ids), len(self.classes)), np.int64)
        np.add.at(counts, self.item, self.chosen)
        return counts

    @functools.cached_property
    def by_item(self) -> tuple[np.ndarray, np.ndarray]:
        """Ratings side by side: ``([item, slot, class] float64, who [item, slot] int)``.

        Empty slots are NaN and −1; who is the row of ``raters``, −1 where it is not known.
        """
        order = np.argsort(self.item, kind="stable")
        item = self.item[order]
        first = np.concatenate([[0], np.cumsum(self.raters_of)])
        slot = np.arange(len(item)) - first[item]
        shape = (len(self.ids), int(self.raters_of.max(initial=0)))
        size = shape[0] * shape[1] * len(self.classes)
        if size > _LARGEST:
            raise ValueError(
                f"{shape[0]:,} items with up to {shape[1]:,} ratings of {len(self.classes):,} "
                f"classes are a table of {size:,} values; at most {_LARGEST:,} are held"
            )
        table = np.full((*shape, len(self.classes)), np.nan)
        table[item, slot] = self.said[order]
        who = np.full(shape, -1)
        if self.rater is not None:
            who[item, slot] = self.rater[order]
        return table, who

    @functools.cached_property
    def groups(self) -> np.ndarray:
        """int ``[item]``; items of one text have one number, and stay together when resampled."""
        if self.texts is None:
            return np.arange(len(self.ids))
        return np.unique(np.array(self.texts, object), return_inverse=True)[1]

    @functools.cached_property
    def hashes(self) -> np.ndarray | None:
        """What each item's text is known by, ``[item]``; None without texts."""
        return None if self.texts is None else np.array([text_hash(text) for text in self.texts])

    def take(self, rows: np.ndarray) -> "Ratings":
        """The ratings of some items, in the order given.

        Args:
          rows: int ``[n]``, rows of ``ids``, each once.
        """
        place = np.full(len(self.ids), -1)
        place[rows] = np.arange(len(rows))
        kept = place[self.item] >= 0

        def of(array: np.ndarray | None, index: np.ndarray) -> np.ndarray | None:
            return None if array is None else array[index]

        return dataclasses.replace(
            self,
            ids=self.ids[rows],
            item=place[self.item][kept],
            chosen=of(self.chosen, kept),
            values=of(self.values, kept),
            rater=of(self.rater, kept),
            unclear=of(self.unclear, rows),
            texts=None if self.texts is None else tuple(self.texts[row] for row in rows),
        )
