"""How well one prediction per item meets the votes: figures that methods are compared by.

``people`` is how many human votes predict the remaining votes of an item as well as the prediction
does: the mean of k votes lies ``(1 - A) / k`` from what everyone would say, in expected squared
distance, where A is how often two people agree; a prediction at squared distance G is worth ``k =
(1 - A) / G`` people. Both are estimated without bias from items with two votes or more, so that the
noise of the votes themselves is not held against the prediction.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ferjax import bootstrap, metrics
from ferjax.evaluation.calibration_errors import FigureSamples
from ferjax.evaluation.conditions import People

__all__ = ["FIGURES", "quality_samples", "squared_gaps"]

FIGURES = {
    "accuracy": "accuracy",
    "nll": "NLL to votes",
    "jensen_shannon": "JSD to votes",
    "ece": "ECE to labels",
    "ece_votes": "ECE to votes",
    "people": "worth so many people",
}
"""Figure -> what people read."""


def squared_gaps(log_probs: ArrayLike, counts: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Unbiased squared distance to what everyone would say, and that of one person.

    Args:
      log_probs: ``[item, class]``.
      counts: ``[item, class]`` votes.

    Returns:
      Distance of the prediction and ``1 - A`` of people, float64 ``[item]``; NaN where an item has
      fewer than two votes. Either may be negative for one item; means are what counts.

    >>> gap, person = squared_gaps(np.log([[0.5, 0.5]]), [[1, 1]])
    >>> gap.tolist(), person.tolist()
    ([-0.5], [1.0])
    """
    p = np.exp(np.asarray(log_probs, np.float64))
    n = np.asarray(counts, np.float64)
    total = n.sum(-1)
    some = np.where(total >= 2, total, np.nan)
    agreement = (n * (n - 1)).sum(-1) / (some * (some - 1))
    gap = (p**2).sum(-1) - 2 * (p * n).sum(-1) / some + agreement
    return gap, 1 - agreement


@jax.jit
def _samples(
    log_probs: jax.Array, labels: jax.Array, q: jax.Array, weights: jax.Array
) -> tuple[dict[str, jax.Array], dict[str, metrics.Gaps]]:
    confidence = jnp.exp(jnp.max(log_probs, -1))
    chosen = jnp.argmax(log_probs, -1)
    share = jnp.take_along_axis(q, chosen[:, None], axis=-1)[:, 0]

    def gaps_to_votes(w: jax.Array) -> metrics.Gaps:
        bins = metrics.reliability_bins(confidence, share, w)
        gap = jnp.where(bins.share > 0, bins.confidence - bins.correct, 0.0)
        return metrics.Gaps(bins.share, gap, 0 * gap)  # a share of votes is no coin: its own spread

    def statistics(w: jax.Array) -> tuple[dict[str, jax.Array], dict[str, metrics.Gaps]]:
        gaps = {
            "ece": metrics.calibration_gaps(log_probs, labels, w),
            "ece_votes": gaps_to_votes(w),
        }
        return {
            "accuracy": metrics.accuracy(log_probs, labels, w),
            "nll": metrics.nll(log_probs, q, w),
            "jensen_shannon": metrics.jensen_shannon(log_probs, q, w),
            **{name: jnp.sum(of.share * jnp.abs(of.gap)) for name, of in gaps.items()},
        }, gaps

    return bootstrap.resampled(statistics, weights)


def quality_samples(
    log_probs: ArrayLike, people: People, weights: ArrayLike
) -> Mapping[str, FigureSamples]:
    """Every figure of :data:`FIGURES` on all items and on every resample.

    Args:
      log_probs: ``[item, class]`` of the pooled prediction.
      people: what people said of these items.
      weights: ``[resample, item]``.

    Returns:
      Figure -> its samples; ``people`` is infinite where the prediction is as good as everybody,
      and NaN where no item has two votes.
    """
    log_probs = np.asarray(log_probs, np.float32)
    found, gaps = _samples(log_probs, people.labels, people.q.astype(np.float32), weights)
    # Of shares alone nothing is known of how many people gave them.
    counts = np.zeros_like(people.q) if people.counts is None else people.counts
    gap, person = squared_gaps(log_probs, counts)
    told = np.isfinite(gap)
    rows = np.concatenate([np.ones((1, len(gap))), np.asarray(weights, np.float64)])[:, told]
    distances = rows @ gap[told]
    persons = rows @ person[told]
    with np.errstate(divide="ignore", invalid="ignore"):
        worth = np.where(distances > 0, persons / distances, np.inf)
    worth = np.where(rows.sum(1) > 0, worth, np.nan)
    return {
        **{name: FigureSamples(np.asarray(of)) for name, of in found.items()},
        **{
            name: FigureSamples(np.asarray(found[name]), of, len(log_probs))
            for name, of in gaps.items()
        },
        "people": FigureSamples(worth),
    }
