"""Dual validation: does aleatoric follow human disagreement, and epistemic follow shift? Predictions in, tables out.

V1 holds scores against the votes of clean test faces; V2 asks each score to tell clean faces from the same faces
corrupted. Both are always shown for both uncertainties and for simpler scores, with the rank correlation of the two, so
that nothing is claimed that a simpler score also does.

Tables are plain dictionaries of numbers, ready for JSON. References: arXiv 2606.22725.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import bootstrap, metrics, uncertainty
from ferjax.analysis import scores as scores_of
from ferjax.faces import votes as votes_of
from ferjax.predictions import Predictions

__all__ = ["ambiguous_and_clear", "classification", "disagreement_table", "shift_table", "validate"]


def _interval(e: bootstrap.Estimate) -> dict[str, float]:
    return {"value": float(e.value), "low": float(e.low), "high": float(e.high)}


@jax.jit
def _spearman(x: jax.Array, y: jax.Array, weights: jax.Array) -> bootstrap.Estimate:
    return bootstrap.estimate(lambda w: metrics.spearman(x, y, w), weights)


@jax.jit
def _auroc(score: jax.Array, label: jax.Array, counted: jax.Array, weights: jax.Array) -> bootstrap.Estimate:
    return bootstrap.estimate(lambda w: metrics.auroc(score, label, w * counted), weights)


@jax.jit
def _shift_auroc(clean: jax.Array, corrupted: jax.Array, weights: jax.Array) -> bootstrap.Estimate:
    return bootstrap.estimate(lambda w: metrics.auroc_between(clean, corrupted, w, w), weights)


def ambiguous_and_clear(votes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which faces of a split people disagree and agree about, ``[face]`` bool each; see :func:`votes.ambiguity`."""
    return votes_of.ambiguity(votes_of.shares(votes))


def classification(predictions: Predictions) -> dict:
    """Accuracy, likelihood and calibration of the ensemble and of its members."""
    assert predictions.votes is not None
    q = votes_of.shares(predictions.votes).astype(np.float32)
    labels = votes_of.hard_labels(q)
    log_probs = jnp.asarray(predictions.log_probs)
    mean = uncertainty.mean_log_probs(log_probs)
    members = jax.vmap(metrics.accuracy, (0, None))(log_probs, labels)
    return {
        "faces": len(labels),
        "majority_class": float(np.bincount(labels).max() / len(labels)),
        "member_accuracy": [float(a) for a in members],
        "accuracy": float(metrics.accuracy(mean, labels)),
        "vote_accuracy": float(metrics.vote_accuracy(mean, q)),
        "nll": float(metrics.nll(mean, q)),
        "member_nll": [float(a) for a in jax.vmap(metrics.nll, (0, None))(log_probs, q)],
        "brier": float(metrics.brier(mean, q)),
        "ece": float(metrics.ece(mean, labels)),
        "ece_equal_mass": float(metrics.ece(mean, labels, equal_mass=True)),
        "jensen_shannon": float(metrics.jensen_shannon(mean, q)),
    }


def disagreement_table(predictions: Predictions, weights: jax.Array, key: jax.Array) -> dict:
    """V1: every score against human disagreement δ = 1 - max q on clean faces, with 95 % intervals.

    Args:
      predictions: the clean test split, with votes.
      weights: ``[resample, face]`` bootstrap weights.
      key: random key of the reliability ceiling's half splits.
    """
    assert predictions.votes is not None
    q = votes_of.shares(predictions.votes)
    delta = jnp.asarray(votes_of.disagreement(q), jnp.float32)
    ambiguous, clear = ambiguous_and_clear(predictions.votes)
    scores = scores_of.from_log_probs(predictions.log_probs)
    ceiling = float(metrics.spearman_ceiling(predictions.votes[:, :8], key))
    table: dict = {"faces": len(q), "ambiguous": int(ambiguous.sum()), "clear": int(clear.sum()), "ceiling": ceiling, "scores": {}}
    for name, score in scores.items():
        rho = _interval(_spearman(score, delta, weights))
        row = {"spearman": rho, "share_of_ceiling": rho["value"] / ceiling,
               "auroc_ambiguous": _interval(_auroc(score, ambiguous, ambiguous | clear, weights))}
        if predictions.truth is not None:
            truth = jnp.asarray(votes_of.entropy(predictions.truth), jnp.float32)
            row["spearman_true_entropy"] = _interval(_spearman(score, truth, weights))
        table["scores"][name] = row
    order = np.argsort(np.asarray(scores["aleatoric"]), kind="stable")
    table["deciles"] = [
        {"aleatoric": float(scores["aleatoric"][part].mean()), "disagreement": float(delta[part].mean()), "faces": len(part)}
        for part in np.array_split(order, 10) if len(part)
    ]
    return table


def shift_table(clean: Predictions, shifted: Mapping[str, Predictions], weights: jax.Array) -> dict:
    """V2: AUROC of every score for clean test faces against the same faces corrupted; and against strangers.

    Args:
      clean: the clean test split.
      shifted: condition -> predictions; those with a corruption must hold the same faces in the same order.
      weights: ``[resample, face]`` bootstrap weights of the clean faces.

    Returns:
      ``corruptions[name][severity][score]`` with intervals, ``curve[score][severity]`` the unweighted mean over corruptions,
      and ``natural[condition][score]`` for other sets.

    Raises:
      ValueError: if a corrupted set holds other faces.
    """
    reference = scores_of.from_log_probs(clean.log_probs)
    table: dict = {"corruptions": {}, "curve": {}, "natural": {}}
    for condition, predictions in shifted.items():
        scores = scores_of.from_log_probs(predictions.log_probs)
        if predictions.corruption is None:
            areas = {name: float(metrics.auroc_between(reference[name], scores[name])) for name in scores}
            table["natural"][condition] = {"faces": len(predictions.ids), **areas}
            continue
        if not np.array_equal(predictions.ids, clean.ids):
            raise ValueError(f"condition {condition} holds other faces than the clean test split; ids must agree in order")
        row = {name: _interval(_shift_auroc(reference[name], scores[name], weights)) for name in scores}
        table["corruptions"].setdefault(predictions.corruption, {})[predictions.severity] = row
    severities = sorted({s for rows in table["corruptions"].values() for s in rows})
    for name in reference:
        table["curve"][name] = {
            s: float(np.mean([rows[s][name]["value"] for rows in table["corruptions"].values() if s in rows])) for s in severities
        }
    return table


def validate(predictions: Mapping[str, Predictions], *, resamples: int = 2000, seed: int = 0) -> dict:
    """The whole dual validation.

    Args:
      predictions: condition -> predictions; ``test`` (clean, with votes) is needed, everything else but ``valid`` is shift.
      resamples: bootstrap resamples behind every interval.
      seed: seed of the bootstrap and the half splits.

    Returns:
      ``classification``, ``v1``, ``v2``, the 2 × 2 table ``cross`` and the ``rank_correlation`` of the two uncertainties.

    Raises:
      ValueError: if the clean test split or its votes are missing.
    """
    if "test" not in predictions or predictions["test"].votes is None:
        raise ValueError(f"validation needs condition 'test' with votes; got {', '.join(predictions) or 'none'}")
    test = predictions["test"]
    key = jax.random.key(seed)
    weights = jax.jit(bootstrap.resample_weights, static_argnums=(1, 2))(key, len(test.ids), resamples)
    v1 = disagreement_table(test, weights, jax.random.fold_in(key, 1))
    v2 = shift_table(test, {name: p for name, p in predictions.items() if name not in ("test", "valid")}, weights)
    scores = scores_of.from_log_probs(test.log_probs)
    worst = max(next(iter(v2["curve"].values())), default=None)
    cross = {
        name: {"disagreement": v1["scores"][name]["spearman"]["value"],
               "shift": v2["curve"][name][worst] if worst is not None else None}
        for name in scores_of.LABELS
    }
    return {
        "members": int(test.log_probs.shape[0]),
        "classification": classification(test),
        "v1": v1,
        "v2": v2,
        "cross": cross,
        "shift_severity": worst,
        "rank_correlation": _interval(_spearman(scores["aleatoric"], scores["epistemic"], weights)),
    }
