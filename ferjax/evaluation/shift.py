"""V2: does a score see that something has changed? Corrupted copies, strangers, other data sets,
and how far away they are."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import bootstrap, metrics, uncertainty
from ferjax.evaluation import compiled, intervals
from ferjax.evaluation import scores as scores_of
from ferjax.faces import votes as votes_of
from ferjax.mmd import two_sample_test
from ferjax.predictions import Predictions

__all__ = ["distance_table", "labelled_sets", "shift_table"]

DISTANCE_FACES = 500
"""At most so many faces of each side enter a feature-space distance."""


@jax.jit
def _corrupted(
    clean: jax.Array, shifted: jax.Array, weights: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Shift AUROC samples ``[score, 1 + resample, condition]``, and AUPR and FPR@95 ``[score,
    condition]``.

    The same faces stand on both sides, so a resample weighs both alike; the clean side is sorted
    and accumulated once for all conditions.
    """

    def of_one(pair: tuple[jax.Array, jax.Array]) -> Any:
        inside, outside = pair
        areas = bootstrap.resampled(
            lambda w: jax.vmap(lambda scores: metrics.auroc_between(inside, scores, w, w))(outside),
            weights,
        )
        labels = jnp.repeat(jnp.arange(2), len(inside), total_repeat_length=2 * len(inside))

        def pooled(scores: jax.Array) -> tuple[jax.Array, jax.Array]:
            both = jnp.concatenate([inside, scores])
            return metrics.aupr(both, labels), metrics.fpr_at_tpr(both, labels)

        return areas, *jax.vmap(pooled)(outside)

    return jax.lax.map(of_one, (clean, jnp.swapaxes(shifted, 0, 1)))


@jax.jit
def _strangers(clean: jax.Array, others: jax.Array, weights: jax.Array) -> dict[str, jax.Array]:
    """Samples ``[score, 1 + resample]`` for a set of other faces; ``weights [resample, clean +
    other]``."""
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


def _stack(predictions: Predictions, names: list[str]) -> jax.Array:
    scores = scores_of.from_predictions(predictions)
    return jnp.stack([jnp.asarray(scores[name], jnp.float32) for name in names])


def _shared_names(*predictions: Predictions) -> list[str]:
    """Scores that all of these have, in the order of the first."""
    first, *others = (scores_of.from_predictions(p) for p in predictions)
    return [name for name in first if all(name in other for other in others)]


def shift_table(
    clean: Predictions, shifted: Mapping[str, Predictions], weights: jax.Array, key: jax.Array
) -> dict:
    """AUROC of every score for clean test faces against the same faces corrupted; and against
    strangers.

    Args:
      clean: the clean test split.
      shifted: condition -> predictions; those with a corruption must hold the same faces in the
        same order.
      weights: ``[resample, face]`` bootstrap weights of the clean faces.
      key: random key of the resampling of other sets.

    Returns:
      ``corruptions[name][severity][score]`` AUROC with interval, ``aupr`` and ``fpr_at_95``;
      ``curve[score][severity]`` the unweighted mean over corruptions;
      ``epistemic_minus[score][severity]`` how much better epistemic sees shift than each other
      score on the same faces (paired); ``natural[condition]`` for other sets: ``faces`` and each
      score's ``auroc``, ``aupr``, ``fpr_at_95``. A further score that some corrupted copy lacks is
      left out, and one that another set lacks is left out for that set.

    Raises:
      ValueError: if a corrupted set holds other faces.
    """
    copies = {condition: p for condition, p in shifted.items() if p.corruption is not None}
    names = _shared_names(clean, *copies.values())
    reference = _stack(clean, names)
    table: dict = {
        "corruptions": {},
        "curve": {name: {} for name in names},
        "epistemic_minus": {name: {} for name in names if name != "epistemic"},
        "natural": {},
    }
    for condition, p in copies.items():
        if not np.array_equal(p.ids, clean.ids):
            raise ValueError(
                f"condition {condition} holds other faces than the clean test split; ids must agree in order"
            )
    if copies:
        areas, aupr, fpr = _corrupted(
            reference, jnp.stack([_stack(p, names) for p in copies.values()]), weights
        )
        cells = intervals.labelled(jnp.moveaxis(areas, 0, -1), list(copies), names)
        for c, (condition, p) in enumerate(copies.items()):
            row = {
                name: {
                    **cells[condition][name],
                    "aupr": float(aupr[i, c]),
                    "fpr_at_95": float(fpr[i, c]),
                }
                for i, name in enumerate(names)
            }
            table["corruptions"].setdefault(p.corruption, {})[p.severity] = row
        severity_of = np.array([p.severity for p in copies.values()])
        for severity in sorted({int(s) for s in severity_of}):
            mean = areas[..., severity_of == severity].mean(-1)  # [score, 1 + resample]
            epistemic = mean[names.index("epistemic")]
            for name, of in zip(names, mean):
                table["curve"][name][severity] = intervals.interval(of)
                if name != "epistemic":
                    table["epistemic_minus"][name][severity] = intervals.interval(epistemic - of)
    for number, (condition, p) in enumerate(shifted.items()):
        if p.corruption is None:
            drawn = intervals.draw(p, jax.random.fold_in(key, number), len(weights))
            known = _shared_names(clean, p)
            samples = _strangers(
                _stack(clean, known), _stack(p, known), jnp.concatenate([weights, drawn], axis=1)
            )
            rows = {
                statistic: intervals.labelled(jnp.swapaxes(of, 0, 1), known)
                for statistic, of in samples.items()
            }
            table["natural"][condition] = {
                "faces": len(p.ids),
                **{
                    name: {statistic: rows[statistic][name] for statistic in rows} for name in known
                },
            }
    return table


@jax.jit
def _quality(
    log_probs: jax.Array, labels: jax.Array, q: jax.Array, weights: jax.Array
) -> dict[str, jax.Array]:
    mean = uncertainty.mean_log_probs(log_probs)
    return bootstrap.resampled(
        lambda w: {
            "accuracy": metrics.accuracy(mean, labels, w),
            "vote_accuracy": metrics.vote_accuracy(mean, q, w),
            "nll": metrics.nll(mean, q, w),
            "ece": metrics.ece(mean, labels, w),
        },
        weights,
    )


def labelled_sets(shifted: Mapping[str, Predictions], key: jax.Array, resamples: int) -> dict:
    """The cross-dataset test: quality on every other set of faces that has labels or votes, with
    intervals."""
    table = {}
    for number, (condition, p) in enumerate(shifted.items()):
        if p.corruption is not None or p.votes is None:
            continue
        q = votes_of.shares(p.votes).astype(np.float32)
        some = q.sum(1) > 0
        if not some.all():  # strangers: people found no expression in them
            continue
        weights = intervals.draw(p, jax.random.fold_in(key, number), resamples)
        samples = _quality(
            jnp.asarray(p.log_probs, jnp.float32), votes_of.hard_labels(q), q, weights
        )
        table[condition] = {
            "faces": len(q),
            **{name: intervals.interval(of) for name, of in samples.items()},
        }
    return table


_distance = jax.jit(two_sample_test, static_argnames="permutations")


def distance_table(
    clean: Predictions,
    shifted: Mapping[str, Predictions],
    key: jax.Array,
    *,
    permutations: int = 499,
) -> dict:
    """How far each set lies from the clean test faces: squared MMD with an RBF kernel, and its
    permutation test.

    Corrupted copies are compared face by different face: the two sides hold different halves of the
    faces, as the test asks for independent samples.

    Args:
      clean: the clean test split.
      shifted: condition -> predictions.
      key: random key of subsampling and permutations.
      permutations: of the test.

    Returns:
      ``space``: which feature was compared (the first one the clean faces carry; without any,
      member-mean probabilities), and ``sets[condition]``: ``mmd2``, ``p_value``, ``faces`` on each
      side.
    """
    space = next(
        (
            name
            for name in sorted(clean.features)
            if all(name in p.features for p in shifted.values())
        ),
        None,
    )

    def features(p: Predictions) -> np.ndarray:
        if space is None:
            return np.exp(np.asarray(compiled.mean_log_probs(p.log_probs)))
        of = np.asarray(p.features[space], np.float32)
        return np.moveaxis(of, -2, 0).reshape(len(p.ids), -1)

    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    order = rng.permutation(len(clean.ids))
    sets = {}
    reference = features(clean)
    half = min(DISTANCE_FACES, len(order) // 2)
    for number, (condition, p) in enumerate(shifted.items()):
        copies = p.corruption is not None
        rows = order[half : 2 * half] if copies else rng.permutation(len(p.ids))[:DISTANCE_FACES]
        if min(len(rows), half) < 2:
            continue
        test = _distance(
            reference[order[:half]],
            features(p)[rows],
            jax.random.fold_in(key, number),
            permutations=permutations,
        )
        sets[condition] = {
            "mmd2": float(test.mmd2),
            "p_value": float(test.p_value),
            "faces": [half, len(rows)],
        }
    return {
        "space": space or "member-mean probabilities",
        "permutations": permutations,
        "sets": sets,
    }
