"""What a comparison of judges with people found: types, written as JSON and CSV as they are."""

import dataclasses
from collections.abc import Mapping

from ferjax.evaluation.intervals import Interval

__all__ = [
    "ClassRow",
    "Comparison",
    "Difference",
    "DimensionRow",
    "Item",
    "JudgeRow",
    "Jury",
    "Panel",
    "ReplacementRow",
    "ShiftRow",
    "Stratum",
    "Transparency",
    "TransparencyRow",
]


@dataclasses.dataclass(frozen=True)
class Panel:
    """The people."""

    items: int
    ratings: int
    raters: int | None
    """None where it is not known who rated."""
    fewest: int
    """Ratings of the item that has fewest."""
    most: int
    unclear: int
    """Ratings apart, of people who could not judge."""
    scored: int
    """Items with two ratings at least: only they say how far people agree."""
    spread: Interval
    """Mean squared distance of one rating from the item's expected one, unbiased."""
    entropy_ceiling: Interval | None
    """Highest correlation that any score can have with the panel's entropy: the square root of its
    split-half reliability, stepped up."""


@dataclasses.dataclass(frozen=True)
class JudgeRow:
    """A judge, or several pooled as a mixture, beside the people."""

    judges: int
    """How many were pooled."""
    items: int
    """Items scored: two ratings and two answers at least."""
    answers: float
    """Valid answers an item, mean over the judged ones; infinite for a network."""
    unparsed: float
    """Share of the answers that name nothing valid."""
    gap: Interval
    """Unbiased squared distance of the judge's distribution from people's."""
    skill: Interval
    """1 − gap / gap of the people's mean distribution (of all other texts)."""
    people: Interval
    """People-equivalents: how many raters' mean is as close."""
    score: Interval
    """Brier score (classes) or CRPS (scales) for one rating, unbiased."""
    as_used: Interval
    """Gap of the shares of the few answers at hand: the gap, and the noise of so few."""
    split_skill: Interval | None
    """Skill where each answer is one vote, split over the classes it names; of kind ``multi``,
    where it is known which classes went together."""
    cross_entropy: Interval | None
    """Nats a rating, of the shares with one pseudo-answer spread evenly."""
    jsd: Interval | None
    """Plug-in Jensen-Shannon divergence of normalised shares, bits, as the paper."""
    jsd_floor: float | None
    """What it would be if the judge were right, at these numbers of ratings and answers."""
    kl: Interval | None
    """Plug-in KL(people || judge) of normalised shares, bits, with 1e-12, as the paper."""
    entropy_correlation: Interval | None
    """Spearman over items of the two entropies."""
    entropy_if_right: float | None
    """What that correlation would be if the judge were right, at these numbers."""
    tokens: float | None
    """Tokens a text, of prompts and answers; None where it is not known."""
    per_1000_tokens: Interval | None
    """People-equivalents of the answers at hand (see ``as_used``) for every 1,000 tokens a text."""
    by_source: Mapping[str, Mapping[str, Interval]]
    """gap, skill and people with the interval of each source of noise alone, and of all asked."""


@dataclasses.dataclass(frozen=True)
class Difference:
    """Two judges on the same texts: first minus second, paired."""

    first: str
    second: str
    skill: Interval
    gap: Interval
    jsd: Interval | None


@dataclasses.dataclass(frozen=True)
class ClassRow:
    """A class: how people use it, how well they agree, and what each judge makes of it."""

    rate: Interval
    """Mean share of people."""
    agreement: Interval
    """Correlation of two people's choices of it (chance-corrected agreement, φ)."""
    ceiling: Interval
    """Highest correlation that a judge's rates can have with the panel's."""
    judge_rate: Mapping[str, Interval]
    difference: Mapping[str, Interval]
    """Judge's mean rate minus people's."""
    spearman: Mapping[str, Interval]
    """Over items, of the judge's and people's rates."""
    mean_spearman: Interval
    """Mean over judges."""
    skill: Mapping[str, Interval]
    people: Mapping[str, Interval]


@dataclasses.dataclass(frozen=True)
class DimensionRow:
    """A dimension of ordinal or real ratings: means and spreads within texts."""

    reliability: Interval
    """Of the panel's mean."""
    ceiling: Interval
    """Its root: the highest correlation that a predictor can have with the panel's mean."""
    spread_reliability: float
    """Of the panel's spread within a text, split-half and stepped up."""
    spread: Interval
    """People's mean standard deviation within a text."""
    pearson: Mapping[str, Interval]
    spearman: Mapping[str, Interval]
    mae: Mapping[str, Interval]
    rmse: Mapping[str, Interval]
    skill: Mapping[str, Interval]
    people: Mapping[str, Interval]
    judge_spread: Mapping[str, Interval]
    """Judges' mean standard deviation within a text."""


@dataclasses.dataclass(frozen=True)
class Stratum:
    """Items put together by what two of their raters said; the others score."""

    items: int
    gap: Mapping[str, Interval]
    score: Mapping[str, Interval]


@dataclasses.dataclass(frozen=True)
class Item:
    """A text in a list."""

    id: str
    text: str | None
    value: float
    people: str
    judges: str


@dataclasses.dataclass(frozen=True)
class Jury:
    """Several models as an ensemble; squared units (Gini), each unbiased."""

    models: tuple[str, ...]
    total: Interval
    within: Interval
    """Aleatoric: spread of one model's answers at one setting."""
    settings: Interval | None
    """Between settings (temperatures) of one model."""
    between: Interval
    """Epistemic: between models."""
    plug_in: float
    """What the variance of shares would have called between models."""
    null: float
    """What it would be if all models were one distribution."""
    entropy_plug_in: float | None
    """Between-model part of the entropy of shares, nats."""
    entropy_null: float | None
    """The same where all models answer from their common distribution."""
    disagreement: Interval
    """Spearman over items of the jury's spread and the people's."""
    between_disagreement: Interval
    """Spearman over items of the between-model part and the people's spread."""
    divides_models: tuple[Item, ...]
    divides_people: tuple[Item, ...]


@dataclasses.dataclass(frozen=True)
class ReplacementRow:
    """The alternative annotator test of a judge."""

    raters: int
    """Raters with enough items to be tested."""
    margin: float
    winning_rate: float
    """By the judge's most frequent answer."""
    advantage: float
    """Mean share of items on which it is at least as close to the others as the rater left out."""
    distribution_winning_rate: float
    """By the judge's whole distribution."""
    distribution_advantage: float
    by_rater: Mapping[str, float]
    """Advantage over each tested rater."""


@dataclasses.dataclass(frozen=True)
class TransparencyRow:
    """A class's transparency: how far texts say it in so many words."""

    lexical: float
    """Share of the class's texts (others than those that score) that hold one of its words."""
    similarity: float | None
    """Cosine of the embeddings of its name and of its texts (others than those that score)."""
    score: float
    """Mean of the two, each as rank among the classes."""
    correlation: float
    """Mean over judges of Spearman of rates with people's, on the texts that score."""
    share_of_ceiling: float
    """That over its ceiling."""
    frequency: float
    agreement: float


@dataclasses.dataclass(frozen=True)
class Transparency:
    """Do judges follow people better on classes that texts say in words?"""

    classes: Mapping[str, TransparencyRow]
    spearman: Interval
    """Over classes, of transparency and correlation with people; interval from items."""
    corrected: Interval
    """The same with the correlation over its ceiling."""
    partial: Interval
    """Given log frequency and people's own agreement, both ranked."""
    permutation: float
    """Share of permutations of the classes with a corrected correlation as far from 0."""
    partial_permutation: float
    words: int
    """Words of the lexicon, over all classes."""


@dataclasses.dataclass(frozen=True)
class ShiftRow:
    """Other items (a paraphrase, another language, another domain) beside the texts."""

    items: int
    unparsed: float
    """Share of the answers that name nothing valid."""
    between: Interval
    """AUROC: the chance that models disagree more about a shifted item than about a text."""
    within: Interval
    """Likewise of the spread within a model."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Everything that was found."""

    kind: str
    classes: tuple[str, ...]
    panel: Panel
    judges: Mapping[str, JudgeRow]
    pools: Mapping[str, JudgeRow]
    rivals: Mapping[str, JudgeRow]
    differences: tuple[Difference, ...]
    by_class: Mapping[str, ClassRow]
    by_dimension: Mapping[str, DimensionRow]
    strata: Mapping[str, Stratum]
    jury: Jury | None
    replacement: Mapping[str, ReplacementRow]
    transparency: Transparency | None
    shift: Mapping[str, ShiftRow]
    resamples: int
    seed: int
    notes: tuple[str, ...]
