"""Training: faces and a configuration in, a run folder out.

A run is a folder, see :mod:`ferjax.ensemble.folder`, and everything later commands need is in it.
It may be killed at any moment: started again with ``resume`` it continues to the last bit as if it
never was, since the state carries its keys and its step, and the order of faces follows from the
two.
"""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from ferjax.config import Config
from ferjax.ensemble import (
    checkpoint,
    inputs,
    integrity,
    members,
    multihost,
    parallel,
    placement,
)
from ferjax.ensemble.checkpoint import Checkpoints
from ferjax.ensemble.ending import noted
from ferjax.ensemble.folder import RunFolder
from ferjax.ensemble.log import Log
from ferjax.ensemble.loop import Data, Loop
from ferjax.ensemble.methods import Target, Teacher
from ferjax.ensemble.plan import dry_run, place, starting_point, steps_per_epoch
from ferjax.ensemble.profiling import Trace
from ferjax.ensemble.programs import compile_programs
from ferjax.ensemble.training_prior import trained_under
from ferjax.events import LogLine, Message, OnEvent, silent
from ferjax.faces.dataset import Dataset
from ferjax.interruption import Interrupted, Stop
from ferjax.models.pretrained import load_tree, save_tree

__all__ = [
    "Interrupted",
    "Run",
    "dry_run",
    "load_teacher",
    "place",
    "starting_point",
    "steps_per_epoch",
    "train",
]


class Run(NamedTuple):
    """What :func:`train` leaves: the folder, the final stacked state, and the log's last line."""

    folder: Path
    state: members.EnsembleState
    figures: dict


def train(
    config: Config,
    dataset: Dataset,
    folder: Path,
    *,
    resume: bool = False,
    replicas: int | None = None,
    chunk: int | None = None,
    profile: Path | None = None,
    trunk: Any = None,
    teacher: Teacher | None = None,
    on_event: OnEvent = silent,
) -> Run:
    """Trains an ensemble.

    Args:
      config: the run's configuration.
      dataset: its splits ``train`` and ``valid`` are used.
      folder: where the run goes; created, must be empty unless ``resume``.
      resume: continue from the newest whole checkpoint; the continuation is the run that was
        interrupted. With more epochs than before the learning rate follows the cosine of that many
        from there on.
      replicas: devices to a member, see :func:`ferjax.ensemble.placement.choose`.
      chunk: members that a device computes at once, likewise. A resumed run keeps its own.
      profile: folder for a trace of a few steps, see :mod:`ferjax.ensemble.profiling`.
      trunk: parameters of the frozen trunk, where it is another run's.
      teacher: what an ensemble says of the training faces, for ``distil``; that of the folder by
        default.
      on_event: told every step, every line of the log and what people should know, see
        :mod:`ferjax.events`; of several processes the first tells.

    Raises:
      ValueError: if the training split does not fill one batch, a resumed run was configured
        differently, or the disk cannot take the run.
      FileExistsError: if the folder already holds something and ``resume`` is off, or a live
        process works in it.
      OSError: if a checkpoint cannot be written.
      Interrupted: if SIGTERM or Ctrl-C came; everything up to then is saved.
    """
    on_event = on_event if multihost.is_primary() else silent
    run = RunFolder(Path(folder))
    if teacher is None:
        teacher = load_teacher(run)
    if (config.train.method == "distil") != (teacher is not None):
        raise ValueError(
            "train.method distil learns from an ensemble: train it with `ferjax distil RUN`"
            if teacher is None
            else f"train.method {config.train.method} learns from no ensemble; distil does"
        )
    faces = len(dataset["train"].ids)
    steps = steps_per_epoch(config.train, faces)
    if resume:
        chunk = run.chunk() if chunk is None else chunk
    choice = place(config, dataset, replicas=replicas, chunk=chunk)
    layout = choice.best.layout
    frozen, start = starting_point(config, on_event)
    programs = compile_programs(config, len(dataset.spec.classes), layout, faces, start)
    needed = checkpoint.size(programs.like) * (config.train.keep_checkpoints + 1)
    before = _epochs(run) if resume else None
    multihost.on_primary(lambda: run.open(config, dataset.spec, resume=resume, needed=needed))
    try:
        with noted(run), Stop() as stop:
            multihost.on_primary(lambda: run.keep_chunk(layout.chunk))
            multihost.on_primary(lambda: run.keep_prior(trained_under(config, dataset)))
            if frozen is not None:
                frozen = _shared_trunk(run, frozen if trunk is None else trunk)
            if teacher is not None:
                _keep_teacher(run, teacher)
            first, state = _saved(run, programs.like, on_event) if resume else (0, None)
            if first:
                integrity.require_same(run, first, config, dataset.spec)
            for text in _plan(config, choice, steps, first, before):
                on_event(Message(text))
            data = _data(config, layout, dataset, frozen, teacher, on_event)
            if state is None:
                seeds = np.array(config.train.seeds, np.uint32)
                state = programs.init(
                    parallel.scatter(layout, seeds),
                    parallel.replicate(layout, start),
                    data.target,
                )
            else:
                state = parallel.scatter(layout, state, programs.shardings)
            log = Log(
                run.log,
                layout,
                dataset["valid"].q,
                steps=steps,
                faces_per_step=config.train.batch_size * len(config.train.seeds),
                writes=multihost.is_primary(),
                on_line=lambda line: on_event(
                    LogLine(line, config.train.seeds, config.train.epochs)
                ),
            )
            about = integrity.describe(run, config, dataset.spec)
            checkpoints = Checkpoints(run.checkpoints, config.train.keep_checkpoints, about)
            trace = Trace(profile)
            try:
                checkpoints.discard_after(first)
                log.rewind(first)
                loop = Loop(
                    config=config,
                    layout=layout,
                    programs=programs,
                    data=data,
                    steps=steps,
                    log=log,
                    checkpoints=checkpoints,
                    stop=stop,
                    on_event=on_event,
                    state=state,
                    done=first,
                    trace=trace,
                )
                loop.run()
            finally:
                trace.close()
                checkpoints.close()
            log.close()
            return Run(run.path, parallel.gather(layout, loop.state), log.last)
    finally:
        run.close()


def _epochs(run: RunFolder) -> int | None:
    """The epochs of the run that a folder already holds."""
    try:
        return run.config().train.epochs
    except FileNotFoundError:
        return None


def _plan(
    config: Config, choice: placement.Choice, steps: int, first: int, before: int | None
) -> list[str]:
    """What will be done, in words."""
    c = config.train
    plan = [
        f"training {choice.best.layout}: {c.epochs} epochs of {steps} steps, {c.batch_size} faces "
        "per step and member" + (f"; resuming after step {first}" if first else "")
    ]
    if choice.runner_up is not None:
        plan.append(f"layout: {choice}")
    if c.warmup != c.warmup_epochs:
        plan.append(
            f"a warm-up of {c.warmup_epochs:g} epochs does not fit into {c.epochs}: it is "
            f"shortened to {c.warmup:g}"
        )
    if before is not None and before < c.epochs:
        plan.append(
            f"longer than before, {c.epochs} epochs instead of {before}: from here on the learning "
            f"rate follows the cosine of {c.epochs} epochs"
        )
    if first == c.epochs * steps:
        plan.append(
            f"all {c.epochs} epochs are done already; --train.epochs with a larger number trains "
            "longer"
        )
    else:
        plan.append("compiling the training step")
    return plan


def _shared_trunk(run: RunFolder, frozen: Any) -> Any:
    """The trunk in the run's folder; the given one, now written there, if there was none."""
    if run.trunk.is_file():
        frozen = load_tree(run.trunk)
    multihost.on_primary(lambda: None if run.trunk.is_file() else save_tree(frozen, run.trunk))
    return frozen


def load_teacher(run: RunFolder) -> Teacher | None:
    """The teacher in a run's folder, if there is one."""
    return Teacher(**load_tree(run.teacher)) if run.teacher.is_file() else None


def _keep_teacher(run: RunFolder, teacher: Teacher) -> None:
    """Writes the teacher into the run's folder, if there is none yet."""
    multihost.on_primary(
        lambda: None if run.teacher.is_file() else save_tree(teacher._asdict(), run.teacher)
    )


def _saved(
    run: RunFolder, like: members.EnsembleState, on_event: OnEvent
) -> tuple[int, members.EnsembleState | None]:
    """The newest whole checkpoint's step and state; 0 and None before the first."""
    if not checkpoint.steps(run.checkpoints):
        return 0, None
    if not checkpoint.holds(run.checkpoints, "status"):
        raise ValueError(
            f"cannot resume {run.path}: its checkpoints were written by an earlier ferjax, which "
            "can only be evaluated"
        )
    step, state = checkpoint.read(run.checkpoints, len(like.step), like=like, on_event=on_event)
    for kept, expected in zip(jax.tree.leaves(state.memory), jax.tree.leaves(like.memory)):
        if kept.shape != expected.shape:
            raise ValueError(
                f"cannot resume {run.path}: its members remember {kept.shape[1]} training faces, "
                f"these data have {expected.shape[1]}"
            )
    return step, state


def _data(
    config: Config,
    layout: parallel.Layout,
    dataset: Dataset,
    frozen: Any,
    teacher: Teacher | None,
    on_event: OnEvent,
) -> Data:
    train, valid = (dataset[name] for name in ("train", "valid"))
    if teacher is not None and len(teacher.probs) != len(train.ids):
        raise ValueError(
            f"the teacher speaks of {len(teacher.probs)} faces, the training split has "
            f"{len(train.ids)}"
        )
    stored = inputs.views(config, train.images, train.ids, on_event)
    validated = valid.images
    if frozen is not None:
        stored = inputs.cache_tokens(config, frozen, stored, mirrored=True, on_event=on_event)
        validated = inputs.cache_tokens(
            config, frozen, validated, mirrored=False, on_event=on_event
        )[:, 0]
    size = -(-config.evaluate.batch_size // layout.replicas) * layout.replicas
    labels = valid.q.argmax(-1)
    counts = train.votes.sum(-1)
    weight = (counts / max(counts.mean(), 1)).astype(np.float32)
    target = Target._make((train.q, train.votes.astype(np.int32), weight, teacher or ()))
    batches = inputs.batches(validated, size)
    return Data(*parallel.replicate(layout, (stored, target, batches, labels)))
