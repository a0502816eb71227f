"""Where commands write: results to standard output, everything else to standard error."""

from rich.console import Console

__all__ = ["err", "out"]

# Names of files and messages hold square brackets, which are not meant as markup. No line is
# wrapped, so that a path or a command in it can be copied; a table is printed with soft_wrap=False.
out = Console(markup=False, highlight=False, soft_wrap=True)
err = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
