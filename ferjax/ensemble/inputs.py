"""From stored faces to network input: drawn, mirrored, resized, normalised.

What a member's network takes are normalised pictures where every block is trained, and the tokens
of the frozen trunk, computed once before training, where one is shared. :func:`drawing` and
:func:`prepared` are the two ways there, for a training batch and for a batch as it lies on the
device.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ferjax.config import Config, ModelConfig
from ferjax.corruptions import tolerances
from ferjax.events import OnEvent, Progress, silent
from ferjax.faces.images import mirror, normalise, to_network_size
from ferjax.models import vit

__all__ = [
    "Draw",
    "batches",
    "cache_tokens",
    "drawing",
    "mirror_rectangles",
    "network_input",
    "prepared",
    "rectangles",
    "views",
]

Draw = Callable[..., jax.Array]
"""``draw(stored, rows, flips, erased=None) -> inputs``: those rows of what is stored, mirrored
where it ``flips``, then ``erased`` within :func:`rectangles`."""

AREA = (0.02, 0.25)
"""Of an erased rectangle, as a share of the face."""
ASPECT = (0.3, 3.3)
"""Its height over its width."""


def network_input(images: jax.Array, image_size: int) -> jax.Array:
    """Stored faces, uint8 ``[face, side, side]``, as normalised pictures ``[face, S, S, 3]``."""
    return normalise(to_network_size(images, image_size))


def rectangles(key: jax.Array, faces: int, probability: float) -> jax.Array:
    """Rectangles to be erased, as random erasing draws them.

    Areas of 2 to 25 % of the face and aspects of 0.3 to 3.3, whose logarithm is uniform, anywhere
    within the face.

    Args:
      key: of these faces.
      faces: how many.
      probability: that a face has one at all.

    Returns:
      ``[face, 4]``: top, left, height and width, in sides of the face; 0 high and wide where there
      is none.

    References:
      Zhong et al., Random Erasing Data Augmentation, 2017, https://arxiv.org/abs/1708.04896.
    """
    drawn = jax.random.uniform(key, (5, faces))
    area = AREA[0] + drawn[0] * (AREA[1] - AREA[0])
    low, high = (math.log(aspect) for aspect in ASPECT)
    aspect = jnp.exp(low + drawn[1] * (high - low))
    size = jnp.stack([jnp.sqrt(area * aspect), jnp.sqrt(area / aspect)], axis=-1)
    corner = drawn[2:4].T * (1 - size)
    erased = (drawn[4] < probability)[:, None]
    return jnp.where(erased, jnp.concatenate([corner, size], axis=-1), 0.0)


def mirror_rectangles(erased: jax.Array) -> jax.Array:
    """The same rectangles ``[face, 4]`` in the mirrored faces."""
    top, left, height, width = erased.T
    return jnp.stack([top, 1 - left - width, height, width], axis=-1)


def _within(erased: jax.Array, side: int) -> jax.Array:
    """Which of ``side`` times ``side`` equal squares have their centre within, ``[face, row,
    column]``."""
    centres = ((jnp.arange(side) + 0.5) / side)[None]
    top, left, height, width = erased.T[:, :, None]
    rows = (centres >= top) & (centres < top + height)
    columns = (centres >= left) & (centres < left + width)
    return rows[:, :, None] & columns[:, None, :]


def drawing(config: ModelConfig) -> Draw:
    """How a training batch becomes network input: of stored faces, or of :func:`cache_tokens`.

    What is erased becomes 0: the mean colour of normalised pictures; of a frozen trunk's tokens,
    those of the patches. Texts are stored as their network takes them.
    """

    def faces(
        images: jax.Array, rows: jax.Array, flips: jax.Array, erased: jax.Array | None = None
    ) -> jax.Array:
        drawn = network_input(mirror(images[rows], flips), config.image_size)
        if erased is None:
            return drawn
        return jnp.where(_within(erased, config.image_size)[..., None], 0, drawn)

    def tokens(
        cached: jax.Array, rows: jax.Array, flips: jax.Array, erased: jax.Array | None = None
    ) -> jax.Array:
        drawn = cached[rows, flips.astype(jnp.int32)]
        if erased is None:
            return drawn
        within = _within(erased, config.image_size // config.patch_size).reshape(len(rows), -1)
        kept = jnp.zeros((len(rows), drawn.shape[1] - within.shape[1]), bool)
        return jnp.where(jnp.concatenate([kept, within], axis=1)[..., None], 0, drawn)

    def texts(
        stored: jax.Array, rows: jax.Array, flips: jax.Array, erased: jax.Array | None = None
    ) -> jax.Array:
        del flips, erased
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


def views(
    config: Config, images: np.ndarray, ids: np.ndarray, on_event: OnEvent = silent
) -> np.ndarray:
    """The training faces as they are, and again under tolerances: what batches are drawn from.

    Args:
      config: how many views, and of which tolerances.
      images: uint8 ``[face, side, side]``, or ``[face, side, side, 3]``.
      ids: whole numbers ``[face]``: a face's changes depend on its own alone.
      on_event: told how far it is.

    Returns:
      ``[view * face, ...]``: all faces as they are, then all of them in another view.
    """
    made = [images]
    for number in range(1, config.train.views):
        seed = config.data.seed + number
        made.append(tolerances.view(config.train.tolerances, images, ids, seed=seed))
        on_event(Progress("training faces under tolerances", (number + 1) / config.train.views))
    return np.concatenate(made) if len(made) > 1 else images


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

    sides = [images, images[:, :, ::-1]] if mirrored else [images]
    shape = (len(images), len(sides), *vit.tokens_shape(config.model))
    cached = np.empty(shape, jnp.dtype(config.model.dtype))
    for side, pictures in enumerate(sides):
        for first in range(0, len(images), size):
            rows = np.arange(first, first + size)
            batch = np.take(pictures, rows, axis=0, mode="wrap")
            into = cached[first : first + size, side]
            into[:] = np.asarray(tokens(trunk_params, batch))[: len(into)]
            done = (side + min(1.0, (first + size) / len(images))) / len(sides)
            on_event(Progress(f"trunk tokens of {len(images)} faces", done))
    return cached
