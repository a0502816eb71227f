"""Total uncertainty split into aleatoric and epistemic, as entropies, divergences or variances."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.uncertainty._entropy import as_log_probs, entropy, mean_log_probs, p_log_p

__all__ = [
    "Decomposition",
    "aleatoric_contributions",
    "decompose",
    "decompose_variance",
    "epistemic_contributions",
    "expected_pairwise_kl",
]


class Decomposition(NamedTuple):
    """Total uncertainty and its two parts: ``total = aleatoric + epistemic``."""

    total: jax.Array
    """``[item...]`` in nats (variance form: unitless)."""
    aleatoric: jax.Array
    """``[item...]``: what every member finds ambiguous."""
    epistemic: jax.Array
    """``[item...]``: what the members disagree about."""


def decompose(log_probs: ArrayLike, *, member_axis: int = 0, axis: int = -1) -> Decomposition:
    """Split predictive entropy into an aleatoric and an epistemic part.

    ``total = H[mean_k p_k]``, ``aleatoric = mean_k H[p_k]`` (what every member finds ambiguous) and
    ``epistemic = total - aleatoric = mean_k KL(p_k || mean p)`` (what members disagree about: the
    mutual information between the label and the choice of member). Epistemic is computed as that
    mean divergence, so it is non-negative up to rounding and exactly 0 for one member or identical
    members.

    Args:
      log_probs: member log-probabilities ``[member, item..., class]``, normalised over ``axis``; at
        least one member.
      member_axis: axis of the ensemble members (static).
      axis: the class axis (static).

    Returns:
      :class:`Decomposition` in nats, each part ``[item...]``, float32 or better;
      ``0 <= epistemic <= log min(K, C)``. NaN where a member's log-probability is NaN.

    Raises:
      ValueError: if ``log_probs`` has fewer than two axes, is not floating point, or the two axes
        coincide.

    References:
      Depeweg et al., Decomposition of Uncertainty in Bayesian Deep Learning, 2018,
      https://arxiv.org/abs/1710.07283; Lakshminarayanan et al., Deep Ensembles, 2017,
      https://arxiv.org/abs/1612.01474.

    >>> agree = jnp.log(jnp.array([[[0.5, 0.5]], [[0.5, 0.5]]]))
    >>> d = decompose(agree)
    >>> round(float(d.aleatoric[0]), 4), float(d.epistemic[0])
    (0.6931, 0.0)
    >>> differ = jnp.log(jnp.array([[[1.0, 0.0]], [[0.0, 1.0]]]))
    >>> d = decompose(differ)
    >>> float(d.aleatoric[0]), round(float(d.epistemic[0]), 4)
    (0.0, 0.6931)
    """
    log_probs = as_log_probs(log_probs)
    if log_probs.ndim < 2:
        raise ValueError(
            "log_probs needs a member axis and a class axis, [member, item..., class]; "
            f"got {log_probs.shape}"
        )
    if member_axis % log_probs.ndim == axis % log_probs.ndim:
        raise ValueError(
            f"member_axis {member_axis} and axis {axis} are the same axis of {log_probs.shape}"
        )
    # A scan over members: elementwise steps, where XLA's reductions over a leading axis are scalar
    # loops on CPU.
    log_probs = jnp.moveaxis(log_probs, (member_axis, axis), (0, -1))
    first = log_probs[0]
    members = log_probs.shape[0]

    def add(sums, log_p):
        possible = log_p != -jnp.inf
        probs = jnp.where(possible, jnp.exp(jnp.where(possible, log_p, 0.0)), 0.0)
        return (sums[0] + probs, sums[1] + p_log_p(log_p), sums[2] & (log_p == first)), None

    nothing = jnp.zeros_like(first)
    start = (nothing, nothing, jnp.ones(first.shape, bool))
    (sum_probs, sum_p_log_p, identical), _ = jax.lax.scan(add, start, log_probs)
    probs = sum_probs / members
    mean_p_log_p = sum_p_log_p / members
    mixture = jnp.where(probs != 0, probs * jnp.log(jnp.where(probs != 0, probs, 1.0)), 0.0)
    aleatoric = jnp.abs(jnp.sum(mean_p_log_p, axis=-1))
    divergence = jnp.where(identical, 0.0, mean_p_log_p - mixture)
    epistemic = jnp.maximum(jnp.sum(divergence, axis=-1), 0.0)
    return Decomposition(aleatoric + epistemic, aleatoric, epistemic)


def _after(axis: int, removed: int, array: jax.Array) -> int:
    """Where ``axis`` of ``array`` ends up once ``removed`` is gone."""
    axis = axis % array.ndim
    removed = removed % array.ndim
    return axis - (removed < axis)


def epistemic_contributions(log_probs: ArrayLike, *, member_axis: int = 0) -> jax.Array:
    """Which classes the members disagree about: ``mean_k p_kc (log p_kc - log mean p_c)``.

    Args:
      log_probs: member log-probabilities ``[member, item..., class]``; at least one member.
      member_axis: axis of the ensemble members (static).

    Returns:
      ``[item..., class]`` in nats, float32 or better; sums over classes to the epistemic
      uncertainty. Each term is >= 0 by Jensen's inequality (up to rounding), and NaN where a
      member's log-probability is NaN.

    Raises:
      ValueError: if ``log_probs`` is not floating point.

    >>> differ = jnp.log(jnp.array([[[1.0, 0.0]], [[0.0, 1.0]]]))
    >>> [round(float(c), 4) for c in epistemic_contributions(differ)[0]]
    [0.3466, 0.3466]
    """
    log_probs = as_log_probs(log_probs)
    mixture = jnp.expand_dims(mean_log_probs(log_probs, member_axis=member_axis), member_axis)
    possible = log_probs != -jnp.inf
    difference = jnp.where(possible, log_probs, 0.0) - jnp.where(possible, mixture, 0.0)
    # exp(-inf) = 0 kills impossible classes; the wheres above keep 0 * inf out of value and
    # gradient.
    probs = jnp.where(possible, jnp.exp(jnp.where(possible, log_probs, 0.0)), 0.0)
    # K identical members: logsumexp - log K is off by an ulp; an exact 0 is what "no disagreement"
    # means.
    first = jax.lax.slice_in_dim(log_probs, 0, 1, axis=member_axis)
    identical = jnp.all(log_probs == first, axis=member_axis)
    return jnp.where(identical, 0.0, jnp.mean(probs * difference, axis=member_axis))


def aleatoric_contributions(log_probs: ArrayLike, *, member_axis: int = 0) -> jax.Array:
    """Which classes carry the ambiguity: ``mean_k -p_kc log p_kc``.

    Args:
      log_probs: member log-probabilities ``[member, item..., class]``.
      member_axis: axis of the ensemble members (static).

    Returns:
      ``[item..., class]`` in nats, float32 or better; sums over classes to the aleatoric
      uncertainty. NaN where a member's log-probability is NaN, or if there are no members.

    Raises:
      ValueError: if ``log_probs`` is not floating point.

    >>> sure = jnp.log(jnp.array([[[0.5, 0.5, 0.0]]]))
    >>> [round(float(c), 4) for c in aleatoric_contributions(sure)[0]]
    [0.3466, 0.3466, 0.0]
    """
    return jnp.abs(jnp.mean(p_log_p(as_log_probs(log_probs)), axis=member_axis))


def expected_pairwise_kl(
    log_probs: ArrayLike, *, member_axis: int = 0, axis: int = -1
) -> jax.Array:
    """Mean divergence of two members, ``1/(K(K-1)) sum_{i != j} KL(p_i || p_j)``.

    An upper estimate of epistemic uncertainty. The double sum collapses: ``sum_ij KL(p_i||p_j) = K
    sum_i sum_c p_ic log p_ic - sum_c (sum_i p_ic)(sum_j log p_jc)``, so the cost is O(K), not
    O(K^2).

    Args:
      log_probs: member log-probabilities ``[member, item..., class]``, normalised over ``axis``.
      member_axis: axis of the ensemble members (static).
      axis: the class axis (static).

    Returns:
      ``[item...]`` in nats, float32 or better; 0 for one member; ``inf`` where a member rules out a
      class that another allows; NaN where a member's log-probability is NaN, or if there are no
      members.

    Raises:
      ValueError: if ``log_probs`` is not floating point.

    References:
      Schweighofer et al., Introducing an Improved Information-Theoretic Measure of Predictive
      Uncertainty, 2023, https://arxiv.org/abs/2311.08309.

    >>> two = jnp.log(jnp.array([[[0.75, 0.25]], [[0.25, 0.75]]]))
    >>> round(float(expected_pairwise_kl(two)[0]), 4)
    0.5493
    """
    log_probs = as_log_probs(log_probs)
    members = log_probs.shape[member_axis]
    class_axis = _after(axis, member_axis, log_probs)
    if members == 1:
        return jnp.zeros_like(entropy(jnp.take(log_probs, 0, axis=member_axis), axis=class_axis))
    negative_entropy = jnp.sum(p_log_p(log_probs), axis=member_axis)
    total_probs = jnp.sum(jnp.exp(log_probs), axis=member_axis)
    total_log = jnp.sum(log_probs, axis=member_axis)
    some = total_probs > 0
    cross = jnp.where(some, total_probs * jnp.where(some, total_log, 0.0), 0.0)
    pairs = jnp.sum(members * negative_entropy - cross, axis=class_axis)
    return jnp.maximum(pairs, 0.0) / (members * (members - 1))


def decompose_variance(
    log_probs: ArrayLike, *, member_axis: int = 0, axis: int = -1
) -> Decomposition:
    """The decomposition by variances of probabilities instead of entropies.

    Total ``1 - sum_c (mean_k p_kc)²``, aleatoric ``mean_k (1 - sum_c p_kc²)``, epistemic
    ``sum_c Var_k p_kc``.

    Args:
      log_probs: member log-probabilities ``[member, item..., class]``, normalised over ``axis``.
      member_axis: axis of the ensemble members (static).
      axis: the class axis (static).

    Returns:
      :class:`Decomposition`, unitless (Gini impurities), each ``[item...]``, float32 or better. NaN
      where a member's log-probability is NaN, or if there are no members.

    Raises:
      ValueError: if ``log_probs`` is not floating point.

    References:
      Sale et al., Label-wise Aleatoric and Epistemic Uncertainty Quantification, 2024,
      https://arxiv.org/abs/2406.02354.

    >>> differ = jnp.log(jnp.array([[[1.0, 0.0]], [[0.0, 1.0]]]))
    >>> [float(part[0]) for part in decompose_variance(differ)]
    [0.5, 0.0, 0.5]
    """
    probs = jnp.exp(as_log_probs(log_probs))
    class_axis = _after(axis, member_axis, probs)
    epistemic = jnp.sum(jnp.var(probs, axis=member_axis), axis=class_axis)
    aleatoric = 1.0 - jnp.sum(jnp.mean(probs**2, axis=member_axis), axis=class_axis)
    return Decomposition(aleatoric + epistemic, aleatoric, epistemic)
