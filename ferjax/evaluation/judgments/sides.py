"""The two sides of a comparison, item by item: what people said, and what each judge said.

Files of judges are matched with the panel by ids, or by what the texts were; classes by name.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from ferjax import panels
from ferjax.judgments import Judge, Judgments
from ferjax.panels import Moments
from ferjax.predictions import Predictions
from ferjax.ratings import Ratings

__all__ = ["Sides", "align", "with_unrated"]

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


def with_unrated(ratings: Ratings, files: Mapping[str, Judgments | Predictions]) -> Ratings:
    """The panel with the items that judges saw and nobody rated, behind its own.

    Args:
      ratings: the panel.
      files: as in :func:`align`; of networks, ids that are not the panel's.
    """
    known = set(ratings.ids.tolist())
    hashes = set() if ratings.hashes is None else set(ratings.hashes.tolist())
    more: dict[str, str] = {}
    for file in files.values():
        ids = file.ids.astype(str).tolist()
        texts = getattr(file, "hashes", None)
        same_text = [False] * len(ids) if texts is None else [h in hashes for h in texts]
        named = any(name in known for name in ids)
        for name, same in zip(ids, same_text):
            # Without a common id, items are matched by their texts.
            if name not in known and not (same and not named):
                more.setdefault(name, f"[no text: {name}]")
    if not more:
        return ratings
    unclear = ratings.unclear
    if unclear is not None:
        unclear = np.concatenate([unclear, np.zeros(len(more), unclear.dtype)])
    return dataclasses.replace(
        ratings,
        ids=np.concatenate([ratings.ids, np.array(list(more))]),
        unclear=unclear,
        texts=None if ratings.texts is None else (*ratings.texts, *more.values()),
    )


def align(
    ratings: Ratings, files: Mapping[str, Judgments | Predictions], *, rated_only: bool = True
) -> Sides:
    """Brings a panel and files of judges together.

    Args:
      ratings: the panel.
      files: name of the file -> judgments, or a network's predictions, which are one judge (the
        mean of the members) named as the file.
      rated_only: leave out items that nobody rated.

    Returns:
      :class:`Sides` over the items that any judge saw and at least one person rated.

    Raises:
      ValueError: naming the file, if its kind, classes or items are not the panel's, or a judge is
        there twice.
    """
    if not files:
        raise ValueError("no judges to compare")
    notes: list[str] = []
    ratings = _with_classes(ratings, files, notes)
    parts = []
    for name, file in files.items():
        try:
            if isinstance(file, Judgments):
                parts.append(_judgments(ratings, file))
            else:
                parts.append(_predictions(ratings, name, file, notes))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    judges = tuple(judge for part in parts for judge in part.judges)
    names = [judge.name for judge in judges]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"judge {twice[0]!r} is there twice, in the files {', '.join(files)}")
    answers = np.concatenate([part.answers for part in parts])
    seen = (answers > 0).any(0)
    rated = ratings.raters_of > 0
    kept = np.flatnonzero(seen & rated if rated_only else seen)
    if not len(kept):
        raise ValueError("no item was both rated by people and judged")
    left_out = {"no judge answered": ~seen}
    if rated_only:
        left_out["nobody rated"] = seen & ~rated
    for what, missing in left_out.items():
        if missing.any():
            notes.append(f"{int(missing.sum()):,} items of the panel left out: {what}")
    values = None
    if ratings.values is not None:
        most = max(part.values.shape[2] for part in parts)  # type: ignore[union-attr]
        values = np.concatenate([_wider(part.values, most) for part in parts])[:, kept]
    shares = None
    if ratings.values is None:
        shares = np.concatenate([part.shares for part in parts])[:, kept]  # type: ignore[misc]
    return Sides(
        ratings=ratings.take(kept),
        judges=judges,
        answers=answers[:, kept],
        asked=np.concatenate([part.asked for part in parts])[:, kept],
        shares=shares,
        values=values,
        sets=tuple(None if s is None else s[kept] for part in parts for s in part.sets),
        notes=tuple(notes),
    )


def _wider(values: np.ndarray | None, samples: int) -> np.ndarray:
    assert values is not None
    missing = samples - values.shape[2]
    return np.pad(values, ((0, 0), (0, 0), (0, missing), (0, 0)), constant_values=np.nan)


def _with_classes(
    ratings: Ratings, files: Mapping[str, Judgments | Predictions], notes: list[str]
) -> Ratings:
    """The panel with the classes that judges could choose and no person did."""
    if ratings.chosen is None:
        return ratings
    offered = [name for file in files.values() for name in file.classes or ()]
    more = tuple(dict.fromkeys(name for name in offered if name not in ratings.classes))
    if not more:
        return ratings
    notes.append(f"classes that no person chose: {', '.join(more)}")
    nobody = np.zeros((len(ratings.item), len(more)), bool)
    return dataclasses.replace(
        ratings,
        classes=(*ratings.classes, *more),
        chosen=np.concatenate([ratings.chosen, nobody], 1),
    )


def _order(mine: Sequence[str], theirs: Sequence[str] | None, what: str) -> list[int]:
    if theirs is None:
        raise ValueError(f"it does not name its {what}")
    missing = [name for name in mine if name not in theirs]
    if missing:
        raise ValueError(
            f"it has no {what} {', '.join(missing[:3])}; it has {', '.join(theirs[:8])}"
        )
    return [list(theirs).index(name) for name in mine]


def _judgments(ratings: Ratings, file: Judgments) -> Sides:
    if file.kind != ratings.kind and not {file.kind, ratings.kind} <= {"ordinal", "real"}:
        raise ValueError(f"judgments of kind {file.kind}, people's ratings are {ratings.kind}")
    row = _rows(ratings, file.ids, file.hashes)
    if row is None:
        raise ValueError(
            f"none of its items is in the panel: it has {', '.join(map(str, file.ids[:3]))}, the "
            f"panel {', '.join(map(str, ratings.ids[:3]))}"
        )
    seen = row >= 0

    def placed(array: np.ndarray, empty: float) -> np.ndarray:
        shape = (len(array), len(ratings.ids), *array.shape[2:])
        whole = np.full(shape, empty, np.float32)
        whole[:, row[seen]] = array[:, seen]
        return whole

    answers = placed(file.answered, 0)
    if file.counts is not None and ratings.values is None:
        order = _order(ratings.classes, file.classes, "class")
        counts = placed(file.counts[..., order], 0)
        shares = counts / np.maximum(answers, 1)[..., None]
        sets: list[np.ndarray | None] = [None] * len(file.judges)
        if file.sets is not None:
            sets = list(placed(file.sets[..., order], 0).astype(bool))
        elif ratings.kind == "single":
            sets = [_one_hot(c) for c in counts.astype(int)]
        return Sides(
            ratings, file.judges, answers, placed(file.asked, 0), shares=shares, sets=tuple(sets)
        )
    values = file.values
    if values is None:
        values = _level_values(file, ratings)
    else:
        values = values[..., _order(ratings.classes, file.classes, "dimension")]
    return Sides(
        ratings,
        file.judges,
        answers,
        placed(file.asked, 0),
        values=placed(values, np.nan),
        sets=(None,) * len(file.judges),
    )


def _one_hot(counts: np.ndarray) -> np.ndarray:
    """Counts of single classes ``[item, class]`` as answers ``[item, sample, class]``."""
    past = np.cumsum(counts, -1)[:, None]
    slot = np.arange(counts.sum(-1).max(initial=0))[None, :, None]
    return (slot < past) & (slot >= past - counts[:, None])


def _level_values(file: Judgments, ratings: Ratings) -> np.ndarray:
    """Counts over levels of one scale as values ``[judge, item, sample, 1]``."""
    levels = ratings.levels or ()
    if len(ratings.classes) != 1 or len(levels) != len(file.classes):
        raise ValueError(
            f"it counts {len(file.classes)} levels of one scale; people rate "
            f"{len(ratings.classes)} dimensions of {len(levels)} levels"
        )
    assert file.counts is not None
    flat = _one_hot(file.counts.reshape(-1, len(levels)))
    values = np.where(flat.any(-1), flat @ np.asarray(levels), np.nan)
    return values.reshape(*file.counts.shape[:2], -1, 1)


def _predictions(ratings: Ratings, name: str, file: Predictions, notes: list[str]) -> Sides:
    if ratings.values is not None:
        raise ValueError("predictions are probabilities of classes; these people rated values")
    probs = np.exp(file.log_probs.astype(np.float64)).mean(0)
    if file.classes is None and probs.shape[1] == len(ratings.classes):
        order = list(range(probs.shape[1]))
        notes.append(f"{name} does not name its classes: taken in the panel's order")
    else:
        order = _order(ratings.classes, file.classes, "class")
    row = _rows(ratings, file.ids.astype(str), None)
    if row is None:
        if file.ids.min(initial=0) < 0 or file.ids.max(initial=0) >= len(ratings.ids):
            raise ValueError("its ids are neither the panel's nor row numbers of it")
        row = file.ids
        notes.append(f"{name}: its ids were taken as row numbers of the panel")
    shares = np.zeros((1, len(ratings.ids), len(ratings.classes)), np.float32)
    answers = np.zeros((1, len(ratings.ids)), np.float32)
    seen = row >= 0
    shares[0, row[seen]] = probs[seen][:, order]
    answers[0, row[seen]] = np.inf
    judge = (Judge(name),)
    return Sides(ratings, judge, answers, np.sign(answers), shares=shares, sets=(None,))


def _rows(ratings: Ratings, ids: np.ndarray, hashes: np.ndarray | None) -> np.ndarray | None:
    """The panel's row of each id, −1 where it has none; None if it has none of them."""
    place = {str(name): row for row, name in enumerate(ratings.ids)}
    found = np.array([place.get(str(name), -1) for name in ids], int)
    if (found >= 0).any():
        mine = ratings.hashes
        if hashes is not None and mine is not None:
            rated = (found >= 0) & (ratings.raters_of[found] > 0)
            other = np.flatnonzero(rated & (mine[found] != hashes))
            if len(other):
                raise ValueError(f"item {ids[other[0]]}: it judged another text than people rated")
        return found
    if hashes is not None and ratings.hashes is not None:
        place = {str(name): row for row, name in enumerate(ratings.hashes)}
        found = np.array([place.get(str(name), -1) for name in hashes], int)
        if (found >= 0).any():
            return found
    return None
