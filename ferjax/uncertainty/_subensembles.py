"""How uncertainty depends on the members: their number, and which of them were trained."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ferjax import dirichlet
from ferjax.arrays import as_floats, is_traced, nan_where
from ferjax.uncertainty._decomposition import Decomposition, decompose, divergence_term
from ferjax.uncertainty._entropy import as_log_probs, compare_with_mean, entropy

__all__ = [
    "Jackknife",
    "correct_small_ensemble",
    "decompose_subsets",
    "jackknife",
    "jackknife_estimate",
]


def correct_small_ensemble(epistemic: ArrayLike, members: ArrayLike) -> jax.Array:
    """Undo most of the small-ensemble bias: ``K / (K - 1) * epistemic``.

    With K sampled members the mutual information is biased low, ``E[MI_K]`` about ``(1 - 1/K) MI``.
    Use it when ensembles of different sizes are compared; ranks within one ensemble do not change.

    Args:
      epistemic: epistemic uncertainty in nats, any shape.
      members: K >= 2, scalar or of the same shape; checked unless it is traced.

    Returns:
      The corrected uncertainty in nats, same shape, float32 or better; NaN stays NaN, and comes out
      for a traced ``members < 2``.

    Raises:
      ValueError: if ``members < 2`` (one member carries no information about disagreement).

    >>> float(correct_small_ensemble(0.4, members=5))
    0.5
    """
    if not is_traced(members) and not np.all(np.asarray(members) >= 2):
        raise ValueError(f"the small-ensemble correction needs at least 2 members, got {members}")
    of, count = as_floats(epistemic, members)
    enough = count >= 2
    return nan_where(~enough, of * (count / jnp.where(enough, count - 1, 1)))


def decompose_subsets(
    log_probs: ArrayLike, masks: ArrayLike, log_concentration: ArrayLike | None = None
) -> Decomposition:
    """The decomposition of many sub-ensembles at once.

    Args:
      log_probs: member log-probabilities ``[member, item..., class]``.
      masks: ``[subset, member]`` bool; which members a sub-ensemble holds, at least one each.
      log_concentration: ``[member, item...]`` as in :func:`.decompose`, or None.

    Returns:
      :class:`Decomposition` in nats, each part ``[subset, item...]``, float32 or better;
      ``between`` is exactly 0 for one member. A NaN of any member, in the subset or not, gives NaN
      (``between`` of a single member: 0).

    Raises:
      ValueError: if the masks have another number of members, or ``log_probs`` is not floating
        point.

    >>> differ = jnp.log(jnp.array([[[1.0, 0.0]], [[0.0, 1.0]]]))
    >>> masks = jnp.array([[True, False], [True, True]])
    >>> decompose_subsets(differ, masks).epistemic.round(4).tolist()
    [[0.0], [0.693...]]
    """
    log_probs = as_log_probs(log_probs)
    masks = jnp.asarray(masks, bool)
    if masks.ndim != 2 or masks.shape[1] != log_probs.shape[0]:
        raise ValueError(
            f"masks must be [subset, member] (.., {log_probs.shape[0]}), got {masks.shape}"
        )
    held = masks.astype(log_probs.dtype)
    shares = held / jnp.sum(held, -1, keepdims=True)
    exact = jax.lax.Precision.HIGHEST
    if log_concentration is None:
        ambiguous = entropy(log_probs)
        unknown = 0 * ambiguous
    else:
        ambiguous = dirichlet.expected_entropy(log_probs, log_concentration)
        unknown = dirichlet.mutual_information(log_probs, log_concentration)
    aleatoric = jnp.tensordot(shares, ambiguous, 1, precision=exact)
    within = jnp.tensordot(shares, unknown, 1, precision=exact)
    # Beside the mixture of all members, p_k = mean p (1 + e_k): what a subset's members diverge
    # from the mixture of all, less what their own mixture does.
    mean, log_ratio = compare_with_mean(log_probs)
    of_members = jnp.tensordot(shares, divergence_term(log_ratio), 1, precision=exact)
    of_mixture = jnp.tensordot(shares, jnp.expm1(log_ratio), 1, precision=exact)
    gap = of_members - divergence_term(jnp.log1p(of_mixture))
    between = jnp.sum(jnp.exp(mean)[None] * jnp.maximum(gap, 0.0), -1)
    single = (jnp.sum(masks, -1) == 1).reshape(-1, *[1] * (between.ndim - 1))
    between = jnp.where(single, 0.0, between)
    epistemic = within + between
    return Decomposition(aleatoric + epistemic, aleatoric, epistemic, within, between)


class Jackknife(NamedTuple):
    """A statistic corrected for bias, and how much it depends on which members were trained."""

    estimate: Any
    """``K θ - (K - 1) mean_k θ_(-k)``; the statistic's tree and shapes."""
    standard_error: Any
    """``sqrt((K - 1) Var_k θ_(-k))``; likewise."""


def jackknife_estimate(whole: Any, left_out: Any) -> Jackknife:
    """The jackknife of any statistic from its leave-one-member-out values.

    Args:
      whole: the statistic of all K members: an array, or a tree of arrays, of any shape.
      left_out: the same tree, each leaf with a first axis ``[member]`` in front: the statistic
        without member k.

    Returns:
      :class:`Jackknife` of float32 (or better) leaves shaped like ``whole``'s. NaN in, NaN out.

    Raises:
      ValueError: if a leaf of ``left_out`` does not have one more axis, of at least 3 members.

    References:
      Efron & Stein, The Jackknife Estimate of Variance, 1981,
      https://doi.org/10.1214/aos/1176345462.

    >>> error = jackknife_estimate(2.0, jnp.array([1.0, 2.0, 3.0])).standard_error
    >>> round(float(error), 4)
    1.1547
    """
    estimate = jax.tree.map(_corrected, whole, left_out)
    error = jax.tree.map(lambda of: jnp.sqrt((len(of) - 1) * jnp.var(of, axis=0)), left_out)
    return Jackknife(estimate, error)


def _corrected(whole: ArrayLike, left_out: ArrayLike) -> jax.Array:
    whole = jnp.asarray(whole)
    left_out = jnp.asarray(left_out)
    if left_out.ndim == 0 or left_out.shape[1:] != whole.shape or left_out.shape[0] < 3:
        raise ValueError(
            f"left_out must be [member, ...] with at least 3 members and ... = {whole.shape}, "
            f"got {left_out.shape}"
        )
    members = left_out.shape[0]
    return members * whole - (members - 1) * jnp.mean(left_out, axis=0)


def jackknife(
    log_probs: ArrayLike, log_concentration: ArrayLike | None = None, *, axis: int = -1
) -> Jackknife:
    """How much each uncertainty depends on which members were trained: leave one member out.

    Args:
      log_probs: member log-probabilities ``[member, item..., class]``, K >= 3.
      log_concentration: ``[member, item...]`` as in :func:`.decompose`, or None.
      axis: the class axis (static).

    Returns:
      :class:`Jackknife` whose ``estimate`` and ``standard_error`` are :class:`Decomposition` of
      ``[item...]`` in nats, float32 or better. NaN where a member's log-probability is NaN.

    Raises:
      ValueError: if there are fewer than 3 members (leaving one out must leave two).

    References:
      Efron & Stein, The Jackknife Estimate of Variance, 1981,
      https://doi.org/10.1214/aos/1176345462.

    >>> same = jnp.log(jnp.full((3, 2, 4), 0.25))
    >>> jax.jit(jackknife)(same).standard_error.epistemic.tolist()
    [0.0, 0.0]
    """
    log_probs = as_log_probs(log_probs)
    members = log_probs.shape[0]
    if members < 3:
        raise ValueError(f"the jackknife needs at least 3 members, got {members}")
    others = (jnp.arange(members)[:, None] + jnp.arange(1, members)[None]) % members

    def without_one(rows: jax.Array) -> Decomposition:
        known = None if log_concentration is None else jnp.asarray(log_concentration)[rows]
        return decompose(log_probs[rows], known, axis=axis)

    whole = decompose(log_probs, log_concentration, axis=axis)
    return jackknife_estimate(whole, jax.vmap(without_one)(others))
