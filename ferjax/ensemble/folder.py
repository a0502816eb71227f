"""A run's folder: the files in it, and the lock that keeps it to one live process.

=========================  ========================================================================
file                       what it holds
=========================  ========================================================================
``config.json``            the configuration
``data.json``              classes and stored side of the data
``prior.json``             how frequent each class is among the training targets
``layout.json``            how many members a device computes at once, where not all of them
``checkpoints/``           the newest states, see :mod:`ferjax.ensemble.checkpoint`
``metrics.jsonl``          the log, see :mod:`ferjax.ensemble.log`
``ended.json``             how it ended, see :mod:`ferjax.ensemble.ending`
``trunk.safetensors``      the frozen trunk, where one is shared
``teacher.safetensors``    what an ensemble says of the training faces, where it is distilled
``densities.safetensors``  after an evaluation, see :mod:`ferjax.ensemble.densities`
=========================  ========================================================================
"""

import dataclasses
import errno
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from ferjax.config import Config, load_config
from ferjax.faces import ferplus
from ferjax.faces.spec import DataSpec
from ferjax.files import read_json, write_atomically
from ferjax.locking import FolderLock

__all__ = ["RunFolder", "changed_settings", "require_members", "require_other_seeds"]


def changed_settings(was: Config, now: Config) -> list[str]:
    """Settings of data, model and training that differ, as ``train.epochs 3 -> 4``.

    Evaluation and how checkpoints are kept are free to change.
    """
    changed = []
    for part in ("data", "model", "train"):
        old = dataclasses.asdict(getattr(was, part))
        new = dataclasses.asdict(getattr(now, part))
        free = ("checkpoint_every", "keep_checkpoints") if part == "train" else ()
        changed += [
            f"{part}.{k} {old[k]} -> {new[k]}" for k in old if old[k] != new[k] and k not in free
        ]
    return changed


def require_members(chosen: Sequence[int], count: int) -> None:
    """Refuses members that a run has not, or one that is named twice.

    Args:
      chosen: which, from 0.
      count: how many the run has.

    Raises:
      ValueError: saying which there are.
    """
    if not chosen or len(set(chosen)) < len(chosen) or not all(0 <= k < count for k in chosen):
        raise ValueError(
            f"members must be different ones of 0..{count - 1}, and at least one; got "
            f"{' '.join(map(str, chosen)) or 'none'}"
        )


def require_other_seeds(path: Path, seeds: Sequence[int], config: Config) -> None:
    """Refuses seeds of new members that a run's members have already.

    Raises:
      ValueError: naming them.
    """
    both = sorted(set(seeds) & set(config.train.seeds))
    if both:
        raise ValueError(f"{path} has members with the seeds {both} already")


class RunFolder:
    """A run folder: read it, or ``open`` it to write and ``close`` it afterwards.

    The lock is the kernel's and ends with the process, however that ends.
    """

    def __init__(self, path: Path):
        self.path = path
        self._lock = FolderLock(path)

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints are."""
        return self.path / "checkpoints"

    @property
    def log(self) -> Path:
        """The metrics, a JSON line per interval."""
        return self.path / "metrics.jsonl"

    @property
    def trunk(self) -> Path:
        """The frozen trunk all members share, if there is one."""
        return self.path / "trunk.safetensors"

    @property
    def teacher(self) -> Path:
        """What an ensemble says of the training faces, if this is a student of it."""
        return self.path / "teacher.safetensors"

    @property
    def shared(self) -> dict[str, Path]:
        """The files there are that belong to all members together."""
        named = {"frozen trunks": self.trunk, "teachers": self.teacher}
        return {name: path for name, path in named.items() if path.is_file()}

    def config(self) -> Config:
        """The run's configuration.

        Raises:
          FileNotFoundError: if the folder is no run.
          ValueError: if the file is no configuration.
        """
        path = self.path / "config.json"
        if not path.is_file():
            raise FileNotFoundError(
                f"{self.path} is not a run: it holds no config.json (make one with `ferjax train`)"
            )
        return load_config(path)

    def spec(self) -> DataSpec:
        """Classes and stored side of the run's data.

        Runs of version 0.1.0 did not write them; they are of FER+, or of faces drawn like it.

        Raises:
          ValueError: if the file holds something else.
        """
        path = self.path / "data.json"
        if not path.is_file():
            return ferplus.SPEC
        try:
            return DataSpec.from_json(read_json(path, "description of data"))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path}: not a description of data: {error}") from error

    def prior(self) -> tuple[float, ...] | None:
        """Shares of the classes that the members were trained under; None: a run of a version that
        did not keep them.

        Raises:
          ValueError: if the file says something else.
        """
        path = self.path / "prior.json"
        if not path.is_file():
            return None
        values = read_json(path, "training prior")
        classes = self.spec().classes
        shares = values.get("shares") if isinstance(values, dict) else None
        try:
            if not isinstance(shares, dict) or list(shares) != list(classes):
                raise ValueError(f"expected a share for each of {', '.join(classes)}")
            return tuple(float(share) for share in shares.values())
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: not a training prior: {error}") from error

    def keep_prior(self, shares: Sequence[float]) -> None:
        """Writes what :meth:`prior` reads; ``shares [class]``."""
        text = json.dumps({"shares": dict(zip(self.spec().classes, shares))}, indent=1) + "\n"
        write_atomically(self.path / "prior.json", text.encode())

    def chunk(self) -> int | None:
        """How many members a device computes at once in this run; None for all of them.

        Raises:
          ValueError: if the file says something else.
        """
        path = self.path / "layout.json"
        if not path.is_file():
            return None
        try:
            found = json.loads(path.read_text())["chunk"]
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path}: does not say chunk: {error}") from error
        if found is not None and (type(found) is not int or found < 1):
            raise ValueError(f"{path}: chunk must be a number from 1 or null, got {found!r}")
        return found

    def keep_chunk(self, chunk: int | None) -> None:
        """Writes what :meth:`chunk` reads; nothing where nothing need be kept."""
        if chunk is None and self.chunk() is None:
            return
        text = json.dumps({"chunk": chunk}) + "\n"
        write_atomically(self.path / "layout.json", text.encode())

    def write_description(self, config: Config, spec: DataSpec) -> None:
        """Writes what :meth:`config` and :meth:`spec` read."""
        spec_text = json.dumps(spec.to_json(), indent=2) + "\n"
        write_atomically(self.path / "data.json", spec_text.encode())
        write_atomically(self.path / "config.json", config.to_json().encode())

    def open(self, config: Config, spec: DataSpec, *, resume: bool, needed: int = 0) -> None:
        """Takes the folder for a run.

        Args:
          config: what will be trained.
          spec: of the data it will be trained on.
          resume: whether the folder holds this run's beginning; otherwise it must be new or empty.
          needed: bytes that will be written.

        Raises:
          FileExistsError: if the folder holds something else, or a live process works in it.
          FileNotFoundError: if there is nothing to resume.
          ValueError: if the run was configured differently, or its disk cannot take it.
          PermissionError: if the folder cannot be written.
        """
        try:
            self.check(config, spec, resume=resume)
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.take()
            self.check(config, spec, resume=resume)
            free = shutil.disk_usage(self.path).free
            if free < needed:
                raise ValueError(
                    f"{self.path} needs about {needed / 2**20:,.0f} MiB for checkpoints, "
                    f"its disk has {free / 2**20:,.0f} MiB left"
                )
            # Left by a process that was killed while it wrote a file.
            for stray in self.path.glob(".*.[0-9]*"):
                stray.unlink()
            self.write_description(config, spec)
        except OSError as error:
            self.close()
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise PermissionError(f"cannot write to {self.path}: {error.strerror}") from error
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise ValueError(f"cannot write to {self.path}: {error.strerror}") from error
            raise
        except ValueError:
            self.close()
            raise

    @property
    def in_use(self) -> bool:
        """Whether a live process trains in it."""
        return self._lock.held

    @property
    def owner(self) -> str:
        """The process that works in it, e.g. ``process 12 on host``."""
        return self._lock.owner

    @property
    def left_locked(self) -> bool:
        """Whether the process that worked in it is gone without giving it back."""
        return bool(self.owner) and not self.in_use

    def check(self, config: Config, spec: DataSpec | None = None, *, resume: bool) -> None:
        """Whether :meth:`open` would take the folder, before long work; raises what it would raise.

        Args:
          config: what will be trained.
          spec: of the data, once they are known.
          resume: whether the folder holds this run's beginning.
        """
        if self.path.exists() and not self.path.is_dir():
            raise FileExistsError(f"{self.path} is a file; a run needs a folder")
        inside = self._inside()
        if not resume:
            self.require_new()
        elif "config.json" in inside:
            was = self.config()
            changed = changed_settings(was, config)
            if config.train.epochs > was.train.epochs:  # a run may become longer
                changed = [setting for setting in changed if "train.epochs " not in setting]
            if changed:
                raise ValueError(
                    f"cannot resume {self.path} with another configuration: {'; '.join(changed)} "
                    "(of these only train.epochs may change, and only grow)"
                )
            if spec is not None and self.spec() != spec:
                raise ValueError(
                    f"cannot resume {self.path} with other data: it has {self.spec()}, these are "
                    f"{spec}"
                )
        elif inside - {"data.json"} or not self.path.is_dir():
            # An empty one is a run that was killed before it wrote anything.
            raise FileNotFoundError(f"cannot resume {self.path}: it holds no config.json")

    def require_new(self) -> None:
        """Refuses a folder that holds something already.

        Raises:
          FileExistsError: if it does.
        """
        if self._inside():
            raise FileExistsError(
                f"{self.path} exists and is not empty; continue it with --resume, or choose "
                "another folder"
            )

    def _inside(self) -> set[str]:
        if not self.path.is_dir():
            return set()
        return {path.name for path in self.path.iterdir() if not path.name.startswith(".")}

    def close(self) -> None:
        """Gives the folder back."""
        self._lock.release()
