"""Methods: the loss that members are trained with, and the reading of their outputs.

A :class:`Method` is a loss, a reading, the width of the head, and what else training and prediction
must know: passes, views, what a member remembers of a face. All of it is pure, written for one
member and a batch, and mapped over members like everything else. Training and prediction know
methods through :func:`method_of` alone: a new one is a function ``Config -> Method`` in a file of
this package, an entry of :data:`METHODS`, and what is closed-form in its loss a function of
:mod:`ferjax.losses`.
"""

from collections.abc import Callable

from ferjax.config import Config
from ferjax.ensemble.methods import _dirichlet, _eac, _evidential, _scn, _votes
from ferjax.ensemble.methods._seam import (
    Apply,
    Batch,
    Method,
    Reading,
    Seen,
    Target,
    Teacher,
    read_passes,
)

__all__ = [
    "METHODS",
    "Apply",
    "Batch",
    "Method",
    "Reading",
    "Seen",
    "Target",
    "Teacher",
    "method_of",
    "read_passes",
]

METHODS: dict[str, Callable[[Config], Method]] = {
    "votes": _votes.votes,
    "labels": _votes.labels,
    "multinomial": _votes.multinomial,
    "dirichlet": _dirichlet.dirichlet,
    "dirichlet-joint": _dirichlet.joint,
    "distil": _dirichlet.distil,
    "mc-dropout": _votes.mc_dropout,
    "disagreement": _votes.disagreement,
    "evidential": _evidential.evidential,
    "scn": _scn.scn,
    "eac": _eac.eac,
}
"""Methods by ``train.method``, each made for a configuration."""


def method_of(config: Config) -> Method:
    """The method that a run is trained with and read by."""
    return METHODS[config.train.method](config)
