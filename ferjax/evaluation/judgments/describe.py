"""What one side says alone: how far people agree, and how far models differ."""

import dataclasses
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import panels
from ferjax.judgments import Judgments
from ferjax.panels import Moments
from ferjax.ratings import Ratings

__all__ = ["Agreement", "Split", "agreement", "split"]


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How far people agree on one class or dimension."""

    mean: float
    """Mean rate of a class; mean value of a dimension."""
    pair: float
    """Intraclass correlation of two people; of a class, their chance-corrected agreement φ."""
    reliability: float
    """Of the panel's mean, from variance components."""
    ceiling: float
    """Its root: the highest correlation that a predictor can have with the panel's mean."""


def agreement(ratings: Ratings) -> dict[str, Agreement]:
    """Agreement on every class or dimension, from items with two ratings at least: NaN unless there
    are two of those. The mean is of all items."""
    table = ratings.by_item[0].astype(np.float32)
    found = {}
    for place, name in enumerate(ratings.classes):
        answers = panels.of_answers(table[:, :, place : place + 1])
        means = np.asarray(answers.mean)[:, 0]
        mean_of_all = float(means[np.asarray(answers.answers) > 0].mean())
        rated = np.asarray(answers.answers) > 1
        if rated.sum() < 2:
            found[name] = Agreement(mean_of_all, math.nan, math.nan, math.nan)
            continue
        mean = means[rated]
        within = float(np.asarray(panels.spread(answers))[rated].mean())
        reliability = float(panels.reliability(answers))
        noise = np.asarray(panels.spread(answers) / answers.answers)[rated].mean()
        between = float(mean.var(ddof=1) - noise)
        found[name] = Agreement(
            mean=mean_of_all,
            pair=between / (between + within) if between + within > 0 else math.nan,
            reliability=reliability,
            ceiling=float(np.sqrt(reliability)) if reliability > 0 else math.nan,
        )
    return found


@dataclasses.dataclass(frozen=True)
class Split:
    """Variance of models' answers to an item, mean over items; each unbiased."""

    items: int
    """Questions that two models at least answered twice."""
    total: float
    within: float
    """Of one model at one setting, asked again: aleatoric."""
    between: float
    """Between models: epistemic."""
    plug_in: float
    """The variance of their means, not corrected for few answers."""
    within_by_temperature: Mapping[str, float]


def split(judgments: Judgments) -> dict[str, Split]:
    """Between- and within-model variance of every class or dimension.

    Settings of one model are answers to different questions here: an item is compared at one
    temperature only.
    """
    heats = sorted({judge.temperature for judge in judgments.judges}, key=lambda t: (t is None, t))
    found = {}
    for place, name in enumerate(judgments.classes):
        parts = []
        by_heat = {}
        for heat in heats:
            rows = np.array([k for k, j in enumerate(judgments.judges) if j.temperature == heat])
            moments = _moments(judgments, rows, place)
            spread = np.asarray(panels.spread(moments))
            label = "none given" if heat is None else f"{heat:g}"
            by_heat[label] = float(np.nanmean(spread)) if (~np.isnan(spread)).any() else np.nan
            parts += [_of_item(moments, item) for item in range(len(judgments.ids))]
        kept = np.array([part for part in parts if part is not None]).reshape(-1, 4)
        if len(kept):
            total, within, between, plug_in = map(float, kept.mean(0))
            found[name] = Split(len(kept), total, within, between, plug_in, by_heat)
    return found


def _moments(judgments: Judgments, rows: np.ndarray, place: int) -> Moments:
    if judgments.values is not None:
        return panels.of_answers(judgments.values[rows][..., place : place + 1])
    assert judgments.counts is not None
    counts = judgments.counts[rows][..., place : place + 1]
    return panels.of_counts(counts, judgments.answered[rows])


def _of_item(moments: Moments, item: int) -> tuple[float, ...] | None:
    """The split among the judges who answered the item twice; None for fewer than two."""
    there = np.flatnonzero(np.asarray(moments.answers[:, item]) > 1)
    if len(there) < 2:
        return None
    own = jax.tree.map(lambda x: jnp.asarray(np.asarray(x)[there][:, item : item + 1]), moments)
    parts = panels.jury_split(own)
    return tuple(float(x[0]) for x in (parts.total, parts.within, parts.between, parts.plug_in))
