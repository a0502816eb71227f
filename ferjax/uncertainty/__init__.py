"""Uncertainty of ensemble predictions, split into aleatoric (ambiguous) and epistemic (unseen).

Axis legend, everywhere in ferjax:

* ``member`` is the first axis, ``class`` the last, items lie between:
  ``log_probs[member, item, class]``. ``item...`` is any number of axes, none included.
* Entropies are in nats, computed from log-probabilities in float32 (float64 stays float64),
  whatever dtype the network ran in: the epistemic term is about 1e-2 nats, so probabilities
  rounded to bfloat16 would drown it.

All functions are pure, un-jitted and differentiable; ``0 log 0`` is exactly 0 in value and
gradient. A NaN of one member makes its item NaN and no other. Without items, results are empty.
Probabilities or logits in place of log-probabilities are an error outside ``jit``, where values are
known (:mod:`ferjax.distributions`).
"""

from ferjax.uncertainty._credal import credal_width
from ferjax.uncertainty._decomposition import (
    Decomposition,
    aleatoric_contributions,
    decompose,
    decompose_variance,
    epistemic_contributions,
    expected_pairwise_kl,
)
from ferjax.uncertainty._entropy import entropy, least_confidence, mean_log_probs
from ferjax.uncertainty._predicted_labels import label_disagreement, variation_ratio
from ferjax.uncertainty._subensembles import (
    Jackknife,
    correct_small_ensemble,
    decompose_subsets,
    jackknife,
    jackknife_estimate,
)

__all__ = [
    "Decomposition",
    "Jackknife",
    "aleatoric_contributions",
    "correct_small_ensemble",
    "credal_width",
    "decompose",
    "decompose_subsets",
    "decompose_variance",
    "entropy",
    "epistemic_contributions",
    "expected_pairwise_kl",
    "jackknife",
    "jackknife_estimate",
    "label_disagreement",
    "least_confidence",
    "mean_log_probs",
    "variation_ratio",
]
