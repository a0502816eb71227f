"""How far a face lies from the faces one knows: densities of features, and ranks among known faces.

Axis legend: features ``[face, width]``, scores ``[face]``; larger always means less familiar.
Everything is fitted on clean faces alone, never on corrupted ones. Functions are pure and
un-jitted, and written for one set of features: a stack ``[member, face, width]`` goes through
``jax.vmap`` (a fitted :class:`Gaussian` is a tuple of arrays, so it stacks too).

References:
  Lee et al., A Simple Unified Framework for Detecting Out-of-Distribution Samples, 2018,
  https://arxiv.org/abs/1807.03888 (Mahalanobis, shared covariance); Ren et al., A Simple Fix to
  Mahalanobis Distance for Improving Near-OOD Detection, 2021, https://arxiv.org/abs/2106.09022
  (relative); Mukhoti et al., Deep Deterministic Uncertainty, 2023, https://arxiv.org/abs/2102.11582
  (class-conditional density); Sun et al., Out-of-Distribution Detection with Deep Nearest
  Neighbors, 2022, https://arxiv.org/abs/2204.06507; Nalisnick et al., Detecting Out-of-Distribution
  Inputs Using Typicality, 2019, https://arxiv.org/abs/1906.02994.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

__all__ = [
    "ClassGaussians",
    "Gaussian",
    "SharedGaussians",
    "Spectrum",
    "band_energies",
    "class_density",
    "class_mahalanobis",
    "conditional_rank",
    "fit_class_gaussians",
    "fit_gaussian",
    "fit_shared_gaussians",
    "fit_spectrum",
    "mahalanobis",
    "nearest_neighbour",
    "relative_mahalanobis",
    "typicality",
]


class Gaussian(NamedTuple):
    """A normal distribution of features: ``mean [width]``, and ``whiten [width, width]`` with
    ``whiten whitenᵀ = Σ⁻¹``.

    ``log_volume`` is ``½ log |Σ|``.
    """

    mean: jax.Array
    whiten: jax.Array
    log_volume: jax.Array


def _features(features: jax.Array) -> jax.Array:
    features = jnp.asarray(features, jnp.float32)
    if features.ndim != 2:
        raise ValueError(f"features must be [face, width], got shape {features.shape}")
    return features


@jax.custom_batching.sequential_vmap
def _eigh(symmetric: jax.Array) -> tuple[jax.Array, jax.Array]:
    # One matrix at a time under vmap too: the batched CPU kernel of jaxlib < 0.11 spreads a batch
    # over the very threads that run the program, and where as many of them as there are cores meet,
    # each waits for the others for ever.
    return tuple(jnp.linalg.eigh(symmetric))


def _of_covariance(mean: jax.Array, covariance: jax.Array, shrinkage: float) -> Gaussian:
    variances, directions = _eigh(covariance)
    # A floor relative to the mean variance: directions the fit has hardly seen must not dominate
    # the distance.
    variances = jnp.maximum(variances, 0.0) + shrinkage * jnp.mean(variances) + 1e-12
    return Gaussian(mean, directions / jnp.sqrt(variances)[None], 0.5 * jnp.sum(jnp.log(variances)))


def fit_gaussian(
    features: jax.Array, weights: jax.Array | None = None, *, shrinkage: float = 1e-3
) -> Gaussian:
    """The normal distribution of known features.

    Args:
      features: ``[face, width]`` of clean faces.
      weights: optional ``[face]``, >= 0.
      shrinkage: share of the mean variance that is added to every direction's.

    Returns:
      :class:`Gaussian`.

    >>> g = fit_gaussian(jnp.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]]), shrinkage=0.0)
    >>> g.mean.tolist(), round(float(mahalanobis(g, jnp.array([[3.0, 1.0]]))[0]), 3)
    ([1.0, 1.0], 2.0)
    """
    features = _features(features)
    weights = jnp.ones(len(features)) if weights is None else jnp.asarray(weights, jnp.float32)
    share = weights / jnp.sum(weights)
    mean = share @ features
    centred = features - mean[None]
    return _of_covariance(mean, (centred * share[:, None]).T @ centred, shrinkage)


def mahalanobis(gaussian: Gaussian, features: jax.Array) -> jax.Array:
    """Squared Mahalanobis distance per dimension, ``[face]``: about 1 for a familiar face.

    Args:
      gaussian: of the known features.
      features: ``[face, width]``.
    """
    whitened = (_features(features) - gaussian.mean[None]) @ gaussian.whiten
    return jnp.mean(whitened**2, axis=-1)


class SharedGaussians(NamedTuple):
    """Classes with one covariance: ``means [class, width]``, the spread ``within`` them, and all
    faces as one ``background``."""

    means: jax.Array
    within: Gaussian
    background: Gaussian


class ClassGaussians(NamedTuple):
    """A Gaussian per class, every leaf ``[class, ...]``, and the log prior ``[class]``."""

    classes: Gaussian
    log_prior: jax.Array


class _Moments(NamedTuple):
    mass: jax.Array
    means: jax.Array
    covariances: jax.Array


def _class_moments(features: jax.Array, q: jax.Array) -> _Moments:
    features = _features(features)
    q = jnp.asarray(q, jnp.float32)
    if q.ndim != 2 or len(q) != len(features):
        raise ValueError(f"q must be [face, class] with {len(features)} faces, got {q.shape}")
    mass = jnp.sum(q, axis=0)
    share = q / jnp.maximum(mass, 1e-9)[None]
    means = share.T @ features

    def covariance(pair: tuple[jax.Array, jax.Array]) -> jax.Array:
        mean, share = pair
        centred = features - mean[None]
        return (centred * share[:, None]).T @ centred

    return _Moments(mass, means, jax.lax.map(covariance, (means, share.T)))


def fit_shared_gaussians(
    features: jax.Array, q: jax.Array, *, shrinkage: float = 1e-3
) -> SharedGaussians:
    """Class means with one covariance, for :func:`relative_mahalanobis`; a face counts for a class
    by its votes.

    Args:
      features: ``[face, width]``.
      q: ``[face, class]`` vote distributions (or one-hot labels).
      shrinkage: as in :func:`fit_gaussian`.
    """
    moments = _class_moments(features, q)
    within = jnp.einsum("c,cij->ij", moments.mass / jnp.sum(moments.mass), moments.covariances)
    centre = _of_covariance(jnp.zeros(within.shape[0]), within, shrinkage)
    return SharedGaussians(moments.means, centre, fit_gaussian(features, shrinkage=shrinkage))


def class_mahalanobis(known: SharedGaussians, features: jax.Array) -> jax.Array:
    """Squared distance to the nearest class, per dimension, ``[face]``."""
    whitened = _features(features) @ known.within.whiten
    means = known.means @ known.within.whiten
    square = (
        jnp.sum(whitened**2, -1)[:, None] - 2 * whitened @ means.T + jnp.sum(means**2, -1)[None]
    )
    return jnp.min(square, axis=-1) / features.shape[-1]


def relative_mahalanobis(known: SharedGaussians, features: jax.Array) -> jax.Array:
    """:func:`class_mahalanobis` minus the distance to all faces together, per dimension,
    ``[face]``."""
    return class_mahalanobis(known, features) - mahalanobis(known.background, features)


def fit_class_gaussians(
    features: jax.Array, q: jax.Array, *, shrinkage: float = 1e-3, pooled: float = 0.5
) -> ClassGaussians:
    """A Gaussian with its own covariance per class, for :func:`class_density` (DDU).

    Args:
      features: ``[face, width]``.
      q: ``[face, class]`` vote distributions (or one-hot labels).
      shrinkage: as in :func:`fit_gaussian`.
      pooled: weight of the shared covariance in each class's own; rare classes have fewer faces
        than dimensions.
    """
    moments = _class_moments(features, q)
    within = jnp.einsum("c,cij->ij", moments.mass / jnp.sum(moments.mass), moments.covariances)
    mixed = (1 - pooled) * moments.covariances + pooled * within[None]
    classes = jax.lax.map(
        lambda pair: _of_covariance(pair[0], pair[1], shrinkage), (moments.means, mixed)
    )
    return ClassGaussians(classes, jnp.log(jnp.maximum(moments.mass, 1e-9) / jnp.sum(moments.mass)))


def class_density(known: ClassGaussians, features: jax.Array) -> jax.Array:
    """Negative log density under the mixture of class Gaussians, nats per dimension up to a
    constant, ``[face]`` (DDU)."""
    width = features.shape[-1]
    distance = jax.lax.map(lambda gaussian: mahalanobis(gaussian, features), known.classes)
    log_density = (known.log_prior - known.classes.log_volume)[:, None] - 0.5 * width * distance
    return -jax.nn.logsumexp(log_density, axis=0) / width


def nearest_neighbour(bank: jax.Array, features: jax.Array, *, k: int = 10) -> jax.Array:
    """Euclidean distance to the ``k``-th nearest known face, on features scaled to unit length,
    ``[face]``.

    Args:
      bank: ``[known, width]`` features of clean faces.
      features: ``[face, width]``.
      k: which neighbour (static).

    Raises:
      ValueError: if the bank holds fewer than ``k`` faces.

    >>> round(float(nearest_neighbour(jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([[2.0, 0.0]]), k=2)[0]), 4)
    1.4142
    """
    bank = _features(bank)
    features = _features(features)
    if len(bank) < k:
        raise ValueError(f"a bank of {len(bank)} faces has no {k}-th neighbour")

    def unit(x: jax.Array) -> jax.Array:
        return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-9)

    similarity = jax.lax.top_k(unit(features) @ unit(bank).T, k)[0][:, -1]
    return jnp.sqrt(jnp.maximum(2 - 2 * similarity, 0.0))


class Spectrum(NamedTuple):
    """Bands of a picture's own texture: patches are centred, turned into principal directions, and
    grouped into bands.

    ``mean [width]``, ``whiten [width, width]``, and ``bands [width, band]``, whose columns average
    directions, the broadest variation first.
    """

    mean: jax.Array
    whiten: jax.Array
    bands: jax.Array


def fit_spectrum(patches: jax.Array, *, bands: int = 16) -> Spectrum:
    """Principal directions of patches of known pictures, in bands that widen geometrically.

    Args:
      patches: ``[face, patch, width]``.
      bands: at most how many bands (static).
    """
    patches = jnp.asarray(patches, jnp.float32)
    if patches.ndim != 3:
        raise ValueError(f"patches must be [face, patch, width], got shape {patches.shape}")
    width = patches.shape[-1]
    rows = patches.reshape(-1, width)
    mean = jnp.mean(rows, axis=0)
    variances, directions = _eigh((rows - mean[None]).T @ (rows - mean[None]) / len(rows))
    variances = variances[::-1]
    directions = directions[:, ::-1]
    whiten = directions / jnp.sqrt(jnp.maximum(variances, 1e-8 * variances[0] + 1e-12))[None]
    edges = np.unique(np.round(np.geomspace(1, width, bands + 1)).astype(int))
    edges[0] = 0
    direction = np.arange(width)[:, None]
    inside = (direction >= edges[None, :-1]) & (direction < edges[None, 1:])
    return Spectrum(mean, whiten, jnp.asarray(inside / inside.sum(0, keepdims=True), jnp.float32))


def band_energies(spectrum: Spectrum, patches: jax.Array) -> jax.Array:
    """Log energy of each band over a picture's patches, ``[face, band]``; about 0 for a familiar
    picture.

    Noise raises the fine bands, blur lowers them, light and contrast move the broad ones: a
    distance in these logarithms sees all of them, where a distance of the features themselves takes
    a blurred face for a typical one.

    >>> known = jax.random.normal(jax.random.key(0), (200, 4, 9))
    >>> s = fit_spectrum(known, bands=3)
    >>> bool((band_energies(s, 0.1 * known[:5]) < -2).all())
    True
    """
    whitened = (jnp.asarray(patches, jnp.float32) - spectrum.mean[None, None]) @ spectrum.whiten
    return jnp.log(jnp.mean(whitened**2 @ spectrum.bands, axis=-2) + 1e-6)


def typicality(scores: jax.Array, known: jax.Array) -> jax.Array:
    """How unusual a score is in either direction: ``-log`` of the two-sided tail share among known
    faces, nats, ``[face]``.

    Args:
      scores: ``[face]``.
      known: ``[known]`` the same score of clean faces.

    >>> [round(float(t), 1) for t in typicality(jnp.array([0.0, 50.0, 100.0]), jnp.arange(101.0))]
    [3.9, 0.0, 3.9]
    """
    scores = jnp.asarray(scores)
    ordered = jnp.sort(jnp.asarray(known))
    n = ordered.shape[0]
    below = jnp.searchsorted(ordered, scores, side="right") / (n + 1)
    above = (n - jnp.searchsorted(ordered, scores, side="left")) / (n + 1)
    tail = jnp.maximum(jnp.minimum(below, above), 1 / (n + 1))
    return jnp.abs(jnp.log(jnp.minimum(2 * tail, 1.0)))


def conditional_rank(
    score: jax.Array,
    given: jax.Array,
    known_score: jax.Array,
    known_given: jax.Array,
    *,
    neighbours: int = 200,
) -> jax.Array:
    """The rank of a score among known faces that are alike in another score, ``[face]`` in [0, 1].

    With epistemic given aleatoric, an ambiguous face is held against ambiguous faces only, and not
    punished for being one.

    Args:
      score: ``[face]``, e.g. epistemic.
      given: ``[face]``, e.g. aleatoric.
      known_score: ``[known]`` of clean faces.
      known_given: ``[known]``.
      neighbours: how many known faces, nearest in rank of ``given``, count as alike (static).

    >>> conditional_rank(jnp.array([2.5]), jnp.array([0.0]), jnp.arange(4.0), jnp.zeros(4), neighbours=4).tolist()
    [0.75]
    """
    order = jnp.argsort(known_given)
    ordered = jnp.asarray(known_given)[order]
    values = jnp.asarray(known_score)[order]
    neighbours = min(neighbours, values.shape[0])
    middle = (
        jnp.searchsorted(ordered, given, side="left")
        + jnp.searchsorted(ordered, given, side="right")
    ) // 2
    first = jnp.clip(middle - neighbours // 2, 0, values.shape[0] - neighbours)
    alike = values[first[:, None] + jnp.arange(neighbours)[None]]
    score = jnp.asarray(score)[:, None]
    return jnp.mean(jnp.where(alike < score, 1.0, jnp.where(alike == score, 0.5, 0.0)), axis=1)
