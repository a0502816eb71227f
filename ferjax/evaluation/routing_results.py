"""Types of what an evaluation finds about routing: comparison, thresholds, decisions."""

import dataclasses
import math
from collections.abc import Mapping

from ferjax.evaluation.intervals import Difference, Interval
from ferjax.priors import Adjustment
from ferjax.routing import RouterRule, preferred


@dataclasses.dataclass(frozen=True)
class RoutingRow:
    """A reject score against corrupted items: area, what it lies above that of ``1 - max p`` of
    one member, ambiguous items kept by rejection, all clean items kept by rejection, area by
    corruption and the lowest of them, and items kept along the whole curve."""

    auc: Interval
    minus_single: Difference
    retention: Mapping[str, Interval]
    ratio: Mapping[str, Interval]
    clean_retention: Mapping[str, float]
    corruptions: Mapping[str, float]
    lowest: float
    curve: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Rejection:
    """What a score rejects at its own conformal threshold, and how good either side is."""

    rejected: float
    accuracy_kept: float
    accuracy_rejected: float
    vote_error_kept: float
    vote_error_rejected: float


@dataclasses.dataclass(frozen=True)
class HarmRow:
    """What routers (the keys) reject of one condition.

    ``kind``: clean, tolerance, corruption, or other set; ``harmful``: accuracy fell by more than
    the margin; ``excess``: share of items that were rejected although the answer was right;
    ``missed``: share of items kept, where the condition is harmful.
    """

    kind: str
    accuracy: float
    harmful: bool
    rejected: Mapping[str, float]
    accuracy_kept: Mapping[str, float]
    accuracy_rejected: Mapping[str, float]
    excess: Mapping[str, float]
    missed: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Harm:
    """Whether rejection follows harm: by condition, and by reject score the area under (harmful
    items rejected, harmless and clean ambiguous items kept)."""

    margin: float
    conditions: Mapping[str, HarmRow]
    area: Mapping[str, Interval]


@dataclasses.dataclass(frozen=True)
class Certificate:
    """The most lenient defer threshold with a certified error among accepted items.

    ``refused`` says why there is none; the other figures are then NaN.
    """

    accept_error: float
    confidence: float
    above: float = math.nan
    accepted: float = math.nan
    error: float = math.nan
    refused: str = ""


@dataclasses.dataclass(frozen=True)
class RouterThresholds:
    """A router's rule, the reject threshold of each predicted class, its certificate, and the
    reject threshold that each harmless change would need for the same promise."""

    rule: RouterRule
    by_class: tuple[float, ...]
    certificate: Certificate | None
    by_tolerance: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """Thresholds of every router, chosen on valid items alone."""

    valid_items: int
    false_rejection: float
    defer_share: float
    routers: Mapping[str, RouterThresholds]

    @property
    def default(self) -> str:
        """The router that decides where none is named."""
        return preferred(self.routers)

    @property
    def rule(self) -> RouterRule:
        """Of the default router."""
        return self.routers[self.default].rule


@dataclasses.dataclass(frozen=True)
class Adaptation:
    """One router for a new population: how its items were shared out, prior and temperature,
    thresholds with their certificate, and what all of it did on the certifying items.

    ``rejected``: share of the certifying items that are rejected; ``accuracy_before``,
    ``accuracy_after``: accuracy and balanced accuracy of all certifying items.
    """

    name: str
    router: str
    classes: tuple[str, ...]
    items: int
    parts: Mapping[str, int]
    accuracy_before: Mapping[str, float]
    accuracy_after: Mapping[str, float]
    rejected: float
    thresholds: Thresholds
    adjustment: Adjustment

    @property
    def certificate(self) -> Certificate:
        """Of its router."""
        found = self.thresholds.routers[self.router].certificate
        assert found is not None
        return found


@dataclasses.dataclass(frozen=True)
class Decision:
    """What a router does with one condition: shares by action, and quality by action where known.

    ``ambiguous`` and ``clear``: share of each action among those items.
    """

    shares: Mapping[str, float]
    accuracy: Mapping[str, float]
    vote_accuracy: Mapping[str, float]
    ambiguous: Mapping[str, float]
    clear: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class LearnedRouter:
    """A learned router: what it was fitted on, its weights, and AUROC by corruption and severity.

    Each corruption is scored by a router that was fitted without it.
    """

    fitted: tuple[str, ...]
    weights: Mapping[str, float]
    auroc: Mapping[str, Mapping[int, float]]
