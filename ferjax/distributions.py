"""Whether arrays are distributions at all: log-probabilities, or shares of votes.

Probabilities in place of their logarithms give figures that look like uncertainties and are none.
Values are known outside ``jit`` only: there they are looked at, a sample of rows where there are
many, and refused. Under ``jit`` nothing is looked at and nothing is computed.
"""

import sys
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["require_log_probs", "require_no_probs", "require_shares"]

ROWS = 4096
"""Rows that are looked at, at most."""
TOLERANCE = 0.02
"""How far a row's sum may be from 1: bfloat16 rounds so much."""


def require_log_probs(
    log_probs: ArrayLike,
    *,
    axis: int = -1,
    weights: ArrayLike | None = None,
    name: str = "log_probs",
) -> None:
    """Refuses what cannot be log-probabilities; nothing under ``jit``.

    Args:
      log_probs: ``[..., class]``. Rows with a NaN are undefined, and pass.
      axis: the class axis.
      weights: ``[item]`` of ``log_probs [item, class]``; items of weight 0 may hold anything.
      name: what it is called.

    Raises:
      ValueError: if the probabilities of a row do not sum to 1; says what it looks like.

    >>> require_log_probs(np.log([[0.5, 0.5]]))
    >>> require_log_probs([[0.25, 0.75]])
    Traceback (most recent call last):
    ValueError: log_probs must be log-probabilities, whose exponentials sum to 1 over the classes;
    got [0.25, 0.75], which looks like probabilities: take their logarithm
    """
    rows = _sample(log_probs, axis, weights)
    if rows is None:
        return
    with np.errstate(over="ignore"):
        off = np.abs(np.exp(rows).sum(-1) - 1) > TOLERANCE
    if not off.any():
        return
    if _are_probs(rows):
        looks = "looks like probabilities: take their logarithm"
    else:
        looks = "looks like logits or scores: take jax.nn.log_softmax over the classes"
    raise ValueError(
        f"{name} must be log-probabilities, whose exponentials sum to 1 over the classes; "
        f"got {_shown(rows[np.argmax(off)])}, which {looks}"
    )


def require_no_probs(log_probs: ArrayLike, *, name: str = "log_probs") -> None:
    """Refuses probabilities where logarithms are expected that need not be normalised, because what
    is done with them is; nothing under ``jit``.

    Args:
      log_probs: ``[..., class]``.
      name: what it is called.

    Raises:
      ValueError: if they all are probabilities.

    >>> require_no_probs([[2.0, -1.0]])
    >>> require_no_probs([[0.25, 0.75]])
    Traceback (most recent call last):
    ValueError: log_probs must be log-probabilities; got [0.25, 0.75], which looks like
    probabilities: take their logarithm
    """
    rows = _sample(log_probs, -1, None)
    if rows is not None and _are_probs(rows):
        raise ValueError(
            f"{name} must be log-probabilities; got {_shown(rows[0])}, which looks like "
            "probabilities: take their logarithm"
        )


def require_shares(q: ArrayLike, *, weights: ArrayLike | None = None, name: str = "q") -> None:
    """Refuses what cannot be shares of votes; nothing under ``jit``.

    Args:
      q: ``[..., class]``. A row of zeros has no votes; one with a NaN or a negative share is
        undefined; all of these pass.
      weights: ``[item]`` of ``q [item, class]``; items of weight 0 may hold anything.
      name: what they are called.

    Raises:
      ValueError: if the shares of a row do not sum to 1.

    >>> require_shares([[0.25, 0.75], [0.0, 0.0]])
    >>> require_shares([[3, 1]])
    Traceback (most recent call last):
    ValueError: q must be shares of votes, which sum to 1 over the classes; got [3.0, 1.0], which
    sums to 4: divide counts by their sum (ferjax.votes.distribution)
    """
    rows = _sample(q, -1, weights)
    if rows is None:
        return
    total = rows.sum(-1)
    off = (rows >= 0).all(-1) & (total > 0) & (np.abs(total - 1) > TOLERANCE)
    if off.any():
        row = int(np.argmax(off))
        raise ValueError(
            f"{name} must be shares of votes, which sum to 1 over the classes; got "
            f"{_shown(rows[row])}, which sums to {total[row]:.4g}: divide counts by their sum "
            "(ferjax.votes.distribution)"
        )


def _sample(values: ArrayLike, axis: int, weights: ArrayLike | None) -> np.ndarray | None:
    """Up to :data:`ROWS` rows ``[row, class]`` in float64, those that are defined; None where
    nothing can be known, or there are none."""
    # Votes are arithmetic on numpy arrays, for which JAX is not to be loaded.
    whole: Any = _known(values, weights) if "jax" in sys.modules else np.asarray(values)
    if whole is None or not -whole.ndim <= axis < whole.ndim or 0 in whole.shape:
        return None
    classes_last = whole.swapaxes(axis, -1)
    *items, classes = classes_last.shape
    count = int(np.prod(items, dtype=int))
    which = np.arange(count)
    if count > ROWS:
        which = np.linspace(0, count - 1, ROWS).astype(int)
    if weights is not None and np.shape(weights) == tuple(items):
        which = which[np.asarray(weights).reshape(-1)[which] != 0]
    places = np.unravel_index(which, items) if items else ()
    rows = np.asarray(classes_last[places], np.float64).reshape(-1, classes)
    rows = rows[~np.isnan(rows).any(-1)]
    return rows if len(rows) else None


def _known(values: Any, weights: Any) -> Any:
    """The values as an array, of numpy where they lie in the host's memory; None where they, or
    the weights, are not known here."""
    import jax

    from ferjax.arrays import is_traced

    if is_traced(values) or is_traced(weights):
        return None
    if isinstance(values, jax.Array):
        if not values.is_fully_addressable:
            return None
        if any(device.platform != "cpu" for device in values.devices()):
            return values
    return np.asarray(values)


def _are_probs(rows: np.ndarray) -> bool:
    positive = (rows >= -1e-6).all() and (rows <= 1 + 1e-6).all()
    return bool(positive and (np.abs(rows.sum(-1) - 1) <= TOLERANCE).all())


def _shown(row: np.ndarray) -> str:
    """A row, short."""
    values = [float(f"{value:.4g}") for value in row[:6]]
    more = "" if len(row) <= 6 else f", and {len(row) - 6} more"
    return f"{values}{more}"
