"""Deep ensembles that tell ambiguous items from items outside what the model has seen.

Pure functions, arrays in and arrays out, live in modules that can be used one at a time, under your
own ``jit``, ``vmap`` and ``grad``: :mod:`ferjax.uncertainty`, :mod:`ferjax.metrics`,
:mod:`ferjax.bootstrap`, :mod:`ferjax.routing`, :mod:`ferjax.conformal`, :mod:`ferjax.density`,
:mod:`ferjax.dirichlet`, :mod:`ferjax.recalibration`, :mod:`ferjax.posterior`, :mod:`ferjax.mmd`,
:mod:`ferjax.losses`, :mod:`ferjax.votes`, :mod:`ferjax.priors`, :mod:`ferjax.corruptions`. The
most used are here by name.

What the command line does takes as many lines: :func:`load_config`, :func:`load_data`,
:func:`train`, :func:`evaluate_run`, :func:`evaluate_predictions`, :func:`adapt_run`,
:class:`Router`, :func:`export`, :func:`load_run`. Everything is loaded when it is first used; names
that are not in ``__all__``, and modules with a leading underscore, are not public.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ferjax import (
        bootstrap,
        conformal,
        corruptions,
        density,
        dirichlet,
        losses,
        metrics,
        mmd,
        posterior,
        priors,
        recalibration,
        routing,
        uncertainty,
        votes,
    )
    from ferjax.config import (
        Config,
        DataConfig,
        EvaluateConfig,
        ModelConfig,
        TrainConfig,
        dinov2,
        load_config,
    )
    from ferjax.conformal import conformal_threshold
    from ferjax.ensemble.trained import load_run
    from ferjax.ensemble.training import train
    from ferjax.faces.dataset import load as load_data
    from ferjax.metrics import auroc, spearman
    from ferjax.predictions import Predictions
    from ferjax.routing import RouterRule, decide, grid, routing_auc
    from ferjax.serving.adapting import adapt_run
    from ferjax.serving.export import export
    from ferjax.serving.router import Router
    from ferjax.uncertainty import Decomposition, decompose, entropy, mean_log_probs
    from ferjax.workflow import evaluate_predictions, evaluate_run

__version__ = "0.3.0"

__all__ = [
    "Config",
    "DataConfig",
    "Decomposition",
    "EvaluateConfig",
    "ModelConfig",
    "Predictions",
    "Router",
    "RouterRule",
    "TrainConfig",
    "adapt_run",
    "auroc",
    "bootstrap",
    "conformal",
    "conformal_threshold",
    "corruptions",
    "decide",
    "decompose",
    "density",
    "dinov2",
    "dirichlet",
    "entropy",
    "evaluate_predictions",
    "evaluate_run",
    "export",
    "grid",
    "load_config",
    "load_data",
    "load_run",
    "losses",
    "mean_log_probs",
    "metrics",
    "mmd",
    "posterior",
    "priors",
    "recalibration",
    "routing",
    "routing_auc",
    "spearman",
    "train",
    "uncertainty",
    "votes",
]

_NAMES = {
    "ferjax.config": (
        "Config",
        "DataConfig",
        "EvaluateConfig",
        "ModelConfig",
        "TrainConfig",
        "dinov2",
        "load_config",
    ),
    "ferjax.conformal": ("conformal_threshold",),
    "ferjax.ensemble.trained": ("load_run",),
    "ferjax.ensemble.training": ("train",),
    "ferjax.faces.dataset": ("load_data",),
    "ferjax.metrics": ("auroc", "spearman"),
    "ferjax.predictions": ("Predictions",),
    "ferjax.routing": ("RouterRule", "decide", "grid", "routing_auc"),
    "ferjax.serving.adapting": ("adapt_run",),
    "ferjax.serving.export": ("export",),
    "ferjax.serving.router": ("Router",),
    "ferjax.uncertainty": ("Decomposition", "decompose", "entropy", "mean_log_probs"),
    "ferjax.workflow": ("evaluate_predictions", "evaluate_run"),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}
_OWN_NAMES = {"load_data": "load"}
"""Names that are called otherwise where they live."""


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), _OWN_NAMES.get(name, name))
    elif name in __all__:
        value = importlib.import_module(f"ferjax.{name}")
    else:
        raise AttributeError(f"module 'ferjax' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
