"""Expected disagreement of a Dirichlet, by quadrature."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ferjax.dirichlet._gamma import log_gamma_of_next
from ferjax.dirichlet._parameters import checked, last_axis

__all__ = ["expected_disagreement"]

_QUADRATURE_RANGE = (-4.0, 16.0)
"""Log concentrations between which the quadrature is used."""
_EXACT_SHAPE = 5.0
"""The largest shape of a gamma that is not taken for a normal one."""
_SERIES_TERMS = 20
_FRACTION_TERMS = 8


def expected_disagreement(log_probs: ArrayLike, log_concentration: ArrayLike) -> jax.Array:
    """Share of people who do not choose the most chosen class, on average: ``E[1 - max_c p_c]``.

    A Dirichlet is independent gammas ``G_c`` of shape ``α_c`` over their sum, which is independent
    of the shares; so ``E[max p] = E[max G] / S``, and ``E[max G]`` is the integral of
    ``1 - prod_c P(G_c <= x)``: Gauss-Legendre quadrature with 24 nodes. The probabilities are their
    series and continued fraction for shapes up to 5, Wilson and Hilferty's normal ones beyond.

    Args:
      log_probs: ``[item..., class]``.
      log_concentration: ``[item...]``.

    Returns:
      ``[item...]`` in [0, 1), within 2e-4; from 0 (S → 0) to ``1 - max p`` of the mean (S = inf).

    Raises:
      ValueError: if the shapes do not fit together.

    References:
      Wilson & Hilferty, The Distribution of Chi-Square, 1931,
      https://doi.org/10.1073/pnas.17.12.684.

    >>> uniform = jnp.log(jnp.array([0.5, 0.5]))
    >>> round(float(expected_disagreement(uniform, jnp.log(2))), 3)
    0.25
    """
    log_probs, log_s = checked(log_probs, log_concentration)
    # Below the first S the expectation grows in proportion to S, above the second it is that of S
    # = inf, both to less than the quadrature's error.
    inside = jnp.clip(log_s, *_QUADRATURE_RANGE)
    alpha = jnp.exp(log_probs + inside[..., None])
    largest = jnp.max(alpha, axis=-1)
    low = jnp.maximum(largest - 6 * jnp.sqrt(largest), 0.0)
    width = largest + 7 * jnp.sqrt(largest) + 16 - low
    nodes, weights = np.polynomial.legendre.leggauss(24)
    t = (nodes + 1) / 2
    # Cubed nodes lie close where F(x) rises like a small power of x.
    x = low[..., None] + width[..., None] * last_axis(t**3, low)
    beyond = _gamma_survival(alpha[..., None], x[..., None, :])
    some_beyond = -jnp.expm1(jnp.sum(jnp.log1p(-jnp.clip(beyond, 0.0, 1 - 1e-6)), axis=-2))
    steps = last_axis(1.5 * weights * t**2, low)  # dx = width 3t² dt, 2 dt = dnode
    mean_largest = low + width * jnp.sum(some_beyond * steps, axis=-1)
    found = jnp.clip(1 - mean_largest / jnp.exp(inside), 0.0, 1.0)
    found *= jnp.exp(jnp.minimum(log_s - _QUADRATURE_RANGE[0], 0.0))
    of_mean = jnp.maximum(-jnp.expm1(jnp.max(log_probs, axis=-1)), 0.0)
    return jnp.where(log_s > _QUADRATURE_RANGE[1], of_mean, found)


def _gamma_survival(shape: jax.Array, x: jax.Array) -> jax.Array:
    """``P(G > x)`` of a gamma: series, continued fraction, and for large shapes the normal one.

    To 1e-6, and 6e-4 just above the shape where the normal approximation takes over.
    """
    few = jnp.minimum(shape, _EXACT_SHAPE)
    edge = few + 1.5
    near = jnp.minimum(x, edge)
    series = jnp.ones_like(few * near)
    for n in range(_SERIES_TERMS, 0, -1):
        series = 1 + near / (few + n) * series
    log_gamma = log_gamma_of_next(few)
    series = 1 - jnp.exp(few * jnp.log(near) - near - log_gamma) * series
    far = jnp.maximum(x, edge)
    fraction = far + (2 * _FRACTION_TERMS + 1) - few
    for n in range(_FRACTION_TERMS, 0, -1):
        fraction = far + (2 * n - 1) - few - n * (n - few) / fraction
    fraction = few * jnp.exp(few * jnp.log(far) - far - log_gamma) / fraction
    many = jnp.maximum(shape, _EXACT_SHAPE)
    normal = 3 * jnp.sqrt(many) * (1 - 1 / (9 * many) - jnp.cbrt(x / many))
    exact = jnp.where(x <= edge, series, fraction)
    return jnp.where(shape <= _EXACT_SHAPE, exact, jax.scipy.special.ndtr(normal))
