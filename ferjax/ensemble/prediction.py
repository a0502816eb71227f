"""A trained run to predictions: member log-probabilities of clean, corrupted and strange faces.

One corrupted picture per (face, corruption, severity) is made inside the compiled step and shared by all members.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferjax.config import Config
from ferjax.ensemble import checkpoint, parallel
from ferjax.ensemble.display import console
from ferjax.ensemble.training import batches, progress
from ferjax.faces.corruptions import CORRUPTIONS, corrupt
from ferjax.faces.dataset import Faces
from ferjax.faces.images import normalise, to_network_size
from ferjax.models import vit
from ferjax.models.pretrained import load_tree
from ferjax.predictions import Predictions

__all__ = ["Trained", "load_run", "one_member", "predict", "predict_conditions", "predictor"]


class Trained(NamedTuple):
    """A run as later commands use it: best-valid parameters ``[M, ...]`` and the trunk they share (None if none)."""

    config: Config
    params: Any
    trunk: Any
    best_accuracy: np.ndarray


def load_run(folder: Path) -> Trained:
    """Opens a run folder, of a run in progress too; reads the best parameters alone. Members frozen in training are left out.

    Raises:
      FileNotFoundError: if the folder is no run, or holds no checkpoint yet.
      ValueError: if no checkpoint is whole, or every member was frozen.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder} is not a run: it holds no config.json (make one with `ferjax train`)")
    config = Config.from_json((folder / "config.json").read_text())
    if not (folder / "checkpoints").is_dir():
        raise FileNotFoundError(f"{folder} holds no checkpoints; was it trained? (`ferjax train ... --out {folder} --resume`)")
    count = len(config.train.seeds)
    _, state = checkpoint.read(folder / "checkpoints", count, parts=("best_params", "best_accuracy", "health"), report=console.print)
    sound = np.flatnonzero(~np.asarray(state["health"]["frozen"] if "health" in state else np.zeros(count, bool)))
    if len(sound) < count:
        out = [str(seed) for k, seed in enumerate(config.train.seeds) if k not in sound]
        if not len(sound):
            raise ValueError(f"{folder}: all {count} members are frozen: their losses or gradients became non-finite")
        console.print(f"{folder} averages {len(sound)} of {count} members: those with the seeds {', '.join(out)} were frozen in training")
        seeds = tuple(config.train.seeds[k] for k in sound)
        config = dataclasses.replace(config, train=dataclasses.replace(config.train, seeds=seeds))
    trunk = load_tree(folder / "trunk.safetensors") if vit.trunk_model(config.model) else None
    return Trained(config, jax.tree.map(lambda leaf: jnp.asarray(leaf[sound]), state["best_params"]), trunk, state["best_accuracy"][sound])


def one_member(trained: Trained, member: int) -> Any:
    """The whole network of one member, trunk included.

    Raises:
      ValueError: if there is no such member.
    """
    members_count = len(trained.config.train.seeds)
    if not 0 <= member < members_count:
        raise ValueError(f"no member {member}: this run has members 0..{members_count - 1}")
    return {**(trained.trunk or {}), **jax.tree.map(lambda leaf: leaf[member], trained.params)}


def predictor(trained: Trained, corruption: str | None = None,
              layout: parallel.Layout | None = None) -> Callable[[np.ndarray, np.ndarray, int], jax.Array]:
    """Compiles the forward pass of all members for one corruption.

    Args:
      trained: an opened run.
      corruption: what is done to the pictures; nothing by default.
      layout: where the members live; on all local devices by default.

    Returns:
      ``(images uint8 [face, H, W], ids [face], severity) -> log_probs [member, face, class]``, one compilation per
      batch shape; severity is an argument of the compiled program.

    Raises:
      ValueError: on an unknown corruption.
    """
    config = trained.config
    if corruption is not None and corruption not in CORRUPTIONS:
        raise ValueError(f"unknown corruption {corruption!r}; known: {', '.join(CORRUPTIONS)}")
    model, trunk = vit.members_model(config.model), vit.trunk_model(config.model)

    def one_member(params: Any, trunk_params: Any, images: jax.Array, ids: jax.Array, severity: jax.Array) -> jax.Array:
        pictures = to_network_size(images, config.model.image_size)
        if corruption is not None:
            pictures = corrupt(corruption, pictures, severity, ids, seed=config.evaluate.seed)
        inputs = normalise(pictures)
        if trunk is not None:
            inputs = trunk.apply(trunk_params, inputs)
        return model.apply(params, inputs).log_probs

    layout = parallel.lay_out(len(config.train.seeds)) if layout is None else layout
    mapped = parallel.map_members(layout, one_member, (0, None, None, None, None))
    params, trunk_params = parallel.scatter(layout, trained.params), parallel.replicate(layout, trained.trunk)

    def run(images: np.ndarray, ids: np.ndarray, severity: int = 1) -> jax.Array:
        shared = parallel.replicate(layout, (jnp.asarray(images), jnp.asarray(ids, jnp.uint32), jnp.int32(severity)))
        return parallel.gather(layout, mapped(params, trunk_params, *shared))

    return run


def predict(run: Callable, images: np.ndarray, ids: np.ndarray, batch_size: int, severity: int = 1,
            tick: Callable[[float], None] = lambda _: None) -> np.ndarray:
    """Log-probabilities ``[member, face, class]`` of any number of faces, in batches of one shape."""
    parts = []
    shards = list(zip(batches(images, batch_size), batches(ids, batch_size)))
    for image_batch, id_batch in shards:
        parts.append(np.asarray(run(image_batch, id_batch, severity)))
        tick(1 / len(shards))
    return np.concatenate(parts, axis=1)[:, : len(images)]


def _advance(advance: Callable[..., None], conditions: int, note: str, share: float) -> None:
    advance(share / conditions, note)


def predict_conditions(trained: Trained, faces: dict[str, Faces], folder: Path) -> Iterator[Predictions]:
    """Predicts every condition of an evaluation, saving each under ``folder`` as soon as it is done.

    Clean valid and test, the natural out-of-distribution sets, and the test faces under each configured corruption and
    severity.
    """
    config = trained.config.evaluate
    folder.mkdir(parents=True, exist_ok=True)
    natural = [name for name in ("not_a_face", "unknown") if len(faces[name].ids)]
    plan: list[tuple[str, str | None, int | None]] = [(name, None, None) for name in ("valid", "test", *natural)]
    plan += [("test", corruption, severity) for corruption in config.corruptions for severity in config.severities]
    compiled: dict[str | None, Callable] = {}
    with progress(f"predicting {len(plan)} conditions") as advance:
        for split, corruption, severity in plan:
            if corruption not in compiled:
                compiled = {None: compiled[None]} if None in compiled else {}
                compiled[corruption] = predictor(trained, corruption)
            these = faces[split]
            condition = split if corruption is None else f"{corruption}_{severity}"
            tick = functools.partial(_advance, advance, len(plan), condition)
            log_probs = predict(compiled[corruption], these.images, these.ids, config.batch_size, severity or 1, tick)
            result = Predictions(log_probs, these.ids, these.votes, these.truth, condition, corruption, severity)
            result.save(folder / f"{condition}.npz")
            yield result
