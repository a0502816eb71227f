"""Dimension by dimension of ordinal and real ratings: means and spreads within texts."""

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import panels
from ferjax.evaluation.intervals import Interval, interval
from ferjax.evaluation.judgments.resampling import Weights, means, ratios, spearmans
from ferjax.evaluation.judgments.results import DimensionRow
from ferjax.evaluation.judgments.rows import worth
from ferjax.evaluation.judgments.sides import Sides

__all__ = ["by_dimension"]


@jax.jit
def _summaries(values: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Mean, standard deviation (ddof 1) and number of values ``[..., item, answer]``."""
    there = ~jnp.isnan(values)
    n = jnp.sum(there, -1)
    mean = jnp.sum(jnp.where(there, values, 0.0), -1) / jnp.where(n > 0, n, jnp.nan)
    off = jnp.where(there, values - mean[..., None], 0.0)
    deviation = jnp.sqrt(jnp.sum(off**2, -1) / jnp.where(n > 1, n - 1, jnp.nan))
    return mean, deviation, n.astype(jnp.float32)


def _pearson(weights: Weights, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Correlation over items of ``x [judge, item]`` with ``y [item]``, by resample."""
    fine = ~np.isnan(x)
    centre = float(np.nanmean(y))
    a = np.where(fine, x - centre, np.nan)
    b = np.where(fine, y - centre, np.nan)
    mean_a = means(weights, a)
    mean_b = means(weights, b)
    covariance = means(weights, a * b) - mean_a * mean_b
    variance = (means(weights, a * a) - mean_a**2) * (means(weights, b * b) - mean_b**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return covariance / np.sqrt(np.maximum(variance, 0))


def _reliability(weights: Weights, table: np.ndarray) -> np.ndarray:
    """Of the mean of ``table [item, slot]``, by resample."""
    answers = panels.of_answers(table[..., None])
    return np.asarray(
        jax.lax.map(lambda w: panels.reliability(answers, w), weights, batch_size=64), np.float64
    )


def _spread_reliability(key: jax.Array, table: np.ndarray, splits: int = 10) -> float:
    """Split-half reliability of the spread within a text, stepped up; halves need two ratings."""
    there = ~np.isnan(table)
    several = there.sum(1) >= 4
    x = table[several].astype(np.float32)
    if len(x) < 3:
        return float("nan")

    def one(key: jax.Array) -> jax.Array:
        first, second = panels.halves(key, ~jnp.isnan(x))
        a = _summaries(jnp.where(first > 0, x, jnp.nan))[1]
        b = _summaries(jnp.where(second > 0, x, jnp.nan))[1]
        return jnp.corrcoef(a, b)[0, 1]

    r = float(jnp.mean(jax.lax.map(one, jax.random.split(key, splits))))
    n = there.sum(1)[several]
    return float(panels.stepped_up(r, n.mean() / (n // 2).mean()))


def by_dimension(key: jax.Array, sides: Sides, weights: Weights) -> dict[str, DimensionRow]:
    """The table of dimensions, with ceilings beside every correlation."""
    assert sides.values is not None
    table = sides.ratings.by_item[0]
    rows = {}
    for place, name in enumerate(sides.ratings.classes):
        y, people_deviation, _ = map(np.asarray, _summaries(table[..., place]))
        x, deviation, _ = map(np.asarray, _summaries(sides.values[..., place]))
        people, machines = sides.of_class(place)
        gap = np.asarray(panels.gap(people, machines))
        spread = np.asarray(panels.spread(people))
        reference = np.asarray(
            panels.gap(people, panels.leave_one_out(people, sides.ratings.groups))
        )
        reliability = _reliability(weights, table[..., place])

        def judges(samples: np.ndarray) -> dict[str, Interval]:
            return {judge: interval(samples[:, k]) for k, judge in enumerate(sides.names)}

        rows[name] = DimensionRow(
            reliability=interval(reliability),
            ceiling=interval(np.sqrt(np.where(reliability > 0, reliability, np.nan))),
            spread_reliability=_spread_reliability(
                jax.random.fold_in(key, place), table[..., place]
            ),
            spread=interval(means(weights, people_deviation)),
            pearson=judges(_pearson(weights, x, y)),
            spearman=judges(spearmans(weights, x, y[None])),
            mae=judges(means(weights, np.abs(x - y))),
            rmse=judges(np.sqrt(means(weights, (x - y) ** 2))),
            skill=judges(1 - ratios(weights, gap, reference[None])),
            people=judges(worth(ratios(weights, gap, spread[None]))),
            judge_spread=judges(means(weights, deviation)),
        )
    return rows
