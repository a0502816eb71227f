"""How good the predictions themselves are: accuracy, likelihood, calibration, and what leaving
faces out gains."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import bootstrap, metrics, uncertainty
from ferjax.evaluation import compiled, intervals
from ferjax.evaluation import scores as scores_of
from ferjax.faces import votes as votes_of
from ferjax.predictions import Predictions

__all__ = ["COVERAGES", "classification", "selective_table"]

COVERAGES = (0.7, 0.8, 0.9)
_CURVE_POINTS = 60


@jax.jit
def _quality(log_probs: jax.Array, labels: jax.Array, q: jax.Array, weights: jax.Array) -> Any:
    mean = uncertainty.mean_log_probs(log_probs)

    def statistics(w: jax.Array) -> dict[str, jax.Array]:
        of_votes = {
            m.__name__: m(mean, q, w)
            for m in (
                metrics.vote_accuracy,
                metrics.nll,
                metrics.brier,
                metrics.jensen_shannon,
                metrics.kl,
            )
        }
        return {
            "accuracy": metrics.accuracy(mean, labels, w),
            **of_votes,
            "ece": metrics.ece(mean, labels, w),
            "ece_equal_mass": metrics.ece(mean, labels, w, equal_mass=True),
        }

    members = {
        m.__name__: jax.vmap(m, (0, None))(log_probs, of)
        for m, of in ((metrics.accuracy, labels), (metrics.nll, q))
    }
    top = jnp.exp(jnp.max(mean, -1))
    right = (jnp.argmax(mean, -1) == labels).astype(jnp.float32)
    return (
        bootstrap.resampled(statistics, weights),
        members,
        metrics.reliability_bins(jnp.minimum(top, 1.0), right),
    )


def classification(predictions: Predictions, weights: jax.Array) -> dict:
    """Accuracy, likelihood and calibration of the ensemble, with intervals, and of its members.

    Args:
      predictions: faces with votes.
      weights: ``[resample, face]`` bootstrap weights.
    """
    assert predictions.votes is not None
    q = votes_of.shares(predictions.votes).astype(np.float32)
    labels = votes_of.hard_labels(q)
    samples, members, bins = _quality(
        jnp.asarray(predictions.log_probs, jnp.float32), labels, q, weights
    )
    return {
        "faces": len(labels),
        "majority_class": float(np.bincount(labels).max() / len(labels)),
        "member_accuracy": [float(a) for a in members["accuracy"]],
        "member_nll": [float(a) for a in members["nll"]],
        **{name: intervals.interval(of) for name, of in samples.items()},
        "reliability": [
            {"share": float(s), "confidence": float(c), "correct": float(r)}
            for s, c, r in zip(*bins)
            if s > 0
        ],
    }


@jax.jit
def _selective(scores: jax.Array, losses: jax.Array, weights: jax.Array) -> Any:
    """Samples of AURC, E-AURC, AUGRC and the accuracy at each coverage, ``[score, 1 + resample,
    loss, ...]``."""
    ideal = bootstrap.resampled(
        lambda w: jax.vmap(lambda loss: metrics.ideal_aurc(loss, w))(losses), weights
    )

    def of_one(score: jax.Array) -> Any:
        def statistics(w: jax.Array, loss: jax.Array) -> tuple[jax.Array, ...]:
            kept = jnp.stack(
                [1 - metrics.risk_at_coverage(score, loss, w, coverage=c) for c in COVERAGES]
            )
            return metrics.aurc(score, loss, w), metrics.augrc(score, loss, w), kept

        return bootstrap.resampled(
            lambda w: jax.vmap(lambda loss: statistics(w, loss))(losses), weights
        )

    aurc, augrc, kept = jax.lax.map(of_one, scores)
    coverage = jnp.linspace(0, 1, _CURVE_POINTS + 1)[1:]
    at_each = jax.vmap(
        lambda s, loss, c: 1 - metrics.risk_at_coverage(s, loss, coverage=c), (None, None, 0)
    )
    curves = jax.vmap(jax.vmap(lambda s, loss: at_each(s, loss, coverage), (None, 0)), (0, None))(
        scores, losses
    )
    return aurc, aurc - ideal[None], augrc, kept, coverage, curves


def selective_table(predictions: Predictions, weights: jax.Array) -> dict:
    """What is gained by leaving the most uncertain faces out, for every score, against labels and
    against people.

    Args:
      predictions: faces with votes.
      weights: ``[resample, face]`` bootstrap weights.

    Returns:
      ``scores[score][label | votes]``: ``aurc``, ``excess_aurc``, ``augrc``, ``accuracy`` at each
      coverage, all with intervals; and ``curves``: ``coverage`` and, per score and kind of loss,
      the accuracy of the faces kept. The loss is the 0/1 error, or one minus the share of people
      who voted for the predicted class.
    """
    assert predictions.votes is not None
    q = votes_of.shares(predictions.votes).astype(np.float32)
    chosen = np.asarray(compiled.mean_log_probs(predictions.log_probs)).argmax(-1)
    losses = jnp.stack(
        [chosen != votes_of.hard_labels(q), 1 - q[np.arange(len(q)), chosen]]
    ).astype(jnp.float32)
    scores = scores_of.from_predictions(predictions)
    stacked = jnp.stack([jnp.asarray(s, jnp.float32) for s in scores.values()])
    aurc, excess, augrc, kept, coverage, curves = _selective(stacked, losses, weights)
    kinds = ("label", "votes")
    table = {}
    for i, name in enumerate(scores):
        rows = {
            "aurc": intervals.labelled(aurc[i], kinds),
            "excess_aurc": intervals.labelled(excess[i], kinds),
            "augrc": intervals.labelled(augrc[i], kinds),
            "accuracy": intervals.labelled(kept[i], kinds, [str(c) for c in COVERAGES]),
        }
        table[name] = {
            kind: {quantity: of[kind] for quantity, of in rows.items()} for kind in kinds
        }
    return {
        "scores": table,
        "curves": {
            "coverage": np.asarray(coverage).tolist(),
            **{
                name: {kind: np.asarray(curves[i, k]).tolist() for k, kind in enumerate(kinds)}
                for i, name in enumerate(scores)
            },
        },
    }
