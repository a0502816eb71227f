"""Checkpoints of the stacked state, through Orbax: asynchronous, atomic, newest n kept.

The only file that knows Orbax. Every leaf is stored as ``[M, ...]``, behind it whatever padding the
layout had, which :func:`read` drops: a run trained on eight devices opens on one, and the reverse.
Beside the state lies a checksum of every part, so that a checkpoint damaged on disk is named and
passed over instead of believed. Readers take the parts they need; prediction reads no optimiser.
"""

import contextlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from ferjax.events import Message, OnEvent, silent
from ferjax.files import read_json

__all__ = ["Checkpoints", "about", "checksums", "holds", "read", "size", "steps", "without_keys"]

Tree = Any
_ITEM = "default"
_SUMS = "checksums"
_OLD_PARTS = {"health": "status", "tally": "means"}
"""Parts of a state that version 0.1.0 stored under another name."""

# Orbax logs every save through absl, and errors with tracebacks; what matters is raised here, in
# words.
logging.getLogger("absl").setLevel(logging.CRITICAL)


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def without_keys(tree: Tree) -> Tree:
    """Typed random keys to their raw data, which is what can be stored."""
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, tree)


def size(state: Any) -> int:
    """Bytes of a NamedTuple of arrays, or of their shapes and types."""
    leaves = jax.tree.leaves(jax.eval_shape(without_keys, state))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)


def _sum(tree: Tree) -> Any:
    """A checksum of every member, uint32 ``[M]``: the sum of its 32-bit words, of jax or numpy."""
    total: Any = 0
    for leaf in jax.tree.leaves(tree):
        words = leaf.view(np.uint32) if leaf.dtype.itemsize == 4 else leaf.astype(np.uint32)
        total = total + words.reshape(len(leaf), -1).sum(-1, dtype=np.uint32)
    return total


@jax.jit
def checksums(parts: dict[str, Tree]) -> dict[str, jax.Array]:
    """Checksums of the parts of a state, each ``[M]``, computed where the members live."""
    return {name: _sum(tree) for name, tree in without_keys(parts).items() if jax.tree.leaves(tree)}


class Checkpoints:
    """Writes the checkpoints of one run, by step.

    With several processes all of them call, and each writes what it holds. ``about`` are JSON
    values kept beside the arrays of each, see :func:`about`.
    """

    def __init__(self, folder: Path, keep: int = 2, about: Mapping[str, Any] | None = None):
        self.folder = folder.absolute()
        self._about = None if about is None else dict(about)
        self._manager = ocp.CheckpointManager(
            self.folder,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=keep, create=True, cleanup_tmp_directories=True
            ),
        )

    @property
    def busy(self) -> bool:
        """Whether the last save is still on its way to disk."""
        return self._manager.is_saving_in_progress()

    def save(self, step: int, state: Any) -> None:
        """Starts saving a NamedTuple of stacked trees; returns as soon as the arrays are copied.

        Raises:
          OSError: if this or the save before it could not be written, e.g. to a full disk.
        """
        parts = {name: part for name, part in state._asdict().items() if jax.tree.leaves(part)}
        stored = without_keys({**parts, _SUMS: checksums(parts)})
        with _in_words(self.folder):
            self._manager.save(
                step, args=ocp.args.PyTreeSave(stored), force=True, custom_metadata=self._about
            )

    def wait(self) -> None:
        """Waits until everything started is on disk; raises OSError if it cannot be."""
        with _in_words(self.folder):
            self._manager.wait_until_finished()
            self._manager.check_for_errors()

    def close(self) -> None:
        """Waits, and lets go of the folder."""
        try:
            self.wait()
        finally:
            self._manager.close()

    def discard_after(self, step: int) -> None:
        """Removes checkpoints newer than a step: they are damaged, or will be written again."""
        for newer in steps(self.folder):
            if newer > step:
                self._manager.delete(newer)


@contextlib.contextmanager
def _in_words(folder: Path) -> Iterator[None]:
    """Turns what storage libraries raise into an OSError that names the newest whole checkpoint."""
    try:
        yield
    except Exception as error:
        whole = steps(folder)
        newest = f"the newest whole one is of step {whole[-1]}" if whole else "there is none yet"
        raise OSError(
            f"could not write a checkpoint to {folder}: {_cause(error)}; {newest}"
        ) from error


_CAUSES = (
    "No space left on device",
    "Disk quota exceeded",
    "Read-only file system",
    "Permission denied",
    "File too large",
)


def _cause(error: BaseException) -> str:
    """What people can use of a storage library's message."""
    text = " ".join(str(error).split()) or type(error).__name__
    return next(
        (cause for cause in _CAUSES if cause in text),
        text if len(text) < 300 else f"... {text[-300:]}",
    )


def steps(folder: Path) -> list[int]:
    """Steps of the finished checkpoints, oldest first."""
    # A half-written one still has its temporary name.
    return (
        sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())
        if folder.is_dir()
        else []
    )


def about(folder: Path, step: int) -> dict[str, Any] | None:
    """What the checkpoint of a step says about itself; None for one of an earlier version.

    Raises:
      ValueError: if that is damaged.
    """
    path = folder / str(step) / "_CHECKPOINT_METADATA"
    try:
        told = read_json(path, "description of a checkpoint").get("custom_metadata")
    except FileNotFoundError:
        return None
    except AttributeError as error:
        raise ValueError(f"{path}: damaged") from error
    if not told:
        return None
    if not isinstance(told, dict) or set(told) < {"config", "data", "shared"}:
        raise ValueError(f"{path}: damaged")
    return told


def _structure(item: Path) -> dict[str, Any]:
    with ocp.PyTreeCheckpointer() as reader:
        metadata = reader.metadata(item).item_metadata
    if metadata is None:
        raise ValueError("its list of arrays cannot be read")
    return dict(metadata.tree)


def holds(folder: Path, part: str) -> bool:
    """Whether any checkpoint stores a part of this name, or of its old one."""
    for step in steps(folder):
        try:
            stored = _structure(folder.absolute() / str(step) / _ITEM)
            if part in {_OLD_PARTS.get(name, name) for name in stored}:
                return True
        except Exception:  # a damaged one says nothing either way
            continue
    return False


def _host(leaf: Any) -> ocp.RestoreArgs:
    del leaf
    return ocp.RestoreArgs(restore_type=np.ndarray)


def _read_step(folder: Path, step: int, wanted: Mapping[str, Tree] | None) -> dict[str, Tree]:
    """The wanted parts (all by default), structured as their trees, or as stored where None."""
    item = folder.absolute() / str(step) / _ITEM
    stored = _structure(item)
    names = {name: _OLD_PARTS.get(name, name) for name in stored}
    tree = {}
    for name, new in names.items():
        if wanted is None or new in wanted or new == _SUMS:
            given = None if wanted is None else wanted.get(new)
            tree[name] = stored[name] if given is None else given
    with ocp.PyTreeCheckpointer() as reader:
        got = reader.restore(
            item,
            args=ocp.args.PyTreeRestore(
                item=tree,
                restore_args=jax.tree.map(_host, tree),
                partial_restore=len(tree) < len(stored),
            ),
        )
    for name, expected in got.pop(_SUMS, {}).items():
        if name in got and not np.array_equal(_sum(got[name]), expected):
            raise ValueError(f"checksum of {name} does not match")
    return {names[name]: part for name, part in got.items()}


def read(
    folder: Path,
    members: int,
    *,
    parts: Iterable[str] | None = None,
    like: Any = None,
    step: int | None = None,
    on_event: OnEvent = silent,
) -> tuple[int, Any]:
    """Reads the newest whole checkpoint into host memory.

    Args:
      folder: the run's ``checkpoints``.
      members: M; rows beyond are padding and dropped.
      parts: top-level parts to read, those of them that are there; all by default.
      like: a state, or its ``jax.eval_shape``, whose parts to read and whose type and structure to
        give back; without it, nested dicts by name.
      step: which one; by default the newest that is whole.
      on_event: told of each damaged one that was passed over.

    Returns:
      The step, and the state ``[M, ...]`` in numpy arrays (typed keys again where ``like`` has
      them).

    Raises:
      FileNotFoundError: if there is no checkpoint.
      ValueError: if there are some and none is whole, or a part of ``like`` is not there.
    """
    found = steps(folder) if step is None else [s for s in steps(folder) if s == step]
    if not found:
        raise FileNotFoundError(
            f"no checkpoint in {folder}" + ("" if step is None else f" of step {step}")
        )
    wanted = None if parts is None else dict.fromkeys(parts)
    if like is not None:
        wanted = jax.eval_shape(without_keys, like._asdict())
    for candidate in reversed(found):
        try:
            got = _read_step(folder, candidate, wanted)
        except Exception as error:
            on_event(
                Message(
                    f"checkpoint {folder / str(candidate)} is damaged and was passed over "
                    f"({_cause(error)})"
                )
            )
            continue
        got = jax.tree.map(lambda leaf: leaf[:members], got)
        return candidate, got if like is None else _as_state(got, like, folder)
    raise ValueError(f"none of the {len(found)} checkpoints in {folder} is whole")


def _as_state(got: dict[str, Tree], like: Any, folder: Path) -> Any:
    absent = [
        name for name, part in like._asdict().items() if name not in got and jax.tree.leaves(part)
    ]
    if absent:
        raise ValueError(f"the checkpoints in {folder} hold no {', '.join(absent)}")
    return jax.tree.map(
        lambda leaf, wanted: jax.random.wrap_key_data(leaf) if _is_key(wanted) else leaf,
        like._replace(**got),
        like,
    )
