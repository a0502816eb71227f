"""A figure with its interval, and how resampled statistics become one."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.typing import ArrayLike

__all__ = ["Interval", "by_label", "interval"]

LEVEL = 0.95


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
    ends = np.array([tail, 1 - tail])
    resampled = values[1:]
    if np.isnan(resampled).any():
        undefined = np.asarray(np.isnan(resampled).all(axis=0))
        known = np.where(undefined[None], 0.0, resampled)
        low, high = np.nanquantile(known, ends, axis=0)
        low = np.where(undefined, np.nan, low)
        high = np.where(undefined, np.nan, high)
    else:
        low, high = np.quantile(resampled, ends, axis=0)

    def table(parts: tuple[np.ndarray, ...], rest: tuple[Sequence, ...]) -> Any:
        if not rest:
            return Interval(*(float(part) for part in parts))
        return {
            label: table(tuple(part[i] for part in parts), rest[1:])
            for i, label in enumerate(rest[0])
        }

    return table((values[0], low, high), axes)


def interval(samples: ArrayLike) -> Interval:
    """Samples ``[1 + resample]`` as one figure with its interval."""
    return by_label(samples)
