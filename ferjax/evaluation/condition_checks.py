"""Whether the predictions of an evaluation fit together: splits, items, classes, votes."""

from collections.abc import Mapping

import numpy as np

from ferjax.evaluation.condition import voted
from ferjax.predictions import Predictions

__all__ = ["class_names", "require_fitting"]


def class_names(count: int, given: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """Names of the classes: as given, else numbers.

    Raises:
      ValueError: if there are more or fewer names than classes.

    >>> class_names(2)
    ('class 0', 'class 1')
    """
    names = given or tuple(f"class {c}" for c in range(count))
    if len(names) != count:
        raise ValueError(
            f"{len(names)} class names ({', '.join(names)}) for predictions of {count} classes"
        )
    return tuple(names)


def require_fitting(predictions: Mapping[str, Predictions]) -> Predictions:
    """The clean test split, once everything fits together.

    Raises:
      ValueError: naming the condition that does not, and what of it.
    """
    by_role: dict[str, list[str]] = {"test": [], "valid": []}
    for name, p in predictions.items():
        if p.corruption is None and p.tolerance is None and p.split in by_role:
            by_role[p.split].append(name)
    for split, found in by_role.items():
        if len(found) > 1:
            raise ValueError(f"conditions {', '.join(found)} are all the clean {split} split")
    if not by_role["test"] or not voted(predictions[by_role["test"][0]]):
        raise ValueError(
            f"evaluation needs condition 'test' with votes; got {', '.join(predictions) or 'none'}"
        )
    test = predictions[by_role["test"][0]]
    if len(test.ids) < 2:
        raise ValueError(f"evaluation needs at least 2 test items, got {len(test.ids)}")
    votes = np.ones((1, 1)) if test.votes is None else test.votes
    empty = np.flatnonzero(votes.sum(1) == 0)
    if len(empty):
        raise ValueError(
            f"test item {empty[0]} (id {test.ids[empty[0]]}) has no vote; leave out items that "
            f"nobody could judge ({len(empty)} of them), or give them as an out-of-distribution set"
        )
    for name, p in predictions.items():
        if p.classes is not None and test.classes is not None and p.classes != test.classes:
            raise ValueError(
                f"condition {name} has the classes {', '.join(p.classes)}, the test items "
                f"{', '.join(test.classes)}"
            )
        if p.corruption is not None and p.severity is None:
            raise ValueError(f"condition {name} does not say its severity, 1 to 5")
        if p.corruption is not None and p.split == "ood":
            raise ValueError(
                f"condition {name} is of split ood and corrupted by {p.corruption}; corrupted are "
                "copies of test or valid items"
            )
        if p.corruption is not None and not by_role[p.split]:
            raise ValueError(
                f"condition {name} holds corrupted {p.split} items, but there are no clean ones"
            )
        if p.log_probs.shape[::2] != test.log_probs.shape[::2]:
            raise ValueError(
                f"condition {name} has {p.log_probs.shape[0]} members and {p.log_probs.shape[2]} "
                f"classes, the test items have {test.log_probs.shape[0]} and "
                f"{test.log_probs.shape[2]}"
            )
        if p.split == "test" and not np.array_equal(p.ids, test.ids):
            raise ValueError(
                f"condition {name} holds other items than the clean test split "
                f"({len(p.ids):,} and {len(test.ids):,}); ids must agree in order"
            )
    return test
