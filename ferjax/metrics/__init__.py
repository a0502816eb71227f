"""Metrics: how well scores rank items, how good predictions are, and selective risk.

All of them are pure, exact under ties and take optional ``weights [item]`` (whole or real, >= 0):
weight 2 means "this item twice", weight 0 "left out". That is what makes the bootstrap cheap:
``jax.vmap(lambda w: auroc(s, y, w))(weights)`` sorts once, because the sort does not depend on the
weights. What is undefined gives NaN, never a silent 0 or 1, and shapes that do not fit are an
error: :mod:`ferjax.arrays` states the rule, and each docstring what it means there. Probabilities
or logits in place of log-probabilities, and counts in place of shares, are an error outside
``jit``, where values are known (:mod:`ferjax.distributions`).
"""

from ferjax.metrics._calibration import classwise_ece, ece, l2_ece, mce
from ferjax.metrics._confidence_bins import (
    Bins,
    Gaps,
    calibration_gaps,
    classwise_gaps,
    reliability_bins,
)
from ferjax.metrics._kendall import kendall
from ferjax.metrics._noise_ceiling import noise_ceiling
from ferjax.metrics._prediction_quality import (
    accuracy,
    balanced_accuracy,
    brier,
    class_recall,
    jensen_shannon,
    kl,
    label_brier,
    label_nll,
    nll,
    vote_accuracy,
)
from ferjax.metrics._ranking import (
    aupr,
    auroc,
    auroc_between,
    fpr_at_tpr,
    misclassification_aupr,
    misclassification_auroc,
    spearman,
)
from ferjax.metrics._selective import (
    augrc,
    aurc,
    coverage_at_risk,
    excess_augrc,
    excess_aurc,
    ideal_aurc,
    risk_at_coverage,
)

__all__ = [
    "Bins",
    "Gaps",
    "accuracy",
    "augrc",
    "aupr",
    "aurc",
    "auroc",
    "auroc_between",
    "balanced_accuracy",
    "brier",
    "calibration_gaps",
    "class_recall",
    "classwise_ece",
    "classwise_gaps",
    "coverage_at_risk",
    "ece",
    "excess_augrc",
    "excess_aurc",
    "fpr_at_tpr",
    "ideal_aurc",
    "jensen_shannon",
    "kendall",
    "kl",
    "l2_ece",
    "label_brier",
    "label_nll",
    "mce",
    "misclassification_aupr",
    "misclassification_auroc",
    "nll",
    "noise_ceiling",
    "reliability_bins",
    "risk_at_coverage",
    "spearman",
    "vote_accuracy",
]
