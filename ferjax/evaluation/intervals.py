"""Resampled statistics as numbers for tables: ``{"value", "low", "high"}``, 95 % percentile
intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import bootstrap
from ferjax.predictions import Predictions

__all__ = ["draw", "interval", "labelled", "plain"]

Interval = dict[str, float]


def draw(predictions: Predictions, key: jax.Array, resamples: int) -> jax.Array:
    """Bootstrap weights ``[resample, face]``; faces of one group (pixel-identical copies, say) are
    drawn together."""
    if predictions.groups is None:
        return _draw(key, len(predictions.ids), resamples)
    number = np.unique(predictions.groups, return_inverse=True)[1]
    return _draw(key, int(number.max()) + 1, resamples)[:, number]


_draw = jax.jit(bootstrap.resample_weights, static_argnums=(1, 2))
_summarise = jax.jit(bootstrap.summarise)


def labelled(samples: jax.Array, *axes: Sequence) -> Any:
    """Samples ``[1 + resample, ...]`` as nested tables, one level per further axis, labelled in
    order."""
    summary = [np.asarray(part, np.float64) for part in _summarise(jnp.asarray(samples))]

    def table(parts: list[np.ndarray], rest: tuple) -> Any:
        if not rest:
            return dict(zip(("value", "low", "high"), map(float, parts)))
        return {
            label: table([part[i] for part in parts], rest[1:]) for i, label in enumerate(rest[0])
        }

    return table(summary, axes)


def interval(samples: jax.Array) -> Interval:
    """Samples ``[1 + resample]`` as one value with its interval."""
    return labelled(samples)


def plain(entry: Any) -> float:
    """The value of a table entry, with or without an interval."""
    return entry["value"] if isinstance(entry, Mapping) else entry
