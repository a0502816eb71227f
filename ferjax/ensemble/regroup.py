"""Ensembles that grow and shrink: who is in a run, some of its members as a run, several runs as
one.

Members never depend on one another, so a slice or a merger of runs is the run that had those seeds
from the start, and can be resumed like one.
"""

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferjax.config import Config, load_config
from ferjax.ensemble import checkpoint, members
from ferjax.ensemble.display import say
from ferjax.ensemble.folder import RunFolder, changed_settings
from ferjax.ensemble.log import read_log
from ferjax.models import vit

__all__ = ["RunMembers", "merge", "open_run_members", "take"]


class RunMembers(NamedTuple):
    """A run laid open: where it is, its configuration, its newest whole checkpoint ``[M, ...]``,
    and its log."""

    folder: RunFolder
    config: Config
    step: int
    state: members.EnsembleState
    lines: list[dict]


def _like(config: Config) -> members.EnsembleState:
    model = vit.members_model(config.model)
    optimizer = members.optimizer(config.train, 1, config.model.depth)
    seeds = jax.ShapeDtypeStruct((len(config.train.seeds),), jnp.uint32)
    return jax.eval_shape(jax.vmap(lambda seed: members.init(model, optimizer, seed)), seeds)


def open_run_members(path: Path) -> RunMembers:
    """Reads a run, optimiser and all.

    Raises:
      FileNotFoundError: if the folder is no run, or holds no checkpoint yet.
      ValueError: if it was written by a version that kept less.
    """
    folder = RunFolder(Path(path))
    if not (folder.path / "config.json").is_file():
        raise FileNotFoundError(
            f"{path} is not a run: it holds no config.json (make one with `ferjax train`)"
        )
    config = load_config(folder.path / "config.json")
    if checkpoint.steps(folder.checkpoints) and not checkpoint.holds(folder.checkpoints, "health"):
        raise ValueError(
            f"{path} was written by an earlier ferjax, whose members cannot be regrouped; it can be evaluated"
        )
    step, state = checkpoint.read(
        folder.checkpoints, len(config.train.seeds), like=_like(config), report=say
    )
    return RunMembers(folder, config, step, state, read_log(folder.log))


def _write(out: Path, roster: RunMembers) -> Path:
    """Writes a roster as a run folder, in one piece; ``roster.folder`` gives the trunk."""
    out = Path(out)
    if out.exists():
        raise FileExistsError(f"{out} exists; choose another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = RunFolder(out.with_name(f".{out.name}.part"))
    shutil.rmtree(scratch.path, ignore_errors=True)
    scratch.path.mkdir()
    try:
        (scratch.path / "config.json").write_text(roster.config.to_json())
        scratch.log.write_text("".join(json.dumps(line) + "\n" for line in roster.lines))
        if roster.folder.trunk.is_file():
            shutil.copyfile(roster.folder.trunk, scratch.trunk)
        checkpoints = checkpoint.Checkpoints(scratch.checkpoints)
        checkpoints.save(roster.step, roster.state)
        checkpoints.close()
        scratch.path.rename(out)
    finally:
        shutil.rmtree(scratch.path, ignore_errors=True)
    return out


def _with_seeds(config: Config, seeds: Sequence[int]) -> Config:
    return dataclasses.replace(config, train=dataclasses.replace(config.train, seeds=tuple(seeds)))


def _own(line: dict, chosen: Sequence[int]) -> dict:
    """A line of the log about some members; what it says of the whole ensemble no longer holds."""
    return {
        name: [value[k] for k in chosen] if isinstance(value, list) else value
        for name, value in line.items()
        if isinstance(value, list) or name in ("epoch", "step")
    }


def take(path: Path, chosen: Sequence[int], out: Path) -> Path:
    """Writes some members of a run, in the given order, as a run of their own.

    Raises:
      ValueError: if a member is named that is not there, or twice, or none.
      FileExistsError: if ``out`` exists.
    """
    roster = open_run_members(path)
    count = len(roster.config.train.seeds)
    if not chosen or len(set(chosen)) < len(chosen) or not all(0 <= k < count for k in chosen):
        raise ValueError(
            f"members must be different ones of 0..{count - 1}, and at least one; got {' '.join(map(str, chosen)) or 'none'}"
        )
    rows = np.array(chosen)
    return _write(
        out,
        roster._replace(
            config=_with_seeds(roster.config, [roster.config.train.seeds[k] for k in chosen]),
            state=jax.tree.map(lambda leaf: leaf[rows], roster.state),
            lines=[_own(line, chosen) for line in roster.lines],
        ),
    )


def merge(paths: Sequence[Path], out: Path) -> Path:
    """Writes the members of several runs of one configuration and different seeds as one run.

    Raises:
      ValueError: naming the run and what does not fit: configuration, frozen trunk, seeds, or
        progress.
      FileExistsError: if ``out`` exists.
    """
    if len(paths) < 2:
        raise ValueError(f"a merger needs at least two runs, got {len(paths)}")
    rosters = [open_run_members(path) for path in paths]
    first = rosters[0]
    seeds = [seed for roster in rosters for seed in roster.config.train.seeds]
    twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if twice:
        raise ValueError(f"the runs share the seeds {twice}: members with one seed are one member")
    for roster in rosters[1:]:
        where = f"{roster.folder.path} does not fit {first.folder.path}"
        changed = changed_settings(
            first.config, _with_seeds(roster.config, first.config.train.seeds)
        )
        if changed:
            raise ValueError(f"{where}: {'; '.join(changed)}")
        if roster.step != first.step:
            raise ValueError(
                f"{where}: it is at step {roster.step}, the other at {first.step}; finish both with --resume"
            )
        trunks = [
            r.folder.trunk.read_bytes() if r.folder.trunk.is_file() else b""
            for r in (first, roster)
        ]
        if trunks[0] != trunks[1]:
            raise ValueError(f"{where}: their frozen trunks differ")
    return _write(
        out,
        first._replace(
            config=_with_seeds(first.config, seeds),
            state=jax.tree.map(_stack, *(roster.state for roster in rosters)),
            lines=_merged_lines(rosters),
        ),
    )


def _stack(*leaves: Any) -> Any:
    if jax.dtypes.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
        return jnp.concatenate(leaves)
    return np.concatenate(leaves)


def _merged_lines(rosters: Sequence[RunMembers]) -> list[dict]:
    by_step = [
        {line["step"]: _own(line, range(len(roster.config.train.seeds))) for line in roster.lines}
        for roster in rosters
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
