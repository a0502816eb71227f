"""Gaussians of features, one for all items or one per class, and distances from them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.arrays import as_floats, as_weights

__all__ = [
    "ClassGaussians",
    "Gaussian",
    "SharedGaussians",
    "as_features",
    "class_density",
    "class_mahalanobis",
    "eigh",
    "fit_class_gaussians",
    "fit_gaussian",
    "fit_shared_gaussians",
    "mahalanobis",
    "relative_mahalanobis",
]


class Gaussian(NamedTuple):
    """A normal distribution of features, with ``whiten whitenᵀ = Σ⁻¹``."""

    mean: jax.Array
    """``[width]``."""
    whiten: jax.Array
    """``[width, width]``."""
    log_volume: jax.Array
    """Scalar ``½ log |Σ|``, nats."""


def as_features(features: ArrayLike) -> jax.Array:
    """Features as float32 ``[item, width]`` (float64 where JAX has it).

    Raises:
      ValueError: if they have another number of axes.

    >>> as_features(jnp.zeros((2, 3), int)).dtype
    dtype('float32')
    """
    (values,) = as_floats(features)
    if values.ndim != 2:
        raise ValueError(f"features must be [item, width], got shape {values.shape}")
    return values


@jax.custom_batching.sequential_vmap
def eigh(symmetric: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Eigenvalues ``[width]``, ascending, and eigenvectors in columns; one matrix at a time.

    jaxlib < 0.11: a batched ``eigh`` deadlocks on the CPU thread pool that runs it, so under
    ``vmap`` matrices are decomposed one after another.

    >>> eigh(jnp.diag(jnp.array([2.0, 1.0])))[0].tolist()
    [1.0, 2.0]
    """
    decomposed = jnp.linalg.eigh(symmetric)
    return decomposed.eigenvalues, decomposed.eigenvectors


def _of_covariance(mean: jax.Array, covariance: jax.Array, shrinkage: float) -> Gaussian:
    variances, directions = eigh(covariance)
    # A floor relative to the mean variance: directions the fit has hardly seen must not dominate
    # the distance.
    variances = jnp.maximum(variances, 0.0) + shrinkage * jnp.mean(variances) + 1e-12
    return Gaussian(mean, directions / jnp.sqrt(variances)[None], 0.5 * jnp.sum(jnp.log(variances)))


def fit_gaussian(
    features: ArrayLike, weights: ArrayLike | None = None, *, shrinkage: float = 1e-3
) -> Gaussian:
    """The normal distribution of known features.

    Args:
      features: ``[item, width]`` of clean items.
      weights: ``[item]`` >= 0, or None for one each.
      shrinkage: share of the mean variance that is added to every direction's.

    Returns:
      :class:`Gaussian`, float32; all NaN for a NaN feature, an impossible weight, or if no item has
      weight.

    Raises:
      ValueError: if ``features`` is not ``[item, width]``, or weights are not ``[item]``.

    >>> g = fit_gaussian(jnp.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]]), shrinkage=0.0)
    >>> g.mean.tolist(), round(float(mahalanobis(g, jnp.array([[3.0, 1.0]]))[0]), 3)
    ([1.0, 1.0], 2.0)
    """
    features = as_features(features)
    w = as_weights(weights, features)
    share = w / jnp.sum(w)
    mean = share @ features
    centred = features - mean[None]
    return _of_covariance(mean, (centred * share[:, None]).T @ centred, shrinkage)


def mahalanobis(gaussian: Gaussian, features: ArrayLike) -> jax.Array:
    """Squared Mahalanobis distance per dimension: about 1 for an item like the known ones.

    Args:
      gaussian: of the known features.
      features: ``[item, width]``.

    Returns:
      float32 ``[item]`` >= 0, unitless.

    Raises:
      ValueError: if ``features`` is not ``[item, width]``.

    >>> unit = Gaussian(jnp.zeros(2), jnp.eye(2), jnp.zeros(()))
    >>> mahalanobis(unit, jnp.array([[1.0, 1.0], [2.0, 0.0]])).tolist()
    [1.0, 2.0]
    """
    whitened = (as_features(features) - gaussian.mean[None]) @ gaussian.whiten
    return jnp.mean(whitened**2, axis=-1)


class SharedGaussians(NamedTuple):
    """Classes with one covariance."""

    means: jax.Array
    """``[class, width]``; that of the largest class for one without items, which then attracts
    nothing of its own."""
    within: Gaussian
    """The spread within classes, around 0."""
    background: Gaussian
    """All items together."""


class ClassGaussians(NamedTuple):
    """A Gaussian per class, and how frequent each class is."""

    classes: Gaussian
    """Every leaf ``[class, ...]``."""
    log_prior: jax.Array
    """``[class]``, nats."""


class _Moments(NamedTuple):
    mass: jax.Array
    means: jax.Array
    covariances: jax.Array


def _class_moments(features: jax.Array, q: jax.Array) -> _Moments:
    if q.ndim != 2 or len(q) != len(features):
        raise ValueError(f"q must be [item, class] with {len(features)} items, got {q.shape}")
    mass = jnp.sum(q, axis=0)
    share = q / jnp.maximum(mass, 1e-9)[None]
    means = share.T @ features

    def covariance(of_class: tuple[jax.Array, jax.Array]) -> jax.Array:
        mean, share = of_class
        centred = features - mean[None]
        return (centred * share[:, None]).T @ centred

    return _Moments(mass, means, jax.lax.map(covariance, (means, share.T)))


def _within(moments: _Moments) -> jax.Array:
    """The covariance around class means, ``[width, width]``."""
    return jnp.einsum("c,cij->ij", moments.mass / jnp.sum(moments.mass), moments.covariances)


def fit_shared_gaussians(
    features: ArrayLike, q: ArrayLike, *, shrinkage: float = 1e-3
) -> SharedGaussians:
    """Class means with one covariance, for :func:`relative_mahalanobis`.

    Args:
      features: ``[item, width]`` of clean items.
      q: ``[item, class]`` vote distributions (or one-hot labels): an item counts for a class by its
        share of the votes.
      shrinkage: as in :func:`fit_gaussian`.

    Returns:
      :class:`SharedGaussians`, float32.

    Raises:
      ValueError: if the shapes do not fit.

    >>> x = jnp.array([[0.0, 0.0], [2.0, 2.0]])
    >>> fit_shared_gaussians(x, jnp.eye(2)).means.tolist()
    [[0.0, 0.0], [2.0, 2.0]]
    """
    features, shares = as_floats(as_features(features), q)
    moments = _class_moments(features, shares)
    within = _of_covariance(jnp.zeros_like(moments.means[0]), _within(moments), shrinkage)
    # A class without items must not attract what lies near the origin.
    largest = moments.means[jnp.argmax(moments.mass)]
    means = jnp.where(moments.mass[:, None] == 0, largest[None], moments.means)
    return SharedGaussians(means, within, fit_gaussian(features, shrinkage=shrinkage))


def class_mahalanobis(known: SharedGaussians, features: ArrayLike) -> jax.Array:
    """Squared Mahalanobis distance to the nearest class, per dimension.

    Args:
      known: from :func:`fit_shared_gaussians`.
      features: ``[item, width]``.

    Returns:
      float32 ``[item]``, unitless, >= 0 up to rounding.

    Raises:
      ValueError: if ``features`` is not ``[item, width]``.

    References:
      Lee et al., A Simple Unified Framework for Detecting Out-of-Distribution Samples, 2018,
      https://arxiv.org/abs/1807.03888.

    >>> unit = Gaussian(jnp.zeros(2), jnp.eye(2), jnp.zeros(()))
    >>> known = SharedGaussians(jnp.array([[0.0, 0.0], [4.0, 0.0]]), unit, unit)
    >>> class_mahalanobis(known, jnp.array([[3.0, 1.0]])).tolist()
    [1.0]
    """
    features = as_features(features)
    whitened = features @ known.within.whiten
    means = known.means @ known.within.whiten
    norms = jnp.sum(whitened**2, -1)
    square = norms[:, None] - 2 * whitened @ means.T + jnp.sum(means**2, -1)[None]
    return jnp.min(square, axis=-1) / features.shape[-1]


def relative_mahalanobis(known: SharedGaussians, features: ArrayLike) -> jax.Array:
    """Distance to the nearest class minus the distance to all known items together.

    Args:
      known: from :func:`fit_shared_gaussians`.
      features: ``[item, width]``.

    Returns:
      float32 ``[item]``, squared Mahalanobis distances per dimension; negative where a class is
      nearer than the whole.

    Raises:
      ValueError: if ``features`` is not ``[item, width]``.

    References:
      Ren et al., A Simple Fix to Mahalanobis Distance for Improving Near-OOD Detection, 2021,
      https://arxiv.org/abs/2106.09022.

    >>> unit = Gaussian(jnp.zeros(2), jnp.eye(2), jnp.zeros(()))
    >>> known = SharedGaussians(jnp.array([[4.0, 0.0]]), unit, unit)
    >>> relative_mahalanobis(known, jnp.array([[3.0, 1.0]])).tolist()
    [-4.0]
    """
    return class_mahalanobis(known, features) - mahalanobis(known.background, features)


def fit_class_gaussians(
    features: ArrayLike, q: ArrayLike, *, shrinkage: float = 1e-3, pooled: float = 0.5
) -> ClassGaussians:
    """A Gaussian with its own covariance per class, for :func:`class_density`.

    Args:
      features: ``[item, width]`` of clean items.
      q: ``[item, class]`` vote distributions (or one-hot labels).
      shrinkage: as in :func:`fit_gaussian`.
      pooled: weight of the shared covariance in each class's own, in [0, 1]; rare classes have
        fewer items than dimensions.

    Returns:
      :class:`ClassGaussians`, float32; a class without items has a prior of about 1e-9.

    Raises:
      ValueError: if the shapes do not fit.

    >>> x = jnp.array([[0.0, 0.0], [2.0, 2.0], [2.0, 0.0], [0.0, 2.0]])
    >>> known = fit_class_gaussians(x, jnp.array([[1.0, 0.0]] * 3 + [[0.0, 1.0]]))
    >>> jnp.exp(known.log_prior).tolist()
    [0.75, 0.25]
    """
    moments = _class_moments(*as_floats(as_features(features), q))
    mixed = (1 - pooled) * moments.covariances + pooled * _within(moments)[None]
    classes = jax.lax.map(
        lambda of: _of_covariance(of[0], of[1], shrinkage), (moments.means, mixed)
    )
    return ClassGaussians(classes, jnp.log(jnp.maximum(moments.mass, 1e-9) / jnp.sum(moments.mass)))


def class_density(known: ClassGaussians, features: ArrayLike) -> jax.Array:
    """Negative log density under the mixture of class Gaussians (DDU), up to a constant.

    Args:
      known: from :func:`fit_class_gaussians`.
      features: ``[item, width]``.

    Returns:
      float32 ``[item]``, nats per dimension; ``½ log 2π`` short of the density's own.

    Raises:
      ValueError: if ``features`` is not ``[item, width]``.

    References:
      Mukhoti et al., Deep Deterministic Uncertainty, 2023, https://arxiv.org/abs/2102.11582.

    >>> unit = Gaussian(jnp.zeros((1, 2)), jnp.eye(2)[None], jnp.zeros(1))
    >>> class_density(ClassGaussians(unit, jnp.zeros(1)), jnp.array([[1.0, 1.0]])).tolist()
    [0.5]
    """
    features = as_features(features)
    width = features.shape[-1]
    distance = jax.lax.map(lambda gaussian: mahalanobis(gaussian, features), known.classes)
    log_density = (known.log_prior - known.classes.log_volume)[:, None] - 0.5 * width * distance
    return -jax.nn.logsumexp(log_density, axis=0) / width
