"""Recalibration: maps of log-probabilities, and concentrations, fitted on held-out votes.

A calibrator is a NamedTuple of fitted arrays with two pure, un-jitted functions: ``fit(counts,
log_probs, weights)``, a class method, and ``apply(log_probs)``. Counts are votes ``[item, class]``
of any number of people; one vote for an item's label makes it the calibration to labels of the
literature. ``weights [item]`` leave items out (0) or draw them (a bootstrap), so that a fold is a
row of weights and :func:`cross_fit` is one ``vmap``. Nothing here knows what an item is.

Everything is fitted by the likelihood of the votes, a proper score, in float32. Log-probabilities
are taken for at least -30, so that an impossible class that somebody chose is a finite mistake.
"""

from ferjax.recalibration._calibrators import (
    Bias,
    Calibrator,
    DirichletMap,
    Marginal,
    Shrinkage,
    Temperature,
    VectorScaling,
)
from ferjax.recalibration._concentration import (
    LEAST_ITEMS,
    Concentration,
    apply_folds,
    apply_members,
    fit_folds,
    fit_members,
    telling,
)
from ferjax.recalibration._folds import cross_fit, make_folds
from ferjax.recalibration._isotonic import Isotonic
from ferjax.recalibration._newton import minimise

__all__ = [
    "CALIBRATORS",
    "LEAST_ITEMS",
    "Bias",
    "Calibrator",
    "Concentration",
    "DirichletMap",
    "Isotonic",
    "Marginal",
    "Shrinkage",
    "Temperature",
    "VectorScaling",
    "apply_folds",
    "apply_members",
    "cross_fit",
    "fit_folds",
    "fit_members",
    "make_folds",
    "minimise",
    "telling",
]

CALIBRATORS: dict[str, type[Calibrator]] = {
    "temperature": Temperature,
    "bias": Bias,
    "vector": VectorScaling,
    "dirichlet": DirichletMap,
    "shrinkage": Shrinkage,
    "isotonic": Isotonic,
    "marginal": Marginal,
}
"""Calibrators by name."""
