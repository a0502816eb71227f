"""Compiled programs kept between commands, so that the second evaluation does not compile again."""

import os
from collections.abc import MutableMapping
from pathlib import Path

__all__ = ["NO_CACHE", "use_compilation_cache"]

NO_CACHE = "--no-cache"
"""Flag of every command: compile everything anew, and keep nothing."""


def use_compilation_cache(
    argv: list[str], environ: MutableMapping[str, str] = os.environ
) -> list[str]:
    """Tells JAX where to keep compiled programs; must come before JAX starts.

    The folder is ``FERJAX_CACHE`` if it is set, else ``ferjax`` in the user's cache folder
    (``XDG_CACHE_HOME``, ``~/.cache``). Where ``JAX_COMPILATION_CACHE_DIR`` is set, that stands.

    Args:
      argv: words of the command line.
      environ: the environment to write to.

    Returns:
      The words without ``--no-cache``.

    >>> environ = {"FERJAX_CACHE": "/somewhere"}
    >>> use_compilation_cache(["evaluate", "RUN"], environ)
    ['evaluate', 'RUN']
    >>> environ["JAX_COMPILATION_CACHE_DIR"]
    '/somewhere'
    """
    if NO_CACHE in argv:
        environ.pop("JAX_COMPILATION_CACHE_DIR", None)
        return [word for word in argv if word != NO_CACHE]
    caches = environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = environ.get("FERJAX_CACHE") or str(Path(caches, "ferjax"))
    environ.setdefault("JAX_COMPILATION_CACHE_DIR", folder)
    # Most of an evaluation's programs take less than JAX's threshold of a second each.
    environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    return argv
