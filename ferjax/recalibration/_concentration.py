"""Concentrations of a network that has none, fitted afterwards on vote counts."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ferjax import dirichlet
from ferjax.arrays import as_weights, nan_where
from ferjax.recalibration._calibrators import bounded
from ferjax.recalibration._folds import FOLDS

__all__ = [
    "LEAST_ITEMS",
    "Concentration",
    "apply_folds",
    "apply_members",
    "fit_folds",
    "fit_members",
    "telling",
]

PENALTY = 1e-3
"""On squared weights of standardised features, beside nats per item; 3 items' worth at least."""
_EXACT = jax.lax.Precision.HIGHEST
REACH = 5.0
"""Features further than so many standard deviations from their mean are taken for that far: items
unlike all that it was fitted on should not get a concentration unlike all of theirs."""
LEAST_ITEMS = 50
"""Items with two votes or more that a fit is worth: with fewer, members are better left without."""


def telling(counts: ArrayLike) -> int:
    """How many items ``[item, class]`` have two votes or more; others say nothing of how people
    divide (not traced).

    >>> telling([[1, 0], [1, 1], [0, 3]])
    2
    """
    return int((np.asarray(counts).sum(-1) >= 2).sum())


class Concentration(NamedTuple):
    """``log S`` of one network as a linear function of what it says itself.

    The features are its log-probabilities, its probabilities and its entropy, standardised; for C
    classes ``2 C + 2`` numbers. The mean of the Dirichlet stays what the network predicts, so
    neither labels nor their likelihood change: what is learned from people who disagree is only
    which of its hesitations are theirs.
    """

    weights: jax.Array
    """``[feature]``."""
    bias: jax.Array
    """Scalar."""
    mean: jax.Array
    """``[feature]``, of the items it was fitted on."""
    scale: jax.Array
    """``[feature]``, their standard deviation."""

    @classmethod
    def fit(
        cls,
        counts: ArrayLike,
        log_probs: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        max_votes: int | None = None,
    ) -> "Concentration":
        """Fits it by the Dirichlet-multinomial likelihood of the counts, the mean held fixed.

        Args:
          counts: ``[item, class]`` whole votes. Items with fewer than two say nothing and are left
            out, whatever they hold; where no item has two, S stays 1 everywhere.
          log_probs: ``[item, class]`` of one network, which was not trained on these items.
          weights: ``[item]`` >= 0, or None for one each.
          max_votes: the most votes of any item (static), see
            :func:`ferjax.dirichlet.log_likelihood`.

        Returns:
          The fitted concentration; ``vmap`` over log-probabilities for several networks. What is
          undefined in an item that counts makes all of it NaN.

        Raises:
          ValueError: if the shapes do not fit together.

        >>> rng = np.random.default_rng(0)
        >>> p = rng.dirichlet(np.full(4, 2.0), 500)
        >>> votes = rng.multinomial(10, p)
        >>> blunt = jnp.log(jnp.full((500, 4), 0.25))  # S = 8 draws such p
        >>> round(float(Concentration.fit(votes, blunt).apply(blunt)[0]), 1)
        2.1
        """
        if max_votes is None and not isinstance(counts, jax.core.Tracer) and np.size(counts):
            max_votes = int(np.sum(np.asarray(counts), axis=-1).max())
        counts = jnp.asarray(counts, jnp.float32)
        log_probs = jnp.asarray(log_probs, jnp.float32)
        if counts.ndim != 2 or counts.shape != log_probs.shape:
            raise ValueError(
                f"counts and log_probs must be [item, class] alike, got {counts.shape} and "
                f"{log_probs.shape}"
            )
        weights = as_weights(weights, counts)
        possible = jnp.all(counts >= 0, axis=-1)
        told = (~possible | (jnp.sum(counts, axis=-1) >= 2)) & (weights != 0)
        weights = jnp.where(told, weights, 0.0)
        items = jnp.sum(weights)
        shares = weights / jnp.maximum(items, 1e-30)
        counts = jnp.where(told[:, None], counts, 0.0)
        log_probs = jnp.where(told[:, None], log_probs, -math.log(log_probs.shape[-1]))
        features = _features(log_probs)
        mean = shares @ features
        scale = jnp.sqrt(shares @ (features - mean[None]) ** 2) + 1e-6
        penalty = jnp.maximum(PENALTY, 3 / jnp.maximum(items, 1.0))
        start = cls(jnp.zeros(features.shape[-1]), jnp.zeros(()), mean, scale)
        x = jnp.concatenate([start.standardised(features), jnp.ones((len(features), 1))], axis=-1)

        def nats(log_s: jax.Array) -> jax.Array:
            found = -dirichlet.log_likelihood(counts, log_probs, log_s, max_votes=max_votes)
            # An impossible class that somebody chose is no better for any concentration.
            return jnp.where(jnp.isfinite(found), shares * found, 0.0)

        ridge = jnp.full(x.shape[-1], penalty).at[-1].mul(0.01)
        undefined = jnp.isnan(jnp.sum(mean) + items) | jnp.any(told & ~possible)
        found = nan_where(undefined, _newton(nats, x, ridge))
        return start._replace(weights=found[:-1], bias=found[-1])

    def standardised(self, features: jax.Array) -> jax.Array:
        """Features ``[..., feature]`` in standard deviations, none beyond :data:`REACH`."""
        shape = [1] * (features.ndim - 1)
        centred = features - self.mean.reshape(*shape, -1)
        return jnp.clip(centred / self.scale.reshape(*shape, -1), -REACH, REACH)

    def apply(self, log_probs: ArrayLike) -> jax.Array:
        """``log S`` of items ``[..., class]`` of that network, float32 ``[...]``."""
        features = _features(jnp.asarray(log_probs, jnp.float32))
        return jnp.matmul(self.standardised(features), self.weights, precision=_EXACT) + self.bias


class _State(NamedTuple):
    weights: jax.Array
    value: jax.Array
    step: jax.Array
    done: jax.Array


def _newton(
    nats: Callable[[jax.Array], jax.Array], x: jax.Array, ridge: jax.Array, steps: int = 40
) -> jax.Array:
    """Weights ``[feature]`` of least ``sum nats(x @ weights) + ridge @ weights²``.

    Newton's method for a linear predictor: the curvature of each item is one number, which counts
    where it is positive. Of each direction, whole and halved, the best point is taken.

    Args:
      nats: ``[item]`` to ``[item]``, item by item.
      x: ``[item, feature]``.
      ridge: ``[feature]`` > 0.
      steps: most steps.
    """
    sizes = jnp.asarray(np.append(0.0, 0.5 ** np.arange(8)), jnp.float32)

    def value(weights: jax.Array, at: jax.Array) -> jax.Array:
        return jnp.sum(nats(at)) + ridge @ weights**2

    def step(state: _State) -> _State:
        at = jnp.matmul(x, state.weights, precision=_EXACT)
        ones = jnp.ones_like(at)
        slope, curvature = jax.jvp(jax.grad(lambda s: jnp.sum(nats(s))), (at,), (ones,))
        bent = x * jnp.maximum(curvature, 0.0)[:, None]
        hessian = jnp.matmul(bent.T, x, precision=_EXACT) + 2 * jnp.diag(ridge)
        gradient = jnp.matmul(slope, x, precision=_EXACT) + 2 * ridge * state.weights
        direction = -jnp.linalg.solve(hessian, gradient)
        tried = state.weights[None] + sizes[:, None] * direction[None]
        moved = at[None] + sizes[:, None] * jnp.matmul(x, direction, precision=_EXACT)[None]
        values = jax.lax.map(lambda of: value(*of), (tried, moved))
        best = jnp.argmin(jnp.where(jnp.isnan(values), jnp.inf, values))
        done = ~(state.value - values[best] > 1e-6 * jnp.abs(state.value))
        return _State(tried[best], values[best], state.step + 1, done)

    start = jnp.zeros(x.shape[-1])
    first = _State(start, value(start, jnp.zeros(len(x))), jnp.int32(0), jnp.array(False))
    return jax.lax.while_loop(lambda s: (s.step < steps) & ~s.done, step, first).weights


def _features(log_probs: jax.Array) -> jax.Array:
    """``[..., 2 C + 1]``: log-probabilities, probabilities, entropy."""
    log_probs = bounded(log_probs)
    probs = jnp.exp(log_probs)
    entropy = -jnp.sum(probs * log_probs, axis=-1, keepdims=True)
    return jnp.concatenate([log_probs, probs, entropy], axis=-1)


def fit_members(
    counts: ArrayLike,
    log_probs: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    max_votes: int | None = None,
) -> Concentration:
    """:meth:`Concentration.fit` of every member, leaves ``[member, ...]``.

    Args:
      counts: ``[item, class]`` whole votes.
      log_probs: ``[member, item, class]``.
      weights: ``[item]`` >= 0, or None.
      max_votes: the most votes of any item (static).
    """
    return jax.vmap(lambda one: Concentration.fit(counts, one, weights, max_votes=max_votes))(
        jnp.asarray(log_probs)
    )


def apply_members(fitted: Concentration, log_probs: ArrayLike) -> jax.Array:
    """``log S`` of every member ``[member, item...]``, of log-probabilities with a class axis."""
    return jax.vmap(Concentration.apply)(fitted, jnp.asarray(log_probs))


def fit_folds(
    counts: ArrayLike,
    log_probs: ArrayLike,
    folds: ArrayLike,
    *,
    num_folds: int = FOLDS,
    max_votes: int | None = None,
) -> Concentration:
    """:func:`fit_members` on all folds but one, for every one: leaves ``[fold, member, ...]``.

    Args:
      counts: ``[item, class]`` whole votes.
      log_probs: ``[member, item, class]``.
      folds: ``[item]`` in ``0 .. num_folds - 1``, see :func:`.make_folds`.
      num_folds: how many folds (static).
      max_votes: the most votes of any item (static).
    """
    folds = jnp.asarray(folds)

    def without(fold: jax.Array) -> Concentration:
        kept = (folds != fold).astype(jnp.float32)
        return fit_members(counts, log_probs, kept, max_votes=max_votes)

    return jax.vmap(without)(jnp.arange(num_folds))


def apply_folds(fitted: Concentration, log_probs: ArrayLike, folds: ArrayLike) -> jax.Array:
    """``log S [member, item]`` of each item by what was fitted without its fold.

    Args:
      fitted: of :func:`fit_folds`.
      log_probs: ``[member, item, class]``.
      folds: ``[item]``.
    """
    found = jax.vmap(apply_members, (0, None))(fitted, log_probs)
    return jnp.take_along_axis(found, jnp.asarray(folds)[None, None], axis=0)[0]
