"""Members across runs: list a run's, select some, merge, add, or round them, each as a run.

Members never depend on one another, so a selection or a merger is the run that had those seeds from
the start, and can be resumed like one.
"""

import dataclasses
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import rounding
from ferjax.config import Config
from ferjax.ensemble import checkpoint, integrity, members, training
from ferjax.ensemble.folder import (
    RunFolder,
    changed_settings,
    require_members,
    require_other_seeds,
)
from ferjax.ensemble.log import read_log
from ferjax.ensemble.programs import stacked_state
from ferjax.events import OnEvent, silent
from ferjax.faces import dataset
from ferjax.faces.dataset import DataSpec
from ferjax.files import new_folder, require_new_folder
from ferjax.models.pretrained import load_tree

__all__ = ["RunMembers", "add_members", "merge", "open_run_members", "rounded", "select"]


class RunMembers(NamedTuple):
    """The members of a run, with everything they have."""

    folder: RunFolder
    config: Config
    spec: DataSpec
    step: int
    """Of the newest whole checkpoint."""
    state: members.EnsembleState
    """As it was there, ``[M, ...]``."""
    lines: list[dict]
    """The log."""


def open_run_members(path: Path, on_event: OnEvent = silent) -> RunMembers:
    """Reads a run, optimiser and all.

    Args:
      path: folder of the run.
      on_event: told of damaged checkpoints that were passed over.

    Raises:
      FileNotFoundError: if the folder is no run, or holds no checkpoint yet.
      ValueError: if it was written by a version that kept less.
    """
    folder = RunFolder(Path(path))
    config = folder.config()
    spec = folder.spec()
    if checkpoint.steps(folder.checkpoints) and not checkpoint.holds(folder.checkpoints, "status"):
        raise ValueError(
            f"{path} was written by an earlier ferjax, whose members cannot be regrouped; it can "
            "be evaluated"
        )
    like = stacked_state(config, len(spec.classes))
    step, state = checkpoint.read(
        folder.checkpoints, len(config.train.seeds), like=like, on_event=on_event
    )
    integrity.require_same(folder, step, config, spec)
    return RunMembers(folder, config, spec, step, state, read_log(folder.log))


def _write(out: Path, run: RunMembers) -> Path:
    """Writes members as a run folder, in one piece; ``run.folder`` gives what they share."""
    with new_folder(out) as folder:
        scratch = RunFolder(folder)
        scratch.write_description(run.config, run.spec)
        scratch.log.write_text("".join(json.dumps(line) + "\n" for line in run.lines))
        prior = run.folder.prior()
        if prior is not None:
            scratch.keep_prior(prior)
        for file in run.folder.shared.values():
            shutil.copyfile(file, scratch.path / file.name)
        about = integrity.describe(scratch, run.config, run.spec)
        checkpoints = checkpoint.Checkpoints(scratch.checkpoints, about=about)
        checkpoints.save(run.step, run.state)
        checkpoints.close()
    return Path(out)


def _with_seeds(config: Config, seeds: Iterable[int]) -> Config:
    return dataclasses.replace(config, train=dataclasses.replace(config.train, seeds=tuple(seeds)))


def _of_members(line: dict, chosen: Sequence[int]) -> dict:
    """A line of the log about some members; what it says of the ensemble no longer holds."""
    return {
        name: [value[k] for k in chosen] if isinstance(value, list) else value
        for name, value in line.items()
        if isinstance(value, list) or name in ("epoch", "step")
    }


def select(path: Path, chosen: Sequence[int], out: Path, on_event: OnEvent = silent) -> Path:
    """Writes some members of a run, in the given order, as a run of their own.

    Args:
      path: folder of the run.
      chosen: which, from 0.
      out: folder to create.
      on_event: told of damaged checkpoints that were passed over.

    Raises:
      ValueError: if a member is named that is not there, or twice, or none.
      FileExistsError: if ``out`` holds something.
    """
    require_new_folder(out)
    run = open_run_members(path, on_event)
    require_members(chosen, len(run.config.train.seeds))
    rows = np.array(chosen)
    return _write(
        out,
        run._replace(
            config=_with_seeds(run.config, (run.config.train.seeds[k] for k in chosen)),
            state=jax.tree.map(lambda leaf: leaf[rows], run.state),
            lines=[_of_members(line, chosen) for line in run.lines],
        ),
    )


def rounded(path: Path, out: Path, on_event: OnEvent = silent) -> Path:
    """Writes a run's members with every matrix rounded to 8 bits, as a run of its own.

    Evaluated, its thresholds are of the rounded members; exported, it takes a quarter of the bytes.
    Best valid accuracies and the log stay those of the members before.

    Args:
      path: folder of a run without a frozen trunk.
      out: folder to create.
      on_event: told of damaged checkpoints that were passed over.

    Raises:
      ValueError: if members share a frozen trunk, or an array is not finite.
      FileExistsError: if ``out`` holds something.
    """
    require_new_folder(out)
    run = open_run_members(path, on_event)
    if run.folder.trunk.is_file():
        raise ValueError(f"{path}: members share a frozen trunk, which rounding would change too")
    state = run.state._replace(
        params=rounding.round_matrices(run.state.params),
        best_params=rounding.round_matrices(run.state.best_params),
    )
    return _write(out, run._replace(state=state))


def merge(paths: Sequence[Path], out: Path, on_event: OnEvent = silent) -> Path:
    """Writes the members of several runs of one configuration and different seeds as one run.

    Args:
      paths: folders of the runs.
      out: folder to create.
      on_event: told of damaged checkpoints that were passed over.

    Raises:
      ValueError: naming the run and what does not fit: configuration, data, frozen trunk, teacher,
        seeds, or progress.
      FileExistsError: if ``out`` holds something.
    """
    if len(paths) < 2:
        raise ValueError(f"a merger needs at least two runs, got {len(paths)}")
    require_new_folder(out)
    runs = [open_run_members(path, on_event) for path in paths]
    first = runs[0]
    seeds = [seed for run in runs for seed in run.config.train.seeds]
    twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if twice:
        raise ValueError(
            f"the runs share the seeds {twice}: members with the same seed are identical"
        )
    for run in runs[1:]:
        _require_same(first, run)
    return _write(
        out,
        first._replace(
            config=_with_seeds(first.config, seeds),
            state=jax.tree.map(_concatenate, *(run.state for run in runs)),
            lines=_merged_lines(runs),
        ),
    )


def _require_same(first: RunMembers, run: RunMembers) -> None:
    """Refuses runs that are not of one configuration, data, trunk and progress."""
    where = f"{run.folder.path} does not fit {first.folder.path}"
    changed = changed_settings(first.config, _with_seeds(run.config, first.config.train.seeds))
    if changed:
        raise ValueError(f"{where}: {'; '.join(changed)}")
    if run.spec != first.spec:
        raise ValueError(f"{where}: its data are {run.spec}, the other's {first.spec}")
    if run.step != first.step:
        raise ValueError(
            f"{where}: it is at step {run.step}, the other at {first.step}; finish both with "
            "--resume"
        )
    shared = [
        {name: file.read_bytes() for name, file in r.folder.shared.items()} for r in (first, run)
    ]
    for name in shared[0] | shared[1]:
        if shared[0].get(name) != shared[1].get(name):
            raise ValueError(f"{where}: their {name} differ")


def _concatenate(*leaves: Any) -> Any:
    if jax.dtypes.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
        return jnp.concatenate(leaves)
    return np.concatenate(leaves)


def _merged_lines(runs: Sequence[RunMembers]) -> list[dict]:
    by_step = [
        {line["step"]: _of_members(line, range(len(run.config.train.seeds))) for line in run.lines}
        for run in runs
    ]
    merged = []
    for step, line in by_step[0].items():
        if all(step in lines for lines in by_step):
            together = [lines[step] for lines in by_step]
            merged.append(
                {
                    name: [own for one in together for own in one[name]]
                    if isinstance(value, list)
                    else value
                    for name, value in line.items()
                    if all(name in one for one in together)
                }
            )
    return merged


def add_members(
    path: Path,
    seeds: Sequence[int],
    out: Path,
    *,
    data: dataset.Dataset | None = None,
    on_event: OnEvent = silent,
) -> Path:
    """Trains new members for a finished run, and writes old and new ones as one run.

    Only the new ones are trained, in a folder beside ``out`` named after it with ``.added``; called
    again after an interruption it continues there.

    Args:
      path: folder of the finished run; it is not changed.
      seeds: of the new members.
      out: folder to create.
      data: the run's data set; by default loaded as its configuration says.
      on_event: told what :func:`ferjax.ensemble.training.train` tells.

    Raises:
      ValueError: if the run has one of the seeds, or is not finished.
      FileExistsError: if ``out`` holds something.
      Interrupted: if SIGTERM or Ctrl-C came.
    """
    out = Path(out)
    require_new_folder(out)
    old = open_run_members(path, on_event)
    require_other_seeds(path, seeds, old.config)
    config = _with_seeds(old.config, seeds)
    data = dataset.load(config.data) if data is None else data
    steps = config.train.epochs * training.steps_per_epoch(config.train, len(data["train"].ids))
    if old.step != steps:
        raise ValueError(
            f"{path} is at step {old.step} of {steps}; finish it first "
            "(`ferjax train ... --resume`)"
        )
    trunk = load_tree(old.folder.trunk) if old.folder.trunk.is_file() else None
    teacher = training.load_teacher(old.folder)
    added = out.with_name(f"{out.name}.added")
    training.train(
        config,
        data,
        added,
        resume=added.exists(),
        trunk=trunk,
        teacher=teacher,
        on_event=on_event,
    )
    merge((path, added), out, on_event)
    shutil.rmtree(added)
    return out
