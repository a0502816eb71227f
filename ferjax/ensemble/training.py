"""The loop: faces and a configuration in, a run folder out.

A run is a folder: ``config.json``, ``checkpoints/``, ``metrics.jsonl`` (see
:mod:`ferjax.ensemble.log`), and ``trunk.safetensors`` where a frozen trunk is shared. Everything
later commands need is in it. A run may be killed at any moment: started again with ``resume`` it
continues to the last bit as if it never was, since the state carries its keys and its step, and the
order of faces follows from the two.
"""

import signal
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferjax.config import Config, TrainConfig
from ferjax.ensemble import checkpoint, members, multihost, parallel
from ferjax.ensemble.display import console, members_table, progress, say, sentence
from ferjax.ensemble.folder import RunFolder
from ferjax.ensemble.interruption import Interrupted, Stop
from ferjax.ensemble.log import Log
from ferjax.faces.dataset import Faces
from ferjax.faces.images import normalise, to_network_size
from ferjax.models import vit
from ferjax.models.pretrained import load_pretrained, load_tree, save_tree

__all__ = [
    "Interrupted",
    "Run",
    "batches",
    "cache_tokens",
    "progress",
    "starting_point",
    "steps_per_epoch",
    "train",
]


class Run(NamedTuple):
    """What :func:`train` leaves: the run's folder, the final stacked state, and the last line of
    its log."""

    folder: Path
    state: members.EnsembleState
    figures: dict


def batches(array: np.ndarray, size: int) -> np.ndarray:
    """``[face, ...]`` to ``[batch, size, ...]``; the last batch is filled up with repeats, so that
    no shape is new."""
    count = -(-len(array) // size)
    return np.take(array, np.arange(count * size) % len(array), axis=0).reshape(
        count, size, *array.shape[1:]
    )


def starting_point(config: Config) -> tuple[Any, Any]:
    """The frozen trunk (None if every block is trained) and the parameters members start from
    (None: random)."""
    trunk = vit.trunk_model(config.model)
    if config.model.pretrained:
        frozen, trained = vit.split(
            load_pretrained(config.model.pretrained, config.model), config.model
        )
        return (None if trunk is None else frozen), trained
    return (None if trunk is None else trunk.init(jax.random.key(config.train.seeds[0]))), None


class _Programs(NamedTuple):
    """The compiled functions of a training run, and what a state looks like, ``[M, ...]``."""

    birth: Callable
    order: Callable
    step: Callable
    validate: Callable
    like: members.EnsembleState


def lines_per_epoch(config: Config, steps: int) -> int:
    """Lines of the log in an epoch of so many steps."""
    return min(steps, max(1, round(steps / config.train.log_every)))


def _compile(config: Config, layout: parallel.Layout, faces: int, start: Any) -> _Programs:
    model = vit.members_model(config.model)
    c = config.train
    steps = faces // c.batch_size
    optimizer = members.optimizer(c, steps, config.model.depth)
    feed = (
        members.pixel_feed(config.model.image_size)
        if config.model.trainable_blocks is None
        else members.token_feed()
    )

    def birth(seed: jax.Array, start: Any) -> members.EnsembleState:
        return members.init(model, optimizer, seed, start)

    def predict(params: Any, batch: jax.Array) -> vit.Output:
        if config.model.trainable_blocks is None:
            batch = normalise(to_network_size(batch, config.model.image_size))
        return model.apply(params, batch)

    step = members.train_step(
        model,
        optimizer,
        feed,
        accumulate=c.accumulate,
        lines=lines_per_epoch(config, steps),
        max_bad=c.max_bad_steps,
        split=layout.split,
    )
    return _Programs(
        birth=parallel.map_members(layout, birth, (0, None)),
        order=parallel.map_members(
            layout,
            lambda key, epoch: members.epoch_order(
                key, epoch, faces=faces, batch_size=c.batch_size
            ),
            (0, None),
        ),
        step=parallel.map_members(layout, step, (0, 0, None, None), donate=(0,)),
        validate=parallel.map_members(
            layout, members.validate(predict, layout.split), (0, None, None), donate=(0,)
        ),
        like=jax.eval_shape(
            jax.vmap(birth, (0, None)), jax.ShapeDtypeStruct((len(c.seeds),), jnp.uint32), start
        ),
    )


def cache_tokens(
    config: Config, trunk_params: Any, images: np.ndarray, mirrored: bool
) -> np.ndarray:
    """The frozen trunk's tokens of every face, ``[face, 1 or 2, token, dim]``; the second is of the
    mirrored face."""
    trunk = vit.trunk_model(config.model)
    assert trunk is not None

    @jax.jit
    def tokens(params: Any, batch: jax.Array) -> jax.Array:
        return trunk.apply(params, normalise(to_network_size(batch, config.model.image_size)))

    size = config.evaluate.batch_size
    with progress(f"trunk tokens of {len(images)} faces") as advance:
        views = []
        for view in (images, images[:, :, ::-1]) if mirrored else (images,):
            parts = []
            for batch in batches(view, size):
                parts.append(np.asarray(tokens(trunk_params, batch)))
                advance(1 / (-(-len(view) // size) * (2 if mirrored else 1)))
            views.append(np.concatenate(parts)[: len(view)])
    return np.stack(views, axis=1)


def steps_per_epoch(c: TrainConfig, faces: int) -> int:
    """How many whole batches the training faces give.

    Raises:
      ValueError: if they do not fill one.
    """
    if faces < c.batch_size:
        raise ValueError(f"train.batch_size {c.batch_size} is more than the {faces} training faces")
    return faces // c.batch_size


def lay_out(config: Config, replicas: int | None = None) -> parallel.Layout:
    """The layout of a training run over all devices there are."""
    c = config.train
    # Stochastic depth draws its masks for a whole batch, so a batch of it stays whole.
    return parallel.lay_out(
        len(c.seeds),
        batch=1 if config.model.drop_path else c.batch_size // c.accumulate,
        replicas=replicas,
    )


def train(
    config: Config,
    faces: dict[str, Faces],
    folder: Path,
    *,
    resume: bool = False,
    replicas: int | None = None,
    trunk: Any = None,
) -> Run:
    """Trains an ensemble.

    Args:
      config: the run's configuration.
      faces: splits ``train`` and ``valid``.
      folder: where the run goes; created, must be empty unless ``resume``.
      resume: continue from the newest whole checkpoint; the continuation is the run that was
        interrupted.
      replicas: devices to a member, see :func:`ferjax.ensemble.parallel.lay_out`.
      trunk: parameters of the frozen trunk, where it is another run's.

    Raises:
      ValueError: if the training split does not fill one batch, a resumed run was configured
        differently, or the disk cannot take the run.
      FileExistsError: if the folder already holds something and ``resume`` is off, or a live
        process works in it.
      Interrupted: if SIGTERM or Ctrl-C came; everything up to then is saved.
    """
    c = config.train
    run = RunFolder(Path(folder))
    valid = faces["valid"]
    steps = steps_per_epoch(c, len(faces["train"].ids))
    layout = lay_out(config, replicas)
    frozen, start = starting_point(config)
    programs = _compile(config, layout, len(faces["train"].ids), start)
    size = sum(
        leaf.size * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(jax.eval_shape(checkpoint.without_keys, programs.like))
    )
    multihost.on_primary(
        lambda: run.open(config, resume=resume, needed=size * (c.keep_checkpoints + 1))
    )
    try:
        with Stop() as stop:
            if frozen is not None:
                frozen = (
                    load_tree(run.trunk)
                    if run.trunk.is_file()
                    else frozen
                    if trunk is None
                    else trunk
                )
                multihost.on_primary(
                    lambda: None if run.trunk.is_file() else save_tree(frozen, run.trunk)
                )
            first, state = (
                _restore(run, programs.like)
                if resume and checkpoint.steps(run.checkpoints)
                else (0, None)
            )
            show = _Show(config)
            log = Log(
                run.log,
                layout,
                valid.q,
                steps=steps,
                faces_per_step=c.batch_size * len(c.seeds),
                writes=multihost.is_primary(),
                show=show,
            )
            if multihost.is_primary():
                say(
                    f"training {layout}: {c.epochs} epochs of {steps} steps, {c.batch_size} faces per step and member"
                    + (f"; resuming after step {first}" if first else "")
                )
            data = _data(config, layout, faces, frozen)
            if state is None:
                state = programs.birth(
                    parallel.scatter(layout, np.array(c.seeds, np.uint32)),
                    parallel.replicate(layout, start),
                )
            else:
                state = parallel.scatter(layout, state)
            checkpoints = checkpoint.Checkpoints(run.checkpoints, c.keep_checkpoints)
            try:
                checkpoints.discard_after(first)
                log.rewind(first)
                state = _loop(
                    config,
                    layout,
                    programs,
                    data,
                    state,
                    first,
                    steps,
                    log,
                    checkpoints,
                    stop,
                    show.bar,
                )
            finally:
                checkpoints.close()
            log.close()
            return Run(run.path, parallel.gather(layout, state), log.last)
    finally:
        run.close()


def _restore(run: RunFolder, like: members.EnsembleState) -> tuple[int, members.EnsembleState]:
    if not checkpoint.holds(run.checkpoints, "health"):
        raise ValueError(
            f"cannot resume {run.path}: its checkpoints were written by an earlier ferjax, which can only be evaluated"
        )
    return checkpoint.read(run.checkpoints, len(like.step), like=like, report=say)


def _data(
    config: Config, layout: parallel.Layout, faces: dict[str, Faces], frozen: Any
) -> tuple[jax.Array, ...]:
    """What the step and the validation draw from, on every device: train inputs and targets, valid
    batches and labels."""
    stored = {name: faces[name].images for name in ("train", "valid")}
    if frozen is not None:
        stored = {
            name: cache_tokens(config, frozen, stored[name], mirrored=name == "train")
            for name in stored
        }
        stored["valid"] = stored["valid"][:, 0]
    size = -(-config.evaluate.batch_size // layout.replicas) * layout.replicas
    return parallel.replicate(
        layout,
        (
            stored["train"],
            _targets(faces["train"], config.train.labels),
            batches(stored["valid"], size),
            faces["valid"].q.argmax(-1),
        ),
    )


class _Show:
    """Says what a line of the log says: a sentence in a pipe, a table that stays put in a terminal,
    and any member's trouble."""

    def __init__(self, config: Config):
        self._config = config
        self._frozen: set[int] = set()
        self._skipped = [0] * len(config.train.seeds)
        self.bar = progress("training")

    def __call__(self, line: dict) -> None:
        if not multihost.is_primary():
            return
        seeds = self._config.train.seeds
        self.bar.show(members_table(line, seeds))
        if not console.is_terminal or "valid_accuracy" in line:
            say(sentence(line, self._config.train.epochs))
        for member, seed in enumerate(seeds):
            new = line["skipped"][member] - self._skipped[member]
            frozen = line["frozen"][member]
            if frozen and member not in self._frozen:
                self._frozen.add(member)
                say(
                    f"member {member} (seed {seed}) is frozen: losses or gradients stayed non-finite; ensembles leave it out"
                )
            elif new > 0:
                say(
                    f"member {member} (seed {seed}): {new} steps skipped for a non-finite loss or gradient"
                    + ("; set back to its best parameters" if line["restored"][member] else "")
                )
            self._skipped[member] += new


def _loop(
    config: Config,
    layout: parallel.Layout,
    programs: _Programs,
    data: tuple[jax.Array, ...],
    state: members.EnsembleState,
    first: int,
    steps: int,
    log: Log,
    checkpoints: checkpoint.Checkpoints,
    stop: Stop,
    bar: progress,
) -> members.EnsembleState:
    c = config.train
    inputs, targets, valid, labels = data
    total = c.epochs * steps
    lines = lines_per_epoch(config, steps)
    order = None
    running = deque[jax.Array]()
    began = saved = time.monotonic()
    stop.graceful = True
    with bar as advance:
        advance(first / total)
        for step in range(first, total):
            if order is None or step % steps == 0:
                order = programs.order(
                    state.key, parallel.replicate(layout, np.int32(step // steps))
                )
            state, report = programs.step(state, order, inputs, targets)
            log.flush()
            # Looking at a step one late keeps the device busy and the bar honest.
            running.append(report.loss)
            if len(running) > 1:
                jax.block_until_ready(running.popleft())
            done = step + 1
            line_ends = bool(members.begins_interval(step + 1, steps, lines))
            rate = (done - first) * c.batch_size * len(c.seeds) / (time.monotonic() - began)
            advance(1 / total, f"epoch {step // steps + 1}/{c.epochs}  {rate:,.0f} member-faces/s")
            if line_ends:
                log_probs = None
                if done % steps == 0:
                    state, log_probs = programs.validate(state, valid, labels)
                log.hold(done, report, log_probs)
            stopping = stop.asked is not None
            due = time.monotonic() - saved >= 60 * c.checkpoint_every and not checkpoints.busy
            if not layout.alone:  # several processes must save the same step, and may only wait for each other at a line
                stopping, due = (
                    multihost.any_process(stopping, due) if line_ends else (False, False)
                )
            if stopping or due or done == total:
                log.flush()
                checkpoints.save(done, state)
                saved = time.monotonic()
            if stopping and done < total:
                checkpoints.wait()
                raise Interrupted(stop.asked or signal.SIGTERM, f"saved at step {done} of {total}")
    return state


def _targets(faces: Faces, labels: str) -> np.ndarray:
    return (
        faces.q
        if labels == "soft"
        else np.eye(faces.q.shape[1], dtype=np.float32)[faces.q.argmax(-1)]
    )
