"""The file between the ensemble and everything after it: member log-probabilities of one condition.

A ``.npz`` file, one per condition (the clean test split, one corruption at one severity, a folder
of strangers), readable with numpy alone and writable from any framework:

===============  =====================  =========================================================================
name             shape, dtype           meaning
===============  =====================  =========================================================================
``log_probs``    [member, face, class]  float32 natural-log probabilities, normalised over classes
``ids``          [face] int64           the same face has the same id in every condition
``votes``        [face, 10] (optional)  whole crowd votes: eight classes (or C others), then unknown and NF
``truth``        [face, class] (opt.)   the true p(y | face), where the data are drawn
``meta``         JSON text              ``condition``, and ``corruption``/``severity`` where it is one; free otherwise
``features_*``   [..., face, width]     optional features for density scores, by name
``scores_*``     [face]                 optional further scores by name; larger must mean more uncertain
``groups``       [face] (optional)      whole numbers; equal ones are pictures of one thing (pixel-identical copies, frames
                                        of one video), which the bootstrap draws together
===============  =====================  =========================================================================
"""

import dataclasses
import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

__all__ = ["Predictions", "read_arrays", "write_atomically"]


def write_atomically(path: str | os.PathLike, data: bytes) -> None:
    """Writes a file that is either the old one or the new one, whole, whatever happens in
    between."""
    path = Path(path)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(scratch, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def read_arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Arrays of an ``.npz`` by name; the one of an ``.npy`` under the empty name. No pickle is
    opened.

    Raises:
      ValueError: if the file is neither, or damaged; names it.
    """
    try:
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            return (
                {"": loaded}
                if isinstance(loaded, np.ndarray)
                else {name: loaded[name] for name in loaded.files}
            )
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        # numpy takes whatever is not its own for a pickle, and offers to open it.
        why = "not one of numpy's files" if "pickle" in str(error) else str(error)
        raise ValueError(f"{path}: neither .npz nor .npy, or damaged ({why})") from error


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Member log-probabilities of one condition; see the module's table for shapes."""

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

    def __post_init__(self) -> None:
        if self.log_probs.ndim != 3:
            raise ValueError(
                f"log_probs must be [member, face, class], got shape {self.log_probs.shape}"
            )
        faces = self.log_probs.shape[1]
        if self.ids.shape != (faces,):
            raise ValueError(f"ids must be [face] ({faces},), got {self.ids.shape}")
        for name in ("votes", "truth"):
            value = getattr(self, name)
            if value is not None and (value.ndim != 2 or len(value) != faces):
                raise ValueError(
                    f"{name} must have one row for each of {faces} faces, got {value.shape}"
                )
        classes = self.log_probs.shape[2]
        if self.votes is not None and self.votes.shape[1] != classes + 2:
            raise ValueError(
                f"votes must have {classes} columns for the classes of log_probs, then unknown and NF; got {self.votes.shape}"
            )
        for name, value in self.features.items():
            if value.ndim < 2 or value.shape[-2] != faces:
                raise ValueError(
                    f"features {name!r} must be [..., face, width] with {faces} faces, got {value.shape}"
                )
        per_face = {f"scores {name!r}": value for name, value in self.scores.items()}
        if self.groups is not None:
            per_face["groups"] = self.groups
        for name, value in per_face.items():
            if value.shape != (faces,):
                raise ValueError(f"{name} must be [face] ({faces},), got {value.shape}")
        sums = np.exp(self.log_probs.astype(np.float64)).sum(-1)
        bad = ~(np.abs(sums - 1) < 1e-3)
        if bad.any():
            member, face = np.argwhere(bad)[0]
            raise ValueError(
                f"log_probs of member {member}, face {face} sum to {sums[member, face]:.4g} after exp, "
                "expected 1: these are not log-probabilities"
            )

    def save(self, path: str | os.PathLike) -> None:
        """Writes the file in one piece; a kill leaves the old file or none."""
        import io

        meta = {
            "condition": self.condition,
            "corruption": self.corruption,
            "severity": self.severity,
        }
        arrays = {
            "log_probs": self.log_probs.astype(np.float32),
            "ids": self.ids.astype(np.int64),
            "meta": np.array(json.dumps(meta)),
            **{f"features_{name}": value for name, value in self.features.items()},
            **{f"scores_{name}": value for name, value in self.scores.items()},
        }
        for name in ("votes", "truth", "groups"):
            if getattr(self, name) is not None:
                arrays[name] = getattr(self, name)
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        write_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Predictions":
        """Reads a file that :meth:`save` or another framework wrote.

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
        if "log_probs" not in arrays:
            raise ValueError(f"{path}: no array log_probs; found {', '.join(arrays) or 'nothing'}")
        try:
            return cls.from_arrays(arrays, default_condition=path.stem)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray | None], default_condition: str
    ) -> "Predictions":
        """Builds predictions from the arrays of a file, by the names of the module's table.

        Raises:
          ValueError: if they do not fit together.
        """
        meta = json.loads(str(arrays.get("meta", "{}")))
        if not isinstance(meta, dict):
            raise ValueError(f"meta must be a JSON object, got {meta!r}")
        log_probs = arrays["log_probs"]
        ids = arrays.get("ids")
        assert log_probs is not None

        def named(prefix: str) -> dict[str, np.ndarray]:
            return {
                name.removeprefix(prefix): of
                for name, of in arrays.items()
                if name.startswith(prefix) and of is not None
            }

        return cls(
            log_probs=log_probs,
            ids=np.arange(log_probs.shape[1] if log_probs.ndim == 3 else 0) if ids is None else ids,
            votes=arrays.get("votes"),
            truth=arrays.get("truth"),
            condition=meta.get("condition", default_condition),
            corruption=meta.get("corruption"),
            severity=meta.get("severity"),
            features=named("features_"),
            scores=named("scores_"),
            groups=arrays.get("groups"),
        )
