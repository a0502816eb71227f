"""Methods: the loss that members are trained with, and the reading of their outputs.

A :class:`Method` is a loss, a reading, the width of the head, and a number of passes. All of it is
pure, written for one member and a batch, and mapped over members like everything else. Training and
prediction know methods through :func:`method_of` alone: a new one is an entry of :data:`METHODS`,
and what is closed-form in its loss a function of :mod:`ferjax.losses`.

Axis legend: ``face`` rows of a batch, ``class`` last.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ferjax import losses
from ferjax.config import TrainConfig
from ferjax.models.vit import Output

__all__ = ["METHODS", "Apply", "Batch", "Method", "Reading", "Target", "method_of", "read_passes"]

Params = Any
Apply = Callable[[Params, jax.Array, jax.Array | None], Output]
"""``apply(params, inputs, key) -> Output`` of a member, see :class:`ferjax.models.vit.Model`."""


class Target(NamedTuple):
    """What faces are trained towards, ``[face, ...]``.

    Lies on the device whole; a step takes the rows of its batch.
    """

    q: jax.Array
    """The distribution that the label filter made of the votes, float32 ``[face, class]``."""
    votes: jax.Array
    """The counts themselves, int32 ``[face, class]``."""


class Batch(NamedTuple):
    """What a loss sees: a step's faces, or the part of them whose gradients are taken at once."""

    inputs: jax.Array
    """Network input ``[face, ...]``: normalised pictures, or the frozen trunk's tokens."""
    target: Target
    key: jax.Array
    """The step's key, for what is random in the network and in the loss."""


class Reading(NamedTuple):
    """What everything behind the network sees of a batch, of one member in one pass."""

    log_probs: jax.Array
    """``[face, class]``, normalised."""
    scores: Mapping[str, jax.Array]
    """Further scores ``[face]`` by name, larger where more uncertain; averaged over the members."""


class Method(NamedTuple):
    """How members are trained and read."""

    loss: Callable[[Apply, Params, Batch], tuple[jax.Array, Reading]]
    """``loss(apply, params, batch) -> (nats, reading)``: the mean over the batch, to be
    differentiated by ``params``; the reading is for the log's accuracy."""
    read: Callable[[Output], Reading]
    """Log-probabilities and scores from what the network says, in validation and prediction."""
    extra: int = 0
    """Outputs of the network beside its classes, see :func:`ferjax.models.vit.vit`."""
    passes: int = 1
    """Forward passes of a member at prediction. With more than one, what is random in the network
    is on and every pass has a key of its own; each then counts as a member in the predictions."""


def softmax(output: Output) -> Reading:
    """The classes' logits as log-probabilities, and no further score."""
    return Reading(jax.nn.log_softmax(output.logits), {})


def _cross_entropy(
    target_of: Callable[[Target], jax.Array],
) -> Callable[[Apply, Params, Batch], tuple[jax.Array, Reading]]:
    """The cross-entropy of the softmax to some distribution of the votes, as a method's loss."""

    def loss(apply: Apply, params: Params, batch: Batch) -> tuple[jax.Array, Reading]:
        reading = softmax(apply(params, batch.inputs, batch.key))
        return jnp.mean(losses.cross_entropy(reading.log_probs, target_of(batch.target))), reading

    return loss


METHODS: dict[str, Method] = {
    # Label distribution learning; K members of it are the paper's ensemble.
    "votes": Method(_cross_entropy(lambda target: target.q), softmax),
    # The hard-label arm: the most voted class counts, and nothing else.
    "labels": Method(_cross_entropy(lambda target: losses.hard_targets(target.q)), softmax),
}
"""Methods by ``train.method``."""


def method_of(config: TrainConfig) -> Method:
    """The method that a run is trained with and read by."""
    return METHODS[config.method]


def read_passes(
    method: Method, forward: Callable[[jax.Array | None], Output], key: jax.Array
) -> Reading:
    """All passes of a member over a batch.

    Args:
      method: how outputs are read.
      forward: the member's output for the batch, given a key for what is random in the network, or
        None for nothing random.
      key: the member's own, for its passes.

    Returns:
      Log-probabilities ``[pass, face, class]``, and scores ``[face]``: means over the passes.
    """
    if method.passes == 1:
        reading = method.read(forward(None))
        return reading._replace(log_probs=reading.log_probs[None])
    keys = jax.random.split(key, method.passes)
    readings = jax.lax.map(lambda one: method.read(forward(one)), keys)
    return readings._replace(scores=jax.tree.map(lambda s: jnp.mean(s, axis=0), readings.scores))
