"""Types of what an evaluation finds: one frozen dataclass per table, one interval for every figure.

Everything is plain Python numbers, strings and containers of these types, so that a report can be
written from it without JAX and :mod:`ferjax.report.write` can put all of it into JSON and CSV.
Figures that are not defined are NaN, never None; tables that were not asked for are None or empty.
"""

import dataclasses
from collections.abc import Mapping

from ferjax.evaluation.intervals import Difference, Interval
from ferjax.evaluation.routing_results import (
    Decision,
    Harm,
    LearnedRouter,
    Rejection,
    RoutingRow,
    Thresholds,
)


@dataclasses.dataclass(frozen=True)
class ReliabilityBin:
    """A bin of confidence: share of items in it, their mean confidence, and the share correct."""

    share: float
    confidence: float
    correct: float


@dataclasses.dataclass(frozen=True)
class ClassRecall:
    """Of the items of a class, the share that is recognised; undefined without items."""

    items: int
    recall: Interval


@dataclasses.dataclass(frozen=True)
class PriorRow:
    """Figures of the clean test split under one class prior."""

    accuracy: Interval
    balanced_accuracy: Interval
    vote_accuracy: Interval
    nll: Interval


@dataclasses.dataclass(frozen=True)
class ClassPriors:
    """Under which class prior predictions are read: its name, shares by class, those of training,
    the p-value of the label-shift test where it was estimated, figures under other priors; and
    where the shares of training come from, see :class:`ferjax.priors.Adjustment`."""

    name: str
    training: Mapping[str, float]
    used: Mapping[str, float]
    p_value: float
    rows: Mapping[str, PriorRow]
    known_from: str = "training"


@dataclasses.dataclass(frozen=True)
class Quality:
    """How good the predictions of the clean test split are, for the ensemble and its members."""

    items: int
    majority_class: float
    member_accuracy: tuple[float, ...]
    member_nll: tuple[float, ...]
    accuracy: Interval
    balanced_accuracy: Interval
    recall: Mapping[str, ClassRecall]
    vote_accuracy: Interval
    nll: Interval
    brier: Interval
    jensen_shannon: Interval
    kl: Interval
    ece: Interval
    ece_equal_mass: Interval
    l2_ece: Interval
    mce: Interval
    classwise_ece: Interval
    label_nll: Interval
    label_brier: Interval
    reliability: tuple[ReliabilityBin, ...]

    @property
    def beats_majority(self) -> bool:
        """Whether the accuracy lies demonstrably above that of saying the most frequent class."""
        return self.accuracy.low > self.majority_class


@dataclasses.dataclass(frozen=True)
class SelectiveRow:
    """What leaving out the most uncertain items gains; ``accuracy`` by coverage, and the coverage
    at which the mean loss is still 5 %."""

    aurc: Interval
    excess_aurc: Interval
    augrc: Interval
    excess_augrc: Interval
    coverage_at_risk: Interval
    accuracy: Mapping[str, Interval]


@dataclasses.dataclass(frozen=True)
class Misclassification:
    """How well a score tells wrong predictions from right ones."""

    auroc: Interval
    aupr_errors: Interval
    aupr_successes: Interval


@dataclasses.dataclass(frozen=True)
class Selective:
    """Selective prediction: score -> ``label`` or ``votes`` -> row; curves over ``coverage``."""

    scores: Mapping[str, Mapping[str, SelectiveRow]]
    misclassification: Mapping[str, Misclassification]
    coverage: tuple[float, ...]
    curves: Mapping[str, Mapping[str, tuple[float, ...]]]


@dataclasses.dataclass(frozen=True)
class DisagreementRow:
    """One score against human disagreement δ; undefined: truth unknown, or the row of aleatoric."""

    spearman: Interval
    kendall: Interval
    auroc_ambiguous: Interval
    spearman_true_entropy: Interval
    share_of_ceiling: Interval
    aleatoric_minus: Interval


@dataclasses.dataclass(frozen=True)
class Decile:
    """A tenth of the items by aleatoric uncertainty, and their mean disagreement."""

    aleatoric: float
    disagreement: float
    items: int
    standard_error: float


@dataclasses.dataclass(frozen=True)
class PosteriorExample:
    """A frequent combination of votes, δ as counted, and δ under the posterior."""

    votes: str
    items: int
    counted: float
    mean: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Posterior:
    """What so few votes leave open about disagreement."""

    mean_width: float
    mean_deviation: float
    ceiling: float
    examples: tuple[PosteriorExample, ...]


@dataclasses.dataclass(frozen=True)
class Disagreement:
    """V1: every score against human disagreement on the clean test split."""

    items: int
    ambiguous: int
    clear: int
    mean_disagreement: float
    unanimous: float
    truth_known: bool
    ceiling: Interval
    scores: Mapping[str, DisagreementRow]
    rank_correlation: Interval
    deciles: tuple[Decile, ...]
    posterior: Posterior | None
    """None where only shares of the votes are known."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """One score telling one condition from clean test items."""

    auroc: Interval
    aupr: Interval
    fpr_at_95: Interval


@dataclasses.dataclass(frozen=True)
class OodSet:
    """An out-of-distribution set: its size, and every score that it has."""

    items: int
    scores: Mapping[str, Cell]


@dataclasses.dataclass(frozen=True)
class LabelledSet:
    """Quality on another set of items with labels or votes."""

    items: int
    accuracy: Interval
    balanced_accuracy: Interval
    recall: Mapping[str, ClassRecall]
    vote_accuracy: Interval
    nll: Interval
    ece: Interval


@dataclasses.dataclass(frozen=True)
class SetDistance:
    """Squared MMD of a set to clean test items, and its permutation p-value."""

    mmd2: float
    p_value: float
    clean_items: int
    set_items: int


@dataclasses.dataclass(frozen=True)
class Distance:
    """How far each set lies from the clean test items, in one space of features."""

    space: str
    permutations: int
    sets: Mapping[str, SetDistance]


@dataclasses.dataclass(frozen=True)
class SeverityRow:
    """Predictions and uncertainties at one severity, means over corruptions; nats."""

    accuracy: Interval
    ece: Interval
    total: Interval
    aleatoric: Interval
    epistemic: Interval


@dataclasses.dataclass(frozen=True)
class Shift:
    """V2: every score under shift.

    ``corruptions``: corruption -> severity -> score; ``curve``: score -> severity, the unweighted
    mean over corruptions; ``epistemic_minus``: how much better epistemic sees shift than each other
    score (paired); ``epistemic_minus_single``: the same for every corrupted copy, corruption ->
    severity, over ``1 - max p`` of one member; ``severities``: severity -> row, 0 the clean items;
    ``severity``: the highest, None without corrupted copies.
    """

    severity: int | None
    corruptions: Mapping[str, Mapping[int, Mapping[str, Cell]]]
    curve: Mapping[str, Mapping[int, Interval]]
    epistemic_minus: Mapping[str, Mapping[int, Difference]]
    epistemic_minus_single: Mapping[str, Mapping[int, Difference]]
    severities: Mapping[int, SeverityRow]
    ood: Mapping[str, OodSet]
    labelled: Mapping[str, LabelledSet]
    distance: Distance

    def at_worst(self, score: str) -> Interval:
        """Mean AUROC of a score at the highest severity; undefined where it has none."""
        if self.severity is None or score not in self.curve:
            return Interval.undefined()
        return self.curve[score][self.severity]


@dataclasses.dataclass(frozen=True)
class Spread:
    """Mean and range of a figure over sub-ensembles of one size."""

    mean: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class SizeRow:
    """Figures of the sub-ensembles of one size, and how many sub-ensembles there are."""

    subsets: int
    figures: Mapping[str, Spread]


@dataclasses.dataclass(frozen=True)
class Jackknife:
    """A figure of the whole ensemble with its standard error over members."""

    value: float
    standard_error: float


@dataclasses.dataclass(frozen=True)
class FormRow:
    """An uncertainty that is no entropy, asked the same two questions."""

    spearman: Interval
    shift_auroc: Interval


@dataclasses.dataclass(frozen=True)
class ClassContribution:
    """Share of votes of a class, and its mean nats per item in each uncertainty."""

    votes: float
    aleatoric: float
    epistemic: float
    aleatoric_corrupted: float
    epistemic_corrupted: float


@dataclasses.dataclass(frozen=True)
class EnsembleSize:
    """What depends on the members: their number, which they are, the form of the uncertainty."""

    sizes: Mapping[int, SizeRow]
    jackknife: Mapping[str, Jackknife]
    mean_item: Mapping[str, Jackknife]
    forms: Mapping[str, FormRow]
    contributions: Mapping[str, ClassContribution]


@dataclasses.dataclass(frozen=True)
class RecalibratedRow:
    """Figures under one calibrator, how much each is above the ensemble as it is on the same
    items, and the temperature, where it is one."""

    figures: Mapping[str, Interval]
    minus: Mapping[str, Interval]
    temperature: Interval


@dataclasses.dataclass(frozen=True)
class Recalibrated:
    """Calibrators by name, the ensemble as it is first; fitted on ``source``: valid, or test
    (cross-fitted)."""

    source: str
    rows: Mapping[str, RecalibratedRow]


@dataclasses.dataclass(frozen=True)
class ConcentrationFit:
    """Where the members' concentrations come from.

    ``source``: ``predictions`` (the networks' own), ``valid`` or ``test`` (fitted on these items,
    cross-fitted where they are scored), or ``none``: too few items with two votes or more.
    ``fitted`` is what was fitted on all of them: the fields of
    :class:`ferjax.recalibration.Concentration`, ``[member, ...]``.
    """

    source: str
    items: int = 0
    folds: int = 0
    fitted: Mapping[str, tuple] | None = None


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Everything an evaluation finds, before any word is written about it.

    ``pools``: pool of corrupted conditions -> score -> row; ``rejections``: score -> set;
    ``decisions``: condition -> what the default router does with it.
    """

    members: int
    classes: tuple[str, ...]
    resamples: int
    seed: int
    groups: int | None
    quality: Quality
    selective: Selective
    disagreement: Disagreement
    shift: Shift
    ensemble_size: EnsembleSize
    pools: Mapping[str, Mapping[str, RoutingRow]]
    rejections: Mapping[str, Mapping[str, Rejection]]
    thresholds: Thresholds | None
    harm: Harm | None
    decisions: Mapping[str, Decision]
    learned: Mapping[str, LearnedRouter]
    concentration: ConcentrationFit
    recalibrated: Recalibrated
    priors: ClassPriors | None = None
    """None where the training prior is not known."""

    @property
    def knows_epistemic(self) -> bool:
        """Whether there is an epistemic uncertainty: several members, or one with a
        concentration."""
        return self.members > 1 or self.concentration.source != "none"

    @property
    def matched(self) -> Mapping[str, RoutingRow]:
        """The first pool (the base corruptions, where there are any), empty without copies."""
        return next(iter(self.pools.values()), {})
