"""Learned routers: logistic regression telling corrupted valid items from clean ones.

L-UAR reads seven features of the predictions; its variant also reads every score the files carry
(densities, above all). Scores on the corruptions a router was fitted on are optimistic, so each
corruption is also scored by a router that was fitted without it.

Reference: arXiv 2606.22725 (L-UAR, whose released code fits on the test faces it scores).
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import metrics
from ferjax.evaluation.logistic_regression import with_ridge
from ferjax.evaluation.routing_results import LearnedRouter
from ferjax.evaluation.scores import FEATURES

if TYPE_CHECKING:
    from ferjax.evaluation.conditions import Condition

__all__ = ["Logistic", "add_scores", "fit", "fit_logistic", "leave_one_out", "score"]


class Logistic(NamedTuple):
    """``weights [feature]`` and ``bias`` on features standardised by ``mean`` and ``scale``;
    ``names`` of the carried scores that are read after the seven features."""

    weights: jax.Array
    bias: jax.Array
    mean: jax.Array
    scale: jax.Array
    names: tuple[str, ...] = ()


@jax.jit
def fit_logistic(features: jax.Array, labels: jax.Array, penalty: float = 1.0) -> Logistic:
    """Ridge-penalised logistic regression by Newton's method, classes weighted alike.

    Args:
      features: ``[item, feature]``.
      labels: ``[item]`` bool.
      penalty: on the squared weights of standardised features (not on the bias).

    Returns:
      :class:`Logistic`.
    """
    mean = jnp.mean(features, 0)
    scale = jnp.std(features, 0) + 1e-9
    y = labels.astype(jnp.float32)
    balance = jnp.where(labels, 0.5 / jnp.mean(y), 0.5 / jnp.mean(1 - y))
    weights = with_ridge((features - mean[None]) / scale[None], y, balance, penalty)
    return Logistic(weights[:-1], weights[-1], mean, scale)


def _features(condition: "Condition", names: Sequence[str]) -> np.ndarray:
    carried = [np.asarray(condition.scores[name]) for name in names]
    # Distances have long tails; their logarithms are what a linear score can weigh.
    logs = [(np.sign(values) * np.log1p(np.abs(values)))[:, None] for values in carried]
    return np.concatenate([np.asarray(condition.features), *logs], axis=1)


def fit(valid: "Condition", corrupted: Iterable["Condition"], *, with_scores: bool) -> Logistic:
    """Fits a router on valid items: clean against corrupted.

    Args:
      valid: clean.
      corrupted: copies of valid items.
      with_scores: also read every score the files carry.
    """
    names = tuple(sorted(valid.predictions.scores)) if with_scores else ()
    clean = _features(valid, names)
    features = np.concatenate([clean, *(_features(c, names) for c in corrupted)])
    is_corrupted = jnp.arange(len(features)) >= len(clean)
    router = fit_logistic(jnp.asarray(features, jnp.float32), is_corrupted)
    return router._replace(names=names)


def score(router: Logistic, condition: "Condition") -> np.ndarray:
    """The router's log odds that an item is corrupted, float32 ``[item]``."""
    features = np.asarray(_features(condition, router.names), np.float32)
    return np.asarray(_log_odds(router._replace(names=()), features))


@jax.jit
def _log_odds(router: Logistic, features: jax.Array) -> jax.Array:
    return ((features - router.mean[None]) / router.scale[None]) @ router.weights + router.bias


def leave_one_out(
    valid: "Condition",
    corrupted: Sequence["Condition"],
    test: "Condition",
    copies: Sequence["Condition"],
    *,
    with_scores: bool,
) -> LearnedRouter:
    """Shift AUROC on test items, per corruption, of a router fitted without that corruption.

    Args:
      valid: clean valid items.
      corrupted: copies of valid items to fit on.
      test: clean test items.
      copies: corrupted copies of the test items.
      with_scores: also read every score the files carry.
    """
    fitted = sorted({str(c.corruption) for c in corrupted})
    everything = fit(valid, corrupted, with_scores=with_scores)
    without = {
        name: fit(valid, [c for c in corrupted if c.corruption != name], with_scores=with_scores)
        for name in fitted
        if len(fitted) > 1
    }
    auroc: dict[str, dict[int, float]] = {}
    for c in copies:
        router = without.get(str(c.corruption), everything)
        area = float(_auroc_between(score(router, test), score(router, c)))
        auroc.setdefault(str(c.corruption), {})[c.severity] = area
    weights = dict(zip((*FEATURES, *everything.names), map(float, everything.weights)))
    return LearnedRouter(tuple(fitted), weights, auroc)


_auroc_between = jax.jit(metrics.auroc_between)


def add_scores(
    kept: Sequence["Condition"], valid: "Condition", fitting: Sequence["Condition"]
) -> tuple[list["Condition"], dict[str, LearnedRouter]]:
    """Adds the learned routers' scores to every condition.

    Args:
      kept: the conditions to score.
      valid: clean valid items.
      fitting: corrupted copies of valid items; none: nothing is learned.

    Returns:
      The conditions with ``l_uar``, and ``l_uar_density`` where their files carry all scores that
      it reads; and what was learned, by the same names.
    """
    variants = {"l_uar": False, "l_uar_density": True}
    variants = {n: more for n, more in variants.items() if valid.predictions.scores or not more}
    if not fitting:
        return list(kept), {}
    routers = {n: fit(valid, fitting, with_scores=more) for n, more in variants.items()}

    def with_learned(c: "Condition") -> "Condition":
        # A set of pictures from elsewhere may lack a score: head densities are not kept for them.
        read = {n: score(r, c) for n, r in routers.items() if set(r.names) <= set(c.scores)}
        return dataclasses.replace(c, scores={**c.scores, **read})

    scored = [with_learned(c) for c in kept]
    test = next(
        c
        for c in kept
        if c.predictions.split == "test" and c.corruption is None and c.tolerance is None
    )
    copies = [c for c in kept if c.corruption is not None]
    learned = {
        n: leave_one_out(valid, fitting, test, copies, with_scores=more)
        for n, more in variants.items()
    }
    return scored, learned
