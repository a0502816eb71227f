"""What depends on the members: how many there are, which they are, which classes they disagree
about, which form is used."""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import bootstrap, metrics, uncertainty
from ferjax.evaluation import intervals
from ferjax.faces import votes as votes_of
from ferjax.predictions import Predictions

__all__ = ["contributions", "other_forms", "sensitivity", "sub_ensembles"]


def sub_ensembles(members: int, *, per_size: int = 40, seed: int = 0) -> np.ndarray:
    """Which members each sub-ensemble holds: of each size all of them, or a random sample where
    they are many.

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
            rows = np.unique(
                np.sort(rng.random((per_size, members)).argsort(1)[:, :size], axis=1), axis=0
            )
        masks.append((rows[:, :, None] == np.arange(members)).any(1))
    return np.concatenate(masks)


@jax.jit
def _of_subsets(
    masks: jax.Array,
    log_probs: jax.Array,
    delta: jax.Array,
    q: jax.Array,
    shifted: jax.Array | None,
) -> dict[str, jax.Array]:
    """Figures of every sub-ensemble, ``[subset]``; ``shifted [condition, member, face, class]``."""

    def of_one(mask: jax.Array) -> dict[str, jax.Array]:
        row = mask[None]
        clean = jax.tree.map(lambda part: part[0], uncertainty.decompose_subsets(log_probs, row))
        share = mask / jnp.sum(mask)
        mean = jnp.log(jnp.tensordot(share, jnp.exp(log_probs), 1))
        out = {
            "spearman": metrics.spearman(clean.aleatoric, delta),
            "rank_correlation": metrics.spearman(clean.aleatoric, clean.epistemic),
            "mean_epistemic": jnp.mean(clean.epistemic),
            "accuracy": metrics.accuracy(mean, jnp.argmax(q, -1)),
            "nll": metrics.nll(mean, q),
        }
        if shifted is not None:
            areas = jax.lax.map(
                lambda s: metrics.auroc_between(
                    clean.epistemic, uncertainty.decompose_subsets(s, row).epistemic[0]
                ),
                shifted,
            )
            out["shift_auroc"] = jnp.mean(areas)
        return out

    return jax.lax.map(of_one, masks)


def sensitivity(clean: Predictions, worst: Mapping[str, Predictions]) -> dict:
    """How the headline figures depend on the number and the choice of members.

    Args:
      clean: the clean test split with votes.
      worst: its corrupted copies at the highest severity (may be empty).

    Returns:
      ``sizes[k][figure]``: mean, min and max over sub-ensembles of k members, and ``subsets``,
      their number; ``mean_epistemic_corrected`` undoes the small-ensemble bias.
      ``jackknife[figure]``: value of the whole ensemble and its standard error over members (None
      below three members); ``face_standard_error`` likewise for the mean face.
    """
    assert clean.votes is not None
    members = clean.log_probs.shape[0]
    q = votes_of.shares(clean.votes).astype(np.float32)
    masks = sub_ensembles(members)
    shifted = (
        jnp.stack([jnp.asarray(p.log_probs, jnp.float32) for p in worst.values()])
        if worst
        else None
    )
    delta = jnp.asarray(votes_of.disagreement(q), jnp.float32)
    figures = {
        name: np.asarray(of, np.float64)
        for name, of in _of_subsets(
            masks, jnp.asarray(clean.log_probs, jnp.float32), delta, q, shifted
        ).items()
    }
    size = masks.sum(1)
    figures["mean_epistemic_corrected"] = figures["mean_epistemic"] * np.where(
        size > 1, size / np.maximum(size - 1, 1), np.nan
    )
    sizes: dict = {}
    for k in range(1, members + 1):
        of_size = size == k
        sizes[k] = {"subsets": int(of_size.sum())}
        for name, value in figures.items():
            some = value[of_size][np.isfinite(value[of_size])]
            sizes[k][name] = (
                {"mean": float(some.mean()), "min": float(some.min()), "max": float(some.max())}
                if len(some)
                else None
            )
    jackknife: dict = {}
    if members >= 3:
        for name, value in figures.items():
            left_out = value[size == members - 1]
            error = np.sqrt((members - 1) * np.var(left_out))
            jackknife[name] = {
                "value": float(value[size == members][0]),
                "standard_error": float(error),
            }
    return {
        "sizes": sizes,
        "jackknife": jackknife or None,
        "face_standard_error": _faces(clean.log_probs),
    }


_jackknife = jax.jit(uncertainty.jackknife)


def _faces(log_probs: np.ndarray) -> dict | None:
    if log_probs.shape[0] < 3:
        return None
    estimate, error = _jackknife(jnp.asarray(log_probs, jnp.float32))
    return {
        part: {
            "mean": float(jnp.mean(getattr(estimate, part))),
            "standard_error": float(jnp.mean(getattr(error, part))),
        }
        for part in ("total", "aleatoric", "epistemic")
    }


_parts = jax.jit(
    lambda lp: (
        uncertainty.aleatoric_contributions(lp).mean(0),
        uncertainty.epistemic_contributions(lp).mean(0),
    )
)


def contributions(
    clean: Predictions, worst: Mapping[str, Predictions], classes: tuple[str, ...]
) -> dict:
    """Which classes the uncertainties come from: mean nats per face and class, on clean faces and
    at the highest severity."""
    assert clean.votes is not None
    aleatoric, epistemic = _parts(jnp.asarray(clean.log_probs, jnp.float32))
    q = votes_of.shares(clean.votes)
    table = {
        name: {
            "votes": float(q[:, c].mean()),
            "aleatoric": float(aleatoric[c]),
            "epistemic": float(epistemic[c]),
        }
        for c, name in enumerate(classes)
    }
    if worst:
        shifted = [_parts(jnp.asarray(p.log_probs, jnp.float32)) for p in worst.values()]
        for c, name in enumerate(classes):
            table[name]["aleatoric_shifted"], table[name]["epistemic_shifted"] = (
                float(np.mean([part[which][c] for part in shifted])) for which in (0, 1)
            )
    return table


@jax.jit
def _forms(log_probs: jax.Array) -> dict[str, jax.Array]:
    variance = uncertainty.decompose_variance(log_probs)
    forms = {
        "expected_pairwise_kl": uncertainty.expected_pairwise_kl(log_probs),
        "variance_epistemic": variance.epistemic,
        "variance_aleatoric": variance.aleatoric,
    }
    if log_probs.shape[0] >= 3:
        forms["jackknife_epistemic"] = uncertainty.jackknife(log_probs)[0].epistemic
    return forms


@jax.jit
def _judge(
    clean: jax.Array, shifted: jax.Array | None, delta: jax.Array, weights: jax.Array
) -> Any:
    def of_one(pair: Any) -> Any:
        inside, outside = pair

        def statistics(w: jax.Array) -> dict[str, jax.Array]:
            row = {"spearman": metrics.spearman(inside, delta, w)}
            if outside is not None:
                row["shift_auroc"] = jnp.mean(
                    jax.vmap(lambda s: metrics.auroc_between(inside, s, w, w))(outside)
                )
            return row

        return bootstrap.resampled(statistics, weights)

    return jax.lax.map(of_one, (clean, None if shifted is None else jnp.swapaxes(shifted, 0, 1)))


def other_forms(clean: Predictions, worst: Mapping[str, Predictions], weights: jax.Array) -> dict:
    """The same two questions to uncertainties that are not entropies: pairwise divergence,
    variances, the jackknife.

    Returns:
      form -> ``spearman`` with human disagreement, ``shift_auroc`` (mean over corruptions at the
      highest severity).
    """
    assert clean.votes is not None
    delta = jnp.asarray(votes_of.disagreement(votes_of.shares(clean.votes)), jnp.float32)
    forms = _forms(jnp.asarray(clean.log_probs, jnp.float32))
    inside = jnp.stack(list(forms.values()))
    outside = (
        jnp.stack(
            [
                jnp.stack(list(_forms(jnp.asarray(p.log_probs, jnp.float32)).values()))
                for p in worst.values()
            ]
        )
        if worst
        else None
    )
    samples = _judge(inside, outside, delta, weights)
    return {
        name: {figure: intervals.interval(of[i]) for figure, of in samples.items()}
        for i, name in enumerate(forms)
    }
