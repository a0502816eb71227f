"""The loop: faces and a configuration in, a run folder out.

A run is a folder: ``config.json``, ``checkpoints/``, ``metrics.jsonl`` (a line per epoch), and ``trunk.safetensors`` where
a frozen trunk is shared. Everything later commands need is in it.
"""

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ferjax import metrics, uncertainty
from ferjax.config import Config
from ferjax.ensemble import members, parallel
from ferjax.ensemble.checkpoint import Checkpoints
from ferjax.faces.dataset import Faces
from ferjax.faces.images import normalise, to_network_size
from ferjax.models import vit
from ferjax.models.pretrained import load_pretrained, save_tree
from ferjax.predictions import write_atomically

__all__ = ["Run", "batches", "starting_point", "train"]

console = Console(stderr=True)


class Run(NamedTuple):
    """What :func:`train` leaves: the run's folder, the final stacked state, and the last epoch's figures."""

    folder: Path
    state: members.EnsembleState
    figures: dict


def batches(array: np.ndarray, size: int) -> np.ndarray:
    """``[face, ...]`` to ``[batch, size, ...]``; the last batch is filled up with repeats, so that no shape is new."""
    count = -(-len(array) // size)
    return np.take(array, np.arange(count * size) % len(array), axis=0).reshape(count, size, *array.shape[1:])


def starting_point(config: Config) -> tuple[Any, Any]:
    """The frozen trunk (None if every block is trained) and the parameters members start from (None: random)."""
    trunk = vit.trunk_model(config.model)
    if config.model.pretrained:
        frozen, trained = vit.split(load_pretrained(config.model.pretrained, config.model), config.model)
        return (None if trunk is None else frozen), trained
    return (None if trunk is None else trunk.init(jax.random.key(config.train.seeds[0]))), None


class _Programs(NamedTuple):
    """The compiled functions of a training run."""

    birth: Callable
    order: Callable
    step: Callable
    validate: Callable


def _compile(config: Config, layout: parallel.Layout, faces: int, start: Any) -> _Programs:
    model, c = vit.members_model(config.model), config.train
    optimizer = members.optimizer(c, faces // c.batch_size, config.model.depth)
    feed = members.pixel_feed(config.model.image_size) if config.model.trainable_blocks is None else members.token_feed()

    def predict(params: Any, batch: jax.Array) -> vit.Output:
        if config.model.trainable_blocks is None:
            batch = normalise(to_network_size(batch, config.model.image_size))
        return model.apply(params, batch)

    return _Programs(
        birth=jax.jit(jax.vmap(lambda seed: members.init(model, optimizer, seed, start))),
        order=parallel.map_members(
            layout, lambda key, epoch: members.epoch_order(key, epoch, faces=faces, batch_size=c.batch_size), (0, None)
        ),
        step=parallel.map_members(layout, members.train_step(model, optimizer, feed, accumulate=c.accumulate), (0, 0, None, None), donate=(0,)),
        validate=parallel.map_members(layout, members.validate(predict), (0, None, None), donate=(0,)),
    )


def cache_tokens(config: Config, trunk_params: Any, images: np.ndarray, mirrored: bool) -> np.ndarray:
    """The frozen trunk's tokens of every face, ``[face, 1 or 2, token, dim]``; the second is of the mirrored face."""
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
                advance(1 / (len(batches(view[:1], 1)) * -(-len(view) // size) * (2 if mirrored else 1)))
            views.append(np.concatenate(parts)[: len(view)])
    return np.stack(views, axis=1)


class progress:
    """A progress bar on standard error in a terminal, and nothing in a pipe. Yields ``advance(share, note="")``."""

    def __init__(self, title: str):
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"), console=console, disable=not console.is_terminal, transient=True,
        )
        self._task = self._bar.add_task(title, total=1.0, note="")

    def __enter__(self) -> Callable[..., None]:
        self._bar.start()
        return lambda share, note="": self._bar.update(self._task, advance=share, note=note)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _open_folder(config: Config, folder: Path, resume: bool) -> None:
    if resume:
        saved = folder / "config.json"
        if not saved.is_file():
            raise FileNotFoundError(f"cannot resume {folder}: it holds no config.json")
        was = Config.from_json(saved.read_text())
        for part in ("data", "model", "train"):
            old, new = dataclasses.asdict(getattr(was, part)), dataclasses.asdict(getattr(config, part))
            changed = [f"{part}.{k} {old[k]} -> {new[k]}" for k in old if old[k] != new[k]]
            if changed:
                raise ValueError(f"cannot resume {folder} with another configuration: {'; '.join(changed)}")
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} exists and is not empty; continue it with --resume, or choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "config.json", config.to_json().encode())


def train(config: Config, faces: dict[str, Faces], folder: Path, *, resume: bool = False) -> Run:
    """Trains an ensemble.

    Args:
      config: the run's configuration.
      faces: splits ``train`` and ``valid``.
      folder: where the run goes; created, must be empty unless ``resume``.
      resume: continue from the newest checkpoint; the continuation is the run that was interrupted.

    Raises:
      ValueError: if the training split does not fill one batch, or a resumed run was configured differently.
      FileExistsError: if the folder already holds something and ``resume`` is off.
    """
    c = config.train
    steps = len(faces["train"].ids) // c.batch_size
    if steps == 0:
        raise ValueError(f"train.batch_size {c.batch_size} is more than the {len(faces['train'].ids)} training faces")
    trunk_params, start = starting_point(config)
    _open_folder(config, folder, resume)

    layout = parallel.lay_out(len(c.seeds))
    programs = _compile(config, layout, len(faces["train"].ids), start)
    stored = {name: faces[name].images for name in ("train", "valid")}
    if trunk_params is not None:
        save_tree(trunk_params, folder / "trunk.safetensors")
        stored = {name: cache_tokens(config, trunk_params, stored[name], mirrored=name == "train") for name in stored}
        stored["valid"] = stored["valid"][:, 0]
    data, targets, valid, labels = parallel.replicate(layout, (
        jnp.asarray(stored["train"]), jnp.asarray(_targets(faces["train"], c.labels)),
        jnp.asarray(batches(stored["valid"], config.evaluate.batch_size)), jnp.asarray(faces["valid"].q.argmax(-1)),
    ))

    state = programs.birth(jnp.asarray(c.seeds, jnp.uint32))
    checkpoints = Checkpoints(folder / "checkpoints", c.keep_checkpoints)
    log = folder / "metrics.jsonl"
    first_epoch = 0
    if resume and checkpoints.latest() is not None:
        state = checkpoints.restore(state)
        first_epoch = int(state.step[0]) // steps
        lines = log.read_text().splitlines() if log.exists() else []
        write_atomically(log, "".join(f"{line}\n" for line in lines[:first_epoch]).encode())
    elif resume:
        write_atomically(log, b"")
    console.print(f"training {layout}: {c.epochs} epochs of {steps} steps, {c.batch_size} faces per step and member"
                  + (f"; resuming after epoch {first_epoch}" if first_epoch else ""))

    state = parallel.scatter(layout, state)
    figures: dict = json.loads(log.read_text().splitlines()[-1]) if first_epoch and log.read_text() else {}
    with progress("training") as advance:
        advance(first_epoch / c.epochs)
        for epoch in range(first_epoch, c.epochs):
            began = time.perf_counter()
            order = programs.order(state.key, parallel.replicate(layout, jnp.int32(epoch)))
            reports = []
            for _ in range(steps):
                state, report = programs.step(state, order, data, targets)
                reports.append(report)
                # Looking at a step one late keeps the device busy and the bar honest.
                if len(reports) > 1:
                    jax.block_until_ready(reports[-2])
                rate = len(reports) * c.batch_size * len(c.seeds) / (time.perf_counter() - began)
                advance(1 / (steps * c.epochs), f"epoch {epoch + 1}/{c.epochs}  {rate:,.0f} member-faces/s")
            jax.block_until_ready(state.step)
            seconds = time.perf_counter() - began
            state, log_probs = programs.validate(state, valid, labels)
            figures = _figures(parallel.gather(layout, reports), parallel.gather(layout, log_probs), faces["valid"])
            figures = {"epoch": epoch + 1, "step": (epoch + 1) * steps, **figures, "seconds": round(seconds, 3),
                       "member_faces_per_second": round(steps * c.batch_size * len(c.seeds) / seconds, 1)}
            if (epoch + 1) % c.checkpoint_every == 0 or epoch + 1 == c.epochs:
                checkpoints.save((epoch + 1) * steps, parallel.gather(layout, state))
            with open(log, "a") as file:
                file.write(json.dumps(figures) + "\n")
            console.print(
                f"epoch {epoch + 1:>3}/{c.epochs}  loss {np.mean(figures['loss']):.4f}  valid accuracy: members "
                f"{' '.join(f'{a:.3f}' for a in figures['valid_accuracy'])}, ensemble {figures['valid_ensemble_accuracy']:.3f}"
                f"  {figures['member_faces_per_second']:,.0f} member-faces/s", highlight=False)
    checkpoints.close()
    return Run(folder, parallel.gather(layout, state), figures)


def _targets(faces: Faces, labels: str) -> np.ndarray:
    return faces.q if labels == "soft" else np.eye(faces.q.shape[1], dtype=np.float32)[faces.q.argmax(-1)]


@jax.jit
def _valid_figures(log_probs: jax.Array, q: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
    mean = uncertainty.mean_log_probs(log_probs)
    return {
        "valid_accuracy": jax.vmap(metrics.accuracy, (0, None))(log_probs, labels),
        "valid_nll": jax.vmap(metrics.nll, (0, None))(log_probs, q),
        "valid_ensemble_accuracy": metrics.accuracy(mean, labels),
        "valid_ensemble_nll": metrics.nll(mean, q),
        "valid_epistemic": jnp.mean(uncertainty.decompose(log_probs).epistemic),
    }


def _figures(reports: list[members.StepReport], log_probs: jax.Array, valid: Faces) -> dict:
    whole = jax.tree.map(lambda *steps: np.mean([np.asarray(s) for s in steps], axis=0), *reports)
    figures = _valid_figures(log_probs, valid.q, valid.q.argmax(-1))
    figures = {"loss": whole.loss, "train_accuracy": whole.accuracy, **figures}
    return {name: np.round(np.asarray(value, np.float64), 6).tolist() for name, value in figures.items()}
