"""Texts as numbers: hashed words and pairs of words."""

import itertools
import re
import zlib
from collections.abc import Sequence

import numpy as np

__all__ = ["SLOTS", "hashed_ngrams"]

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
