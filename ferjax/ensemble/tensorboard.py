"""TensorBoard event files of a run, if ``tensorboardX`` is installed.

The log in metrics.jsonl is complete without them.
"""

from pathlib import Path
from typing import Any

__all__ = ["write", "writer"]


def writer(folder: Path, step: int) -> Any:
    """A writer that goes on after a step, or None without ``tensorboardX``.

    Later events that are there already are hidden.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)


def write(events: Any, line: dict) -> None:
    """Writes one line of the log: a scalar per figure, or per figure and member."""
    for name, value in line.items():
        if name in ("epoch", "step") or value is None:
            continue
        values = (
            {f"{name}/member_{k}": v for k, v in enumerate(value)}
            if isinstance(value, list)
            else {name: value}
        )
        for tag, scalar in values.items():
            if scalar is not None:
                events.add_scalar(tag, float(scalar), line["step"])
    events.flush()
