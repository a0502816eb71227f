"""Other class frequencies than a model was trained on: adjusting for them, and estimating them.

A classifier trained where a third of the items are of one class answers that class too often where
they are not. As long as items of a class look the same in both places (*label shift*), its
probabilities are put right by the ratio of the two priors, and the new prior can be estimated from
unlabelled items alone. Axis legend: ``[..., item, class]`` log-probabilities, ``[class]`` priors.

References:
  Saerens, Latinne & Decaestecker, Adjusting the Outputs of a Classifier to New a Priori
  Probabilities, 2002, https://doi.org/10.1162/089976602753284446 (adjustment and EM); Alexandari,
  Kundaje & Shrikumar, Maximum Likelihood with Bias-Corrected Calibration is Hard-To-Beat at Label
  Shift Adaptation, 2020, https://arxiv.org/abs/1901.06852; Lipton, Wang & Smola, Detecting and
  Correcting for Label Shift with Black Box Predictors, 2018, https://arxiv.org/abs/1802.03916.
"""

from ferjax.priors._adjustment import (
    Adjustment,
    adjust,
    check_prior,
    mean_prior,
    tempered,
    training_prior,
)
from ferjax.priors._label_shift import LabelShift, estimate, label_shift

__all__ = [
    "Adjustment",
    "LabelShift",
    "adjust",
    "check_prior",
    "estimate",
    "label_shift",
    "mean_prior",
    "tempered",
    "training_prior",
]
