"""Several processes as one program: initialisation, and what they must agree on.

Every process runs the same loop and feeds its own devices; the first, the *primary*, alone writes
logs and messages.
"""

from collections.abc import Callable

import jax
import numpy as np
from jax.experimental import multihost_utils

__all__ = ["any_process", "initialize", "is_primary", "on_primary"]


def initialize(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None
) -> None:
    """Joins this process to the others; call it before anything touches a device.

    Args:
      coordinator: ``host:port`` of the first process. Without it all three are read from the
        cluster's environment (SLURM, Open MPI, Kubernetes, TPU pods, ``JAX_COORDINATOR_ADDRESS``:
        whatever ``jax.distributed`` detects).
      processes: how many there are.
      process: which one this is, from 0.

    Raises:
      ValueError: if the three do not fit together, or the environment is no cluster's.
    """
    given = [v is not None for v in (coordinator, processes, process)]
    if any(given) and not all(given):
        raise ValueError(
            "--coordinator, --processes and --process go together (or use --cluster alone, to read "
            "the environment)"
        )
    if processes is not None and process is not None and not 0 <= process < processes:
        raise ValueError(f"--process must be in 0..{processes - 1}, got {process}")
    try:
        jax.distributed.initialize(coordinator, processes, process)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"could not join the other processes: {error}") from error


def is_primary() -> bool:
    """Whether this process is the one that writes logs."""
    return jax.process_index() == 0


def any_process(*flags: bool) -> tuple[bool, ...]:
    """Per flag, whether any process has set it. All must call, and wait for each other."""
    if jax.process_count() == 1:
        return flags
    gathered = multihost_utils.process_allgather(np.array(flags))
    return tuple(bool(flag) for flag in gathered.any(axis=0))


def on_primary(action: Callable[[], None]) -> None:
    """Lets the primary process act while the others wait; if it fails, all of them raise.

    Raises:
      ValueError: in the other processes, if the primary failed.
      Exception: in the primary, whatever ``action`` raised.
    """
    error: Exception | None = None
    if is_primary():
        try:
            action()
        except Exception as caught:
            error = caught
    (failed,) = any_process(error is not None)
    if error is not None:
        raise error
    if failed:
        raise ValueError("the first process refused to start; its message says why")
