"""The report of judges beside people: findings in words, tables and pictures in one file."""

from ferjax.report.judgments.write import write

__all__ = ["write"]
