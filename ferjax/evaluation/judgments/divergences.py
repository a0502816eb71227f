"""The paper's plug-in figures of shares, item by item: divergences, entropies, cross-entropy.

Shares ``[..., item, class]`` may add up to anything where several classes apply; divergences and
entropies normalise them, as the paper does, and leave out items where nobody chose anything.
"""

import jax
import jax.numpy as jnp

__all__ = ["cross_entropy", "entropy_bits", "jensen_shannon_bits", "kl_bits", "normalised"]

_EPSILON = 1e-12
"""What the paper adds inside its logarithm of KL."""


def normalised(shares: jax.Array) -> jax.Array:
    """Over their sum; NaN where that is 0."""
    total = jnp.sum(shares, -1, keepdims=True)
    return shares / jnp.where(total > 0, total, jnp.nan)


def _plogp(p: jax.Array) -> jax.Array:
    return jnp.where(p > 0, p * jnp.log2(jnp.where(p > 0, p, 1.0)), p * 0.0)


def entropy_bits(shares: jax.Array) -> jax.Array:
    """Entropy ``[..., item]`` of normalised shares, bits; equal ones are equal to the bit, for the
    same shares in another order are summed in one order."""
    return jnp.abs(jnp.sum(_plogp(jnp.sort(normalised(shares), axis=-1)), -1))


def jensen_shannon_bits(people: jax.Array, judge: jax.Array) -> jax.Array:
    """Jensen-Shannon divergence (not its root) ``[..., item]``, bits in [0, 1]."""
    q = normalised(people)
    p = normalised(judge)
    q = jnp.broadcast_to(q, p.shape)
    mixture = jnp.sum(_plogp((p + q) / 2), -1)
    divergence = jnp.sum(_plogp(p) + _plogp(q), -1) / 2 - mixture
    # Not the maximum with 0: compiled for CPUs, that of NaN may be 0, and such items would count.
    return jnp.where(divergence < 0, 0.0, divergence)


def kl_bits(people: jax.Array, judge: jax.Array) -> jax.Array:
    """KL(people || judge) ``[..., item]`` in bits, with the paper's 1e-12."""
    q = normalised(people)
    p = normalised(judge)
    q = jnp.broadcast_to(q, p.shape)
    return jnp.sum(_plogp(q) - q * jnp.log2(p + _EPSILON), -1)


def cross_entropy(
    people: jax.Array, judge: jax.Array, answers: jax.Array, *, several: bool
) -> jax.Array:
    """Nats a rating ``[..., item]``, of shares with one pseudo-answer spread evenly.

    A class that none of ten answers named has not probability 0. A network's probabilities, with
    infinitely many answers, are taken as they are.
    """
    known = jnp.isinf(answers)[..., None]
    m = jnp.where(known, 1.0, answers[..., None])
    even = 0.5 if several else 1 / judge.shape[-1]
    p = jnp.where(known, judge, (judge * m + even) / (m + 1))
    q = jnp.broadcast_to(people, p.shape)

    def against(q: jax.Array, p: jax.Array) -> jax.Array:
        return jnp.where(q > 0, -q * jnp.log(p), q * 0.0 + p * 0.0)

    result = jnp.sum(against(q, p), -1)
    return result + jnp.sum(against(1 - q, 1 - p), -1) if several else result
