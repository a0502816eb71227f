"""The data set of a run: filtered splits with training targets, and out-of-distribution sets.

A new data set is a function ``DataConfig -> Source`` and an entry of :data:`SOURCES`.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ferjax import votes as vote_arithmetic
from ferjax.config import DataConfig
from ferjax.faces import ferplus, ferplus_files, picture_dataset, synthetic
from ferjax.faces.spec import DataSpec

__all__ = ["SOURCES", "DataSpec", "Dataset", "Faces", "Source", "count", "duplicates", "load"]


class Faces(NamedTuple):
    """Voted faces.

    Attributes:
      images: uint8 ``[face, side, side]`` gray, or ``[face, side, side, 3]`` colour.
      votes: int64 ``[face, class]`` counts.
      ids: ``[face]`` whole numbers, unique over all splits.
      q: float32 ``[face, class]`` training target; 0 for faces that no label filter has kept.
      truth: float32 ``[face, class]`` the true p(class | face), where it is known.
      abstentions: int64 ``[face, kind]`` annotators who chose no class, by kind, where known.
    """

    images: np.ndarray
    votes: np.ndarray
    ids: np.ndarray
    q: np.ndarray
    truth: np.ndarray | None = None
    abstentions: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> "Faces":
        """The faces at ``rows``: whole numbers, or bool ``[face]``."""
        return Faces._make(None if part is None else part[rows] for part in self)


@dataclass(frozen=True)
class Dataset:
    """Everything a run trains and is evaluated on.

    Attributes:
      spec: names of the classes and stored side.
      splits: ``train``, ``valid`` and ``test``, as kept by the label filter.
      ood: out-of-distribution sets of all splits by name, possibly empty; their ``q`` is 0.
    """

    spec: DataSpec
    splits: Mapping[str, Faces]
    ood: Mapping[str, Faces]

    def __getitem__(self, name: str) -> Faces:
        """The split, or else the out-of-distribution set, of this name.

        Raises:
          KeyError: if there is neither.
        """
        known = {**self.ood, **self.splits}
        if name not in known:
            raise KeyError(f"no split or set {name!r}; known: {', '.join(known)}")
        return known[name]


class Source(NamedTuple):
    """Where faces come from, and what their votes mean.

    Attributes:
      spec: names of the classes, stored side and colour.
      splits: all faces of each split, unfiltered.
      targets: ``(votes, abstentions, label filter) -> Targets``.
      ood: name -> which faces form that out-of-distribution set: ``(abstentions, votes) -> bool
        [face]``.
    """

    spec: DataSpec
    splits: Mapping[str, Faces]
    targets: Callable[[np.ndarray, np.ndarray, str], ferplus.Targets]
    ood: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]


def _draw(config: DataConfig) -> Source:
    held_out = config.synthetic_faces // 5
    sizes = {"train": config.synthetic_faces, "valid": held_out, "test": held_out}
    drawn = synthetic.make(sum(sizes.values()), config.seed)
    no_target = np.zeros(drawn.votes.shape, np.float32)
    ids = np.arange(len(drawn.images))
    faces = Faces(drawn.images, drawn.votes, ids, no_target, drawn.truth, drawn.abstentions)
    ends = np.cumsum(list(sizes.values()))
    splits = {n: faces.take(np.arange(end - sizes[n], end)) for n, end in zip(sizes, ends)}
    return Source(ferplus.SPEC, splits, ferplus.targets, _OOD)


def _read_ferplus(config: DataConfig) -> Source:
    splits = {}
    for name, rows in ferplus_files.read(config.path).items():
        assert rows.images is not None
        no_target = np.zeros(rows.votes.shape, np.float32)
        splits[name] = Faces(
            rows.images, rows.votes, rows.ids, no_target, abstentions=rows.abstentions
        )
    return Source(ferplus.SPEC, splits, ferplus.targets, _OOD)


def _read_folder(config: DataConfig) -> Source:
    spec, kinds, stored = picture_dataset.load(config.path)
    splits = {
        name: Faces(
            of.images,
            of.votes,
            of.ids,
            np.zeros(of.votes.shape, np.float32),
            abstentions=of.abstentions,
        )
        for name, of in stored.items()
    }

    def targets(votes: np.ndarray, abstentions: np.ndarray, label_filter: str) -> ferplus.Targets:
        return ferplus.Targets(*picture_dataset.targets(votes, abstentions, label_filter))

    def chosen(kind: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        def belongs(abstentions: np.ndarray, votes: np.ndarray) -> np.ndarray:
            everyone = abstentions.sum(1) + votes.sum(1)
            return 2 * abstentions[:, kind] >= np.maximum(everyone, 1)

        return belongs

    ood = {name.replace(" ", "_"): chosen(kind) for kind, name in enumerate(kinds)}
    return Source(spec, splits, targets, ood)


_OOD = {
    "not_a_face": lambda abstentions, votes: ferplus.not_a_face(abstentions),
    "unknown": lambda abstentions, votes: ferplus.unknown_expression(abstentions),
}
SOURCES: dict[str, Callable[[DataConfig], Source]] = {
    "synthetic": _draw,
    "ferplus": _read_ferplus,
    "folder": _read_folder,
}
"""The data sets by their name in :class:`ferjax.config.DataConfig`."""


def load(config: DataConfig) -> Dataset:
    """Loads the data set of a run.

    Args:
      config: which data and label filter, and whether training faces that are pixel-identical to
        a valid or test face are dropped.

    Returns:
      :class:`Dataset`; its out-of-distribution sets are the faces of all splits that annotators
      could not name (``unknown``) or that show none (``not_a_face``).

    Raises:
      FileNotFoundError: if the data set is not there.
      ValueError: if a split is empty after filtering, or the data are no pictures.
    """
    if config.name not in SOURCES:
        raise ValueError(
            f"data.name {config.name} has no pictures; texts are judged by `ferjax judge predict`"
        )
    source = SOURCES[config.name](config)
    every = source.splits
    splits = {}
    for name, faces in every.items():
        target = source.targets(faces.votes, _abstentions(faces), config.policy)
        splits[name] = faces._replace(q=target.q).take(target.keep)
    if config.deduplicate:
        held_out = np.concatenate([_digests(splits[name].images) for name in ("valid", "test")])
        splits["train"] = splits["train"].take(~np.isin(_digests(splits["train"].images), held_out))
    for name, faces in splits.items():
        if not len(faces.ids):
            raise ValueError(f"split {name} has no face left under label filter {config.policy!r}")
    ood = {
        name: _join(
            [faces.take(belongs(_abstentions(faces), faces.votes)) for faces in every.values()]
        )
        for name, belongs in source.ood.items()
    }
    return Dataset(source.spec, splits, ood)


def _abstentions(faces: Faces) -> np.ndarray:
    """``[face, kind]``, of no kind where nobody could abstain."""
    none = np.zeros((len(faces.ids), 0), np.int64)
    return none if faces.abstentions is None else faces.abstentions


def _join(parts: Sequence[Faces]) -> Faces:
    return Faces._make(
        None if column[0] is None else np.concatenate(column) for column in zip(*parts)
    )


def _digests(images: np.ndarray) -> np.ndarray:
    return np.array(
        [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images], dtype="S16"
    )


def duplicates(images: np.ndarray) -> np.ndarray:
    """Groups of pixel-identical pictures.

    Args:
      images: uint8 ``[face, side, side]`` or ``[face, side, side, 3]``.

    Returns:
      int64 ``[face]`` group number; pixel-identical pictures share one.

    >>> duplicates(np.array([[[1]], [[0]], [[1]]], np.uint8)).tolist() in ([0, 1, 0], [1, 0, 1])
    True
    """
    return np.unique(_digests(images), return_inverse=True)[1]


def count(splits: Mapping[str, ferplus_files.Rows]) -> dict[str, dict[str, int]]:
    """Counts what FER+ rows hold, before any label filter.

    Args:
      splits: rows of each split, with or without images.

    Returns:
      For each split: rows, faces kept by each label filter, ambiguous and clear faces among those
      the paper keeps, faces in each out-of-distribution set, and, where all have images,
      duplicates within the split and in the other ones.
    """
    counts: dict[str, dict[str, int]] = {}
    for name, rows in splits.items():
        kept = {
            label_filter: ferplus.targets(rows.votes, rows.abstentions, label_filter)
            for label_filter in ferplus.LABEL_FILTERS
        }
        ambiguity = vote_arithmetic.ambiguity(kept["paper"].q[kept["paper"].keep])
        counts[name] = {
            "rows": len(rows.votes),
            **{label_filter: int(target.keep.sum()) for label_filter, target in kept.items()},
            "ambiguous": int(ambiguity.ambiguous.sum()),
            "clear": int(ambiguity.clear.sum()),
            "not a face": int(ferplus.not_a_face(rows.abstentions).sum()),
            "unknown": int(ferplus.unknown_expression(rows.abstentions).sum()),
        }
    digests = {n: _digests(rows.images) for n, rows in splits.items() if rows.images is not None}
    if len(digests) == len(splits):
        for name, own in digests.items():
            others = np.concatenate([d for n, d in digests.items() if n != name] or [own[:0]])
            counts[name]["duplicates within split"] = int(len(own) - len(np.unique(own)))
            counts[name]["duplicates in another split"] = int(np.isin(own, others).sum())
    return counts
