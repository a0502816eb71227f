"""What depends on the members: their number, which they are, the form of the uncertainty, and the
classes they disagree about."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import metrics, uncertainty
from ferjax.evaluation import resampling
from ferjax.evaluation.conditions import Condition, Conditions
from ferjax.evaluation.intervals import Interval, interval
from ferjax.evaluation.results import (
    ClassContribution,
    EnsembleSize,
    FormRow,
    Jackknife,
    SizeRow,
    Spread,
)

__all__ = ["ensemble_size", "sub_ensembles"]


def ensemble_size(conditions: Conditions) -> EnsembleSize:
    """All of it, on the clean test items and their copies at the highest severity.

    Figures by size come from sub-ensembles (``mean_epistemic_corrected`` undoes the small-ensemble
    bias); standard errors over members from leaving one out (empty below three members).
    """
    copies = [
        np.asarray(c.predictions.log_probs, np.float32)
        for c in (conditions.test, *conditions.worst)
    ]
    log_probs = np.stack(copies)  # the clean test items first
    concentrations = _concentrations((conditions.test, *conditions.worst))
    passes = conditions.test.predictions.passes
    members = log_probs.shape[1] // passes
    people = conditions.test.voted
    of_members = sub_ensembles(members)
    masks = np.repeat(of_members, passes, axis=1)
    parts = jax.device_get(_of_subsets(masks, log_probs, concentrations))
    figures = _figures(
        parts.epistemic,
        parts.between[0],
        parts.aleatoric[0],
        log_probs[0],
        masks,
        people.disagreement.astype(np.float32),
        people.q.astype(np.float32),
        people.ambiguous,
    )
    of_subsets = {name: np.asarray(of, np.float64) for name, of in figures.items()}
    size = of_members.sum(1)
    # Only what lies between members is biased by their number.
    missing = np.where(size > 1, 1 / np.maximum(size - 1, 1), np.nan) * of_subsets.pop("between")
    of_subsets["mean_epistemic_corrected"] = of_subsets["mean_epistemic"] + missing
    without_one = size == members - 1
    jackknife = {}
    if members >= 3:
        for name, values in of_subsets.items():
            error = np.sqrt((members - 1) * np.var(values[without_one]))
            jackknife[name] = Jackknife(float(values[-1]), float(error))
    return EnsembleSize(
        sizes=_sizes(of_subsets, size),
        jackknife=jackknife,
        mean_item=_mean_item(parts, without_one) if members >= 3 else {},
        forms=_forms(conditions, log_probs, parts, without_one),
        contributions=_contributions(conditions, log_probs, concentrations),
    )


def _concentrations(conditions: Sequence[Condition]) -> np.ndarray | None:
    """``[condition, member, item]``, or None where members have none."""
    found = [c.predictions.log_concentration for c in conditions]
    if any(of is None for of in found):
        return None
    return np.stack([np.asarray(of, np.float32) for of in found])


def sub_ensembles(members: int, *, per_size: int = 40, seed: int = 0) -> np.ndarray:
    """Which members each sub-ensemble holds: of each size all of them, or a random sample.

    Args:
      members: number of members.
      per_size: most sub-ensembles of one size, where there are more than members.
      seed: seed of the sample.

    Returns:
      bool ``[subset, member]``, small ones first, the whole ensemble last; every leave-one-out is
      among them.

    >>> sub_ensembles(3).sum(1).tolist()
    [1, 1, 1, 2, 2, 2, 3]
    """
    rng = np.random.default_rng(seed)
    masks = []
    for size in range(1, members + 1):
        if math.comb(members, size) <= max(per_size, members):
            rows = np.array(list(itertools.combinations(range(members), size)))
        else:
            drawn = rng.random((per_size, members)).argsort(1)[:, :size]
            rows = np.unique(np.sort(drawn, axis=1), axis=0)
        masks.append((rows[:, :, None] == np.arange(members)).any(1))
    return np.concatenate(masks)


@jax.jit
def _of_subsets(
    masks: jax.Array, log_probs: jax.Array, log_concentration: jax.Array | None
) -> uncertainty.Decomposition:
    """Every sub-ensemble's uncertainties ``[condition, subset, item]``, nats."""
    return jax.lax.map(
        lambda of: uncertainty.decompose_subsets(of[0], masks, of[1]),
        (log_probs, log_concentration),
    )


@jax.jit
def _figures(
    epistemic: jax.Array,
    between: jax.Array,
    aleatoric: jax.Array,
    log_probs: jax.Array,
    masks: jax.Array,
    delta: jax.Array,
    q: jax.Array,
    ambiguous: jax.Array,
) -> dict[str, jax.Array]:
    """Figures of every sub-ensemble, ``[subset]``.

    Args:
      epistemic: ``[condition, subset, item]``, the clean test items first.
      between: ``[subset, item]`` of the clean test items: what lies between members of epistemic.
      aleatoric: ``[subset, item]`` of the clean test items.
      log_probs: ``[member, item, class]`` of the clean test items.
      masks: ``[subset, member]``.
      delta: ``[item]``.
      q: ``[item, class]``.
      ambiguous: ``[item]`` bool.
    """
    shares = masks / jnp.sum(masks, -1, keepdims=True)
    means = jnp.log(jnp.tensordot(shares, jnp.exp(log_probs), 1))
    labels = jnp.argmax(q, -1)

    def of_one(
        epistemic: jax.Array, between: jax.Array, aleatoric: jax.Array, mean: jax.Array
    ) -> dict:
        figures = {
            "spearman": metrics.spearman(aleatoric, delta),
            "rank_correlation": metrics.spearman(aleatoric, epistemic[0]),
            "mean_epistemic": jnp.mean(epistemic[0]),
            "between": jnp.mean(between),
            "accuracy": metrics.accuracy(mean, labels),
            "nll": metrics.nll(mean, q),
        }
        if len(epistemic) > 1:
            area = jax.vmap(lambda outside: metrics.auroc_between(epistemic[0], outside))
            figures["shift_auroc"] = jnp.mean(area(epistemic[1:]))
            kept = jax.vmap(lambda outside: metrics.auroc_between(epistemic[0], outside, ambiguous))
            figures["routing_auc"] = jnp.mean(kept(epistemic[1:]))
        return figures

    return jax.vmap(of_one, (1, 0, 0, 0))(epistemic, between, aleatoric, means)


def _sizes(figures: Mapping[str, np.ndarray], size: np.ndarray) -> dict[int, SizeRow]:
    """Mean and range of every figure over the sub-ensembles of each size."""
    sizes = {}
    for k in range(1, int(size.max()) + 1):
        rows = {}
        for name, values in figures.items():
            some = values[size == k]
            some = some[np.isfinite(some)]
            if len(some):
                rows[name] = Spread(float(some.mean()), float(some.min()), float(some.max()))
        sizes[k] = SizeRow(int((size == k).sum()), rows)
    return sizes


class _Estimate(NamedTuple):
    """Bias-corrected value and standard error of each item, ``[..., item]``."""

    value: np.ndarray
    error: np.ndarray


def _jackknife(of_subsets: np.ndarray, without_one: np.ndarray) -> _Estimate:
    """Leave-one-member-out estimates from ``[..., subset, item]``, the whole ensemble last."""
    left_out = of_subsets[..., without_one, :].astype(np.float64)
    members = left_out.shape[-2]
    value = members * of_subsets[..., -1, :] - (members - 1) * left_out.mean(-2)
    return _Estimate(value, np.sqrt((members - 1) * left_out.var(-2)))


def _mean_item(parts: uncertainty.Decomposition, without_one: np.ndarray) -> dict[str, Jackknife]:
    """Bias-corrected uncertainties of the mean clean item, with standard errors over members."""
    table = {}
    for part in ("total", "aleatoric", "epistemic"):
        found = _jackknife(np.asarray(getattr(parts, part)[0]), without_one)
        table[part] = Jackknife(float(found.value.mean()), float(found.error.mean()))
    return table


@jax.jit
def _by_class(
    log_probs: jax.Array, log_concentration: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """Mean nats per class ``[condition, class]`` in aleatoric and epistemic uncertainty."""

    def of_one(of: tuple[jax.Array, jax.Array | None]) -> tuple[jax.Array, jax.Array]:
        aleatoric = uncertainty.aleatoric_contributions(*of).mean(0)
        return aleatoric, uncertainty.epistemic_contributions(*of).mean(0)

    return jax.lax.map(of_one, (log_probs, log_concentration))


def _contributions(
    conditions: Conditions, log_probs: np.ndarray, log_concentration: np.ndarray | None
) -> dict[str, ClassContribution]:
    """Mean nats per item and class, on clean items and at the highest severity."""
    votes = conditions.test.voted.q.mean(0)
    aleatoric, epistemic = jax.device_get(_by_class(log_probs, log_concentration))
    columns = [votes, aleatoric[0], epistemic[0]]
    for part in (aleatoric, epistemic):
        columns.append(part[1:].mean(0) if len(part) > 1 else np.full(len(votes), np.nan))
    return {
        name: ClassContribution(*(float(column[c]) for column in columns))
        for c, name in enumerate(conditions.classes)
    }


@jax.jit
def _variances(log_probs: jax.Array) -> uncertainty.Decomposition:
    return jax.lax.map(uncertainty.decompose_variance, log_probs)


def _forms(
    conditions: Conditions,
    log_probs: np.ndarray,
    parts: uncertainty.Decomposition,
    without_one: np.ndarray,
) -> dict[str, FormRow]:
    """The same two questions to uncertainties that are no entropies: variances, the jackknife."""
    variance = jax.device_get(_variances(log_probs))
    forms = {
        "variance_epistemic": variance.epistemic,
        "variance_aleatoric": variance.aleatoric,
    }  # form -> [condition, item]
    if log_probs.shape[1] >= 3:
        forms["jackknife_epistemic"] = _jackknife(np.asarray(parts.epistemic), without_one).value
    weights = conditions.weights
    table = {}
    for name, (clean, *shifted) in forms.items():
        area = Interval.undefined()
        if shifted:
            area = interval(resampling.shift_auroc(clean, np.stack(shifted), weights).mean(-1))
        delta = conditions.test.voted.disagreement
        table[name] = FormRow(interval(resampling.spearman(clean, delta, weights)), area)
    return table
