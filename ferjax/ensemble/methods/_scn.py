"""Self-Cure Network: a weight for every face, and labels that are mended on the way."""

import jax
import jax.numpy as jnp

from ferjax import losses
from ferjax.config import Config
from ferjax.ensemble.methods._seam import Apply, Batch, Method, Params, Reading, Seen, Target
from ferjax.ensemble.methods._votes import chosen_target
from ferjax.models.vit import Output

__all__ = ["scn"]


def scn(config: Config) -> Method:
    """Logits times a weight in (0, 1), a ranking of the weights, and relabelling.

    As in the authors' code the weight multiplies the logits, in training and at prediction, and
    every face of a batch may be relabelled (the paper relabels the less important ones alone). Not
    taken over: their noise of the pixels, and their optimiser.

    References:
      Wang et al., Suppressing Uncertainties for Large-Scale Facial Expression Recognition, 2020,
      https://arxiv.org/abs/2002.10392; https://github.com/kaiwang960112/Self-Cure-Network.
    """
    options = config.train.scn
    soft = options.target == "votes"

    def weight_of(output: Output) -> jax.Array:
        assert output.extra is not None
        return jax.nn.sigmoid(output.extra)

    def read(output: Output) -> Reading:
        weight = weight_of(output)
        return Reading(jax.nn.log_softmax(weight * output.logits), {"scn": 1 - weight[:, 0]})

    def memory(target: Target) -> jax.Array | tuple:
        return () if soft else _as_labels(jnp.argmax(target.q, axis=-1), target.q.shape[-1])

    def relabelled(log_probs: jax.Array, labels: jax.Array, epoch: jax.Array) -> jax.Array:
        probs = jnp.exp(log_probs)
        given = jnp.take_along_axis(probs, labels.astype(jnp.int32)[:, None], axis=-1)[:, 0]
        doubted = jnp.max(probs, axis=-1) - given > options.relabel_above
        begun = epoch + 1 >= options.relabel_epoch
        predicted = _as_labels(jnp.argmax(probs, axis=-1), probs.shape[-1])
        return jnp.where(doubted & begun, predicted, labels)

    def loss(apply: Apply, params: Params, batch: Batch) -> tuple[jax.Array, Seen]:
        output = apply(params, batch.inputs, batch.key)
        log_probs = read(output).log_probs
        if soft:
            q = chosen_target("votes")(batch.target)
        else:
            q = jax.nn.one_hot(batch.memory, log_probs.shape[-1])
        ranking = losses.rank_regularisation(
            weight_of(output)[:, 0], share=options.share, margin=options.margin
        )
        seen = jax.lax.stop_gradient(log_probs)
        labels = () if soft else relabelled(seen, batch.memory, batch.epoch)
        return jnp.mean(losses.cross_entropy(log_probs, q)) + ranking, Seen(log_probs, labels)

    return Method(loss, read, extra=1, erase=options.erase, memory=memory, whole_batch=True)


def _as_labels(labels: jax.Array, classes: int) -> jax.Array:
    """A byte a face where that is enough."""
    return labels.astype(jnp.int8 if classes <= 128 else jnp.int32)
