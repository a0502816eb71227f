"""The conditions of one evaluation, scored once: what every table is made from.

:class:`Conditions` sorts what :mod:`ferjax.evaluation.condition` scores by its role and adds what
is shared: bootstrap weights of the test items, and random keys that are never used twice.
"""

import dataclasses
from collections.abc import Iterable, Mapping

import jax
import numpy as np

from ferjax.evaluation import error_score, learned_router
from ferjax.evaluation import scores as scores_of
from ferjax.evaluation.class_priors import adjusted_all
from ferjax.evaluation.concentration import with_concentrations
from ferjax.evaluation.condition import Condition, People, people_of, scored
from ferjax.evaluation.condition_checks import class_names, require_fitting
from ferjax.evaluation.resampling import draw_weights
from ferjax.evaluation.results import ConcentrationFit
from ferjax.evaluation.routing_results import LearnedRouter
from ferjax.events import Message, OnEvent, Progress, silent
from ferjax.predictions import Predictions
from ferjax.priors import Adjustment

__all__ = ["Condition", "Conditions", "People", "class_names", "scored", "shared_scores"]


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
        on_event: OnEvent = silent,
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
          on_event: told which part is worked on.

        Raises:
          ValueError: if the test split or its votes are missing, or conditions do not fit together.
        """
        test = require_fitting(predictions)
        names = class_names(test.log_probs.shape[2], classes or test.classes)
        on_event(Message(f"scoring {len(predictions)} conditions"))
        predictions, concentration = with_concentrations(adjusted_all(predictions, adjustment))
        people = people_of(test)
        # Copies of the test items share what was said of these.
        every = []
        for number, p in enumerate(predictions.values()):
            on_event(Progress("  uncertainties of each", number / len(predictions), p.condition))
            every.append(scored(p, people if p.split == "test" else None))
        valid = next((c for c in every if _clean(c, "valid")), None)
        fitting = [c for c in every if c.predictions.split == "valid" and c.corruption is not None]
        kept = [c for c in every if c.corruption is None or c.predictions.split == "test"]
        learned: Mapping[str, LearnedRouter] = {}
        errors = None
        if valid is not None:
            on_event(Message("  ranks among the valid items"))
            kept = [_ranked(c, valid) for c in kept]
            valid = next(c for c in kept if _clean(c, "valid"))
            if fitting:
                on_event(Message(f"  routers learned from {len(fitting)} sets of valid items"))
            kept, learned = learned_router.add_scores(kept, valid, fitting)
            if fitting:
                on_event(Message("  errors learned from them"))
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
