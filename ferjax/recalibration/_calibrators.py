"""Calibrators of log-probabilities, from one temperature to a linear map of all classes."""

from typing import NamedTuple, Protocol, Self

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.arrays import as_weights
from ferjax.distributions import require_no_probs
from ferjax.recalibration._newton import minimise

__all__ = [
    "Bias",
    "Calibrator",
    "DirichletMap",
    "Marginal",
    "Shrinkage",
    "Temperature",
    "VectorScaling",
    "bounded",
    "counted",
]

LOWEST = -30.0
"""Log-probabilities below this are taken for this."""
PENALTY = 1e-3
"""On the squared distance of many-parameter maps from the identity, beside nats per vote."""


class Calibrator(Protocol):
    """What every calibrator is: fitted arrays that map log-probabilities to log-probabilities."""

    @classmethod
    def fit(cls, counts: ArrayLike, log_probs: ArrayLike, weights: ArrayLike | None = None) -> Self:
        """Fits it.

        Args:
          counts: ``[item, class]`` votes >= 0.
          log_probs: ``[item, class]``; :class:`Temperature` also takes ``[member, item, class]``.
          weights: ``[item]`` >= 0, or None for one each.

        Items of weight 0 or without votes are left out, whatever they hold. What is undefined in
        any other, or a negative count or weight, makes all that it maps to NaN.

        Raises:
          ValueError: if the shapes do not fit together.
        """
        ...

    def apply(self, log_probs: ArrayLike) -> jax.Array:
        """Log-probabilities ``[..., class]`` recalibrated, normalised, float32."""
        ...


def bounded(log_probs: ArrayLike) -> jax.Array:
    """Log-probabilities in float32, none below :data:`LOWEST`; NaN stays NaN. Probabilities are an
    error (outside ``jit``)."""
    require_no_probs(log_probs)
    return jnp.maximum(jnp.asarray(log_probs, jnp.float32), LOWEST)


def counted(
    counts: ArrayLike, log_probs: ArrayLike, weights: ArrayLike | None
) -> tuple[jax.Array, jax.Array]:
    """Weighted votes ``[item, class]`` and bounded log-probabilities of the items that have some.

    Items of weight 0 or without votes hold zeros in both; a negative count or weight is NaN.
    """
    counts = jnp.asarray(counts, jnp.float32)
    if counts.ndim != 2 or counts.shape != jnp.shape(log_probs)[-2:]:
        raise ValueError(
            "counts must be [item, class] and log_probs have these as last axes, got "
            f"{counts.shape} and {jnp.shape(log_probs)}"
        )
    weights = as_weights(weights, counts)
    counts = jnp.where(counts >= 0, counts, jnp.nan)
    some = (weights != 0) & (jnp.sum(counts, -1) != 0)
    counts = jnp.where(some[:, None], counts * weights[:, None], 0.0)
    there = some.reshape(*[1] * (jnp.ndim(log_probs) - 2), -1, 1)
    return counts, jnp.where(there, bounded(log_probs), 0.0)


class _Votes(NamedTuple):
    """Weighted votes ``[item, class]``, and log-probabilities of the items that have some."""

    counts: jax.Array
    log_probs: jax.Array

    @classmethod
    def of(cls, counts: ArrayLike, log_probs: ArrayLike, weights: ArrayLike | None) -> "_Votes":
        return cls(*counted(counts, log_probs, weights))

    def nll(self, log_probs: jax.Array) -> jax.Array:
        """Nats per vote."""
        shares = self.counts / jnp.maximum(jnp.sum(self.counts), 1e-30)
        return -jnp.sum(shares * log_probs)

    @property
    def marginal(self) -> jax.Array:
        """Log shares of the classes with one pseudo-vote in all, so that none is impossible."""
        total = jnp.sum(self.counts, axis=0) + 1 / self.counts.shape[1]
        return jnp.log(total / jnp.sum(total))


class Temperature(NamedTuple):
    """``softmax(log p / T)``: one temperature for all items, classes and members.

    Fitted to members ``[member, item, class]``, their pooled prediction ``mean_k softmax(log p_k /
    T)`` is what becomes likeliest; each member is then scaled by that same T, which keeps total =
    aleatoric + epistemic.

    References:
      Guo et al., On Calibration of Modern Neural Networks, 2017, https://arxiv.org/abs/1706.04599;
      Rahaman & Thiery, Uncertainty Quantification and Deep Ensembles, 2021,
      https://arxiv.org/abs/2007.08792.

    >>> sharp = jnp.log(jnp.array([[0.9, 0.1], [0.9, 0.1]]))
    >>> fitted = Temperature.fit(jnp.array([[3, 1], [3, 1]]), sharp)
    >>> round(float(fitted.temperature), 3), round(float(jnp.exp(fitted.apply(sharp))[0, 0]), 3)
    (2.0, 0.75)
    """

    log_scale: jax.Array
    """``log 1/T``, scalar."""

    @property
    def temperature(self) -> jax.Array:
        """T."""
        return jnp.exp(-self.log_scale)

    @classmethod
    def fit(
        cls, counts: ArrayLike, log_probs: ArrayLike, weights: ArrayLike | None = None
    ) -> "Temperature":
        """See :class:`Calibrator`."""
        votes = _Votes.of(counts, log_probs, weights)
        members = votes.log_probs
        members = members.reshape(-1, *members.shape[-2:])

        def loss(fitted: Temperature) -> jax.Array:
            pooled = jax.nn.logsumexp(fitted.apply(members), axis=0) - jnp.log(len(members))
            return votes.nll(pooled) + 1e-6 * fitted.log_scale**2

        return minimise(loss, cls(jnp.zeros(())))

    def apply(self, log_probs: ArrayLike) -> jax.Array:
        """See :class:`Calibrator`."""
        return jax.nn.log_softmax(jnp.exp(self.log_scale) * bounded(log_probs))


class Bias(NamedTuple):
    """``softmax(log p + b)``: how often each class is chosen, corrected."""

    bias: jax.Array
    """``[class]``."""

    @classmethod
    def fit(
        cls, counts: ArrayLike, log_probs: ArrayLike, weights: ArrayLike | None = None
    ) -> "Bias":
        """See :class:`Calibrator`."""
        votes = _Votes.of(counts, log_probs, weights)

        def loss(fitted: Bias) -> jax.Array:
            return votes.nll(fitted.apply(votes.log_probs)) + PENALTY * jnp.sum(fitted.bias**2)

        return minimise(loss, cls(jnp.zeros(jnp.shape(log_probs)[-1])))

    def apply(self, log_probs: ArrayLike) -> jax.Array:
        """See :class:`Calibrator`."""
        log_probs = bounded(log_probs)
        return jax.nn.log_softmax(log_probs + _rowwise(self.bias, log_probs))


class VectorScaling(NamedTuple):
    """``softmax(w * log p + b)``: a temperature and a bias for each class.

    References:
      Guo et al., 2017, https://arxiv.org/abs/1706.04599.
    """

    scale: jax.Array
    """``[class]``."""
    bias: jax.Array
    """``[class]``."""

    @classmethod
    def fit(
        cls, counts: ArrayLike, log_probs: ArrayLike, weights: ArrayLike | None = None
    ) -> "VectorScaling":
        """See :class:`Calibrator`."""
        votes = _Votes.of(counts, log_probs, weights)
        classes = jnp.shape(log_probs)[-1]

        def loss(fitted: VectorScaling) -> jax.Array:
            distance = jnp.sum((fitted.scale - 1) ** 2) + jnp.sum(fitted.bias**2)
            return votes.nll(fitted.apply(votes.log_probs)) + PENALTY * distance

        return minimise(loss, cls(jnp.ones(classes), jnp.zeros(classes)))

    def apply(self, log_probs: ArrayLike) -> jax.Array:
        """See :class:`Calibrator`."""
        log_probs = bounded(log_probs)
        scaled = _rowwise(self.scale, log_probs) * log_probs
        return jax.nn.log_softmax(scaled + _rowwise(self.bias, log_probs))


class DirichletMap(NamedTuple):
    """``softmax(W log p + b)``: a linear map of all log-probabilities.

    References:
      Kull et al., Beyond Temperature Scaling: Dirichlet Calibration, 2019,
      https://arxiv.org/abs/1910.12656.
    """

    matrix: jax.Array
    """``[class, class]``; the new class first."""
    bias: jax.Array
    """``[class]``."""

    @classmethod
    def fit(
        cls, counts: ArrayLike, log_probs: ArrayLike, weights: ArrayLike | None = None
    ) -> "DirichletMap":
        """See :class:`Calibrator`."""
        votes = _Votes.of(counts, log_probs, weights)
        identity = jnp.eye(jnp.shape(log_probs)[-1])

        def loss(fitted: DirichletMap) -> jax.Array:
            distance = jnp.sum((fitted.matrix - identity) ** 2) + jnp.sum(fitted.bias**2)
            return votes.nll(fitted.apply(votes.log_probs)) + PENALTY * distance

        return minimise(loss, cls(identity, jnp.zeros(len(identity))))

    def apply(self, log_probs: ArrayLike) -> jax.Array:
        """See :class:`Calibrator`."""
        log_probs = bounded(log_probs)
        mapped = jnp.matmul(log_probs, self.matrix.T, precision=jax.lax.Precision.HIGHEST)
        return jax.nn.log_softmax(mapped + _rowwise(self.bias, log_probs))


class Shrinkage(NamedTuple):
    """``(1 - λ) p + λ marginal``: pulled towards what people choose whatever the item is.

    >>> wrong = jnp.log(jnp.array([[0.99, 0.01], [0.01, 0.99]]))
    >>> round(float(Shrinkage.fit(jnp.array([[1, 1], [1, 1]]), wrong).share), 2)
    1.0
    """

    logit: jax.Array
    """Of λ, scalar."""
    log_marginal: jax.Array
    """``[class]``."""

    @property
    def share(self) -> jax.Array:
        """λ."""
        return jax.nn.sigmoid(self.logit)

    @classmethod
    def fit(
        cls, counts: ArrayLike, log_probs: ArrayLike, weights: ArrayLike | None = None
    ) -> "Shrinkage":
        """See :class:`Calibrator`."""
        votes = _Votes.of(counts, log_probs, weights)
        marginal = votes.marginal

        def loss(logit: jax.Array) -> jax.Array:
            return votes.nll(cls(logit, marginal).apply(votes.log_probs)) + 1e-6 * logit**2

        return cls(minimise(loss, jnp.array(-2.0)), marginal)

    def apply(self, log_probs: ArrayLike) -> jax.Array:
        """See :class:`Calibrator`."""
        log_probs = jax.nn.log_softmax(bounded(log_probs))
        kept = log_probs + jax.nn.log_sigmoid(-self.logit)
        pulled = self.log_marginal + jax.nn.log_sigmoid(self.logit)
        return jnp.logaddexp(kept, _rowwise(pulled, log_probs))


class Marginal(NamedTuple):
    """What people choose on the whole, for every item: the rival that knows nothing of items."""

    log_marginal: jax.Array
    """``[class]``."""

    @classmethod
    def fit(
        cls, counts: ArrayLike, log_probs: ArrayLike, weights: ArrayLike | None = None
    ) -> "Marginal":
        """See :class:`Calibrator`."""
        return cls(_Votes.of(counts, log_probs, weights).marginal)

    def apply(self, log_probs: ArrayLike) -> jax.Array:
        """See :class:`Calibrator`; of the log-probabilities only the shape is read."""
        return jnp.broadcast_to(self.log_marginal, jnp.shape(log_probs))


def _rowwise(of_class: jax.Array, like: jax.Array) -> jax.Array:
    return of_class.reshape(*[1] * (like.ndim - 1), -1)
