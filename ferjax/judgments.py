"""The file of what judges said: answers of each judge to each item, counted or as values.

A judge is whoever looks at an item and says something: a language model at one temperature with one
prompt. Its sibling :mod:`ferjax.predictions` holds probabilities; here are *finite numbers of
answers*, so that what follows can tell a distribution from the noise of ten samples. A ``.npz``
file, readable with numpy alone:

============  ====================================  ==============================================
name          shape, dtype                          meaning
============  ====================================  ==============================================
``counts``    [judge, item, class] int32            how many answers named the class (see kinds)
``values``    [judge, item, sample, dim.] float32   instead of counts: the numbers; NaN is none
``sets``      [judge, item, sample, class] bool     optional, of kind ``multi``: each valid answer's
                                                    classes, in the first asked − unparsed slots
``tokens``    [judge, item] float32                 optional: tokens of prompts and answers, all
                                                    attempts together; NaN where not known
``asked``     [judge, item] int32                   answers that came, parsed or not
``unparsed``  [judge, item] int32                   of them, those that name nothing valid
``ids``       [item] text                           the same item has the same id in the panel
``hashes``    [item] text (optional)                :func:`text_hash` of each item's text
``meta``      JSON text                             ``kind``, ``classes``, ``levels``, ``judges``
============  ====================================  ==============================================

Kinds: ``single``, one class an answer (a row of counts sums to asked − unparsed); ``multi``, any
set of classes, the empty one too (each count is at most asked − unparsed); ``ordinal``, counts over
the classes in their order, or values that are levels of a scale in each dimension; ``real``, values
in each dimension (valence, arousal, dominance). Where there are values, ``classes`` names the
dimensions and ``levels`` the scale. Errors are no answers: they are asked again, never counted.
"""

import dataclasses
import hashlib
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ferjax.files import parse_json, read_arrays, write_atomically

__all__ = ["KINDS", "Judge", "Judgments", "text_hash"]

KINDS = ("single", "multi", "ordinal", "real")
"""What :attr:`Judgments.kind` may be."""


def text_hash(text: str) -> str:
    """What an item's text is known by: the SHA-256 of its UTF-8, in hexadecimal.

    >>> text_hash("joy")[:12]
    'b113405b6f91'
    """
    return hashlib.sha256(text.encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Judge:
    """Who judged: a model at one setting."""

    model: str
    temperature: float | None = None
    prompt: str | None = None
    """The prompt's name, where a model was asked with several."""
    elicitation: str | None = None
    """How it was asked (sampled, verbalised, log-probabilities), where in several ways."""

    @property
    def name(self) -> str:
        """One line that tells judges apart.

        >>> Judge("qwen3-8b", 0.7).name
        'qwen3-8b, t 0.7'
        """
        heat = None if self.temperature is None else f"t {self.temperature:g}"
        parts = (self.model, heat, self.prompt, self.elicitation)
        return ", ".join(part for part in parts if part)


@dataclasses.dataclass(frozen=True)
class Judgments:
    """Answers of every judge to every item; see the module's table for shapes.

    Raises:
      ValueError: naming the array and the first judge and item that do not fit.
    """

    kind: str
    classes: tuple[str, ...]
    judges: tuple[Judge, ...]
    ids: np.ndarray
    asked: np.ndarray
    unparsed: np.ndarray
    counts: np.ndarray | None = None
    values: np.ndarray | None = None
    levels: tuple[float, ...] | None = None
    hashes: np.ndarray | None = None
    sets: np.ndarray | None = None
    tokens: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if (self.counts is None) == (self.values is None):
            raise ValueError("judgments are either counts or values, one of them")
        if self.kind in ("single", "multi") and self.counts is None:
            raise ValueError(f"judgments of kind {self.kind} are counts, got values")
        if self.kind == "real" and self.values is None:
            raise ValueError("judgments of kind real are values, got counts")
        self._check_shapes()
        self._check_numbers()

    def _check_shapes(self) -> None:
        judges = len(self.judges)
        if self.ids.ndim != 1:
            raise ValueError(f"ids must be [item], got {self.ids.shape}")
        items = len(self.ids)
        names = [judge.name for judge in self.judges]
        for what, found in (("judge", names), ("class", list(self.classes))):
            twice = sorted({name for name in found if found.count(name) > 1})
            if twice:
                raise ValueError(f"{what} {twice[0]!r} is there twice")
        if len(set(self.ids.tolist())) != items:
            ids, often = np.unique(self.ids, return_counts=True)
            raise ValueError(f"item {str(ids[often > 1][0])!r} is there twice")
        expected: dict[str, tuple[int, ...]] = {
            "asked": (judges, items),
            "unparsed": (judges, items),
        }
        if self.counts is not None:
            expected["counts"] = (judges, items, len(self.classes))
        if self.hashes is not None:
            expected["hashes"] = (items,)
        if self.tokens is not None:
            expected["tokens"] = (judges, items)
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} must be {shape}, got {getattr(self, name).shape}")
        if self.sets is not None:
            shape = self.sets.shape
            if (
                self.kind != "multi"
                or len(shape) != 4
                or (*shape[:2], shape[3])
                != (
                    judges,
                    items,
                    len(self.classes),
                )
            ):
                raise ValueError(
                    f"sets are [judge, item, sample, class] of kind multi, got {shape} of kind "
                    f"{self.kind}"
                )
        if self.values is not None:
            shape = self.values.shape
            if len(shape) != 4 or (*shape[:2], shape[3]) != (judges, items, len(self.classes)):
                raise ValueError(
                    f"values must be [judge, item, sample, dimension] of {judges} judges, {items} "
                    f"items and {len(self.classes)} dimensions, got {shape}"
                )

    def _check_numbers(self) -> None:
        for name in ("asked", "unparsed", "counts"):
            array = getattr(self, name)
            if array is not None and (array.dtype.kind not in "iu" or (array < 0).any()):
                raise ValueError(f"{name} must be whole numbers >= 0")
        if self.tokens is not None:
            self._refuse((self.tokens < 0) | np.isinf(self.tokens), "tokens are no number >= 0")
        self._refuse(self.unparsed > self.asked, "more answers unparsed than came")
        if self.counts is not None:
            if self.kind == "multi":
                wrong = (self.counts > self.answered[..., None]).any(-1)
            else:
                wrong = self.counts.sum(-1) != self.answered
            self._refuse(wrong, f"counts do not fit asked - unparsed (kind {self.kind})")
        if self.sets is not None:
            slot = np.arange(self.sets.shape[2])
            filled = slot < self.answered[..., None]
            self._refuse((self.sets.any(-1) & ~filled).any(-1), "sets beyond the answers")
            self._refuse(self.answered > self.sets.shape[2], "fewer sets than answers")
            self._refuse((self.sets.sum(2) != self.counts).any(-1), "sets do not add up to counts")
        if self.values is not None:
            there = ~np.isnan(self.values)
            lacking = np.asarray(there.any(-1) != there.all(-1))
            self._refuse(lacking.any(-1), "an answer lacks a dimension")
            wrong = there.all(-1).sum(-1) != self.answered
            self._refuse(wrong, "the number of values is not asked - unparsed")
            if np.isinf(self.values).any():
                self._refuse(np.sum(np.isinf(self.values), (-1, -2)) > 0, "a value is infinite")

    def _refuse(self, wrong: ArrayLike, why: str) -> None:
        where = np.argwhere(wrong)
        if len(where):
            judge, item = where[0]
            raise ValueError(f"judge {self.judges[judge].name!r}, item {self.ids[item]}: {why}")

    @property
    def answered(self) -> np.ndarray:
        """Valid answers, ``[judge, item]``."""
        return self.asked - self.unparsed

    def save(self, path: str | os.PathLike) -> None:
        """Writes the file in one piece; a kill leaves the old file or none.

        Args:
          path: the ``.npz`` file; its folder must exist.

        Raises:
          OSError: if it cannot be written.
        """
        meta = {
            "format": "judgments 1",
            "kind": self.kind,
            "classes": self.classes,
            "levels": self.levels,
            "judges": [dataclasses.asdict(judge) for judge in self.judges],
        }
        arrays: dict[str, Any] = {
            "asked": self.asked.astype(np.int32),
            "unparsed": self.unparsed.astype(np.int32),
            "ids": self.ids.astype(np.str_),
            "meta": np.array(json.dumps(meta)),
        }
        if self.counts is not None:
            arrays["counts"] = self.counts.astype(np.int32)
        if self.values is not None:
            arrays["values"] = self.values.astype(np.float32)
        if self.sets is not None:
            arrays["sets"] = self.sets.astype(bool)
        if self.tokens is not None:
            arrays["tokens"] = self.tokens.astype(np.float32)
        if self.hashes is not None:
            arrays["hashes"] = self.hashes.astype(np.str_)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        write_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Judgments":
        """Reads a file that :meth:`save` or another program wrote.

        Args:
          path: the ``.npz`` file.

        Returns:
          Judgments, checked.

        Raises:
          FileNotFoundError: if there is none.
          ValueError: naming the file, if it is not such a file or its arrays do not fit together.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"no judgments at {path}")
        arrays = read_arrays(path)
        try:
            return cls.from_arrays(arrays)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Judgments":
        """Builds judgments from the arrays of a file, by the names of the module's table.

        Args:
          arrays: name -> array.

        Returns:
          Judgments, checked.

        Raises:
          ValueError: if an array or a field of ``meta`` is missing, or they do not fit together.
        """
        missing = [n for n in ("asked", "unparsed", "ids", "meta") if n not in arrays]
        if missing:
            found = ", ".join(arrays) or "nothing"
            raise ValueError(f"not judgments: no array {missing[0]}; found {found}")
        try:
            meta = parse_json(str(arrays["meta"]))
            judges = tuple(Judge(**judge) for judge in meta["judges"])
            classes = tuple(str(name) for name in meta["classes"])
            levels = meta.get("levels")
            if levels is not None:
                levels = tuple(float(level) for level in levels)
            kind = meta["kind"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"meta needs kind, classes and judges ({error!r})") from error
        return cls(
            kind=kind,
            classes=classes,
            judges=judges,
            ids=arrays["ids"].astype(np.str_),
            asked=arrays["asked"],
            unparsed=arrays["unparsed"],
            counts=arrays.get("counts"),
            values=arrays.get("values"),
            levels=levels,
            hashes=arrays.get("hashes"),
            sets=arrays.get("sets"),
            tokens=arrays.get("tokens"),
        )
