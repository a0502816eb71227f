"""Every uncertainty score by name; larger always means more uncertain."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import density, uncertainty
from ferjax.evaluation import learned_router
from ferjax.predictions import Predictions

__all__ = ["LABELS", "enrich", "from_log_probs", "from_predictions", "label"]

LABELS = {
    "epistemic": "epistemic (paper)",
    "aleatoric": "aleatoric",
    "total": "total entropy",
    "max_prob": "1 − max p̄ (ensemble)",
    "single_max_prob": "1 − max p (one member)",
}
"""Scores that log-probabilities alone give, in the order tables show them, with the names people
read."""

_MORE = {
    "expected_pairwise_kl": "expected pairwise KL",
    "epistemic_given_aleatoric": "epistemic given aleatoric",
    "energy": "energy",
    "head_mahalanobis": "Mahalanobis, head",
    "head_relative": "relative Mahalanobis, head",
    "head_density": "class density, head (DDU)",
    "head_neighbour": "nearest neighbour, head",
    "texture": "texture",
    "ood_density": "ood_density (texture + early blocks)",
    "l_uar": "L-UAR (seven features)",
    "l_uar_density": "L-UAR with densities",
    "random": "random router",
}


def label(name: str) -> str:
    """The name people read for a score."""
    if name.startswith("block_"):
        return f"Mahalanobis, after block {name.removeprefix('block_')}"
    return LABELS.get(name) or _MORE.get(name) or name.replace("_", " ")


@jax.jit
def from_log_probs(log_probs: jax.Array) -> dict[str, jax.Array]:
    """Scores of each face.

    Args:
      log_probs: ``[member, face, class]``.

    Returns:
      Score name -> ``[face]``, float32; the entropies in nats, the others in [0, 1].
    """
    parts = uncertainty.decompose(log_probs)
    mean = uncertainty.mean_log_probs(log_probs)
    return {
        **parts._asdict(),
        "max_prob": 1 - jnp.exp(jnp.max(mean, -1)),
        "single_max_prob": 1 - jnp.exp(jnp.max(log_probs[0].astype(jnp.float32), -1)),
    }


def from_predictions(predictions: Predictions) -> dict[str, jax.Array]:
    """Scores of each face: those of its log-probabilities in the order of :data:`LABELS`, then
    those its file carries."""
    scores = from_log_probs(predictions.log_probs)
    return {name: scores[name] for name in LABELS} | {
        name: jnp.asarray(of, jnp.float32) for name, of in predictions.scores.items()
    }


@jax.jit
def _relative_to(log_probs: jax.Array, known: jax.Array) -> dict[str, jax.Array]:
    own = uncertainty.decompose(log_probs)
    of_known = uncertainty.decompose(known)
    return {
        "expected_pairwise_kl": uncertainty.expected_pairwise_kl(log_probs),
        "epistemic_given_aleatoric": density.conditional_rank(
            own.epistemic, own.aleatoric, of_known.epistemic, of_known.aleatoric
        ),
    }


def enrich(predictions: Mapping[str, Predictions]) -> tuple[dict[str, Predictions], dict]:
    """Adds the scores that need other faces to be computed: ranks among clean valid faces, and
    learned routers.

    Args:
      predictions: condition -> predictions. Corrupted copies of valid faces (``valid_blur_3``…) are
        what routers are learned from, and are taken out.

    Returns:
      The conditions with further ``scores`` (unchanged where there is no condition ``valid``), and
      what was learned: empty if nothing was, else see :func:`learned.leave_one_out`.
    """
    fitting = {
        name: p
        for name, p in predictions.items()
        if name.startswith("valid_") and p.corruption is not None
    }
    kept = {name: p for name, p in predictions.items() if name not in fitting}
    valid = kept.get("valid")
    if valid is None:
        return kept, {}
    scores: dict[str, dict] = {
        name: dict(jax.device_get(_relative_to(p.log_probs, valid.log_probs)))
        for name, p in kept.items()
    }
    table: dict = {}
    if fitting:
        routers = {
            name: learned_router.fit(valid, fitting.values(), with_scores=with_scores)
            for name, with_scores in (("l_uar", False), ("l_uar_density", True))
            if valid.scores or not with_scores
        }
        for name, router in routers.items():
            for condition, p in kept.items():
                scores[condition][name] = np.asarray(learned_router.score(router, p))
        if "test" in kept:
            copies = [p for p in kept.values() if p.corruption is not None]
            table = {
                name: learned_router.leave_one_out(
                    valid, fitting.values(), kept["test"], copies, with_scores=name != "l_uar"
                )
                for name in routers
            }
    return {
        name: dataclasses.replace(p, scores={**p.scores, **scores[name]})
        for name, p in kept.items()
    }, table
