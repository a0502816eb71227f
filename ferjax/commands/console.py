"""Where commands write: results to standard output, everything else to standard error."""

from rich.console import Console

__all__ = ["err", "out"]

# Names of files and messages hold square brackets, which are not meant as markup.
out = Console(markup=False)
err = Console(stderr=True, markup=False)
