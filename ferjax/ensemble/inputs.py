"""From stored faces to network input: drawn, mirrored, resized, normalised.

What a member's network takes are normalised pictures where every block is trained, and the tokens
of the frozen trunk, computed once before training, where one is shared. :func:`drawing` and
:func:`prepared` are the two ways there, for a training batch and for a batch as it lies on the
device.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ferjax.config import Config, ModelConfig
from ferjax.events import OnEvent, Progress, silent
from ferjax.faces.images import mirror, normalise, to_network_size
from ferjax.models import vit

__all__ = ["Draw", "batches", "cache_tokens", "drawing", "network_input", "prepared"]

Draw = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
"""``draw(stored, rows, flips) -> inputs``: those rows of what is stored, mirrored where it
``flips``."""


def network_input(images: jax.Array, image_size: int) -> jax.Array:
    """Stored faces, uint8 ``[face, side, side]``, as normalised pictures ``[face, S, S, 3]``."""
    return normalise(to_network_size(images, image_size))


def drawing(config: ModelConfig) -> Draw:
    """How a training batch becomes network input: of stored faces, or of :func:`cache_tokens`.

    Texts are stored as their network takes them.
    """

    def faces(images: jax.Array, rows: jax.Array, flips: jax.Array) -> jax.Array:
        return network_input(mirror(images[rows], flips), config.image_size)

    def tokens(cached: jax.Array, rows: jax.Array, flips: jax.Array) -> jax.Array:
        return cached[rows, flips.astype(jnp.int32)]

    def texts(stored: jax.Array, rows: jax.Array, flips: jax.Array) -> jax.Array:
        return stored[rows]

    if config.network != "vit":
        return texts
    return faces if config.trainable_blocks is None else tokens


def prepared(config: ModelConfig) -> Callable[[jax.Array], jax.Array]:
    """How a batch becomes network input where nothing is drawn: of stored faces, or of tokens."""
    if config.network == "vit" and config.trainable_blocks is None:
        return lambda batch: network_input(batch, config.image_size)
    return lambda batch: batch


def batches(array: np.ndarray, size: int) -> np.ndarray:
    """``[face, ...]`` to ``[batch, size, ...]``; repeats fill the last batch."""
    count = -(-len(array) // size)
    rows = np.arange(count * size) % len(array)
    return np.take(array, rows, axis=0).reshape(count, size, *array.shape[1:])


def cache_tokens(
    config: Config,
    trunk_params: Any,
    images: np.ndarray,
    mirrored: bool,
    on_event: OnEvent = silent,
) -> np.ndarray:
    """The frozen trunk's tokens of every face.

    Args:
      config: architecture, and the size of a batch.
      trunk_params: parameters of the trunk.
      images: uint8 ``[face, side, side]``.
      mirrored: whether the mirrored faces are wanted too.
      on_event: told how far it is.

    Returns:
      ``[face, 1 or 2, token, dim]``; the second view is of the mirrored face.
    """
    trunk = vit.trunk_model(config.model)
    assert trunk is not None
    size = config.evaluate.batch_size

    @jax.jit
    def tokens(params: Any, batch: jax.Array) -> jax.Array:
        return trunk.apply(params, network_input(batch, config.model.image_size))

    views = [images, images[:, :, ::-1]] if mirrored else [images]
    shape = (len(images), len(views), *vit.tokens_shape(config.model))
    cached = np.empty(shape, jnp.dtype(config.model.dtype))
    for view, pictures in enumerate(views):
        for first in range(0, len(images), size):
            rows = np.arange(first, first + size)
            batch = np.take(pictures, rows, axis=0, mode="wrap")
            into = cached[first : first + size, view]
            into[:] = np.asarray(tokens(trunk_params, batch))[: len(into)]
            done = (view + min(1.0, (first + size) / len(images))) / len(views)
            on_event(Progress(f"trunk tokens of {len(images)} faces", done))
    return cached
