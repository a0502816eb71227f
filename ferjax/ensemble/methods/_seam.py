"""What a method is, and what it is given: targets, batches, readings.

Axis legend: ``face`` rows of a batch, ``class`` last.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ferjax.models.vit import Output

__all__ = [
    "Apply",
    "Batch",
    "Loss",
    "Method",
    "Params",
    "Reading",
    "Seen",
    "Target",
    "Teacher",
    "read_passes",
    "softmax",
]

Params = Any
Apply = Callable[[Params, jax.Array, jax.Array | None], Output]
"""``apply(params, inputs, key) -> Output`` of a member, see :class:`ferjax.models.vit.Model`."""


class Teacher(NamedTuple):
    """What an ensemble says of training faces, as one Dirichlet distribution for each."""

    probs: jax.Array
    """Its mean, float32 ``[face, class]``."""
    log_concentration: jax.Array
    """Log of the sum of its parameters, float32 ``[face]``."""


class Target(NamedTuple):
    """What faces are trained towards, ``[face, ...]``.

    Lies on the device whole; a step takes the rows of its batch.
    """

    q: jax.Array
    """The distribution that the label filter made of the votes, float32 ``[face, class]``."""
    votes: jax.Array
    """The counts themselves, int32 ``[face, class]``."""
    weight: Any = ()
    """The face's number of votes over its mean in the training set, float32 ``[face]``."""
    teacher: Any = ()
    """:class:`Teacher` where an ensemble is distilled."""


class Batch(NamedTuple):
    """What a loss sees: a step's faces, or the part of them whose gradients are taken at once."""

    inputs: jax.Array
    """Network input ``[face, ...]``: normalised pictures, or the frozen trunk's tokens."""
    target: Target
    key: jax.Array
    """The step's key, for what is random in the network and in the loss."""
    epoch: Any = 0
    """Of the step, from 0; traced."""
    mirrored: Any = None
    """The mirror image of ``inputs``, for methods of two views."""
    memory: Any = ()
    """What the member remembers of these faces, ``[face, ...]``."""


class Reading(NamedTuple):
    """What everything behind the network sees of a batch, of one member in one pass."""

    log_probs: jax.Array
    """``[face, class]``, normalised."""
    scores: Mapping[str, jax.Array] = {}
    """Further scores ``[face]`` by name, larger where more uncertain; averaged over the members."""
    log_concentration: jax.Array | None = None
    """Where a member predicts a Dirichlet distribution with ``exp(log_probs)`` as its mean: log of
    the sum of its parameters, ``[face]``."""


class Seen(NamedTuple):
    """What a loss tells beside its value."""

    log_probs: jax.Array
    """``[face, class]``, for the log's accuracy."""
    memory: Any = ()
    """What the member shall remember of these faces, if the step counts."""


Loss = Callable[[Apply, Params, Batch], tuple[jax.Array, Seen]]
"""``loss(apply, params, batch) -> (nats, seen)``: the mean over the batch, to be differentiated by
``params``."""


def _nothing(target: Target) -> tuple:
    del target
    return ()


class Method(NamedTuple):
    """How members are trained and read."""

    loss: Loss
    read: Callable[[Output], Reading]
    """What everyone else sees of what the network says, in validation and prediction."""
    extra: int = 0
    """Outputs of the network beside its classes, see :func:`ferjax.models.vit.vit`."""
    passes: int = 1
    """Forward passes of a member at prediction. With more than one, dropout is on and every pass
    has a key of its own; each then counts as a member in the predictions."""
    views: int = 1
    """2 where the loss compares a face with its mirror image."""
    erase: float = 0.0
    """Probability that a rectangle of a training face is erased."""
    memory: Callable[[Target], Any] = _nothing
    """What a member remembers of every training face before its first step, ``[face, ...]``; only
    with ``whole_batch``."""
    whole_batch: bool = False
    """Whether faces of a batch are held against one another, so that it cannot be split."""


def softmax(output: Output) -> Reading:
    """The classes' logits as log-probabilities, and no further score."""
    return Reading(jax.nn.log_softmax(output.logits))


def read_passes(
    method: Method,
    forward: Callable[[jax.Array | None], Output],
    key: jax.Array,
    *,
    at_once: bool = False,
) -> Reading:
    """All passes of a member over a batch.

    Args:
      method: how outputs are read.
      forward: the member's output for the batch, given a key for its dropout, or None for none.
      key: the member's own, for its passes.
      at_once: take all passes together, which computes what they share once and needs room for
        what they do not; otherwise one after another. Static.

    Returns:
      Log-probabilities ``[pass, face, class]``, concentrations ``[pass, face]``, and scores
      ``[face]``: means over the passes.
    """
    if method.passes == 1:
        reading = method.read(forward(None))
        return reading._replace(
            log_probs=reading.log_probs[None],
            log_concentration=jax.tree.map(lambda s: s[None], reading.log_concentration),
        )
    keys = jax.random.split(key, method.passes)

    def one_pass(one: jax.Array) -> Reading:
        return method.read(forward(one))

    readings = jax.vmap(one_pass)(keys) if at_once else jax.lax.map(one_pass, keys)
    return readings._replace(scores=jax.tree.map(lambda s: jnp.mean(s, axis=0), readings.scores))
