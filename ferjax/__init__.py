"""Deep ensembles that tell ambiguous faces from unfamiliar ones.

The pure functions (arrays in, arrays out) live in :mod:`ferjax.uncertainty`, :mod:`ferjax.metrics`,
:mod:`ferjax.bootstrap` and :mod:`ferjax.routing`; the most used are re-exported here.
"""

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
from ferjax.metrics import auroc, spearman
from ferjax.predictions import Predictions
from ferjax.routing import Thresholds, decide, grid, routing_auc
from ferjax.uncertainty import Decomposition, decompose, entropy, mean_log_probs

__version__ = "0.1.0"

__all__ = [
    "Config",
    "DataConfig",
    "Decomposition",
    "EvaluateConfig",
    "ModelConfig",
    "Predictions",
    "Thresholds",
    "TrainConfig",
    "auroc",
    "conformal_threshold",
    "decide",
    "decompose",
    "dinov2",
    "entropy",
    "grid",
    "load_config",
    "mean_log_probs",
    "routing_auc",
    "spearman",
]
