"""Out-of-distribution scores of logits and probabilities: MaxLogit, GEN, KL matching and ViM.

Larger means further from the known items, as everywhere. A NaN makes its own item's score NaN, and
every score where it is among what was fitted.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.arrays import as_floats, nan_where
from ferjax.density._gaussians import as_features, eigh
from ferjax.distributions import require_log_probs

__all__ = ["Vim", "fit_kl_matching", "fit_vim", "gen", "kl_matching", "max_logit", "vim"]


def _rows(values: ArrayLike, name: str) -> jax.Array:
    (rows,) = as_floats(values)
    if rows.ndim < 1 or rows.shape[-1] == 0:
        raise ValueError(f"{name} must be [item..., class], got {rows.shape}")
    return rows


def max_logit(logits: ArrayLike) -> jax.Array:
    """The negated largest logit.

    Args:
      logits: ``[item..., class]``, not normalised: log-probabilities give ``-log max p`` instead.

    Returns:
      float32 ``[item...]``, in the logits' units; NaN for a NaN.

    Raises:
      ValueError: if there is no class axis.

    References:
      Hendrycks et al., Scaling Out-of-Distribution Detection for Real-World Settings, 2022,
      https://arxiv.org/abs/1911.11132.

    >>> max_logit(jnp.array([[1.0, 3.0], [0.5, 0.0]])).tolist()
    [-3.0, -0.5]
    """
    return -jnp.max(_rows(logits, "logits"), axis=-1)


def gen(log_probs: ArrayLike, *, gamma: float = 0.1, top: int | None = None) -> jax.Array:
    """Generalised entropy ``sum_c (p_c (1 - p_c))^γ``: a small γ looks at small probabilities.

    Args:
      log_probs: ``[item..., class]``, normalised.
      gamma: γ in (0, 1).
      top: only the ``top`` largest probabilities count (static); all of them by default, as suits
        few classes.

    Returns:
      float32 ``[item...]`` >= 0, unitless; NaN for a NaN.

    Raises:
      ValueError: if there is no class axis, or ``top`` is less than 1.

    References:
      Liu, Lochman & Zach, GEN: Pushing the Limits of Softmax-Based Out-of-Distribution Detection,
      2023, https://doi.org/10.1109/CVPR52729.2023.02293.

    >>> round(float(gen(jnp.log(jnp.array([0.5, 0.5])), gamma=0.5)), 4)
    1.0
    """
    rows = _rows(log_probs, "log_probs")
    require_log_probs(log_probs)
    if top is not None:
        if top < 1:
            raise ValueError(f"top must be at least 1, got {top}")
        rows = jax.lax.top_k(rows, min(top, rows.shape[-1]))[0]
    # p (1 - p) of a p near 1 keeps its digits as exp and expm1.
    spread = jnp.exp(rows) * -jnp.expm1(jnp.minimum(rows, 0))
    powers = jnp.where(spread > 0, jnp.where(spread > 0, spread, 1) ** gamma, 0)
    return nan_where(jnp.any(jnp.isnan(rows), -1), jnp.sum(powers, axis=-1))


def fit_kl_matching(log_probs: ArrayLike) -> jax.Array:
    """The mean distribution of the known items of each predicted class, for :func:`kl_matching`.

    Args:
      log_probs: ``[item, class]`` of clean items, normalised.

    Returns:
      float32 ``[class, class]`` log-probabilities; ``-inf`` in the row of a class that no item is
      predicted to be, which :func:`kl_matching` leaves out. All NaN for a NaN.

    Raises:
      ValueError: if ``log_probs`` is not ``[item, class]``.

    References:
      Hendrycks et al., Scaling Out-of-Distribution Detection for Real-World Settings, 2022,
      https://arxiv.org/abs/1911.11132.

    >>> known = fit_kl_matching(jnp.log(jnp.array([[0.5, 0.5], [1.0, 0.0]])))
    >>> jnp.exp(known).tolist()
    [[0.75, 0.25], [0.0, 0.0]]
    """
    rows = _rows(log_probs, "log_probs")
    if rows.ndim != 2:
        raise ValueError(f"log_probs must be [item, class], got {rows.shape}")
    require_log_probs(log_probs)
    classes = rows.shape[-1]
    predicted = jax.nn.one_hot(jnp.argmax(rows, -1), classes, dtype=rows.dtype)
    count = jnp.sum(predicted, axis=0)[:, None]
    exact = jax.lax.Precision.HIGHEST
    mean = jnp.matmul(predicted.T, jnp.exp(rows), precision=exact) / jnp.where(count > 0, count, 1)
    return nan_where(jnp.any(jnp.isnan(rows)), jnp.log(mean))


def kl_matching(known: ArrayLike, log_probs: ArrayLike) -> jax.Array:
    """The smallest divergence ``KL(p || d)`` of a prediction from the known classes' distributions.

    Args:
      known: ``[class, class]`` log-probabilities, from :func:`fit_kl_matching`.
      log_probs: ``[item, class]``, normalised.

    Returns:
      float32 ``[item]`` >= 0, nats; NaN for a NaN.

    Raises:
      ValueError: if the shapes do not fit.

    References:
      Hendrycks et al., Scaling Out-of-Distribution Detection for Real-World Settings, 2022,
      https://arxiv.org/abs/1911.11132.

    >>> known = jnp.log(jnp.array([[0.75, 0.25], [0.25, 0.75]]))
    >>> kl_matching(known, known).tolist()
    [0.0, 0.0]
    """
    known, rows = as_floats(known, _rows(log_probs, "log_probs"))
    if rows.ndim != 2 or known.ndim != 2 or known.shape[1] != rows.shape[1]:
        raise ValueError(
            f"expected known [class, class] and log_probs [item, class], got {known.shape} and "
            f"{rows.shape}"
        )
    require_log_probs(log_probs)
    possible = rows != -jnp.inf
    safe = jnp.where(possible, rows, 0)
    p = jnp.where(possible, jnp.exp(safe), 0)

    def divergence(of: jax.Array) -> jax.Array:
        ratio = jnp.where(possible, safe - of[None], 0)
        return jnp.sum(jnp.where(possible, p * ratio, 0), axis=-1)

    seen = jnp.any(known != -jnp.inf, axis=-1)
    divergences = jnp.where(seen[:, None], jax.vmap(divergence)(known), jnp.inf)
    undefined = jnp.any(jnp.isnan(rows), -1) | jnp.any(jnp.isnan(known))
    return nan_where(undefined, jnp.maximum(jnp.min(divergences, axis=0), 0))


class Vim(NamedTuple):
    """What known features span, and the scale of a virtual logit."""

    origin: jax.Array
    """``[width]``: the point that the head maps to logits of 0, as nearly as any."""
    residual: jax.Array
    """``[width, width - dimensions]``: directions that known features hardly use."""
    scale: jax.Array
    """Scalar: mean largest logit over mean residual norm of the known items."""


def fit_vim(
    features: ArrayLike, logits: ArrayLike, kernel: ArrayLike, bias: ArrayLike, *, dimensions: int
) -> Vim:
    """Fits virtual-logit matching on known items.

    Args:
      features: ``[item, width]`` of clean items, as the linear head sees them.
      logits: ``[item, class]`` of the same items.
      kernel: ``[width, class]`` of the head.
      bias: ``[class]`` of the head.
      dimensions: of the principal subspace (static), less than the width; the paper takes 1000 of
        2048, and 512 of 768.

    Returns:
      :class:`Vim`, float32; all NaN for a NaN.

    Raises:
      ValueError: if the shapes do not fit, or no direction is left.

    References:
      Wang et al., ViM: Out-of-Distribution with Virtual-Logit Matching, 2022,
      https://arxiv.org/abs/2203.10807.

    >>> x = jnp.array([[1.0, 0.0], [-1.0, 0.1], [2.0, -0.1]])
    >>> fitted = fit_vim(x, x, jnp.eye(2), jnp.zeros(2), dimensions=1)
    >>> jnp.abs(fitted.residual[:, 0]).round(1).tolist()
    [0.0, 1.0]
    """
    x, z, w, b = as_floats(as_features(features), logits, kernel, bias)
    width = x.shape[1]
    if z.shape[:1] != x.shape[:1] or w.shape != (width, *z.shape[1:]) or b.shape != z.shape[1:]:
        raise ValueError(
            "expected features [item, width], logits [item, class], kernel [width, class] and bias "
            f"[class], got {x.shape}, {z.shape}, {w.shape} and {b.shape}"
        )
    if not 0 < dimensions < width:
        raise ValueError(f"dimensions must lie between 1 and {width - 1}, got {dimensions}")
    # numpy's convention of the released code: o = -pinv(Wᵀ) b.
    origin = -jnp.matmul(jnp.linalg.pinv(w.T), b, precision=jax.lax.Precision.HIGHEST)
    centred = x - origin[None]
    second = jnp.matmul(centred.T, centred, precision=jax.lax.Precision.HIGHEST) / len(x)
    _, directions = eigh(second)  # ascending
    residual = directions[:, : width - dimensions]
    norms = jnp.linalg.norm(centred @ residual, axis=-1)
    return Vim(origin, residual, jnp.mean(jnp.max(z, -1)) / jnp.mean(norms))


def vim(known: Vim, features: ArrayLike, logits: ArrayLike) -> jax.Array:
    """The virtual logit less the energy of the real ones.

    Args:
      known: from :func:`fit_vim`.
      features: ``[item, width]``.
      logits: ``[item, class]``.

    Returns:
      float32 ``[item]``, in the logits' units; the softmax of the virtual class, in log-odds. NaN
      for a NaN.

    Raises:
      ValueError: if the shapes do not fit.

    References:
      Wang et al., ViM: Out-of-Distribution with Virtual-Logit Matching, 2022,
      https://arxiv.org/abs/2203.10807.

    >>> known = Vim(jnp.zeros(2), jnp.array([[0.0], [1.0]]), jnp.array(2.0))
    >>> vim(known, jnp.array([[5.0, 3.0]]), jnp.array([[0.0]])).tolist()
    [6.0]
    """
    x, z = as_floats(as_features(features), logits)
    if z.ndim != 2 or len(z) != len(x):
        raise ValueError(f"logits must be [item, class] with {len(x)} items, got {z.shape}")
    residual = jnp.linalg.norm((x - known.origin[None]) @ known.residual, axis=-1)
    return known.scale * residual - jax.nn.logsumexp(z, axis=-1)
