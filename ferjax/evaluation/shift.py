"""V2: does a score follow shift? Corrupted copies, out-of-distribution sets, and their distance."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import bootstrap, metrics, mmd
from ferjax.evaluation.calibration_errors import calibration_interval
from ferjax.evaluation.class_recall import balanced, recall_by_class
from ferjax.evaluation.conditions import Condition, Conditions, shared_scores
from ferjax.evaluation.intervals import Difference, Interval, by_label, difference, interval
from ferjax.evaluation.resampling import draw_weights, shift_auroc
from ferjax.evaluation.results import (
    Cell,
    Distance,
    LabelledSet,
    OodSet,
    SetDistance,
    SeverityRow,
    Shift,
)
from ferjax.events import Message, OnEvent, Progress, silent

__all__ = ["distance", "labelled_sets", "ood_sets", "shift", "stacked_scores"]

DISTANCE_ITEMS = 500
"""At most so many items of each side enter a feature-space distance."""
PERMUTATIONS = 499
SINGLE = "single_max_prob"
"""What a single network gives: ``1 - max p`` of one member."""
PARTS = ("total", "aleatoric", "epistemic")


def shift(conditions: Conditions, on_event: OnEvent = silent) -> Shift:
    """AUROC of every score for clean test items against the same items corrupted, and against
    other sets; a further score that some corrupted copy lacks is left out."""
    corruptions, curve, minus, minus_single = _corruptions(conditions, on_event)
    severities = _severities(conditions, on_event)
    on_event(Message("  other sets"))
    others = ood_sets(conditions)
    labelled = labelled_sets(conditions)
    on_event(Message("  distances from the clean items"))
    return Shift(
        severity=conditions.severities[-1] if conditions.corrupted else None,
        corruptions=corruptions,
        curve=curve,
        epistemic_minus=minus,
        epistemic_minus_single=minus_single,
        severities=severities,
        ood=others,
        labelled=labelled,
        distance=distance(conditions),
    )


def stacked_scores(conditions: Sequence[Condition], name: str) -> np.ndarray:
    """One score of several conditions, ``[condition, item]``."""
    return np.stack([np.asarray(c.scores[name], np.float32) for c in conditions])


@jax.jit
def _once(clean: jax.Array, corrupted: jax.Array) -> tuple[jax.Array, jax.Array]:
    """AUPR and FPR at 95 % TPR, without resampling: ``[condition]``."""
    labels = jnp.repeat(jnp.arange(2), len(clean), total_repeat_length=2 * len(clean))

    def of_one(scores: jax.Array) -> tuple[jax.Array, jax.Array]:
        both = jnp.concatenate([clean, scores])
        return metrics.aupr(both, labels), metrics.fpr_at_tpr(both, labels)

    return jax.vmap(of_one)(corrupted)


def _corruptions(conditions: Conditions, on_event: OnEvent) -> tuple[dict, dict, dict, dict]:
    """:attr:`Shift.corruptions`, ``curve``, ``epistemic_minus`` and ``epistemic_minus_single``."""
    names = shared_scores([conditions.test, *conditions.corrupted])
    cells: dict[str, dict[int, dict[str, Cell]]] = {}
    curve: dict[str, dict[int, Interval]] = {name: {} for name in names}
    minus: dict[str, dict[int, Difference]] = {n: {} for n in names if n != "epistemic"}
    minus_single: dict[str, dict[int, Difference]] = {}
    if not conditions.corrupted:
        return cells, curve, minus, minus_single
    for corruption in dict.fromkeys(str(c.corruption) for c in conditions.corrupted):
        cells[corruption] = {}
        minus_single[corruption] = {}
    parts = len(conditions.severities) * len(names)
    for place, severity in enumerate(conditions.severities):
        copies = conditions.at(severity)
        for c in copies:
            cells[str(c.corruption)][severity] = {}
        means = {}
        by_copy = {}
        for number, name in enumerate(names):
            done = (place * len(names) + number) / parts
            on_event(Progress("  shift", done, f"severity {severity}, {name}"))
            clean = stacked_scores([conditions.test], name)[0]
            corrupted = stacked_scores(copies, name)
            areas = shift_auroc(clean, corrupted, conditions.weights)
            aupr, fpr = jax.device_get(_once(clean, corrupted))
            for i, c in enumerate(copies):
                cells[str(c.corruption)][severity][name] = Cell(
                    interval(areas[:, i]),
                    Interval.exact(float(aupr[i])),
                    Interval.exact(float(fpr[i])),
                )
            by_copy[name] = areas
            means[name] = areas.mean(-1)
            curve[name][severity] = interval(means[name])
        for name in minus:
            minus[name][severity] = difference(means["epistemic"] - means[name])
        gap = by_copy["epistemic"] - by_copy[SINGLE]
        for i, c in enumerate(copies):
            minus_single[str(c.corruption)][severity] = difference(gap[:, i])
    return cells, curve, minus, minus_single


@jax.jit
def _one_severity(
    log_probs: jax.Array, labels: jax.Array, parts: jax.Array, weights: jax.Array
) -> dict[str, Any]:
    """Samples ``[1 + resample]``, means over the conditions of ``log_probs [condition, item,
    class]`` and ``parts [part, condition, item]``."""
    mean_parts = jnp.mean(parts, axis=1)

    def statistics(w: jax.Array) -> dict[str, Any]:
        accuracy = jax.vmap(lambda of: metrics.accuracy(of, labels, w))(log_probs)
        gaps = jax.vmap(lambda of: metrics.calibration_gaps(of, labels, w))(log_probs)
        means = jnp.matmul(mean_parts, w, precision=jax.lax.Precision.HIGHEST) / jnp.sum(w)
        found = {"accuracy": jnp.mean(accuracy), "gaps": gaps}
        return {**found, **dict(zip(PARTS, means))}

    return bootstrap.resampled(statistics, weights)


def _severities(conditions: Conditions, on_event: OnEvent) -> dict[int, SeverityRow]:
    """Accuracy, calibration and mean uncertainties, on clean items (0) and at each severity."""
    groups = {0: (conditions.test,), **{k: conditions.at(k) for k in conditions.severities}}
    table = {}
    for number, (severity, copies) in enumerate(groups.items()):
        note = f"severity {severity}"
        on_event(Progress("  accuracy under shift", number / len(groups), note))
        samples = _one_severity(
            np.stack([c.mean_log_probs for c in copies]),
            conditions.test.voted.labels,
            np.stack([stacked_scores(copies, part) for part in PARTS]),
            conditions.weights,
        )
        found = jax.device_get(samples)
        ece = calibration_interval(found.pop("gaps"), conditions.test.items)
        table[severity] = SeverityRow(ece=ece, **{name: interval(of) for name, of in found.items()})
    return table


@jax.jit
def _unpaired(clean: jax.Array, others: jax.Array, weights: jax.Array) -> dict[str, jax.Array]:
    """Samples ``[score, 1 + resample]``; ``weights [resample, clean + other]``."""
    labels = jnp.arange(clean.shape[1] + others.shape[1]) >= clean.shape[1]

    def of_one(both: jax.Array) -> Any:
        return bootstrap.resampled(
            lambda w: {
                "auroc": metrics.auroc(both, labels, w),
                "aupr": metrics.aupr(both, labels, w),
                "fpr_at_95": metrics.fpr_at_tpr(both, labels, w),
            },
            weights,
        )

    return jax.lax.map(of_one, jnp.concatenate([clean, others], axis=1))


def ood_sets(conditions: Conditions) -> dict[str, OodSet]:
    """Every score for clean test items against each other set of items."""
    table = {}
    key = conditions.key("ood sets")
    for number, c in enumerate(conditions.ood):
        drawn = draw_weights(
            jax.random.fold_in(key, number), c.items, conditions.resamples, c.predictions.groups
        )
        names = shared_scores([conditions.test, c])
        weights = jnp.concatenate([conditions.weights, drawn], axis=1)
        clean, others = (
            np.stack([np.asarray(of.scores[name], np.float32) for name in names])
            for of in (conditions.test, c)
        )
        samples = jax.device_get(_unpaired(clean, others, weights))
        found = {part: by_label(np.asarray(of).T, names) for part, of in samples.items()}
        scores = {name: Cell(**{part: of[name] for part, of in found.items()}) for name in names}
        table[c.name] = OodSet(c.items, scores)
    return table


@jax.jit
def _quality(
    mean_log_probs: jax.Array, labels: jax.Array, q: jax.Array, weights: jax.Array
) -> dict[str, Any]:
    return bootstrap.resampled(
        lambda w: {
            "accuracy": metrics.accuracy(mean_log_probs, labels, w),
            "recall": metrics.class_recall(mean_log_probs, labels, w),
            "vote_accuracy": metrics.vote_accuracy(mean_log_probs, q, w),
            "nll": metrics.nll(mean_log_probs, q, w),
            "gaps": metrics.calibration_gaps(mean_log_probs, labels, w),
        },
        weights,
    )


def labelled_sets(conditions: Conditions) -> dict[str, LabelledSet]:
    """The cross-dataset test: quality on every other set whose items all have labels or votes."""
    table = {}
    key = conditions.key("labelled sets")
    for number, c in enumerate(conditions.ood):
        if c.people is None or not c.people.everyone_voted:
            continue
        weights = draw_weights(
            jax.random.fold_in(key, number), c.items, conditions.resamples, c.predictions.groups
        )
        q = c.people.q.astype(np.float32)
        samples = dict(_quality(c.mean_log_probs, c.people.labels, q, weights))
        recall = samples.pop("recall")
        table[c.name] = LabelledSet(
            c.items,
            ece=calibration_interval(samples.pop("gaps"), c.items),
            balanced_accuracy=balanced(recall),
            recall=recall_by_class(recall, c.people.labels, conditions.classes),
            **{name: interval(of) for name, of in samples.items()},
        )
    return table


_two_sample_test = jax.jit(mmd.two_sample_test, static_argnames="permutations")


def distance(conditions: Conditions, *, permutations: int = PERMUTATIONS) -> Distance:
    """How far the other sets, and the corrupted copies at the highest severity, lie from the clean
    test items: squared MMD with an RBF kernel, and its permutation test.

    Corrupted copies are compared item by different item: the two sides hold different halves of the
    items, as the test asks for independent samples. The space is the first feature that the clean
    items carry; without any, the ensemble's probabilities.
    """
    sets = [*conditions.worst, *conditions.ood]
    clean = conditions.test
    spaces = sorted(clean.predictions.features)
    space = next((n for n in spaces if all(n in c.predictions.features for c in sets)), None)

    def features(c: Condition) -> np.ndarray:
        if space is None:
            return np.exp(c.mean_log_probs)
        of = np.asarray(c.predictions.features[space], np.float32)
        return np.moveaxis(of, -2, 0).reshape(c.items, -1)

    key = conditions.key("distance")
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    order = rng.permutation(clean.items)
    half = min(DISTANCE_ITEMS, len(order) // 2)
    reference = features(clean)[order[:half]]
    table = {}
    for number, c in enumerate(sets):
        rows = order[half : 2 * half]
        if c.corruption is None:
            rows = rng.permutation(c.items)[:DISTANCE_ITEMS]
        if min(len(rows), half) < 2:
            continue
        test = _two_sample_test(
            jax.random.fold_in(key, number),
            reference,
            features(c)[rows],
            permutations=permutations,
        )
        table[c.name] = SetDistance(float(test.mmd2), float(test.p_value), half, len(rows))
    return Distance(space or "member-mean probabilities", permutations, table)
