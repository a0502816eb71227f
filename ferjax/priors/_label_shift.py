"""The class prior of unlabelled items by EM, and a test of what that assumes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.arrays import as_weights, nan_where
from ferjax.distributions import require_log_probs, require_shares
from ferjax.priors._adjustment import mean_prior

__all__ = ["LabelShift", "estimate", "label_shift"]

STRENGTH = 10.0
"""Items that the training prior counts for in an estimate."""
STEPS = 200
"""Of EM; each makes the estimate more likely."""
CONFIDENCE_BINS = 3


def estimate(
    log_probs: ArrayLike,
    prior: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    strength: float = STRENGTH,
) -> jax.Array:
    """The prior of unlabelled items, by EM, with a Dirichlet prior around the training prior.

    Args:
      log_probs: ``[item, class]`` of the ensemble (its mean), under ``prior``; calibrated, or the
        estimate is as biased as they are.
      prior: ``[class]`` that the model was trained under, above 0.
      weights: ``[item]`` repetitions >= 0; one each by default. Items of weight 0 are left out,
        whatever they hold.
      strength: items that ``prior`` counts for; at 0 it is maximum likelihood, which may give a
        class no share at all.

    Returns:
      ``[class]`` shares that sum to 1. A NaN log-probability makes all of them NaN.

    Raises:
      ValueError: if the shapes do not fit.

    References:
      Saerens, Latinne & Decaestecker, 2002, https://doi.org/10.1162/089976602753284446.
    """
    given = log_probs
    log_probs = jnp.asarray(log_probs, jnp.float32)
    prior = jnp.asarray(prior, jnp.float32)
    if log_probs.ndim != 2 or prior.shape != log_probs.shape[1:]:
        raise ValueError(
            f"expected log_probs [item, class] and prior [class], got {log_probs.shape} and "
            f"{prior.shape}"
        )
    require_log_probs(given, weights=weights)
    weights = as_weights(weights, log_probs)
    log_probs = jnp.where(weights[:, None] != 0, log_probs, 0.0)
    likelihood = log_probs - jnp.log(prior)[None]

    def step(_: int, current: jax.Array) -> jax.Array:
        posterior = jax.nn.softmax(likelihood + jnp.log(current)[None], axis=-1)
        counted = weights @ posterior + strength * prior
        return counted / jnp.sum(counted)

    return jax.lax.fori_loop(0, STEPS, step, prior)


class LabelShift(NamedTuple):
    """An estimated prior, and how well label shift alone explains the items."""

    prior: jax.Array
    """``[class]`` shares of the unlabelled items."""
    p_value: jax.Array
    """Scalar; small: the items differ in more than how frequent the classes are, and the estimate
    means nothing."""


def label_shift(
    key: jax.Array,
    log_probs: ArrayLike,
    valid_log_probs: ArrayLike,
    valid_q: ArrayLike,
    prior: ArrayLike,
    *,
    strength: float = STRENGTH,
    resamples: int = 200,
) -> LabelShift:
    """Estimates the prior of unlabelled items, and tests whether label shift is all there is.

    If it is, valid items, weighted by the ratio of the priors at their labels, are answered just as
    the unlabelled items are. Answers are compared in bins of predicted class and confidence by a
    chi-squared statistic, whose distribution comes from drawing both sets anew from the weighted
    valid items and estimating anew each time.

    Args:
      key: of the draws.
      log_probs: ``[item, class]`` of the unlabelled items, under ``prior``.
      valid_log_probs: ``[valid, class]`` of clean valid items.
      valid_q: ``[valid, class]`` their vote distributions.
      prior: ``[class]`` that the model was trained under, above 0.
      strength: see :func:`estimate`.
      resamples: draws behind the p-value, which is at least ``1 / (resamples + 1)`` (static).

    Returns:
      :class:`LabelShift`; NaN where anything given is undefined, or there is nothing on one side.

    Raises:
      ValueError: if the shapes do not fit.
    """
    target = jnp.asarray(log_probs, jnp.float32)
    valid = jnp.asarray(valid_log_probs, jnp.float32)
    q = jnp.asarray(valid_q, jnp.float32)
    prior = jnp.asarray(prior, jnp.float32)
    if valid.shape != q.shape or target.ndim != 2 or target.shape[1:] != valid.shape[1:]:
        raise ValueError(
            "expected log_probs [item, class], valid_log_probs and valid_q [valid, class], got "
            f"{target.shape}, {valid.shape} and {q.shape}"
        )
    require_log_probs(log_probs)
    require_log_probs(valid_log_probs, name="valid_log_probs")
    require_shares(valid_q, name="valid_q")
    if not (len(target) and len(valid)):
        nothing = jnp.full(prior.shape, jnp.nan)
        return LabelShift(nothing, nothing[0])
    edges = jnp.quantile(jnp.max(valid, -1), jnp.arange(1, CONFIDENCE_BINS) / CONFIDENCE_BINS)
    valid_bins = _bins(valid, edges)
    valid_prior = mean_prior(q)

    def statistic(shares: jax.Array, counts: jax.Array, estimated: jax.Array) -> jax.Array:
        """Of valid items with these shares, and binned counts of the others."""
        weighted = shares * (q @ (estimated / valid_prior))
        expected = weighted @ valid_bins
        expected = expected / jnp.sum(expected)
        observed = counts / jnp.sum(counts)
        # Half an item in every bin: what was never seen on valid is no proof by itself.
        floor = 0.5 / valid.shape[0]
        return jnp.sum(counts) * jnp.sum((observed - expected) ** 2 / (expected + floor))

    found = estimate(target, prior, strength=strength)
    even = jnp.full(valid.shape[0], 1 / valid.shape[0])
    seen = statistic(even, jnp.sum(_bins(target, edges), axis=0), found)
    ends = jnp.cumsum(q @ (found / valid_prior))

    def null(key: jax.Array) -> jax.Array:
        first, second = jax.random.split(key)
        place = jax.random.uniform(first, (target.shape[0],)) * ends[-1]
        drawn = jnp.clip(jnp.searchsorted(ends, place, side="right"), 0, valid.shape[0] - 1)
        times = jnp.zeros(valid.shape[0]).at[drawn].add(1.0)
        kept = jax.random.randint(second, (valid.shape[0],), 0, valid.shape[0])
        shares = jnp.zeros(valid.shape[0]).at[kept].add(1 / valid.shape[0])
        again = estimate(valid, prior, times, strength=strength)
        return statistic(shares, times @ valid_bins, again)

    drawn = jax.lax.map(null, jax.random.split(key, resamples), batch_size=20)
    p_value = (1 + jnp.sum(drawn >= seen)) / (resamples + 1)
    undefined = jnp.isnan(jnp.sum(valid) + jnp.sum(q) + jnp.sum(found))
    return LabelShift(found, nan_where(undefined, p_value))


def _bins(log_probs: jax.Array, edges: jax.Array) -> jax.Array:
    """Predicted class and confidence as one-hot rows ``[item, bin]``."""
    classes = log_probs.shape[-1]
    confidence = jnp.searchsorted(edges, jnp.max(log_probs, -1))
    number = jnp.argmax(log_probs, -1) * CONFIDENCE_BINS + confidence
    return jax.nn.one_hot(number, classes * CONFIDENCE_BINS)
