"""What is gained by leaving the most uncertain faces out: risk against coverage; exact under ties,
weighted, pure.

Axis legend: ``[face]`` uncertainty (larger is left out first), loss, optional weights (weight 2
means "this face twice"). A NaN among the inputs gives NaN.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ferjax.metrics._weighted_ranks import (
    Ties,
    below_and_through,
    mean,
    pair,
    running_sum,
    ties,
    weights_of,
)

__all__ = [
    "SelectiveRisk",
    "augrc",
    "aurc",
    "excess_aurc",
    "ideal_aurc",
    "risk_at_coverage",
    "selective_risk",
]


class SelectiveRisk(NamedTuple):
    """Risk against coverage, each ``[face]``, from most to least certain; tied scores share their
    group's end."""

    coverage: jax.Array
    risk: jax.Array


def _kept_and_lost(
    uncertainty: jax.Array, loss: jax.Array, w: jax.Array
) -> tuple[Ties, jax.Array, jax.Array]:
    """Weight, and lost weight, of the faces at most as uncertain as each face."""
    tied = ties(uncertainty)
    _, kept = below_and_through(tied, w)
    _, lost = below_and_through(tied, jnp.where(w > 0, w * loss, 0.0))
    return tied, kept, jnp.where(jnp.any(jnp.isnan(uncertainty)), jnp.nan, lost)


def selective_risk(
    uncertainty: jax.Array, loss: jax.Array, weights: jax.Array | None = None
) -> SelectiveRisk:
    """Mean loss among the faces kept, when the most uncertain are left out; NaN where no face that
    counts is kept.

    Args:
      uncertainty: ``[face]``.
      loss: ``[face]`` in [0, 1], e.g. 0/1 error or one minus the share of votes for the predicted
        class.
      weights: optional ``[face]``.
    """
    uncertainty, loss = pair(uncertainty, jnp.asarray(loss, jnp.float32))
    w = weights_of(weights, uncertainty)
    tied, kept, lost = _kept_and_lost(uncertainty, loss, w)
    return SelectiveRisk((kept / jnp.sum(w))[tied.order], (lost / kept)[tied.order])


def risk_at_coverage(
    uncertainty: jax.Array,
    loss: jax.Array,
    weights: jax.Array | None = None,
    *,
    coverage: float = 0.8,
) -> jax.Array:
    """Mean loss among the ``coverage`` least uncertain faces; a tie group that straddles the cut
    counts in part.

    One minus this is selective accuracy: against hard labels when the loss is the 0/1 error,
    against people when it is one minus the share of votes for the predicted class.

    >>> float(risk_at_coverage(jnp.array([0.1, 0.2]), jnp.array([0.0, 1.0]), coverage=0.5))
    0.0
    >>> float(risk_at_coverage(jnp.array([0.2, 0.2]), jnp.array([0.0, 1.0]), coverage=0.5))
    0.5
    """
    uncertainty, loss = pair(uncertainty, jnp.asarray(loss, jnp.float32))
    w = weights_of(weights, uncertainty)
    below, through = below_and_through(ties(uncertainty), w)
    kept = jnp.clip(
        (coverage * jnp.sum(w) - below) / jnp.where(through > below, through - below, 1.0), 0.0, 1.0
    )
    return jnp.where(jnp.any(jnp.isnan(uncertainty)), jnp.nan, mean(loss, w * kept))


def aurc(uncertainty: jax.Array, loss: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """Area under the risk-coverage curve: mean selective risk over all coverages; lower is better.

    References:
      Geifman, Uziel & El-Yaniv, Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers,
      2019, https://arxiv.org/abs/1805.08206.

    >>> round(float(aurc(jnp.array([0.1, 0.2]), jnp.array([0.0, 1.0]))), 4)
    0.25
    """
    uncertainty, loss = pair(uncertainty, jnp.asarray(loss, jnp.float32))
    w = weights_of(weights, uncertainty)
    _, kept, lost = _kept_and_lost(uncertainty, loss, w)
    return mean(lost / kept, w)


def excess_aurc(
    uncertainty: jax.Array, loss: jax.Array, weights: jax.Array | None = None
) -> jax.Array:
    """AURC above that of the best possible ordering (by the loss itself); 0 is perfect.

    >>> round(float(excess_aurc(jnp.array([0.2, 0.1]), jnp.array([0.0, 1.0]))), 4)
    0.5
    """
    return aurc(uncertainty, loss, weights) - ideal_aurc(loss, weights)


def ideal_aurc(loss: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """AURC of the best possible ordering: the faces one by one, smallest loss first.

    A face of weight w and loss l, behind faces of weight K and loss L, enters as w faces, and
    ``sum_{j=1..w} (L + j l) / (K + j) = w l + (L - K l) (ψ(K + w + 1) - ψ(K + 1))``.

    >>> round(float(ideal_aurc(jnp.array([1.0, 0.0]))), 4)
    0.25
    """
    loss = jnp.asarray(loss, jnp.float32)
    order = jnp.argsort(loss)
    w = weights_of(weights, loss)[order]
    ordered = loss[order]
    kept = running_sum(w)
    lost = running_sum(w * ordered)
    before = jnp.concatenate([jnp.zeros(1), kept[:-1]])
    lost_before = jnp.concatenate([jnp.zeros(1), lost[:-1]])
    harmonic = jax.scipy.special.digamma(kept + 1) - jax.scipy.special.digamma(before + 1)
    return jnp.sum(w * ordered + (lost_before - before * ordered) * harmonic) / jnp.sum(w)


def augrc(uncertainty: jax.Array, loss: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """Area under the *generalised* risk-coverage curve: the mean of risk × coverage, a rank loss in
    [0, 1/2] for 0/1 loss.

    References:
      Traub et al., Overcoming Common Flaws in the Evaluation of Selective Classification Systems,
      2024, https://arxiv.org/abs/2407.01032.

    >>> round(float(augrc(jnp.array([0.1, 0.2]), jnp.array([0.0, 1.0]))), 4)
    0.25
    """
    uncertainty, loss = pair(uncertainty, jnp.asarray(loss, jnp.float32))
    w = weights_of(weights, uncertainty)
    _, _, lost = _kept_and_lost(uncertainty, loss, w)
    return mean(lost, w) / jnp.sum(w)
