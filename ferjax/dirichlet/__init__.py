"""Dirichlet distributions over vote shares: likelihood of counts, expectations, divergence.

A Dirichlet is given by its mean ``exp(log_probs) [item..., class]`` and the logarithm of its
concentration ``S = sum_c α_c``, ``log_concentration [item...]``; ``α = S exp(log_probs)``. A large
S says that everybody draws from one distribution, a small one that each item is clear and only the
network cannot tell which class it is. All functions are pure, un-jitted and differentiable, in
float32 or better and in nats. They are finite for α → 0, and S = inf is the mean itself; a class of
probability 0 costs nothing in value and gradient. NaN in, NaN out.
"""

from ferjax.dirichlet._disagreement import expected_disagreement
from ferjax.dirichlet._entropies import (
    expected_entropy,
    expected_entropy_contributions,
    kl,
    mutual_information,
)
from ferjax.dirichlet._likelihood import log_likelihood
from ferjax.dirichlet._matching import concentration_of_entropy
from ferjax.dirichlet._parameters import Dirichlet, from_alpha

__all__ = [
    "Dirichlet",
    "concentration_of_entropy",
    "expected_disagreement",
    "expected_entropy",
    "expected_entropy_contributions",
    "from_alpha",
    "kl",
    "log_likelihood",
    "mutual_information",
]
