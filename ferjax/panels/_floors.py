"""What any divergence would show if the judge were right: its floor at these numbers of answers.

A prior of the items' distributions is fitted to the panel, distributions are drawn from it, and
from each a panel and a judge of the sizes at hand. What a figure of the two is on average is the
floor: below it is luck, and above it is the judge's own.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.panels._gap import spread
from ferjax.panels._moments import Moments

__all__ = ["Prior", "draw_worlds", "fit_prior", "floor_of"]


class Prior(NamedTuple):
    """Dirichlet prior of the items' distributions; of each class alone (Beta) where several may
    apply."""

    mean: jax.Array
    """``[class]``: mean probability."""
    concentration: jax.Array
    """Scalar, or ``[class]`` where several may apply: pseudo-answers; large where items are
    alike."""


def fit_prior(people: Moments, counts: ArrayLike, *, several: bool) -> Prior:
    """The prior whose spread within items is the panel's, by moments.

    Of answers drawn from ``Dirichlet(a * mean)`` the spread within an item is on average ``a / (a +
    1)`` of the spread of the mean distribution.

    Args:
      people: ``[item]`` moments of the same counts; items with one rating are left out.
      counts: ``[item, class]``.
      several: whether several classes may apply to an item (static).

    Returns:
      :class:`Prior`.

    >>> from ferjax.panels import of_counts
    >>> counts = jnp.array([[2, 1], [1, 2], [3, 0], [0, 3]])
    >>> prior = fit_prior(of_counts(counts, jnp.full(4, 3)), counts, several=False)
    >>> prior.mean.tolist(), round(float(prior.concentration), 3)
    ([0.5, 0.5], 2.0)
    """
    good = (people.answers > 1)[:, None]
    total = jnp.sum(good).astype(people.mean.dtype)
    mean = jnp.sum(jnp.where(good, people.mean, 0.0), 0) / total
    if several:
        n = people.answers[:, None]
        h = jnp.asarray(counts, jnp.float32)
        within = jnp.sum(jnp.where(good, h * (n - h) / jnp.where(good, n * (n - 1), 1.0), 0.0), 0)
        share = within / total / jnp.maximum(mean * (1 - mean), 1e-12)
    else:
        inside = jnp.sum(jnp.where(good[:, 0], spread(people), 0.0)) / total
        share = inside / jnp.maximum(1 - jnp.sum(mean**2), 1e-12)
    share = jnp.clip(share, 1e-3, 0.999)
    return Prior(mean, share / (1 - share))


def draw_worlds(
    key: jax.Array, prior: Prior, counts: ArrayLike, answers: ArrayLike, *, draws: int
) -> jax.Array:
    """Distributions that the items may have, given what each one's own ratings leave of the prior.

    Args:
      key: random key.
      prior: of :func:`fit_prior`.
      counts: ``[item, class]`` whole counts of the panel.
      answers: ``[item]`` ratings of each item.
      draws: how many worlds (static).

    Returns:
      float32 ``[draw, item, class]``; of each class alone where several may apply.
    """
    h = jnp.asarray(counts, jnp.float32)
    n = jnp.asarray(answers, jnp.float32)
    shape = (draws, *h.shape)
    mass = jnp.broadcast_to(prior.concentration, prior.mean.shape)
    hits = jax.random.loggamma(key, h + (prior.mean * mass + 1e-6)[None], shape)
    if prior.concentration.ndim == 0:
        return jax.nn.softmax(hits, -1)
    rest = n[:, None] - h + ((1 - prior.mean) * mass + 1e-6)[None]
    misses = jax.random.loggamma(jax.random.fold_in(key, 1), rest, shape)
    return jax.nn.sigmoid(hits - misses)


def floor_of(
    key: jax.Array,
    statistic: Callable[[jax.Array, jax.Array], Any],
    worlds: ArrayLike,
    people_answers: ArrayLike,
    judge_answers: ArrayLike | None,
    *,
    several: bool,
    max_people: int,
    max_judge: int = 0,
) -> Any:
    """Expected statistic of a panel and a judge that both answer from one distribution.

    Args:
      key: random key.
      statistic: maps counts of people and of the judge, both ``[item, class]``, to a tree of
        arrays.
      worlds: ``[draw, item, class]`` of :func:`draw_worlds`, which are averaged over.
      people_answers: ``[item]`` ratings of each item.
      judge_answers: ``[item]`` samples of each item; None for a judge whose distribution is known,
        then the statistic is given its probabilities.
      several: whether several classes may apply to an item (static).
      max_people: the largest of ``people_answers`` (static).
      max_judge: the largest of ``judge_answers`` (static).

    Returns:
      What the statistic returns, averaged over the worlds.
    """
    worlds = jnp.asarray(worlds)
    n = jnp.asarray(people_answers, jnp.int32)

    def answer(key: jax.Array, probs: jax.Array, number: jax.Array, most: int) -> jax.Array:
        def one(sums: jax.Array, slot: jax.Array) -> tuple[jax.Array, None]:
            drawn = jax.random.fold_in(key, slot)
            if several:
                chosen = jax.random.uniform(drawn, probs.shape) < probs
            else:
                at = jax.random.uniform(drawn, (len(probs), 1))
                past = jnp.cumsum(probs, -1)
                chosen = (at < past) & (at >= past - probs)
            return sums + (chosen & (slot < number)[:, None]).astype(sums.dtype), None

        start = jnp.zeros(probs.shape, jnp.int32)
        return jax.lax.scan(one, start, jnp.arange(most))[0]

    def world(row: tuple[jax.Array, jax.Array]) -> Any:
        first, second = jax.random.split(row[0])
        panel = answer(first, row[1], n, max_people)
        if judge_answers is None:
            return statistic(panel, row[1])
        m = jnp.asarray(judge_answers, jnp.int32)
        return statistic(panel, answer(second, row[1], m, max_judge))

    keys = jax.random.split(key, len(worlds))
    return jax.tree.map(lambda x: jnp.mean(x, 0), jax.lax.map(world, (keys, worlds)))
