"""A panel and files of judges brought together: items by id or text, classes by name."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from ferjax.evaluation.judgments.sides import Sides
from ferjax.judgments import Judge, Judgments
from ferjax.predictions import Predictions
from ferjax.ratings import Ratings

__all__ = ["align", "with_unrated"]


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
        tokens=_tokens(parts)[:, kept],
        notes=tuple(notes),
    )


def _tokens(parts: Sequence[Sides]) -> np.ndarray:
    unknown = [np.full(part.answers.shape, np.nan, np.float32) for part in parts]
    known = [none if p.tokens is None else p.tokens for none, p in zip(unknown, parts)]
    return np.concatenate(known)


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
    tokens = None if file.tokens is None else placed(file.tokens, np.nan)
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
            ratings,
            file.judges,
            answers,
            placed(file.asked, 0),
            shares=shares,
            sets=tuple(sets),
            tokens=tokens,
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
        tokens=tokens,
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
