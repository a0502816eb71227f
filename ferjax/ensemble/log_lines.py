"""Reads the log of a run, wherever it is trained; JAX is not started for it."""

from pathlib import Path

from ferjax.files import parse_json

__all__ = ["read_log"]


def read_log(path: Path) -> list[dict]:
    """The lines of a log, up to the first that is torn or none; none if there is no log yet."""
    lines: list[dict] = []
    if not path.is_file():
        return lines
    for text in path.read_text(errors="replace").splitlines():
        try:
            line = parse_json(text)
        except ValueError:
            break
        if not isinstance(line, dict) or not isinstance(line.get("step"), int):
            break
        lines.append(line)
    return lines
