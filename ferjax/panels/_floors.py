"""What any divergence would show if the judge were right: its floor at these numbers of answers.

A prior of the items' distributions is fitted to the panel, distributions are drawn from it, and
from each a panel and a judge of the sizes at hand. What a figure of the two is on average is the
floor: below it is luck, and above it is the judge's own.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.panels._gap import spread
from ferjax.panels._moments import Moments

__all__ = ["Prior", "fit_prior", "floor_of"]


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
    total = jnp.sum(good)
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


def floor_of(
    key: jax.Array,
    statistic: Callable[[jax.Array, jax.Array], jax.Array],
    prior: Prior,
    counts: ArrayLike,
    people_answers: ArrayLike,
    judge_answers: ArrayLike | None,
    *,
    draws: int = 20,
    max_people: int,
    max_judge: int = 0,
) -> jax.Array:
    """Expected statistic of a panel and a judge that both answer from one distribution.

    Distributions are drawn from the posterior that each item's own ratings leave of the prior, so
    that the floor is that of these items.

    Args:
      key: random key.
      statistic: maps counts of people and of the judge, both ``[item, class]``, to any array.
      prior: of :func:`fit_prior`.
      counts: ``[item, class]`` whole counts of the panel.
      people_answers: ``[item]`` ratings of each item.
      judge_answers: ``[item]`` samples of each item; None for a judge whose distribution is known,
        then the statistic is given its probabilities.
      draws: how many worlds are averaged (static).
      max_people: the largest of ``people_answers`` (static).
      max_judge: the largest of ``judge_answers`` (static).

    Returns:
      What the statistic returns, averaged over the draws.
    """
    h = jnp.asarray(counts, jnp.float32)
    n = jnp.asarray(people_answers, jnp.int32)
    several = prior.concentration.ndim == 1
    hits = prior.mean * prior.concentration + 1e-6

    def answer(key: jax.Array, probs: jax.Array, number: jax.Array, most: int) -> jax.Array:
        shape = (most, *probs.shape)
        on = jnp.arange(most)[:, None] < number[None, :]
        if several:
            chosen = jax.random.uniform(key, shape) < probs[None]
        else:
            noise = jax.random.gumbel(key, shape)
            best = jnp.argmax(jnp.log(jnp.maximum(probs, 1e-30))[None] + noise, -1)
            chosen = jax.nn.one_hot(best, probs.shape[-1], dtype=bool)
        return jnp.sum(chosen & on[..., None], 0)

    def world(key: jax.Array) -> jax.Array:
        drawn, first, second = jax.random.split(key, 3)
        if several:
            misses = (1 - prior.mean) * prior.concentration + 1e-6
            probs = jax.random.beta(drawn, h + hits[None], n[:, None] - h + misses[None])
        else:
            log = jax.random.loggamma(drawn, h + hits[None])
            probs = jax.nn.softmax(log, -1)
        panel = answer(first, probs, n, max_people)
        if judge_answers is None:
            return statistic(panel, probs)
        m = jnp.asarray(judge_answers, jnp.int32)
        return statistic(panel, answer(second, probs, m, max_judge))

    return jax.tree.map(lambda x: jnp.mean(x, 0), jax.lax.map(world, jax.random.split(key, draws)))
