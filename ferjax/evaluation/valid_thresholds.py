"""Thresholds of every router from the predictions of valid items alone."""

from collections.abc import Mapping

from ferjax.evaluation.class_priors import adjusted_all
from ferjax.evaluation.concentration import with_concentrations
from ferjax.evaluation.conditions import scored
from ferjax.evaluation.results import ConcentrationFit
from ferjax.evaluation.routing_results import Thresholds
from ferjax.evaluation.thresholds import choose_thresholds
from ferjax.predictions import Predictions
from ferjax.priors import Adjustment

__all__ = ["thresholds_on"]


def thresholds_on(
    predictions: Mapping[str, Predictions],
    adjustment: Adjustment | None,
    *,
    false_rejection: float,
    defer_share: float,
) -> tuple[Thresholds, ConcentrationFit]:
    """Thresholds as an evaluation chooses them, and the concentrations of their scores.

    Args:
      predictions: condition -> predictions: the clean valid items, and those under tolerances.
      adjustment: the class prior under which they are read.
      false_rejection: bound on the rejection of clean items, under each tolerance too.
      defer_share: share of valid items to defer.
    """
    read, fit = with_concentrations(adjusted_all(predictions, adjustment))
    found = [scored(p) for p in read.values()]
    valid = next(c for c in found if c.tolerance is None)
    tolerated = [c for c in found if c.tolerance is not None]
    chosen = choose_thresholds(
        valid, tolerated, false_rejection=false_rejection, defer_share=defer_share
    )
    return chosen, fit
