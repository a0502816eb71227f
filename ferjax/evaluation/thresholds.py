"""Thresholds of the routers, chosen on valid faces alone, and what they do to every condition.

Two routers read the same members: ``uar`` is the paper's (defer on aleatoric, reject on epistemic);
``familiarity``, where densities were fitted, rejects on ood_density instead. References: arXiv
2606.22725; :mod:`ferjax.conformal`.
"""

import bisect
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import routing
from ferjax.evaluation import compiled
from ferjax.evaluation import scores as scores_of
from ferjax.faces import votes as votes_of
from ferjax.predictions import Predictions

__all__ = ["certified_defer_threshold", "choose_thresholds", "decisions", "threshold_grid"]

REJECT_SCORES = {"uar": "epistemic", "familiarity": "ood_density"}
"""Router -> the score it rejects on."""


def choose_thresholds(
    valid: Predictions,
    *,
    false_rejection: float = 0.05,
    defer_share: float = 1 / 3,
    per_group: bool = False,
    accept_error: float = 0.25,
    confidence: float = 0.9,
) -> dict:
    """Thresholds of every router, chosen on valid alone.

    Args:
      valid: clean valid predictions.
      false_rejection: split-conformal bound α on the rejection of clean faces.
      defer_share: share of valid faces to defer.
      per_group: keep the promise to ambiguous and to clear faces separately (needs votes).
      accept_error: the error among accepted faces that a certificate is sought for (needs votes).
      confidence: of the certificate, 1 - δ.

    Returns:
      ``aleatoric`` and ``epistemic`` thresholds of the paper's router, the settings behind them,
      and ``routers``: name -> ``defer`` and ``reject`` (``score``, ``above``), the reject threshold
      each predicted class would need for the same promise (``by_class``; None: too few faces to
      promise anything), and the ``certificate``.
    """
    scores = scores_of.from_predictions(valid)
    defer_above = float(compiled.quantile_threshold(scores["aleatoric"], defer_share))
    mean = compiled.mean_log_probs(valid.log_probs)
    predicted = jnp.argmax(mean, -1)
    classes = mean.shape[-1]
    routers: dict[str, dict] = {}
    for name, score in REJECT_SCORES.items():
        if score not in scores:
            continue
        if per_group:
            ambiguous, clear = votes_of.ambiguity(_shares(valid))
            groups = jnp.where(ambiguous, 0, jnp.where(clear, 1, -1))
            above = float(
                jnp.max(
                    compiled.group_conformal_thresholds(scores[score], groups, 2, false_rejection)
                )
            )
        else:
            above = float(compiled.conformal_threshold(scores[score], false_rejection))
        by_class = compiled.group_conformal_thresholds(
            scores[score], predicted, classes, false_rejection
        )
        routers[name] = {
            "defer": {"score": "aleatoric", "above": defer_above},
            "reject": {"score": score, "above": above},
            "by_class": [float(t) if jnp.isfinite(t) else None for t in by_class],
        }
        if valid.votes is not None:
            wrong = np.asarray(predicted) != votes_of.hard_labels(_shares(valid))
            passes = np.asarray(scores[score]) <= above
            try:
                found = certified_defer_threshold(
                    np.asarray(scores["aleatoric"]),
                    wrong,
                    passes,
                    max_error=accept_error,
                    delta=1 - confidence,
                )
                routers[name]["certificate"] = {
                    "accept_error": accept_error,
                    "confidence": confidence,
                    **found,
                }
            except ValueError as refusal:
                routers[name]["certificate"] = {
                    "accept_error": accept_error,
                    "confidence": confidence,
                    "refused": str(refusal),
                }
    return {
        "aleatoric": defer_above,
        "epistemic": routers["uar"]["reject"]["above"],
        "false_rejection": false_rejection,
        "defer_share": defer_share,
        "per_group": per_group,
        "valid_faces": len(valid.ids),
        "routers": routers,
    }


def _shares(p: Predictions) -> np.ndarray:
    if p.votes is None:
        raise ValueError(
            f"condition {p.condition} has no votes, which this choice of thresholds needs"
        )
    return votes_of.shares(p.votes)


def certified_defer_threshold(
    aleatoric: np.ndarray,
    wrong: np.ndarray,
    passes: np.ndarray,
    *,
    max_error: float,
    delta: float,
    steps: int = 40,
) -> dict:
    """The most lenient defer threshold with "error among accepted <= ``max_error``", promised with
    probability >= 1 - δ.

    Every other face proposes thresholds (its quantiles of aleatoric, from the first that accepts
    enough to learn_then_test anything); the others learn_then_test (:func:`thresholds.learn_then_test`).

    Args:
      aleatoric: ``[face]`` of valid faces.
      wrong: ``[face]`` whether the predicted class is not the most voted one.
      passes: ``[face]`` whether the reject threshold lets it pass.
      max_error: ε.
      delta: δ.
      steps: thresholds proposed.

    Returns:
      ``above`` (the threshold), ``accepted`` share and ``error`` among them, on the certifying
      faces.

    Raises:
      ValueError: if no threshold can be certified; says the smallest error that can be promised.
    """
    propose = slice(0, None, 2)
    prove = slice(1, None, 2)
    walk = np.quantile(aleatoric[propose], np.linspace(0, 1, steps + 1)[1:])
    first = int(np.searchsorted(np.linspace(0, 1, steps + 1)[1:], 0.1))
    inside = (aleatoric[prove][:, None] <= walk[None]) & passes[prove][:, None]
    accepted = inside.sum(0)
    errors = (inside & wrong[prove][:, None]).sum(0)

    def proven(max_error: float) -> np.ndarray:
        return np.asarray(
            compiled.learn_then_test(
                errors, accepted, max_error=max_error, delta=delta, first=first
            )
        )

    certified = proven(max_error)
    if not certified.any():
        tried = [percent / 100 for percent in range(1, 100)]
        best = bisect.bisect_left(
            tried, True, key=lambda e: bool(proven(e).any())
        )  # a weaker promise is never harder to keep
        raise ValueError(
            f"an error of at most {max_error:.0%} among accepted faces cannot be promised with confidence {1 - delta:.0%}"
            + (
                f"; the best that can is {tried[best]:.0%}"
                if best < len(tried)
                else "; nor can any other"
            )
        )
    last = int(np.flatnonzero(certified)[-1])
    return {
        "above": float(walk[last]),
        "accepted": float(accepted[last] / len(inside)),
        "error": float(errors[last] / accepted[last]),
    }


def decisions(predictions: Mapping[str, Predictions], chosen: Mapping, router: str = "uar") -> dict:
    """What a router does with every condition: shares of accept, defer, reject, and how good its
    labels are in each."""
    rule = chosen["routers"][router]
    limits = routing.Thresholds(rule["defer"]["above"], rule["reject"]["above"])
    table = {}
    for condition, p in predictions.items():
        scores = scores_of.from_predictions(p)
        action = np.asarray(
            compiled.decide(scores[rule["defer"]["score"]], scores[rule["reject"]["score"]], limits)
        )
        row: dict = {
            name: float((action == code).mean()) for code, name in enumerate(routing.ACTIONS)
        }
        if p.votes is not None and p.votes[:, :-2].sum(1).all():
            q = votes_of.shares(p.votes)
            predicted = np.asarray(compiled.mean_log_probs(p.log_probs)).argmax(-1)
            right = predicted == votes_of.hard_labels(q)
            share = q[np.arange(len(q)), predicted]
            ambiguous, clear = votes_of.ambiguity(q)
            for code, name in enumerate(routing.ACTIONS):
                of = action == code
                row[f"{name}_accuracy"] = float(right[of].mean()) if of.any() else None
                row[f"{name}_vote_accuracy"] = float(share[of].mean()) if of.any() else None
            for name, group in (("ambiguous", ambiguous), ("clear", clear)):
                row[name] = {
                    a: float((action[group] == code).mean()) if group.any() else None
                    for code, a in enumerate(routing.ACTIONS)
                }
        table[condition] = row
    return table


def threshold_grid(
    test: Predictions,
    shifted: Mapping[str, Predictions],
    chosen: Mapping,
    router: str = "uar",
    size: int = 64,
) -> dict:
    """A router's counts over the whole plane of its two thresholds, and the cells that no other
    beats.

    Groups are ambiguous clean, other clean, and corrupted faces. Thresholds are quantiles of the
    clean scores, so that the grid is fine where faces are.

    Returns:
      ``defer_above`` and ``reject_above`` thresholds ``[T]``; ``accept``, ``defer``, ``reject`` and
      ``errors [3, T, T]`` counts; ``front [T, T]``: no cell accepts more clean faces at a smaller
      error among them; and ``best (row, column)``: the most accepted clean faces with at most the
      promised share of clean faces rejected and the certificate's error, or (-1, -1).
    """
    assert test.votes is not None
    rule = chosen["routers"][router]
    names = {"defer": rule["defer"]["score"], "reject": rule["reject"]["score"]}
    q = votes_of.shares(test.votes)
    copies = [p for p in shifted.values() if p.corruption is not None]
    scores = [scores_of.from_predictions(p) for p in (test, *copies)]
    axes = {
        side: jnp.quantile(scores[0][name], jnp.linspace(0, 1, size))
        for side, name in names.items()
    }
    joined = {side: jnp.concatenate([s[name] for s in scores]) for side, name in names.items()}
    wrong = np.concatenate(
        [
            np.asarray(compiled.mean_log_probs(p.log_probs)).argmax(-1) != votes_of.hard_labels(q)
            for p in (test, *copies)
        ]
    )
    ambiguous, _ = votes_of.ambiguity(q)
    groups = np.concatenate([np.where(ambiguous, 0, 1), *(np.full(len(p.ids), 2) for p in copies)])
    counts = _grid(joined["defer"], joined["reject"], axes["defer"], axes["reject"], groups, wrong)
    clean = jax.tree.map(lambda c: c[:2].sum(0), counts)
    error = clean.errors / jnp.maximum(clean.accept, 1)
    max_error = rule.get("certificate", {}).get("accept_error", 1.0)
    cell = compiled.best_cell(
        clean.accept,
        (clean.reject <= chosen["false_rejection"] * len(test.ids))
        & (error <= max_error)
        & (clean.accept > 0),
    )
    best = (int(cell.row), int(cell.column)) if bool(cell.found) else (-1, -1)
    return {
        **{f"{side}_above": np.asarray(t) for side, t in axes.items()},
        **{k: np.asarray(v) for k, v in counts._asdict().items()},
        "front": np.asarray(compiled.pareto_front(clean.accept, error)),
        "best": np.array(best),
    }


@jax.jit
def _grid(defer, reject, defer_thresholds, reject_thresholds, groups, wrong):
    return routing.grid(
        defer, reject, defer_thresholds, reject_thresholds, groups=groups, num_groups=3, wrong=wrong
    )
