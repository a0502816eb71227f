"""A test of a mean loss by betting, strong where losses vary little."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.arrays import as_floats
from ferjax.conformal._thresholds import check_share

__all__ = ["betting_tail"]


def betting_tail(
    losses: ArrayLike,
    max_risk: ArrayLike,
    *,
    where: ArrayLike | None = None,
    delta: float = 0.1,
) -> jax.Array:
    """A p-value for "the mean loss is above ``max_risk``", for losses in [0, 1].

    Somebody who starts with 1 and bets, item after item, that the next loss is below ``max_risk``
    has at no time more than 1 / p with a chance above p, if it is not (Ville): the p-value is one
    over the most that was ever held. Stakes rest on the mean and variance of the items before, so
    that losses of small variance are told apart from ``max_risk`` by far fewer items than
    :func:`ferjax.conformal.hoeffding_bentkus` needs. Items must stand in an order that knows
    nothing of their losses.

    Args:
      losses: ``[..., item]`` in [0, 1].
      max_risk: α in (0, 1), scalar or ``[...]``.
      where: bool ``[..., item]``, broadcast with ``losses``; other items count as not there.
      delta: the level at which the test is to be strongest; any p-value stays valid. Static.

    Returns:
      float32 or better, ``[...]`` in (0, 1]; 1 without items; NaN where a loss that counts is NaN
      or outside [0, 1].

    Raises:
      ValueError: if ``delta`` is outside (0, 1) or there is no axis of items.

    References:
      Waudby-Smith & Ramdas, Estimating Means of Bounded Random Variables by Betting, 2020,
      https://arxiv.org/abs/2010.09686; Bates et al., Distribution-Free, Risk-Controlling
      Prediction Sets, 2021, https://arxiv.org/abs/2101.02703, section 3.1.3.

    >>> from ferjax.conformal import hoeffding_bentkus
    >>> even = jnp.full(60, 0.2)
    >>> bool(betting_tail(even, 0.3) < 0.02), bool(hoeffding_bentkus(0.2, 60, 0.3) > 0.15)
    (True, True)
    """
    check_share("delta", delta)
    (x,) = as_floats(losses)
    if x.ndim < 1:
        raise ValueError(f"losses must be [..., item], got {x.shape}")
    there = jnp.ones(x.shape, bool) if where is None else jnp.asarray(where)
    x, there = jnp.broadcast_arrays(x, there)
    level = jnp.asarray(max_risk, x.dtype)
    level = level[..., None] if level.ndim else level.reshape((1,) * x.ndim)
    wrong = there & ~((x >= 0) & (x <= 1))
    x = jnp.where(there & ~wrong, x, 0.0)
    seen = jnp.cumsum(there, -1).astype(x.dtype)
    # As if one loss of 1/2 with variance 1/4 had come first.
    mean = (0.5 + jnp.cumsum(x, -1)) / (1 + seen)
    off = jnp.where(there, (x - mean) ** 2, 0.0)
    variance = (0.25 + jnp.cumsum(off, -1)) / (1 + seen)
    before = jnp.concatenate([jnp.full_like(variance[..., :1], 0.25), variance[..., :-1]], -1)
    count = jnp.maximum(seen[..., -1:], 1)
    stake = jnp.minimum(1.0, jnp.sqrt(2 * jnp.log(1 / delta) / (count * before)))
    gain = jnp.where(there, jnp.log1p(-stake * (x - level)), 0.0)
    most = jnp.maximum(jnp.max(jnp.cumsum(gain, -1), -1, initial=0.0), 0.0)
    return jnp.where(jnp.any(wrong, -1), jnp.nan, jnp.exp(-most))
