"""What other class priors would make of the same predictions of the clean test items."""

import jax
import numpy as np

from ferjax import bootstrap, metrics, priors, uncertainty
from ferjax.evaluation.class_priors import choose
from ferjax.evaluation.class_recall import balanced
from ferjax.evaluation.conditions import Conditions
from ferjax.evaluation.intervals import interval
from ferjax.evaluation.results import ClassPriors, PriorRow

__all__ = ["prior_comparison"]


@jax.jit
def _samples(
    log_probs: jax.Array,
    used: jax.Array,
    other: jax.Array,
    labels: jax.Array,
    q: jax.Array,
    weights: jax.Array,
) -> dict[str, jax.Array]:
    mean = uncertainty.mean_log_probs(priors.adjust(log_probs, used, other))
    return bootstrap.resampled(
        lambda w: {
            "accuracy": metrics.accuracy(mean, labels, w),
            "recall": metrics.class_recall(mean, labels, w),
            "vote_accuracy": metrics.vote_accuracy(mean, q, w),
            "nll": metrics.nll(mean, q, w),
        },
        weights,
    )


def prior_comparison(conditions: Conditions) -> ClassPriors | None:
    """Figures under the training, the square-root and the uniform prior, and the one in use.

    Returns:
      None where the training prior is not known.
    """
    chosen = conditions.adjustment
    if chosen is None:
        return None
    test = conditions.test
    names = ("training", "sqrt", "uniform")
    others = {name: choose(name, chosen.training, conditions.classes).prior for name in names}
    others.setdefault(chosen.name, chosen.prior)
    rows = {}
    for name, prior in others.items():
        samples = jax.device_get(
            _samples(
                np.asarray(test.predictions.log_probs, np.float32),
                np.asarray(chosen.prior, np.float32),
                np.asarray(prior, np.float32),
                test.voted.labels,
                test.voted.q.astype(np.float32),
                conditions.weights,
            )
        )
        rows[name] = PriorRow(
            balanced_accuracy=balanced(samples.pop("recall")),
            **{figure: interval(of) for figure, of in samples.items()},
        )
    return ClassPriors(
        chosen.name,
        dict(zip(conditions.classes, chosen.training)),
        dict(zip(conditions.classes, chosen.prior)),
        chosen.p_value,
        rows,
        chosen.known_from,
    )
