"""Texts as numbers: hashed words and pairs of words, or embeddings from a file."""

import itertools
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ferjax.files import read_arrays

__all__ = ["SLOTS", "embeddings_from", "hashed_ngrams"]

SLOTS = 64
"""N-grams of a text at most; of longer texts, these first."""

_WORD = re.compile(r"\w+(?:'\w+)?|[^\w\s]")


def hashed_ngrams(texts: Sequence[str], buckets: int) -> np.ndarray:
    """Words and pairs of neighbouring words, each as the number of its bucket.

    Args:
      texts: the texts; case is folded, signs are words of their own.
      buckets: numbers that n-grams are hashed into, from 1 up to below this; 0 stands for none.

    Returns:
      int32 ``[text, SLOTS]``: a text's n-grams in their order, words first, then zeros.

    >>> a, b = hashed_ngrams(["So happy!", "so happy"], 1000)
    >>> int((a > 0).sum()), bool((a[:2] == b[:2]).all())
    (5, True)
    """
    rows = np.zeros((len(texts), SLOTS), np.int32)
    for row, text in zip(rows, texts):
        words = _WORD.findall(text.casefold())
        grams = words + [f"{a} {b}" for a, b in itertools.pairwise(words)]
        numbers = [1 + zlib.crc32(gram.encode()) % (buckets - 1) for gram in grams[:SLOTS]]
        row[: len(numbers)] = numbers
    return rows


def embeddings_from(path: str | Path, texts: int) -> np.ndarray:
    """Sentence embeddings from a ``.npy`` file.

    Args:
      path: the file.
      texts: how many there must be.

    Returns:
      float32 ``[text, width]``.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: naming the file, if it holds something else.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no embeddings at {path}")
    array = read_arrays(path).get("")
    if array is None or array.ndim != 2 or array.dtype.kind != "f":
        raise ValueError(f"{path}: expected one array [text, width] of floats (.npy)")
    if len(array) != texts:
        raise ValueError(f"{path}: {len(array)} embeddings for {texts} texts")
    bad = ~np.isfinite(array).all(1)
    if bad.any():
        raise ValueError(f"{path}: row {int(np.argmax(bad))} is not finite")
    return array.astype(np.float32)
