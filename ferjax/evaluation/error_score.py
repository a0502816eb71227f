"""How likely the ensemble is to be wrong on an item, and how much likelier than it admits.

Distance is not error: an item may look strange and be answered rightly, or look ordinary and not.
A logistic regression on out-of-fold valid items, clean and under synthetic corruptions, learns the
probability of an error from density, epistemic and aleatoric uncertainty, and confidence
(``error``). A second one, on clean valid items, learns it from confidence and aleatoric alone: what
the ensemble admits. Their difference (``excess_error``) is large where shift costs accuracy, and
near 0 on clean ambiguous items, however often these are answered wrongly.

No corruption is scored by a model that saw one of its family, and no valid item by one that saw it.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferjax.config import family_of
from ferjax.evaluation.logistic_regression import with_ridge
from ferjax.recalibration import make_folds

if TYPE_CHECKING:
    from ferjax.evaluation.conditions import Condition

__all__ = [
    "NAMES",
    "ErrorModel",
    "ErrorReader",
    "Fitted",
    "add_errors",
    "carried_names",
    "error_scores",
    "features",
    "fit_errors",
    "fit_on",
]

NAMES = ("error", "excess_error")
"""Scores that :func:`error_scores` gives."""
DENSITIES = ("ood_density", "texture")
"""Carried scores that are read as far as they are there, beside those of blocks."""
FOLDS = 2
_STEP = 2.0  # of a weight at once: Newton's method overshoots where errors are told perfectly
PENALTY = 1.0
_READ = ("max_prob", "aleatoric", "epistemic")
_OWN = len(_READ)
_ADMITTED = 2
"""So many features, the first, are what the ensemble admits by itself."""


class ErrorModel(NamedTuple):
    """Logistic regressions on :func:`features`; leaves ``[feature]`` or scalar, or with one axis
    more in front."""

    mean: jax.Array
    scale: jax.Array
    weights: jax.Array
    bias: jax.Array
    admitted: jax.Array
    """Weights of what the ensemble admits, on the first features."""
    admitted_bias: jax.Array


def carried_names(scores: Mapping[str, object]) -> tuple[str, ...]:
    """Scores of a condition that the models read beside what every ensemble has.

    >>> carried_names({"texture": 0, "block_4": 0, "total": 0})
    ('block_4', 'texture')
    """
    return tuple(sorted(n for n in scores if n in DENSITIES or n.startswith("block_")))


def features(scores: Mapping[str, jax.Array], carried: Sequence[str]) -> jax.Array:
    """What the models read, float32 ``[item, feature]``.

    Args:
      scores: name -> ``[item]``, see :mod:`ferjax.evaluation.scores`.
      carried: the densities among them, see :func:`carried_names`.
    """
    rest = jnp.clip(jnp.asarray(scores["max_prob"], jnp.float32), 1e-4, 1 - 1e-4)
    columns = [jnp.log(rest) - jnp.log1p(-rest), jnp.asarray(scores["aleatoric"], jnp.float32)]
    columns.append(jnp.log(jnp.maximum(jnp.asarray(scores["epistemic"], jnp.float32), 0) + 1e-3))
    for name in carried:
        values = jnp.asarray(scores[name], jnp.float32)
        # Distances have long tails; their logarithms are what a linear score can weigh.
        columns.append(jnp.sign(values) * jnp.log1p(jnp.abs(values)))
    return jnp.stack(columns, axis=-1)


def error_scores(model: ErrorModel, x: jax.Array) -> dict[str, jax.Array]:
    """Both scores of :func:`features` ``x [item, feature]``: ``error`` in [0, 1], ``excess_error``
    in [-1, 1]; pure, for use inside a compiled program."""
    z = jnp.clip((x - model.mean[None]) / model.scale[None], -8, 8)
    error = jax.nn.sigmoid(z @ model.weights + model.bias)
    admitted = jax.nn.sigmoid(z[:, :_ADMITTED] @ model.admitted + model.admitted_bias)
    return {"error": error, "excess_error": error - admitted}


@jax.jit
def fit_errors(x: jax.Array, wrong: jax.Array, clean: jax.Array, weights: jax.Array) -> ErrorModel:
    """Fits a model for every row of weights.

    Args:
      x: ``[item, feature]`` of valid items and their corrupted copies.
      wrong: ``[item]`` bool, whether they are answered wrongly.
      clean: ``[item]`` bool, which of them are clean.
      weights: ``[model, item]`` >= 0; 0 leaves an item out.

    Returns:
      Leaves ``[model, ...]``.
    """
    y = wrong.astype(jnp.float32)

    def one(w: jax.Array) -> ErrorModel:
        total = jnp.sum(w)
        mean = w @ x / total
        scale = jnp.sqrt(w @ jnp.square(x - mean[None]) / total) + 1e-6
        z = jnp.clip((x - mean[None]) / scale[None], -8, 8)
        all_of_it = with_ridge(z, y, w, PENALTY, _STEP)
        admitted = with_ridge(z[:, :_ADMITTED], y, w * clean, PENALTY, _STEP)
        return ErrorModel(mean, scale, all_of_it[:-1], all_of_it[-1], admitted[:-1], admitted[-1])

    return jax.vmap(one)(weights)


class ErrorReader(NamedTuple):
    """A model and the carried scores it reads: what a router needs."""

    carried: tuple[str, ...]
    model: ErrorModel

    def __call__(self, scores: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        """Both scores from the others; pure, for use inside a compiled program.

        Raises:
          ValueError: if one that is read is missing.
        """
        missing = sorted(set(self.carried) - set(scores))
        if missing:
            raise ValueError(f"the error score reads {', '.join(missing)}, which is not there")
        return error_scores(self.model, features(scores, self.carried))

    def to_json(self) -> dict[str, Any]:
        """JSON values that :meth:`from_json` reads."""
        leaves = {name: np.asarray(of).tolist() for name, of in self.model._asdict().items()}
        return {"carried": list(self.carried), **leaves}

    @classmethod
    def from_json(cls, values: Any) -> "ErrorReader":
        """What :meth:`to_json` wrote.

        Raises:
          ValueError: if it is something else.
        """
        try:
            carried = tuple(str(name) for name in values["carried"])
            leaves = {n: jnp.asarray(np.asarray(values[n], np.float32)) for n in ErrorModel._fields}
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"no model of errors: {error}") from error
        width = _OWN + len(carried)
        expected = [(width,), (width,), (width,), (), (_ADMITTED,), ()]
        shapes = [leaf.shape for leaf in leaves.values()]
        if shapes != expected:
            raise ValueError(f"no model of errors: leaves must be {expected}, got {shapes}")
        return cls(carried, ErrorModel(**leaves))


class Fitted(NamedTuple):
    """Models by what they were fitted without, and one fitted on everything."""

    everything: ErrorReader
    without_fold: tuple[ErrorModel, ...]
    without_family: dict[str, ErrorModel]


def _folds_of(valid: "Condition") -> Callable[[np.ndarray], np.ndarray]:
    """From ids to folds: an item's, the same for all of its copies and its group; -1 for one that
    is not among the valid ones."""
    p = valid.predictions
    fold = make_folds(p.ids if p.groups is None else p.groups, FOLDS)
    order = np.argsort(p.ids)

    def look_up(ids: np.ndarray) -> np.ndarray:
        place = order[np.minimum(np.searchsorted(p.ids[order], ids), len(order) - 1)]
        return np.where(p.ids[place] == ids, fold[place], -1)

    return look_up


def _balanced(clean: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Weights ``[item]`` that sum to the items of a mask, half of it on clean ones: half of what
    comes is taken for clean."""
    kept = int(mask.sum())
    clean_weight = kept / (2 * max(int((mask & clean).sum()), 1))
    other_weight = kept / (2 * max(int((mask & ~clean).sum()), 1))
    return (np.where(clean, clean_weight, other_weight) * mask).astype(np.float32)


def fit_on(valid: "Condition", fitting: Sequence["Condition"]) -> Fitted | None:
    """Fits every model that scoring needs.

    Args:
      valid: clean valid items, with votes.
      fitting: corrupted copies of valid items.

    Returns:
      None where there are no copies, no votes, or no error to learn from.
    """
    if not fitting or valid.people is None or not valid.people.everyone_voted:
        return None
    every = [valid, *fitting]
    carried = carried_names(valid.scores)
    x = np.concatenate([_read(c, carried) for c in every])
    wrong = np.concatenate([~c.correct for c in every])
    if wrong.all() or not wrong.any():
        return None
    clean = np.arange(len(x)) < valid.items
    folds = _folds_of(valid)
    fold = np.concatenate([folds(c.predictions.ids) for c in every])
    of_copies = [np.full(c.items, family_of(str(c.corruption))) for c in fitting]
    family = np.concatenate([np.full(valid.items, ""), *of_copies])
    families = tuple(sorted(set(family[~clean])))
    masks = [np.ones(len(x), bool), *(fold != f for f in range(FOLDS))]
    masks += [family != name for name in families]
    weights = np.stack([_balanced(clean, mask) for mask in masks])
    found = fit_errors(x, wrong, clean, weights)
    models = [jax.tree.map(lambda leaf, m=m: leaf[m], found) for m in range(len(masks))]
    return Fitted(
        ErrorReader(carried, models[0]),
        tuple(models[1 : 1 + FOLDS]),
        dict(zip(families, models[1 + FOLDS :])),
    )


_features = jax.jit(features, static_argnames="carried")
_scores = jax.jit(error_scores)


def _read(c: "Condition", carried: tuple[str, ...]) -> np.ndarray:
    """The condition's features."""
    return np.asarray(_features({name: c.scores[name] for name in (*_READ, *carried)}, carried))


def add_errors(c: "Condition", fitted: Fitted) -> "Condition":
    """The condition with both of :data:`NAMES`, by the model that may score each item.

    Raises:
      ValueError: if it lacks a score that clean valid items have.
    """
    carried = fitted.everything.carried
    missing = sorted(set(carried) - set(c.scores))
    if missing:
        raise ValueError(f"condition {c.name} has no score {missing[0]}, the valid items have one")
    x = _read(c, carried)
    if c.predictions.split == "valid" and c.corruption is None:
        by_fold = [jax.device_get(_scores(model, x)) for model in fitted.without_fold]
        own = (_folds_of(c)(c.predictions.ids), np.arange(c.items))
        made = {name: np.stack([of[name] for of in by_fold])[own] for name in NAMES}
    else:
        family = "" if c.corruption is None else family_of(c.corruption)
        model = fitted.without_family.get(family, fitted.everything.model)
        made = jax.device_get(_scores(model, x))
    return dataclasses.replace(c, scores={**c.scores, **made})
