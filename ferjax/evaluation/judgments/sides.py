"""The two sides of a comparison, item by item: what people said, and what each judge said."""

import dataclasses
import functools

import jax
import numpy as np

from ferjax import panels
from ferjax.judgments import Judge
from ferjax.panels import Moments
from ferjax.ratings import Ratings

__all__ = ["Sides", "require_agreement"]

MOST_STEPS = 400
"""Steps of a real-valued scale; more different values than that are rounded to so many."""


@dataclasses.dataclass(frozen=True)
class Sides:
    """People and judges over the same items; either shares of classes, or values."""

    ratings: Ratings
    """Of the items that are compared."""
    judges: tuple[Judge, ...]
    answers: np.ndarray
    """float32 ``[judge, item]``: valid answers; infinite for a network's probabilities, 0 where an
    item was not judged."""
    asked: np.ndarray
    """float32 ``[judge, item]``: answers that came."""
    shares: np.ndarray | None = None
    """float32 ``[judge, item, class]``: valid answers that named the class over all of them."""
    values: np.ndarray | None = None
    """float32 ``[judge, item, sample, dimension]``."""
    sets: tuple[np.ndarray | None, ...] = ()
    """Each judge's sets of classes ``[item, sample, class]``, where the file holds them."""
    tokens: np.ndarray | None = None
    """float32 ``[judge, item]``: tokens that its answers took; NaN where that is not known."""
    notes: tuple[str, ...] = ()

    def take(self, rows: np.ndarray) -> "Sides":
        """The sides of some items."""
        return dataclasses.replace(
            self,
            ratings=self.ratings.take(rows),
            answers=self.answers[:, rows],
            asked=self.asked[:, rows],
            shares=None if self.shares is None else self.shares[:, rows],
            values=None if self.values is None else self.values[:, rows],
            sets=tuple(None if s is None else s[rows] for s in self.sets),
            tokens=None if self.tokens is None else self.tokens[:, rows],
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The judges' names."""
        return tuple(judge.name for judge in self.judges)

    @functools.cached_property
    def people_shares(self) -> np.ndarray:
        """float32 ``[item, class]``: raters who chose the class over all of the item's raters."""
        n = np.maximum(self.ratings.raters_of, 1)[:, None]
        return (self.ratings.counts / n).astype(np.float32)

    @functools.cached_property
    def scale(self) -> tuple[np.ndarray, np.ndarray]:
        """Steps and widths of the scale, between any two values that occur on either side."""
        assert self.values is not None
        said = np.concatenate([self.ratings.said.ravel(), self.values.ravel()])
        found = np.unique(said[~np.isnan(said)].astype(np.float32)).astype(np.float64)
        if self.ratings.levels is not None:
            found = np.union1d(found, self.ratings.levels)
        if len(found) > MOST_STEPS:
            found = np.linspace(found[0], found[-1], MOST_STEPS)
        return (found[1:] + found[:-1]) / 2, np.diff(found)

    @functools.cached_property
    def people(self) -> Moments:
        """Moments of the people, ``[item]``; of all dimensions together, where there are values."""
        n = self.ratings.raters_of
        if self.shares is not None:
            return _of_shares(self.people_shares, n.astype(np.float32))
        return _of_values(self.ratings.by_item[0], *self.scale)

    @functools.cached_property
    def machines(self) -> Moments:
        """Moments of the judges, ``[judge, item]``."""
        if self.shares is not None:
            return _of_shares(self.shares, self.answers)
        return _of_values(self.values, *self.scale)

    def of_class(self, place: int) -> tuple[Moments, Moments]:
        """Moments of people and judges of one class, or one dimension, alone."""
        one = slice(place, place + 1)
        if self.shares is not None:
            n = self.ratings.raters_of.astype(np.float32)
            people = _of_shares(self.people_shares[..., one], n)
            return people, _of_shares(self.shares[..., one], self.answers)
        assert self.values is not None
        people = _of_values(self.ratings.by_item[0][..., one], *self.scale)
        return people, _of_values(self.values[..., one], *self.scale)


@jax.jit
def _of_shares(shares: jax.Array, answers: jax.Array) -> Moments:
    return panels.of_shares(shares, answers)


@jax.jit
def _of_values(values: jax.Array, steps: jax.Array, widths: jax.Array) -> Moments:
    return panels.of_values(values, steps, widths)


def require_agreement(sides: Sides) -> None:
    """Refuses people of whom nothing can be said about how far they agree.

    Raises:
      ValueError: if fewer than 10 texts have two ratings.
    """
    scored = int((sides.ratings.raters_of > 1).sum())
    if scored < 10:
        raise ValueError(
            f"{scored} texts have two ratings or more; with fewer than 10 nothing can be said "
            "about how far people agree"
        )
