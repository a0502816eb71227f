"""Credal width: how far apart the entropies lie that the members' intervals allow."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ferjax.arrays import nan_where
from ferjax.distributions import require_log_probs
from ferjax.uncertainty._entropy import as_log_probs

__all__ = ["credal_width"]

MOST_CLASSES = 12
BATCH = 64
"""Items whose corners are held at a time."""
STEPS = 40
"""Halvings in the search for a level of probability: to float32's last digit."""


def credal_width(log_probs: ArrayLike, *, member_axis: int = 0, axis: int = -1) -> jax.Array:
    """Width of the entropies in the credal set that the members span (credal wrapper).

    Each class's probability lies between the smallest and the largest that any member gives it. Of
    all distributions inside these intervals, the upper entropy is that of the flattest, the lower
    that of the most peaked; their difference is epistemic uncertainty, and is 0 for one member or
    identical ones.

    Args:
      log_probs: member log-probabilities ``[member, item..., class]``, normalised over ``axis``.
      member_axis: axis of the ensemble members (static).
      axis: the class axis (static).

    Returns:
      ``[item...]`` in nats, float32 or better, in ``[0, log C]``. NaN where a member's
      log-probability is NaN, or if there are no members.

    Raises:
      ValueError: if ``log_probs`` is not floating point, or of more than 12 classes: the smallest
        entropy is searched among all corners of the set.

    References:
      Wang et al., Credal Wrapper of Model Averaging for Uncertainty Estimation, 2024,
      https://arxiv.org/abs/2405.15047; Abellan, Klir & Moral, Disaggregated Total Uncertainty
      Measure for Credal Sets, 2006, https://doi.org/10.1080/03081070500473490.

    >>> differ = jnp.log(jnp.array([[[1.0, 0.0]], [[0.0, 1.0]]]))
    >>> round(float(credal_width(differ)[0]), 4)
    0.6931
    """
    members = jnp.moveaxis(as_log_probs(log_probs), (member_axis, axis), (0, -1))
    classes = members.shape[-1]
    if classes > MOST_CLASSES:
        raise ValueError(
            f"credal_width tries every corner of the set, for at most {MOST_CLASSES} classes; got "
            f"{classes}"
        )
    require_log_probs(log_probs, axis=axis)
    probs = jnp.exp(members)
    low = jnp.min(probs, axis=0, initial=1)
    high = jnp.max(probs, axis=0, initial=0)
    flat = (-1, classes)
    lowest = jax.lax.map(
        lambda of: _lowest(*of), (low.reshape(flat), high.reshape(flat)), batch_size=BATCH
    )
    width = jnp.sum(jax.scipy.special.entr(_flattest(low, high)), axis=-1)
    width -= lowest.reshape(width.shape)
    undefined = jnp.any(jnp.isnan(members), axis=(0, -1)) | (members.shape[0] == 0)
    # Intervals of no width hold one distribution.
    same = jnp.all(low == high, axis=-1)
    return nan_where(undefined, jnp.where(same, 0, jnp.maximum(width, 0)))


def _flattest(low: jax.Array, high: jax.Array) -> jax.Array:
    """The distribution of largest entropy: one level, clipped to the intervals ``[..., class]``."""

    def halve(_: int, bounds: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        below, above = bounds
        middle = (below + above) / 2
        enough = jnp.sum(jnp.clip(middle, low, high), axis=-1, keepdims=True) >= 1
        return jnp.where(enough, below, middle), jnp.where(enough, middle, above)

    nothing = jnp.zeros_like(low[..., :1])
    _, level = jax.lax.fori_loop(0, STEPS, halve, (nothing, nothing + 1))
    return jnp.clip(level, low, high)


def _lowest(low: jax.Array, high: jax.Array) -> jax.Array:
    """The smallest entropy in the intervals of one item ``[class]``.

    Entropy is concave, so that its minimum is a corner: classes at their lower or upper bounds, and
    one that takes what is left. All of them are tried.
    """
    classes = low.shape[0]
    corners = (np.arange(2**classes)[:, None] >> np.arange(classes)) & 1
    at_upper = jnp.asarray(corners, low.dtype)
    room = high - low
    exact = jax.lax.Precision.HIGHEST
    left = 1 - jnp.sum(low) - jnp.matmul(at_upper, room, precision=exact)
    of_low = jax.scipy.special.entr(low)
    gained = jax.scipy.special.entr(high) - of_low
    settled = jnp.sum(of_low) + jnp.matmul(at_upper, gained, precision=exact)
    rounding = 1e-6
    fits = (left[:, None] >= -rounding) & (left[:, None] <= room[None] + rounding)
    filled = jnp.clip(low[None] + left[:, None], low[None], high[None])
    entropy = settled[:, None] + jax.scipy.special.entr(filled) - of_low[None]
    return jnp.min(jnp.where(fits & (at_upper == 0), entropy, jnp.inf), initial=jnp.inf)
