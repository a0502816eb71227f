"""A trained run, opened from its folder for everything that comes after training."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferjax.config import Config
from ferjax.ensemble import checkpoint, densities, integrity
from ferjax.ensemble.densities import Densities
from ferjax.ensemble.folder import RunFolder
from ferjax.events import Message, OnEvent, silent
from ferjax.faces.dataset import DataSpec
from ferjax.models import vit
from ferjax.models.pretrained import load_tree

__all__ = ["Trained", "load_run", "member_params"]


class Trained(NamedTuple):
    """A run as later commands use it."""

    config: Config
    spec: DataSpec
    """Of the data it was trained on."""
    params: Any
    """Best parameters on valid, ``[M, ...]``."""
    trunk: Any
    """The trunk that all members share; None if each trains every block."""
    best_accuracy: np.ndarray
    """On valid, ``[M]``."""
    densities: Densities | None = None
    """Fitted to clean training faces; None before the first evaluation."""
    digest: str = ""
    """Of the members and what they share, see :mod:`ferjax.ensemble.integrity`."""


def load_run(folder: Path, on_event: OnEvent = silent) -> Trained:
    """Opens a run folder, of a run in progress too; reads the best parameters alone.

    Members frozen in training are left out.

    Args:
      folder: that :func:`ferjax.ensemble.training.train` wrote.
      on_event: told of damaged checkpoints that were passed over, and of members left out.

    Raises:
      FileNotFoundError: if the folder is no run, or holds no checkpoint yet.
      ValueError: if no checkpoint is whole, every member was frozen, or a file of the run is not
        the one that the checkpoint was written with.
    """
    run = RunFolder(Path(folder))
    config = run.config()
    if not run.checkpoints.is_dir():
        raise FileNotFoundError(
            f"{run.path} holds no checkpoints; was it trained? "
            f"(`ferjax train ... --out {run.path} --resume`)"
        )
    count = len(config.train.seeds)
    parts = ("best_params", "best_accuracy", "status")
    spec = run.spec()
    step, state = checkpoint.read(run.checkpoints, count, parts=parts, on_event=on_event)
    integrity.require_same(run, step, config, spec)
    frozen = state["status"]["frozen"] if "status" in state else np.zeros(count, bool)
    sound = np.flatnonzero(~np.asarray(frozen))
    if not len(sound):
        raise ValueError(
            f"{run.path}: all {count} members are frozen: their losses or gradients became "
            "non-finite"
        )
    if len(sound) < count:
        out = [str(seed) for k, seed in enumerate(config.train.seeds) if k not in sound]
        on_event(
            Message(
                f"{run.path} averages {len(sound)} of {count} members: those with the seeds "
                f"{', '.join(out)} were frozen in training"
            )
        )
        seeds = tuple(config.train.seeds[k] for k in sound)
        config = dataclasses.replace(config, train=dataclasses.replace(config.train, seeds=seeds))
    trunk = load_tree(run.trunk) if vit.trunk_model(config.model) else None
    params = jax.tree.map(lambda leaf: leaf[sound], state["best_params"])
    digest = integrity.members_digest(params, trunk)
    fitted = densities.load(run.path, digest)
    if fitted is not None and any(len(leaf) != len(sound) for leaf in jax.tree.leaves(fitted.own)):
        fitted = None  # to other members; the next evaluation fits them anew
    return Trained(
        config=config,
        spec=spec,
        params=jax.tree.map(jnp.asarray, params),
        trunk=trunk,
        best_accuracy=state["best_accuracy"][sound],
        densities=fitted,
        digest=digest,
    )


def member_params(trained: Trained, member: int) -> Any:
    """Parameters of one member's whole network, trunk included.

    Raises:
      ValueError: if there is no such member.
    """
    count = len(trained.config.train.seeds)
    if not 0 <= member < count:
        raise ValueError(f"no member {member}: this run has members 0..{count - 1}")
    return {**(trained.trunk or {}), **jax.tree.map(lambda leaf: leaf[member], trained.params)}
