"""Density scores for out-of-distribution detection: how far features lie from known items.

Axis legend: features ``[item, width]``, scores ``[item]``; larger always means further from the
known items. Everything is fitted on clean items alone, never on corrupted ones. Functions are pure
and un-jitted, and written for one set of features: a stack ``[member, item, width]`` goes through
``jax.vmap`` (a fitted :class:`Gaussian` is a tuple of arrays, so it stacks too). A NaN feature
makes its own item's score NaN; a NaN among the fitted features makes every score NaN.

References:
  Lee et al., A Simple Unified Framework for Detecting Out-of-Distribution Samples, 2018,
  https://arxiv.org/abs/1807.03888 (Mahalanobis, shared covariance); Ren et al., A Simple Fix to
  Mahalanobis Distance for Improving Near-OOD Detection, 2021, https://arxiv.org/abs/2106.09022
  (relative); Mukhoti et al., Deep Deterministic Uncertainty, 2023, https://arxiv.org/abs/2102.11582
  (class-conditional density); Sun et al., Out-of-Distribution Detection with Deep Nearest
  Neighbors, 2022, https://arxiv.org/abs/2204.06507; Nalisnick et al., Detecting Out-of-Distribution
  Inputs Using Typicality, 2019, https://arxiv.org/abs/1906.02994.
"""

from ferjax.density._gaussians import (
    ClassGaussians,
    Gaussian,
    SharedGaussians,
    class_density,
    class_mahalanobis,
    fit_class_gaussians,
    fit_gaussian,
    fit_shared_gaussians,
    mahalanobis,
    relative_mahalanobis,
)
from ferjax.density._logits import (
    Vim,
    fit_kl_matching,
    fit_vim,
    gen,
    kl_matching,
    max_logit,
    vim,
)
from ferjax.density._ranks import conditional_rank, nearest_neighbour, typicality
from ferjax.density._spectrum import Spectrum, band_energies, fit_spectrum
from ferjax.density._tails import Tail, fit_tail, tail_surprise

__all__ = [
    "ClassGaussians",
    "Gaussian",
    "SharedGaussians",
    "Spectrum",
    "Tail",
    "Vim",
    "band_energies",
    "class_density",
    "class_mahalanobis",
    "conditional_rank",
    "fit_class_gaussians",
    "fit_gaussian",
    "fit_kl_matching",
    "fit_shared_gaussians",
    "fit_spectrum",
    "fit_tail",
    "fit_vim",
    "gen",
    "kl_matching",
    "mahalanobis",
    "max_logit",
    "nearest_neighbour",
    "relative_mahalanobis",
    "tail_surprise",
    "typicality",
    "vim",
]
