"""The conditions of one evaluation, scored once: what every table is made from.

A :class:`Condition` holds everything that is derived from one file of predictions: ensemble mean,
predicted class, scores, and what people said. :class:`Conditions` sorts them by their role and adds
what they share: bootstrap weights of the test items, and random keys that are never used twice.
"""

import dataclasses
import functools
from collections.abc import Iterable, Mapping

import jax
import numpy as np

from ferjax import votes as votes_of
from ferjax.evaluation import error_score, learned_router
from ferjax.evaluation import scores as scores_of
from ferjax.evaluation.class_priors import adjusted_all
from ferjax.evaluation.concentration import with_concentrations
from ferjax.evaluation.resampling import draw_weights
from ferjax.evaluation.results import ConcentrationFit
from ferjax.evaluation.routing_results import LearnedRouter
from ferjax.predictions import Predictions
from ferjax.priors import Adjustment

__all__ = ["Condition", "Conditions", "People", "class_names", "scored", "shared_scores"]


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


def _voted(p: Predictions) -> bool:
    return p.votes is not None or p.vote_shares is not None


def _people(p: Predictions) -> People | None:
    return People.of(p.votes, p.vote_shares) if _voted(p) else None


_LATER = ("epistemic_given_aleatoric", "l_uar", "l_uar_density", "random", *error_score.NAMES)
"""Scores that an evaluation computes once every condition is scored."""


def scored(p: Predictions, people: People | None = None) -> Condition:
    """One condition with the scores that need no other; ``people`` by default from its votes.

    Raises:
      ValueError: if it carries a score of a name that is computed here.
    """
    people = _people(p) if people is None else people
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


@dataclasses.dataclass(frozen=True)
class Conditions:
    """All conditions of one evaluation by their role; build it with :meth:`of`."""

    test: Condition
    """The clean test split, with votes."""
    valid: Condition | None
    """The clean valid split."""
    corrupted: tuple[Condition, ...]
    """Corrupted copies of the test items, in the same order."""
    tolerated: tuple[Condition, ...]
    """The test items under harmless changes, in the same order."""
    tolerated_valid: tuple[Condition, ...]
    """Valid items under harmless changes; thresholds keep their promise for these too."""
    ood: tuple[Condition, ...]
    """Other sets of items."""
    classes: tuple[str, ...]
    weights: jax.Array
    """``[resample, item]`` bootstrap weights of the test items, the same for every table."""
    seed: int
    learned: Mapping[str, LearnedRouter]
    """What routers were learned from corrupted valid items; their scores are in ``scores``."""
    concentration: ConcentrationFit
    """Where the members' concentrations come from."""
    adjustment: Adjustment | None = None
    """Under which class prior everything here is read; None: the training prior, unknown."""
    errors: error_score.ErrorReader | None = None
    """What was learned of errors from corrupted valid items; its scores are in ``scores``."""

    @property
    def resamples(self) -> int:
        """Bootstrap resamples behind every interval."""
        return self.weights.shape[0]

    @property
    def severities(self) -> tuple[int, ...]:
        """Severities of the corrupted copies, ascending."""
        return tuple(sorted({c.severity for c in self.corrupted}))

    def at(self, severity: int) -> tuple[Condition, ...]:
        """The corrupted copies of one severity."""
        return tuple(c for c in self.corrupted if c.severity == severity)

    @property
    def worst(self) -> tuple[Condition, ...]:
        """The corrupted copies at the highest severity; none: no copies."""
        return self.at(self.severities[-1]) if self.corrupted else ()

    @property
    def shifted(self) -> tuple[Condition, ...]:
        """Everything that is held against the clean test items."""
        return (*self.corrupted, *self.ood)

    def key(self, purpose: str) -> jax.Array:
        """The random key of one purpose, different for every purpose."""
        return _key(self.seed, purpose)

    @classmethod
    def of(
        cls,
        predictions: Mapping[str, Predictions],
        *,
        resamples: int = 2000,
        seed: int = 0,
        classes: tuple[str, ...] | None = None,
        adjustment: Adjustment | None = None,
    ) -> "Conditions":
        """Scores every condition once.

        Args:
          predictions: condition -> predictions. Needed is the clean ``test`` split with votes.
            Corrupted valid items are what routers are learned from, and are not kept. Members
            without concentrations get them from :mod:`ferjax.evaluation.concentration`.
          resamples: bootstrap resamples behind every interval; items of one group are drawn
            together.
          seed: seed of the bootstrap and of everything else that is random in an evaluation.
          classes: names of the classes; by default those of the predictions, else numbers.
          adjustment: the class prior under which every condition is read.

        Raises:
          ValueError: if the test split or its votes are missing, or conditions do not fit together.
        """
        test = _check(predictions)
        names = class_names(test.log_probs.shape[2], classes or test.classes)
        predictions, concentration = with_concentrations(adjusted_all(predictions, adjustment))
        people = _people(test)
        # Copies of the test items share what was said of these.
        every = [scored(p, people if p.split == "test" else None) for p in predictions.values()]
        valid = next((c for c in every if _clean(c, "valid")), None)
        fitting = [c for c in every if c.predictions.split == "valid" and c.corruption is not None]
        kept = [c for c in every if c.corruption is None or c.predictions.split == "test"]
        learned: Mapping[str, LearnedRouter] = {}
        errors = None
        if valid is not None:
            kept = [_ranked(c, valid) for c in kept]
            valid = next(c for c in kept if _clean(c, "valid"))
            kept, learned = learned_router.add_scores(kept, valid, fitting)
            errors = error_score.fit_on(valid, fitting)
            if errors is not None:
                kept = [error_score.add_errors(c, errors) for c in kept]
            valid = next(c for c in kept if _clean(c, "valid"))
        tolerated = [c for c in kept if c.tolerance is not None]
        return cls(
            test=next(c for c in kept if _clean(c, "test")),
            valid=valid,
            corrupted=tuple(c for c in kept if c.corruption is not None),
            tolerated=tuple(c for c in tolerated if c.predictions.split == "test"),
            tolerated_valid=tuple(c for c in tolerated if c.predictions.split == "valid"),
            ood=tuple(c for c in kept if c.predictions.split == "ood"),
            classes=names,
            weights=draw_weights(_key(seed, "bootstrap"), len(test.ids), resamples, test.groups),
            seed=seed,
            learned=learned,
            concentration=concentration,
            adjustment=adjustment,
            errors=None if errors is None else errors.everything,
        )


_PURPOSES = ("bootstrap", "half splits", "ood sets", "labelled sets", "distance", "posterior")


def _key(seed: int, purpose: str) -> jax.Array:
    return jax.random.fold_in(jax.random.key(seed), _PURPOSES.index(purpose))


def _clean(c: Condition, split: str) -> bool:
    p = c.predictions
    return p.split == split and p.corruption is None and p.tolerance is None


def _ranked(c: Condition, valid: Condition) -> Condition:
    both = ("epistemic", "aleatoric")
    rank = np.asarray(
        scores_of.epistemic_given_aleatoric(
            *(of.scores[part] for of in (c, valid) for part in both)
        )
    )
    return dataclasses.replace(c, scores={**c.scores, "epistemic_given_aleatoric": rank})


def shared_scores(conditions: Iterable[Condition]) -> list[str]:
    """Scores that all of these have, in the order of the first."""
    first, *others = conditions
    return [name for name in first.scores if all(name in other.scores for other in others)]


def class_names(count: int, given: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """Names of the classes: as given, else numbers.

    Raises:
      ValueError: if there are more or fewer names than classes.

    >>> class_names(2)
    ('class 0', 'class 1')
    """
    names = given or tuple(f"class {c}" for c in range(count))
    if len(names) != count:
        raise ValueError(
            f"{len(names)} class names ({', '.join(names)}) for predictions of {count} classes"
        )
    return tuple(names)


def _check(predictions: Mapping[str, Predictions]) -> Predictions:
    """The clean test split, once everything fits together."""
    by_role: dict[str, list[str]] = {"test": [], "valid": []}
    for name, p in predictions.items():
        if p.corruption is None and p.tolerance is None and p.split in by_role:
            by_role[p.split].append(name)
    for split, found in by_role.items():
        if len(found) > 1:
            raise ValueError(f"conditions {', '.join(found)} are all the clean {split} split")
    if not by_role["test"] or not _voted(predictions[by_role["test"][0]]):
        raise ValueError(
            f"evaluation needs condition 'test' with votes; got {', '.join(predictions) or 'none'}"
        )
    test = predictions[by_role["test"][0]]
    if len(test.ids) < 2:
        raise ValueError(f"evaluation needs at least 2 test items, got {len(test.ids)}")
    votes = np.ones((1, 1)) if test.votes is None else test.votes
    empty = np.flatnonzero(votes.sum(1) == 0)
    if len(empty):
        raise ValueError(
            f"test item {empty[0]} (id {test.ids[empty[0]]}) has no vote; leave out items that "
            f"nobody could judge ({len(empty)} of them), or give them as an out-of-distribution set"
        )
    for name, p in predictions.items():
        if p.classes is not None and test.classes is not None and p.classes != test.classes:
            raise ValueError(
                f"condition {name} has the classes {', '.join(p.classes)}, the test items "
                f"{', '.join(test.classes)}"
            )
        if p.corruption is not None and p.severity is None:
            raise ValueError(f"condition {name} does not say its severity, 1 to 5")
        if p.corruption is not None and p.split == "ood":
            raise ValueError(
                f"condition {name} is of split ood and corrupted by {p.corruption}; corrupted are "
                "copies of test or valid items"
            )
        if p.corruption is not None and not by_role[p.split]:
            raise ValueError(
                f"condition {name} holds corrupted {p.split} items, but there are no clean ones"
            )
        if p.log_probs.shape[::2] != test.log_probs.shape[::2]:
            raise ValueError(
                f"condition {name} has {p.log_probs.shape[0]} members and {p.log_probs.shape[2]} "
                f"classes, the test items have {test.log_probs.shape[0]} and "
                f"{test.log_probs.shape[2]}"
            )
        if p.split == "test" and not np.array_equal(p.ids, test.ids):
            raise ValueError(
                f"condition {name} holds other items than the clean test split "
                f"({len(p.ids):,} and {len(test.ids):,}); ids must agree in order"
            )
    return test
