"""The exact binomial tail, in float64 on the host: float32 is off by 5 % at 30,000 items.

numpy alone, so that a promise does not depend on what an accelerator computes with.

References:
  Loader, Fast and Accurate Computation of Binomial Probabilities, 2000 (the probability of one
  count); Didonato & Morris, Algorithm 708, 1992, https://doi.org/10.1145/131766.131776 (the
  continued fraction of the incomplete beta function).
"""

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["binomial_cdf"]

_STIRLING = np.array(
    [
        0.0,
        0.08106146679532726,
        0.04134069595540929,
        0.02767792568499834,
        0.02079067210376509,
        0.01664469118982119,
        0.01387612882307075,
        0.01189670994589177,
        0.01041126526197209,
        0.009255462182712733,
        0.008330563433362871,
        0.007573675487951841,
        0.006942840107209530,
        0.006408994188004207,
        0.005951370112758848,
        0.005554733551962801,
    ]
)
"""``log n! - log(sqrt(2 pi n) (n / e)^n)`` of n = 0..15 (0 for 0)."""


def binomial_cdf(count: ArrayLike, trials: ArrayLike, chance: ArrayLike) -> np.ndarray:
    """The chance of at most ``count`` successes in ``trials``.

    Args:
      count: ``[...]`` >= 0; real numbers are interpolated by the incomplete beta function.
      trials: ``[...]`` >= 0, broadcast against ``count``.
      chance: ``[...]`` of one success, in [0, 1].

    Returns:
      float64 ``[...]``, to a relative 1e-9 up to 10^7 trials; 1 where ``count >= trials``, NaN for
      a NaN, a negative count or a chance outside [0, 1].

    >>> float(binomial_cdf(0, 10, 0.3).round(4))
    0.0282
    """
    k, n, p = np.broadcast_arrays(*(np.asarray(a, np.float64) for a in (count, trials, chance)))
    shape = k.shape
    k, n, p = (np.array(a).reshape(-1) for a in (k, n, p))
    found = np.full(k.shape, np.nan)
    valid = (k >= 0) & (n >= 0) & (p >= 0) & (p <= 1)
    sure = valid & ((k >= n) | (p == 0))
    found[sure] = 1.0
    found[valid & ~sure & (p == 1)] = 0.0
    inside = valid & ~sure & (p < 1)
    # P(Binomial(n, p) <= k) = I_{1-p}(n - k, k + 1).
    found[inside] = _incomplete_beta(n[inside] - k[inside], k[inside] + 1, p[inside])
    return found.reshape(shape)


def _incomplete_beta(a: np.ndarray, b: np.ndarray, y: np.ndarray) -> np.ndarray:
    """``I_{1-y}(a, b)`` for ``a, b > 0`` and ``0 < y < 1``."""
    # The continued fraction converges fast on one side of the mean; the other is what it lacks.
    swap = (1 - y) * (a + b + 2) > a + 1
    first = np.where(swap, b, a)
    second = np.where(swap, a, b)
    x = np.where(swap, y, 1 - y)
    rest = np.where(swap, 1 - y, y)
    tail = np.exp(_log_front(first, second, x, rest)) * _fraction(first, second, x)
    return np.clip(np.where(swap, 1 - tail, tail), 0.0, 1.0)


def _log_front(a: np.ndarray, b: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """``log(x^a y^b / (a B(a, b)))`` by Loader's saddle point: nothing cancels."""
    n = a + b
    pair = _stirling(n) - _stirling(a) - _stirling(b) - _deviance(a, n * x) - _deviance(b, n * y)
    # x^a y^b / B(a, b) = (a b / n) Binomial(a; n, x)
    return pair + 0.5 * np.log(n / (2 * np.pi * a * b)) + np.log(b / n)


def _stirling(n: np.ndarray) -> np.ndarray:
    """``log Gamma(n + 1) - log(sqrt(2 pi n) (n / e)^n)`` of ``n > 0``."""
    whole = (n == np.round(n)) & (n < len(_STIRLING))
    shifted = np.maximum(n, 1.0)
    near = np.zeros_like(shifted)
    # Up to 16 by Gamma(n + 2) = (n + 1) Gamma(n + 1), step by step.
    while (shifted < 16).any():
        low = shifted < 16
        at = np.where(low, shifted, 16.0)
        near += np.where(low, (at + 0.5) * np.log1p(1 / at) - 1, 0.0)
        shifted = np.where(low, shifted + 1, shifted)
    square = 1 / shifted**2
    series = (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680))) / shifted
    return np.where(whole, _STIRLING[np.where(whole, n, 0).astype(int)], series + near)


def _deviance(x: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """``x log(x / mean) + mean - x``, also where the two are close."""
    v = (x - mean) / (x + mean)
    close = np.abs(v) < 0.1
    small = np.where(close, v, 0.0)
    term = 2 * x * small
    total = (x - mean) * small
    for j in range(1, 12):
        term = term * small**2
        total = total + term / (2 * j + 1)
    ratio = np.where(close, 1.0, x / mean)
    return np.where(close, total, x * np.log(ratio) + mean - x)


def _fraction(a: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The continued fraction of ``I_x(a, b)``, by Lentz's method."""
    tiny = 1e-300
    c = np.ones_like(a)
    d = 1 / _away_from_zero(1 - (a + b) * x / (a + 1), tiny)
    value = d.copy()
    active = np.arange(a.size)
    step = 0
    while active.size:
        step += 1
        p = a[active]
        q = b[active]
        z = x[active]
        even = step * (q - step) * z / ((p + 2 * step - 1) * (p + 2 * step))
        odd = -(p + step) * (p + q + step) * z / ((p + 2 * step) * (p + 2 * step + 1))
        for numerator in (even, odd):
            d[active] = 1 / _away_from_zero(1 + numerator * d[active], tiny)
            c[active] = _away_from_zero(1 + numerator / c[active], tiny)
            change = c[active] * d[active]
            value[active] *= change
        active = active[np.abs(change - 1) > 1e-14]
        if step > 100_000:
            raise ArithmeticError("the binomial tail did not converge")
    return value


def _away_from_zero(values: np.ndarray, tiny: float) -> np.ndarray:
    return np.where(np.abs(values) < tiny, tiny, values)
