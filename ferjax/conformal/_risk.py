"""Risk control: thresholds whose error or loss on fresh items is bounded with confidence.

p-values are computed in float64 on the host, wherever they are called from: as numbers outside of
``jit``, by a callback inside it.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ferjax.arrays import as_floats, is_traced
from ferjax.conformal._binomial import binomial_cdf
from ferjax.conformal._thresholds import check_share

__all__ = [
    "binomial_tail",
    "fixed_sequence",
    "hoeffding_bentkus",
    "holm",
    "learn_then_test",
    "risk_controlling_index",
    "risk_controlling_set",
    "risk_upper_bound",
]


def _on_host(function: Callable[..., np.ndarray], *arrays: ArrayLike) -> jax.Array:
    """An elementwise function of numpy, in float64, of arrays that are broadcast together."""
    result = np.dtype(jnp.result_type(float))
    if not any(is_traced(of) for of in arrays):
        found = function(*np.broadcast_arrays(*(np.asarray(of, np.float64) for of in arrays)))
        return jnp.asarray(found, result)
    shape = np.broadcast_shapes(*(np.shape(of) for of in arrays))
    traced = [jnp.asarray(of) for of in arrays if is_traced(of)]

    def call(*values: np.ndarray) -> np.ndarray:
        rest = iter(values)
        wide = (np.asarray(next(rest) if is_traced(of) else of, np.float64) for of in arrays)
        return np.asarray(function(*np.broadcast_arrays(*wide)), result)

    # Of one shape, so that a batch under vmap lies in front of all of them alike.
    full = [
        jnp.broadcast_to(
            jnp.asarray(of).reshape((1,) * (len(shape) - np.ndim(of)) + of.shape), shape
        )
        for of in traced
    ]
    return jax.pure_callback(
        call, jax.ShapeDtypeStruct(shape, result), *full, vmap_method="broadcast_all"
    )


def binomial_tail(errors: ArrayLike, accepted: ArrayLike, max_error: ArrayLike) -> jax.Array:
    """The chance of so few errors if the error were above ``max_error``: an exact binomial tail.

    Args:
      errors: ``[...]`` wrong items among the accepted ones.
      accepted: ``[...]`` accepted items; broadcast against the others, like ``max_error``.
      max_error: ε in (0, 1), the error to be exceeded under the null hypothesis. One that is traced
        is the float32 that JAX makes of it.

    Returns:
      float32 ``[...]`` p-values, exact to float32's last digits up to 10^7 items; 1 where nothing
      is accepted, or as many errors as items; NaN for a NaN, a negative count, or ε outside [0, 1].

    References:
      Clopper & Pearson, The Use of Confidence or Fiducial Limits Illustrated in the Case of the
      Binomial, 1934, https://doi.org/10.1093/biomet/26.4.404.

    >>> round(float(binomial_tail(jnp.array(0), jnp.array(10), 0.3)), 4)
    0.0282
    >>> float(binomial_tail(98_500, 1_000_000, 0.1))
    2.7347...e-07
    """
    return _on_host(binomial_cdf, errors, accepted, max_error)


def hoeffding_bentkus(risk: ArrayLike, items: ArrayLike, max_risk: ArrayLike) -> jax.Array:
    """The chance of so small a mean loss if the risk were above ``max_risk``, for losses in [0, 1].

    The smaller of two bounds: Hoeffding's in its Kullback-Leibler form, and Bentkus', ``e`` times a
    binomial tail. Valid for any losses between 0 and 1; for losses of 0 and 1 alone
    :func:`binomial_tail` is exact and smaller.

    Args:
      risk: ``[...]`` mean loss in [0, 1].
      items: ``[...]`` how many items it is the mean of; broadcast, like ``max_risk``.
      max_risk: α in (0, 1).

    Returns:
      float32 ``[...]`` p-values in (0, 1]; 1 without items; NaN for a NaN or a risk outside [0, 1].

    References:
      Bates et al., Distribution-Free, Risk-Controlling Prediction Sets, 2021,
      https://arxiv.org/abs/2101.02703; Bentkus, On Hoeffding's Inequalities, 2004,
      https://doi.org/10.1214/009117904000000360.

    >>> round(float(hoeffding_bentkus(0.05, 500, 0.1)), 6)
    9.6e-05
    """
    return _on_host(_hoeffding_bentkus, risk, items, max_risk)


def _hoeffding_bentkus(risk: np.ndarray, items: np.ndarray, max_risk: np.ndarray) -> np.ndarray:
    possible = (risk >= 0) & (risk <= 1) & (items >= 0) & (max_risk > 0) & (max_risk < 1)
    mean = np.where(possible, risk, 0.0)
    bound = np.where(possible, max_risk, 0.5)
    n = np.where(possible, items, 0.0)
    low = np.minimum(mean, bound)
    rest = 1 - low
    with np.errstate(divide="ignore", invalid="ignore"):
        divergence = np.where(low > 0, low * np.log(low / bound), 0.0)
        divergence += np.where(rest > 0, rest * np.log(rest / (1 - bound)), 0.0)
    hoeffding = np.exp(-n * divergence)
    # A mean of n losses times n is whole where they are 0 and 1, but for rounding.
    bentkus = np.e * binomial_cdf(np.ceil(n * mean - 1e-7 * np.maximum(n, 1)), n, bound)
    return np.where(possible, np.minimum(np.minimum(hoeffding, bentkus), 1.0), np.nan)


def risk_upper_bound(risk: ArrayLike, items: ArrayLike, delta: ArrayLike) -> jax.Array:
    """The upper confidence bound of a risk, for losses in [0, 1] (Hoeffding-Bentkus).

    Args:
      risk: ``[...]`` mean loss in [0, 1].
      items: ``[...]`` how many items it is the mean of; broadcast, like ``delta``.
      delta: δ in (0, 1): the bound is below the risk with probability at most δ.

    Returns:
      float32 ``[...]`` in [risk, 1]; 1 without items; NaN for a NaN or a risk outside [0, 1].

    References:
      Bates et al., Distribution-Free, Risk-Controlling Prediction Sets, 2021,
      https://arxiv.org/abs/2101.02703.

    >>> bound = risk_upper_bound(0.05, 500, 0.1)
    >>> bool(0.05 < bound < 0.08), round(float(hoeffding_bentkus(0.05, 500, bound)), 3)
    (True, 0.1)
    """
    return _on_host(_upper_bound, risk, items, delta)


def _upper_bound(risk: np.ndarray, items: np.ndarray, delta: np.ndarray) -> np.ndarray:
    possible = (risk >= 0) & (risk <= 1) & (items >= 0)
    low = np.where(possible, risk, 0.0)
    high = np.ones_like(low)
    for _ in range(60):  # halves of an interval of 1: to float64's last digit
        middle = np.clip((low + high) / 2, 1e-300, 1 - 1e-16)
        passed = _hoeffding_bentkus(np.where(possible, risk, 0.0), items, middle) <= delta
        low = np.where(passed, low, middle)
        high = np.where(passed, middle, high)
    return np.where(possible, high, np.nan)


def fixed_sequence(p_values: ArrayLike, delta: ArrayLike, *, first: ArrayLike = 0) -> jax.Array:
    """Which hypotheses are rejected, all at once, by walking through them in a given order.

    A walk goes on while the p-value is at most its share of δ; rows share δ (Bonferroni).

    Args:
      p_values: ``[..., T]``, the surest hypothesis first.
      delta: δ in (0, 1), the chance of any false rejection; checked unless it is traced.
      first: where each walk begins, scalar or ``[...]``; earlier hypotheses are not rejected.

    Returns:
      bool ``[..., T]``; a NaN p-value ends its walk.

    Raises:
      ValueError: if δ is outside (0, 1) or there is no axis to walk along.

    References:
      Wiens, A Fixed Sequence Bonferroni Procedure, 2003, https://doi.org/10.1002/pst.64;
      Angelopoulos et al., Learn Then Test, 2021, https://arxiv.org/abs/2110.01052.

    >>> fixed_sequence(jnp.array([0.01, 0.2, 0.01]), 0.05).tolist()
    [True, False, False]
    """
    check_share("delta", delta)
    p_values = jnp.asarray(p_values)
    if p_values.ndim < 1:
        raise ValueError(f"p_values must be [..., T], got {p_values.shape}")
    rows = max(math.prod(p_values.shape[:-1]), 1)
    passed = p_values <= jnp.asarray(delta, p_values.dtype) / rows
    position = jnp.arange(p_values.shape[-1]).reshape(*[1] * (p_values.ndim - 1), -1)
    begin = jnp.asarray(first)
    before = position < (begin[..., None] if begin.ndim else begin)
    unbroken = jax.lax.associative_scan(jnp.logical_and, passed | before, axis=p_values.ndim - 1)
    return unbroken & ~before


def holm(p_values: ArrayLike, delta: ArrayLike, *, axis: int = 0) -> jax.Array:
    """Which hypotheses are rejected, all at once, whatever their order: Holm's step-down procedure.

    Over several risks of one threshold (errors among the accepted, clean items rejected, strangers
    accepted), with probability at least ``1 - delta`` every risk that is certified holds.

    Args:
      p_values: ``[..., risk, ...]``; the family lies along ``axis``.
      delta: δ in (0, 1), the chance of any false rejection; checked unless it is traced.
      axis: of the family (static).

    Returns:
      bool, the shape of ``p_values``; a NaN p-value is not rejected, and counts in the family.

    Raises:
      ValueError: if δ is outside (0, 1) or there is no axis.

    References:
      Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979,
      https://www.jstor.org/stable/4615733.

    >>> holm(jnp.array([0.04, 0.01, 0.02]), 0.05).tolist()
    [True, True, True]
    >>> holm(jnp.array([0.04, 0.01, 0.03]), 0.05).tolist()
    [False, True, False]
    """
    check_share("delta", delta)
    p_values = jnp.asarray(p_values)
    if p_values.ndim < 1:
        raise ValueError(f"p_values must have an axis of hypotheses, got {p_values.shape}")
    p = jnp.moveaxis(p_values, axis, -1)
    order = jnp.argsort(p, axis=-1)  # NaN last
    family = p.shape[-1]
    left = (family - jnp.arange(family)).astype(p.dtype).reshape(*[1] * (p.ndim - 1), -1)
    passed = jnp.take_along_axis(p, order, -1) * left <= jnp.asarray(delta, p.dtype)
    unbroken = jax.lax.associative_scan(jnp.logical_and, passed, axis=p.ndim - 1)
    rejected = jnp.take_along_axis(unbroken, jnp.argsort(order, axis=-1), -1)
    return jnp.moveaxis(rejected, -1, axis)


def learn_then_test(
    errors: ArrayLike,
    accepted: ArrayLike,
    *,
    max_error: ArrayLike,
    delta: ArrayLike,
    first: ArrayLike = 0,
) -> jax.Array:
    """Which thresholds keep the error among accepted items at most ``max_error``, all at once.

    With probability at least ``1 - delta``, every threshold that is certified does. Learn Then Test
    with fixed-sequence testing: each row is a walk from the strictest threshold to the most
    lenient, and goes on while the exact binomial test rejects "the error is larger"; rows share δ
    (Bonferroni). Thresholds, and where the walk begins, must be chosen without looking at these
    items' labels, best on other items.

    Args:
      errors: ``[..., T]`` wrong items among the accepted, along thresholds of rising leniency.
      accepted: ``[..., T]`` accepted items.
      max_error: ε in (0, 1); checked unless it is traced.
      delta: δ in (0, 1); checked unless it is traced.
      first: where each walk begins, scalar or ``[...]``; earlier thresholds are not certified.

    Returns:
      bool ``[..., T]``, whether each threshold is certified; empty where there are none. A NaN
      count certifies nothing from its threshold on.

    Raises:
      ValueError: if ε or δ is outside (0, 1) or the shapes do not fit.

    References:
      Angelopoulos et al., Learn Then Test, 2021, https://arxiv.org/abs/2110.01052.

    >>> errors = jnp.array([0, 1, 30])
    >>> accepted = jnp.array([50, 80, 100])
    >>> learn_then_test(errors, accepted, max_error=0.1, delta=0.1).tolist()
    [True, True, False]
    """
    check_share("max_error", max_error)
    if np.shape(errors) != np.shape(accepted) or np.ndim(errors) < 1:
        raise ValueError(
            "errors and accepted must be [..., T] alike, got "
            f"{np.shape(errors)} and {np.shape(accepted)}"
        )
    return fixed_sequence(binomial_tail(errors, accepted, max_error), delta, first=first)


def risk_controlling_set(losses: ArrayLike, max_risk: ArrayLike, delta: ArrayLike) -> jax.Array:
    """The most lenient threshold whose *risk* is at most ``max_risk`` with confidence (RCPS).

    With probability at least ``1 - delta`` over the calibration items, the expected loss of a fresh
    item at this threshold is at most ``max_risk``: the upper bound of :func:`risk_upper_bound` is,
    at this threshold and all stricter ones.

    Args:
      losses: ``[item, T]`` in [0, 1], never falling along T (rising leniency).
      max_risk: α in (0, 1); checked unless it is traced.
      delta: δ in (0, 1); checked unless it is traced.

    Returns:
      int32 scalar: index along T, or -1 if no threshold can be promised (no items, for one). A
      loss that is NaN or outside [0, 1] promises nothing from its threshold on.

    Raises:
      ValueError: if ``losses`` is not ``[item, T]``, or α or δ is outside (0, 1).

    References:
      Bates et al., Distribution-Free, Risk-Controlling Prediction Sets, 2021,
      https://arxiv.org/abs/2101.02703.

    >>> losses = jnp.zeros((100, 3)).at[:40, 2].set(1.0)
    >>> int(risk_controlling_set(losses, 0.1, 0.1))
    1
    """
    check_share("max_risk", max_risk)
    values = _as_losses(losses)
    mean = values.sum(0) / max(values.shape[0], 1)
    passed = fixed_sequence(hoeffding_bentkus(mean, values.shape[0], max_risk), delta)
    return jnp.sum(passed).astype(jnp.int32) - 1


def risk_controlling_index(losses: ArrayLike, max_error: ArrayLike) -> jax.Array:
    """Conformal risk control: the most lenient threshold with expected loss at most ``max_error``.

    The expectation is over the calibration items too; for a promise with confidence see
    :func:`risk_controlling_set`.

    Args:
      losses: ``[item, T]`` in [0, 1], e.g. "accepted and wrong", never falling along T (rising
        leniency).
      max_error: bound of the expected loss on a fresh item.

    Returns:
      int32 scalar: index along T, or -1 if no threshold can be promised (no items, for one). A
      loss that is NaN or outside [0, 1] promises nothing from its threshold on.

    Raises:
      ValueError: if ``losses`` is not ``[item, T]``.

    References:
      Angelopoulos et al., Conformal Risk Control, 2022, https://arxiv.org/abs/2208.02814.

    >>> losses = jnp.array([[0, 0, 1], [0, 0, 1], [0, 1, 1], [0, 0, 0]])
    >>> int(risk_controlling_index(losses, 0.4))
    1
    """
    values = _as_losses(losses)
    # As sums: a quotient such as 3 / 30 may round above the bound it equals.
    rounding = 1e-9 if values.dtype == np.float64 else 1e-6
    allowed = max_error * (values.shape[0] + 1) * (1 + rounding)
    return jnp.sum(jnp.cumprod(values.sum(0) + 1 <= allowed)).astype(jnp.int32) - 1


def _as_losses(losses: ArrayLike) -> jax.Array | np.ndarray:
    """Losses ``[item, T]``, NaN where they are none; on the host in float64 unless traced."""
    if np.ndim(losses) != 2:
        raise ValueError(f"losses must be [item, T], got {np.shape(losses)}")
    if is_traced(losses):
        (values,) = as_floats(losses)
        return jnp.where((values >= 0) & (values <= 1), values, jnp.nan)
    wide = np.asarray(losses, np.float64)
    return np.where((wide >= 0) & (wide <= 1), wide, np.nan)
