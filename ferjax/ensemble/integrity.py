"""What ties the files of a run together, so that none can be changed under the others.

==========================  ======================================================================
file                        is tied to
==========================  ======================================================================
a checkpoint                the configuration, the description of the data and the shared weights
                            (trunk) it was trained with, beside its own checksums
``densities.safetensors``   the members whose features they were fitted to
``thresholds.json``         the members and the densities whose scores they were chosen on, and to
                            its own content
==========================  ======================================================================

Files of earlier versions say nothing of the kind and are opened as they are.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from ferjax.config import Config
from ferjax.ensemble import checkpoint
from ferjax.ensemble.folder import RunFolder, changed_settings
from ferjax.faces.spec import DataSpec
from ferjax.files import digest_arrays
from ferjax.models.pretrained import tree_digest

__all__ = ["describe", "members_digest", "require_same", "require_thresholds"]


_SHARED = ("trunk.safetensors", "teacher.safetensors")


def _shared_files(run: RunFolder) -> dict[str, str]:
    """Digests of the weights that all members share, by the names of their files."""
    files = (run.path / name for name in _SHARED)
    return {file.name: tree_digest(file) for file in files if file.is_file()}


def describe(run: RunFolder, config: Config, spec: DataSpec) -> dict[str, Any]:
    """What a checkpoint of this run keeps beside its arrays, as JSON values."""
    return {"config": config.to_json(), "data": spec.to_json(), "shared": _shared_files(run)}


def require_same(run: RunFolder, step: int, config: Config, spec: DataSpec) -> None:
    """Refuses a run whose files are not those that its checkpoint was written with.

    Args:
      run: its folder.
      step: of the checkpoint.
      config: what the folder says now.
      spec: likewise.

    Raises:
      ValueError: naming the file, and for the configuration every setting that differs.
    """
    told = checkpoint.about(run.checkpoints, step)
    if told is None:
        return
    where = f"the checkpoint of step {step} was written with"
    was = Config.from_json(told["config"])
    if config.train.epochs > was.train.epochs:  # a run may become longer
        longer = dataclasses.replace(was.train, epochs=config.train.epochs)
        was = dataclasses.replace(was, train=longer)
    changed = changed_settings(was, config)
    if changed:
        raise ValueError(f"{run.path / 'config.json'}: {where} another one: {'; '.join(changed)}")
    if told["data"] != spec.to_json():
        raise ValueError(
            f"{run.path / 'data.json'}: {where} {DataSpec.from_json(told['data'])}, it says {spec}"
        )
    found = _shared_files(run)
    for name, digest in told["shared"].items():
        if found.get(name) != digest:
            what = "other weights" if name in found else f"{name}, which is not there"
            raise ValueError(f"{run.path / name}: {where} {what}")


def members_digest(params: Any, shared: Mapping[str, Any] | None) -> str:
    """The digest of members: parameters ``[member, ...]``, and the trunk that they share."""
    leaves = jax.tree_util.tree_leaves_with_path((params, dict(shared or {})))
    return digest_arrays({jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves})


def require_thresholds(
    where: str, of: Mapping[str, Any] | None, members: str, fitted: str | None
) -> None:
    """Refuses thresholds that were chosen on scores of other members or densities.

    Args:
      where: what to call the thresholds.
      of: what they say of themselves; None: nothing.
      members: digest of the run's members.
      fitted: digest of its densities; None if it has none.

    Raises:
      ValueError: saying which, and what to do.
    """
    if of is None:
        return
    if of.get("members") != members:
        raise ValueError(
            f"{where}: chosen for other members than this run has now (trained further, or another "
            "run); choose thresholds anew with `ferjax evaluate`"
        )
    if of.get("densities") not in (None, fitted):
        raise ValueError(
            f"{where}: chosen with other densities than this run has now; choose thresholds anew "
            "with `ferjax evaluate`"
        )
