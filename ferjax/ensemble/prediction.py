"""A trained run to predictions: member log-probabilities of clean, corrupted and strange faces.

One corrupted picture per (face, corruption, severity) is made inside the compiled step and shared
by all members.
"""

import dataclasses
import functools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferjax.config import Config, EvaluateConfig, load_config
from ferjax.corruptions.suites import CORRUPTIONS, corrupt
from ferjax.ensemble import checkpoint, densities, parallel
from ferjax.ensemble.densities import Densities, Head
from ferjax.ensemble.display import say
from ferjax.ensemble.training import batches, progress
from ferjax.faces.dataset import Faces
from ferjax.faces.images import normalise, to_network_size
from ferjax.files import write_atomically
from ferjax.models import vit
from ferjax.models.pretrained import load_tree
from ferjax.predictions import Predictions

__all__ = [
    "Condition",
    "Trained",
    "fit_densities",
    "load_run",
    "one_member",
    "plan",
    "predict",
    "predict_conditions",
    "predictor",
]


class Trained(NamedTuple):
    """A run as later commands use it: best-valid parameters ``[M, ...]``, the trunk they share
    (None if none), and how familiar pictures are to it (None before its first evaluation)."""

    config: Config
    params: Any
    trunk: Any
    best_accuracy: np.ndarray
    familiarity: Densities | None = None


def load_run(folder: Path) -> Trained:
    """Opens a run folder, of a run in progress too; reads the best parameters alone. Members frozen
    in training are left out.

    Raises:
      FileNotFoundError: if the folder is no run, or holds no checkpoint yet.
      ValueError: if no checkpoint is whole, or every member was frozen.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"{folder} is not a run: it holds no config.json (make one with `ferjax train`)"
        )
    config = load_config(folder / "config.json")
    if not (folder / "checkpoints").is_dir():
        raise FileNotFoundError(
            f"{folder} holds no checkpoints; was it trained? (`ferjax train ... --out {folder} --resume`)"
        )
    count = len(config.train.seeds)
    _, state = checkpoint.read(
        folder / "checkpoints", count, parts=("best_params", "best_accuracy", "health"), report=say
    )
    sound = np.flatnonzero(
        ~np.asarray(state["health"]["frozen"] if "health" in state else np.zeros(count, bool))
    )
    if len(sound) < count:
        out = [str(seed) for k, seed in enumerate(config.train.seeds) if k not in sound]
        if not len(sound):
            raise ValueError(
                f"{folder}: all {count} members are frozen: their losses or gradients became non-finite"
            )
        say(
            f"{folder} averages {len(sound)} of {count} members: those with the seeds {', '.join(out)} were frozen in training"
        )
        seeds = tuple(config.train.seeds[k] for k in sound)
        config = dataclasses.replace(config, train=dataclasses.replace(config.train, seeds=seeds))
    trunk = load_tree(folder / "trunk.safetensors") if vit.trunk_model(config.model) else None
    known = densities.load(folder)
    if known is not None and any(len(leaf) != len(sound) for leaf in jax.tree.leaves(known.own)):
        known = None  # fitted for other members; the next evaluation fits it anew
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf[sound]), state["best_params"])
    return Trained(config, params, trunk, state["best_accuracy"][sound], known)


def one_member(trained: Trained, member: int) -> Any:
    """The whole network of one member, trunk included.

    Raises:
      ValueError: if there is no such member.
    """
    members_count = len(trained.config.train.seeds)
    if not 0 <= member < members_count:
        raise ValueError(f"no member {member}: this run has members 0..{members_count - 1}")
    return {**(trained.trunk or {}), **jax.tree.map(lambda leaf: leaf[member], trained.params)}


def _one_member(trained: Trained, corruption: str | None) -> Callable:
    """One member's way from stored faces to a view of them, and to the pictures it saw."""
    config = trained.config
    view = densities.make_forward(trained.config.model)

    def look(
        params: Any, trunk: Any, images: jax.Array, ids: jax.Array, severity: jax.Array
    ) -> tuple[densities.ForwardOutputs, jax.Array]:
        pictures = to_network_size(images, config.model.image_size)
        if corruption is not None:
            pictures = corrupt(corruption, pictures, severity, ids, seed=config.evaluate.seed)
        return view(params, trunk, normalise(pictures)), pictures

    return look


def predictor(
    trained: Trained,
    corruption: str | None = None,
    layout: parallel.Layout | None = None,
    head: Head | None = None,
) -> Callable[..., tuple[jax.Array, dict[str, jax.Array]]]:
    """Compiles the forward pass of all members for one corruption.

    Args:
      trained: an opened run.
      corruption: what is done to the pictures; nothing by default.
      layout: where the members live; on all local devices by default.
      head: densities of the head's features, for more scores.

    Returns:
      ``(images uint8 [face, H, W], ids [face], severity) -> (log_probs [member, face, class],
      scores name -> [face])``, one compilation per batch shape; severity is an argument of the
      compiled program. The scores are those of :mod:`ferjax.ensemble.densities`, as far as
      densities were fitted.

    Raises:
      ValueError: on an unknown corruption.
    """
    if corruption is not None and corruption not in CORRUPTIONS:
        raise ValueError(f"unknown corruption {corruption!r}; known: {', '.join(CORRUPTIONS)}")
    look = _one_member(trained, corruption)
    known = trained.familiarity

    def one_member(
        params: Any,
        own: Any,
        head: Any,
        trunk: Any,
        shared: Any,
        images: jax.Array,
        ids: jax.Array,
        severity: jax.Array,
    ):
        view, pictures = look(params, trunk, images, ids, severity)
        return view.log_probs, densities.partial_scores(view, pictures, shared, own, head)

    layout = parallel.lay_out(len(trained.config.train.seeds)) if layout is None else layout
    mapped = parallel.map_members(layout, one_member, (0, 0, 0, None, None, None, None, None))
    shared = None if known is None else known._replace(own={})
    members = parallel.scatter(layout, (trained.params, {} if known is None else known.own, head))
    constants = parallel.replicate(layout, (trained.trunk, shared))
    finish = jax.jit(lambda parts: densities.finish(parts, shared))

    def run(
        images: np.ndarray, ids: np.ndarray, severity: int = 1
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        batch = parallel.replicate(
            layout, (jnp.asarray(images), jnp.asarray(ids, jnp.uint32), jnp.int32(severity))
        )
        log_probs, parts = parallel.gather(layout, mapped(*members, *constants, *batch))
        return log_probs, finish(parts)

    return run


def predict(
    run: Callable,
    images: np.ndarray,
    ids: np.ndarray,
    batch_size: int,
    severity: int = 1,
    tick: Callable[[float], None] = lambda _: None,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Log-probabilities ``[member, face, class]`` and scores ``[face]`` of any number of faces, in
    batches of one shape."""
    log_probs = []
    scores = []
    shards = list(zip(batches(images, batch_size), batches(ids, batch_size)))
    for image_batch, id_batch in shards:
        part = jax.device_get(run(image_batch, id_batch, severity))
        log_probs.append(part[0])
        scores.append(part[1])
        tick(1 / len(shards))
    joined = {
        name: np.concatenate([part[name] for part in scores])[: len(images)] for name in scores[0]
    }
    return np.concatenate(log_probs, axis=1)[:, : len(images)], joined


def _spread(faces: Faces, most: int) -> Faces:
    """At most so many of the faces, evenly from first to last."""
    return faces.take(np.unique(np.linspace(0, len(faces.ids) - 1, most).astype(int)))


def fit_densities(trained: Trained, faces: Faces) -> tuple[Densities, Head]:
    """Fits the run's densities on (at most ``evaluate.density_faces`` of) its clean training
    faces."""
    config = trained.config.evaluate
    faces = _spread(faces, config.density_faces)
    look = _one_member(trained, None)
    layout = parallel.lay_out(len(trained.config.train.seeds))
    mapped = parallel.map_members(
        layout, lambda *given: look(*given)[0], (0, None, None, None, None)
    )
    params = parallel.scatter(layout, trained.params)
    trunk = parallel.replicate(layout, trained.trunk)
    parts = []
    with progress(f"densities of {len(faces.ids)} familiar faces") as advance:
        shards = list(
            zip(batches(faces.images, config.batch_size), batches(faces.ids, config.batch_size))
        )
        for images, ids in shards:
            batch = parallel.replicate(
                layout, (jnp.asarray(images), jnp.asarray(ids, jnp.uint32), jnp.int32(1))
            )
            parts.append(jax.device_get(parallel.gather(layout, mapped(params, trunk, *batch))))
            advance(1 / len(shards))
    views = jax.tree.map(
        lambda *leaves: np.concatenate(leaves, axis=1)[:, : len(faces.ids)], *parts
    )
    return densities.fit(views, faces.images), densities.fit_head(
        jnp.asarray(views.features), jnp.asarray(faces.q)
    )


class Condition(NamedTuple):
    """One thing to predict: a split, and what is done to its pictures."""

    split: str
    corruption: str | None = None
    severity: int | None = None

    @property
    def name(self) -> str:
        """``valid``, ``gnoise_3`` (of test faces), ``valid_gnoise_3``."""
        if self.corruption is None:
            return self.split
        return (
            f"{'' if self.split == 'test' else f'{self.split}_'}{self.corruption}_{self.severity}"
        )


def plan(config: EvaluateConfig, faces: Mapping[str, Faces]) -> list[Condition]:
    """Clean valid and test, the natural out-of-distribution sets, corrupted test faces, and
    corrupted valid ones to fit learned routers on."""
    natural = [name for name in ("not_a_face", "unknown") if len(faces[name].ids)]
    return [
        *(Condition(name) for name in ("valid", "test", *natural)),
        *(Condition("test", c, s) for c in config.corruptions for s in config.severities),
        *(Condition("valid", c, s) for c in config.fit_corruptions for s in config.fit_severities),
    ]


def predict_conditions(
    trained: Trained, faces: Mapping[str, Faces], folder: Path
) -> Iterator[Predictions]:
    """Predicts every condition of :func:`plan`, saving each under ``folder`` as soon as it is done.

    Densities are fitted first and left beside ``folder``. What an interrupted evaluation of the
    same members left is used.
    """
    config = trained.config.evaluate
    folder.mkdir(parents=True, exist_ok=True)
    _forget_others(trained, folder)
    conditions = plan(config, faces)
    missing = [c for c in conditions if not (folder / f"{c.name}.npz").is_file()]
    if missing:
        known, head = fit_densities(trained, faces["train"])
        densities.save(known, folder.parent)
        trained = trained._replace(familiarity=known)
    compiled: dict[str | None, Callable] = {}
    with progress(f"predicting {len(conditions)} conditions") as advance:
        for condition in conditions:
            path = folder / f"{condition.name}.npz"
            if condition not in missing:
                advance(1 / len(conditions))
                yield Predictions.load(path)
                continue
            if condition.corruption not in compiled:
                compiled = {None: compiled[None]} if None in compiled else {}
                compiled[condition.corruption] = predictor(trained, condition.corruption, head=head)
            these = faces[condition.split]
            if condition.split == "valid" and condition.corruption is not None:
                these = _spread(these, config.fit_faces)
            tick = functools.partial(_advance, advance, len(conditions), condition.name)
            log_probs, scores = predict(
                compiled[condition.corruption],
                these.images,
                these.ids,
                config.batch_size,
                condition.severity or 1,
                tick,
            )
            result = Predictions(
                log_probs,
                these.ids,
                these.votes,
                these.truth,
                condition.name,
                condition.corruption,
                condition.severity,
                scores=scores,
            )
            result.save(path)
            yield result


def _forget_others(trained: Trained, folder: Path) -> None:
    """Removes predictions of other members, other noise or other data: ``made_by.json`` says whose
    they are."""
    config = trained.config
    made_by = (
        json.dumps(
            {
                "valid_accuracy": [round(float(a), 6) for a in trained.best_accuracy],
                "seeds": config.train.seeds,
                "noise_seed": config.evaluate.seed,
                "density_faces": config.evaluate.density_faces,
                "data": {
                    name: value
                    for name, value in dataclasses.asdict(config.data).items()
                    if name != "path"
                },
            }
        )
        + "\n"
    )
    note = folder / "made_by.json"
    if not note.is_file() or note.read_text() != made_by:
        for old in folder.glob("*.npz"):
            old.unlink()
        write_atomically(note, made_by.encode())


def _advance(advance: Callable[..., None], conditions: int, note: str, share: float) -> None:
    advance(share / conditions, note)
