"""Metrics: how well scores rank items, how good predictions are, and selective risk.

All of them are pure, exact under ties and take optional ``weights [item]`` (whole or real, >= 0):
weight 2 means "this item twice", weight 0 "left out". That is what makes the bootstrap cheap:
``jax.vmap(lambda w: auroc(s, y, w))(weights)`` sorts once, because the sort does not depend on the
weights. Undefined cases are NaN, never a silent 0 or 1; each docstring says which.
"""

from ferjax.metrics._calibration import Bins, ece, reliability_bins
from ferjax.metrics._kendall import kendall
from ferjax.metrics._noise_ceiling import noise_ceiling
from ferjax.metrics._prediction_quality import (
    accuracy,
    brier,
    jensen_shannon,
    kl,
    nll,
    vote_accuracy,
)
from ferjax.metrics._ranking import aupr, auroc, auroc_between, fpr_at_tpr, spearman
from ferjax.metrics._selective import (
    augrc,
    aurc,
    excess_aurc,
    ideal_aurc,
    risk_at_coverage,
)

__all__ = [
    "Bins",
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
    "spearman",
    "vote_accuracy",
]
