"""Class priors by name, and the refusal of what is neither a name nor a file."""

from pathlib import Path

__all__ = ["PRIORS", "require_prior"]

PRIORS = ("training", "uniform", "sqrt", "estimated")
"""Priors that have a name; anything else is a file."""


def require_prior(choice: str | Path) -> None:
    """Refuses what is neither a named prior nor a file; what is in the file is not looked at.

    Raises:
      FileNotFoundError: naming the priors.
    """
    if choice not in PRIORS and not Path(choice).is_file():
        raise FileNotFoundError(
            f"no prior {str(choice)!r}: expected {', '.join(PRIORS)}, or a .json or .csv file of "
            "shares by class"
        )
