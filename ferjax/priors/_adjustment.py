"""Predictions under another class prior than a model was trained under."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ferjax.distributions import require_no_probs, require_shares

__all__ = ["Adjustment", "adjust", "check_prior", "mean_prior", "tempered", "training_prior"]


def check_prior(prior: ArrayLike, classes: int) -> jax.Array:
    """A prior as float32 ``[class]`` that sums to 1.

    Args:
      prior: ``[class]`` shares or counts, all above 0 (not traced).
      classes: how many there must be.

    Raises:
      ValueError: if there are more or fewer, or one is not above 0.

    >>> check_prior([1, 3], 2).tolist()
    [0.25, 0.75]
    """
    prior = jnp.asarray(prior, jnp.float32)
    if prior.shape != (classes,):
        raise ValueError(f"a prior needs {classes} shares, one per class; got {prior.shape}")
    bad = ~((prior > 0) & jnp.isfinite(prior))
    if bad.any():
        number = int(jnp.argmax(bad))
        raise ValueError(
            f"the prior of class {number} is {float(prior[number])}; it must be above 0, because a "
            "class that cannot occur can never be answered"
        )
    return prior / jnp.sum(prior)


def mean_prior(q: ArrayLike) -> jax.Array:
    """The prior of a data set: the mean of its vote distributions ``[item, class]``; NaN without
    items.

    Raises:
      ValueError: if it is no ``[item, class]``.

    >>> mean_prior([[1.0, 0.0], [0.5, 0.5]]).tolist()
    [0.75, 0.25]
    """
    shares = jnp.asarray(q, jnp.float32)
    if shares.ndim != 2:
        raise ValueError(f"vote distributions must be [item, class], got {shares.shape}")
    require_shares(q)
    mean = jnp.mean(shares, axis=0)
    return mean / jnp.sum(mean)


def training_prior(q: ArrayLike, *, hard: bool = False) -> tuple[float, ...]:
    """The prior that a classifier is trained under: the mean of its targets, as plain numbers.

    Args:
      q: ``[item, class]`` vote distributions; items of which all shares are 0 do not count (not
        traced).
      hard: whether it learns the most voted class alone.

    Returns:
      ``[class]`` shares, none of them 0: one item more is spread over all classes.

    >>> training_prior([[1.0, 0.0], [1.0, 0.0], [0.4, 0.6]], hard=True)
    (0.625, 0.375)
    """
    rows = np.asarray(q, np.float64)
    rows = rows[rows.sum(1) > 0]
    if hard:
        rows = np.eye(rows.shape[1])[rows.argmax(1)]
    shares = (rows.sum(0) + 1 / rows.shape[1]) / (len(rows) + 1)
    return tuple(float(share) for share in shares)


def tempered(prior: ArrayLike, power: float) -> jax.Array:
    """A prior between the given one and the uniform one: shares to a power, normalised.

    Args:
      prior: ``[class]``, above 0.
      power: 1 leaves it, 0 makes it uniform, 1/2 is half of the way in log space.

    >>> [round(float(share), 2) for share in tempered([0.8, 0.2], 0.5)]
    [0.67, 0.33]
    """
    return jax.nn.softmax(power * jnp.log(jnp.asarray(prior, jnp.float32)))


def adjust(log_probs: ArrayLike, prior: ArrayLike, new_prior: ArrayLike) -> jax.Array:
    """Log-probabilities under another prior: ``p(y | x) π'(y) / π(y)``, normalised.

    Args:
      log_probs: ``[..., class]`` under ``prior``; of every member by itself, then their mean
        follows.
      prior: ``[class]`` that the model was trained under, above 0.
      new_prior: ``[class]``, above 0.

    Returns:
      ``[..., class]``, float32 or the dtype of ``log_probs`` if it is wider.

    Raises:
      ValueError: if the shapes do not fit.

    >>> jnp.exp(adjust(jnp.log(jnp.array([0.8, 0.2])), [0.8, 0.2], [0.5, 0.5])).tolist()
    [0.5, 0.5]
    """
    given = log_probs
    log_probs = jnp.asarray(log_probs)
    log_probs = log_probs.astype(jnp.promote_types(log_probs.dtype, jnp.float32))
    prior, new_prior = (jnp.asarray(p, log_probs.dtype) for p in (prior, new_prior))
    if prior.shape != log_probs.shape[-1:] or new_prior.shape != prior.shape:
        raise ValueError(
            f"priors must have a share for each of {log_probs.shape[-1]} classes, got "
            f"{prior.shape} and {new_prior.shape}"
        )
    require_no_probs(given)
    ratio = jnp.log(new_prior) - jnp.log(prior)
    return jax.nn.log_softmax(log_probs + ratio.reshape(*[1] * (log_probs.ndim - 1), -1), axis=-1)


class Adjustment(NamedTuple):
    """Under which class frequencies an ensemble's predictions are read.

    Plain numbers, so that it can be closed over by a compiled program, compared and written down.
    """

    name: str
    """``training``, ``uniform``, ``sqrt``, ``estimated``, or where the prior comes from."""
    training: tuple[float, ...]
    """``[class]`` shares that the ensemble was trained under."""
    prior: tuple[float, ...]
    """``[class]`` shares that it is read under."""
    temperature: float = 1.0
    """Log-probabilities are divided by it first, those of every member alike."""
    p_value: float = math.nan
    """Of the label-shift test, where the prior was estimated from unlabelled items."""
    known_from: str = "training"
    """Where the training shares come from: ``training``, the data that the ensemble learnt from;
    ``valid``, the votes of valid items, taken for them; or ``file`` and its path."""

    @classmethod
    def of(
        cls,
        name: str,
        training: ArrayLike | Sequence[float],
        prior: ArrayLike | Sequence[float],
        temperature: float = 1.0,
    ) -> "Adjustment":
        """An adjustment by shares or counts, normalised (not traced).

        Raises:
          ValueError: if the two differ in length, or one is not above 0.

        >>> Adjustment.of("uniform", [3, 1], [1, 1]).prior
        (0.5, 0.5)
        """
        before = check_prior(np.asarray(training), np.size(training))
        after = check_prior(np.asarray(prior), len(before))
        return cls(name, _plain(before), _plain(after), float(temperature))

    @property
    def changes(self) -> bool:
        """Whether predictions become others."""
        return self.training != self.prior or self.temperature != 1.0

    def apply(self, log_probs: ArrayLike) -> jax.Array:
        """Log-probabilities ``[..., class]`` under :attr:`prior`, see :func:`adjust`.

        Of every member by itself: their mean, and the parts of its entropy, follow.

        >>> told = jnp.log(jnp.array([0.75, 0.25]))
        >>> jnp.exp(Adjustment.of("uniform", [3, 1], [1, 1]).apply(told)).tolist()
        [0.5, 0.5]
        """
        log_probs = jnp.asarray(log_probs)
        if not self.changes:
            return log_probs
        shares = (jnp.asarray(self.training), jnp.asarray(self.prior))
        return adjust(log_probs / self.temperature, *shares)

    def to_json(self) -> dict[str, Any]:
        """JSON values that :meth:`from_json` reads; an undefined p-value is null, and where the
        training shares come from is told where they are not the training data's."""
        values = self._asdict()
        if self.known_from == "training":
            del values["known_from"]
        return {**values, "p_value": None if math.isnan(self.p_value) else self.p_value}

    @classmethod
    def from_json(cls, values: Any) -> "Adjustment":
        """What :meth:`to_json` wrote.

        Raises:
          ValueError: if it is no such object, or a share is not above 0.
        """
        try:
            if not isinstance(values, Mapping):
                raise TypeError(f"expected an object, got {values!r}")
            temperature = float(values.get("temperature", 1.0))
            if not 0 < temperature < math.inf:
                raise ValueError(f"temperature must be above 0, got {temperature}")
            training, prior = (_numbers(values[name]) for name in ("training", "prior"))
            cls.of("", training, prior)  # refuses what is none
            for of in (training, prior):
                if abs(sum(of) - 1) > 1e-3:
                    raise ValueError(f"shares must sum to 1, got {sum(of):.4g}")
            p_value = values.get("p_value")
            p_value = math.nan if p_value is None else float(p_value)
            # As they were written: normalised again, they could differ in their last digits.
            name = str(values["name"])
            known_from = str(values.get("known_from", "training"))
            return cls(name, tuple(training), tuple(prior), temperature, p_value, known_from)
        except (TypeError, KeyError) as error:
            raise ValueError(f"no class prior: {error}") from error


def _plain(shares: jax.Array) -> tuple[float, ...]:
    return tuple(float(share) for share in shares)


def _numbers(values: Any) -> Sequence[float]:
    if not isinstance(values, list | tuple):
        raise TypeError(f"expected a list of shares, got {values!r}")
    return [float(value) for value in values]
