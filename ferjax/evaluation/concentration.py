"""Concentrations of the members: those that predictions bring, or fitted to what people said.

An ensemble of networks without concentrations gets them here, after the fact: fitted on the valid
items, and cross-fitted where these are scored themselves. Without valid items that have votes, the
test items take their place, cross-fitted with all their copies.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np
from jax.typing import ArrayLike

from ferjax import recalibration
from ferjax.evaluation.results import ConcentrationFit
from ferjax.predictions import Predictions

__all__ = ["Concentrated", "plain", "with_concentrations"]

FOLDS = 5


class Concentrated(NamedTuple):
    """Predictions that all have concentrations, or none of them; and where these come from."""

    predictions: dict[str, Predictions]
    fit: ConcentrationFit


def with_concentrations(predictions: Mapping[str, Predictions]) -> Concentrated:
    """Gives every condition its members' concentrations.

    Args:
      predictions: condition -> predictions of one ensemble.

    Raises:
      ValueError: if some conditions bring concentrations and others do not.
    """
    given = dict(predictions)
    bare = [name for name, p in given.items() if p.log_concentration is None]
    if len(bare) < len(given):
        if bare:
            raise ValueError(
                f"condition {bare[0]} has no log_concentration and "
                f"{next(n for n in given if n not in bare)} has one; give it for all or none"
            )
        return Concentrated(given, ConcentrationFit("predictions"))
    source = _source(given)
    if source is None:
        return Concentrated(given, ConcentrationFit("none"))
    assert source.votes is not None
    groups = source.ids if source.groups is None else source.groups
    told = recalibration.telling(source.votes)
    if min(told, len(np.unique(groups))) < recalibration.LEAST_ITEMS:
        return Concentrated(given, ConcentrationFit("none", told))
    folds = recalibration.make_folds(groups, FOLDS)
    fitted = _fit(
        source.votes,
        np.asarray(source.log_probs, np.float32),
        folds,
        max_votes=int(source.votes.sum(-1).max()),
    )
    fold_of = dict(zip(source.ids.tolist(), folds.tolist()))

    def concentrated(p: Predictions) -> Predictions:
        own = np.full(len(p.ids), FOLDS, np.int32)
        if p.split == source.split:
            own = np.array([fold_of.get(i, FOLDS) for i in p.ids.tolist()], np.int32)
        found = _apply(fitted, np.asarray(p.log_probs, np.float32), own)
        return dataclasses.replace(p, log_concentration=np.asarray(found))

    whole = {name: plain(leaf[FOLDS]) for name, leaf in fitted._asdict().items()}
    return Concentrated(
        {name: concentrated(p) for name, p in given.items()},
        ConcentrationFit(source.split, told, FOLDS, whole),
    )


def plain(array: ArrayLike) -> tuple:
    """An array as nested tuples of numbers."""
    return tuple(plain(row) if np.ndim(row) else float(row) for row in np.asarray(array))


def _source(predictions: Mapping[str, Predictions]) -> Predictions | None:
    """What concentrations are fitted on: the clean valid items, else the clean test items."""
    for split in ("valid", "test"):
        for p in predictions.values():
            changed = p.corruption is not None or p.tolerance is not None
            if p.split == split and not changed and p.votes is not None:
                return p
    return None


@functools.partial(jax.jit, static_argnames="max_votes")
def _fit(
    votes: ArrayLike, log_probs: ArrayLike, folds: ArrayLike, *, max_votes: int
) -> recalibration.Concentration:
    """Leaves ``[fold, member, ...]``: without each fold, and in one more row without none."""
    return recalibration.fit_folds(
        votes, log_probs, folds, num_folds=FOLDS + 1, max_votes=max_votes
    )


_apply = jax.jit(recalibration.apply_folds)
