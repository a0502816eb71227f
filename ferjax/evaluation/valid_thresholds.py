"""Thresholds of every router from the predictions of valid items alone."""

from collections.abc import Mapping
from typing import NamedTuple

from ferjax.evaluation import error_score
from ferjax.evaluation.class_priors import adjusted_all
from ferjax.evaluation.concentration import with_concentrations
from ferjax.evaluation.conditions import scored
from ferjax.evaluation.results import ConcentrationFit
from ferjax.evaluation.routing_results import Thresholds
from ferjax.evaluation.thresholds import choose_thresholds
from ferjax.predictions import Predictions
from ferjax.priors import Adjustment

__all__ = ["ValidThresholds", "thresholds_on"]


class ValidThresholds(NamedTuple):
    """Thresholds, and what else turns predictions into the scores that they are held against."""

    thresholds: Thresholds
    concentration: ConcentrationFit
    errors: error_score.ErrorReader | None


def thresholds_on(
    predictions: Mapping[str, Predictions],
    adjustment: Adjustment | None,
    *,
    false_rejection: float,
    defer_share: float,
) -> ValidThresholds:
    """Thresholds as an evaluation chooses them, and what their scores are made with.

    Args:
      predictions: condition -> predictions: the clean valid items, those under tolerances, and
        corrupted copies that errors are learned from.
      adjustment: the class prior under which they are read.
      false_rejection: bound on the rejection of clean items, under each tolerance too.
      defer_share: share of valid items to defer.
    """
    read, fit = with_concentrations(adjusted_all(predictions, adjustment))
    every = [scored(p) for p in read.values()]
    fitting = [c for c in every if c.corruption is not None]
    kept = [c for c in every if c.corruption is None]
    errors = error_score.fit_on(next(c for c in kept if c.tolerance is None), fitting)
    if errors is not None:
        kept = [error_score.add_errors(c, errors) for c in kept]
    chosen = choose_thresholds(
        next(c for c in kept if c.tolerance is None),
        [c for c in kept if c.tolerance is not None],
        false_rejection=false_rejection,
        defer_share=defer_share,
    )
    return ValidThresholds(chosen, fit, None if errors is None else errors.everything)
