"""The faces of a run, ready for training: filtered, with targets, and with their natural
out-of-distribution sets."""

import hashlib
from typing import NamedTuple

import numpy as np

from ferjax.config import DataConfig
from ferjax.faces import ferplus, synthetic, votes

__all__ = ["Faces", "count", "duplicates", "load"]


class Faces(NamedTuple):
    """Voted faces.

    ``images`` uint8 ``[face, 48, 48]``; ``votes`` ``[face, 10]``; ``ids [face]`` whole numbers,
    unique over all splits; ``q [face, 8]`` training target; ``truth [face, 8]`` the true p(y |
    face) where it is known.
    """

    images: np.ndarray
    votes: np.ndarray
    ids: np.ndarray
    q: np.ndarray
    truth: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> "Faces":
        """The faces at these rows."""
        return Faces(*(None if part is None else part[rows] for part in self))


def _digests(images: np.ndarray) -> np.ndarray:
    return np.array(
        [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images], dtype="S16"
    )


def duplicates(images: np.ndarray) -> np.ndarray:
    """Group number of each picture, ``[face]``; pixel-identical pictures share one."""
    return np.unique(_digests(images), return_inverse=True)[1]


def count(splits: dict[str, tuple[np.ndarray, np.ndarray | None]]) -> dict:
    """What a data set holds: rows, faces kept per policy, natural out-of-distribution sets,
    ambiguous faces, duplicates.

    Args:
      splits: name -> (votes ``[face, 10]``, images ``[face, H, W]`` or None).
    """
    counts: dict = {}
    for name, (vote, _) in splits.items():
        kept = votes.targets(vote)
        ambiguous, clear = votes.ambiguity(kept.q[kept.keep])
        counts[name] = {
            "rows": len(vote),
            **{policy: int(votes.targets(vote, policy).keep.sum()) for policy in votes.POLICIES},
            "ambiguous": int(ambiguous.sum()),
            "clear": int(clear.sum()),
            "not a face": int(votes.not_a_face(vote).sum()),
            "unknown": int(votes.unknown_expression(vote).sum()),
        }
    if all(images is not None for _, images in splits.values()):
        digests = {
            name: _digests(images) for name, (_, images) in splits.items() if images is not None
        }
        for name, own in digests.items():
            others = np.concatenate([d for n, d in digests.items() if n != name])
            counts[name]["repeats within split"] = int(len(own) - len(np.unique(own)))
            counts[name]["twin in another split"] = int(np.isin(own, others).sum())
    return counts


def load(config: DataConfig) -> dict[str, Faces]:
    """Loads the faces of a run.

    Args:
      config: which data, which policy, whether training copies of valid and test faces are dropped.

    Returns:
      ``train``, ``valid`` and ``test`` as kept by the policy, and ``not_a_face`` and ``unknown``:
      the faces of all splits that people could not or would not name (their ``q`` is 0).

    Raises:
      FileNotFoundError: if the data set is not there.
      ValueError: if a split is empty after filtering.
    """
    if config.name == "synthetic":
        sizes = {
            "train": config.synthetic_faces,
            "valid": config.synthetic_faces // 5,
            "test": config.synthetic_faces // 5,
        }
        images, vote, truth = synthetic.make(sum(sizes.values()), config.seed)
        bounds = np.cumsum([0, *sizes.values()])
        rows = {name: np.arange(bounds[i], bounds[i + 1]) for i, name in enumerate(sizes)}
        raw = {
            n: Faces(images[r], vote[r], r, np.zeros((len(r), 8), np.float32), truth[r])
            for n, r in rows.items()
        }
    else:
        raw = {
            name: Faces(
                s["image"],
                s["votes"].astype(np.int64),
                s["id"],
                np.zeros((len(s["id"]), 8), np.float32),
            )
            for name, s in ferplus.read(config.path).items()
        }

    kept = {}
    for name, faces in raw.items():
        target = votes.targets(faces.votes, config.policy)
        kept[name] = faces._replace(q=target.q).take(target.keep)
    if config.deduplicate:
        held_out = np.concatenate([_digests(kept[name].images) for name in ("valid", "test")])
        kept["train"] = kept["train"].take(~np.isin(_digests(kept["train"].images), held_out))
    for name, faces in kept.items():
        if not len(faces.ids):
            raise ValueError(f"split {name} has no face left under policy {config.policy!r}")
    for name, test in (("not_a_face", votes.not_a_face), ("unknown", votes.unknown_expression)):
        parts = [faces.take(test(faces.votes)) for faces in raw.values()]
        joined = [None if column[0] is None else np.concatenate(column) for column in zip(*parts)]
        kept[name] = Faces(*joined)
    return kept
