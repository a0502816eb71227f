"""Where commands write: results to standard output, everything else to standard error."""

from rich.console import Console

__all__ = ["err", "out"]

out = Console()
err = Console(stderr=True)
