"""Erasing Attention Consistency: a face and its mirror image are to be read at the same places."""

import math

import jax
import jax.numpy as jnp

from ferjax import losses
from ferjax.config import Config
from ferjax.ensemble.methods._seam import Apply, Batch, Method, Params, Seen, softmax
from ferjax.ensemble.methods._votes import chosen_target

__all__ = ["attention_maps", "eac"]


def attention_maps(patches: jax.Array, kernel: jax.Array) -> jax.Array:
    """Class-activation maps of a head that sees the mean patch token.

    Their mean over the places is, up to a constant, what the mean patch token contributes to the
    logits. The kernel is held fixed: gradients reach the tokens alone.

    Args:
      patches: final tokens ``[face, patch, dim]``, row by row of a square.
      kernel: of a ``cls+mean`` head, ``[2 dim, class]``.

    Returns:
      ``[face, row, column, class]``.
    """
    faces, places, dim = patches.shape
    side = math.isqrt(places)
    maps = patches @ jax.lax.stop_gradient(kernel[dim:])[None]
    return maps.reshape(faces, side, side, -1)


def eac(config: Config) -> Method:
    """Cross-entropy of the erased face, and attention maps that its mirror image shares.

    Only the face has a cross-entropy; gradients flow through both. Where a trunk is frozen, tokens
    are erased instead of pixels. Departures from the authors' code: faces are mirrored at random
    before, as for every method here; no noise of the pixels; our optimiser.

    References:
      Zhang et al., Learn From All: Erasing Attention Consistency for Noisy Label Facial Expression
      Recognition, 2022, https://arxiv.org/abs/2207.10299;
      https://github.com/zyh-uaiaaaa/Erasing-Attention-Consistency.
    """
    options = config.train.eac
    target_of = chosen_target(options.target)

    def loss(apply: Apply, params: Params, batch: Batch) -> tuple[jax.Array, Seen]:
        # Both views in one pass: one product of twice the size, and one trace.
        output = apply(params, jnp.concatenate([batch.inputs, batch.mirrored]), batch.key)
        assert output.patches is not None
        faces = len(batch.inputs)
        maps = attention_maps(output.patches, params["head"]["kernel"])
        consistency = losses.attention_consistency(maps[:faces], maps[faces:, :, ::-1])
        log_probs = softmax(output).log_probs[:faces]
        nats = losses.cross_entropy(log_probs, target_of(batch.target))
        return jnp.mean(nats) + options.weight * jnp.mean(consistency), Seen(log_probs)

    return Method(loss, softmax, views=2, erase=options.erase)
