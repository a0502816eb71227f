"""The alternative annotator test of every judge: by its most frequent answer and as a whole."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import replacement
from ferjax.evaluation.judgments.results import ReplacementRow
from ferjax.evaluation.judgments.sides import Sides
from ferjax.replacement import Replacement

__all__ = ["MARGIN", "stand_in"]

MARGIN = 0.1
"""ε beside crowd workers, as the test's authors advise."""


@functools.partial(jax.jit, static_argnums=(4, 5, 6))
def _test(
    answers: jax.Array,
    judges: jax.Array,
    rater: jax.Array,
    margin: jax.Array,
    kind: str,
    raters: int,
    min_items: int,
) -> Replacement:
    """``answers [item, slot, column]`` of people, ``judges [judge, item, column]``."""
    distance = {
        "single": replacement.class_distance,
        "multi": replacement.set_distance,
        "squared": replacement.squared_distance,
    }[kind]
    x = jnp.where(jnp.isnan(answers), 0.0, answers)
    between = distance(x[:, :, None], x[:, None])
    to_judge = jax.lax.map(lambda p: distance(p[:, None], x), judges)
    return replacement.alternative_annotator_test(
        to_judge, between, rater, raters=raters, margin=margin, min_items=min_items
    )


def stand_in(
    sides: Sides, *, margin: float = MARGIN, min_items: int = 30
) -> dict[str, ReplacementRow]:
    """The test's table; empty where it is not known who rated.

    Args:
      sides: people and judges.
      margin: ε.
      min_items: a rater with fewer items is not tested.
    """
    if sides.ratings.rater is None:
        return {}
    table, rater = sides.ratings.by_item
    table = table.astype(np.float32)
    raters = len(sides.ratings.raters)
    if sides.shares is not None:
        judged = np.where((sides.answers > 0)[..., None], sides.shares, np.nan)
        hard = _hard(judged, sides.ratings.kind)
    else:
        assert sides.values is not None
        n = np.maximum((~np.isnan(sides.values)).sum(2), 1)
        judged = np.where((sides.answers > 0)[..., None], np.nansum(sides.values, 2) / n, np.nan)
        hard = judged
    kind = sides.ratings.kind if sides.shares is not None else "squared"
    label = _test(table, hard, rater, margin, kind, raters, min_items)
    whole = _test(table, judged, rater, margin, "squared", raters, min_items)
    p_value = np.asarray(label.p_value)
    rows = {}
    for place, name in enumerate(sides.names):
        tested = np.flatnonzero(~np.isnan(p_value[place]))
        rows[name] = ReplacementRow(
            raters=len(tested),
            margin=margin,
            winning_rate=float(label.winning_rate[place]),
            advantage=float(label.mean_advantage[place]),
            distribution_winning_rate=float(whole.winning_rate[place]),
            distribution_advantage=float(whole.mean_advantage[place]),
            by_rater={sides.ratings.raters[k]: float(label.advantage[place, k]) for k in tested},
        )
    return rows


def _hard(shares: np.ndarray, kind: str) -> np.ndarray:
    """The most frequent class; of several, those that half of the answers named, or the first."""
    best = np.zeros(shares.shape, np.float32)
    top = np.nan_to_num(shares, nan=-1.0).argmax(-1)
    np.put_along_axis(best, top[..., None], 1.0, -1)
    if kind == "multi":
        often = (shares >= 0.5).astype(np.float32)
        best = np.where(often.any(-1, keepdims=True), often, best)
    return np.where(np.isnan(shares), np.nan, best).astype(np.float32)
