"""Evidential deep learning: the outputs of a network are evidence for the classes."""

import jax
import jax.numpy as jnp

from ferjax import losses
from ferjax.config import Config
from ferjax.ensemble.methods._seam import Apply, Batch, Method, Params, Reading, Seen
from ferjax.ensemble.methods._votes import chosen_target
from ferjax.models.vit import Output

__all__ = ["evidential"]

_EVIDENCE = {
    "relu": jax.nn.relu,
    "softplus": jax.nn.softplus,
    "exp": lambda logits: jnp.exp(jnp.clip(logits, -10.0, 10.0)),
}


def evidential(config: Config) -> Method:
    """A Dirichlet distribution with parameters ``1 + evidence``.

    References:
      Sensoy et al., Evidential Deep Learning to Quantify Classification Uncertainty, 2018,
      https://arxiv.org/abs/1806.01768.
    """
    options = config.train.evidential
    target_of = chosen_target(options.target)

    def alpha_of(output: Output) -> jax.Array:
        return 1 + _EVIDENCE[options.evidence](output.logits)

    def reading_of(alpha: jax.Array) -> Reading:
        log_concentration = jnp.log(jnp.sum(alpha, axis=-1))
        log_probs = jnp.log(alpha) - log_concentration[:, None]
        return Reading(log_probs, log_concentration=log_concentration)

    def loss(apply: Apply, params: Params, batch: Batch) -> tuple[jax.Array, Seen]:
        alpha = alpha_of(apply(params, batch.inputs, batch.key))
        q = target_of(batch.target)
        annealed = jnp.minimum(1.0, batch.epoch / options.annealing_epochs)
        nats = losses.evidential_risk(alpha, q, options.risk)
        misleading = losses.misleading_evidence(alpha, q)
        total = jnp.mean(nats + options.kl_weight * annealed * misleading)
        return total, Seen(reading_of(alpha).log_probs)

    return Method(loss, lambda output: reading_of(alpha_of(output)))
