"""Several models as an ensemble: what lies between them, within them, and between people."""

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import panels, uncertainty
from ferjax.evaluation.intervals import interval
from ferjax.evaluation.judgments.resampling import Weights, means, spearmans
from ferjax.evaluation.judgments.results import Item, Jury
from ferjax.evaluation.judgments.sides import Sides
from ferjax.panels import Moments

__all__ = ["LISTED", "jury"]

LISTED = 8
"""Texts in a list."""


def _of(moments: Moments, places: list[int]) -> Moments:
    index = np.array(places)
    return jax.tree.map(lambda x: x[index], moments)


def jury(key: jax.Array, sides: Sides, weights: Weights) -> Jury | None:
    """The split of the jury's uncertainty; None with one model.

    Judges of one model are its settings: pooled first, so that models are compared with models.
    """
    models: dict[str, list[int]] = {}
    for place, judge in enumerate(sides.judges):
        models.setdefault(judge.model, []).append(place)
    if len(models) < 2:
        return None
    own = [_of(sides.machines, places) for places in models.values()]
    pooled = [panels.pool(m) for m in own]
    stacked = Moments(*(jnp.stack(leaves) for leaves in zip(*pooled)))
    split = panels.jury_split(stacked)
    within = jnp.mean(
        jnp.stack([jnp.mean(panels.spread(_of(sides.machines, p)), 0) for p in models.values()]), 0
    )
    settings = None
    if max(map(len, models.values())) > 1:
        settings = interval(means(weights, np.asarray(split.within - within)))
    spread = np.asarray(panels.spread(sides.people))
    pairs = np.stack([split.total, split.between])
    rho = spearmans(weights, pairs, spread[None])
    plug_in, null = _entropy(key, sides, list(models.values()), stacked)
    return Jury(
        models=tuple(models),
        total=interval(means(weights, np.asarray(split.total))),
        within=interval(means(weights, np.asarray(within))),
        settings=settings,
        between=interval(means(weights, np.asarray(split.between))),
        plug_in=float(np.nanmean(split.plug_in)),
        null=float(np.nanmean(split.null)),
        entropy_plug_in=plug_in,
        entropy_null=null,
        disagreement=interval(rho[:, 0]),
        between_disagreement=interval(rho[:, 1]),
        divides_models=_items(sides, stacked, np.asarray(split.between)),
        divides_people=_items(sides, stacked, spread),
    )


@jax.jit
def _information(shares: jax.Array, several: jax.Array) -> jax.Array:
    """Mean over items of the nats that shares ``[model, item, class]`` tell about the model."""
    if several.shape[0]:
        both = jnp.stack([shares, 1 - shares], -1)
        parts = uncertainty.decompose(jnp.log(both)).epistemic
        return jnp.nanmean(jnp.sum(parts, -1))
    total = jnp.sum(shares, -1, keepdims=True)
    return jnp.nanmean(uncertainty.decompose(jnp.log(shares / total)).epistemic)


def _entropy(
    key: jax.Array, sides: Sides, models: list[list[int]], stacked: Moments
) -> tuple[float | None, float | None]:
    """The plug-in entropy between models, and what it is where models are one distribution."""
    if sides.shares is None:
        return None, None
    flag = np.zeros(1 if sides.ratings.kind == "multi" else 0)
    shares = np.asarray(stacked.mean)
    plug_in = float(_information(shares, flag))
    if not np.isfinite(sides.answers).all():
        return plug_in, None
    # Every judge answers anew, from the jury's common distribution, as often as it did.
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    common = np.clip(np.nan_to_num(shares.mean(0)), 0, 1)
    m = sides.answers.astype(int)
    if sides.ratings.kind == "multi":
        drawn = rng.binomial(m[..., None], common[None])
    else:
        exact = common.astype(np.float64)
        exact /= np.maximum(exact.sum(-1, keepdims=True), 1e-12)
        exact[exact.sum(-1) == 0] = 1 / exact.shape[-1]
        drawn = rng.multinomial(m, np.broadcast_to(exact, (*m.shape, exact.shape[-1])))
    with np.errstate(invalid="ignore", divide="ignore"):
        alike = drawn / m[..., None]
    null = np.stack([alike[np.array(places)].mean(0) for places in models])
    return plug_in, float(_information(null.astype(np.float32), flag))


def _items(sides: Sides, models: Moments, values: np.ndarray) -> tuple[Item, ...]:
    """The texts of the largest values, with what both sides said."""
    order = np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")[:LISTED]
    texts = sides.ratings.texts
    judged = np.asarray(models.mean)
    return tuple(
        Item(
            id=str(sides.ratings.ids[place]),
            text=None if texts is None else texts[place],
            value=float(values[place]),
            people=_said(sides, place, None),
            judges="; ".join(_said(sides, place, row[place]) for row in judged),
        )
        for place in order
        if np.isfinite(values[place])
    )


def _said(sides: Sides, place: int, shares: np.ndarray | None) -> str:
    """What was said most, in words: ``joy 60 %, love 40 %``."""
    names = sides.ratings.classes
    if sides.shares is None:
        if shares is not None:
            return "values"
        table, _ = sides.ratings.by_item
        mean = np.nanmean(table[place], 0)
        return ", ".join(f"{name} {value:.1f}" for name, value in zip(names, mean))
    row = sides.people_shares[place] if shares is None else shares
    best = np.argsort(-row, kind="stable")[:3]
    return ", ".join(f"{names[c]} {100 * row[c]:.0f} %" for c in best if row[c] > 0.005) or "none"
