"""When a jury of models may replace people: accept its label, defer to its distribution, or ask.

Thresholds are chosen on a few rated texts and certified on others of them; nothing is looked at
twice. A text is *asked* where the models disagree more than all but a promised share of rated texts
do (conformal), *accepted* where one label is so likely that the error among accepted texts is
certified, and *deferred* otherwise: the distribution is reported, not a label.
"""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import conformal, panels
from ferjax.evaluation.judgments.calibrate import applied
from ferjax.evaluation.judgments.sides import Sides
from ferjax.evaluation.routing_results import Certificate
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
    """Of the error among accepted texts: the chance that a random person does not choose the
    accepted label."""
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
    sides: Sides,
    of: Signals,
    *,
    max_error: float,
    confidence: float = 0.9,
    false_asks: float = 0.1,
    seed: int = 0,
) -> JuryRouter:
    """Chooses and certifies thresholds on rated texts.

    Args:
      sides: people and judges of the rated texts.
      of: their signals; calibrators must not have been fitted to these texts, or be cross-fitted.
      max_error: ε, the error to be certified among accepted texts.
      confidence: 1 − δ.
      false_asks: α, the share of texts to be asked about only for the division of models.
      seed: which of a text's raters stands for "a person".

    Returns:
      :class:`JuryRouter`.

    Raises:
      ValueError: if there are fewer than 20 rated texts, or a share is outside (0, 1).
    """
    if len(of.ambiguity) < 20:
        raise ValueError(f"thresholds need at least 20 rated texts, got {len(of.ambiguity)}")
    for name, share in (("max_error", max_error), ("confidence", confidence)):
        if not 0 < share < 1:
            raise ValueError(f"{name} must lie strictly between 0 and 1, got {share:g}")
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
    passes = of.division[order] <= ask_above
    certificate = _certify(of.ambiguity[order], wrong[order], passes, max_error, confidence)
    return JuryRouter(ask_above, false_asks, certificate, len(label))


def _certify(
    ambiguity: np.ndarray,
    wrong: np.ndarray,
    passes: np.ndarray,
    max_error: float,
    confidence: float,
) -> Certificate:
    """The most lenient threshold of the ambiguity with a certified error among accepted texts.

    Every other text proposes thresholds, its quantiles; the others certify
    (:func:`ferjax.conformal.learn_then_test`). The walk begins where so many are accepted that a
    few errors do not end it: with a handful of rated texts the first tenth proves nothing.
    """
    prove = slice(1, None, 2)
    levels = np.linspace(0, 1, 41)[1:]
    walk = np.quantile(ambiguity[0::2], levels)
    inside = (ambiguity[prove][:, None] <= walk[None]) & passes[prove][:, None]
    accepted = inside.sum(0)
    errors = (inside & wrong[prove][:, None]).sum(0)
    least = 3 * np.log(1 - confidence) / np.log(1 - max_error)
    first = int(np.searchsorted(levels * len(inside), min(least, 0.9 * len(inside))))
    delta = 1 - confidence
    proven = np.asarray(
        conformal.learn_then_test(errors, accepted, max_error=max_error, delta=delta, first=first)
    )
    if not proven.any():
        found = errors[first] / max(accepted[first], 1)
        return Certificate(
            max_error,
            confidence,
            refused=f"an error of at most {max_error:.0%} among accepted texts cannot be promised "
            f"with confidence {confidence:.0%} on {len(inside)} texts (found {found:.0%} among the "
            f"{accepted[first]} clearest): rate more texts, or allow more errors",
        )
    last = int(np.flatnonzero(proven)[-1])
    return Certificate(
        max_error,
        confidence,
        above=float(walk[last]),
        accepted=float(accepted[last] / len(inside)),
        error=float(errors[last] / accepted[last]),
    )


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
    """Mean unbiased gap of the reported distribution, among deferred texts with ratings."""


def route(sides: Sides, of: Signals, router: JuryRouter) -> tuple[np.ndarray, Decision]:
    """Decides on every text, and says how that turned out where there are ratings.

    Returns:
      Indices into :data:`ACTIONS` ``[item]``, and the summary.
    """
    action = router.decide(of)
    rated = sides.ratings.raters_of > 0
    label = of.probs.argmax(-1)
    wrong = 1 - sides.people_shares[np.arange(len(label)), label]
    accepted = (action == 0) & rated
    gap = np.asarray(panels.gap(sides.people, panels.of_probs(of.probs)))
    deferred = (action == 1) & (sides.ratings.raters_of > 1)
    return action, Decision(
        items=len(action),
        actions={name: int((action == k).sum()) for k, name in enumerate(ACTIONS)},
        saved=float((action != 2).mean()),
        error=float(wrong[accepted].mean()) if accepted.any() else None,
        gap=float(gap[deferred].mean()) if deferred.any() else None,
    )


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
