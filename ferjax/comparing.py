"""What `ferjax judge` does with a panel and judges, as functions: read both sides, compare them."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ferjax.evaluation.judgments.calibrate import calibrate, fitted
from ferjax.evaluation.judgments.compare import Words, compare
from ferjax.evaluation.judgments.sides import Sides, align
from ferjax.events import Message, OnEvent, silent
from ferjax.files import read_arrays
from ferjax.judgments import Judgments
from ferjax.predictions import Predictions
from ferjax.texts.readers import Panel, read_panel

__all__ = ["calibrate", "compare", "fitted", "read_judges", "read_sides", "read_words"]


def read_sides(
    panel: Path,
    judges: Sequence[Path],
    *,
    kind: str | None = None,
    classes: tuple[str, ...] | None = None,
    on_event: OnEvent = silent,
) -> tuple[Sides, Panel]:
    """Reads ratings of people and files of judges, and brings them together.

    Args:
      panel: see :func:`ferjax.texts.readers.read_panel`.
      judges: files of judgments, or of a network's predictions.
      kind: of the ratings, where the file leaves it open.
      classes: likewise.
      on_event: told what everything was taken for.

    Returns:
      The two sides, and the report of the panel.

    Raises:
      FileNotFoundError: if a file is not there.
      ValueError: naming the file, and what is wrong with it.
    """
    files = read_judges(judges)
    read = read_panel(panel, kind=kind, classes=classes)
    on_event(Message(read.summary))
    for note in read.notes:
        on_event(Message(f"  {note}"))
    sides = align(read.ratings, files)
    for name, file in files.items():
        what = "predictions of a network"
        if isinstance(file, Judgments):
            what = f"judgments of {len(file.judges)} judges"
        on_event(Message(f"{name}: {what}, {len(file.ids):,} items"))
    for note in sides.notes:
        on_event(Message(f"  {note}"))
    return sides, read


def read_judges(paths: Sequence[Path]) -> dict[str, Judgments | Predictions]:
    """Files of judgments or predictions, told apart by what is in them; by their names.

    Raises:
      FileNotFoundError: if one is not there.
      ValueError: naming the file that is neither, or a name that two files have.
    """
    if not paths:
        raise ValueError("no judges: give files of `ferjax judge parse`, or of predictions")
    found: dict[str, Judgments | Predictions] = {}
    for path in map(Path, paths):
        if not path.is_file():
            raise FileNotFoundError(f"no judges at {path}")
        name = path.stem if path.stem not in found else str(path)
        if name in found:
            raise ValueError(f"{path} is given twice")
        arrays = read_arrays(path)
        if "log_probs" in arrays:
            found[name] = Predictions.load(path)
        else:
            found[name] = Judgments.load(path)
    return found


def read_words(lexicon: Path, embeddings: Path | None, sides: Sides) -> Words:
    """What the transparency of classes is scored by.

    Args:
      lexicon: JSON object, class -> list of words.
      embeddings: ``.npz`` of ``texts [text, width]``, ``ids``, ``classes [class, width]``,
        ``names``, in any order; or None.
      sides: whose texts and classes they must have.

    Raises:
      ValueError: naming the file, and what is missing.
    """
    try:
        words = json.loads(lexicon.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{lexicon}: not JSON ({error})") from error
    fine = isinstance(words, dict) and all(
        isinstance(of, list) and all(isinstance(word, str) and word.strip() for word in of)
        for of in words.values()
    )
    if not fine:
        raise ValueError(f"{lexicon}: expected an object of classes and lists of words")
    if embeddings is None:
        return Words(words)
    arrays = read_arrays(embeddings)
    missing = [name for name in ("texts", "ids", "classes", "names") if name not in arrays]
    if missing:
        raise ValueError(f"{embeddings}: no array {missing[0]}; found {', '.join(arrays)}")
    try:
        of_texts = _in_order(arrays["texts"], arrays["ids"], sides.ratings.ids, "text")
        of_classes = _in_order(
            arrays["classes"], arrays["names"], np.array(sides.ratings.classes), "class"
        )
    except ValueError as error:
        raise ValueError(f"{embeddings}: {error}") from error
    return Words(words, of_texts, of_classes)


def _in_order(rows: np.ndarray, names: np.ndarray, wanted: np.ndarray, what: str) -> np.ndarray:
    place = {str(name): row for row, name in enumerate(names)}
    missing = [str(name) for name in wanted if str(name) not in place]
    if missing:
        raise ValueError(f"no embedding of {what} {missing[0]!r} ({len(missing):,} are missing)")
    if rows.ndim != 2 or len(rows) != len(names):
        raise ValueError(f"embeddings must be [{what}, width] of {len(names)}, got {rows.shape}")
    return rows[[place[str(name)] for name in wanted]].astype(np.float32)
