"""How a command that wrote a report ends: findings, files, and what to do next."""

from collections.abc import Iterable
from pathlib import Path

from ferjax.commands.console import err, out
from ferjax.report.findings import Conclusion

__all__ = ["end"]


def end(found: Iterable[Conclusion], files: Iterable[Path], following: str) -> None:
    """Says what was found and where it stands.

    Args:
      found: findings, the most important first.
      files: that were written.
      following: the command that comes next.
    """
    for finding in found:
        out.print(f"{finding.tone:>4}  {finding.text}", highlight=False)
    for file in files:
        out.print(f"wrote {file}", highlight=False, soft_wrap=True)
    err.print(f"next: {following}", highlight=False, soft_wrap=True)
