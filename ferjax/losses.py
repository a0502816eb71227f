"""Losses: log-probabilities and vote distributions in, nats per item out.

Axis legend: ``[item, class]`` log-probabilities and vote distributions, ``[item]`` losses. Every
function is pure, un-jitted and differentiable, is computed in float32 or better, and takes the
items one by one: the mean over a batch is the caller's (:func:`rank_regularisation` alone holds
items against one another). ``0 log 0`` is exactly 0 in value and gradient.
"""

import jax
import jax.numpy as jnp
from jax.scipy.special import digamma
from jax.typing import ArrayLike

from ferjax import dirichlet
from ferjax.distributions import require_log_probs, require_shares

__all__ = [
    "attention_consistency",
    "cross_entropy",
    "evidential_risk",
    "hard_targets",
    "huber",
    "misleading_evidence",
    "rank_regularisation",
]

RISKS = ("mse", "log", "digamma")
"""Losses whose expectation :func:`evidential_risk` takes."""


def cross_entropy(log_probs: ArrayLike, q: ArrayLike) -> jax.Array:
    """Cross-entropy of predictions to vote distributions, ``-sum_c q_c log p_c``.

    Up to the entropy of the votes, which no prediction changes, this is ``KL(q || p)``: the loss of
    label distribution learning. On the one-hot rows of :func:`hard_targets` it is the cross-entropy
    to the label.

    Args:
      log_probs: ``[item, class]`` log-probabilities; ``-inf`` stands for probability 0.
      q: ``[item, class]`` vote distributions, or one-hot labels.

    Returns:
      Nats, ``[item]``; infinite where a class that has votes is impossible.

    Raises:
      ValueError: if the two have different shapes.

    References:
      Geng, Label Distribution Learning, 2016, https://arxiv.org/abs/1408.6027.

    >>> log_probs = jnp.log(jnp.array([[0.5, 0.5, 0.0]]))
    >>> round(float(cross_entropy(log_probs, jnp.array([[0.25, 0.75, 0.0]]))[0]), 4)
    0.6931
    """
    given = log_probs
    targets = q
    log_probs = jnp.asarray(log_probs)
    log_probs = log_probs.astype(jnp.promote_types(log_probs.dtype, jnp.float32))
    q = jnp.asarray(q, log_probs.dtype)
    if log_probs.shape != q.shape:
        raise ValueError(
            f"log_probs and q must both be [item, class], got {log_probs.shape} and {q.shape}"
        )
    require_log_probs(given)
    require_shares(targets)
    # The inner where keeps the gradient finite where q is 0 and log p is -inf. `!=`, not `>`: a NaN
    # stays one.
    return -jnp.sum(q * jnp.where(q != 0, log_probs, 0.0), axis=-1)


def hard_targets(q: ArrayLike) -> jax.Array:
    """All of the mass on the most voted class, ties to the first.

    Args:
      q: ``[item, class]`` vote distributions.

    Returns:
      One-hot rows, float32 ``[item, class]``.

    >>> hard_targets(jnp.array([[0.2, 0.4, 0.4]])).tolist()
    [[0.0, 1.0, 0.0]]
    """
    q = jnp.asarray(q)
    return jax.nn.one_hot(jnp.argmax(q, axis=-1), q.shape[-1], dtype=jnp.float32)


def evidential_risk(alpha: ArrayLike, q: ArrayLike, risk: str = "mse") -> jax.Array:
    """Expected loss of probabilities that are Dirichlet distributed.

    Args:
      alpha: ``[item, class]`` parameters of the Dirichlet distributions, above 0.
      q: ``[item, class]`` labels, one-hot, or vote distributions.
      risk: ``mse``, the expectation of ``sum_c (q_c - p_c)^2``; ``digamma``, that of the
        cross-entropy; ``log``, minus the log of the expected likelihood. Static.

    Returns:
      ``[item]``; nats, or squared probabilities for ``mse``.

    Raises:
      ValueError: on another risk, or if the two have different shapes.

    References:
      Sensoy et al., 2018, https://arxiv.org/abs/1806.01768, equations 3 to 5.

    >>> alpha = jnp.array([[1.0, 1.0]])
    >>> round(float(evidential_risk(alpha, jnp.array([[1.0, 0.0]]))[0]), 4)  # 1/2 + 1/6
    0.6667
    """
    if risk not in RISKS:
        raise ValueError(f"risk must be one of {', '.join(RISKS)}, got {risk!r}")
    alpha, q = _alpha_and_q(alpha, q)
    total = jnp.sum(alpha, axis=-1, keepdims=True)
    if risk == "mse":
        mean = alpha / total
        return jnp.sum(jnp.square(q - mean) + mean * (1 - mean) / (total + 1), axis=-1)
    log = jnp.log if risk == "log" else digamma
    return jnp.sum(q * (log(total) - log(alpha)), axis=-1)


def misleading_evidence(alpha: ArrayLike, q: ArrayLike) -> jax.Array:
    """Divergence of the evidence for what is not so from no evidence.

    ``KL(Dir(1 + (alpha - 1)(1 - q)) || Dir(1))``: the evidence for the label is taken out first.

    Args:
      alpha: ``[item, class]`` parameters, at least 1: 1 plus the evidence.
      q: ``[item, class]`` labels, one-hot, or vote distributions.

    Returns:
      Nats, ``[item]``.

    Raises:
      ValueError: if the two have different shapes.

    References:
      Sensoy et al., 2018, https://arxiv.org/abs/1806.01768, section 4.

    >>> alpha = jnp.array([[9.0, 1.0], [1.0, 9.0]])
    >>> misleading_evidence(alpha, jnp.array([[1.0, 0.0], [1.0, 0.0]])).round(2).tolist()
    [0.0, 1.309999942779541]
    """
    alpha, q = _alpha_and_q(alpha, q)
    left = 1 + (alpha - 1) * (1 - q)
    evidence = dirichlet.from_alpha(left)
    return dirichlet.kl(*evidence, *dirichlet.from_alpha(jnp.ones_like(left)))


def _alpha_and_q(alpha: ArrayLike, q: ArrayLike) -> tuple[jax.Array, jax.Array]:
    targets = q
    alpha = jnp.asarray(alpha)
    alpha = alpha.astype(jnp.promote_types(alpha.dtype, jnp.float32))
    q = jnp.asarray(q, alpha.dtype)
    if alpha.shape != q.shape:
        raise ValueError(f"alpha and q must both be [item, class], got {alpha.shape} and {q.shape}")
    require_shares(targets)
    return alpha, q


def rank_regularisation(weights: ArrayLike, *, share: float, margin: float) -> jax.Array:
    """How far the more important items of a batch are from their margin above the others.

    ``max(0, margin - (mean of the largest share - mean of the rest))``.

    Args:
      weights: ``[item]`` importance, of all items of a batch.
      share: of the items that are the more important ones; rounded down to whole items. Static.
      margin: by how much their mean shall exceed that of the others.

    Returns:
      A scalar, 0 or more.

    Raises:
      ValueError: if one of the two groups would be empty.

    References:
      Wang et al., 2020, https://arxiv.org/abs/2002.10392, equation 3.

    >>> weights = jnp.array([0.9, 0.1, 0.9, 0.1])
    >>> round(float(rank_regularisation(weights, share=0.5, margin=1.0)), 4)
    0.2
    >>> float(rank_regularisation(weights, share=0.5, margin=0.07))
    0.0
    """
    weights = jnp.asarray(weights)
    more = int(len(weights) * share)
    if not 0 < more < len(weights):
        raise ValueError(
            f"a share of {share} of {len(weights)} items is {more}: both groups need at least one"
        )
    ranked = jnp.sort(weights, descending=True)
    return jnp.maximum(0.0, margin - (jnp.mean(ranked[:more]) - jnp.mean(ranked[more:])))


def attention_consistency(maps: ArrayLike, others: ArrayLike) -> jax.Array:
    """Mean squared difference of the class-activation maps of two views.

    Args:
      maps: ``[item, row, column, class]``.
      others: the same places of the other view.

    Returns:
      ``[item]``.

    Raises:
      ValueError: if the two have different shapes.

    References:
      Zhang et al., 2022, https://arxiv.org/abs/2207.10299.

    >>> attention_consistency(jnp.ones((1, 2, 2, 3)), jnp.zeros((1, 2, 2, 3))).tolist()
    [1.0]
    """
    maps = jnp.asarray(maps)
    others = jnp.asarray(others)
    if maps.shape != others.shape:
        raise ValueError(f"both views must have maps of one shape, {maps.shape} != {others.shape}")
    return jnp.mean(jnp.square(maps - others), axis=tuple(range(1, maps.ndim)))


def huber(difference: ArrayLike) -> jax.Array:
    """Half the square of a difference up to 1, its magnitude less a half beyond; of any shape.

    References:
      Huber, Robust Estimation of a Location Parameter, 1964.

    >>> huber(jnp.array([0.0, -1.0, 3.0])).tolist()
    [0.0, 0.5, 2.5]
    """
    size = jnp.abs(jnp.asarray(difference))
    return jnp.where(size <= 1, jnp.square(size) / 2, size - 0.5)
