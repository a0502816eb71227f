"""The alternative annotator test: may a judge stand in for one of the people?

One rater is left out at a time. On each item that this rater judged, is the judge at least as close
to the *other* people as the rater is? Every rater gives a test; the share of raters beaten, by no
more than a margin ε and with the false discovery rate kept, is the winning rate. Distances come
from outside, so the same test holds most frequent labels and whole distributions.

Axis legend: ``[judge, item, slot]``, a slot holds one rating of the item; empty slots are NaN.

References:
  Calderon et al., The Alternative Annotator Test for LLM-as-a-Judge, 2025,
  https://arxiv.org/abs/2501.10970; Benjamini & Yekutieli, The Control of the False Discovery Rate
  in Multiple Testing under Dependency, 2001, https://doi.org/10.1214/aos/1013699998.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.arrays import as_floats

__all__ = [
    "Replacement",
    "alternative_annotator_test",
    "benjamini_yekutieli",
    "class_distance",
    "set_distance",
    "squared_distance",
]


class Replacement(NamedTuple):
    """The test's outcome for each judge."""

    advantage: jax.Array
    """``[judge, rater]``: share of the rater's items on which the judge is at least as close to the
    others as the rater is."""
    rater_advantage: jax.Array
    """``[judge, rater]``: share on which the rater is at least as close as the judge."""
    p_value: jax.Array
    """``[judge, rater]`` that the rater is better by ε or more; NaN where too few items."""
    beaten: jax.Array
    """bool ``[judge, rater]``, with the false discovery rate kept."""
    items: jax.Array
    """``[judge, rater]``: items that the comparison rests on."""
    winning_rate: jax.Array
    """``[judge]``: share of the tested raters who are beaten; 0.5 or more passes the test."""
    mean_advantage: jax.Array
    """``[judge]``: mean of ``advantage`` over the tested raters."""


def class_distance(a: jax.Array, b: jax.Array) -> jax.Array:
    """0 for the same single class, 1 otherwise; of indicators ``[..., class]``."""
    return 1.0 - jnp.sum(a * b, -1)


def set_distance(a: jax.Array, b: jax.Array) -> jax.Array:
    """One minus the Jaccard similarity of two sets of classes ``[..., class]``; two empty sets are
    the same, and NaN in either gives NaN."""
    both = jnp.sum(a * b, -1)
    either = jnp.sum(a + b - a * b, -1)
    return 1.0 - jnp.where(either == 0, 1.0, both / jnp.where(either == 0, 1.0, either))


def squared_distance(a: jax.Array, b: jax.Array) -> jax.Array:
    """Summed squared difference ``[..., column]``: its mean orders as the root mean square does."""
    return jnp.sum((a - b) ** 2, -1)


def alternative_annotator_test(
    judge_distance: ArrayLike,
    rater_distance: ArrayLike,
    rater: ArrayLike,
    *,
    raters: int,
    margin: ArrayLike = 0.1,
    level: float = 0.05,
    min_items: int = 30,
) -> Replacement:
    """Leaves each rater out and asks who is closer to the others.

    Args:
      judge_distance: ``[judge, item, slot]`` from the judge to each rating; NaN where there is no
        rating, or no judgment of the item.
      rater_distance: ``[item, slot, slot]`` between ratings.
      rater: int ``[item, slot]`` who rated, −1 where nobody did.
      raters: number of raters (static).
      margin: ε, how much worse than a rater a judge may be, for being cheaper; the authors advise
        0.1 beside crowd workers, 0.15 beside skilled ones, 0.2 beside experts.
      level: false discovery rate.
      min_items: a rater with fewer items is not tested (static).

    Returns:
      :class:`Replacement`.

    >>> answers = jnp.tile(jnp.eye(2)[jnp.array([0, 0, 1])], (40, 1, 1))
    >>> pairs = class_distance(answers[:, :, None], answers[:, None])
    >>> judge = class_distance(jnp.eye(2)[jnp.zeros((1, 40, 1), int)], answers[None])
    >>> done = alternative_annotator_test(judge, pairs, jnp.tile(jnp.arange(3), (40, 1)), raters=3)
    >>> done.advantage.tolist(), done.winning_rate.tolist()
    ([[1.0, 1.0, 1.0]], [1.0])
    """
    judge_distance = jnp.asarray(judge_distance, jnp.float32)
    rater_distance = jnp.asarray(rater_distance, jnp.float32)
    rater = jnp.asarray(rater)
    slots = rater.shape[1]
    there = rater >= 0
    # [item, left out, other]
    others = there[:, None, :] & there[:, :, None] & ~jnp.eye(slots, dtype=bool)[None]
    number = jnp.sum(others, -1)
    some = jnp.where(number > 0, number, 1).astype(jnp.float32)
    mine = jnp.sum(jnp.where(others, rater_distance, 0.0), -1) / some
    theirs = jnp.where(there[None], judge_distance, 0.0)
    judge = jnp.einsum("jik,ilk->jil", theirs, others.astype(jnp.float32)) / some[None]
    counted = (number > 0)[None] & ~jnp.isnan(judge)
    # Distances are means of few equal terms, summed in different orders: ties up to rounding.
    near = 1e-5 * (1 + jnp.abs(mine))[None]
    judge_wins = (judge <= mine[None] + near) & counted
    rater_wins = (judge >= mine[None] - near) & counted

    def per_rater(values: jax.Array) -> jax.Array:
        flat = values.reshape(len(values), -1).astype(jnp.float32)
        index = jnp.where(there, rater, raters).ravel()
        sums = jax.vmap(lambda v: jax.ops.segment_sum(v, index, num_segments=raters + 1))(flat)
        return sums[:, :raters]

    items = per_rater(counted)
    n = jnp.where(items > 0, items, jnp.nan)
    advantage = per_rater(judge_wins) / n
    rater_advantage = per_rater(rater_wins) / n
    lost = rater_wins.astype(jnp.float32) - judge_wins.astype(jnp.float32)
    mean = per_rater(lost) / n
    variance = (per_rater(lost**2) - n * mean**2) / (n - 1)
    p_value = _lower_tail(mean - margin, jnp.maximum(variance, 0.0), n)
    p_value = jnp.where(items >= min_items, p_value, jnp.nan)
    beaten = jax.vmap(lambda p: benjamini_yekutieli(p, level))(p_value)
    tested = ~jnp.isnan(p_value)
    tests = jnp.sum(tested.astype(jnp.float32), -1)
    tests = jnp.where(tests > 0, tests, jnp.nan)
    return Replacement(
        advantage,
        rater_advantage,
        p_value,
        beaten,
        items,
        jnp.sum(beaten.astype(jnp.float32), -1) / tests,
        jnp.sum(jnp.where(tested, advantage, 0.0), -1) / tests,
    )


def _lower_tail(mean: jax.Array, variance: jax.Array, n: jax.Array) -> jax.Array:
    """P-value of Student's one-sided test that an expectation is below 0."""
    freedom = n - 1
    error = jnp.sqrt(variance / n)
    t = mean / jnp.where(error > 0, error, 1.0)
    tail = 0.5 * jax.scipy.special.betainc(freedom / 2, 0.5, freedom / (freedom + t * t))
    p = jnp.where(t < 0, tail, 1 - tail)
    constant = jnp.where(mean < 0, 0.0, 1.0)  # all differences are the same
    return jnp.where(error > 0, p, jnp.where(jnp.isnan(n), jnp.nan, constant))


def benjamini_yekutieli(p_values: ArrayLike, level: float = 0.05) -> jax.Array:
    """Which hypotheses fall with the false discovery rate kept, however the tests depend.

    Args:
      p_values: ``[test]``; NaN is no test.
      level: the rate.

    Returns:
      bool ``[test]``.

    >>> benjamini_yekutieli(jnp.array([0.001, 0.02, 0.5, jnp.nan])).tolist()
    [True, False, False, False]
    """
    (p,) = as_floats(p_values)
    tested = ~jnp.isnan(p)
    tests = jnp.sum(tested.astype(p.dtype))
    rank = jnp.arange(1, p.size + 1, dtype=p.dtype)
    harmonic = jnp.sum(jnp.where(rank <= tests, 1.0 / rank, 0.0))
    order = jnp.argsort(jnp.where(tested, p, jnp.inf))
    limit = level * rank / (jnp.maximum(tests, 1) * jnp.maximum(harmonic, 1e-9))
    below = jnp.where(tested, p, jnp.inf)[order] <= limit
    last = jnp.max(jnp.where(below, rank, 0.0))
    return jnp.zeros(p.size, bool).at[order].set(rank <= last)
