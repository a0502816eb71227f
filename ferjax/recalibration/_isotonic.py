"""Isotonic regression of each class: any rising map of its probability."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.arrays import nan_where
from ferjax.recalibration._calibrators import bounded, counted

__all__ = ["Isotonic"]

KNOTS = 64
"""Different probabilities per class that are told apart; shares of few samples have fewer."""


class Isotonic(NamedTuple):
    """Each class's probability through a rising map, over their sum.

    The regression is the maximum over starts of the minimum over ends of block means of sorted
    probabilities, which two running sums give at once: no loop, and a ``vmap`` fits many. With more
    than :data:`KNOTS` different probabilities, neighbours share a knot; between knots the map is
    linear. One pseudo-vote in all keeps a class that nobody chose from being impossible.

    References:
      Zadrozny & Elkan, Transforming Classifier Scores into Accurate Multiclass Probability
      Estimates, 2002, https://doi.org/10.1145/775047.775151; Barlow et al., Statistical Inference
      under Order Restrictions, 1972 (the max-min formula).

    >>> log_probs = jnp.log(jnp.array([[0.2, 0.8], [0.4, 0.6], [0.9, 0.1]]))
    >>> fitted = Isotonic.fit(jnp.array([[30, 70], [10, 90], [80, 20]]), log_probs)
    >>> [round(float(p), 2) for p in jnp.exp(fitted.apply(log_probs))[:, 0]]
    [0.2, 0.2, 0.8]
    """

    knots: jax.Array
    """``[class, knot]`` probabilities, ascending."""
    values: jax.Array
    """``[class, knot]`` what they are mapped to, ascending."""

    @classmethod
    def fit(
        cls, counts: ArrayLike, log_probs: ArrayLike, weights: ArrayLike | None = None
    ) -> "Isotonic":
        """See :class:`ferjax.recalibration.Calibrator`."""
        if jnp.ndim(log_probs) != 2:
            raise ValueError(
                f"counts and log_probs must be [item, class] alike, got {jnp.shape(counts)} and "
                f"{jnp.shape(log_probs)}"
            )
        counts, log_probs = counted(counts, log_probs, weights)
        probs = jnp.exp(log_probs)
        undefined = jnp.isnan(jnp.sum(counts) + jnp.sum(probs))
        votes = jnp.sum(counts, axis=-1)
        even = 1 / (counts.shape[1] * jnp.maximum(jnp.sum(votes), 1e-30))
        fitted = jax.vmap(lambda h, p: _fit_class(h, p, votes, even), (1, 1))(counts, probs)
        return cls(*(nan_where(undefined, of) for of in fitted))

    def apply(self, log_probs: ArrayLike) -> jax.Array:
        """See :class:`ferjax.recalibration.Calibrator`."""
        probs = jnp.exp(bounded(log_probs))
        flat = probs.reshape(-1, probs.shape[-1])
        mapped = jax.vmap(jnp.interp, (1, 0, 0), 1)(flat, self.knots, self.values)
        return jnp.log(mapped / jnp.sum(mapped, -1, keepdims=True)).reshape(probs.shape)


def _fit_class(
    hits: jax.Array, probs: jax.Array, votes: jax.Array, even: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Knots and values of one class from its votes ``[item]`` of all ``votes [item]``."""
    # Items without votes, or of weight 0, come last and shape nothing.
    told = votes > 0
    order = jnp.argsort(jnp.where(told, probs, 2.0))
    p = jnp.where(told, probs, 2.0)[order]
    told = told[order]
    # The same probability, up to rounding, is the same knot.
    new = jnp.concatenate([jnp.zeros(1, int), (jnp.diff(p) > 1e-6).astype(int)])
    knot = jnp.cumsum(new)
    many = jnp.max(jnp.where(told, knot, 0)) >= KNOTS
    number = jnp.maximum(jnp.sum(told), 1)
    spread = jnp.minimum((jnp.arange(p.size) * KNOTS) // number, KNOTS - 1)
    # Ties must not be split over knots: an item takes the knot of the first of its equals.
    first = jax.ops.segment_min(spread, knot, num_segments=p.size)[knot]
    knot = jnp.where(many, first, jnp.minimum(knot, KNOTS - 1))

    def per_knot(values: jax.Array) -> jax.Array:
        return jax.ops.segment_sum(values, knot, num_segments=KNOTS)

    mass = per_knot(votes[order])
    hit = per_knot(hits[order])
    some = mass > 0
    items = per_knot(told.astype(p.dtype))
    place = per_knot(jnp.where(told, p, 0.0)) / jnp.where(items > 0, items, 1.0)
    lower = jnp.concatenate([jnp.zeros(1), jnp.cumsum(mass)])
    under = jnp.concatenate([jnp.zeros(1), jnp.cumsum(hit)])
    block_mass = lower[None, 1:] - lower[:-1, None]
    block_hit = under[None, 1:] - under[:-1, None]
    mean = block_hit / jnp.where(block_mass > 0, block_mass, 1.0)
    ordered = jnp.arange(KNOTS)[:, None] <= jnp.arange(KNOTS)[None, :]
    mean = jnp.where(ordered & (block_mass > 0), mean, jnp.inf)
    # min over ends >= i, then max over starts <= i
    least = jax.lax.cummin(mean, axis=1, reverse=True)
    value = jnp.max(jnp.where(ordered & jnp.isfinite(least), least, -jnp.inf), axis=0)
    value = jnp.where(jnp.isfinite(value), value, 0.0)
    # Knots that nobody fell on stand where the next does, so that interpolation passes them by.
    last = jnp.max(jnp.where(items > 0, place, 0.0))
    place = jax.lax.cummin(jnp.where(items > 0, place, 2.0), reverse=True)
    filled = jax.lax.cummax(jnp.where(some, value, 0.0))
    return jnp.minimum(place, last), jnp.clip(filled, even, 1.0)
