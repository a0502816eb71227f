"""Every uncertainty score by name, and what people read for it; larger always means more uncertain.

One program scores a condition: nothing else of the evaluation decomposes log-probabilities.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax import density, dirichlet, uncertainty

__all__ = [
    "FEATURES",
    "LABELS",
    "Scored",
    "epistemic_given_aleatoric",
    "from_log_probs",
    "label",
    "score",
]

LABELS = {
    "epistemic": "epistemic",
    "aleatoric": "aleatoric",
    "between": "epistemic between members (paper)",
    "within": "epistemic within members",
    "mean_entropy": "mean entropy of members (paper's aleatoric)",
    "expected_disagreement": "expected disagreement",
    "vacuity": "vacuity (− log concentration)",
    "single_entropy": "entropy of one member",
    "total": "total entropy",
    "max_prob": "1 − max p̄ (ensemble)",
    "single_max_prob": "1 − max p (one member)",
    "expected_pairwise_kl": "expected pairwise KL",
    "epistemic_given_aleatoric": "epistemic given aleatoric",
    "energy": "energy",
    "head_mahalanobis": "Mahalanobis, head",
    "head_relative": "relative Mahalanobis, head",
    "head_density": "class density, head (DDU)",
    "head_neighbour": "nearest neighbour, head",
    "texture": "texture",
    "ood_density": "OOD density (texture, early blocks)",
    "predicted_disagreement": "predicted disagreement δ̂",
    "scn": "doubted by its weight (SCN)",
    "l_uar": "learned router",
    "l_uar_density": "learned router with densities",
    "error": "probability of an error",
    "excess_error": "error beyond what it admits",
    "random": "random router",
}
"""Score -> what people read."""

FEATURES = (
    "total",
    "aleatoric",
    "epistemic",
    "max p̄",
    "top-1 − top-2 of p̄",
    "std_k max p_k",
    "std_k H(p_k)",
)
"""Columns of :attr:`Scored.features`: what the paper's learned router reads."""


def label(name: str) -> str:
    """The name people read for a score.

    >>> label("total"), label("block_4")
    ('total entropy', 'Mahalanobis, after block 4')
    """
    if name.startswith("block_"):
        return f"Mahalanobis, after block {name.removeprefix('block_')}"
    return LABELS.get(name) or name.replace("_", " ")


class Scored(NamedTuple):
    """A condition's ``mean_log_probs [item, class]``, ``scores`` name -> ``[item]``, and the
    ``features [item, 7]`` of :data:`FEATURES`."""

    mean_log_probs: jax.Array
    scores: dict[str, jax.Array]
    features: jax.Array


def _from_parts(
    parts: uncertainty.Decomposition,
    mean: jax.Array,
    log_probs: jax.Array,
    log_concentration: jax.Array | None,
) -> dict[str, jax.Array]:
    single = log_probs[0].astype(jnp.float32)
    scores = {
        "epistemic": parts.epistemic,
        "aleatoric": parts.aleatoric,
        "total": parts.total,
        "max_prob": uncertainty.least_confidence(mean),
        "single_max_prob": uncertainty.least_confidence(single),
        "single_entropy": uncertainty.entropy(single),
    }
    if log_concentration is None:
        return scores
    of_members = dirichlet.expected_disagreement(log_probs, log_concentration)
    return scores | {
        "between": parts.between,
        "within": parts.within,
        "mean_entropy": parts.aleatoric + parts.within,
        "expected_disagreement": jnp.mean(of_members, axis=0),
        "vacuity": -jnp.mean(log_concentration, axis=0),
    }


def from_log_probs(
    log_probs: ArrayLike, log_concentration: ArrayLike | None = None
) -> dict[str, jax.Array]:
    """The scores that need nothing but predictions, for use inside a compiled program.

    Args:
      log_probs: ``[member, item, class]``.
      log_concentration: ``[member, item]``, or None where members have none.

    Returns:
      Score name -> float32 ``[item]``; the entropies in nats, the others in [0, 1] (vacuity: minus
      the mean log concentration).
    """
    log_probs = jnp.asarray(log_probs, jnp.float32)
    if log_concentration is not None:
        log_concentration = jnp.asarray(log_concentration, jnp.float32)
    mean = uncertainty.mean_log_probs(log_probs)
    parts = uncertainty.decompose(log_probs, log_concentration)
    return _from_parts(parts, mean, log_probs, log_concentration)


@jax.jit
def score(log_probs: ArrayLike, log_concentration: ArrayLike | None = None) -> Scored:
    """Scores one condition, in one program.

    Args:
      log_probs: ``[member, item, class]``.
      log_concentration: ``[member, item]``, or None where members have none.
    """
    log_probs = jnp.asarray(log_probs, jnp.float32)
    if log_concentration is not None:
        log_concentration = jnp.asarray(log_concentration, jnp.float32)
    parts = uncertainty.decompose(log_probs, log_concentration)
    mean = uncertainty.mean_log_probs(log_probs)
    scores = _from_parts(parts, mean, log_probs, log_concentration)
    scores["expected_pairwise_kl"] = uncertainty.expected_pairwise_kl(log_probs)
    rest = scores["max_prob"]
    second = jnp.exp(jax.lax.top_k(mean, 2)[0][:, 1])
    spread = (uncertainty.least_confidence(log_probs), uncertainty.entropy(log_probs))
    # What the paper's router reads are the paper's two parts, whatever is known beside them.
    paper = (parts.total, parts.aleatoric + parts.within, parts.between)
    features = [*paper, 1 - rest, 1 - rest - second, *(jnp.std(of, 0) for of in spread)]
    return Scored(mean, scores, jnp.stack(features, -1))


@jax.jit
def epistemic_given_aleatoric(
    epistemic: ArrayLike,
    aleatoric: ArrayLike,
    valid_epistemic: ArrayLike,
    valid_aleatoric: ArrayLike,
) -> jax.Array:
    """Rank of each item's epistemic uncertainty among valid items that are about as ambiguous.

    Args:
      epistemic: ``[item]`` nats.
      aleatoric: ``[item]`` nats.
      valid_epistemic: the same of clean valid items.
      valid_aleatoric: the same of clean valid items.

    Returns:
      ``[item]`` in [0, 1]; see :func:`ferjax.density.conditional_rank`.
    """
    return density.conditional_rank(epistemic, aleatoric, valid_epistemic, valid_aleatoric)
