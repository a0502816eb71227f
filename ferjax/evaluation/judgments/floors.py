"""What plug-in figures would be if a judge were right, at the numbers of answers at hand."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import metrics, panels
from ferjax.evaluation.judgments import divergences
from ferjax.evaluation.judgments.sides import Sides

__all__ = ["Floor", "entropy_ceiling", "floors"]

DRAWS = 8


class Floor(NamedTuple):
    """Of a judge that answers from the distribution that people answer from."""

    jsd: float
    """Bits."""
    entropy_correlation: float


def floors(key: jax.Array, sides: Sides, answers: np.ndarray) -> list[Floor]:
    """Floors for each row of ``answers [row, item]``, once for rows that are alike."""
    counts = sides.ratings.counts
    n = sides.ratings.raters_of
    several = sides.ratings.kind == "multi"
    worlds = _worlds(key, counts, n, several)
    known: dict[bytes, Floor] = {}
    found = []
    for row in answers:
        name = row.tobytes()
        if name not in known:
            exact = bool(np.isinf(row).any())
            # Sizes in steps, so that a few missing answers do not compile another program.
            most = 0 if exact else 8 * -(-int(row.max(initial=0)) // 8)
            m = None if exact else row.astype(np.int32)
            rated = (n > 1) & (row > 1)
            jsd, rho = _floor(key, worlds, n, m, rated, several, int(n.max()), most)
            known[name] = Floor(float(jsd), float(rho))
        found.append(known[name])
    return found


@functools.partial(jax.jit, static_argnums=3)
def _worlds(key: jax.Array, counts: jax.Array, raters: jax.Array, several: bool) -> jax.Array:
    prior = panels.fit_prior(panels.of_counts(counts, raters), counts, several=several)
    return panels.draw_worlds(key, prior, counts, raters, draws=DRAWS)


@functools.partial(jax.jit, static_argnums=(5, 6, 7))
def _floor(
    key: jax.Array,
    worlds: jax.Array,
    raters: jax.Array,
    answers: jax.Array | None,
    rated: jax.Array,
    several: bool,
    most_raters: int,
    most_answers: int,
) -> tuple[jax.Array, jax.Array]:
    def plug_in(people: jax.Array, judge: jax.Array) -> tuple[jax.Array, jax.Array]:
        q = people.astype(jnp.float32)
        p = judge.astype(jnp.float32)
        jsd = divergences.jensen_shannon_bits(q, p)
        one = divergences.entropy_bits(q)
        two = divergences.entropy_bits(p)
        fine = rated & ~jnp.isnan(jsd)
        w = fine.astype(jnp.float32)
        rho = metrics.spearman(jnp.where(fine, one, 0.0), jnp.where(fine, two, 0.0), w)
        return jnp.sum(jnp.where(fine, jsd, 0.0)) / jnp.sum(w), rho

    return panels.floor_of(
        key,
        plug_in,
        worlds,
        raters,
        answers,
        several=several,
        max_people=most_raters,
        max_judge=most_answers,
    )


@functools.partial(jax.jit, static_argnums=3)
def _split(key: jax.Array, table: jax.Array, weights: jax.Array, splits: int) -> jax.Array:
    there = ~jnp.isnan(table[..., 0])

    def one(key: jax.Array) -> jax.Array:
        first, second = panels.halves(key, there)
        x = divergences.entropy_bits(panels.of_answers(table, first).mean)
        y = divergences.entropy_bits(panels.of_answers(table, second).mean)
        fine = ~(jnp.isnan(x) | jnp.isnan(y))
        x = jnp.where(fine, x, 0.0)
        y = jnp.where(fine, y, 0.0)
        return jax.lax.map(lambda w: metrics.spearman(x, y, w * fine), weights, batch_size=64)

    return jnp.mean(jax.lax.map(one, jax.random.split(key, splits)), 0)


def entropy_ceiling(
    key: jax.Array, sides: Sides, weights: jax.Array, splits: int = 10
) -> np.ndarray:
    """Root of the split-half reliability of the panel's entropy, ``[1 + resample]``.

    Halves are stepped up to the panel's mean size (Spearman-Brown), which is approximate: entropies
    of few answers are not means. NaN where halves correlate negatively.
    """
    table, _ = sides.ratings.by_item
    half = np.asarray(_split(key, table.astype(np.float32), weights, splits), np.float64)
    n = sides.ratings.raters_of
    several = n[n > 1]
    factor = several.mean() / np.maximum(several // 2, 1).mean()
    whole = np.asarray(panels.stepped_up(half, factor), np.float64)
    return np.sqrt(np.where(whole > 0, whole, np.nan))
