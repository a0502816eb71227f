"""Does a score follow human disagreement? And how closely could any score follow votes?"""

import functools

import jax
import numpy as np

from ferjax import bootstrap, metrics, posterior
from ferjax import votes as votes_of
from ferjax.evaluation.conditions import Conditions
from ferjax.evaluation.intervals import Interval, difference, interval
from ferjax.evaluation.resampling import score_by_score, spearman
from ferjax.evaluation.results import (
    Decile,
    Disagreement,
    DisagreementRow,
    Posterior,
    PosteriorExample,
)
from ferjax.events import OnEvent, silent

__all__ = ["ceiling_samples", "disagreement", "votes_posterior"]

CEILING_SPLITS = 8
MOST_VOTES = 500
"""Votes of an item up to which halves are drawn; with more, the ceiling is next to 1."""


@jax.jit
def _resampled(
    scores: jax.Array,
    delta: jax.Array,
    ambiguous: jax.Array,
    counted: jax.Array,
    weights: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Samples ``[score, 1 + resample]`` of Kendall's τ with δ, and of the AUROC of ambiguous
    against clear items."""

    def of_one(score: jax.Array) -> tuple[jax.Array, jax.Array]:
        def statistics(w: jax.Array) -> tuple[jax.Array, jax.Array]:
            tau = metrics.kendall(score, delta, w)
            return tau, metrics.auroc(score, ambiguous, w * counted)

        return bootstrap.resampled(statistics, weights)

    return jax.lax.map(of_one, scores)


@functools.partial(jax.jit, static_argnames="max_votes")
def _ceiling(votes: jax.Array, key: jax.Array, weights: jax.Array, max_votes: int) -> jax.Array:
    def of(w: jax.Array) -> jax.Array:
        return metrics.noise_ceiling(key, votes, w, splits=CEILING_SPLITS, max_votes=max_votes)

    return bootstrap.resampled(of, weights, batch=256)


def ceiling_samples(conditions: Conditions) -> np.ndarray:
    """Samples ``[1 + resample]`` of the highest ρ with δ that any score could reach; NaN
    where that cannot be told."""
    counts = conditions.test.voted.counts
    most = 0 if counts is None else int(counts.sum(1).max())
    if not 0 < most <= MOST_VOTES:
        return np.full(1 + conditions.resamples, np.nan)
    key = conditions.key("half splits")
    return np.asarray(_ceiling(counts, key, conditions.weights, max_votes=most))


def disagreement(conditions: Conditions, on_event: OnEvent = silent) -> Disagreement:
    """Every score against human disagreement δ = 1 - max q on clean test items.

    Differences are paired: ``aleatoric_minus`` is how much better the aleatoric part follows
    disagreement on the same resampled items.
    """
    test = conditions.test
    people = test.voted
    weights = conditions.weights
    truth = test.predictions.truth
    scores = {name: np.asarray(of, np.float32) for name, of in test.scores.items()}
    delta = people.disagreement.astype(np.float32)
    counted = people.ambiguous | people.clear
    taus, areas = score_by_score(
        "  human disagreement",
        list(scores),
        lambda score: _resampled(score, delta, people.ambiguous, counted, weights),
        np.stack(list(scores.values())),
        on_event=on_event,
    )
    ceiling = ceiling_samples(conditions)
    correlations = {n: spearman(of, people.disagreement, weights) for n, of in scores.items()}
    rows = {}
    for i, (name, rho) in enumerate(correlations.items()):
        with_truth = Interval.undefined()
        if truth is not None:
            with_truth = interval(spearman(scores[name], votes_of.entropy(truth), weights))
        minus = Interval.undefined()
        if name != "aleatoric":
            minus = difference(correlations["aleatoric"] - rho)
        rows[name] = DisagreementRow(
            spearman=interval(rho),
            kendall=interval(taus[i]),
            auroc_ambiguous=interval(areas[i]),
            spearman_true_entropy=with_truth,
            share_of_ceiling=interval(rho / ceiling),
            aleatoric_minus=minus,
        )
    correlation = spearman(scores["aleatoric"], scores["epistemic"], weights)
    return Disagreement(
        items=test.items,
        ambiguous=int(people.ambiguous.sum()),
        clear=int(people.clear.sum()),
        mean_disagreement=float(people.disagreement.mean()),
        unanimous=float((people.disagreement == 0).mean()),
        truth_known=truth is not None,
        ceiling=interval(ceiling),
        scores=rows,
        rank_correlation=interval(correlation),
        deciles=_deciles(np.asarray(scores["aleatoric"]), people.disagreement),
        posterior=(
            None
            if people.counts is None
            else votes_posterior(people.counts, conditions.key("posterior"))
        ),
    )


def _deciles(aleatoric: np.ndarray, delta: np.ndarray) -> tuple[Decile, ...]:
    """Mean δ of each tenth of the items, from the least to the most ambiguous."""
    order = np.argsort(aleatoric, kind="stable")
    return tuple(
        Decile(
            float(aleatoric[part].mean()),
            float(delta[part].mean()),
            len(part),
            float(delta[part].std() / np.sqrt(len(part))),
        )
        for part in np.array_split(order, 10)
        if len(part)
    )


_posterior = jax.jit(posterior.disagreement_posterior)


def votes_posterior(counts: np.ndarray, key: jax.Array) -> Posterior:
    """What the votes leave open about disagreement, under a Dirichlet posterior of each item.

    Args:
      counts: ``[item, class]`` whole votes.
      key: random key of the posterior draws.
    """
    # δ does not know which class is which, and ten votes fall into few multisets.
    kinds, kind, items = np.unique(
        np.sort(counts, axis=1)[:, ::-1], axis=0, return_inverse=True, return_counts=True
    )
    of_kind = jax.device_get(_posterior(key, kinds))
    of_item = jax.tree.map(lambda part: part[kind.reshape(-1)], of_kind)
    frequent = np.argsort(-items, kind="stable")[:6]
    examples = tuple(
        PosteriorExample(
            votes=" : ".join(str(v) for v in kinds[i] if v),
            items=int(items[i]),
            counted=float(1 - kinds[i].max() / max(kinds[i].sum(), 1)),
            mean=float(of_kind.mean[i]),
            low=float(of_kind.low[i]),
            high=float(of_kind.high[i]),
        )
        for i in frequent
    )
    return Posterior(
        mean_width=float((of_item.high - of_item.low).mean()),
        mean_deviation=float(of_item.deviation.mean()),
        ceiling=float(np.sqrt(posterior.intraclass_reliability(of_item))),
        examples=examples,
    )
