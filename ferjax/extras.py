"""How to install what an optional part of ferjax needs, as its own metadata say.

The advice names the packages themselves: it holds in a clone and for an installed wheel, wherever
ferjax came from.
"""

import importlib.metadata
import re
import tomllib
from pathlib import Path

__all__ = ["how_to_install", "packages_of"]


def packages_of(extra: str) -> tuple[str, ...]:
    """The requirements of an extra, as pip takes them.

    Args:
      extra: its name in pyproject.toml.

    Raises:
      KeyError: if there is no such extra.

    >>> packages_of("faces")
    ('opencv-python-headless>=4.9,<5',)
    """
    clone = Path(__file__).parents[1] / "pyproject.toml"
    if clone.is_file():
        project = tomllib.loads(clone.read_text(encoding="utf-8")).get("project", {})
        if project.get("name") == "ferjax":
            return tuple(project["optional-dependencies"][extra])
    found = []
    for requirement in importlib.metadata.requires("ferjax") or ():
        package, _, marker = requirement.partition(";")
        if re.search(rf"extra == ['\"]{re.escape(extra)}['\"]", marker):
            found.append(_specifiers_in_order(package.strip()))
    if not found:
        raise KeyError(extra)
    return tuple(found)


def _specifiers_in_order(package: str) -> str:
    """A requirement with its lower bound first; built metadata sort the upper one before it."""
    name, *bounds = re.split(r"(?<=[\w\]])(?=[<>=~!])|,", package)
    return name + ",".join(sorted(bounds, reverse=True))


def how_to_install(extra: str, only: str = "") -> str:
    """The command that installs what an extra needs.

    Args:
      extra: its name in pyproject.toml.
      only: how the names of the packages begin that are wanted, where the extra has others too.

    >>> how_to_install("tpu")
    "pip install 'jax[tpu]>=0.10'"
    >>> how_to_install("parity", "torch")
    "pip install 'torch>=2.6'"
    """
    wanted = (package for package in packages_of(extra) if package.startswith(only))
    return "pip install " + " ".join(f"'{package}'" for package in wanted)
