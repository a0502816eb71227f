"""Every metric by name: how well scores rank, how good predictions are, what leaving faces out
gains.

All of them are pure, exact under ties and take optional ``weights [face]``; undefined cases are
NaN, never a silent 0 or 1. They live, by idea, in :mod:`ferjax.metrics._ranking`,
:mod:`ferjax.metrics._calibration` and :mod:`ferjax.metrics._selective`.
"""

from ferjax.metrics._calibration import (
    Bins,
    accuracy,
    brier,
    ece,
    jensen_shannon,
    kl,
    nll,
    reliability_bins,
    vote_accuracy,
)
from ferjax.metrics._ranking import (
    aupr,
    auroc,
    auroc_between,
    fpr_at_tpr,
    kendall,
    noise_ceiling,
    spearman,
)
from ferjax.metrics._selective import (
    SelectiveRisk,
    augrc,
    aurc,
    excess_aurc,
    ideal_aurc,
    risk_at_coverage,
    selective_risk,
)

__all__ = [
    "Bins",
    "SelectiveRisk",
    "accuracy",
    "augrc",
    "aupr",
    "aurc",
    "auroc",
    "auroc_between",
    "brier",
    "ece",
    "excess_aurc",
    "fpr_at_tpr",
    "ideal_aurc",
    "jensen_shannon",
    "kendall",
    "kl",
    "nll",
    "noise_ceiling",
    "reliability_bins",
    "risk_at_coverage",
    "selective_risk",
    "spearman",
    "vote_accuracy",
]
