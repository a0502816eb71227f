"""Kendall's rank correlation, weighted and corrected for ties, by counting inversions."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.arrays import nan_where
from ferjax.metrics._items import paired
from ferjax.metrics._weighted_ranks import Ties, below_and_up_to, ties

__all__ = ["kendall"]

_BLOCK = 64


def kendall(x: ArrayLike, y: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """Kendall's rank correlation τ_b, corrected for ties on either side.

    Counts inversions between the order of ``x`` and the order of ``y`` (Knight), between blocks of
    64 ranks by a table of counts and inside them by small matrix products: O(64 N + (N / 64)²) for
    every set of weights. The orders do not depend on the weights, so that under a vmap over
    weights everything is sorted once.

    Args:
      x: ``[item]``; only the order counts (:mod:`ferjax.arrays` says how it is kept), so infinities
        are welcome.
      y: ``[item]``.
      weights: ``[item]`` >= 0, or None for one each.

    Returns:
      float32 scalar in [-1, 1]; NaN for a NaN score or an impossible weight, if either side is
      constant, or if no item has weight.

    Raises:
      ValueError: if the arrays are not ``[item]`` of one length.

    References:
      Kendall, The Treatment of Ties in Ranking Problems, 1945,
      https://doi.org/10.1093/biomet/33.3.239; Knight, A Computer Method for Calculating Kendall's
      Tau with Ungrouped Data, 1966, https://doi.org/10.1080/01621459.1966.10480879.

    >>> round(float(kendall(jnp.array([1.0, 2.0, 3.0]), jnp.array([1.0, 3.0, 2.0]))), 4)
    0.3333
    """
    first, second, w, undefined = paired(x, y, weights)
    share = w / jnp.sum(w)
    # Pairs that tie on one side count as concordant in these two orders, and are taken out again.
    by_x = jnp.lexsort((second, first))
    by_y = jnp.lexsort((first, second))
    tied_x = _tied(ties(first), share)
    tied_y = _tied(ties(second), share)
    tied_both = _tied(ties(_joint_rank(first[by_x], second[by_x], by_x)), share)
    concordant = 1 - 4 * _inversions(by_x, by_y, share)
    agreeing = concordant - (tied_x + tied_y - tied_both)
    distinct_x = 1 - tied_x
    distinct_y = 1 - tied_y
    vary = (distinct_x > 1e-6) & (distinct_y > 1e-6)
    tau = agreeing / jnp.sqrt(jnp.where(vary, distinct_x * distinct_y, 1))
    return nan_where(undefined | ~vary, jnp.clip(tau, -1, 1))


def _tied(tied: Ties, share: jax.Array) -> jax.Array:
    """Share of the ordered pairs, an item with itself included, that tie."""
    below, up_to = below_and_up_to(tied, share)
    return jnp.sum(share * (up_to - below))


def _joint_rank(x: jax.Array, y: jax.Array, order: jax.Array) -> jax.Array:
    """Rank of each item, in item order, among the different pairs of ordered ``x`` and ``y``."""
    differs = (x[1:] != x[:-1]) | (y[1:] != y[:-1])
    rank = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(differs, dtype=jnp.int32)])
    return jnp.zeros_like(rank).at[order].set(rank)


def _inversions(by_p: jax.Array, by_q: jax.Array, share: jax.Array) -> jax.Array:
    """Sum of ``share_i share_j`` over the pairs that two orders ``[item]`` put differently."""
    items = by_p.shape[0]
    blocks = -(-items // _BLOCK)
    places = jnp.arange(items, dtype=jnp.int32)
    p = jnp.zeros_like(places).at[by_p].set(places)
    q = jnp.zeros_like(places).at[by_q].set(places)
    cells = jnp.zeros((blocks, blocks), share.dtype).at[p // _BLOCK, q // _BLOCK].add(share)
    earlier = jnp.cumsum(cells, axis=0) - cells  # in earlier blocks of p
    later = jnp.cumsum(earlier[:, ::-1], axis=1)[:, ::-1] - earlier  # and in later blocks of q
    before = jnp.triu(jnp.ones((_BLOCK, _BLOCK), bool), 1)

    def blocked(values: jax.Array) -> jax.Array:
        return jnp.pad(values, (0, blocks * _BLOCK - items)).reshape(blocks, _BLOCK)

    def inside(order: jax.Array, other: jax.Array, counted: bool) -> jax.Array:
        """Inversions of items in one block of ``order``, of those in one block of ``other`` too
        only if they are ``counted``; padding has no weight."""
        place = blocked(other[order])
        of_block = blocked(share[order])
        inverted = (place[:, :, None] > place[:, None, :]) & before[None]
        if not counted:
            block = place // _BLOCK
            inverted &= block[:, :, None] != block[:, None, :]
        exact = jax.lax.Precision.HIGHEST
        pairs = inverted.astype(share.dtype)
        return jnp.einsum("bi,bij,bj->", of_block, pairs, of_block, precision=exact)

    across = jnp.sum(cells * later)
    return across + inside(by_p, q, counted=True) + inside(by_q, p, counted=False)
