"""When a jury of models may replace people: accept its label, defer to its distribution, or ask.

Thresholds are chosen on a few rated texts and certified on others of them; nothing is looked at
twice. A text is *asked* where the models disagree more than all but a promised share of rated texts
do (conformal), *accepted* where one label is so likely that what was promised of accepted texts is
certified (:mod:`ferjax.evaluation.judgments.promises`: the error of the label, the gap of the
distribution, or both), and *deferred* otherwise: no label is likely enough, so the whole
distribution is given in place of one.
"""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import conformal, panels
from ferjax.evaluation.judgments.calibrate import applied
from ferjax.evaluation.judgments.promises import Certificate, Promise, certify, gaps
from ferjax.evaluation.judgments.sides import Sides
from ferjax.prediction_powered import powered_mean

__all__ = ["ACTIONS", "Decision", "JuryRouter", "Share", "Signals", "fit_router", "route", "shares"]

ACTIONS = ("accept", "defer", "ask")


@dataclasses.dataclass(frozen=True)
class Signals:
    """What a jury says of each item."""

    probs: np.ndarray
    """``[item, class]``, the mean over models of their calibrated distributions."""
    ambiguity: np.ndarray
    """``[item]``: the chance that a person does not choose the likeliest label."""
    division: np.ndarray
    """``[item]``: variance between the models, free of the noise of few samples; 0 with one."""


def signals(sides: Sides, calibrators: Mapping[str, Mapping] | None) -> Signals:
    """Signals of the jury over the items of ``sides``; judges of one model count as one.

    Args:
      sides: people and judges.
      calibrators: of :func:`ferjax.evaluation.judgments.calibrate.fitted`; None: as they are.
    """
    assert sides.shares is not None
    several = sides.ratings.kind == "multi"
    stored = calibrators or {name: {"calibrator": "none"} for name in sides.names}
    probs = applied(stored, sides.names, sides.shares, sides.answers, several=several)
    models: dict[str, list[int]] = {}
    for place, judge in enumerate(sides.judges):
        models.setdefault(judge.model, []).append(place)
    seen = (sides.answers > 0)[..., None]
    with np.errstate(invalid="ignore"):
        of_model = np.stack(
            [
                (probs[own] * seen[own]).sum(0) / seen[own].sum(0)
                for own in (np.array(places) for places in models.values())
            ]
        )
    mean = np.nanmean(of_model, 0)
    division = np.zeros(len(mean))
    if len(models) > 1:
        pools = [
            panels.pool(jax.tree.map(lambda x, p=p: x[np.array(p)], sides.machines))
            for p in models.values()
        ]
        stacked = panels.Moments(*(jnp.stack(leaves) for leaves in zip(*pools)))
        # An item with a single sample of some model cannot be told: it is asked about.
        division = np.nan_to_num(np.asarray(panels.jury_split(stacked).between), nan=np.inf)
    return Signals(mean, 1 - mean.max(-1), division)


@dataclasses.dataclass(frozen=True)
class JuryRouter:
    """Thresholds, and what they promise."""

    ask_above: float
    """Of the division between models; infinite: never for that reason."""
    false_asks: float
    """The share of texts like the rated ones that exceed it, at most, in expectation."""
    certificate: Certificate
    """Of the accepted texts."""
    rated: int
    """Texts that thresholds were chosen on."""

    @property
    def accept_below(self) -> float:
        """Of the ambiguity; nothing is accepted where nothing could be certified."""
        above = self.certificate.above
        return -np.inf if np.isnan(above) else above

    def decide(self, of: Signals) -> np.ndarray:
        """Indices into :data:`ACTIONS`, ``[item]``."""
        accept = of.ambiguity <= self.accept_below
        return np.where(of.division > self.ask_above, 2, np.where(accept, 0, 1))


def fit_router(
    sides: Sides, of: Signals, promise: Promise, *, false_asks: float = 0.1, seed: int = 0
) -> JuryRouter:
    """Chooses and certifies thresholds on rated texts.

    Args:
      sides: people and judges of the rated texts.
      of: their signals; calibrators must not have been fitted to these texts, or be cross-fitted.
      promise: what is to be certified of accepted texts.
      false_asks: α, the share of texts to be asked about only for the division of models.
      seed: which of a text's raters stands for "a person".

    Returns:
      :class:`JuryRouter`.

    Raises:
      ValueError: if there are fewer than 20 rated texts.
    """
    if len(of.ambiguity) < 20:
        raise ValueError(f"thresholds need at least 20 rated texts, got {len(of.ambiguity)}")
    rng = np.random.default_rng(seed)
    label = of.probs.argmax(-1)
    # One rater drawn for each text is a yes or no, as an exact binomial test needs.
    agree = sides.people_shares[np.arange(len(label)), label]
    wrong = rng.random(len(label)) >= agree
    ask_above = np.inf
    if of.division.any():
        finite = np.where(np.isfinite(of.division), of.division, np.finfo(np.float32).max)
        ask_above = float(conformal.conformal_threshold(finite, false_asks))
    order = rng.permutation(len(label))
    certificate = certify(
        of.ambiguity[order],
        of.division[order] <= ask_above,
        wrong[order],
        gaps(sides, of.probs)[order],
        promise,
    )
    return JuryRouter(ask_above, false_asks, certificate, len(label))


@dataclasses.dataclass(frozen=True)
class Decision:
    """What a router does with a set of texts."""

    items: int
    actions: Mapping[str, int]
    saved: float
    """Share of the ratings that need not be collected: those of texts that are not asked about."""
    error: float | None
    """Mean chance, among accepted texts with ratings, that a person does not choose the label."""
    gap: float | None
    """Mean unbiased gap of the jury's distribution among accepted texts with two ratings or more,
    see :func:`ferjax.evaluation.judgments.promises.gaps`."""
    deferred_gap: float | None
    """The same among deferred ones."""


def route(sides: Sides, of: Signals, router: JuryRouter) -> tuple[np.ndarray, Decision]:
    """Decides on every text, and says how that turned out where there are ratings.

    Returns:
      Indices into :data:`ACTIONS` ``[item]``, and the summary.
    """
    action = router.decide(of)
    label = of.probs.argmax(-1)
    wrong = 1 - sides.people_shares[np.arange(len(label)), label]
    wrong = np.where(sides.ratings.raters_of > 0, wrong, np.nan)
    gap = gaps(sides, of.probs)
    return action, Decision(
        items=len(action),
        actions={name: int((action == k).sum()) for k, name in enumerate(ACTIONS)},
        saved=float((action != 2).mean()),
        error=_mean(wrong[action == 0]),
        gap=_mean(gap[action == 0]),
        deferred_gap=_mean(gap[action == 1]),
    )


def _mean(values: np.ndarray) -> float | None:
    """The mean of what is not NaN; None where nothing is left."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


@dataclasses.dataclass(frozen=True)
class Share:
    """How often a class is chosen, over all texts."""

    mean: float
    low: float
    high: float
    ratings_low: float
    """Of the interval from the rated texts alone."""
    ratings_high: float
    judge: float
    """What the jury alone says, biased as it may be."""
    worth: float
    """How many times the rated texts would be needed for ratings alone to be as precise."""


def shares(
    people: np.ndarray, judged: np.ndarray, others: np.ndarray, classes: tuple[str, ...]
) -> dict[str, Share]:
    """Prediction-powered shares of the classes over all texts.

    Args:
      people: ``[rated, class]`` rates.
      judged: ``[rated, class]`` the jury's, not fitted to these ratings.
      others: ``[other, class]`` the jury's of texts that nobody rated.
      classes: their names.
    """
    done = jax.jit(powered_mean)(people, judged, others)
    alone = np.concatenate([judged, others]).mean(0)
    return {
        name: Share(
            mean=float(done.mean[c]),
            low=float(done.low[c]),
            high=float(done.high[c]),
            ratings_low=float(done.ratings_low[c]),
            ratings_high=float(done.ratings_high[c]),
            judge=float(alone[c]),
            worth=float(done.worth[c]),
        )
        for c, name in enumerate(classes)
    }
