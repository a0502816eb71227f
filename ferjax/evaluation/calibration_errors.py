"""Intervals of calibration errors, from gaps that are resampled bin by bin.

A calibration error is a norm of gaps, one for each bin of confidence. Noise adds to a norm whatever
its sign: the error of a sample is too large, and that of a resample too large once more, so that
plain percentiles of resamples may lie above the error itself. The interval here is the basic one,
the error less what resamples lie above it, taken twice: around the gaps as they are, which gives
the upper end, and around gaps of which those that noise explains are 0, which gives the lower one,
because then the norm has a corner where a resample says too little of the bias.

References:
  Kumar, Liang & Ma, Verified Uncertainty Calibration, 2019, https://arxiv.org/abs/1909.10155 (the
  bias, and the basic interval); Fang & Santos, Inference on Directionally Differentiable Functions,
  2019, https://arxiv.org/abs/1404.3763 (what goes wrong at a corner); Andrews & Soares, Inference
  for Parameters Defined by Moment Inequalities, 2010, https://doi.org/10.3982/ECTA7502 (what counts
  as noise: less than sqrt(log n) standard deviations).
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from ferjax.evaluation.intervals import LEVEL, Interval, interval
from ferjax.metrics import Gaps

__all__ = ["NORMS", "FigureSamples", "calibration_interval"]


def _mean(share: np.ndarray, gap: np.ndarray) -> np.ndarray:
    errors = np.sum(share * np.abs(gap), axis=-1)
    return errors.reshape(len(errors), -1).mean(-1)


def _root_mean_square(share: np.ndarray, gap: np.ndarray) -> np.ndarray:
    return np.sqrt(np.sum(share * gap**2, axis=-1))


def _largest(share: np.ndarray, gap: np.ndarray) -> np.ndarray:
    return np.max(np.where(share > 0, np.abs(gap), 0), axis=-1)


NORMS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "mean": _mean,
    "root_mean_square": _root_mean_square,
    "largest": _largest,
}
"""Norm -> the error ``[row]`` of gaps ``[row, ..., bin]``; axes between are averaged over."""


def calibration_interval(samples: Gaps, items: int, norm: str = "mean") -> Interval:
    """A calibration error with its interval, which always holds it.

    Args:
      samples: gaps of all items and of every resample: ``share`` and ``gap [1 + resample, ...,
        bin]``, and ``deviation`` likewise, of which the first row is read.
      items: number of items.
      norm: one of :data:`NORMS`.

    Returns:
      The error of these items, and an interval for that of endlessly many; undefined where a gap
      is.

    >>> gap = np.array([[0.5], [0.375], [0.625], [0.75]])
    >>> calibration_interval(Gaps(np.ones((4, 1)), gap, np.full((4, 1), 0.1)), items=100)
    Interval(value=0.5, low=0.25625, high=0.6125)
    """
    share, gap, deviation = (np.asarray(of, np.float64) for of in samples)
    error_of = NORMS[norm]
    error = float(error_of(share[:1], gap[:1])[0])
    if np.isnan(error) or len(gap) == 1:
        return Interval(error, np.nan, np.nan)
    held = share[1:] > 0
    moved = np.where(held, gap[1:] - gap[0], 0)
    spread = np.sqrt(np.sum(moved**2, axis=0) / np.maximum(held.sum(0), 1))
    noise = np.sqrt(np.log(max(items, 2))) * np.maximum(spread, deviation[0])
    certain = np.where(np.abs(gap[0]) > noise, gap[0], 0)

    def above(truth: np.ndarray, bins: np.ndarray) -> np.ndarray:
        """How much larger than of these gaps the error of each resample around them is."""
        true_error = error_of(share[:1], truth[None])
        return error_of(share[1:], np.where(held & bins, truth + moved, 0)) - true_error

    tail = (1 - LEVEL) / 2
    every = np.ones_like(held[0])
    high = error - np.nanquantile(above(gap[0], every), tail)
    low = error - np.nanquantile(above(certain, every), 1 - tail)
    of_certain = float(error_of(share[:1], certain[None])[0])
    least = of_certain - np.nanquantile(above(certain, certain != 0), 1 - tail)
    return Interval(error, float(max(min(low, least), 0.0)), float(max(high, error)))


@dataclasses.dataclass(frozen=True)
class FigureSamples:
    """A figure on all items and on every resample; of a calibration error, its gaps as well.

    >>> ten, seven = (FigureSamples(np.array([x, x + 1, x + 3])) for x in (10.0, 7.0))
    >>> ten.interval().value, ten.minus(seven)
    (10.0, Interval(value=3.0, low=3.0, high=3.0))
    """

    samples: np.ndarray
    """``[1 + resample]``."""
    gaps: Gaps | None = None
    """Those that the figure is the mean of, as :func:`calibration_interval` takes them."""
    items: int = 0
    """Number of items, beside gaps."""

    def interval(self) -> Interval:
        """The figure with its interval."""
        if self.gaps is None:
            return interval(self.samples)
        return calibration_interval(self.gaps, self.items)

    def minus(self, other: "FigureSamples") -> Interval:
        """How much larger it is than the other on the same resamples; of calibration errors the
        basic interval, which takes back what resampling adds to one more than to the other."""
        with np.errstate(invalid="ignore"):
            difference = np.asarray(self.samples - other.samples, np.float64)
        if self.gaps is None:
            return interval(difference)
        difference[1:] = 2 * difference[0] - difference[1:]
        found = interval(difference)
        return Interval(found.value, min(found.low, found.value), max(found.high, found.value))
