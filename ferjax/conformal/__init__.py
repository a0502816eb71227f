"""Thresholds with guarantees: conformal rejection, overall or by group, and certified error.

Every guarantee is finite-sample and holds whatever the scores are worth, as long as calibration
items (valid, never test) and fresh items are exchangeable. Scores are ``[item]``, larger meaning
"less to be trusted"; an item passes a threshold it does not exceed.

References:
  Papadopoulos et al., Inductive Confidence Machines for Regression, 2002,
  https://doi.org/10.1007/3-540-36755-1_29 (split-conformal); Vovk, Conditional Validity of
  Inductive Conformal Predictors, 2012, https://arxiv.org/abs/1209.2673 (Mondrian groups);
  Bates et al., Distribution-Free, Risk-Controlling Prediction Sets, 2021,
  https://arxiv.org/abs/2101.02703; Angelopoulos et al., Learn Then Test, 2021,
  https://arxiv.org/abs/2110.01052; Angelopoulos et al., Conformal Risk Control, 2022,
  https://arxiv.org/abs/2208.02814.
"""

from ferjax.conformal._betting import betting_tail
from ferjax.conformal._risk import (
    binomial_tail,
    fixed_sequence,
    hoeffding_bentkus,
    holm,
    learn_then_test,
    risk_controlling_index,
    risk_controlling_set,
    risk_upper_bound,
)
from ferjax.conformal._thresholds import (
    conformal_rank,
    conformal_threshold,
    group_conformal_thresholds,
    quantile_threshold,
)

__all__ = [
    "betting_tail",
    "binomial_tail",
    "conformal_rank",
    "conformal_threshold",
    "fixed_sequence",
    "group_conformal_thresholds",
    "hoeffding_bentkus",
    "holm",
    "learn_then_test",
    "quantile_threshold",
    "risk_controlling_index",
    "risk_controlling_set",
    "risk_upper_bound",
]
