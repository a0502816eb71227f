"""A figure with its interval, and how resampled statistics become one."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike

from ferjax import bootstrap

__all__ = ["Difference", "Interval", "by_label", "difference", "interval"]

LEVEL = 0.95
ROUNDING = 1e-6
"""How far sums of float32 may round apart, of figures up to 1."""


@dataclasses.dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval; NaN where it is not defined.

    >>> Interval.exact(0.5)
    Interval(value=0.5, low=0.5, high=0.5)
    >>> Interval.undefined().defined
    False
    """

    value: float
    low: float
    high: float

    @classmethod
    def exact(cls, value: float) -> "Interval":
        """A figure that is known without error."""
        return cls(value, value, value)

    @classmethod
    def undefined(cls) -> "Interval":
        """A figure that does not exist."""
        return cls.exact(math.nan)

    @property
    def defined(self) -> bool:
        """Whether the figure exists."""
        return not math.isnan(self.value)


@dataclasses.dataclass(frozen=True)
class Difference(Interval):
    """A paired difference of two figures, with its two-sided bootstrap p-value against 0.

    >>> Difference(0.1, 0.02, 0.2, p_value=0.01).defined
    True
    """

    p_value: float = math.nan


def by_label(samples: ArrayLike, *axes: Sequence) -> Any:
    """Samples ``[1 + resample, ...]`` as nested dictionaries of :class:`Interval`.

    Args:
      samples: the statistic on all items first, then on every resample; undefined ones are NaN and
        are left out of the interval.
      *axes: labels of each further axis, one dictionary level per axis.
    """
    # On the host: a quantile for every shape of table would be a program to compile for every one.
    values = np.asarray(samples, np.float64)
    tail = (1 - LEVEL) / 2
    low, high = _quantiles(values[1:], (tail, 1 - tail))
    # Where every resample says the same, float32 may round the figure past them.
    near = ROUNDING * np.maximum(np.abs(values[0]), 1)
    with np.errstate(invalid="ignore"):  # infinite figures
        low = np.where(np.abs(low - values[0]) <= near, np.minimum(low, values[0]), low)
        high = np.where(np.abs(high - values[0]) <= near, np.maximum(high, values[0]), high)

    def table(parts: tuple[np.ndarray, ...], rest: tuple[Sequence, ...]) -> Any:
        if not rest:
            return Interval(*(float(part) for part in parts))
        return {
            label: table(tuple(part[i] for part in parts), rest[1:])
            for i, label in enumerate(rest[0])
        }

    return table((values[0], low, high), axes)


def _quantiles(samples: np.ndarray, levels: Sequence[float]) -> list[np.ndarray]:
    """Quantiles along the first axis without the undefined samples; numpy's give NaN for the
    infinite ones, which the ratio of two figures may have."""
    ordered = np.sort(samples, axis=0)  # NaN last
    defined = np.sum(~np.isnan(ordered), axis=0)
    found = []
    for level in levels:
        position = level * np.maximum(defined - 1, 0)
        below = np.floor(position).astype(int)
        above = np.minimum(below + 1, np.maximum(defined - 1, 0))
        low, high = (np.take_along_axis(ordered, i[None], 0)[0] for i in (below, above))
        with np.errstate(invalid="ignore"):
            between = low + (position - below) * (high - low)
        found.append(np.where(low == high, low, between))
    return found


def interval(samples: ArrayLike) -> Interval:
    """Samples ``[1 + resample]`` as one figure with its interval."""
    return by_label(samples)


_p_value = jax.jit(bootstrap.p_value)


def difference(samples: ArrayLike) -> Difference:
    """Samples ``[1 + resample]`` of a paired difference, with the p-value of "they are equal"."""
    found = interval(samples)
    p_value = float(_p_value(np.asarray(samples, np.float32)[1:]))
    return Difference(found.value, found.low, found.high, p_value)
