"""Where a prediction's uncertainty comes from: ambiguity of the face, or ood_density to the
model.

Axis legend, everywhere in ferjax:

* ``member`` is the first axis, ``class`` the last, faces lie between: ``log_probs[member, face,
  class]``.
* Entropies are in nats, computed in float32 from log-probabilities, whatever dtype the network ran
  in (the epistemic term is about 1e-2 nats, so probabilities rounded to bfloat16 would drown it).

All functions are pure, un-jitted and differentiable; ``0 log 0`` is exactly 0 in value and
gradient.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

__all__ = [
    "Decomposition",
    "aleatoric_contributions",
    "correct_small_ensemble",
    "decompose",
    "decompose_subsets",
    "decompose_variance",
    "entropy",
    "epistemic_contributions",
    "expected_pairwise_kl",
    "jackknife",
    "mean_log_probs",
]


class Decomposition(NamedTuple):
    """Total uncertainty and its two parts; ``total = aleatoric + epistemic``, each of shape
    ``[face...]``."""

    total: jax.Array
    aleatoric: jax.Array
    epistemic: jax.Array


def _as_float32(log_probs: jax.Array) -> jax.Array:
    log_probs = jnp.asarray(log_probs)
    if not jnp.issubdtype(log_probs.dtype, jnp.floating):
        raise ValueError(
            f"log_probs must be floating point log-probabilities, got dtype {log_probs.dtype}"
        )
    return log_probs.astype(jnp.promote_types(log_probs.dtype, jnp.float32))


def _p_log_p(log_p: jax.Array) -> jax.Array:
    # The inner where keeps the gradient finite at p = 0, where p log p is 0 but log p is -inf.
    # `!=`, not `>`: NaN must stay NaN.
    possible = log_p != -jnp.inf
    safe = jnp.where(possible, log_p, 0.0)
    return jnp.where(possible, jnp.exp(safe) * safe, 0.0)


def entropy(log_probs: jax.Array, *, axis: int = -1) -> jax.Array:
    """Shannon entropy in nats.

    Args:
      log_probs: normalised log-probabilities, any shape; ``-inf`` stands for probability 0.
      axis: the class axis.

    Returns:
      Entropy with ``axis`` removed, float32 or better, in ``[0, log C]``.

    >>> round(float(entropy(jnp.log(jnp.array([0.5, 0.5])))), 4)
    0.6931
    >>> float(entropy(jnp.log(jnp.array([1.0, 0.0]))))
    0.0
    """
    return jnp.abs(jnp.sum(_p_log_p(_as_float32(log_probs)), axis=axis))


def mean_log_probs(log_probs: jax.Array, *, member_axis: int = 0) -> jax.Array:
    """Log of the ensemble's mean probability, ``log mean_k p_k``, without leaving log space.

    Args:
      log_probs: member log-probabilities ``[member, face..., class]``.
      member_axis: axis to average over.

    Returns:
      Log-probabilities of the equally weighted mixture, ``[face..., class]``.

    >>> two = jnp.log(jnp.array([[[1.0, 0.0]], [[0.0, 1.0]]]))
    >>> [round(float(p), 3) for p in jnp.exp(mean_log_probs(two))[0]]
    [0.5, 0.5]
    """
    log_probs = _as_float32(log_probs)
    # A class that every member rules out would give logsumexp a NaN gradient; it has none to give.
    possible = jnp.any(log_probs != -jnp.inf, axis=member_axis, keepdims=True)
    mean = jax.nn.logsumexp(jnp.where(possible, log_probs, 0.0), axis=member_axis) - jnp.log(
        log_probs.shape[member_axis]
    )
    return jnp.where(jnp.squeeze(possible, member_axis), mean, -jnp.inf)


def decompose(log_probs: jax.Array, *, member_axis: int = 0, axis: int = -1) -> Decomposition:
    """Split predictive entropy into an aleatoric and an epistemic part.

    ``total = H[mean_k p_k]``, ``aleatoric = mean_k H[p_k]`` (what every member finds ambiguous) and
    ``epistemic = total - aleatoric = mean_k KL(p_k || mean p)`` (what members disagree about: the
    mutual information between the label and the choice of member). Epistemic is computed as that
    mean divergence, so it is non-negative up to rounding and exactly 0 for one member or identical
    members.

    Args:
      log_probs: member log-probabilities ``[member, face..., class]``, normalised over ``axis``.
      member_axis: axis of the ensemble members.
      axis: the class axis.

    Returns:
      :class:`Decomposition` in nats, each part ``[face...]``; ``0 <= epistemic <= log min(K, C)``.

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
    log_probs = _as_float32(log_probs)
    if log_probs.ndim < 2:
        raise ValueError(
            f"log_probs needs a member axis and a class axis, [member, face..., class]; got {log_probs.shape}"
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
        return (sums[0] + probs, sums[1] + _p_log_p(log_p), sums[2] & (log_p == first)), None

    nothing = jnp.zeros_like(first)
    (probs, p_log_p, identical), _ = jax.lax.scan(
        add, (nothing, nothing, jnp.ones(first.shape, bool)), log_probs
    )
    probs = probs / members
    p_log_p = p_log_p / members
    mixture = jnp.where(probs != 0, probs * jnp.log(jnp.where(probs != 0, probs, 1.0)), 0.0)
    aleatoric = jnp.abs(jnp.sum(p_log_p, axis=-1))
    epistemic = jnp.maximum(jnp.sum(jnp.where(identical, 0.0, p_log_p - mixture), axis=-1), 0.0)
    return Decomposition(aleatoric + epistemic, aleatoric, epistemic)


def _after(axis: int, removed: int, array: jax.Array) -> int:
    """Where ``axis`` of ``array`` ends up once ``removed`` is gone."""
    axis = axis % array.ndim
    removed = removed % array.ndim
    return axis - (removed < axis)


def epistemic_contributions(log_probs: jax.Array, *, member_axis: int = 0) -> jax.Array:
    """Which classes the members disagree about: ``mean_k p_kc (log p_kc - log mean p_c)``.

    Args:
      log_probs: member log-probabilities ``[member, face..., class]``.
      member_axis: axis of the ensemble members.

    Returns:
      ``[face..., class]`` in nats; sums over classes to the epistemic uncertainty. Each term is >=
      0 by Jensen's inequality (up to rounding).

    >>> differ = jnp.log(jnp.array([[[1.0, 0.0]], [[0.0, 1.0]]]))
    >>> [round(float(c), 4) for c in epistemic_contributions(differ)[0]]
    [0.3466, 0.3466]
    """
    log_probs = _as_float32(log_probs)
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


def aleatoric_contributions(log_probs: jax.Array, *, member_axis: int = 0) -> jax.Array:
    """Which classes carry the ambiguity: ``mean_k -p_kc log p_kc``, ``[face..., class]`` in nats.

    >>> sure = jnp.log(jnp.array([[[0.5, 0.5, 0.0]]]))
    >>> [round(float(c), 4) for c in aleatoric_contributions(sure)[0]]
    [0.3466, 0.3466, 0.0]
    """
    return jnp.abs(jnp.mean(_p_log_p(_as_float32(log_probs)), axis=member_axis))


def correct_small_ensemble(epistemic: jax.Array, members: int) -> jax.Array:
    """Undo most of the small-ensemble bias: ``K / (K - 1) * epistemic``.

    With K sampled members the mutual information is biased low, ``E[MI_K]`` about ``(1 - 1/K) MI``.
    Use it when ensembles of different sizes are compared; ranks within one ensemble do not change.

    Args:
      epistemic: epistemic uncertainty, any shape, in nats.
      members: K >= 2.

    Raises:
      ValueError: if ``members < 2`` (one member carries no information about disagreement).

    >>> float(correct_small_ensemble(jnp.array(0.4), members=5))
    0.5
    """
    if members < 2:
        raise ValueError(f"the small-ensemble correction needs at least 2 members, got {members}")
    return epistemic * (members / (members - 1))


def expected_pairwise_kl(
    log_probs: jax.Array, *, member_axis: int = 0, axis: int = -1
) -> jax.Array:
    """Expected pairwise divergence ``1/(K(K-1)) sum_{i != j} KL(p_i || p_j)``, an upper estimate of
    epistemic.

    The double sum collapses: ``sum_ij KL(p_i||p_j) = K sum_i sum_c p_ic log p_ic - sum_c (sum_i
    p_ic)(sum_j log p_jc)``, so the cost is O(K), not O(K^2).

    Args:
      log_probs: member log-probabilities ``[member, face..., class]``.
      member_axis: axis of the ensemble members.
      axis: the class axis.

    Returns:
      ``[face...]`` in nats; 0 for one member; ``inf`` where a member rules out a class that another
      allows.

    References:
      Schweighofer et al., Introducing an Improved Information-Theoretic Measure of Predictive
      Uncertainty, 2023, https://arxiv.org/abs/2311.08309.

    >>> two = jnp.log(jnp.array([[[0.75, 0.25]], [[0.25, 0.75]]]))
    >>> round(float(expected_pairwise_kl(two)[0]), 4)
    0.5493
    """
    log_probs = _as_float32(log_probs)
    members = log_probs.shape[member_axis]
    if members == 1:
        return jnp.zeros_like(
            entropy(
                jnp.take(log_probs, 0, axis=member_axis), axis=_after(axis, member_axis, log_probs)
            )
        )
    negative_entropy = jnp.sum(_p_log_p(log_probs), axis=member_axis)
    total_probs = jnp.sum(jnp.exp(log_probs), axis=member_axis)
    total_log = jnp.sum(log_probs, axis=member_axis)
    cross = jnp.where(
        total_probs > 0, total_probs * jnp.where(total_probs > 0, total_log, 0.0), 0.0
    )
    pairs = jnp.sum(members * negative_entropy - cross, axis=_after(axis, member_axis, log_probs))
    return jnp.maximum(pairs, 0.0) / (members * (members - 1))


def decompose_variance(
    log_probs: jax.Array, *, member_axis: int = 0, axis: int = -1
) -> Decomposition:
    """The variance form: total ``1 - sum p̄²``, aleatoric ``mean_k (1 - sum p_k²)``, epistemic
    ``sum_c Var_k p_kc``.

    Args:
      log_probs: member log-probabilities ``[member, face..., class]``.
      member_axis: axis of the ensemble members.
      axis: the class axis.

    Returns:
      :class:`Decomposition`, unitless (Gini impurities), each ``[face...]``.

    References:
      Sale et al., Label-wise Aleatoric and Epistemic Uncertainty Quantification, 2024,
      https://arxiv.org/abs/2406.02354.

    >>> differ = jnp.log(jnp.array([[[1.0, 0.0]], [[0.0, 1.0]]]))
    >>> [float(part[0]) for part in decompose_variance(differ)]
    [0.5, 0.0, 0.5]
    """
    probs = jnp.exp(_as_float32(log_probs))
    class_axis = _after(axis, member_axis, probs)
    epistemic = jnp.sum(jnp.var(probs, axis=member_axis), axis=class_axis)
    aleatoric = 1.0 - jnp.sum(jnp.mean(probs**2, axis=member_axis), axis=class_axis)
    return Decomposition(aleatoric + epistemic, aleatoric, epistemic)


def decompose_subsets(log_probs: jax.Array, masks: jax.Array) -> Decomposition:
    """The decomposition of many sub-ensembles at once, to see what depends on which members were
    trained, and how many.

    Args:
      log_probs: member log-probabilities ``[member, face..., class]``.
      masks: ``[subset, member]`` bool; which members a sub-ensemble holds, at least one each.

    Returns:
      :class:`Decomposition` in nats, each part ``[subset, face...]``; epistemic is exactly 0 for
      one member.

    Raises:
      ValueError: if the masks have another number of members.

    >>> differ = jnp.log(jnp.array([[[1.0, 0.0]], [[0.0, 1.0]]]))
    >>> decompose_subsets(differ, jnp.array([[True, False], [True, True]])).epistemic.round(4).tolist()
    [[0.0], [0.693...]]
    """
    log_probs = _as_float32(log_probs)
    masks = jnp.asarray(masks, bool)
    if masks.ndim != 2 or masks.shape[1] != log_probs.shape[0]:
        raise ValueError(
            f"masks must be [subset, member] (.., {log_probs.shape[0]}), got {masks.shape}"
        )
    shares = masks / jnp.sum(masks, -1, keepdims=True, dtype=jnp.float32)
    exact = jax.lax.Precision.HIGHEST
    aleatoric = jnp.tensordot(shares, entropy(log_probs), 1, precision=exact)
    probs = jnp.tensordot(shares, jnp.exp(log_probs), 1, precision=exact)
    total = jnp.sum(jax.scipy.special.entr(probs), -1)
    single = (jnp.sum(masks, -1) == 1).reshape(-1, *[1] * (total.ndim - 1))
    epistemic = jnp.where(single, 0.0, jnp.maximum(total - aleatoric, 0.0))
    return Decomposition(aleatoric + epistemic, aleatoric, epistemic)


def jackknife(log_probs: jax.Array, *, axis: int = -1) -> tuple[Decomposition, Decomposition]:
    """How much each uncertainty depends on which members were trained: leave-one-member-out
    estimates.

    Args:
      log_probs: member log-probabilities ``[member, face..., class]``, K >= 3.
      axis: the class axis.

    Returns:
      ``(estimate, standard_error)``, each a :class:`Decomposition` of ``[face...]`` in nats. The
      estimate is bias-corrected: ``K θ - (K - 1) mean θ_(-k)``.

    Raises:
      ValueError: if there are fewer than 3 members (leaving one out must leave two).

    References:
      Efron & Stein, The Jackknife Estimate of Variance, 1981.

    >>> same = jnp.log(jnp.full((3, 2, 4), 0.25))
    >>> [float(e) for e in jackknife(same)[1].epistemic]
    [0.0, 0.0]
    """
    log_probs = _as_float32(log_probs)
    members = log_probs.shape[0]
    if members < 3:
        raise ValueError(f"the jackknife needs at least 3 members, got {members}")
    others = (jnp.arange(members)[:, None] + jnp.arange(1, members)[None]) % members
    whole = decompose(log_probs, axis=axis)
    left_out = jax.vmap(lambda rows: decompose(log_probs[rows], axis=axis))(others)
    estimate = jax.tree.map(lambda t, lo: members * t - (members - 1) * lo.mean(0), whole, left_out)
    error = jax.tree.map(lambda lo: jnp.sqrt((members - 1) * jnp.var(lo, axis=0)), left_out)
    return estimate, error
