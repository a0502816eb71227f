"""Files of sentence embeddings, from any model: rows by their text, or in the order of the texts.

A ``.npz`` file holds

===========  =====================  ===========================================================
name         shape, dtype           meaning
===========  =====================  ===========================================================
``texts``    [text, width] float32  a vector for each text
``hashes``   [text] text            :func:`ferjax.judgments.text_hash` of each; or
``ids``      [text] text            the items' ids
``classes``  [class, width]         optional: vectors of the classes' names
``names``    [class] text           those names
===========  =====================  ===========================================================

A ``.npy`` file holds one array ``[text, width]``, in the order of the texts that it is for.
"""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ferjax.files import read_arrays, write_atomically
from ferjax.judgments import text_hash

__all__ = ["Embedded", "read_embeddings", "read_words", "write_embeddings"]


class Embedded(NamedTuple):
    """Vectors of texts and of classes' names, from one model.

    Attributes:
      texts: float32 ``[text, width]``, in the order of the texts asked for.
      classes: float32 ``[class, width]``, in the order of the names asked for.
    """

    texts: np.ndarray
    classes: np.ndarray


def write_embeddings(
    path: str | os.PathLike,
    texts: Sequence[str],
    vectors: np.ndarray,
    names: Sequence[str] = (),
    of_names: np.ndarray | None = None,
) -> None:
    """Writes a file in one piece.

    Args:
      path: the ``.npz`` file; its folder must exist.
      texts: each once.
      vectors: ``[text, width]``.
      names: of classes.
      of_names: ``[class, width]``, where there are names.
    """
    arrays = {
        "texts": np.asarray(vectors, np.float32),
        "hashes": np.array([text_hash(text) for text in texts]),
    }
    if of_names is not None:
        arrays |= {"classes": np.asarray(of_names, np.float32), "names": np.array(list(names))}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())


def read_embeddings(path: str | os.PathLike, texts: Sequence[str]) -> np.ndarray:
    """Vectors of texts.

    Args:
      path: ``.npz`` with ``texts`` and ``hashes``, or ``.npy``.
      texts: whose vectors are wanted.

    Returns:
      float32 ``[text, width]``.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: naming the file, if it holds something else, or not these texts.
    """
    arrays = _arrays(path)
    if "" in arrays:
        rows = _vectors(path, "one array", arrays[""])
        if len(rows) != len(texts):
            raise ValueError(f"{path}: {len(rows)} embeddings for {len(texts)} texts")
        return rows
    return _by_name(path, arrays, "texts", "hashes", [text_hash(text) for text in texts], texts)


def read_words(
    path: str | os.PathLike, texts: Sequence[str] | None, ids: Sequence[str], names: Sequence[str]
) -> Embedded:
    """Vectors of a panel's texts and classes.

    Args:
      path: ``.npz`` with ``texts``, ``hashes`` or ``ids``, ``classes`` and ``names``.
      texts: the panel's; None where it has none.
      ids: of its items.
      names: of its classes.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: naming the file, and what is missing.
    """
    arrays = _arrays(path)
    if "hashes" in arrays and texts is not None:
        of_texts = read_embeddings(path, texts)
    else:
        of_texts = _by_name(path, arrays, "texts", "ids", ids, ids)
    return Embedded(of_texts, _by_name(path, arrays, "classes", "names", names, names))


def _arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
    if not Path(path).is_file():
        raise FileNotFoundError(f"no embeddings at {path}")
    return read_arrays(path)


def _vectors(path: str | os.PathLike, what: str, rows: np.ndarray) -> np.ndarray:
    if rows.ndim != 2 or rows.dtype.kind != "f":
        raise ValueError(
            f"{path}: expected {what} [row, width] of floats, got {rows.dtype} {rows.shape}"
        )
    bad = ~np.isfinite(rows).all(1)
    if bad.any():
        raise ValueError(f"{path}: row {int(np.argmax(bad))} is not finite")
    return rows.astype(np.float32)


def _by_name(
    path: str | os.PathLike,
    arrays: dict[str, np.ndarray],
    rows: str,
    names: str,
    wanted: Sequence[str],
    shown: Sequence[str],
) -> np.ndarray:
    """Rows of an array by another that names them; ``shown`` is what ``wanted`` is called."""
    for name in (rows, names):
        if name not in arrays:
            raise ValueError(f"{path}: no array {name}; found {', '.join(arrays)}")
    vectors = _vectors(path, rows, arrays[rows])
    if arrays[names].shape != (len(vectors),):
        raise ValueError(
            f"{path}: {names} must be [{len(vectors)}], one for each row of {rows}, got "
            f"{arrays[names].shape}"
        )
    place = {str(name): row for row, name in enumerate(arrays[names])}
    missing = [text for name, text in zip(wanted, shown) if str(name) not in place]
    if missing:
        what = "class" if rows == "classes" else "text"
        raise ValueError(
            f"{path}: no embedding of {what} {str(missing[0])[:60]!r} ({len(missing):,} of "
            f"{len(wanted):,} are missing)"
        )
    return vectors[[place[str(name)] for name in wanted]]
