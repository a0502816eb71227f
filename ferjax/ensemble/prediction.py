"""Predictions of a trained run for clean, corrupted and out-of-distribution faces.

One corrupted picture per (face, corruption, severity) is made inside the compiled program and
shared by all members.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferjax.corruptions import tolerances
from ferjax.corruptions.suites import CORRUPTIONS, REVISION, corrupt
from ferjax.ensemble import densities, parallel
from ferjax.ensemble.conditions import plan
from ferjax.ensemble.densities import Densities, Head
from ferjax.ensemble.forward import Features, ForwardOutputs, make_forward
from ferjax.ensemble.inputs import batches
from ferjax.ensemble.methods import method_of
from ferjax.ensemble.trained import Trained, load_run, member_params
from ferjax.events import OnEvent, Progress, silent
from ferjax.faces.dataset import Dataset, Faces
from ferjax.faces.images import normalise, to_network_size
from ferjax.files import write_atomically
from ferjax.models import attention
from ferjax.predictions import Predictions

__all__ = [
    "MemberOutputs",
    "Trained",
    "fit_densities",
    "load_run",
    "member_params",
    "members_of",
    "predict",
    "predict_conditions",
    "predict_set",
    "predictor",
    "scores_program",
]


class MemberOutputs(NamedTuple):
    """What all members say of faces; of a method with several passes each counts as a member, a
    member's beside one another."""

    log_probs: Any
    """``[member, face, class]``."""
    scores: dict[str, Any]
    """``[face]`` by name: the method's, and those of :mod:`ferjax.ensemble.densities` as far as
    densities were fitted."""
    log_concentration: Any = None
    """``[member, face]`` where members predict Dirichlet distributions, see
    :class:`ferjax.ensemble.methods.Reading`."""


class _Member(NamedTuple):
    """What a member owns, every leaf ``[member, ...]`` once stacked."""

    params: Any
    seed: Any
    densities: Any = None
    head: Any = None


def _forward(
    trained: Trained, corruption: str | None
) -> Callable[..., tuple[ForwardOutputs, jax.Array]]:
    """One member's way from stored faces to its outputs, and to the pictures it saw.

    ``(member, trunk_params, images, ids, severity)``; pictures ``[face, S, S, 3]`` in [0, 1].
    """
    config = trained.config
    method = method_of(config)
    forward = make_forward(config.model, len(trained.spec.classes), method)

    def run(
        member: _Member, trunk: Any, images: jax.Array, ids: jax.Array, severity: jax.Array
    ) -> tuple[ForwardOutputs, jax.Array]:
        pictures = to_network_size(images, config.model.image_size)
        if corruption is not None:
            pictures = corrupt(corruption, pictures, severity, ids, seed=config.evaluate.seed)
        # A stream of its own beside initialisation, order and steps, for passes that are random.
        key = jax.random.fold_in(jax.random.key(member.seed), 3)
        return forward(member.params, trunk, normalise(pictures), key), pictures

    return run


def members_of(trained: Trained, head: Head | None = None) -> _Member:
    """What each member of a run owns, stacked ``[M, ...]``, as :func:`scores_program` takes it."""
    seeds = np.array(trained.config.train.seeds, np.uint32)
    own = None if trained.densities is None else trained.densities.own
    return _Member(trained.params, seeds, own, head)


def scores_program(trained: Trained, corruption: str | None, layout: parallel.Layout) -> Callable:
    """The program of :func:`predictor`: ``(members, (trunk, fitted), images, ids, severity)``.

    ``members`` is :func:`members_of` a run, scattered; the rest is what they share, replicated.
    """
    model = attention.chosen(trained.config.model, has_kernel=layout.has_attention_kernel)
    config = dataclasses.replace(trained.config, model=model)
    forward = _forward(trained._replace(config=config), corruption)
    side = trained.spec.side

    def member_scores(
        member: _Member, shared: tuple[Any, Densities | None], *batch: jax.Array
    ) -> tuple[jax.Array, jax.Array | None, dict[str, jax.Array]]:
        trunk, fitted = shared
        outputs, pictures = forward(member, trunk, *batch)
        own = member.densities or {}
        scores = densities.partial_scores(outputs, pictures, side, fitted, own, member.head)
        return outputs.log_probs, outputs.log_concentration, scores

    return parallel.map_members(layout, member_scores, (0, None, None, None, None))


def predictor(
    trained: Trained,
    corruption: str | None = None,
    layout: parallel.Layout | None = None,
    head: Head | None = None,
) -> Callable[..., MemberOutputs]:
    """Compiles the forward pass of all members for one corruption.

    Args:
      trained: an opened run.
      corruption: what is done to the pictures; nothing by default.
      layout: where the members live; on all local devices by default.
      head: densities of the head's features, for more scores.

    Returns:
      ``(images uint8 [face, H, W], ids [face], severity) -> MemberOutputs``, one compilation per
      batch shape; severity is an argument of the compiled program.

    Raises:
      ValueError: on an unknown corruption.
    """
    if corruption is not None and corruption not in CORRUPTIONS:
        raise ValueError(f"unknown corruption {corruption!r}; known: {', '.join(CORRUPTIONS)}")
    layout = parallel.lay_out(len(trained.config.train.seeds)) if layout is None else layout
    mapped = scores_program(trained, corruption, layout)
    fitted = None if trained.densities is None else trained.densities._replace(own={})
    members = parallel.scatter(layout, members_of(trained, head))
    shared = parallel.replicate(layout, (trained.trunk, fitted))
    finish = jax.jit(lambda parts: densities.finish(parts, fitted))

    def run(images: np.ndarray, ids: np.ndarray, severity: int = 1) -> MemberOutputs:
        batch = _on_devices(layout, images, ids, severity)
        *said, parts = parallel.gather(layout, mapped(members, shared, *batch))
        log_probs, concentration = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), said)
        return MemberOutputs(log_probs, finish(parts), concentration)

    return run


def _on_devices(layout: parallel.Layout, images: Any, ids: Any, severity: int) -> tuple:
    batch = (jnp.asarray(images), jnp.asarray(ids, jnp.uint32), jnp.int32(severity))
    return parallel.replicate(layout, batch)


def predict(
    run: Callable[..., MemberOutputs],
    images: np.ndarray,
    ids: np.ndarray,
    batch_size: int,
    severity: int = 1,
    on_batch: Callable[[float], None] = lambda _: None,
) -> MemberOutputs:
    """Runs a predictor over any number of faces, in batches of one shape.

    Args:
      run: from :func:`predictor`.
      images: uint8 ``[face, side, side]``.
      ids: ``[face]``.
      batch_size: faces at once.
      severity: of the predictor's corruption.
      on_batch: told the share of the faces that is done.

    Returns:
      What all members say of the faces, in numpy arrays.
    """
    parts: list[MemberOutputs] = []
    shards = list(zip(batches(images, batch_size), batches(ids, batch_size)))
    for done, (image_batch, id_batch) in enumerate(shards, 1):
        parts.append(jax.device_get(run(image_batch, id_batch, severity)))
        on_batch(done / len(shards))
    faces = len(images)

    def joined(*batches: np.ndarray, axis: int) -> np.ndarray:
        return np.take(np.concatenate(batches, axis), np.arange(faces), axis)

    return MemberOutputs(
        joined(*(part.log_probs for part in parts), axis=1),
        {n: joined(*(part.scores[n] for part in parts), axis=0) for n in parts[0].scores},
        None
        if parts[0].log_concentration is None
        else joined(*(part.log_concentration for part in parts), axis=1),
    )


def _spread(faces: Faces, most: int) -> Faces:
    """At most so many of the faces, evenly from first to last."""
    return faces.take(np.unique(np.linspace(0, len(faces.ids) - 1, most).astype(int)))


def fit_densities(
    trained: Trained, faces: Faces, on_event: OnEvent = silent
) -> tuple[Densities, Head]:
    """Fits the run's densities on clean training faces and what must be as familiar.

    Half of the faces, at most ``evaluate.density_faces`` in all, are seen under the declared
    tolerances: what is harmless must not be far from the others. The head's densities, which are
    there for comparison, are fitted on the others alone.
    """
    config = trained.config.evaluate
    faces = _spread(faces, config.density_faces)
    changed = np.zeros(len(faces.ids), bool)
    if config.tolerances:
        # In pairs: the even and the odd faces are fitted apart, and both halves have either kind.
        changed[2::4] = changed[3::4] = True
        views = tolerances.view(
            config.tolerances, faces.images[changed], faces.ids[changed], seed=config.seed
        )
        images = faces.images.copy()
        images[changed] = views
        faces = faces._replace(images=images)
    forward = _forward(trained, None)

    def member_features(member: _Member, trunk: Any, *batch: jax.Array) -> Features:
        return forward(member, trunk, *batch)[0].features

    layout = parallel.lay_out(len(trained.config.train.seeds))
    mapped = parallel.map_members(layout, member_features, (0, None, None, None, None))
    members = parallel.scatter(layout, members_of(trained._replace(densities=None)))
    trunk = parallel.replicate(layout, trained.trunk)
    parts = []
    shards = list(
        zip(batches(faces.images, config.batch_size), batches(faces.ids, config.batch_size))
    )
    for done, (images, ids) in enumerate(shards, 1):
        batch = _on_devices(layout, images, ids, 1)
        parts.append(jax.device_get(parallel.gather(layout, mapped(members, trunk, *batch))))
        on_event(Progress(f"densities of {len(faces.ids)} faces", done / len(shards)))
    features = jax.tree.map(
        lambda *leaves: np.concatenate(leaves, axis=1)[:, : len(faces.ids)], *parts
    )
    head = densities.fit_head(jnp.asarray(features.head[:, ~changed]), faces.q[~changed])
    return densities.fit(features, faces.images), head


def predict_conditions(
    trained: Trained, dataset: Dataset, folder: Path, on_event: OnEvent = silent
) -> Iterator[Predictions]:
    """Predicts every condition of an evaluation, saving each as soon as it is done.

    Args:
      trained: an opened run.
      dataset: its data.
      folder: where the predictions go, a file per condition. Densities are fitted first and left
        beside it. What an interrupted evaluation of the same members left there is used.
      on_event: told how far it is.

    Yields:
      Predictions of each condition of :func:`ferjax.ensemble.conditions.plan`, in its order.
    """
    config = trained.config.evaluate
    folder.mkdir(parents=True, exist_ok=True)
    _forget_others(trained, folder)
    conditions = plan(config, dataset)
    missing = [c for c in conditions if not (folder / f"{c.name}.npz").is_file()]
    head = None
    if missing:
        fitted, head = fit_densities(trained, dataset["train"], on_event)
        densities.save(fitted, folder.parent, trained.digest)
        trained = trained._replace(densities=fitted)
    compiled: dict[str | None, Callable] = {}
    for number, condition in enumerate(conditions):

        def tell(share: float, number: int = number, name: str = condition.name) -> None:
            task = f"predicting {len(conditions)} conditions"
            on_event(Progress(task, (number + share) / len(conditions), name))

        path = folder / f"{condition.name}.npz"
        if condition not in missing:
            tell(1.0)
            yield Predictions.load(path)
            continue
        if condition.corruption not in compiled:
            # Only the clean program is kept: it is needed again, and each holds its scratch memory.
            compiled = {name: run for name, run in compiled.items() if name is None}
            compiled[condition.corruption] = predictor(trained, condition.corruption, head=head)
        faces = dataset[condition.source]
        if condition.source == "valid" and condition.corruption is not None:
            faces = _spread(faces, config.fit_faces)
        if condition.tolerance is not None:
            if condition.source == "valid":
                faces = _spread(faces, config.tolerance_faces)
            changed = tolerances.view(
                condition.tolerance, faces.images, faces.ids, seed=config.seed
            )
            faces = faces._replace(images=changed)
        said = predict(
            compiled[condition.corruption],
            faces.images,
            faces.ids,
            config.batch_size,
            condition.severity or 1,
            tell,
        )
        result = Predictions(
            said.log_probs,
            faces.ids,
            faces.votes,
            faces.truth,
            condition.name,
            condition.corruption,
            condition.severity,
            scores=said.scores,
            split=condition.split,
            abstentions=faces.abstentions,
            classes=trained.spec.classes,
            tolerance=condition.tolerance,
            log_concentration=said.log_concentration,
            passes=method_of(trained.config).passes,
        )
        result.save(path)
        yield result


def _forget_others(trained: Trained, folder: Path) -> None:
    """Removes predictions of other members, noise or data than ``made_by.json`` is to name."""
    config = trained.config
    data = dataclasses.asdict(config.data)
    del data["path"]
    passes = method_of(config).passes
    made_by = {
        "members": trained.digest,
        "method": config.train.method,
        "valid_accuracy": [round(float(a), 6) for a in trained.best_accuracy],
        "seeds": config.train.seeds,
        "noise_seed": config.evaluate.seed,
        "corruptions": REVISION,
        "densities": densities.REVISION,
        "density_faces": config.evaluate.density_faces,
        "tolerances": config.evaluate.tolerances,
        "tolerance_faces": config.evaluate.tolerance_faces,
        "data": data,
        **({"passes": passes} if passes > 1 else {}),
    }
    text = json.dumps(made_by) + "\n"
    note = folder / "made_by.json"
    if not note.is_file() or note.read_text() != text:
        for old in folder.glob("*.npz"):
            old.unlink()
        write_atomically(note, text.encode())


def predict_set(
    trained: Trained,
    name: str,
    images: np.ndarray,
    votes: np.ndarray | None = None,
    first_id: int = 0,
    on_event: OnEvent = silent,
    *,
    accepted: bool = False,
) -> Predictions:
    """Predicts a set of pictures that is no part of the run's data, as out-of-distribution.

    Args:
      trained: an opened run; its densities, if it has any, give their scores.
      name: of the condition.
      images: uint8 ``[face, side, side]``.
      votes: ``[face, class]``, where the pictures are labelled.
      first_id: the ids are the whole numbers from this one; give sets ids that no other has.
      on_event: told how far it is.
      accepted: the set is none that routers should reject, but one more tolerance beside the valid
        items: their thresholds keep the same promise for it.
    """
    ids = first_id + np.arange(len(images))
    said = predict(
        predictor(trained),
        images,
        ids,
        trained.config.evaluate.batch_size,
        on_batch=lambda share: on_event(Progress(f"predicting {name}", share)),
    )
    classes = trained.spec.classes
    return Predictions(
        said.log_probs,
        ids,
        votes,
        condition=f"valid_accepted_{name}" if accepted else name,
        tolerance=name if accepted else None,
        scores=said.scores,
        split="valid" if accepted else "ood",
        classes=classes,
        log_concentration=said.log_concentration,
        passes=method_of(trained.config).passes,
    )
