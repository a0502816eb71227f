"""A trace of a few training steps, for TensorBoard's profiler or Perfetto."""

from pathlib import Path
from typing import Any

import jax

__all__ = ["Trace"]

FIRST = 10
"""Step after which a trace begins: what compiles or warms up is over."""
STEPS = 5
"""How many steps it is of."""


class Trace:
    """Traces steps ``FIRST`` to ``FIRST + STEPS`` of those that this process takes.

    Args:
      folder: where the trace goes; None for no trace. A run of fewer steps leaves none.
    """

    def __init__(self, folder: Path | None):
        self._folder = folder
        self._running = False

    def after(self, step: int, result: Any) -> None:
        """Begins or ends the trace, where this is the step for it.

        Args:
          step: steps taken by this process.
          result: of the step; the trace ends when it is there.
        """
        if self._folder is None:
            return
        if step == FIRST:
            jax.block_until_ready(result)
            jax.profiler.start_trace(str(self._folder))
            self._running = True
        elif self._running and step == FIRST + STEPS:
            jax.block_until_ready(result)
            self.close()

    def close(self) -> None:
        """Ends a trace that is running."""
        if self._running:
            jax.profiler.stop_trace()
            self._running = False
