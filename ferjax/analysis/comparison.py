"""Routing a whole evaluation: thresholds from valid, what they do on test, and reject scores at matched rejection.

The comparison asks, for any reject score: at the threshold that removes 70, 80, 90 % of corrupted faces, how many
*ambiguous clean* faces survive? A random router keeps 30, 20, 10 %, and is always in the table.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import routing, uncertainty
from ferjax.analysis import scores as scores_of
from ferjax.analysis.validation import ambiguous_and_clear
from ferjax.faces import votes as votes_of
from ferjax.predictions import Predictions

__all__ = ["MATCHED", "choose_thresholds", "compare", "decisions", "threshold_grid"]

MATCHED = (0.7, 0.8, 0.9)


def choose_thresholds(valid: Predictions, *, false_rejection: float = 0.05, defer_share: float = 1 / 3) -> dict:
    """Thresholds of the router, chosen on valid alone.

    Args:
      valid: clean valid predictions.
      false_rejection: split-conformal bound on the rejection of clean faces.
      defer_share: share of valid faces to defer.

    Returns:
      ``aleatoric`` and ``epistemic`` thresholds in nats, the settings behind them, and quantiles of both scores on valid
      for explaining decisions.
    """
    scores = scores_of.from_log_probs(valid.log_probs)
    return {
        "aleatoric": float(routing.share_threshold(scores["aleatoric"], defer_share)),
        "epistemic": float(routing.conformal_threshold(scores["epistemic"], false_rejection)),
        "false_rejection": false_rejection,
        "defer_share": defer_share,
        "valid_faces": len(valid.ids),
    }


def decisions(predictions: Mapping[str, Predictions], thresholds: Mapping) -> dict:
    """What the router does with every condition: shares of accept, defer, reject, and accuracy of what it accepts."""
    limits = routing.Thresholds(thresholds["aleatoric"], thresholds["epistemic"])
    table = {}
    for condition, p in predictions.items():
        scores = scores_of.from_log_probs(p.log_probs)
        action = np.asarray(routing.decide(scores["aleatoric"], scores["epistemic"], limits))
        row: dict = {name: float((action == code).mean()) for code, name in enumerate(routing.ACTIONS)}
        if p.votes is not None and p.votes[:, :8].sum(1).all():
            q = votes_of.shares(p.votes)
            chosen = np.asarray(uncertainty.mean_log_probs(p.log_probs)).argmax(-1)
            right = chosen == votes_of.hard_labels(q)
            share = q[np.arange(len(q)), chosen]
            ambiguous, clear = ambiguous_and_clear(p.votes)
            for code, name in enumerate(routing.ACTIONS):
                of = action == code
                row[f"{name}_accuracy"] = float(right[of].mean()) if of.any() else None
                row[f"{name}_vote_accuracy"] = float(share[of].mean()) if of.any() else None
            row["ambiguous"] = {name: float((action[ambiguous] == code).mean()) for code, name in enumerate(routing.ACTIONS)}
            row["clear"] = {name: float((action[clear] == code).mean()) for code, name in enumerate(routing.ACTIONS)}
        table[condition] = row
    return table


def threshold_grid(test: Predictions, shifted: Mapping[str, Predictions], size: int = 64) -> dict[str, np.ndarray]:
    """Counts over the whole (τ_a, τ_e) plane for three groups: ambiguous clean, other clean, corrupted.

    Thresholds are quantiles of the clean scores, so that the grid is fine where faces are.

    Returns:
      ``aleatoric [T]``, ``epistemic [T]`` thresholds and ``accept``/``defer``/``reject`` ``[3, T, T]`` counts.
    """
    assert test.votes is not None
    clean = scores_of.from_log_probs(test.log_probs)
    outside = [scores_of.from_log_probs(p.log_probs) for p in shifted.values() if p.corruption is not None]
    axes = {name: jnp.quantile(clean[name], jnp.linspace(0, 1, size)) for name in ("aleatoric", "epistemic")}
    scores = {name: jnp.concatenate([clean[name], *(o[name] for o in outside)]) for name in axes}
    ambiguous, _ = ambiguous_and_clear(test.votes)
    groups = jnp.concatenate([jnp.where(ambiguous, 0, 1), *(jnp.full(len(o["total"]), 2) for o in outside)])
    counts = _grid(scores["aleatoric"], scores["epistemic"], axes["aleatoric"], axes["epistemic"], groups)
    return {**{k: np.asarray(v) for k, v in axes.items()}, **{k: np.asarray(v) for k, v in counts._asdict().items()}}


@jax.jit
def _grid(aleatoric, epistemic, aleatoric_thresholds, epistemic_thresholds, groups):
    return routing.grid(aleatoric, epistemic, aleatoric_thresholds, epistemic_thresholds, groups=groups, num_groups=3)


@jax.jit
def _matched(inside: jax.Array, outside: jax.Array) -> tuple[jax.Array, jax.Array]:
    return routing.routing_auc(inside, outside), jnp.stack([routing.retention_at(inside, outside, r) for r in MATCHED])


def compare(test: Predictions, shifted: Mapping[str, Predictions]) -> dict:
    """Every score as a reject score, pooled over all corrupted conditions, with the random router beside it.

    Args:
      test: clean test predictions with votes.
      shifted: corrupted conditions of the same faces (others are ignored).

    Returns:
      score -> routing ``auc``, ambiguous ``retention`` at each rejection in :data:`MATCHED`, and its ``ratio`` to
      single-uncertainty routing (``1 - max p`` of one member).
    """
    assert test.votes is not None
    pool = [p for p in shifted.values() if p.corruption is not None]
    if not pool:
        return {}
    ambiguous, _ = ambiguous_and_clear(test.votes)
    clean = scores_of.from_log_probs(test.log_probs)
    outside = [scores_of.from_log_probs(p.log_probs) for p in pool]
    table: dict = {}
    for name in scores_of.LABELS:
        auc, kept = _matched(clean[name][ambiguous], jnp.concatenate([o[name] for o in outside]))
        table[name] = {"auc": float(auc), "retention": {str(r): float(k) for r, k in zip(MATCHED, kept)}}
    table["random"] = {"auc": 0.5, "retention": {str(r): 1 - r for r in MATCHED}}
    baseline = table["single_max_prob"]["retention"]
    for row in table.values():
        row["ratio"] = {r: row["retention"][r] / baseline[r] if baseline[r] > 0 else None for r in baseline}
    return table
