"""Checkpoints of the stacked state, through Orbax: asynchronous, atomic, newest n kept. The only file that knows Orbax.

What is stored has no device layout in it: every leaf is ``[M, ...]``, so a run trained on eight devices opens on one.
"""

import logging
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from ferjax.ensemble.parallel import one_device

__all__ = ["Checkpoints"]

# Orbax narrates every save through absl; a run's own log says what matters.
logging.getLogger("absl").setLevel(logging.ERROR)


def _without_keys(tree: Any) -> Any:
    """Typed random keys to their raw data, which is what can be stored."""
    def raw(leaf):
        return jax.random.key_data(leaf) if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf

    return jax.tree.map(raw, tree)


class Checkpoints:
    """The checkpoints of one run, by step."""

    def __init__(self, folder: Path, keep: int = 2):
        self._manager = ocp.CheckpointManager(
            folder.absolute(), options=ocp.CheckpointManagerOptions(max_to_keep=keep, create=True)
        )

    def save(self, step: int, state: Any) -> None:
        """Starts saving; returns as soon as the arrays are copied. ``state`` is stacked, in ``gather``'s form."""
        host = jax.tree.map(np.asarray, _without_keys(state))
        self._manager.save(step, args=ocp.args.StandardSave(host), force=True)

    def latest(self) -> int | None:
        """The newest complete step, or None."""
        return self._manager.latest_step()

    def restore(self, like: Any, step: int | None = None) -> Any:
        """Restores a state.

        Args:
          like: a state, or its ``jax.eval_shape``, with the structure, shapes and dtypes to expect.
          step: which one; the newest by default.

        Raises:
          FileNotFoundError: if there is no checkpoint.
        """
        step = self.latest() if step is None else step
        if step is None:
            raise FileNotFoundError(f"no checkpoint in {self._manager.directory}")
        target = jax.eval_shape(_without_keys, like)
        device = one_device()
        target = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), target)
        raw = self._manager.restore(step, args=ocp.args.StandardRestore(target))

        def typed(leaf, wanted):
            is_key = jax.dtypes.issubdtype(wanted.dtype, jax.dtypes.prng_key)
            return jax.random.wrap_key_data(leaf) if is_key else leaf

        return jax.tree.map(typed, raw, like)

    def close(self) -> None:
        """Waits until everything started is on disk."""
        self._manager.wait_until_finished()
        self._manager.close()
