"""Which router decides: names, what each does, and refusals, known before a model is opened."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ferjax.files import read_json
from ferjax.serving.archive_parts import read_about

if TYPE_CHECKING:  # which brings in JAX
    from ferjax.routing import RouterRule

__all__ = [
    "OLD_ROUTERS",
    "ROUTERS",
    "Rejects",
    "cannot_reject",
    "rejects_of",
    "require_router",
    "stored_routers",
]

ROUTERS = {
    "density": "rejects by distance to the training pictures, defers by the total entropy",
    "uar": "rejects by epistemic, defers by aleatoric",
    "paper": "rejects by how members disagree alone, defers by their mean entropy; as published",
    "error": "rejects by how much likelier an error is than the model admits, defers by the total "
    "entropy; learned by `ferjax evaluate RUN --fit-corruptions NAME...`",
}
"""Every router that an evaluation may choose thresholds for, and what it does."""

OLD_ROUTERS = {"familiarity": "density"}
"""Routers that had another name in version 0.1.0."""

_DISAGREEMENT = ("between", "epistemic")
"""Scores that are 0 of every picture where there is nobody to disagree."""

Rejects = tuple[str, float]
"""The score that a router rejects on, and the threshold."""


def require_router(name: str | None, routers: Mapping[str, Rejects]) -> None:
    """Refuses a router that is not there, or that could not reject anything.

    Args:
      name: that was asked for; None: whichever there is.
      routers: those that there are.

    Raises:
      ValueError: saying what there is, or which one to take.

    >>> require_router("paper", {"paper": ("between", 0.0), "density": ("ood_density", 1.5)})
    Traceback (most recent call last):
    ValueError: router 'paper' cannot reject here: ... take 'density', which rejects by distance ...
    """
    if name is None:
        return
    if name not in routers:
        lines = [f"no router {name!r}; there are {', '.join(routers)}"]
        lines += [f"  {of}: {ROUTERS[of]}" for of in routers if of in ROUTERS]
        if name in ROUTERS:
            lines.append(f"  not here: {name}: {ROUTERS[name]}")
        raise ValueError("\n".join(lines))
    able = [of for of, rejects in routers.items() if not cannot_reject(rejects)]
    if cannot_reject(routers[name]) and able:
        best = next(of for of in (*ROUTERS, *able) if of in able)
        does = ROUTERS.get(best, "can reject")
        raise ValueError(
            f"router {name!r} cannot reject here: it needs members that disagree, and of this "
            f"model, a single network, {routers[name][0]} is 0 for every picture, and so is the "
            f"threshold; take {best!r}, which {does}"
        )


def cannot_reject(rejects: Rejects) -> bool:
    """Whether a router's threshold is that of a score which is 0 of everything.

    >>> cannot_reject(("epistemic", 0.0)), cannot_reject(("ood_density", -1.0))
    (True, False)
    """
    score, above = rejects
    return score in _DISAGREEMENT and above <= 0


def rejects_of(rules: "Mapping[str, RouterRule]") -> dict[str, Rejects]:
    """What each router rejects on; of several thresholds the largest."""
    return {
        name: (rule.reject, float(np.max(np.asarray(rule.reject_above))))
        for name, rule in rules.items()
    }


def stored_routers(model: Path) -> dict[str, Rejects]:
    """The routers of a run folder or of a file of ``ferjax export``, without opening the model.

    Returns:
      Router -> what it rejects on; empty where the file does not say so plainly: opening it will
      say what is wrong.
    """
    try:
        about = (
            read_json(model / "thresholds.json", "file of thresholds")
            if model.is_dir()
            else read_about(model)
        )
        return {name: _rejects(of) for name, of in about["routers"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _rejects(rule: Mapping[str, Any]) -> Rejects:
    above = rule["reject"]["above"]
    return str(rule["reject"]["score"]), math.inf if above is None else float(above)
