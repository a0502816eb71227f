"""Arrays as the pure functions take them: cast in one place, and checked in one place.

What is undefined gives NaN, what cannot be meant is an error:

* Shapes and types are known before anything is computed, under ``jit`` too. What does not fit
  raises ValueError.
* Values are not known under ``jit``. A NaN, a label that is no class, a negative weight, or no item
  at all gives NaN; every docstring says which. Items of weight 0 are left out, whatever they hold.
* Values that are computed with (losses, probabilities, weights, features) become float32; float64
  stays float64 where ``jax_enable_x64`` lets it exist.
* Scores whose *order* counts keep it: integers are compared as integers, and 64-bit numbers that
  float32 would merge are replaced by their ranks on the host. Under ``jit`` JAX has narrowed
  float64 before any function sees it: rank first, or enable x64.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

__all__ = [
    "as_floats",
    "as_orders",
    "as_weights",
    "check_items",
    "descending",
    "float_dtype",
    "is_traced",
    "nan_where",
    "not_classes",
]


def is_traced(value: Any) -> bool:
    """Whether a value is not known yet: an argument of a function under ``jit`` or ``vmap``.

    >>> is_traced(0.5), is_traced(jnp.ones(2))
    (False, False)
    """
    return isinstance(value, jax.core.Tracer)


def float_dtype(*arrays: jax.Array) -> np.dtype:
    """float64 if one of the arrays is, else float32."""
    return np.dtype(
        np.float64 if any(array.dtype == np.float64 for array in arrays) else np.float32
    )


def _numbers(array: ArrayLike) -> jax.Array:
    array = jnp.asarray(array)
    if not jnp.issubdtype(array.dtype, np.bool_) and not (
        jnp.issubdtype(array.dtype, jnp.integer) or jnp.issubdtype(array.dtype, jnp.floating)
    ):
        raise ValueError(f"expected real numbers, got dtype {array.dtype}")
    return array


def as_floats(*arrays: ArrayLike) -> tuple[jax.Array, ...]:
    """Integers, bools and floats as floats of one type, before any arithmetic.

    Args:
      *arrays: real numbers of any shapes.

    Returns:
      As many arrays, float32, or float64 if one of them is.

    Raises:
      ValueError: if they are no real numbers.

    >>> [of.dtype.name for of in as_floats(np.uint8([1]), jnp.ones(1, jnp.bfloat16))]
    ['float32', 'float32']
    """
    found = [_numbers(array) for array in arrays]
    dtype = float_dtype(*found)
    return tuple(array.astype(dtype) for array in found)


def as_orders(*scores: ArrayLike) -> tuple[jax.Array, ...]:
    """Scores of which only the order counts, in one type that can hold it.

    Args:
      *scores: real numbers of any shapes, to be compared with each other.

    Returns:
      As many arrays of one type, in the same order and with the same ties: float32 or int32 (64
      bits where JAX has them), the values themselves or, of numbers with more digits than that,
      their ranks. NaN stays NaN.

    Raises:
      ValueError: if they are no real numbers.

    >>> close = np.array([1.0, 1.0 + 1e-12, 1.0])
    >>> as_orders(close)[0].tolist()
    [0.0, 1.0, 0.0]
    >>> as_orders(np.uint8([2, 1]))[0].tolist()
    [2, 1]
    """
    if not any(is_traced(array) for array in scores):
        wide = [np.asarray(array) for array in scores]
        if any(of.dtype.kind in "iuf" and of.dtype.itemsize > 4 for of in wide) or (
            len({of.dtype.kind in "biu" for of in wide}) > 1
        ):
            return _ranked_if_needed(wide)
    found = [_numbers(array) for array in scores]
    if not all(jnp.issubdtype(of.dtype, jnp.integer) or of.dtype == bool for of in found):
        return as_floats(*found)
    signed = [_signed(of) for of in found]
    dtype = np.int64 if any(of.dtype == np.int64 for of in signed) else np.int32
    return tuple(of.astype(dtype) for of in signed)


def _signed(array: jax.Array) -> jax.Array:
    """Integers as signed ones in the same order."""
    if array.dtype == np.uint32:
        return jax.lax.bitcast_convert_type(array ^ np.uint32(1 << 31), np.int32)
    if array.dtype == np.uint64:
        return jax.lax.bitcast_convert_type(array ^ np.uint64(1 << 63), np.int64)
    return array if array.dtype in (np.int32, np.int64) else array.astype(np.int32)


def _ranked_if_needed(scores: list[np.ndarray]) -> tuple[jax.Array, ...]:
    """The numbers themselves where float32 tells them apart, else their ranks."""
    for of in scores:
        _numbers(of)
    narrow = [of.astype(np.float32) for of in scores]
    if all(
        np.array_equal(of, short.astype(of.dtype), equal_nan=of.dtype.kind == "f")
        and (of.dtype.kind == "f" or not of.size or np.abs(of.astype(float)).max() <= 1 << 24)
        for of, short in zip(scores, narrow)
    ):
        return tuple(jnp.asarray(short) for short in narrow)
    pool = np.concatenate([of.reshape(-1) for of in scores])
    ranks = np.unique(pool, return_inverse=True)[1].reshape(-1)
    # float32 holds NaN, and ranks up to 2^24; beyond that one NaN stands for all.
    several = ranks.size and int(ranks.max(initial=0)) >= 1 << 24
    missing = pool != pool
    ranked = ranks.astype(np.int32 if several and not missing.any() else np.float32)
    if missing.any():
        ranked[missing] = np.nan
    ends = np.cumsum([of.size for of in scores])[:-1]
    parts = np.split(ranked, ends)
    return tuple(jnp.asarray(part.reshape(of.shape)) for part, of in zip(parts, scores))


def descending(order: jax.Array) -> jax.Array:
    """The opposite order, without overflow.

    >>> descending(jnp.array([-(2**31), 0])).tolist()
    [2147483647, -1]
    """
    return -order if jnp.issubdtype(order.dtype, jnp.floating) else ~order


def check_items(**arrays: jax.Array) -> None:
    """Refuses arrays that are not ``[item]`` of one length.

    Raises:
      ValueError: naming them and their shapes.

    >>> check_items(scores=jnp.ones(2), labels=jnp.ones(2))
    """
    shapes = [array.shape for array in arrays.values()]
    if len(shapes[0]) != 1 or any(shape != shapes[0] for shape in shapes):
        names = " and ".join(arrays)
        several = "arrays [item] of one length" if len(arrays) > 1 else "an array [item]"
        got = " and ".join(str(shape) for shape in shapes)
        raise ValueError(f"{names} must be {several}, got {got}")


def as_weights(weights: ArrayLike | None, like: jax.Array) -> jax.Array:
    """The weights as given, or ones, as float32 ``[item]``; NaN where one is negative or infinite.

    Args:
      weights: ``[item]``, or None.
      like: ``[item, ...]``; float64 weights stay so beside float64 only.

    Raises:
      ValueError: if there is not one for each item of ``like``.

    >>> as_weights(None, jnp.zeros((2, 5))).tolist()
    [1.0, 1.0]
    """
    dtype = float_dtype(like)
    if weights is None:
        return jnp.ones(like.shape[:1], dtype)
    weights = _numbers(weights)
    if weights.shape != like.shape[:1]:
        raise ValueError(f"weights must be [item] {like.shape[:1]}, got {weights.shape}")
    weights = weights.astype(dtype)
    return jnp.where((weights >= 0) & (weights < jnp.inf), weights, jnp.nan)


def not_classes(labels: jax.Array, classes: int) -> jax.Array:
    """Which labels ``[...]`` are none of the classes ``0 .. classes - 1``, bool ``[...]``.

    >>> not_classes(jnp.array([0.0, -1.0, 0.5, jnp.nan, 2.0]), 2).tolist()
    [False, True, True, True, True]
    """
    whole = labels == jnp.round(labels) if jnp.issubdtype(labels.dtype, jnp.floating) else True
    return ~((labels >= 0) & (labels < classes) & whole)


def nan_where(undefined: jax.Array, value: jax.Array) -> jax.Array:
    """``value``, or NaN where it is undefined.

    >>> nan_where(jnp.array([True, False]), jnp.ones(2)).tolist()
    [nan, 1.0]
    """
    return jnp.where(undefined, jnp.asarray(jnp.nan, value.dtype), value)
