"""What recalibration would gain: each calibrator, held out, beside the ensemble as it is.

Fitted on valid and read on test; without votes on valid, cross-fitted on test. Calibrators of many
parameters map the pooled prediction, as one T does of all members.
"""

import functools

import jax
import numpy as np
from jax.typing import ArrayLike

from ferjax import recalibration, uncertainty
from ferjax.evaluation.conditions import Conditions
from ferjax.evaluation.intervals import Interval
from ferjax.evaluation.results import Recalibrated, RecalibratedRow
from ferjax.evaluation.vote_quality import FIGURES, quality_samples

__all__ = ["VARIANTS", "apply_variant", "recalibrated"]

VARIANTS = {
    "T (labels)": ("temperature", True),
    "T (votes)": ("temperature", False),
    "bias": ("bias", False),
    "vector scaling": ("vector", False),
    "Dirichlet map": ("dirichlet", False),
    "shrinkage": ("shrinkage", False),
    "marginal": ("marginal", False),
}
"""Row -> calibrator, and whether it is fitted to labels instead of to votes."""
_FOLDS = 5


@functools.partial(jax.jit, static_argnames="name")
def _transfer(
    name: str, counts: ArrayLike, log_probs: ArrayLike, others: ArrayLike
) -> tuple[recalibration.Calibrator, jax.Array]:
    fitted = recalibration.CALIBRATORS[name].fit(counts, log_probs)
    return fitted, fitted.apply(others)


@functools.partial(jax.jit, static_argnames="name")
def _cross_fit(
    name: str, counts: ArrayLike, log_probs: ArrayLike, folds: ArrayLike
) -> tuple[recalibration.Calibrator, jax.Array]:
    kind = recalibration.CALIBRATORS[name]
    applied = recalibration.cross_fit(kind, counts, log_probs, folds, num_folds=_FOLDS)
    return kind.fit(counts, log_probs), applied


def apply_variant(conditions: Conditions, variant: str) -> tuple[np.ndarray, Interval]:
    """Test predictions under one of :data:`VARIANTS`, held out.

    Args:
      conditions: of the evaluation.
      variant: the row's name.

    Returns:
      Log-probabilities, of a temperature ``[member, item, class]`` and of others pooled ``[item,
      class]``; and the temperature, where it is one.
    """
    name, to_labels = VARIANTS[variant]
    test = conditions.test
    valid = conditions.valid
    source = valid if valid is not None and valid.people is not None else test
    people = source.voted
    counts = people.q if people.counts is None else people.counts
    if to_labels:
        counts = np.eye(counts.shape[1])[people.labels]

    def read(of) -> np.ndarray:
        return of.predictions.log_probs if name == "temperature" else of.mean_log_probs

    given = np.asarray(read(source), np.float32)
    if source is test:
        groups = test.predictions.groups
        folds = recalibration.make_folds(test.predictions.ids if groups is None else groups, _FOLDS)
        fitted, applied = _cross_fit(name, counts, given, folds)
    else:
        fitted, applied = _transfer(name, counts, given, np.asarray(read(test), np.float32))
    temperature = Interval.undefined()
    if isinstance(fitted, recalibration.Temperature):
        temperature = Interval.exact(float(fitted.temperature))
    return np.asarray(applied), temperature


_pool = jax.jit(uncertainty.mean_log_probs)


def recalibrated(conditions: Conditions) -> Recalibrated:
    """Figures of every variant with intervals, and paired differences from the ensemble as it is.

    Needs as many different test items as there are folds, where valid has no votes; else there are
    no rows but the ensemble's own.
    """
    test = conditions.test
    valid = conditions.valid
    source = "valid" if valid is not None and valid.people is not None else "test"
    own = quality_samples(test.mean_log_probs, test.voted, conditions.weights)
    figures = {name: of.interval() for name, of in own.items()}
    rows = {"as it is": RecalibratedRow(figures, {}, Interval.undefined())}
    groups = test.predictions.ids if test.predictions.groups is None else test.predictions.groups
    enough = source == "valid" or len(np.unique(groups)) >= _FOLDS
    for variant in VARIANTS if enough else ():
        applied, temperature = apply_variant(conditions, variant)
        pooled = np.asarray(_pool(applied)) if applied.ndim == 3 else applied
        found = quality_samples(pooled, test.voted, conditions.weights)
        rows[variant] = RecalibratedRow(
            {name: found[name].interval() for name in FIGURES},
            {name: found[name].minus(own[name]) for name in FIGURES},
            temperature,
        )
    return Recalibrated(source, rows)
