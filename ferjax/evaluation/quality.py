"""How good the predictions are: accuracy, likelihood, calibration, and selective prediction."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import bootstrap, metrics
from ferjax.evaluation.calibration_errors import calibration_interval
from ferjax.evaluation.class_recall import balanced, recall_by_class
from ferjax.evaluation.conditions import Conditions
from ferjax.evaluation.intervals import by_label, interval
from ferjax.evaluation.resampling import score_by_score
from ferjax.evaluation.results import (
    Misclassification,
    Quality,
    ReliabilityBin,
    Selective,
    SelectiveRow,
)
from ferjax.events import OnEvent, silent

__all__ = ["COVERAGES", "quality", "selective"]

COVERAGES = (0.7, 0.8, 0.9)
RISK = 0.05
"""Mean loss at which coverage is reported."""
_CURVE_POINTS = 60
CALIBRATION_ERRORS = {
    "ece": ("", "mean"),
    "ece_equal_mass": ("_equal_mass", "mean"),
    "l2_ece": ("", "root_mean_square"),
    "mce": ("", "largest"),
    "classwise_ece": ("_classwise", "mean"),
}
"""Error -> of which gaps it is which norm."""


@jax.jit
def _quality(
    log_probs: jax.Array, mean: jax.Array, labels: jax.Array, q: jax.Array, weights: jax.Array
) -> Any:
    def statistics(w: jax.Array) -> dict[str, Any]:
        return {
            "accuracy": metrics.accuracy(mean, labels, w),
            "recall": metrics.class_recall(mean, labels, w),
            "vote_accuracy": metrics.vote_accuracy(mean, q, w),
            "nll": metrics.nll(mean, q, w),
            "brier": metrics.brier(mean, q, w),
            "jensen_shannon": metrics.jensen_shannon(mean, q, w),
            "kl": metrics.kl(mean, q, w),
            "gaps": metrics.calibration_gaps(mean, labels, w),
            "gaps_equal_mass": metrics.calibration_gaps(mean, labels, w, equal_mass=True),
            "gaps_classwise": metrics.classwise_gaps(mean, labels, w),
            "label_nll": metrics.label_nll(mean, labels, w),
            "label_brier": metrics.label_brier(mean, labels, w),
        }

    accuracy = jax.vmap(metrics.accuracy, (0, None))(log_probs, labels)
    nll = jax.vmap(metrics.nll, (0, None))(log_probs, q)
    confidence = jnp.minimum(jnp.exp(jnp.max(mean, -1)), 1.0)
    correct = (jnp.argmax(mean, -1) == labels).astype(jnp.float32)
    bins = metrics.reliability_bins(confidence, correct)
    return bootstrap.resampled(statistics, weights), accuracy, nll, bins


def quality(conditions: Conditions) -> Quality:
    """Accuracy, likelihood and calibration of the ensemble, with intervals, and of its members."""
    test = conditions.test
    labels = test.voted.labels
    samples, accuracy, nll, bins = jax.device_get(
        _quality(
            np.asarray(test.predictions.log_probs, np.float32),
            test.mean_log_probs,
            labels,
            test.voted.q.astype(np.float32),
            conditions.weights,
        )
    )
    recall = samples.pop("recall")
    calibration = {
        name: calibration_interval(samples[f"gaps{of}"], test.items, norm)
        for name, (of, norm) in CALIBRATION_ERRORS.items()
    }
    return Quality(
        items=test.items,
        balanced_accuracy=balanced(recall),
        recall=recall_by_class(recall, labels, conditions.classes),
        majority_class=float(np.bincount(labels).max() / len(labels)),
        member_accuracy=tuple(map(float, accuracy)),
        member_nll=tuple(map(float, nll)),
        reliability=tuple(ReliabilityBin(*map(float, row)) for row in zip(*bins) if row[0] > 0),
        **{name: interval(of) for name, of in samples.items() if not name.startswith("gaps")},
        **calibration,
    )


@jax.jit
def _selective(
    scores: jax.Array, losses: jax.Array, coverage: jax.Array, weights: jax.Array
) -> Any:
    """Samples of the areas by name, and of the accuracy at each of :data:`COVERAGES`, ``[score, 1 +
    resample, loss, ...]``; and curves ``[score, loss, point]`` over ``coverage [point]``."""

    def accuracy(score: jax.Array, loss: jax.Array, w: jax.Array, at: jax.Array) -> jax.Array:
        risk = jax.vmap(lambda c: metrics.risk_at_coverage(score, loss, w, coverage=c))
        return 1 - risk(at)

    def of_one(score: jax.Array) -> Any:
        def statistics(w: jax.Array, loss: jax.Array) -> tuple[dict[str, jax.Array], jax.Array]:
            kept = accuracy(score, loss, w, jnp.array(COVERAGES))
            areas = (metrics.aurc, metrics.excess_aurc, metrics.augrc, metrics.excess_augrc)
            found = {area.__name__: area(score, loss, w) for area in areas}
            covered = metrics.coverage_at_risk(score, loss, w, risk=RISK)
            return {**found, "coverage_at_risk": covered}, kept

        return bootstrap.resampled(
            lambda w: jax.vmap(lambda loss: statistics(w, loss))(losses), weights
        )

    everyone = jnp.ones(scores.shape[1])

    def curves_of(score: jax.Array) -> jax.Array:
        return jax.vmap(lambda loss: accuracy(score, loss, everyone, coverage))(losses)

    areas, kept = jax.lax.map(of_one, scores)
    return areas, kept, jax.vmap(curves_of)(scores)


@jax.jit
def _misclassified(
    scores: jax.Array, wrong: jax.Array, weights: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Samples ``[score, 1 + resample]`` of AUROC, AUPR of errors and AUPR of successes."""

    def of_one(score: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        return bootstrap.resampled(
            lambda w: (
                metrics.misclassification_auroc(score, wrong, w),
                metrics.misclassification_aupr(score, wrong, w),
                metrics.misclassification_aupr(score, wrong, w, successes=True),
            ),
            weights,
        )

    return jax.lax.map(of_one, scores)


def selective(conditions: Conditions, on_event: OnEvent = silent) -> Selective:
    """What is gained by leaving out the most uncertain items, against labels and against people.

    The loss is the 0/1 error (``label``), or one minus the share of people who voted for the
    predicted class (``votes``).
    """
    test = conditions.test
    losses = np.stack([~test.correct, 1 - test.vote_share]).astype(np.float32)
    names = list(test.scores)
    stacked = np.stack([np.asarray(test.scores[name], np.float32) for name in names])
    coverage = np.linspace(0, 1, _CURVE_POINTS + 1, dtype=np.float32)[1:]
    wrong = ~test.correct

    def of_score(score: np.ndarray) -> Any:
        told = _misclassified(score, wrong, conditions.weights)
        return told, _selective(score, losses, coverage, conditions.weights)

    told, (areas, kept, curves) = score_by_score(
        "  selective prediction", names, of_score, stacked, on_event=on_event
    )
    kinds = ("label", "votes")
    coverages = [str(c) for c in COVERAGES]
    areas = {n: by_label(np.moveaxis(of, 1, 0), names, kinds) for n, of in areas.items()}
    accuracy = by_label(np.moveaxis(kept, 1, 0), names, kinds, coverages)
    return Selective(
        scores={
            name: {
                kind: SelectiveRow(
                    accuracy=accuracy[name][kind],
                    **{area: of[name][kind] for area, of in areas.items()},
                )
                for kind in kinds
            }
            for name in names
        },
        misclassification={
            name: Misclassification(*(interval(of[i]) for of in told))
            for i, name in enumerate(names)
        },
        coverage=tuple(map(float, coverage)),
        curves={
            name: {kind: tuple(map(float, curves[i, k])) for k, kind in enumerate(kinds)}
            for i, name in enumerate(names)
        },
    )
