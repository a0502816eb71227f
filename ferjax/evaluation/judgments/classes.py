"""Class by class: rates, correlations over texts beside their ceilings, worth in people."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import panels
from ferjax.evaluation.intervals import interval
from ferjax.evaluation.judgments.resampling import (
    Weights,
    means,
    ratios,
    table_spearmans,
)
from ferjax.evaluation.judgments.results import ClassRow
from ferjax.evaluation.judgments.rows import worth
from ferjax.evaluation.judgments.sides import Sides

__all__ = ["ClassSamples", "by_class", "class_samples"]

ClassSamples = dict[str, np.ndarray]
"""Resampled figures by name, ``[1 + resample, class]`` or ``[1 + resample, judge, class]``."""


@jax.jit
def _per_class(
    people: jax.Array, raters: jax.Array, judge: jax.Array, answers: jax.Array
) -> tuple[jax.Array, ...]:
    """Gap ``[judge, class, item]`` of each class alone, its reference and the people's spread."""
    shares = jnp.moveaxis(people, -1, 0)[..., None]
    q = panels.of_shares(shares, jnp.broadcast_to(raters, shares.shape[:2]))
    reference = jax.vmap(lambda m: panels.leave_one_out(m))(q)
    p = panels.of_shares(jnp.moveaxis(judge, -1, 1)[..., None], answers[:, None])
    return panels.gap(q, p), panels.gap(q, reference), panels.spread(q)


@functools.partial(jax.jit, static_argnums=2)
def _halves(key: jax.Array, table: jax.Array, splits: int) -> jax.Array:
    """Shares of two halves of each item's raters, ``[2, split, item, class]``."""

    def one(key: jax.Array) -> jax.Array:
        first, second = panels.halves(key, ~jnp.isnan(table[..., 0]))
        return jnp.stack(
            [panels.of_answers(table, first).mean, panels.of_answers(table, second).mean]
        )

    return jnp.moveaxis(jax.lax.map(one, jax.random.split(key, splits)), 1, 0)


def class_samples(
    key: jax.Array, sides: Sides, weights: Weights, *, splits: int = 3
) -> ClassSamples:
    """Every figure of every class on all items and each resample."""
    assert sides.shares is not None
    classes = len(sides.ratings.classes)
    raters = sides.ratings.raters_of.astype(np.float32)
    found = _per_class(sides.people_shares, raters, sides.shares, sides.answers)
    gap, reference, spread = map(np.asarray, found)
    q = np.where(raters[:, None] > 0, sides.people_shares, np.nan).T
    seen = (sides.answers > 0)[..., None]
    p = np.moveaxis(np.where(seen, sides.shares, np.nan), -1, 1)
    judges = len(p)
    rho = table_spearmans(weights, p.reshape(judges * classes, -1), np.tile(q, (judges, 1)))
    rho = rho.reshape(-1, judges, classes)
    halves = np.asarray(_halves(key, sides.ratings.by_item[0].astype(np.float32), splits))
    both = np.moveaxis(halves, -1, 2).reshape(2, splits * classes, -1)
    half = table_spearmans(weights, both[0], both[1]).reshape(-1, splits, classes).mean(1)
    n = raters[raters > 1]
    factor = n.mean() / np.maximum(n // 2, 1).mean()
    whole = factor * half / (1 + (factor - 1) * half)
    # Agreement of two people: 1 − spread within items / spread of two people of any two items.
    return {
        "rate": means(weights, q),
        "agreement": 1 - ratios(weights, spread, reference + spread),
        "ceiling": np.sqrt(np.where(whole > 0, whole, np.nan)),
        "judge_rate": means(weights, p),
        "difference": means(weights, p - q[None]),
        "spearman": rho,
        "skill": 1 - ratios(weights, gap, reference[None]),
        "people": worth(ratios(weights, gap, spread[None])),
    }


def by_class(sides: Sides, samples: ClassSamples) -> dict[str, ClassRow]:
    """The table of classes."""

    def judges(name: str, place: int) -> dict:
        values = samples[name]
        return {judge: interval(values[:, k, place]) for k, judge in enumerate(sides.names)}

    return {
        name: ClassRow(
            rate=interval(samples["rate"][:, place]),
            agreement=interval(samples["agreement"][:, place]),
            ceiling=interval(samples["ceiling"][:, place]),
            judge_rate=judges("judge_rate", place),
            difference=judges("difference", place),
            spearman=judges("spearman", place),
            mean_spearman=interval(samples["spearman"][..., place].mean(1)),
            skill=judges("skill", place),
            people=judges("people", place),
        )
        for place, name in enumerate(sides.ratings.classes)
    }
