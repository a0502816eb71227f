"""V1: does a score follow human disagreement? And how closely could any score follow votes of ten
people?"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import bootstrap, metrics
from ferjax.evaluation import compiled, intervals
from ferjax.evaluation import scores as scores_of
from ferjax.faces import votes as votes_of
from ferjax.predictions import Predictions

__all__ = ["disagreement_table", "posterior_table"]

CEILING_SPLITS = 8


@jax.jit
def _resampled(
    scores: jax.Array,
    delta: jax.Array,
    truth: jax.Array | None,
    ambiguous: jax.Array,
    counted: jax.Array,
    weights: jax.Array,
) -> dict[str, jax.Array]:
    """Samples ``[score, 1 + resample]`` of everything a score is asked about disagreement."""

    def of_one(score: jax.Array) -> Any:
        def statistics(w: jax.Array) -> dict[str, jax.Array]:
            row = {
                "spearman": metrics.spearman(score, delta, w),
                "auroc_ambiguous": metrics.auroc(score, ambiguous, w * counted),
            }
            return (
                row
                if truth is None
                else {**row, "spearman_true_entropy": metrics.spearman(score, truth, w)}
            )

        # All of the resamples at once: the pairs of faces are then compared only once.
        tau = bootstrap.resampled(
            lambda w: metrics.kendall(score, delta, w), weights, batch=1 + weights.shape[0]
        )
        return {**bootstrap.resampled(statistics, weights), "kendall": tau}

    return jax.lax.map(of_one, scores)


@jax.jit
def _correlation(x: jax.Array, y: jax.Array, weights: jax.Array) -> jax.Array:
    return bootstrap.resampled(lambda w: metrics.spearman(x, y, w), weights)


@functools.partial(jax.jit, static_argnames="most")
def _ceiling(votes: jax.Array, key: jax.Array, weights: jax.Array, most: int) -> jax.Array:
    def of(w: jax.Array) -> jax.Array:
        return metrics.noise_ceiling(votes, key, w, splits=CEILING_SPLITS, most=most)

    return bootstrap.resampled(of, weights, batch=256)


def disagreement_table(predictions: Predictions, weights: jax.Array, key: jax.Array) -> dict:
    """Every score against human disagreement δ = 1 - max q on clean faces.

    Args:
      predictions: the clean test split, with votes.
      weights: ``[resample, face]`` bootstrap weights.
      key: random key of the reliability ceiling's half splits and of the posterior.

    Returns:
      Counts; the reliability ``ceiling`` of ρ; per score ``spearman``, ``kendall``,
      ``auroc_ambiguous`` (and ``spearman_true_entropy`` where the truth is known) with 95 %
      intervals, its ``share_of_ceiling``, and ``aleatoric_minus``, how much better the aleatoric
      part follows disagreement on the same faces (paired); the ``rank_correlation`` of the two
      uncertainties; mean δ per aleatoric decile; the ``posterior`` of ten votes.
    """
    assert predictions.votes is not None
    q = votes_of.shares(predictions.votes)
    delta = jnp.asarray(votes_of.disagreement(q), jnp.float32)
    ambiguous, clear = votes_of.ambiguity(q)
    truth = (
        None
        if predictions.truth is None
        else jnp.asarray(votes_of.entropy(predictions.truth), jnp.float32)
    )
    scores = scores_of.from_predictions(predictions)
    names = list(scores)
    stacked = jnp.stack([jnp.asarray(s, jnp.float32) for s in scores.values()])
    samples = _resampled(stacked, delta, truth, ambiguous, ambiguous | clear, weights)
    emotions = predictions.votes[:, :-2]
    ceiling = _ceiling(emotions, key, weights, most=int(emotions.sum(1).max()))
    reference = samples["spearman"][names.index("aleatoric")]
    table: dict = {
        "faces": len(q),
        "ambiguous": int(ambiguous.sum()),
        "clear": int(clear.sum()),
        "mean_disagreement": float(delta.mean()),
        "unanimous": float((np.asarray(delta) == 0).mean()),
        "ceiling": intervals.interval(ceiling),
        "scores": {},
    }
    for i, name in enumerate(names):
        row = {statistic: intervals.interval(of[i]) for statistic, of in samples.items()}
        row["share_of_ceiling"] = intervals.interval(samples["spearman"][i] / ceiling)
        if name != "aleatoric":
            row["aleatoric_minus"] = intervals.interval(reference - samples["spearman"][i])
        table["scores"][name] = row
    table["rank_correlation"] = intervals.interval(
        _correlation(scores["aleatoric"], scores["epistemic"], weights)
    )
    aleatoric = np.asarray(scores["aleatoric"])
    given = np.asarray(delta)
    order = np.argsort(aleatoric, kind="stable")
    table["deciles"] = [
        {
            "aleatoric": float(aleatoric[part].mean()),
            "disagreement": float(given[part].mean()),
            "faces": len(part),
            "standard_error": float(given[part].std() / np.sqrt(len(part))),
        }
        for part in np.array_split(order, 10)
        if len(part)
    ]
    table["posterior"] = posterior_table(emotions, key)
    return table


def posterior_table(emotions: np.ndarray, key: jax.Array) -> dict:
    """What the votes leave open about disagreement, under a Dirichlet posterior for each face.

    Args:
      emotions: ``[face, class]`` whole emotion votes.
      key: random key of the posterior draws.

    Returns:
      Mean width of the faces' 95 % intervals, mean standard deviation, the ``ceiling`` that follows
      (the square root of the reliability), and ``examples``: the most frequent vote counts with
      their intervals.
    """
    # δ does not know which class is which, and ten votes fall into few multisets.
    kinds, kind, faces = np.unique(
        np.sort(emotions, axis=1)[:, ::-1], axis=0, return_inverse=True, return_counts=True
    )
    of_kind = jax.device_get(compiled.disagreement_posterior(kinds, key))
    of_face = jax.tree.map(lambda part: part[kind.reshape(-1)], of_kind)
    frequent = np.argsort(-faces, kind="stable")[:6]
    return {
        "mean_width": float((of_face.high - of_face.low).mean()),
        "mean_deviation": float(of_face.deviation.mean()),
        "ceiling": float(np.sqrt(compiled.reliability(of_face))),
        "examples": [
            {
                "votes": " : ".join(str(v) for v in kinds[i] if v),
                "faces": int(faces[i]),
                "counted": float(1 - kinds[i].max() / max(kinds[i].sum(), 1)),
                **{part: float(getattr(of_kind, part)[i]) for part in ("mean", "low", "high")},
            }
            for i in frequent
        ],
    }
