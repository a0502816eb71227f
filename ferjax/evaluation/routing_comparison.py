"""Reject scores side by side, at matched rejection of corrupted faces.

The comparison asks, for any reject score: at the threshold that removes 70, 80, 90 % of corrupted
faces, how many *ambiguous clean* faces survive? A random router keeps 30, 20, 10 %, and is always
in the table. A score can win by rejecting what did no harm; :func:`consequences` shows what each
score, at the threshold its promise gives, keeps and rejects.
"""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import bootstrap, routing
from ferjax.corruptions.suites import BASE
from ferjax.evaluation import compiled
from ferjax.evaluation import scores as scores_of
from ferjax.faces import votes as votes_of
from ferjax.predictions import Predictions

__all__ = ["MATCHED", "compare", "consequences", "pools", "tables"]

MATCHED = (0.7, 0.8, 0.9)
BASELINE = "single_max_prob"


def pools(
    copies: Sequence[Predictions], fitted: Sequence[str] = ()
) -> dict[str, list[Predictions]]:
    """The corrupted conditions, pooled: all, the paper's base five, the others, and those no router
    was fitted on."""
    candidates = {
        "all": copies,
        "base": [p for p in copies if p.corruption in BASE],
        "broad": [p for p in copies if p.corruption not in BASE],
        "never fitted": [p for p in copies if p.corruption not in fitted] if fitted else [],
    }
    found: dict[str, list[Predictions]] = {}
    for name, pool in candidates.items():
        if pool and not any(
            {p.condition for p in pool} == {p.condition for p in other} for other in found.values()
        ):
            found[name] = list(pool)
    return found


def tables(
    predictions: Mapping[str, Predictions],
    weights: jax.Array,
    false_rejection: float,
    fitted: Sequence[str] = (),
) -> dict:
    """The whole comparison.

    Args:
      predictions: condition -> predictions; ``test`` with votes is needed.
      weights: ``[resample, face]`` bootstrap weights of the test faces.
      false_rejection: promised bound, for :func:`consequences`.
      fitted: corruptions that learned scores were fitted on.

    Returns:
      ``matched``, :func:`compare` of the first pool (the base five where there are any),
      ``matched_pools`` of the others by name, and ``consequences`` where there are valid faces.
    """
    test = predictions["test"]
    copies = [
        p
        for name, p in predictions.items()
        if p.corruption is not None and not name.startswith("valid_")
    ]
    found = pools(copies, fitted)
    first = "base" if "base" in found else next(iter(found), None)
    compared = {name: compare(test, pool, weights) for name, pool in found.items()}
    seen = {name: p for name, p in predictions.items() if name != "valid"}
    return {
        "matched": compared.pop(first) if first else {},
        "matched_pools": compared,
        "consequences": consequences(predictions["valid"], seen, false_rejection)
        if "valid" in predictions
        else {},
    }


@jax.jit
def _resampled(
    inside: jax.Array, rows: jax.Array, outside: jax.Array, weights: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Area ``[1 + resample]`` and retention ``[1 + resample, rejection]``; ``rows`` are the inside
    faces, ``outside [condition, face]`` copies of all faces."""
    faces = weights.shape[1]
    bins = routing.outside_bins(inside, outside.reshape(-1))
    # Copies of one face come and go together: how many of them lie in each bin is all a resample
    # needs.
    per_face = (
        jnp.zeros((faces, 2 * inside.shape[0] + 1))
        .at[jnp.tile(jnp.arange(faces), outside.shape[0]), bins]
        .add(1.0)
    )

    def statistic(w: jax.Array) -> routing.Matched:
        return routing.matched(routing.curve_of(inside, w @ per_face, w[rows]), jnp.array(MATCHED))

    return bootstrap.resampled(statistic, weights)


def _interval(samples: jax.Array) -> dict[str, float]:
    e = bootstrap.summarise(samples)
    return {"value": float(e.value), "low": float(e.low), "high": float(e.high)}


def compare(test: Predictions, pool: Sequence[Predictions], weights: jax.Array) -> dict:
    """Every score as a reject score against a pool of corrupted copies of the test faces.

    Args:
      test: clean test predictions with votes.
      pool: corrupted conditions of the same faces.
      weights: ``[resample, face]`` bootstrap weights of the test faces; intervals of one table are
        paired.

    Returns:
      score -> routing ``auc``, ambiguous ``retention`` at each rejection in :data:`MATCHED`, its
      ``ratio`` to single-uncertainty routing (``1 - max p`` of one member), each with an interval,
      and ``lowest``, the corruption it serves worst, with its area. Empty for an empty pool.
    """
    assert test.votes is not None
    if not pool:
        return {}
    rows = jnp.asarray(np.flatnonzero(votes_of.ambiguity(votes_of.shares(test.votes))[0]))
    clean = scores_of.from_predictions(test)
    outside = [scores_of.from_predictions(p) for p in pool]
    shared = [name for name in clean if all(name in o for o in outside)]
    samples = {
        name: _resampled(clean[name][rows], rows, jnp.stack([o[name] for o in outside]), weights)
        for name in shared
    }
    table: dict = {}
    for name in sorted(
        samples, key=lambda name: name != "epistemic"
    ):  # the paper's score is reported first
        area, kept = samples[name]
        ratio = kept / samples[BASELINE][1]
        by_corruption = _areas(
            clean[name][rows], {p.condition: o[name] for p, o in zip(pool, outside)}, pool
        )
        table[name] = {
            "auc": _interval(area),
            "retention": {str(r): _interval(kept[:, i]) for i, r in enumerate(MATCHED)},
            "ratio": {
                str(r): _interval(ratio[:, i]) if float(samples[BASELINE][1][0, i]) > 0 else None
                for i, r in enumerate(MATCHED)
            },
            "corruptions": by_corruption,
            "lowest": min(by_corruption.items(), key=lambda item: item[1])[1],
        }
    base = samples[BASELINE][1][0]
    table["random"] = {
        "auc": 0.5,
        "retention": {str(r): 1 - r for r in MATCHED},
        "ratio": {
            str(r): (1 - r) / float(base[i]) if float(base[i]) > 0 else None
            for i, r in enumerate(MATCHED)
        },
    }
    return table


def _areas(
    inside: jax.Array, outside: Mapping[str, jax.Array], pool: Sequence[Predictions]
) -> dict[str, float]:
    """Routing area per corruption, mean over its severities."""
    areas: dict[str, list[float]] = {}
    for p in pool:
        areas.setdefault(str(p.corruption), []).append(
            float(compiled.routing_auc(inside, outside[p.condition]))
        )
    return {name: float(np.mean(values)) for name, values in areas.items()}


def consequences(
    valid: Predictions, conditions: Mapping[str, Predictions], false_rejection: float
) -> dict:
    """What each score rejects at its own split-conformal threshold, and how good what it keeps and
    rejects would have been.

    Args:
      valid: clean valid predictions, from which the thresholds come.
      conditions: condition -> predictions with votes; severities of one corruption are pooled.
      false_rejection: promised bound of the rejection of clean faces.

    Returns:
      score -> set -> ``rejected`` share, ``accuracy_kept`` and ``accuracy_rejected`` (against the
      most voted class), and ``vote_error_kept`` and ``vote_error_rejected`` (one minus the share of
      votes for the predicted class).
    """
    known = scores_of.from_predictions(valid)
    limits = {
        name: float(compiled.conformal_threshold(score, false_rejection))
        for name, score in known.items()
    }
    groups: dict[str, list[Predictions]] = {}
    for p in conditions.values():
        if p.votes is not None and p.votes[:, :-2].sum(1).all():
            groups.setdefault(p.corruption or p.condition, []).append(p)
    table: dict = {name: {} for name in limits}
    for group, members in groups.items():
        quality = [_quality(p) for p in members]
        right, share = (np.concatenate([q[i] for q in quality]) for i in range(2))
        scores = [scores_of.from_predictions(p) for p in members]
        for name, above in limits.items():
            if not all(name in s for s in scores):
                continue
            rejected = np.concatenate([~(np.asarray(s[name]) <= above) for s in scores])
            row: dict = {"rejected": float(rejected.mean())}
            for word, of in (("kept", ~rejected), ("rejected", rejected)):
                row[f"accuracy_{word}"] = float(right[of].mean()) if of.any() else None
                row[f"vote_error_{word}"] = float(1 - share[of].mean()) if of.any() else None
            table[name][group] = row
    return table


def _quality(p: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Whether the predicted class is the most voted one, and the share of votes it has, each
    ``[face]``."""
    assert p.votes is not None
    q = votes_of.shares(p.votes)
    chosen = np.asarray(compiled.mean_log_probs(p.log_probs)).argmax(-1)
    return chosen == votes_of.hard_labels(q), q[np.arange(len(q)), chosen]
