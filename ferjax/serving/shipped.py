"""The model that comes with ferjax: one small network for faces, for who has trained none.

A file of ``ferjax export`` beside this module, and its model card. How both were made, and every
figure of the card: ``python -m benchmarks shipped``.
"""

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ferjax.serving import sources

__all__ = ["CARD", "MODEL", "model_and_pictures", "refuse_prior"]

_FOLDER = Path(__file__).parent / "model"
MODEL = _FOLDER / "faces.ferjax"
CARD = _FOLDER / "faces.md"


def refuse_prior(file: Path, prior: str) -> NoReturn:
    """Refuses another prior than the one that an exported file was made with.

    Args:
      file: the file, :data:`MODEL` perhaps.
      prior: that was asked for.

    Raises:
      ValueError: saying what to do instead.
    """
    if file == MODEL:
        raise ValueError(
            "the model that comes with ferjax decides under the class frequencies it was trained "
            f"with; --prior {prior} needs a run of your own"
        )
    pictures = " --unlabelled PICTURES..." if prior == "estimated" else ""
    raise ValueError(
        f"{file} decides under the prior that it was exported with; export the run again with "
        f"--prior {prior}{pictures}"
    )


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
