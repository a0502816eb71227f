"""Thresholds, prior and temperature for a new population, from a few labelled items of it.

What chooses is not what certifies. A random quarter of the items fits the prior and the
temperature; three eighths choose the reject threshold (split-conformal) and propose defer
thresholds; the rest is looked at once, to certify the error among accepted items. Both promises are
therefore exact, given that the items are a random sample of the population.

References:
  Angelopoulos et al., Learn Then Test, 2021, https://arxiv.org/abs/2110.01052;
  :mod:`ferjax.conformal`, :mod:`ferjax.priors`.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import conformal, metrics, priors, recalibration, uncertainty
from ferjax.evaluation.class_priors import adjusted
from ferjax.evaluation.conditions import Condition, class_names, scored
from ferjax.evaluation.routing_results import Adaptation, RouterThresholds, Thresholds
from ferjax.evaluation.thresholds import SCORES, certify_walk
from ferjax.predictions import Predictions
from ferjax.priors import Adjustment
from ferjax.routing import RouterRule

__all__ = ["LEAST_ITEMS", "Parts", "adapt", "fit_adjustment", "split"]

LEAST_ITEMS = 50
"""Labelled items without which nothing is worth choosing."""
STRENGTH = 10.0
"""Items that the training prior counts for in the new one."""
SPREAD = 0.5
"""Standard deviation of log T that is expected before any item is seen."""
_LOG_TEMPERATURES = np.linspace(-1.5, 1.5, 121, dtype=np.float32)
_LEVELS = np.linspace(0, 1, 41)[1:]


@dataclasses.dataclass(frozen=True)
class Parts:
    """Rows of the items by what they are for."""

    fit: np.ndarray
    choose: np.ndarray
    certify: np.ndarray


def split(items: int, seed: int = 0) -> Parts:
    """A random quarter to fit, three eighths to choose, the rest to certify.

    >>> [len(part) for part in dataclasses.astuple(split(80))]
    [20, 30, 30]
    """
    order = np.random.default_rng(seed).permutation(items)
    ends = (items // 4, items // 4 + round(items * 3 / 8))
    return Parts(*(np.sort(part) for part in np.split(order, ends)))


@jax.jit
def _penalised_nll(
    log_probs: jax.Array,
    q: jax.Array,
    training: jax.Array,
    prior: jax.Array,
    log_temperatures: jax.Array,
) -> jax.Array:
    """Negative log posterior ``[temperature]`` of each temperature, beside the new prior."""

    def of(log_temperature: jax.Array) -> jax.Array:
        read = priors.adjust(log_probs / jnp.exp(log_temperature), training, prior)
        nll = -jnp.sum(q * uncertainty.mean_log_probs(read))
        return nll + jnp.square(log_temperature / SPREAD) / 2

    return jax.lax.map(of, log_temperatures)


def fit_adjustment(
    name: str, log_probs: np.ndarray, q: np.ndarray, training: Sequence[float]
) -> Adjustment:
    """Prior and temperature of a population, from labelled items of it.

    The prior is the labels' shares with :data:`STRENGTH` items of the training prior among them;
    the temperature is the likeliest beside it, with a normal prior on its logarithm.

    Args:
      name: of the population.
      log_probs: ``[member, item, class]`` under the training prior.
      q: ``[item, class]`` vote distributions, or labels as rows of 0 and 1.
      training: ``[class]`` the training prior.
    """
    shares = q.sum(0) + STRENGTH * np.asarray(training)
    shares = shares / shares.sum()
    loss = _penalised_nll(
        np.maximum(np.asarray(log_probs, np.float32), -30),
        q.astype(np.float32),
        np.asarray(training, np.float32),
        shares.astype(np.float32),
        _LOG_TEMPERATURES,
    )
    best = int(np.argmin(np.asarray(loss)))
    temperature = float(f"{np.exp(_LOG_TEMPERATURES[best]):.4g}")
    return Adjustment.of(name, training, shares, temperature)


def adapt(
    p: Predictions,
    training: Sequence[float],
    *,
    name: str,
    router: str,
    concentration: recalibration.Concentration | None = None,
    false_rejection: float = 0.05,
    accept_error: float = 0.25,
    confidence: float = 0.9,
    seed: int = 0,
) -> Adaptation:
    """Adapts one router to a population.

    Args:
      p: predictions of labelled items, under the training prior, with the scores that the router
        reads; a random sample of the population, no two of one person or picture.
      training: ``[class]`` the training prior.
      name: of the population.
      router: one of :data:`ferjax.evaluation.thresholds.SCORES`.
      concentration: of the members, where it was fitted afterwards.
      false_rejection: bound on the share of the population's items that are rejected; where there
        are too few items to promise it, nothing is rejected.
      accept_error: ε, the error among accepted items to be certified.
      confidence: 1 - δ of the certificate.
      seed: of the split.

    Returns:
      :class:`Adaptation`; where its certificate is refused there is nothing to route by.

    Raises:
      ValueError: if there are fewer than :data:`LEAST_ITEMS` items, or the router's scores are
        missing.
    """
    if len(p.ids) < LEAST_ITEMS:
        raise ValueError(
            f"{name}: {len(p.ids)} labelled items; at least {LEAST_ITEMS} are needed, 100 to 300 "
            "are better"
        )
    before = scored(p)
    parts = split(len(p.ids), seed)
    q = before.voted.q
    adjustment = fit_adjustment(name, p.log_probs[:, parts.fit], q[parts.fit], training)
    after = scored(_with_concentration(adjusted(p, adjustment), concentration))
    defer, reject = SCORES[router]
    if reject not in after.scores or defer not in after.scores:
        raise ValueError(
            f"router {router!r} reads {defer} and {reject}; there are {', '.join(after.scores)}"
        )
    by = np.asarray(after.scores[reject])
    above = float(conformal.conformal_threshold(by[parts.choose], false_rejection))
    passes = by <= above
    uncertain = np.asarray(after.scores[defer])
    walk = np.quantile(uncertain[parts.choose], _LEVELS)
    first = _surest(
        uncertain[parts.choose][:, None] <= walk[None],
        after.correct[parts.choose],
        passes[parts.choose],
        certifying=len(parts.certify),
        accept_error=accept_error,
        confidence=confidence,
    )
    certificate = certify_walk(
        walk,
        uncertain[parts.certify],
        ~after.correct[parts.certify],
        passes[parts.certify],
        first=first,
        accept_error=accept_error,
        confidence=confidence,
    )
    rule = RouterRule(certificate.above, above, defer, reject, false_rejection)
    routers = {router: RouterThresholds(rule, (), certificate)}
    return Adaptation(
        name=name,
        router=router,
        classes=class_names(p.log_probs.shape[2], p.classes),
        items=len(p.ids),
        parts={f.name: len(getattr(parts, f.name)) for f in dataclasses.fields(parts)},
        accuracy_before=_accuracies(before, parts.certify),
        accuracy_after=_accuracies(after, parts.certify),
        rejected=float(1 - passes[parts.certify].mean()),
        thresholds=Thresholds(len(p.ids), false_rejection, float("nan"), routers),
        adjustment=adjustment,
    )


def _with_concentration(
    p: Predictions, concentration: recalibration.Concentration | None
) -> Predictions:
    if p.log_concentration is not None or concentration is None:
        return p
    log_probs = np.asarray(p.log_probs, np.float32)
    known = np.asarray(recalibration.apply_members(concentration, log_probs))
    return dataclasses.replace(p, log_concentration=known)


def _surest(
    below: np.ndarray,
    correct: np.ndarray,
    passes: np.ndarray,
    *,
    certifying: int,
    accept_error: float,
    confidence: float,
) -> int:
    """The threshold that is most likely to be certified: where the walk begins.

    Args:
      below: bool ``[item, T]`` of the choosing items, whether each threshold lets an item through.
      correct: ``[item]`` of them.
      passes: ``[item]`` whether the reject threshold lets it through.
      certifying: how many items will certify.
      accept_error: ε.
      confidence: 1 - δ.
    """
    inside = below & passes[:, None]
    accepted = inside.sum(0)
    wrong = (inside & ~correct[:, None]).sum(0)
    rate = (wrong + 0.5) / (accepted + 1)
    expected = np.round(accepted / len(below) * certifying)
    errors = np.arange(certifying + 1)
    p_values = conformal.binomial_tail(errors[None], expected[:, None], accept_error)
    most = (np.asarray(p_values) <= 1 - confidence).sum(1) - 1  # errors that are still certified
    # The tail at the error that is expected is the chance of no more errors than these.
    power = np.asarray(conformal.binomial_tail(np.maximum(most, 0), expected, rate))
    power = np.where(most >= 0, power, 0)
    return int(power.argmax())


def _accuracies(c: Condition, rows: np.ndarray) -> dict[str, float]:
    """Accuracy and balanced accuracy over some items."""
    labels = c.voted.labels[rows]
    mean = c.mean_log_probs[rows]
    return {
        "accuracy": float(metrics.accuracy(mean, labels)),
        "balanced_accuracy": float(metrics.balanced_accuracy(mean, labels)),
    }
