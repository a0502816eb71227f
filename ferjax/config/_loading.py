"""A configuration of any type from a Python file or from JSON; whatever is wrong names the file."""

import dataclasses
import runpy
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from ferjax.config._checks import build, nearest
from ferjax.config._shipped import find_config
from ferjax.files import read_json, require_file

__all__ = ["load"]

T = TypeVar("T")


def load(kind: type[T], path: str | Path, parts: Sequence[type]) -> T:
    """Reads a configuration from a Python file that defines ``config``, or from JSON.

    Args:
      kind: its type, a dataclass.
      path: a ``.py`` file with a module-level ``config = kind(...)``, a ``.json`` file, or the name
        of a configuration that comes with ferjax.
      parts: dataclasses that such a file calls; their fields are proposed for a wrong name.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: naming the file, if it does not build a valid configuration.
    """
    path = require_file(find_config(path), "configuration file")
    if path.suffix == ".json":
        values = read_json(path, "configuration file")
        try:
            return build(kind, values)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    config = _run_python(path, parts).get("config")
    if not isinstance(config, kind):
        raise ValueError(
            f"{path}: must define `config = {kind.__name__}(...)`, found {type(config).__name__}"
        )
    return config


def _run_python(path: Path, parts: Sequence[type]) -> dict[str, Any]:
    """What a Python file defines; whatever it raises is a ValueError that names file and line."""
    try:
        return runpy.run_path(str(path))
    except SyntaxError as error:
        said = f"SyntaxError: {error.msg}"
        line = error.lineno if error.filename == str(path) else None
        cause: BaseException = error
    except (Exception, SystemExit) as error:
        said = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        line = _last_line_in(path, error)
        cause = error
    if isinstance(cause, TypeError) and "unexpected keyword argument" in said:
        # A wrong keyword in a Python config arrives as the dataclass's TypeError.
        known = [f.name for c in parts for f in dataclasses.fields(c)]
        said = f"{cause}; {nearest(said.split(chr(39))[1], known)}"
    if isinstance(cause, SyntaxError):
        where = "" if line is None else f", line {line}"
        raise ValueError(f"{path}{where}: {said}") from cause
    raise ValueError(f"{path}: {said}" + ("" if line is None else f" (line {line})")) from cause


def _last_line_in(path: Path, error: BaseException) -> int | None:
    """The line of a file from which an error came."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return lines[-1] if lines else None
