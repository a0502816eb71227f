"""The model that comes with ferjax: one small network for faces, for who has trained none.

A file of ``ferjax export`` beside this module, and its model card. How both were made, and every
figure of the card: ``python -m benchmarks shipped``.
"""

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

from ferjax.serving import sources

__all__ = ["CARD", "MODEL", "model_and_pictures"]

_FOLDER = Path(__file__).parent / "model"
MODEL = _FOLDER / "faces.ferjax"
CARD = _FOLDER / "faces.md"


def model_and_pictures(words: Sequence[str]) -> tuple[Path, tuple[str, ...]]:
    """What decides and what it decides on, from the words of a command.

    Args:
      words: pictures, as :func:`ferjax.serving.sources.items` takes them, behind a run folder, what
        ``ferjax adapt`` made of one, or a file of ``ferjax export``, if one is given.

    Returns:
      The run or file, :data:`MODEL` where none is given, and the pictures.

    Raises:
      FileNotFoundError: if the first word is a folder with neither a run nor a picture in it.
    """
    first = words[0] if words else ""
    if os.path.isdir(first):
        if any(os.path.isfile(os.path.join(first, f)) for f in ("config.json", "thresholds.json")):
            return Path(first), tuple(words[1:])
        if not sources.holds_pictures(first):
            raise FileNotFoundError(
                f"{first}: neither a run (config.json) nor a picture is in this folder"
            )
    elif os.path.isfile(first) and not first.lower().endswith(".npz"):  # which is a zip, too
        exported = first.endswith(MODEL.suffix) or zipfile.is_zipfile(first)
        return (Path(first), tuple(words[1:])) if exported else (MODEL, tuple(words))
    return MODEL, tuple(words)
