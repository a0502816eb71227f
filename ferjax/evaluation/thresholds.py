"""Thresholds of the routers, chosen on valid items alone, and what they do to every condition.

Routers read the same members: ``uar`` defers on aleatoric and rejects on epistemic; ``paper`` does
so on the paper's parts, which are others where members have concentrations; ``density``, where
densities were fitted, rejects on the density-based OOD score instead; ``error``, where errors were
learned (:mod:`ferjax.evaluation.error_score`), on how much likelier one is than the ensemble
admits. These two defer on the total entropy: what they reject on does not see that members know
little of an item, which an item with a low aleatoric uncertainty and no likely label shows.

References:
  arXiv 2606.22725; :mod:`ferjax.conformal`.
"""

from collections.abc import Collection, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import conformal, routing
from ferjax.evaluation.conditions import Condition, Conditions
from ferjax.evaluation.routing_results import Certificate, Decision, RouterThresholds, Thresholds

__all__ = [
    "SCORES",
    "actions",
    "certified_defer_threshold",
    "certify_walk",
    "choose_thresholds",
    "decisions",
    "mean_where",
    "threshold_grid",
    "thresholds_under",
]

SCORES = {
    "uar": ("aleatoric", "epistemic"),
    "paper": ("mean_entropy", "between"),
    "density": ("total", "ood_density"),
    "error": ("total", "excess_error"),
}
"""Router -> the scores it defers and rejects on; ``paper`` where members have concentrations, which
make ``uar`` another than the paper's."""


def thresholds_under(
    conditions: Sequence[Condition], score: str, false_rejection: float
) -> dict[str, float]:
    """The split-conformal threshold that each condition of the valid items needs for itself.

    Args:
      conditions: clean valid items, and valid items under harmless changes.
      score: that is rejected on.
      false_rejection: the promised bound α.

    Returns:
      Name of the tolerance, or of the condition where there is none -> threshold.
    """
    return {
        c.tolerance or c.name: float(
            conformal.conformal_threshold(np.asarray(c.scores[score]), false_rejection)
        )
        for c in conditions
    }


def choose_thresholds(
    valid: Condition,
    tolerated: Sequence[Condition] = (),
    *,
    false_rejection: float = 0.05,
    defer_share: float = 1 / 3,
    accept_error: float = 0.25,
    confidence: float = 0.9,
    carried: Collection[str] | None = None,
) -> Thresholds:
    """Thresholds of every router, chosen on valid items alone.

    Args:
      valid: clean valid items.
      tolerated: valid items under harmless changes. The largest of the split-conformal thresholds
        keeps the promise for the clean items and under each change.
      false_rejection: split-conformal bound α on the rejection of clean items, under each of the
        harmless changes too.
      defer_share: share of valid items to defer.
      accept_error: the error among accepted items that a certificate is sought for (needs votes).
      confidence: of the certificate, 1 - δ.
      carried: the scores that routers may read, those that every item to decide on has; all that
        the valid items have by default.

    Returns:
      The rule of each router, the reject threshold each predicted class would need for the same
      promise (infinite: too few items to promise anything), and the certificate.
    """
    scores = {name: np.asarray(of) for name, of in valid.scores.items()}
    classes = valid.mean_log_probs.shape[-1]
    routers = {}
    for router, (defer, score) in SCORES.items():
        if not {defer, score} <= set(scores if carried is None else carried):
            continue
        defer_above = float(conformal.quantile_threshold(scores[defer], defer_share))
        by_tolerance = thresholds_under((valid, *tolerated), score, false_rejection)
        above = float(np.max(list(by_tolerance.values())))  # NaN where one of them is
        by_class = conformal.group_conformal_thresholds(
            scores[score], valid.predicted, classes, false_rejection
        )
        certificate = None
        if valid.people is not None:
            certificate = certified_defer_threshold(
                scores[defer],
                ~valid.correct,
                scores[score] <= above,
                accept_error=accept_error,
                confidence=confidence,
            )
        rule = routing.RouterRule(defer_above, above, defer, score, false_rejection)
        routers[router] = RouterThresholds(
            rule, tuple(map(float, by_class)), certificate, by_tolerance
        )
    return Thresholds(valid.items, false_rejection, defer_share, routers)


@jax.jit
def _certified(p_values: jax.Array, delta: jax.Array, first: jax.Array) -> jax.Array:
    """Which thresholds are certified at each error level, bool ``[level, T]``."""
    return jax.vmap(lambda p: conformal.fixed_sequence(p, delta, first=first))(p_values)


def certified_defer_threshold(
    aleatoric: np.ndarray,
    wrong: np.ndarray,
    passes: np.ndarray,
    *,
    accept_error: float,
    confidence: float,
    steps: int = 40,
) -> Certificate:
    """The most lenient defer threshold with a certified error among accepted items.

    Every other item proposes thresholds (its quantiles of aleatoric, from the first that accepts
    enough to certify anything); the others certify (:func:`ferjax.conformal.learn_then_test`), so
    that no label is looked at twice.

    Args:
      aleatoric: ``[item]`` of valid items, nats.
      wrong: ``[item]`` whether the predicted class is not the most voted one.
      passes: ``[item]`` whether the reject threshold lets it pass.
      accept_error: ε, the error to be certified.
      confidence: 1 - δ.
      steps: thresholds proposed.

    Returns:
      :class:`Certificate`; its figures are those of the certifying items. Where nothing can be
      certified, ``refused`` names the smallest error that can be.
    """
    propose = slice(0, None, 2)
    prove = slice(1, None, 2)
    levels = np.linspace(0, 1, steps + 1)[1:]
    return certify_walk(
        np.quantile(aleatoric[propose], levels),
        aleatoric[prove],
        wrong[prove],
        passes[prove],
        first=int(np.searchsorted(levels, 0.1)),
        accept_error=accept_error,
        confidence=confidence,
    )


def certify_walk(
    walk: np.ndarray,
    uncertain: np.ndarray,
    wrong: np.ndarray,
    passes: np.ndarray,
    *,
    first: int,
    accept_error: float,
    confidence: float,
) -> Certificate:
    """Walks through proposed defer thresholds, from a strict to lenient ones, while each is proven.

    Args:
      walk: ``[T]`` ascending thresholds, proposed without a look at these items.
      uncertain: ``[item]`` score that is deferred on.
      wrong: ``[item]`` whether the predicted class is not the most voted one.
      passes: ``[item]`` whether the reject threshold lets it pass.
      first: index of the threshold that the walk begins with.
      accept_error: ε, the error to be certified.
      confidence: 1 - δ.

    Returns:
      :class:`Certificate`, see :func:`certified_defer_threshold`.
    """
    inside = (uncertain[:, None] <= walk[None]) & passes[:, None]
    accepted = inside.sum(0)
    errors = (inside & wrong[:, None]).sum(0)
    tried = np.array([accept_error, *(percent / 100 for percent in range(1, 100))])
    # Exact p-values, for every level the walk of its own.
    p_values = conformal.binomial_tail(errors[None], accepted[None], tried[:, None])
    proven = np.asarray(_certified(p_values, np.float32(1 - confidence), first))
    if not proven[0].any():
        promised = tried[1:][proven[1:].any(1)]
        best = f"; the best that can is {100 * promised.min():.0f} %" if len(promised) else ""
        return Certificate(
            accept_error,
            confidence,
            refused=f"an error of at most {100 * accept_error:.0f} % among accepted items cannot "
            f"be promised with confidence {100 * confidence:.0f} %{best or '; nor can any other'}",
        )
    last = int(np.flatnonzero(proven[0])[-1])
    return Certificate(
        accept_error,
        confidence,
        above=float(walk[last]),
        accepted=float(accepted[last] / len(inside)),
        error=float(errors[last] / accepted[last]),
    )


_decide = jax.jit(routing.decide)


def actions(condition: Condition, rule: routing.RouterRule) -> np.ndarray:
    """The router's action on each item, ``[item]`` indices into ``routing.ACTIONS``."""
    return np.asarray(_decide(condition.scores[rule.defer], condition.scores[rule.reject], rule))


def decisions(conditions: Conditions, rule: routing.RouterRule) -> dict[str, Decision]:
    """What a router does with the clean test items and every shifted condition."""
    table = {}
    for c in (conditions.test, *conditions.tolerated, *conditions.shifted):
        action = actions(c, rule)
        if c.people is None or not c.people.everyone_voted:
            table[c.name] = Decision(_shares(action), {}, {}, {}, {})
            continue
        table[c.name] = Decision(
            _shares(action),
            _means(c.correct, action),
            _means(c.vote_share, action),
            _shares(action[c.people.ambiguous]),
            _shares(action[c.people.clear]),
        )
    return table


def _shares(action: np.ndarray) -> dict[str, float]:
    if not len(action):
        return {name: float("nan") for name in routing.ACTIONS}
    return {name: float((action == code).mean()) for code, name in enumerate(routing.ACTIONS)}


def mean_where(values: np.ndarray, where: np.ndarray) -> float:
    """Mean of ``values [item]`` over some items, bool ``[item]``; NaN where there is none."""
    return float(values[where].mean()) if where.any() else float("nan")


def _means(values: np.ndarray, action: np.ndarray) -> dict[str, float]:
    """Mean of some figure over the items of each action; NaN where there are none."""
    return {name: mean_where(values, action == code) for code, name in enumerate(routing.ACTIONS)}


def threshold_grid(
    conditions: Conditions, chosen: Thresholds, router: str = "uar", size: int = 64
) -> dict[str, np.ndarray]:
    """A router's counts over the plane of its two thresholds, and the cells that no other beats.

    Groups are ambiguous clean, other clean, and corrupted items. Thresholds are quantiles of the
    clean scores, so that the grid is fine where items are.

    Args:
      conditions: of the evaluation.
      chosen: its thresholds.
      router: which router.
      size: thresholds T on either axis.

    Returns:
      ``defer_above`` and ``reject_above`` thresholds ``[T]``; ``accept``, ``defer``, ``reject`` and
      ``errors [3, T, T]`` counts; ``front [T, T]``: no cell accepts more clean items at a smaller
      error among them; and ``best (row, column)``: the most accepted clean items with at most the
      promised share of clean items rejected and the certificate's error, or (-1, -1).
    """
    of_router = chosen.routers[router]
    rule = of_router.rule
    test = conditions.test
    everything = (test, *conditions.corrupted)
    levels = np.linspace(0, 1, size)
    axes = [np.quantile(np.asarray(test.scores[n]), levels) for n in (rule.defer, rule.reject)]
    axes = [axis.astype(np.float32) for axis in axes]
    joined = [
        np.concatenate([np.asarray(c.scores[name]) for c in everything])
        for name in (rule.defer, rule.reject)
    ]
    wrong = np.concatenate([~c.correct for c in everything])
    group = np.where(test.voted.ambiguous, 0, 1)
    groups = np.concatenate([group, *(np.full(c.items, 2) for c in conditions.corrupted)])
    certificate = of_router.certificate
    max_error = 1.0 if certificate is None else certificate.accept_error
    max_rejected = chosen.false_rejection * test.items
    counts, front, best = jax.device_get(
        _grid(*joined, *axes, groups, wrong, max_rejected, max_error)
    )
    return {
        "defer_above": axes[0],
        "reject_above": axes[1],
        **counts._asdict(),
        "front": front,
        "best": np.array([best.row, best.column]) if best.found else np.array([-1, -1]),
    }


@jax.jit
def _grid(
    defer: jax.Array,
    reject: jax.Array,
    defer_thresholds: jax.Array,
    reject_thresholds: jax.Array,
    groups: jax.Array,
    wrong: jax.Array,
    max_rejected: jax.Array,
    max_error: jax.Array,
) -> tuple[routing.Grid, jax.Array, routing.Cell]:
    counts = routing.grid(
        defer, reject, defer_thresholds, reject_thresholds, groups=groups, num_groups=3, wrong=wrong
    )
    clean = jax.tree.map(lambda c: c[:2].sum(0), counts)
    error = clean.errors / jnp.maximum(clean.accept, 1)
    allowed = (clean.reject <= max_rejected) & (error <= max_error) & (clean.accept > 0)
    front = routing.pareto_front(clean.accept, error)
    return counts, front, routing.best_cell(clean.accept, allowed)
