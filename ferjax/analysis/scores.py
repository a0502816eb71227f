"""Every uncertainty score by name, from member log-probabilities alone; larger always means more uncertain."""

import jax
import jax.numpy as jnp

from ferjax import uncertainty

__all__ = ["LABELS", "from_log_probs"]

LABELS = {
    "epistemic": "epistemic (paper)",
    "aleatoric": "aleatoric",
    "total": "total entropy",
    "max_prob": "1 − max p̄ (ensemble)",
    "single_max_prob": "1 − max p (one member)",
}
"""Scores in the order tables show them, with the names people read."""


@jax.jit
def from_log_probs(log_probs: jax.Array) -> dict[str, jax.Array]:
    """Scores of each face.

    Args:
      log_probs: ``[member, face, class]``.

    Returns:
      Score name -> ``[face]``, float32; the entropies in nats, the others in [0, 1].
    """
    parts = uncertainty.decompose(log_probs)
    mean = uncertainty.mean_log_probs(log_probs)
    return {
        **parts._asdict(),
        "max_prob": 1 - jnp.exp(jnp.max(mean, -1)),
        "single_max_prob": 1 - jnp.exp(jnp.max(log_probs[0].astype(jnp.float32), -1)),
    }
