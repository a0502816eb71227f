"""The file between the ensemble and everything after it: member log-probabilities of one condition.

A ``.npz`` file, one per condition (a clean split, one corruption of it at one severity, another set
of items), readable with numpy alone and writable from any framework:

=====================  =====================  ====================================================
name                   shape, dtype           meaning
=====================  =====================  ====================================================
``log_probs``          [member, item, class]  float32 natural-log probabilities, normalised over
                                              classes
``log_concentration``  [member, item] (opt.)  float32 ``log sum_c α_c`` of each member's Dirichlet,
                                              see :mod:`ferjax.dirichlet`; inf: no concentration
``ids``                [item] int64 or text   the same item has the same id in every condition
``votes``              [item, class] (opt.)   whole counts of people who chose each class
``vote_shares``        [item, class] (opt.)   shares of the votes, where counts are not known
``abstentions``        [item, kind] (opt.)    whole counts of people who could not judge, by reason
``truth``              [item, class] (opt.)   the true p(y | item), where the data are drawn
``meta``               JSON text              ``condition``, ``split``, ``classes`` (names),
                                              ``corruption``/``severity`` where it is one,
                                              ``tolerance`` where a harmless change was made, and
                                              ``passes``: how many members beside one another are
                                              passes of one (1 where it is not there)
``classes``            [class] text (opt.)    names of the classes, where ``meta`` does not say
``features_*``         [..., item, width]     optional features for density scores, by name
``scores_*``           [item]                 optional further scores; larger must mean more
                                              uncertain
``groups``             [item] (optional)      whole numbers; equal ones are views of one thing
                                              (identical pictures, frames of a video), resampled
                                              together
=====================  =====================  ====================================================

``split`` is ``test`` or ``valid`` for that split, clean or corrupted, and ``ood`` for any other set
of items. Files of version 0.1.0, which name it by the condition (``valid``, ``valid_blur_3``) and
keep two columns of abstentions behind the votes, are read too.
"""

import dataclasses
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ferjax import votes as votes_of
from ferjax.files import parse_json, read_arrays, write_atomically

__all__ = ["SPLITS", "Predictions"]

SPLITS = ("test", "valid", "ood")
"""What :attr:`Predictions.split` may be."""

_OLD_SCORES = {"scores_unfamiliarity": "scores_ood_density"}
"""Arrays that version 0.1.0 wrote under another name."""


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Member log-probabilities of one condition; see the module's table for shapes.

    Raises:
      ValueError: naming the array and the first row that does not fit.
    """

    log_probs: np.ndarray
    ids: np.ndarray
    votes: np.ndarray | None = None
    truth: np.ndarray | None = None
    condition: str = "test"
    corruption: str | None = None
    severity: int | None = None
    features: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    scores: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    groups: np.ndarray | None = None
    split: str = "test"
    abstentions: np.ndarray | None = None
    classes: tuple[str, ...] | None = None
    log_concentration: np.ndarray | None = None
    tolerance: str | None = None
    """The harmless change that was made to the items; None: none."""
    vote_shares: np.ndarray | None = None
    passes: int = 1
    """Members beside one another that are passes of one, and are never parted."""

    def __post_init__(self) -> None:
        if self.log_probs.ndim != 3:
            raise ValueError(
                f"log_probs must be [member, item, class], got shape {self.log_probs.shape}"
            )
        if self.log_probs.dtype.kind != "f":
            raise ValueError(f"log_probs must be floating point, got {self.log_probs.dtype}")
        members, items, classes = self.log_probs.shape
        if members % self.passes:
            raise ValueError(
                f"log_probs has {members} members, no multiple of the {self.passes} passes of each"
            )
        if self.split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {self.split!r}")
        if self.corruption is None and self.severity is not None:
            raise ValueError(f"severity {self.severity} of no corruption")
        if self.severity is not None and not _is_severity(self.severity):
            raise ValueError(f"severity must be 1 to 5, got {self.severity!r}")
        if self.classes is not None and len(set(self.classes)) < len(self.classes):
            raise ValueError(f"a class name occurs twice in {', '.join(self.classes)}")
        if self.classes is not None and len(self.classes) != classes:
            raise ValueError(
                f"{len(self.classes)} class names ({', '.join(self.classes)}) for log_probs of "
                f"{classes} classes"
            )
        widths = {
            "votes": classes,
            "vote_shares": classes,
            "truth": classes,
            "abstentions": None,
        }
        for name, width in widths.items():
            value = getattr(self, name)
            if value is None:
                continue
            if value.ndim != 2 or len(value) != items:
                raise ValueError(
                    f"{name} must have one row for each of {items} items, got {value.shape}"
                )
            if width is not None and value.shape[1] != width:
                raise ValueError(
                    f"{name} must have a column for each of the {width} classes of log_probs, "
                    f"got {value.shape}"
                )
        for name, value in self.features.items():
            if value.ndim < 2 or value.shape[-2] != items:
                raise ValueError(
                    f"features {name!r} must be [..., item, width] with {items} items, "
                    f"got {value.shape}"
                )
        per_item = {"ids": self.ids, "groups": self.groups}
        per_item |= {f"scores {name!r}": value for name, value in self.scores.items()}
        for name, value in per_item.items():
            if value is not None and value.shape != (items,):
                raise ValueError(f"{name} must be [item] ({items},), got {value.shape}")
        if self.log_concentration is not None:
            self._check_concentration(self.log_concentration)
        self._check_kinds()
        sums = np.exp(self.log_probs.astype(np.float64)).sum(-1)
        bad = ~(np.abs(sums - 1) < 1e-3)
        if bad.any():
            member, item = np.argwhere(bad)[0]
            raise ValueError(
                f"log_probs of member {member}, item {item} sum to {sums[member, item]:.4g} after "
                "exp, expected 1: these are not log-probabilities"
            )

    def _check_concentration(self, log_concentration: np.ndarray) -> None:
        expected = self.log_probs.shape[:2]
        if log_concentration.shape != expected or log_concentration.dtype.kind != "f":
            raise ValueError(
                f"log_concentration must be floating point [member, item] {expected}, got "
                f"{log_concentration.dtype} {log_concentration.shape}"
            )
        bad = ~(log_concentration > -np.inf)
        if bad.any():
            member, item = np.argwhere(bad)[0]
            raise ValueError(
                f"log_concentration of member {member}, item {item} is "
                f"{log_concentration[member, item]}, expected the logarithm of a positive number"
            )

    def _check_kinds(self) -> None:
        """Refuses arrays of the wrong kind of number, ids that repeat, and no distributions."""
        kinds = {"votes": "biuf", "abstentions": "biuf", "vote_shares": "f", "truth": "f"}
        given: dict[str, tuple[np.ndarray | None, str]] = {
            **{name: (getattr(self, name), kind) for name, kind in kinds.items()},
            "ids": (self.ids, "iuUS"),
            "groups": (self.groups, "iuUS"),
            **{f"scores {name!r}": (of, "iuf") for name, of in self.scores.items()},
            **{f"features {name!r}": (of, "iuf") for name, of in self.features.items()},
        }
        for name, (value, kind) in given.items():
            if value is not None and value.dtype.kind not in kind:
                expected = "numbers or texts" if "U" in kind else "numbers"
                raise ValueError(f"{name} must be {expected}, got {value.dtype}")
        for name, value in (("votes", self.votes), ("abstentions", self.abstentions)):
            if value is not None and value.shape[1] > 1:
                try:
                    votes_of.check(value)
                except ValueError as error:
                    raise ValueError(str(error).replace("votes", name, 1)) from error
        ids, often = np.unique(self.ids, return_counts=True)
        if len(ids) < len(self.ids):
            raise ValueError(f"id {ids[often > 1][0]!s} is there {often.max()} times")
        for name in ("truth", "vote_shares"):
            value = getattr(self, name)
            if value is None:
                continue
            bad = ~((value >= 0).all(1) & (np.abs(value.sum(1) - 1) < 1e-2))
            if bad.any():
                row = int(np.argmax(bad))
                raise ValueError(
                    f"{name} of item {row} is no distribution: it sums to {value[row].sum():.4g}"
                )

    def with_classes(self, classes: tuple[str, ...]) -> "Predictions":
        """The same predictions with their classes in another order.

        Args:
          classes: the names of :attr:`classes`, whatever the case of letters, in any order.

        Raises:
          ValueError: if they name other classes, or these predictions name none.
        """
        own = {name.strip().casefold(): i for i, name in enumerate(self.classes or ())}
        wanted = [name.strip().casefold() for name in classes]
        if sorted(own) != sorted(wanted):
            raise ValueError(
                f"its classes are {', '.join(self.classes or ('not named',))}, expected "
                f"{', '.join(classes)}"
            )
        order = [own[name] for name in wanted]
        per_class = ("log_probs", "votes", "vote_shares", "truth")
        moved = {n: getattr(self, n) for n in per_class if getattr(self, n) is not None}
        return dataclasses.replace(
            self, classes=classes, **{name: of[..., order] for name, of in moved.items()}
        )

    def save(self, path: str | os.PathLike) -> None:
        """Writes the file in one piece; a kill leaves the old file or none.

        Args:
          path: the ``.npz`` file; its folder must exist.

        Raises:
          OSError: if it cannot be written.
        """
        named = ("condition", "split", "corruption", "severity", "classes", "tolerance", "passes")
        arrays: dict[str, Any] = {
            "log_probs": self.log_probs.astype(np.float32),
            "ids": self.ids.astype(np.int64) if self.ids.dtype.kind in "iu" else self.ids,
            "meta": np.array(json.dumps({name: getattr(self, name) for name in named})),
            **{f"features_{name}": value for name, value in self.features.items()},
            **{f"scores_{name}": value for name, value in self.scores.items()},
        }
        for name in ("votes", "vote_shares", "abstentions", "truth", "groups"):
            if getattr(self, name) is not None:
                arrays[name] = getattr(self, name)
        if self.log_concentration is not None:
            arrays["log_concentration"] = self.log_concentration.astype(np.float32)
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        write_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Predictions":
        """Reads a file that :meth:`save` or another framework wrote.

        Args:
          path: the ``.npz`` file; without ``meta``, its name is the condition's.

        Returns:
          Predictions, checked.

        Raises:
          FileNotFoundError: if there is none.
          ValueError: naming the file, if it is not such a file or its arrays do not fit together.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"no predictions at {path}")
        try:
            arrays = read_arrays(path)
        except ValueError as error:
            raise ValueError(
                f"{error}; if an evaluation wrote it, delete it and evaluate again"
            ) from error
        if "" in arrays:
            raise ValueError(
                f"{path}: one bare array; save it by name, np.savez(path, log_probs=...)"
            )
        try:
            return cls.from_arrays(arrays, default_condition=path.stem)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray | None], default_condition: str
    ) -> "Predictions":
        """Builds predictions from the arrays of a file, by the names of the module's table.

        Args:
          arrays: name -> array; ``log_probs`` must be there, items are numbered where ``ids`` is
            not.
          default_condition: name of the condition where ``meta`` does not say.

        Returns:
          Predictions, checked.

        Raises:
          ValueError: if ``log_probs`` is missing, or the arrays do not fit together.
        """
        log_probs = arrays.get("log_probs")
        if log_probs is None:
            raise ValueError(f"no array log_probs; found {', '.join(arrays) or 'nothing'}")
        meta = _read_meta(arrays.get("meta"))
        ids = arrays.get("ids")
        condition = meta.get("condition") or default_condition
        corruption = meta.get("corruption")
        classes = meta.get("classes") or _named_classes(arrays.get("classes"))
        votes = arrays.get("votes")
        abstentions = arrays.get("abstentions")
        if votes is not None and abstentions is None and _has_abstentions(votes, log_probs):
            abstentions = votes[:, -2:]
            votes = votes[:, :-2]

        def named(prefix: str) -> dict[str, np.ndarray]:
            return {
                _OLD_SCORES.get(name, name).removeprefix(prefix): array
                for name, array in arrays.items()
                if name.startswith(prefix) and array is not None
            }

        return cls(
            log_probs=log_probs,
            ids=np.arange(log_probs.shape[1] if log_probs.ndim == 3 else 0) if ids is None else ids,
            votes=votes,
            truth=arrays.get("truth"),
            condition=condition,
            corruption=corruption,
            severity=meta.get("severity"),
            passes=meta.get("passes", 1),
            features=named("features_"),
            scores=named("scores_"),
            groups=arrays.get("groups"),
            split=meta.get("split") or _split_of(condition, corruption),
            abstentions=abstentions,
            classes=None if classes is None else tuple(classes),
            log_concentration=arrays.get("log_concentration"),
            tolerance=meta.get("tolerance"),
            vote_shares=arrays.get("vote_shares"),
        )


SEVERITIES = range(1, 6)
"""How strong a corruption may be."""


def _is_severity(value: Any) -> bool:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return whole and value in SEVERITIES


def _named_classes(names: np.ndarray | None) -> tuple[str, ...] | None:
    if names is None:
        return None
    if names.ndim != 1 or names.dtype.kind != "U":
        raise ValueError(f"classes must be [class] names, got {names.dtype} {names.shape}")
    return tuple(names.tolist())


def _read_meta(meta: np.ndarray | None) -> dict[str, Any]:
    """What the JSON text of a file says, once it says it in the right types."""
    if meta is None:
        return {}
    if meta.ndim or meta.dtype.kind != "U":
        raise ValueError(f"meta must be one JSON text, got {meta.dtype} {meta.shape}")
    try:
        return _checked_meta(parse_json(str(meta)))
    except ValueError as error:
        raise ValueError(f"meta: {error}") from error


def _checked_meta(meta: Any) -> dict[str, Any]:
    if not isinstance(meta, dict):
        raise ValueError(f"it must be a JSON object, got {meta!r}")
    for name in ("condition", "split", "corruption", "tolerance"):
        if not isinstance(meta.get(name), str | None):
            raise ValueError(f"{name} must be text, got {meta[name]!r}")
    passes = meta.get("passes", 1)
    if type(passes) is not int or passes < 1:
        raise ValueError(f"passes must be a whole number, at least 1, got {passes!r}")
    classes = meta.get("classes")
    named = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    if classes is not None and not named:
        raise ValueError(f"classes must be a list of names, got {classes!r}")
    return meta


def _has_abstentions(votes: np.ndarray, log_probs: np.ndarray) -> bool:
    """Whether two columns of abstentions stand behind the votes, as in version 0.1.0."""
    return votes.ndim == 2 and log_probs.ndim == 3 and votes.shape[1] == log_probs.shape[2] + 2


def _split_of(condition: str, corruption: str | None) -> str:
    """The split of a file that does not name it, from the condition's name, as in version 0.1.0."""
    if condition == "valid" or (condition.startswith("valid_") and corruption is not None):
        return "valid"
    return "test" if condition == "test" or corruption is not None else "ood"
