"""Which noise an interval holds: texts, raters and samples, each alone and all together.

Resampling texts draws each with the raters and the samples it has. A rater judges many texts, and a
model's samples are a draw of what it might have said; both are redrawn here by random weights (a
Bayesian bootstrap), in which no answer ever makes a pair with itself, so that gaps stay unbiased.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import panels
from ferjax.evaluation.intervals import Interval, interval
from ferjax.evaluation.judgments.resampling import Weights
from ferjax.evaluation.judgments.rows import Lineup, worth
from ferjax.evaluation.judgments.sides import Sides
from ferjax.panels import Moments

__all__ = ["SOURCES", "by_source"]

SOURCES = ("texts", "raters", "samples")
"""Where noise comes from."""


@functools.partial(jax.jit, static_argnums=(7, 8))
def _samples(
    key: jax.Array,
    weights: jax.Array,
    table: jax.Array,
    rater: jax.Array,
    sets: jax.Array | None,
    values: jax.Array | None,
    scale: tuple[jax.Array, jax.Array] | None,
    sources: tuple[str, ...],
    raters: int,
    machines: Moments,
) -> jax.Array:
    """Sums over items ``[1 + resample, 4, judge]`` of gap, reference gap, spread and items."""

    def moments(answers: jax.Array, w: jax.Array | None) -> Moments:
        if scale is None:
            return panels.of_answers(answers, w)
        return panels.of_values(answers, *scale, w)

    def one(row: tuple[jax.Array, jax.Array]) -> jax.Array:
        number, w = row
        first, second = jax.random.split(jax.random.fold_in(key, number))
        plain = number == 0
        by_rater = None
        if "raters" in sources:
            if raters:
                drawn = jax.random.exponential(first, (raters,))[jnp.maximum(rater, 0)]
            else:
                drawn = jax.random.exponential(first, rater.shape)
            by_rater = jnp.where(plain, 1.0, drawn)
        people = moments(table, by_rater)
        judges = machines
        if "samples" in sources and (sets is not None or values is not None):
            answers = sets if sets is not None else values
            assert answers is not None
            drawn = jnp.where(plain, 1.0, jax.random.exponential(second, answers.shape[:3]))
            redrawn = moments(answers, drawn)
            # Networks have no samples: they keep their probabilities.
            known = jnp.isinf(machines.answers)
            judges = Moments(
                jnp.where(known[..., None], machines.mean, redrawn.mean),
                jnp.where(known, machines.pairs, redrawn.pairs),
                jnp.where(known, machines.square, redrawn.square),
                machines.answers,
            )
        item = w if "texts" in sources else jnp.ones_like(w)
        gap = panels.gap(people, judges)
        reference = panels.gap(people, panels.leave_one_out(people))
        fine = ~jnp.isnan(gap)
        spread = panels.spread(people)
        shared = jnp.stack([reference, spread, jnp.ones_like(spread)])[:, None]
        parts = jnp.concatenate([gap[None], jnp.broadcast_to(shared, (3, *gap.shape))])
        return jnp.where(fine[None], parts, 0.0) @ item

    numbers = jnp.arange(len(weights))
    return jax.lax.map(one, (numbers, weights))


def by_source(
    key: jax.Array, sides: Sides, lineup: Lineup, weights: Weights, sources: Sequence[str]
) -> dict[str, dict[str, dict[str, Interval]]]:
    """Gap, skill and people-equivalents of every judge with intervals of each source of noise.

    Args:
      key: random key.
      sides: people and judges.
      lineup: of them; judges come first.
      weights: of texts.
      sources: which of :data:`SOURCES`; with several, ``all`` is their common interval.

    Returns:
      Judge -> source -> figure -> interval.

    Raises:
      ValueError: if a source is unknown.
    """
    unknown = [name for name in sources if name not in SOURCES]
    if unknown:
        raise ValueError(f"resample must be among {', '.join(SOURCES)}, got {unknown[0]!r}")
    table, rater = sides.ratings.by_item
    judges = len(sides.judges)
    sets = None
    if "samples" in sources and sides.shares is not None:
        sets = _answers(sides)
    runs: dict[str, tuple[str, ...]] = {name: (name,) for name in sources}
    if len(sources) > 1:
        runs["all"] = tuple(sources)
    found: dict[str, dict[str, dict[str, Interval]]] = {name: {} for name in sides.names}
    for name, of in runs.items():
        sums = np.asarray(
            _samples(
                key,
                weights,
                table.astype(np.float32),
                rater,
                sets if "samples" in of else None,
                sides.values if "samples" in of else None,
                None if sides.shares is not None else sides.scale,
                of,
                len(sides.ratings.raters) if sides.ratings.rater is not None else 0,
                Moments(*(x[:judges] for x in lineup.moments)),
            ),
            np.float64,
        )
        gap, reference, spread, items = np.moveaxis(sums, 1, 0)
        for place, judge in enumerate(sides.names):
            found[judge][name] = {
                "gap": interval((gap / items)[:, place]),
                "skill": interval((1 - gap / reference)[:, place]),
                "people": interval(worth((gap / spread)[:, place])),
            }
    return found


def _answers(sides: Sides) -> np.ndarray:
    """Single answers ``[judge, item, sample, class]``, NaN where there is none.

    Where a file holds only counts of several classes, which went together is not known: the sets
    are taken as nested.
    """
    assert sides.shares is not None
    finite = np.where(np.isinf(sides.answers), 0, sides.answers).astype(int)
    most = max(int(finite.max(initial=0)), *(0 if s is None else s.shape[1] for s in sides.sets), 2)
    shape = (*sides.answers.shape, most, sides.shares.shape[2])
    table = np.full(shape, np.nan, np.float32)
    slot = np.arange(most)
    for judge, sets in enumerate(sides.sets):
        there = slot < finite[judge][:, None]
        if sets is None:
            counts = np.round(sides.shares[judge] * finite[judge][:, None]).astype(int)
            chosen = slot[:, None] < counts[:, None]
        else:
            chosen = np.pad(sets, ((0, 0), (0, most - sets.shape[1]), (0, 0)))
        table[judge] = np.where(there[..., None], chosen, np.nan)
    return table
