"""Settings of the methods that have some; the defaults are those of each method's authors."""

import dataclasses
from typing import Literal

from ferjax.config._checks import require, require_known_choices

__all__ = ["EacConfig", "EvidentialConfig", "Method", "ScnConfig"]

Method = Literal[
    "votes",
    "labels",
    "multinomial",
    "dirichlet",
    "dirichlet-joint",
    "evidential",
    "scn",
    "eac",
    "mc-dropout",
    "disagreement",
    "distil",
]
"""What ``train.method`` may be."""


@dataclasses.dataclass(frozen=True)
class EvidentialConfig:
    """Evidential deep learning (Sensoy et al., 2018): the network's outputs are evidence."""

    evidence: Literal["relu", "softplus", "exp"] = "relu"
    """How an output becomes evidence, 0 or more; exp is held within exp(-10)..exp(10)."""
    risk: Literal["mse", "log", "digamma"] = "mse"
    """Bayes risk of the squared error, of the type II likelihood, or of the cross-entropy."""
    target: Literal["labels", "votes"] = "labels"
    """What the evidence is for: the most voted class, or the vote distribution."""
    kl_weight: float = 1.0
    """Weight of the divergence of misleading evidence from none, once it has grown."""
    annealing_epochs: int = 10
    """Epochs over which that weight grows from 0, a step an epoch."""

    def __post_init__(self) -> None:
        require_known_choices(self, "train.evidential")
        require(
            0 <= self.kl_weight < float("inf"),
            f"train.evidential.kl_weight must be 0 or more and finite, got {self.kl_weight}",
        )
        require(
            self.annealing_epochs >= 1,
            f"train.evidential.annealing_epochs must be at least 1, got {self.annealing_epochs}",
        )


@dataclasses.dataclass(frozen=True)
class ScnConfig:
    """Self-Cure Network (Wang et al., CVPR 2020): weighs faces, and relabels what it doubts."""

    margin: float = 0.07
    """By how much the mean weight of the more important faces shall exceed that of the others."""
    share: float = 0.7
    """Which share of a batch are the more important ones."""
    relabel_above: float = 0.2
    """A face gets the predicted label once that is more probable than its own by this much."""
    relabel_epoch: int = 10
    """From which epoch on faces are relabelled, counted from 1; past train.epochs none is."""
    target: Literal["labels", "votes"] = "labels"
    """votes: cross-entropy to the vote distribution, which is no mistake: nothing is relabelled."""
    erase: float = 0.5
    """Probability that a rectangle of a training face is erased."""

    def __post_init__(self) -> None:
        require_known_choices(self, "train.scn")
        require(0 <= self.margin < 1, f"train.scn.margin must be in [0, 1), got {self.margin}")
        require(
            0 < self.share < 1,
            f"train.scn.share must lie strictly between 0 and 1, got {self.share}",
        )
        require(
            0 <= self.relabel_above <= 1,
            f"train.scn.relabel_above must be in [0, 1], got {self.relabel_above}",
        )
        require(
            self.relabel_epoch >= 1,
            f"train.scn.relabel_epoch must be at least 1, got {self.relabel_epoch}",
        )
        _require_probability(self.erase, "train.scn.erase")


@dataclasses.dataclass(frozen=True)
class EacConfig:
    """Erasing Attention Consistency (Zhang et al., ECCV 2022): a face and its mirror are read at
    the same places."""

    weight: float = 5.0
    """Of the squared difference of the two attention maps, beside the cross-entropy."""
    erase: float = 0.5
    """Probability that a rectangle of a training face is erased."""
    target: Literal["labels", "votes"] = "labels"
    """What the cross-entropy is taken to."""

    def __post_init__(self) -> None:
        require_known_choices(self, "train.eac")
        require(
            0 <= self.weight < float("inf"),
            f"train.eac.weight must be 0 or more and finite, got {self.weight}",
        )
        _require_probability(self.erase, "train.eac.erase")


def _require_probability(value: float, name: str) -> None:
    require(0 <= value <= 1, f"{name} must be in [0, 1], got {value}")
