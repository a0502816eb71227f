"""Prediction-powered intervals: shares of classes from many judged items and a few rated ones.

A judge's share over many items is precise and biased; its bias is measured on the few items that
people rated too. The estimate is unbiased whatever the judge is worth, and the better the judge,
the narrower the interval; with its power tuned it is never wider than that of the ratings alone, in
the limit.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

__all__ = ["PoweredMean", "powered_mean"]


class PoweredMean(NamedTuple):
    """Means with intervals, each ``[class]``."""

    mean: jax.Array
    low: jax.Array
    high: jax.Array
    ratings_alone: jax.Array
    """Mean of the rated items alone."""
    ratings_low: jax.Array
    ratings_high: jax.Array
    power: jax.Array
    """How much the judge is listened to: 0 not at all, 1 wholly."""
    worth: jax.Array
    """How many rated items would give ratings alone the same interval, over those there are."""


def powered_mean(
    ratings: ArrayLike, judged: ArrayLike, others: ArrayLike, *, level: float = 0.95
) -> PoweredMean:
    """Means over all items, from people on some and a judge on all.

    Args:
      ratings: ``[rated, class]`` what people say of the rated items, at least two; a random sample
        of all items.
      judged: ``[rated, class]`` what the judge says of them. It must not be fitted to them.
      others: ``[other, class]`` what the judge says of the other items, at least two.
      level: of the intervals (static).

    Returns:
      :class:`PoweredMean`; normal intervals.

    Raises:
      ValueError: if the shapes do not fit together.

    References:
      Angelopoulos et al., Prediction-Powered Inference, 2023, https://arxiv.org/abs/2301.09633;
      Angelopoulos, Duchi & Zrnic, PPI++: Efficient Prediction-Powered Inference, 2023,
      https://arxiv.org/abs/2311.01453 (the power).

    >>> y = jnp.array([[0.0], [1.0], [1.0], [0.0]])
    >>> done = powered_mean(y, y, jnp.tile(y, (100, 1)))
    >>> round(float(done.mean[0]), 3), bool(done.high[0] - done.low[0] < 0.1)
    (0.5, True)
    """
    y = jnp.asarray(ratings, jnp.float32)
    f = jnp.asarray(judged, jnp.float32)
    g = jnp.asarray(others, jnp.float32)
    if y.ndim != 2 or y.shape != f.shape or g.ndim != 2 or g.shape[1] != y.shape[1]:
        raise ValueError(
            f"expected ratings and judged [rated, class], others [other, class], got {y.shape}, "
            f"{f.shape} and {g.shape}"
        )
    n = y.shape[0]
    many = g.shape[0]
    if n < 2 or many < 2:
        raise ValueError(f"at least two rated and two other items, got {n} and {many}")
    both = jnp.concatenate([f, g])
    variance = jnp.var(both, 0, ddof=1)
    centred = f - jnp.mean(f, 0, keepdims=True)
    covariance = jnp.sum(centred * (y - jnp.mean(y, 0, keepdims=True)), 0) / (n - 1)
    power = covariance / jnp.where(variance > 0, variance, 1.0) / (1 + n / many)
    power = jnp.clip(jnp.where(variance > 0, power, 0.0), 0.0, 1.0)
    rest = y - power[None] * f
    mean = power * jnp.mean(g, 0) + jnp.mean(rest, 0)
    error = jnp.sqrt(power**2 * jnp.var(g, 0, ddof=1) / many + jnp.var(rest, 0, ddof=1) / n)
    alone = jnp.mean(y, 0)
    plain = jnp.sqrt(jnp.var(y, 0, ddof=1) / n)
    z = jax.scipy.special.ndtri((1 + level) / 2)
    worth = (plain / jnp.where(error > 0, error, jnp.nan)) ** 2
    return PoweredMean(
        mean, mean - z * error, mean + z * error, alone, alone - z * plain, alone + z * plain,
        power, worth,
    )  # fmt: skip
