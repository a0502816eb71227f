"""One condition, scored once: ensemble mean, predicted class, scores, and what people said."""

import dataclasses
import functools
from collections.abc import Mapping

import jax
import numpy as np

from ferjax import votes as votes_of
from ferjax.evaluation import error_score
from ferjax.evaluation import scores as scores_of
from ferjax.predictions import Predictions

__all__ = ["Condition", "People", "people_of", "scored", "voted"]


@dataclasses.dataclass(frozen=True)
class People:
    """What people said of every item: counts, their distribution, and what follows from it."""

    counts: np.ndarray | None
    """``[item, class]`` int64; None where only shares are known."""
    q: np.ndarray
    """``[item, class]`` float64, vote distributions."""
    labels: np.ndarray
    """``[item]`` most voted class."""
    disagreement: np.ndarray
    """``[item]`` δ = 1 - max q."""
    ambiguous: np.ndarray
    """``[item]`` bool, upper third of vote entropy."""
    clear: np.ndarray
    """``[item]`` bool, lower third."""

    @classmethod
    def of(cls, counts: np.ndarray | None, shares: np.ndarray | None = None) -> "People":
        """Derives everything from vote counts ``[item, class]``, or from their shares alone."""
        counts = None if counts is None else votes_of.check(counts)
        q = np.asarray(shares) if counts is None else votes_of.distribution(counts)
        ambiguous, clear = votes_of.ambiguity(q)
        return cls(
            counts,
            q,
            votes_of.hard_labels(q),
            votes_of.disagreement(q),
            ambiguous,
            clear,
        )

    @functools.cached_property
    def everyone_voted(self) -> bool:
        """Whether every item has at least one vote."""
        return bool((self.q.sum(1) > 0).all())


@dataclasses.dataclass(frozen=True)
class Condition:
    """One condition, scored."""

    predictions: Predictions
    mean_log_probs: np.ndarray
    """``[item, class]`` of the ensemble."""
    predicted: np.ndarray
    """``[item]`` most probable class of the ensemble."""
    features: np.ndarray
    """``[item, 7]``, see :data:`ferjax.evaluation.scores.FEATURES`."""
    scores: Mapping[str, np.ndarray]
    """Score -> float32 ``[item]``: of log-probabilities, carried by the file, learned."""
    people: People | None
    """None where the condition has no votes."""

    @property
    def name(self) -> str:
        """Name of the condition."""
        return self.predictions.condition

    @property
    def corruption(self) -> str | None:
        """What was done to the items; None: nothing."""
        return self.predictions.corruption

    @property
    def tolerance(self) -> str | None:
        """The harmless change that was made to the items; None: none."""
        return self.predictions.tolerance

    @property
    def severity(self) -> int:
        """Severity of the corruption, 1 to 5; 0 where there is none."""
        return self.predictions.severity or 0

    @property
    def items(self) -> int:
        """Number of items."""
        return len(self.predictions.ids)

    @functools.cached_property
    def correct(self) -> np.ndarray:
        """``[item]`` bool, whether the predicted class is the most voted one."""
        return self.predicted == self.voted.labels

    @functools.cached_property
    def vote_share(self) -> np.ndarray:
        """``[item]`` share of votes for the predicted class."""
        return self.voted.q[np.arange(self.items), self.predicted]

    @property
    def voted(self) -> People:
        """What people said; an error where nobody was asked."""
        if self.people is None:
            raise ValueError(f"condition {self.name} has no votes")
        return self.people


def voted(p: Predictions) -> bool:
    """Whether anybody was asked about the items."""
    return p.votes is not None or p.vote_shares is not None


def people_of(p: Predictions) -> People | None:
    """What people said of the items; None where nobody was asked."""
    return People.of(p.votes, p.vote_shares) if voted(p) else None


_LATER = ("epistemic_given_aleatoric", "l_uar", "l_uar_density", "random", *error_score.NAMES)
"""Scores that an evaluation computes once every condition is scored."""


def scored(p: Predictions, people: People | None = None) -> Condition:
    """One condition with the scores that need no other; ``people`` by default from its votes.

    Raises:
      ValueError: if it carries a score of a name that is computed here.
    """
    people = people_of(p) if people is None else people
    found = jax.device_get(scores_of.score(p.log_probs, p.log_concentration))
    mean = found.mean_log_probs
    taken = sorted(set(p.scores) & {*found.scores, *_LATER})
    if taken:
        raise ValueError(
            f"condition {p.condition} carries scores called {', '.join(taken)}, which are computed "
            "here; rename the arrays"
        )
    carried = {name: np.asarray(of, np.float32) for name, of in p.scores.items()}
    return Condition(p, mean, mean.argmax(-1), found.features, {**found.scores, **carried}, people)
