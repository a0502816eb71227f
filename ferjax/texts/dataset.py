"""The data set of a run over texts: labelled texts as numbers, split by what they say.

The trainer takes whatever is stored for an item as :class:`ferjax.faces.dataset.Faces` hold it;
here these are n-grams or embeddings instead of pictures.
"""

import glob
import re
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ferjax.config import Config
from ferjax.faces.dataset import Dataset, Faces
from ferjax.faces.spec import DataSpec
from ferjax.texts.embeddings import read_embeddings
from ferjax.texts.features import hashed_ngrams
from ferjax.texts.items import labelled_lines, read_texts
from ferjax.texts.readers import read_panel

__all__ = ["Labelled", "encode", "load", "read_labelled"]

_SHARES = {"valid": 5, "test": 5}
"""Percent of the texts in these splits; all others are trained on."""


class Labelled(NamedTuple):
    """Texts with what people chose.

    Attributes:
      texts: the texts.
      votes: int64 ``[text, class]``.
    """

    texts: tuple[str, ...]
    votes: np.ndarray


def read_labelled(pattern: str, classes: Sequence[str]) -> Labelled:
    """Reads labelled texts: a panel of people, or tab-separated lines of a text and its labels.

    A ``.tsv`` file is of the second kind, as GoEmotions' simplified files come (a text that holds
    quotes is quoted, as in CSV); its labels are separated by commas, and are names of classes or
    their numbers. Anything else is read as :func:`ferjax.texts.readers.read_panel` does.

    Args:
      pattern: a file, or several by wildcards.
      classes: names of the classes.

    Raises:
      FileNotFoundError: if no file is there.
      ValueError: naming the file and the line that is wrong.
    """
    paths = sorted(glob.glob(pattern))
    if not paths:
        raise FileNotFoundError(f"no texts at {pattern}")
    if len(classes) < 2:
        raise ValueError(f"data.classes must name two or more classes, got {tuple(classes)!r}")
    parts = [(_of_lines if path.endswith(".tsv") else _of_panel)(path, classes) for path in paths]
    texts = tuple(text for part in parts for text in part.texts)
    return Labelled(texts, np.concatenate([part.votes for part in parts]))


def _of_panel(path: str, classes: Sequence[str]) -> Labelled:
    ratings = read_panel(path, classes=tuple(classes)).ratings
    if ratings.texts is None or ratings.values is not None:
        raise ValueError(f"{path}: training needs texts and the classes that people chose")
    order = [ratings.classes.index(name) for name in classes]
    votes = ratings.counts[:, order]
    chosen = votes.sum(1) > 0  # an item whose raters named nothing has no target
    texts = tuple(text for text, kept in zip(ratings.texts, chosen) if kept)
    return Labelled(texts, votes[chosen])


def _of_lines(path: str, classes: Sequence[str]) -> Labelled:
    number = {name: k for k, name in enumerate(classes)}
    number |= {str(k): k for k in range(len(classes))}
    texts: list[str] = []
    rows: list[list[int]] = []
    for line, (text, labels) in labelled_lines(path):
        named = [label.strip() for label in labels.split(",")]
        wrong = [label for label in named if label not in number]
        if wrong:
            raise ValueError(f"{path}, line {line}: {wrong[0][:60]!r} is no class or its number")
        texts.append(text)
        rows.append([number[label] for label in named])
    if not texts:
        raise ValueError(f"{path}: no text in it")
    votes = np.zeros((len(texts), len(classes)), np.int64)
    for vote, row in zip(votes, rows):
        vote[row] = 1
    return Labelled(tuple(texts), votes)


def load(config: Config) -> Dataset:
    """The data set of a run over texts.

    Texts that are to be judged are left out, whatever their id. Which split a text falls into
    follows from its words alone, so that copies stay together; two texts that differ in case or in
    signs are copies.

    Args:
      config: data and model of the run.

    Returns:
      :class:`Dataset` without out-of-distribution sets; ``images`` of its items are what the
      network takes.

    Raises:
      FileNotFoundError: if a file is not there.
      ValueError: if a file is wrong, or a split is empty.
    """
    data = config.data
    labelled = read_labelled(data.path, data.classes)
    stored = encode(config, labelled.texts, data.embeddings)
    judged = set(map(_words, read_texts(data.held_out).texts)) if data.held_out else set()
    said = [_words(text) for text in labelled.texts]
    kept = np.array([words not in judged for words in said], bool)
    place = np.array([zlib.crc32(words.encode()) % 100 for words in said], int)
    q = (labelled.votes / labelled.votes.sum(1, keepdims=True)).astype(np.float32)
    every = Faces(stored, labelled.votes, np.arange(len(kept)), q)
    splits = {}
    first = 0
    for name, percent in _SHARES.items():
        splits[name] = every.take(kept & (place >= first) & (place < first + percent))
        first += percent
    splits["train"] = every.take(kept & (place >= first))
    for name, items in splits.items():
        if not len(items.ids):
            raise ValueError(f"{data.path}: too few texts, split {name} is empty")
    return Dataset(DataSpec(tuple(data.classes), stored.shape[1]), splits, {})


def _words(text: str) -> str:
    """What copies of a text have in common; the text itself where it has no word."""
    return " ".join(re.findall(r"\w+", text.casefold())) or text


def encode(config: Config, texts: Sequence[str], embeddings: str = "") -> np.ndarray:
    """Texts as the run's network takes them.

    Args:
      config: of the run.
      texts: the texts.
      embeddings: the file of their embeddings, see :mod:`ferjax.texts.embeddings`, where the
        network takes such.

    Returns:
      int32 or float32 ``[text, column]``.

    Raises:
      ValueError: if the network reads no texts, or the embeddings are missing or of another width.
    """
    model = config.model
    if model.network == "ngrams":
        return hashed_ngrams(texts, model.buckets)
    if model.network != "embeddings":
        raise ValueError(f"model.network {model.network} reads no texts: ngrams or embeddings do")
    if not embeddings:
        raise ValueError("model.network embeddings needs a file of them (data.embeddings)")
    array = read_embeddings(embeddings, texts)
    if array.shape[1] != model.dim:
        raise ValueError(
            f"{embeddings}: embeddings of width {array.shape[1]}, model.dim is {model.dim}"
        )
    return array
