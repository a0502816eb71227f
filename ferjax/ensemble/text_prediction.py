"""Predictions of a trained run for texts."""

from typing import Any

import jax
import numpy as np

from ferjax.ensemble import parallel
from ferjax.ensemble.inputs import batches
from ferjax.ensemble.methods import method_of, read_passes
from ferjax.ensemble.trained import Trained
from ferjax.events import OnEvent, Progress, silent
from ferjax.models import networks

__all__ = ["predict_texts"]


def predict_texts(trained: Trained, stored: np.ndarray, on_event: OnEvent = silent) -> np.ndarray:
    """Log-probabilities of every member.

    Args:
      trained: an opened run over texts.
      stored: the texts as its network takes them, ``[text, column]``.
      on_event: told how far it is.

    Returns:
      float32 ``[member, text, class]``; of a method with several passes each counts as a member.
    """
    config = trained.config
    method = method_of(config)
    model = networks.members_model(config.model, len(trained.spec.classes), method.extra)

    def member(params: Any, seed: jax.Array, batch: jax.Array) -> jax.Array:
        key = jax.random.fold_in(jax.random.key(seed), 3)
        return read_passes(method, lambda of: model.apply(params, batch, sample=of), key).log_probs

    layout = parallel.lay_out(len(config.train.seeds))
    mapped = parallel.map_members(layout, member, (0, 0, None))
    seeds = np.array(config.train.seeds, np.uint32)
    own = parallel.scatter(layout, (trained.params, seeds))
    shards = batches(stored, min(config.evaluate.batch_size, len(stored)))
    parts = []
    for done, batch in enumerate(shards, 1):
        found = mapped(*own, parallel.replicate(layout, batch))
        parts.append(np.asarray(jax.device_get(parallel.gather(layout, found))))
        on_event(Progress(f"predicting {len(stored):,} texts", done / len(shards)))
    log_probs = np.concatenate(parts, axis=2)[:, :, : len(stored)]
    return log_probs.reshape(-1, *log_probs.shape[2:])
