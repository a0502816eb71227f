"""Dual validation: does aleatoric follow human disagreement, and epistemic follow shift?
Predictions in, tables out.

V1 (:mod:`ferjax.evaluation.disagreement`) holds scores against the votes of clean test faces; V2
(:mod:`ferjax.evaluation.shift`) asks each score to tell clean faces from the same faces corrupted.
Both are always shown for both uncertainties and for simpler scores, with the rank correlation of
the two, so that nothing is claimed that a simpler score also does.

Tables are plain dictionaries of numbers, ready for JSON. References: arXiv 2606.22725.
"""

from collections.abc import Mapping

import jax
import numpy as np

from ferjax.evaluation import disagreement, ensemble_size, intervals, quality, shift
from ferjax.faces import votes as votes_of
from ferjax.predictions import Predictions

__all__ = ["ambiguous_and_clear", "class_names", "shifted", "validate"]


def ambiguous_and_clear(votes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which faces of a split people disagree and agree about, ``[face]`` bool each; see
    :func:`votes.ambiguity`."""
    return votes_of.ambiguity(votes_of.shares(votes))


def shifted(predictions: Mapping[str, Predictions]) -> dict[str, Predictions]:
    """The conditions that test faces are held against: all but ``test`` itself and valid faces,
    clean or corrupted."""
    return {
        name: p
        for name, p in predictions.items()
        if name not in ("test", "valid") and not name.startswith("valid_")
    }


def class_names(count: int, given: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """Names of the classes: as given, else FER+'s eight, else numbers.

    Raises:
      ValueError: if there are more or fewer names than classes.
    """
    names = given or (
        votes_of.CLASSES
        if count == len(votes_of.CLASSES)
        else tuple(f"class {c}" for c in range(count))
    )
    if len(names) != count:
        raise ValueError(
            f"{len(names)} class names ({', '.join(names)}) for predictions of {count} classes"
        )
    return tuple(names)


def _check(predictions: Mapping[str, Predictions]) -> Predictions:
    if "test" not in predictions or predictions["test"].votes is None:
        raise ValueError(
            f"validation needs condition 'test' with votes; got {', '.join(predictions) or 'none'}"
        )
    test = predictions["test"]
    if len(test.ids) < 2:
        raise ValueError(f"validation needs at least 2 test faces, got {len(test.ids)}")
    empty = np.flatnonzero(test.votes[:, :-2].sum(1) == 0)  # type: ignore[index]
    if len(empty):
        raise ValueError(
            f"test face {empty[0]} (id {test.ids[empty[0]]}) has no emotion vote; leave out faces that nobody could read "
            f"({len(empty)} of them), or give them as a set of strangers"
        )
    for name, p in predictions.items():
        if p.log_probs.shape[::2] != test.log_probs.shape[::2]:
            raise ValueError(
                f"condition {name} has {p.log_probs.shape[0]} members and {p.log_probs.shape[2]} classes, "
                f"the test faces have {test.log_probs.shape[0]} and {test.log_probs.shape[2]}"
            )
    return test


def validate(
    predictions: Mapping[str, Predictions],
    *,
    resamples: int = 2000,
    seed: int = 0,
    classes: tuple[str, ...] | None = None,
) -> dict:
    """The whole dual validation.

    Args:
      predictions: condition -> predictions; ``test`` (clean, with votes) is needed, everything else
        but ``valid`` is shift.
      resamples: bootstrap resamples behind every interval; faces of one group are drawn together.
      seed: seed of the bootstrap, the half splits, the posterior and the permutations.
      classes: names of the classes.

    Returns:
      ``classification``, ``selective``, ``v1``, ``v2``, the 2 × 2 table ``cross`` of every score,
      the ``rank_correlation`` of the two uncertainties, ``cross_dataset``, ``distance``,
      ``sensitivity``, ``forms``, ``contributions``.

    Raises:
      ValueError: if the clean test split or its votes are missing, or conditions do not fit
        together.
    """
    test = _check(predictions)
    names = class_names(test.log_probs.shape[2], classes)
    keys = [jax.random.fold_in(jax.random.key(seed), i) for i in range(5)]
    weights = intervals.draw(test, keys[0], resamples)
    others = shifted(predictions)
    v1 = disagreement.disagreement_table(test, weights, keys[1])
    v2 = shift.shift_table(test, others, weights, keys[2])
    worst = max(v2["curve"]["epistemic"], default=None)
    worst_copies = {
        name: p for name, p in others.items() if p.corruption is not None and p.severity == worst
    }
    far = {name: p for name, p in others.items() if name in worst_copies or p.corruption is None}
    return {
        "members": int(test.log_probs.shape[0]),
        "classes": list(names),
        "resamples": resamples,
        "groups": None if test.groups is None else len(np.unique(test.groups)),
        "classification": quality.classification(test, weights),
        "selective": quality.selective_table(test, weights),
        "v1": v1,
        "v2": v2,
        "cross": {
            name: {"disagreement": row["spearman"], "shift": v2["curve"].get(name, {}).get(worst)}
            for name, row in v1["scores"].items()
        },
        "shift_severity": worst,
        "rank_correlation": v1["rank_correlation"],
        "cross_dataset": shift.labelled_sets(others, keys[3], resamples),
        "distance": shift.distance_table(test, far, keys[4]),
        "sensitivity": ensemble_size.sensitivity(test, worst_copies),
        "forms": ensemble_size.other_forms(test, worst_copies, weights),
        "contributions": ensemble_size.contributions(test, worst_copies, names),
    }
