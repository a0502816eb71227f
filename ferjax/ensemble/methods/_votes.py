"""Softmax networks trained towards votes: the ensemble of the paper, and what differs from it
least."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from ferjax import losses
from ferjax.config import Config
from ferjax.ensemble.methods._seam import (
    Apply,
    Batch,
    Loss,
    Method,
    Params,
    Reading,
    Seen,
    Target,
    softmax,
)
from ferjax.models.vit import Output

__all__ = ["chosen_target", "disagreement", "labels", "mc_dropout", "multinomial", "votes"]


def chosen_target(name: str) -> Callable[[Target], jax.Array]:
    """What a cross-entropy is taken to, by the name that configurations give it."""
    return _labels if name == "labels" else _votes


def _votes(target: Target) -> jax.Array:
    return target.q


def _labels(target: Target) -> jax.Array:
    return losses.hard_targets(target.q)


def _cross_entropy(target_of: Callable[[Target], jax.Array]) -> Loss:
    """The cross-entropy of the softmax to some distribution of the votes, as a method's loss."""

    def loss(apply: Apply, params: Params, batch: Batch) -> tuple[jax.Array, Seen]:
        log_probs = softmax(apply(params, batch.inputs, batch.key)).log_probs
        return jnp.mean(losses.cross_entropy(log_probs, target_of(batch.target))), Seen(log_probs)

    return loss


def votes(config: Config) -> Method:
    """Label distribution learning; K members of it are the paper's ensemble."""
    del config
    return Method(_cross_entropy(_votes), softmax)


def labels(config: Config) -> Method:
    """The hard-label arm: the most voted class counts, and nothing else."""
    del config
    return Method(_cross_entropy(_labels), softmax)


def multinomial(config: Config) -> Method:
    """The likelihood of the counts: each vote weighs the same, so a face as much as its votes."""
    del config

    def shares(target: Target) -> jax.Array:
        counts = target.votes.astype(jnp.float32)
        total = jnp.sum(counts, axis=-1, keepdims=True)
        return counts / jnp.maximum(total, 1) * target.weight[:, None]

    return Method(_cross_entropy(shares), softmax)


def mc_dropout(config: Config) -> Method:
    """Trained like votes, with dropout; asked several times at prediction, with dropout still on.

    References:
      Gal & Ghahramani, Dropout as a Bayesian Approximation, 2016, https://arxiv.org/abs/1506.02142.
    """
    return Method(_cross_entropy(_votes), softmax, passes=config.evaluate.passes)


def disagreement(config: Config) -> Method:
    """Votes, and one output more for human disagreement itself, fitted by squared error."""
    del config

    def read(output: Output) -> Reading:
        assert output.extra is not None
        predicted = jax.nn.sigmoid(output.extra[:, 0])
        return softmax(output)._replace(scores={"predicted_disagreement": predicted})

    def loss(apply: Apply, params: Params, batch: Batch) -> tuple[jax.Array, Seen]:
        reading = read(apply(params, batch.inputs, batch.key))
        counts = batch.target.votes
        most = jnp.max(counts, axis=-1) / jnp.maximum(jnp.sum(counts, axis=-1), 1)
        error = jnp.square(reading.scores["predicted_disagreement"] - (1 - most))
        nats = losses.cross_entropy(reading.log_probs, batch.target.q)
        return jnp.mean(nats + error), Seen(reading.log_probs)

    return Method(loss, read, extra=1)
