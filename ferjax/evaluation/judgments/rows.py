"""The table of judges: each for itself, pooled by model, all pooled, and the rivals."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import panels
from ferjax.evaluation.intervals import Interval, interval
from ferjax.evaluation.judgments import divergences
from ferjax.evaluation.judgments.floors import Floor
from ferjax.evaluation.judgments.resampling import Weights, means, ratios, spearmans
from ferjax.evaluation.judgments.results import Difference, JudgeRow
from ferjax.evaluation.judgments.sides import Sides
from ferjax.panels import Moments

__all__ = [
    "ALL",
    "MEAN",
    "PERSON",
    "Figures",
    "Lineup",
    "differences",
    "figures",
    "line_up",
    "row",
    "split_votes",
]

ALL = "all judges pooled"
MEAN = "people's mean (of all other texts)"
PERSON = "one person"


@dataclasses.dataclass(frozen=True)
class Lineup:
    """Everybody who is scored: judges, pools of them, the people's mean."""

    names: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]
    """The judges that each row pools; none for the people's mean."""
    moments: Moments
    """``[row, item]``."""
    shares: np.ndarray | None
    """float32 ``[row, item, class]``."""
    answers: np.ndarray
    """float32 ``[row, item]``."""


def line_up(sides: Sides) -> Lineup:
    """Judges, a pool for each model with several, one of all, and the people's mean."""
    models: dict[str, list[int]] = {}
    for place, judge in enumerate(sides.judges):
        models.setdefault(judge.model, []).append(place)
    names = list(sides.names)
    members = [(place,) for place in range(len(names))]
    pools = {f"{model}, pooled": tuple(of) for model, of in models.items() if len(of) > 1}
    if len(models) > 1:
        pools[ALL] = tuple(range(len(sides.judges)))
    reference = panels.leave_one_out(sides.people, sides.ratings.groups)
    parts = [sides.machines]
    for of in pools.values():
        pooled = panels.pool(jax.tree.map(lambda x, of=of: x[np.array(of)], sides.machines))
        parts.append(jax.tree.map(lambda x: x[None], pooled))
    parts.append(jax.tree.map(lambda x: x[None], reference))
    moments = Moments(*(jnp.concatenate(leaves) for leaves in zip(*parts)))
    return Lineup(
        names=(*names, *pools, MEAN),
        members=(*members, *pools.values(), ()),
        moments=moments,
        shares=None if sides.shares is None else np.asarray(moments.mean),
        answers=np.asarray(moments.answers),
    )


@jax.jit
def split_votes(answers: jax.Array) -> Moments:
    """Moments of votes split over the classes that each answer names; none where it names none.

    Args:
      answers: float32 ``[item, answer, class]`` of 0 and 1; NaN where there is no answer.
    """
    total = jnp.sum(answers, -1, keepdims=True)
    return panels.of_answers(answers / jnp.where(total == 0, jnp.nan, total))


def split_gaps(sides: Sides, lineup: Lineup) -> np.ndarray | None:
    """Gap ``[row, item]`` where a vote is split over its classes; NaN of judges whose sets are not
    known; None where every answer names one class, or no sets are known."""
    if sides.ratings.kind != "multi" or all(s is None for s in sides.sets):
        return None
    people = split_votes(sides.ratings.by_item[0].astype(np.float32))
    judges = []
    for place, sets in enumerate(sides.sets):
        if sets is None:
            empty = np.full((len(sides.ratings.ids), 2, len(sides.ratings.classes)), np.nan)
            judges.append(split_votes(empty.astype(np.float32)))
            continue
        there = np.arange(sets.shape[1]) < sides.answers[place][:, None]
        judges.append(split_votes(np.where(there[..., None], sets, np.nan).astype(np.float32)))
    stacked = Moments(*(jnp.stack(leaves) for leaves in zip(*judges)))
    gaps = []
    for of in lineup.members[:-1]:
        pooled = panels.pool(jax.tree.map(lambda x, of=of: x[np.array(of)], stacked))
        gaps.append(panels.gap(people, pooled))
    reference = panels.leave_one_out(people, sides.ratings.groups)
    return np.asarray(jnp.stack([*gaps, panels.gap(people, reference)]))


class Figures(NamedTuple):
    """Per-item figures of every row, ``[row, item]``, and of the people, ``[item]``."""

    gap: np.ndarray
    score: np.ndarray
    used: np.ndarray
    reference: np.ndarray
    spread: np.ndarray
    jsd: np.ndarray | None
    kl: np.ndarray | None
    cross_entropy: np.ndarray | None
    entropy: np.ndarray | None
    people_entropy: np.ndarray | None
    split_gap: np.ndarray | None = None
    tokens: np.ndarray | None = None


@jax.jit
def _of_moments(people: Moments, rows: Moments) -> tuple[jax.Array, ...]:
    gap = panels.gap(people, rows)
    noise = jnp.sum(rows.mean**2, -1) - rows.pairs
    return gap, panels.expected_score(people, rows), gap + noise, panels.spread(people)


@jax.jit
def _of_shares(people: jax.Array, rows: jax.Array) -> tuple[jax.Array, ...]:
    return (
        divergences.jensen_shannon_bits(people, rows),
        divergences.kl_bits(people, rows),
        divergences.entropy_bits(rows),
        divergences.entropy_bits(people),
    )


def figures(sides: Sides, lineup: Lineup) -> Figures:
    """Computes every figure of every row once, item by item."""
    gap, score, used, spread = map(np.asarray, _of_moments(sides.people, lineup.moments))
    own = (gap, score, used, gap[-1], spread)
    tokens = None
    if sides.tokens is not None and not np.isnan(sides.tokens).all():
        none = np.full((1, len(sides.ratings.ids)), np.nan)
        pooled = [sides.tokens[np.array(of)].sum(0, keepdims=True) for of in lineup.members[:-1]]
        tokens = np.concatenate([*pooled, none])
    if lineup.shares is None:
        return Figures(*own, None, None, None, None, None, tokens=tokens)
    jsd, kl, entropy, people = map(np.asarray, _of_shares(sides.people_shares, lineup.shares))
    loss = divergences.cross_entropy(
        jnp.asarray(sides.people_shares)[None],
        jnp.asarray(lineup.shares),
        jnp.asarray(lineup.answers),
        several=sides.ratings.kind == "multi",
    )
    split = split_gaps(sides, lineup)
    return Figures(*own, jsd, kl, np.asarray(loss), entropy, people, split, tokens)


class Samples(NamedTuple):
    """Resampled figures of every row, ``[1 + resample, row]``."""

    gap: np.ndarray
    skill: np.ndarray
    people: np.ndarray
    score: np.ndarray
    used: np.ndarray
    jsd: np.ndarray | None
    kl: np.ndarray | None
    cross_entropy: np.ndarray | None
    entropy_correlation: np.ndarray | None
    split_skill: np.ndarray | None
    per_1000_tokens: np.ndarray | None


def resample(found: Figures, weights: Weights) -> Samples:
    """All figures on all items and on every resample; paired, for the weights are the same."""
    gap = means(weights, found.gap)
    shown = [found.jsd, found.kl, found.cross_entropy]
    jsd, kl, loss = (None if x is None else means(weights, x) for x in shown)
    correlation = None
    if found.entropy is not None and found.people_entropy is not None:
        correlation = spearmans(weights, found.entropy, found.people_entropy[None])
    price = None
    if found.tokens is not None:
        # Of the answers at hand: more of them cost more, and have less noise.
        used = worth(ratios(weights, found.used, found.spread[None]))
        price = used * 1000 / means(weights, found.tokens)
    return Samples(
        gap=gap,
        skill=1 - ratios(weights, found.gap, found.reference[None]),
        people=worth(ratios(weights, found.gap, found.spread[None])),
        score=means(weights, found.score),
        used=means(weights, found.used),
        jsd=jsd,
        kl=kl,
        cross_entropy=loss,
        entropy_correlation=correlation,
        per_1000_tokens=price,
        split_skill=None
        if found.split_gap is None
        else 1 - ratios(weights, found.split_gap, found.split_gap[-1:]),
    )


def worth(share: np.ndarray) -> np.ndarray:
    """People-equivalents of gaps as shares of the people's spread; infinite where there is none."""
    with np.errstate(divide="ignore"):
        found = np.where(share > 0, 1 / share, np.inf)
    return np.where(np.isnan(share), np.nan, found)


def row(
    place: int,
    sides: Sides,
    lineup: Lineup,
    found: Figures,
    samples: Samples,
    floor: Floor | None,
    by_source: Mapping[str, Mapping[str, Interval]],
) -> JudgeRow:
    """A row's figures with their intervals."""
    of = np.array(lineup.members[place], int)
    seen = lineup.answers[place] > 0
    asked = sides.asked[of].sum()
    valid = np.where(np.isinf(sides.answers[of]), 1.0, sides.answers[of]).sum()

    def at(values: np.ndarray | None) -> Interval | None:
        return None if values is None else interval(values[:, place])

    def must(values: np.ndarray) -> Interval:
        return interval(values[:, place])

    tokens = None if found.tokens is None else found.tokens[place]
    if tokens is not None and np.isnan(tokens).all():
        tokens = None
    return JudgeRow(
        judges=len(of),
        items=int((~np.isnan(found.gap[place])).sum()),
        answers=float(lineup.answers[place][seen].mean()) if seen.any() else 0.0,
        unparsed=float(1 - valid / asked) if asked else 0.0,
        gap=must(samples.gap),
        skill=must(samples.skill),
        people=must(samples.people),
        score=must(samples.score),
        as_used=must(samples.used),
        split_skill=at(samples.split_skill),
        cross_entropy=at(samples.cross_entropy),
        jsd=at(samples.jsd),
        jsd_floor=None if floor is None else floor.jsd,
        kl=at(samples.kl),
        entropy_correlation=at(samples.entropy_correlation),
        entropy_if_right=None if floor is None else floor.entropy_correlation,
        tokens=None if tokens is None else float(np.nanmean(tokens)),
        per_1000_tokens=None if tokens is None else at(samples.per_1000_tokens),
        by_source=by_source,
    )


def person(found: Figures, weights: Weights) -> JudgeRow:
    """One more person as a judge: what people-equivalents are measured in."""
    gap = interval(means(weights, found.spread))
    skill = interval(1 - ratios(weights, found.spread, found.reference))
    return JudgeRow(
        judges=1,
        items=int((~np.isnan(found.spread)).sum()),
        answers=1.0,
        unparsed=0.0,
        gap=gap,
        skill=skill,
        people=Interval.exact(1.0),
        score=interval(2 * means(weights, found.spread)),
        as_used=gap,
        split_skill=None,
        cross_entropy=None,
        jsd=None,
        jsd_floor=None,
        kl=None,
        entropy_correlation=None,
        entropy_if_right=None,
        tokens=None,
        per_1000_tokens=None,
        by_source={},
    )


def differences(sides: Sides, lineup: Lineup, samples: Samples) -> tuple[Difference, ...]:
    """Paired differences: settings of one model, pools with each of their judges, models."""
    pairs: list[tuple[int, int]] = []
    for first in range(len(lineup.names) - 1):
        for second in range(first):
            one = set(lineup.members[first])
            two = set(lineup.members[second])
            same = {sides.judges[k].model for k in one | two}
            # All pairs would be a table nobody reads: what is nested, and what is alike.
            if len(same) == 1 or one > two or (len(one) == len(two) and len(sides.judges) <= 8):
                pairs.append((first, second))

    def minus(values: np.ndarray, a: int, b: int) -> Interval:
        return interval(values[:, a] - values[:, b])

    return tuple(
        Difference(
            lineup.names[a],
            lineup.names[b],
            minus(samples.skill, a, b),
            minus(samples.gap, a, b),
            None if samples.jsd is None else minus(samples.jsd, a, b),
        )
        for a, b in pairs
    )
