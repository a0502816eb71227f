"""Rounds the matrices of networks to 8 bits, so that an exported file can keep them in a byte each.

A column of a matrix is 255 multiples of a step of its own. Steps have 8 significant bits, so that
every multiple is a float32 without rounding, and the steps can be found again from the values.

References:
  Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
  Inference, 2018, https://arxiv.org/abs/1712.05877 (symmetric, of weights alone, per channel).
"""

from typing import Any, NamedTuple

import jax
import numpy as np

__all__ = ["Rounded", "as_rounded", "round_matrices", "round_matrix"]

LARGEST = 127


class Rounded(NamedTuple):
    """A matrix as whole multiples of a step per column: ``multiples * steps``, exactly."""

    multiples: np.ndarray
    """int8 ``[..., row, column]``."""
    steps: np.ndarray
    """float32 ``[..., 1, column]``, 1 for a column of zeros."""

    def values(self) -> np.ndarray:
        """The matrix, float32 ``[..., row, column]``."""
        return self.multiples.astype(np.float32) * self.steps


def _steps(matrix: np.ndarray) -> np.ndarray:
    """The smallest steps of 8 significant bits at which no column needs more than 127 multiples."""
    largest = np.abs(matrix).max(-2, keepdims=True).astype(np.float64)
    mantissa, exponent = np.frexp(largest / LARGEST)
    steps = np.ldexp(np.ceil(mantissa * 256) / 256, exponent)
    return np.where(largest > 0, steps, 1.0).astype(np.float32)


def round_matrix(matrix: np.ndarray) -> Rounded:
    """Rounds a matrix to the nearest multiples.

    Args:
      matrix: float32 ``[..., row, column]``.

    Raises:
      ValueError: if a number is not finite.

    >>> round_matrix(np.float32([[1.27, 0.0], [-0.4, 0.0]])).multiples.tolist()
    [[127, 0], [-40, 0]]
    """
    if not np.isfinite(matrix).all():
        raise ValueError("a matrix with a number that is not finite cannot be rounded")
    steps = _steps(matrix)
    return Rounded(np.rint(matrix / steps).astype(np.int8), steps)


def as_rounded(matrix: np.ndarray) -> Rounded | None:
    """A matrix that :func:`round_matrix` gave the values of, as that; None for any other."""
    if matrix.ndim < 2 or matrix.dtype != np.float32 or not np.isfinite(matrix).all():
        return None
    largest = np.abs(matrix).max(-2, keepdims=True).astype(np.float64)
    steps = np.ones_like(largest)
    # Steps were rounded up, so the largest multiple of a column may be 126.
    for multiple in (LARGEST - 1, LARGEST):
        step = np.where(largest > 0, largest / multiple, 1.0)
        whole = (np.mod(matrix, step) == 0).all(-2, keepdims=True)
        steps = np.where(whole, step, steps)
    found = Rounded(np.rint(matrix / steps).astype(np.int8), steps.astype(np.float32))
    return found if np.array_equal(found.values(), matrix) else None


def round_matrices(params: Any) -> Any:
    """Rounds every matrix of a tree of parameters, the leaves called ``kernel``; others stay.

    Args:
      params: leaves ``[...]`` or, of several members, ``[member, ...]``.
    """

    def rounded(path: tuple, leaf: Any) -> Any:
        if path[-1].key != "kernel":
            return leaf
        return round_matrix(np.asarray(leaf)).values()

    return jax.tree_util.tree_map_with_path(rounded, params)
