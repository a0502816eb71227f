"""The whole evaluation: scored conditions in, one :class:`.results.Evaluation` out.

Scores are held against the votes of clean test items, and each is asked to tell clean items from
the same items corrupted. Both are always shown for both uncertainties and for simpler scores, with
the rank correlation of the two, so that nothing is claimed that a simpler score also does.

Reference: arXiv 2606.22725 (dual validation, routing).
"""

import numpy as np

from ferjax.evaluation import thresholds as threshold_choice
from ferjax.evaluation.conditions import Conditions
from ferjax.evaluation.disagreement import disagreement
from ferjax.evaluation.ensemble_size import ensemble_size
from ferjax.evaluation.harm import harm
from ferjax.evaluation.prior_comparison import prior_comparison
from ferjax.evaluation.quality import quality, selective
from ferjax.evaluation.recalibrated import recalibrated
from ferjax.evaluation.results import Evaluation
from ferjax.evaluation.routing_comparison import rejections, routing_comparison
from ferjax.evaluation.shift import shift
from ferjax.events import Message, OnEvent, silent

__all__ = ["evaluate"]


def evaluate(
    conditions: Conditions,
    *,
    false_rejection: float = 0.05,
    defer_share: float = 1 / 3,
    on_event: OnEvent = silent,
) -> Evaluation:
    """Holds the uncertainties against people and against shift, and chooses thresholds on valid.

    Args:
      conditions: see :meth:`Conditions.of`; without valid items no thresholds are chosen.
      false_rejection: bound on the share of clean items that routers may reject (split-conformal).
      defer_share: share of valid items to defer.
      on_event: told which part is worked on.
    """

    def at(part: str) -> None:
        on_event(Message(f"  {part}"))

    test = conditions.test
    groups = test.predictions.groups
    thresholds = None
    harmed = None
    decisions = {}
    if conditions.valid is not None:
        at("thresholds and decisions")
        decided = (test, *conditions.tolerated, *conditions.shifted)
        chosen_on = (conditions.valid, *conditions.tolerated_valid)
        thresholds = threshold_choice.choose_thresholds(
            conditions.valid,
            conditions.tolerated_valid,
            false_rejection=false_rejection,
            defer_share=defer_share,
            carried=set.intersection(*(set(c.scores) for c in (*decided, *chosen_on))),
        )
        decisions = threshold_choice.decisions(conditions, thresholds.rule)
        harmed = harm(conditions, thresholds)
    at("accuracy and calibration")
    of_quality = quality(conditions)
    of_selective = selective(conditions, on_event)
    of_disagreement = disagreement(conditions, on_event)
    of_shift = shift(conditions, on_event)
    at("numbers of members")
    of_size = ensemble_size(conditions)
    pools = routing_comparison(conditions, on_event)
    at("reject thresholds of every score")
    rejected = rejections(conditions, false_rejection)
    at("recalibration and class priors")
    return Evaluation(
        members=len(test.predictions.log_probs) // test.predictions.passes,
        classes=conditions.classes,
        resamples=conditions.resamples,
        seed=conditions.seed,
        groups=None if groups is None else len(np.unique(groups)),
        quality=of_quality,
        selective=of_selective,
        disagreement=of_disagreement,
        shift=of_shift,
        ensemble_size=of_size,
        pools=pools,
        rejections=rejected,
        thresholds=thresholds,
        harm=harmed,
        decisions=decisions,
        learned=conditions.learned,
        concentration=conditions.concentration,
        recalibrated=recalibrated(conditions),
        priors=prior_comparison(conditions),
    )
