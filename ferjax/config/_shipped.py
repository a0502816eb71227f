"""The configurations that come with ferjax, by name: in an installed wheel, or beside a clone."""

import importlib.metadata
from pathlib import Path

__all__ = ["find_config", "shipped_configs"]

_FOLDER = "configs"


def shipped_configs() -> dict[str, Path]:
    """Name -> file of every configuration that comes with ferjax."""
    beside = Path(__file__).parents[2] / _FOLDER
    files = sorted(beside.glob("*.py"))
    if not files:
        try:
            installed = importlib.metadata.files("ferjax") or ()
        except importlib.metadata.PackageNotFoundError:
            installed = ()
        files = [
            Path(str(file.locate())).resolve()
            for file in installed
            if file.parts[-3:-1] == ("ferjax", _FOLDER) and file.suffix == ".py"
        ]
    return {file.stem: file for file in files}


def find_config(name: str | Path) -> Path:
    """The file of a configuration: a path, or the name of one that comes with ferjax.

    Raises:
      FileNotFoundError: if there is neither; lists the names.
    """
    path = Path(name)
    if path.is_file():
        return path
    shipped = shipped_configs()
    if str(name) in shipped:
        return shipped[str(name)]
    raise FileNotFoundError(
        f"no configuration file at {name}; those that come with ferjax: {', '.join(shipped)}"
    )
