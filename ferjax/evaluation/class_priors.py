"""Which class frequencies an evaluation reads predictions under: by name, file or estimate.

Predictions on disk stay as the ensemble made them, under its training prior. They are adjusted
once, where they are read, and everything after that (parts of the entropy, thresholds, labels,
figures) follows.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from ferjax import config, priors
from ferjax.evaluation.prior_estimate import estimated, vote_shares
from ferjax.events import Message, OnEvent, silent
from ferjax.files import read_json, read_table
from ferjax.predictions import Predictions
from ferjax.priors import Adjustment

__all__ = [
    "CHOICES",
    "TrainingPrior",
    "adjusted",
    "adjusted_all",
    "adjustment_for",
    "choose",
    "clean_split",
    "known_training_prior",
    "read_prior",
    "require_prior",
]

CHOICES = config.PRIORS
"""Priors that have a name; anything else is a file."""


def read_prior(path: str | Path, classes: Sequence[str]) -> tuple[float, ...]:
    """A prior from a file.

    Args:
      path: ``.json``, an object of shares or counts by class, or a list of them in the order of the
        classes; or CSV, a header and rows ``class,share``.
      classes: names of the classes.

    Returns:
      Shares in the order of the classes, which sum to 1.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: naming file and class, if it does not give each class one share above 0.
    """
    path = Path(path)
    config.require_prior(path)
    found = read_json(path, "prior") if path.suffix.lower() == ".json" else _rows(path)
    try:
        if isinstance(found, list):
            if len(found) != len(classes):
                raise ValueError(
                    f"{len(found)} shares; expected one for each of the {len(classes)} classes, "
                    f"{', '.join(classes)}"
                )
            found = dict(zip(classes, found))
        if not isinstance(found, dict):
            raise ValueError(f"expected shares by class, got {found!r}")
        by_name: dict[str, Any] = {}
        for name, share in found.items():
            key = str(name).strip().casefold()
            if key in by_name:
                raise ValueError(f"{str(name)!r} is there twice, apart from case and spaces")
            by_name[key] = share
        known = {name.strip().casefold(): name for name in classes}
        unknown = [name for name in by_name if name not in known]
        missing = [name for key, name in known.items() if key not in by_name]
        if unknown or missing:
            said = f"{unknown[0]!r} is no class" if unknown else f"no share of {missing[0]!r}"
            raise ValueError(f"{said}; the classes are {', '.join(classes)}")
        shares = [_number(name, by_name[name.strip().casefold()]) for name in classes]
        for name, share in zip(classes, shares):
            if not 0 < share < np.inf:
                raise ValueError(
                    f"the share of {name!r} is {share:g}; it must be above 0, because a class that "
                    "cannot occur can never be answered"
                )
    except ValueError as error:
        raise ValueError(f"{path}: no prior: {error}") from error
    # In float32, as they are kept, counts as large as float64 holds would be infinite.
    whole = np.array(shares) / max(shares)
    return tuple(float(share) for share in priors.check_prior(whole, len(classes)))


def _number(name: str, share: Any) -> float:
    try:
        if isinstance(share, bool):
            raise TypeError
        return float(share)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"the share of {name!r} is no number: {share!r}") from None


def _rows(path: Path) -> dict[str, str]:
    shares: dict[str, str] = {}
    rows = read_table(path, "prior")
    next(rows, None)
    for line, fields in rows:
        if len(fields) != 2:
            raise ValueError(f"{path} line {line}: {len(fields)} fields, expected class,share")
        if fields[0] in shares:
            raise ValueError(f"{path} line {line}: {fields[0]} is there twice")
        shares[fields[0]] = fields[1]
    return shares


def choose(
    choice: str,
    training: Sequence[float],
    classes: Sequence[str],
    *,
    unlabelled: np.ndarray | None = None,
    valid: Predictions | None = None,
    seed: int = 0,
) -> Adjustment:
    """The adjustment that a name or a file stands for.

    Args:
      choice: one of :data:`CHOICES`, or a file for :func:`read_prior`.
      training: ``[class]`` shares that the ensemble was trained under.
      classes: their names.
      unlabelled: ``[member, item, class]`` log-probabilities to estimate from.
      valid: clean valid items with votes, for the estimate.
      seed: of the label-shift test.

    Raises:
      FileNotFoundError: if it is neither a name nor a file.
      ValueError: if there is nothing to estimate from, or the items differ in more than how
        frequent the classes are.
    """
    if choice == "estimated":
        if valid is None or vote_shares(valid) is None:
            raise ValueError(
                "a prior is estimated beside clean valid items with votes, and there are none"
            )
        if unlabelled is None:
            raise ValueError("a prior is estimated from unlabelled items, and none are given")
        return estimated(unlabelled, valid, training, seed=seed)
    powers = {"training": 1.0, "uniform": 0.0, "sqrt": 0.5}
    if choice in powers:
        new = np.asarray(training) ** powers[choice]
        return Adjustment.of(choice, training, new)
    return Adjustment.of(str(choice), training, read_prior(choice, classes))


def require_prior(choice: str | None, classes: Sequence[str]) -> None:
    """Refuses what is neither a known prior nor a file of one, before anything long.

    Raises:
      FileNotFoundError: if it is neither.
      ValueError: if the file does not fit the classes.
    """
    if choice is not None and choice not in CHOICES:
        read_prior(choice, classes)


def clean_split(predictions: Mapping[str, Predictions], split: str) -> Predictions | None:
    """The clean items of a split, if they are there."""
    return next(
        (
            p
            for p in predictions.values()
            if p.split == split and p.corruption is None and p.tolerance is None
        ),
        None,
    )


@jax.jit
def _apply(
    log_probs: jax.Array, temperature: jax.Array, training: jax.Array, prior: jax.Array
) -> jax.Array:
    return priors.adjust(log_probs / temperature, training, prior)


def adjusted(p: Predictions, adjustment: Adjustment | None) -> Predictions:
    """Predictions under another prior; the same where it changes nothing."""
    if adjustment is None or not adjustment.changes:
        return p
    shares = (np.asarray(of, np.float32) for of in (adjustment.training, adjustment.prior))
    temperature = np.float32(adjustment.temperature)
    found = _apply(np.asarray(p.log_probs, np.float32), temperature, *shares)
    return dataclasses.replace(p, log_probs=np.asarray(found))


def adjusted_all(
    predictions: Mapping[str, Predictions], adjustment: Adjustment | None
) -> dict[str, Predictions]:
    """:func:`adjusted` of every condition."""
    return {name: adjusted(p, adjustment) for name, p in predictions.items()}


class TrainingPrior(NamedTuple):
    """The class frequencies that predictions were trained under, and what says so."""

    shares: tuple[float, ...]
    known_from: str
    """As in :class:`ferjax.priors.Adjustment`."""


def known_training_prior(
    predictions: Mapping[str, Predictions], file: Path | None, classes: Sequence[str]
) -> TrainingPrior | None:
    """The prior that predictions were trained under: that of a file, else the mean of what people
    said of the clean valid items, which is taken for it; None where neither is there.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it does not fit the classes.
    """
    if file is not None:
        return TrainingPrior(read_prior(file, classes), f"file {file}")
    valid = clean_split(predictions, "valid")
    shares = None if valid is None else vote_shares(valid)
    return None if shares is None else TrainingPrior(priors.training_prior(shares), "valid")


def adjustment_for(
    predictions: Mapping[str, Predictions],
    choice: str,
    training: TrainingPrior,
    classes: Sequence[str],
    *,
    seed: int = 0,
    on_event: OnEvent = silent,
) -> Adjustment:
    """The adjustment of an evaluation's predictions, told where it changes them; an estimate is of
    the clean test items. Arguments and errors as for :func:`choose`."""
    test = clean_split(predictions, "test")
    if choice == "estimated" and test is not None:
        on_event(Message(f"estimating the prior of {len(test.ids):,} test items, without labels"))
    found = choose(
        choice,
        training.shares,
        classes,
        unlabelled=None if test is None else test.log_probs,
        valid=clean_split(predictions, "valid"),
        seed=seed,
    )
    if found.changes:
        taken = ""
        if training.known_from == "valid":
            taken = (
                "; the shares of valid's votes are taken for those of training, which are not "
                "known (--training-prior FILE says them)"
            )
        on_event(Message(f"read under the class prior: {found.name}{taken}"))
    return found._replace(known_from=training.known_from)
