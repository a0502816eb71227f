"""Reject scores side by side, at matched rejection of corrupted items.

The comparison asks, for any reject score: at the threshold that removes 70, 80, 90 % of corrupted
items, how many *ambiguous clean* items survive? A random router keeps 30, 20, 10 %, and is always
in the table. A score can win by rejecting what did no harm; :func:`rejections` shows what each
score, at the threshold its promise gives, keeps and rejects.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import bootstrap, metrics, routing
from ferjax.config import BASE_CORRUPTIONS
from ferjax.evaluation.conditions import Condition, Conditions, shared_scores
from ferjax.evaluation.intervals import Difference, Interval, by_label, difference, interval
from ferjax.evaluation.resampling import score_by_score
from ferjax.evaluation.routing_results import Rejection, RoutingRow
from ferjax.evaluation.thresholds import mean_where, thresholds_under
from ferjax.events import OnEvent, silent

__all__ = ["CURVE", "MATCHED", "compare", "pools", "rejections", "routing_comparison", "samples"]

MATCHED = (0.7, 0.8, 0.9)
"""Rejections of corrupted items at which scores are compared."""
CURVE = tuple(float(share) for share in np.linspace(0, 1, 101))
"""Rejections at which a routing curve is kept."""
BASELINE = "single_max_prob"


def pools(copies: Sequence[Condition], fitted: Sequence[str] = ()) -> dict[str, list[Condition]]:
    """Corrupted conditions by pool: the paper's base five (first, where there are any), all, the
    others, and those no router was fitted on; a pool equal to an earlier one is left out.

    Args:
      copies: corrupted conditions.
      fitted: corruptions that learned scores were fitted on.
    """
    candidates = {
        "base": [c for c in copies if c.corruption in BASE_CORRUPTIONS],
        "all": list(copies),
        "broad": [c for c in copies if c.corruption not in BASE_CORRUPTIONS],
        "never fitted": [c for c in copies if c.corruption not in fitted] if fitted else [],
    }
    found: dict[str, list[Condition]] = {}
    for name, pool in candidates.items():
        members = {c.name for c in pool}
        if pool and all(members != {c.name for c in other} for other in found.values()):
            found[name] = pool
    return found


def routing_comparison(
    conditions: Conditions, on_event: OnEvent = silent
) -> dict[str, dict[str, RoutingRow]]:
    """:func:`compare` of every pool, by name."""
    fitted = next((of.fitted for of in conditions.learned.values()), ())
    found = pools(conditions.corrupted, fitted)
    return {
        name: compare(conditions, pool, on_event, f"  reject scores, pool {name}")
        for name, pool in found.items()
    }


@jax.jit
def _resampled(
    inside: jax.Array, rows: jax.Array, outside: jax.Array, weights: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Area ``[score, 1 + resample]``, and retention ``[score, 1 + resample, rejection]`` at those
    of :data:`MATCHED` and then of :data:`CURVE`.

    ``inside [score, n]`` are the items ``rows [n]``, ``outside [score, condition, item]`` copies of
    all items.
    """
    items = weights.shape[1]
    which = jnp.tile(jnp.arange(items), outside.shape[1])

    def of_one(pair: tuple[jax.Array, jax.Array]) -> routing.Matched:
        kept, copies = pair
        bins = routing.outside_bins(kept, copies.reshape(-1))
        # Copies of one item come and go together: how many of them lie in each bin is all that a
        # resample needs.
        per_item = jnp.zeros((items, 2 * kept.shape[0] + 1)).at[which, bins].add(1.0)

        def statistic(w: jax.Array) -> routing.Matched:
            return routing.matched(
                routing.curve_of(kept, w @ per_item, w[rows]), jnp.array((*MATCHED, *CURVE))
            )

        return bootstrap.resampled(statistic, weights, batch=256)

    return jax.lax.map(of_one, (inside, outside))


@jax.jit
def _areas(inside: jax.Array, outside: jax.Array) -> jax.Array:
    """Routing area of each condition ``[score, condition]``, which is an AUROC."""

    def of_one(kept: jax.Array, copies: jax.Array) -> jax.Array:
        return jax.vmap(lambda copy: metrics.auroc_between(kept, copy))(copies)

    return jax.vmap(of_one)(inside, outside)


@jax.jit
def _clean_kept(clean: jax.Array, outside: jax.Array) -> jax.Array:
    """Share of all clean items kept at each rejection of :data:`MATCHED`, ``[score, rejection]``;
    ``clean [score, item]``, ``outside [score, condition, item]``."""

    def of_one(pair: tuple[jax.Array, jax.Array]) -> jax.Array:
        kept, copies = pair
        curve = routing.routing_curve(kept, copies.reshape(-1))
        return routing.matched(curve, jnp.array(MATCHED)).retention

    return jax.lax.map(of_one, (clean, outside))


def _sides(
    conditions: Conditions, pool: Sequence[Condition], names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the ambiguous clean items ``[score, item]``, and of all copies ``[score, condition,
    item]``."""
    test = conditions.test
    rows = np.flatnonzero(test.voted.ambiguous)
    inside = np.stack([np.asarray(test.scores[name], np.float32)[rows] for name in names])
    outside = [np.stack([np.asarray(c.scores[n], np.float32) for c in pool]) for n in names]
    return inside, np.stack(outside)


def samples(
    conditions: Conditions, pool: Sequence[Condition], names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Scores as reject scores, on all items and on every resample.

    Args:
      conditions: of the evaluation.
      pool: corrupted copies of the test items.
      names: of scores that all of them have.

    Returns:
      Routing area ``[score, 1 + resample]``, and ambiguous items kept ``[score, 1 + resample,
      rejection]`` at those of :data:`MATCHED`.
    """
    rows = np.flatnonzero(conditions.test.voted.ambiguous)
    inside, outside = _sides(conditions, pool, names)
    area, kept = jax.device_get(_resampled(inside, rows, outside, conditions.weights))
    return area, kept[..., : len(MATCHED)]


def compare(
    conditions: Conditions,
    pool: Sequence[Condition],
    on_event: OnEvent = silent,
    task: str = "  reject scores",
) -> dict[str, RoutingRow]:
    """Every score as a reject score against a pool of corrupted copies of the test items.

    Args:
      conditions: of the evaluation; intervals of one table are paired.
      pool: corrupted conditions.
      on_event: told how far it is.
      task: what is told.

    Returns:
      Score -> routing area, ambiguous items kept at each rejection in :data:`MATCHED`, their ratio
      to single-uncertainty routing (``1 - max p`` of one member), the area by corruption (mean over
      severities), and the lowest of them. The paper's score is first, the random router last.
    """
    test = conditions.test
    rows = np.flatnonzero(test.voted.ambiguous)
    names = sorted(shared_scores([test, *pool]), key=lambda name: name != "epistemic")
    clean = np.stack([np.asarray(test.scores[name], np.float32) for name in names])
    inside, outside = _sides(conditions, pool, names)
    area, kept = score_by_score(
        task,
        names,
        lambda of, copies: _resampled(of, rows, copies, conditions.weights),
        inside,
        outside,
        on_event=on_event,
    )
    areas = np.asarray(_areas(inside, outside))
    clean_kept = np.asarray(_clean_kept(clean, outside))
    single = area[names.index(BASELINE)]
    curves = kept[:, 0, len(MATCHED) :]
    kept = kept[..., : len(MATCHED)]
    rejections = [str(r) for r in MATCHED]
    baseline = kept[names.index(BASELINE)]
    # A baseline that keeps nothing is no measure for the others.
    comparable = np.where(baseline[:1] > 0, baseline, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = kept / comparable[None]
    corruptions = list(dict.fromkeys(str(c.corruption) for c in pool))
    table = {}
    for i, name in enumerate(names):
        by_corruption = {
            k: float(areas[i, [c.corruption == k for c in pool]].mean()) for k in corruptions
        }
        table[name] = RoutingRow(
            auc=interval(area[i]),
            minus_single=difference(area[i] - single),
            retention=by_label(kept[i], rejections),
            ratio=by_label(ratio[i], rejections),
            clean_retention=dict(zip(rejections, map(float, clean_kept[i]))),
            corruptions=by_corruption,
            lowest=min(by_corruption.values()),
            curve=tuple(map(float, curves[i])),
        )
    table["random"] = _random_router(comparable[0], difference(0.5 - single), corruptions)
    return table


def _random_router(
    baseline: np.ndarray, minus_single: Difference, corruptions: Sequence[str]
) -> RoutingRow:
    """What a router that rejects at random keeps, which is known without error."""
    kept = {str(r): 1 - r for r in MATCHED}
    return RoutingRow(
        auc=Interval.exact(0.5),
        minus_single=minus_single,
        retention={r: Interval.exact(share) for r, share in kept.items()},
        ratio={
            r: Interval.exact(share / float(of)) for (r, share), of in zip(kept.items(), baseline)
        },
        clean_retention=kept,
        corruptions=dict.fromkeys(corruptions, 0.5),
        lowest=0.5,
        curve=tuple(1 - share for share in CURVE),
    )


def rejections(conditions: Conditions, false_rejection: float) -> dict[str, dict[str, Rejection]]:
    """What each score rejects at its own split-conformal threshold, and how good either side is.

    Args:
      conditions: of the evaluation; without valid items there is nothing to calibrate on.
      false_rejection: promised bound of the rejection of clean items.

    Returns:
      Score -> set -> shares; severities of one corruption are pooled.
    """
    if conditions.valid is None:
        return {}
    promised = (conditions.valid, *conditions.tolerated_valid)
    above = {
        name: max(thresholds_under(promised, name, false_rejection).values())
        for name in shared_scores(promised)
    }
    groups: dict[str, list[Condition]] = {}
    for c in (conditions.test, *conditions.tolerated, *conditions.shifted):
        if c.people is not None and c.people.everyone_voted:
            groups.setdefault(c.corruption or c.name, []).append(c)
    table: dict[str, dict[str, Rejection]] = {name: {} for name in above}
    for group, members in groups.items():
        correct = np.concatenate([c.correct for c in members])
        share = np.concatenate([c.vote_share for c in members])
        for name in shared_scores(members):
            if name not in above:
                continue
            scores = np.concatenate([np.asarray(c.scores[name]) for c in members])
            rejected = ~(scores <= above[name])
            table[name][group] = Rejection(
                float(rejected.mean()),
                mean_where(correct, ~rejected),
                mean_where(correct, rejected),
                mean_where(1 - share, ~rejected),
                mean_where(1 - share, rejected),
            )
    return table
