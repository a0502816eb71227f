"""Texts by how far people agree, where the people who sort are not the people who score."""

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import panels
from ferjax.evaluation.intervals import interval
from ferjax.evaluation.judgments.resampling import Weights, means
from ferjax.evaluation.judgments.results import Stratum
from ferjax.evaluation.judgments.rows import Lineup
from ferjax.evaluation.judgments.sides import Sides
from ferjax.panels import Moments

__all__ = ["strata"]

NAMES = ("two raters agree", "they agree in part", "they share nothing")


def strata(key: jax.Array, sides: Sides, lineup: Lineup, weights: Weights) -> dict[str, Stratum]:
    """Sorts each item by two of its raters, drawn at random, and scores it by the others.

    Items with fewer than four ratings are in no stratum: two sort, and an unbiased gap needs two.
    """
    table, _ = sides.ratings.by_item
    there = ~np.isnan(table[..., 0])
    noise = np.where(there, np.asarray(jax.random.uniform(key, there.shape)), np.inf)
    order = np.argsort(noise, axis=1)
    pair = np.take_along_axis(table, order[:, :2, None], 1)
    rest = np.take_along_axis(table, order[:, 2:, None], 1)
    enough = there.sum(1) >= 4
    if pair.shape[1] < 2 or not enough.any():
        return {}
    first = pair[:, 0]
    second = pair[:, 1]
    if sides.ratings.chosen is not None:
        same = (first == second).all(1)
        apart = ~(np.nan_to_num(first) * np.nan_to_num(second)).any(1) & ~same
    else:
        off = np.abs(first - second).mean(1)
        same = off == 0
        apart = off >= 1
    kinds = np.where(same, 0, np.where(apart, 2, 1))
    people = _scored(sides, rest)
    gap = np.asarray(panels.gap(people, lineup.moments))
    score = np.asarray(panels.expected_score(people, lineup.moments))
    found = {}
    for number, name in enumerate(NAMES):
        inside = (kinds == number) & enough
        if not inside.any():
            continue
        inner = [means(weights, np.where(inside, x, np.nan)) for x in (gap, score)]
        tables = [{judge: interval(x[:, k]) for k, judge in enumerate(lineup.names)} for x in inner]
        found[name] = Stratum(int(inside.sum()), *tables)
    return found


def _scored(sides: Sides, rest: np.ndarray) -> Moments:
    """Moments of the raters who did not sort."""
    if sides.ratings.chosen is not None:
        return panels.of_answers(jnp.asarray(rest, jnp.float32))
    return panels.of_values(rest, *sides.scale)
