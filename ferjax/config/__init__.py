"""Every setting of a run, as frozen dataclasses; a file in configs/ builds one :class:`Config`.

This package imports nothing but the standard library, so that reading or checking a configuration
never starts JAX.
"""

from ferjax.config._checks import nearest, require_resamples, require_seed
from ferjax.config._collect import GOEMOTIONS, VAD, CollectConfig, load_collect_config
from ferjax.config._families import FAMILIES, family_of, require_corruptions
from ferjax.config._methods import EacConfig, EvidentialConfig, ScnConfig
from ferjax.config._model import DINOV2_SIZES, ModelConfig, dinov2
from ferjax.config._priors import PRIORS, require_prior
from ferjax.config._run import (
    BASE_CORRUPTIONS,
    PAPER_CORRUPTIONS,
    TOLERANCES,
    Config,
    DataConfig,
    EvaluateConfig,
    TrainConfig,
    load_config,
)
from ferjax.config._shipped import find_config

__all__ = [
    "BASE_CORRUPTIONS",
    "DINOV2_SIZES",
    "FAMILIES",
    "GOEMOTIONS",
    "PAPER_CORRUPTIONS",
    "PRIORS",
    "TOLERANCES",
    "VAD",
    "CollectConfig",
    "Config",
    "DataConfig",
    "EacConfig",
    "EvaluateConfig",
    "EvidentialConfig",
    "ModelConfig",
    "ScnConfig",
    "TrainConfig",
    "dinov2",
    "family_of",
    "find_config",
    "load_collect_config",
    "load_config",
    "nearest",
    "require_corruptions",
    "require_prior",
    "require_resamples",
    "require_seed",
]
