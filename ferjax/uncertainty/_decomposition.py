"""Total uncertainty split into aleatoric and epistemic, as entropies, divergences or variances."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax import dirichlet
from ferjax.distributions import require_log_probs
from ferjax.uncertainty._entropy import (
    as_log_probs,
    compare_with_mean,
    fold_members,
    mean_over_members,
    p_log_p,
    probabilities_of_others,
)

__all__ = [
    "Decomposition",
    "aleatoric_contributions",
    "decompose",
    "decompose_variance",
    "divergence_term",
    "epistemic_contributions",
    "expected_pairwise_kl",
]


TERMS = 10
"""Terms of the series in :func:`divergence_term`, for float32."""


class Decomposition(NamedTuple):
    """Total uncertainty and its parts: ``total = aleatoric + epistemic``, and ``epistemic = within
    + between`` where members know a concentration; without one they know nothing within."""

    total: jax.Array
    """``[item...]`` in nats (variance form: unitless)."""
    aleatoric: jax.Array
    """``[item...]``: what every member finds ambiguous."""
    epistemic: jax.Array
    """``[item...]``: what the ensemble does not know."""
    within: jax.Array
    """``[item...]``: what a member does not know by itself, averaged over members."""
    between: jax.Array
    """``[item...]``: what the members disagree about."""


def decompose(
    log_probs: ArrayLike,
    log_concentration: ArrayLike | None = None,
    *,
    member_axis: int = 0,
    axis: int = -1,
) -> Decomposition:
    """Split predictive entropy into an aleatoric and an epistemic part.

    ``total = H[mean_k p_k]``, ``aleatoric = mean_k H[p_k]`` (what every member finds ambiguous) and
    ``epistemic = total - aleatoric = mean_k KL(p_k || mean p)`` (what members disagree about: the
    mutual information between the label and the choice of member). Epistemic is computed as that
    mean divergence from terms that are never negative, so that it keeps its relative accuracy where
    members are almost certain or almost agree, and is exactly 0 for one member or identical ones.

    Members that are Dirichlets of concentration S_k know how far they can tell: then ``aleatoric =
    mean_k E[H(p)]`` is what people disagree about, and epistemic is that divergence *between*
    members plus what each of them does not know *within* itself, ``mean_k (H[p_k] - E[H(p)])``.

    Args:
      log_probs: member log-probabilities ``[member, item..., class]``, normalised over ``axis``; at
        least one member.
      log_concentration: ``log S`` of each member, shaped like ``log_probs`` without the class axis;
        None, or inf everywhere, where members have none.
      member_axis: axis of the ensemble members (static).
      axis: the class axis (static).

    Returns:
      :class:`Decomposition` in nats, each part ``[item...]``, float32 or better;
      ``0 <= between <= log min(K, C)``, ``0 <= within <= log C``. NaN where a member's
      log-probability is NaN.

    Raises:
      ValueError: if ``log_probs`` has fewer than two axes, is not floating point, the two axes
        coincide, or there is not one concentration for each distribution; and, where values are
        known, outside ``jit``, if they are probabilities or logits (a sample of 4,096 rows is
        looked at). Under ``jit`` those give figures that mean nothing.

    References:
      Depeweg et al., Decomposition of Uncertainty in Bayesian Deep Learning, 2018,
      https://arxiv.org/abs/1710.07283; Lakshminarayanan et al., Deep Ensembles, 2017,
      https://arxiv.org/abs/1612.01474; Malinin & Gales, Prior Networks, 2018,
      https://arxiv.org/abs/1802.10501.

    >>> agree = jnp.log(jnp.array([[[0.5, 0.5]], [[0.5, 0.5]]]))
    >>> d = decompose(agree)
    >>> round(float(d.aleatoric[0]), 4), float(d.epistemic[0])
    (0.6931, 0.0)
    >>> differ = jnp.log(jnp.array([[[1.0, 0.0]], [[0.0, 1.0]]]))
    >>> d = decompose(differ)
    >>> float(d.aleatoric[0]), round(float(d.epistemic[0]), 4)
    (0.0, 0.6931)
    >>> one = decompose(jnp.log(jnp.full((1, 2), 0.5)), jnp.log(jnp.array([2.0])))
    >>> round(float(one.aleatoric), 4), round(float(one.within), 4), float(one.between)
    (0.5, 0.1931, 0.0)
    """
    given = log_probs
    log_probs = as_log_probs(given)
    if log_probs.ndim < 2:
        raise ValueError(
            "log_probs needs a member axis and a class axis, [member, item..., class]; "
            f"got {log_probs.shape}"
        )
    if member_axis % log_probs.ndim == axis % log_probs.ndim:
        raise ValueError(
            f"member_axis {member_axis} and axis {axis} are the same axis of {log_probs.shape}"
        )
    class_axis = axis % log_probs.ndim
    members_at = member_axis % log_probs.ndim
    members_at -= class_axis < members_at
    require_log_probs(given, axis=axis)
    log_probs = jnp.moveaxis(log_probs, (member_axis, axis), (0, -1))
    hesitation, between = _of_entropies(log_probs)
    if log_concentration is None:
        return Decomposition(hesitation + between, hesitation, between, 0 * between, between)
    log_concentration = jnp.moveaxis(jnp.asarray(log_concentration), members_at, 0)
    aleatoric = jnp.mean(dirichlet.expected_entropy(log_probs, log_concentration), axis=0)
    within = jnp.mean(dirichlet.mutual_information(log_probs, log_concentration), axis=0)
    epistemic = within + between
    return Decomposition(aleatoric + epistemic, aleatoric, epistemic, within, between)


_UNROLLED = 32
"""Members that one kernel reads; of more, one after another, as fast and compiled sooner."""
_NEVER = {"float32": -110.0, "float64": -760.0}
"""A log-probability whose probability is 0, by type."""


@jax.custom_jvp
def _of_entropies(log_probs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Aleatoric and epistemic, ``[item...]``, of members first and classes last.

    Three passes over the members, each one kernel with an exponential and a single result: XLA
    splits, on CPUs, what has two results, and writes out what lies between. The log of the mean
    lies in two parts, so that members that are identical differ from it by exactly 0.
    """
    unroll = log_probs.shape[0] <= _UNROLLED
    never = _NEVER[log_probs.dtype.name]

    def mean(term: Callable[[jax.Array], jax.Array]) -> jax.Array:
        # -inf itself would make 0 * -inf.
        return mean_over_members(lambda x: term(jnp.maximum(x, never)), log_probs, unroll=unroll)

    lowest = jnp.full_like(log_probs[0], never)
    largest = fold_members(jnp.maximum, lowest, log_probs, unroll=unroll)
    below = mean(lambda x: jnp.expm1(x - largest))
    # Taken once: XLA would take the logarithm anew for each member.
    largest, rest = jax.lax.optimization_barrier((largest, jnp.log1p(below)))
    hesitation = mean(lambda x: jnp.exp(x) * x)
    between = jnp.exp(largest + rest) * mean(lambda x: divergence_term(x - largest - rest))
    return jnp.abs(_over_classes(hesitation)), _over_classes(between)


@_of_entropies.defjvp
def _derivative(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[tuple, tuple]:
    """With respect to ``log p_k``: ``-p_k (log p_k + 1) / K`` and ``p_k (log p_k - log mean p) /
    K``; the mean's own part of the second is 0."""
    (log_probs,) = primals
    never = _NEVER[log_probs.dtype.name]
    moved = jnp.exp(log_probs) * tangents[0] / log_probs.shape[0]
    log_ratio = jnp.maximum(compare_with_mean(log_probs).log_ratio, never)
    aleatoric = -jnp.sum(moved * (jnp.maximum(log_probs, never) + 1), axis=(0, -1))
    return _of_entropies(log_probs), (aleatoric, jnp.sum(moved * log_ratio, axis=(0, -1)))


def _over_classes(x: jax.Array) -> jax.Array:
    """Sum over the last axis; on CPUs a product, since XLA tears apart what a sum there takes."""

    def product(x: jax.Array) -> jax.Array:
        ones = jnp.ones(x.shape[-1], x.dtype)
        return jnp.matmul(x, ones, precision=jax.lax.Precision.HIGHEST)

    return jax.lax.platform_dependent(x, cpu=product, default=lambda x: jnp.sum(x, axis=-1))


def divergence_term(log_ratio: jax.Array) -> jax.Array:
    """``r log r - r + 1`` of ``log r``, elementwise: >= 0, 0 at ``r = 1``, exact near it.

    The mean over members of ``mean p * divergence_term(log p_k - log mean p)`` is the mean of
    ``p_k log(p_k / mean p)``, since ratios average 1; but no term of it is negative.

    >>> divergence_term(jnp.array([0.0, 1e-4, -jnp.inf])).tolist()
    [0.0, 5.00033...e-09, 1.0]
    """
    # Of r = 0, log r itself would make 0 * -inf.
    u = jnp.maximum(log_ratio, _NEVER[log_ratio.dtype.name])
    # sum_{n >= 2} u^n (n - 1) / n!, to float32's accuracy for |u| < 1/2.
    series = jnp.zeros_like(u)
    for n in range(TERMS, 1, -1):
        series = series * u + (n - 1) / math.factorial(n)
    return jnp.where(jnp.abs(u) < 0.5, series * u**2, jnp.exp(u) * (u - 1) + 1)


def epistemic_contributions(
    log_probs: ArrayLike, log_concentration: ArrayLike | None = None, *, member_axis: int = 0
) -> jax.Array:
    """Which classes the members disagree about: ``mean_k p_kc (log p_kc - log mean p_c)``; and,
    with concentrations, what they do not know within themselves.

    Args:
      log_probs: member log-probabilities ``[member, item..., class]``; at least one member.
      log_concentration: ``[member, item...]``, likewise with the members at ``member_axis``, or
        None.
      member_axis: axis of the ensemble members (static).

    Returns:
      ``[item..., class]`` in nats, float32 or better; sums over classes to the epistemic
      uncertainty. Each term is >= 0, and NaN where a member's log-probability is NaN.

    Raises:
      ValueError: if ``log_probs`` is not floating point.

    >>> differ = jnp.log(jnp.array([[[1.0, 0.0]], [[0.0, 1.0]]]))
    >>> [round(float(c), 4) for c in epistemic_contributions(differ)[0]]
    [0.3466, 0.3466]
    """
    require_log_probs(log_probs)
    mean, log_ratio = compare_with_mean(log_probs, member_axis=member_axis)
    between = jnp.exp(mean) * mean_over_members(divergence_term, log_ratio)
    if log_concentration is None:
        return between
    hesitation = aleatoric_contributions(log_probs, member_axis=member_axis)
    known = aleatoric_contributions(log_probs, log_concentration, member_axis=member_axis)
    return between + jnp.maximum(hesitation - known, 0.0)


def aleatoric_contributions(
    log_probs: ArrayLike, log_concentration: ArrayLike | None = None, *, member_axis: int = 0
) -> jax.Array:
    """Which classes carry the ambiguity: ``mean_k -p_kc log p_kc``.

    Args:
      log_probs: member log-probabilities ``[member, item..., class]``.
      log_concentration: ``[member, item...]``, likewise with the members at ``member_axis``, as in
        :func:`decompose`; or None.
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
    require_log_probs(log_probs)
    log_probs = jnp.moveaxis(as_log_probs(log_probs), member_axis, 0)
    if log_concentration is None:
        return jnp.abs(mean_over_members(p_log_p, log_probs))
    log_concentration = jnp.moveaxis(jnp.asarray(log_concentration), member_axis, 0)
    terms = dirichlet.expected_entropy_contributions(log_probs, log_concentration)
    return jnp.mean(terms, axis=0)


def expected_pairwise_kl(
    log_probs: ArrayLike, *, member_axis: int = 0, axis: int = -1
) -> jax.Array:
    """Mean divergence of two members, ``1/(K(K-1)) sum_{i != j} KL(p_i || p_j)``.

    An upper estimate of epistemic uncertainty. Beside the mixture the double sum collapses:
    ``sum_ij KL(p_i || p_j) / K² = sum_c mean p_c mean_k (r_kc - 1) log r_kc`` with ``r = p_k / mean
    p``, so the cost is O(K), not O(K²), and no term is negative.

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
    require_log_probs(log_probs, axis=axis)
    log_probs = as_log_probs(log_probs)
    members = log_probs.shape[member_axis]
    log_probs = jnp.moveaxis(log_probs, (member_axis, axis), (0, -1))
    mean, log_ratio = compare_with_mean(log_probs)
    pairs = jnp.exp(mean) * mean_over_members(lambda u: u * jnp.expm1(u), log_ratio)
    # A class that every member rules out has a ratio of 1.
    return jnp.sum(pairs, axis=-1) * (members / max(members - 1, 1))


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
    >>> [float(part[0]) for part in decompose_variance(differ)[:3]]
    [0.5, 0.0, 0.5]
    """
    require_log_probs(log_probs, axis=axis)
    log_probs = jnp.moveaxis(as_log_probs(log_probs), (member_axis, axis), (0, -1))
    # The probability of the most probable class is close to 1 at times: that of all others together
    # says how close, and varies as it does.
    others = probabilities_of_others(log_probs, jnp.argmax(log_probs, -1))
    rest = jnp.sum(others, -1)
    aleatoric = jnp.mean(rest * (2 - rest) - jnp.sum(others**2, -1), axis=0)
    mean = compare_with_mean(log_probs).log_mean
    top = jnp.broadcast_to(jnp.argmax(mean, -1), log_probs.shape[:-1])
    others = probabilities_of_others(log_probs, top)
    spread = jnp.sum(jnp.var(others, axis=0), axis=-1)
    epistemic = spread + jnp.var(jnp.sum(others, axis=-1), axis=0)
    return Decomposition(aleatoric + epistemic, aleatoric, epistemic, 0 * epistemic, epistemic)
