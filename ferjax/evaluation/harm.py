"""Whether rejection follows harm: what routers reject where accuracy fell, and where it did not.

A reject score can look good by rejecting whatever looks different. Here a condition is *harmful*
where the ensemble's accuracy fell below that on clean items by more than a margin, and harmless
otherwise, whatever it is called. Rejecting right answers is *excess* rejection; keeping items of a
harmful condition is *missed* harm.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import bootstrap
from ferjax.evaluation.conditions import Condition, Conditions, shared_scores
from ferjax.evaluation.intervals import Interval, interval
from ferjax.evaluation.routing_results import Harm, HarmRow, Thresholds
from ferjax.evaluation.shift import stacked_scores
from ferjax.evaluation.thresholds import actions, mean_where
from ferjax.routing import ACTIONS

__all__ = ["MARGIN", "areas", "harm"]

MARGIN = 0.05
"""Fall of accuracy beyond which a condition is harmful."""
BINS = 256
"""Scores are compared in so many equally full bins."""
SCORES = (
    *("epistemic", "ood_density", "total", "single_max_prob"),
    *("error", "excess_error", "texture", "l_uar_density"),
)
"""Reject scores whose area is computed, as far as they are there."""


def harm(conditions: Conditions, thresholds: Thresholds, margin: float = MARGIN) -> Harm:
    """What every router rejects of every condition with votes, and what that was worth.

    Args:
      conditions: of the evaluation.
      thresholds: of the routers.
      margin: fall of accuracy beyond which a condition is harmful.
    """
    clean = float(conditions.test.correct.mean())
    rows = {}
    for c in (conditions.test, *conditions.tolerated, *conditions.shifted):
        if c.people is None or not c.people.everyone_voted or not c.items:
            continue
        harmful = float(c.correct.mean()) < clean - margin
        rejected = {
            name: actions(c, of.rule) == ACTIONS.index("reject")
            for name, of in thresholds.routers.items()
        }
        rows[c.name] = HarmRow(
            kind=_kind(c),
            accuracy=float(c.correct.mean()),
            harmful=harmful,
            rejected={name: float(where.mean()) for name, where in rejected.items()},
            accuracy_kept={name: mean_where(c.correct, ~where) for name, where in rejected.items()},
            accuracy_rejected={
                name: mean_where(c.correct, where) for name, where in rejected.items()
            },
            excess={name: float((where & c.correct).mean()) for name, where in rejected.items()},
            missed={
                name: float((~where).mean()) if harmful else float("nan")
                for name, where in rejected.items()
            },
        )
    fell = {name for name, row in rows.items() if row.harmful}
    return Harm(margin, rows, areas(conditions, fell))


def areas(conditions: Conditions, harmful: set[str]) -> dict[str, Interval]:
    """Area under (harmful items rejected, harmless and clean ambiguous items kept), by score.

    The chance that an item of a harmful condition scores higher than an item under a harmless
    change, or a clean ambiguous item: an AUROC over copies of the test items, which the bootstrap
    draws together.

    Args:
      conditions: of the evaluation.
      harmful: names of the harmful conditions among the copies of the test items.

    Returns:
      Score -> area, with its interval; empty where no copy is harmful.
    """
    copies = (*conditions.tolerated, *conditions.corrupted)
    bad = [c for c in copies if c.name in harmful]
    good = [c for c in copies if c.name not in harmful]
    if not bad:
        return {}
    known = shared_scores((conditions.test, *copies))
    ambiguous = conditions.test.voted.ambiguous
    found = {}
    blocks = [name for name in known if name.startswith("block_")]
    for name in (name for name in (*SCORES, *blocks) if name in known):
        outside = stacked_scores(bad, name)
        inside = stacked_scores((conditions.test, *good), name)
        edges = np.quantile(np.concatenate([outside, inside]), np.linspace(0, 1, BINS + 1)[1:-1])
        counted = np.ones_like(inside, bool)
        counted[0] = ambiguous
        rejected = _per_item(np.searchsorted(edges, outside), np.ones_like(outside, bool))
        kept = _per_item(np.searchsorted(edges, inside), counted)
        found[name] = interval(_area_samples(rejected, kept, conditions.weights))
    return found


def _per_item(bins: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """How many of an item's copies lie in each bin: float32 ``[item, BINS]``."""
    table = np.zeros((bins.shape[1], BINS), np.float32)
    rows = np.broadcast_to(np.arange(bins.shape[1]), bins.shape)
    np.add.at(table, (rows[counted], bins[counted]), 1.0)
    return table


@jax.jit
def _area_samples(rejected: jax.Array, kept: jax.Array, weights: jax.Array) -> jax.Array:
    """Area on all items first, then on every resample: ``[1 + resample]``."""

    def statistic(w: jax.Array) -> jax.Array:
        high = w @ rejected
        low = w @ kept
        below = jnp.cumsum(low) - low / 2
        return jnp.sum(high * below) / (jnp.sum(high) * jnp.sum(low))

    return bootstrap.resampled(statistic, weights)


def _kind(c: Condition) -> str:
    if c.tolerance is not None:
        return "tolerance"
    if c.corruption is not None:
        return "corruption"
    return "clean" if c.predictions.split == "test" else "other set"
