"""Adapts a run to a new population: labelled pictures in, a folder for ``ferjax route`` out."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ferjax.ensemble import densities, prediction
from ferjax.ensemble.prediction import Trained
from ferjax.evaluation.adaptation import LEAST_ITEMS, adapt
from ferjax.evaluation.concentration import plain
from ferjax.evaluation.results import ConcentrationFit
from ferjax.evaluation.routing_results import Adaptation
from ferjax.events import Message, OnEvent, Progress, silent
from ferjax.faces import image_folders, picture_dataset, voted_pictures
from ferjax.faces.spec import DataSpec
from ferjax.files import require_folder
from ferjax.report.write import thresholds_json, to_json, write_json
from ferjax.routing import preferred
from ferjax.serving import live
from ferjax.serving.class_prior import training_prior
from ferjax.serving.program import Chosen
from ferjax.serving.request import require_new_adaptation
from ferjax.serving.router_choice import rejects_of, require_router

__all__ = ["Pictures", "adapt_run", "read_pictures"]


class Pictures(NamedTuple):
    """Labelled pictures of a population.

    Attributes:
      images: uint8 ``[picture, side, side]``, or ``[picture, side, side, 3]`` in colour.
      votes: int64 ``[picture, class]`` in the order of the run's classes.
    """

    images: np.ndarray
    votes: np.ndarray


def read_pictures(
    path: Path,
    spec: DataSpec,
    *,
    labels: Path | None = None,
    names: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    on_event: OnEvent = silent,
) -> Pictures:
    """Reads labelled pictures as a run sees them, one of each person and each picture.

    Args:
      path: as for :func:`ferjax.faces.voted_pictures.find`.
      spec: classes, side and colour of the run.
      labels: a CSV file of labels or votes.
      names: a folder or a label -> its class, or "" to leave its pictures out; usual words for a
        class (``happy``) are known.
      columns: role -> column of the table.
      on_event: told what everything was taken for, and how far it is.

    Raises:
      FileNotFoundError: if there is nothing.
      ValueError: naming file, folder or label, on anything that does not fit.
    """
    known = {**image_folders.synonyms(spec.classes), **(names or {})}
    found = voted_pictures.find(path, labels, classes=spec.classes, names=known, columns=columns)
    for note in found.notes:
        on_event(Message(note))
    decoded = picture_dataset.decode(
        found,
        spec.side,
        colour=spec.colour,
        on_picture=lambda share: on_event(Progress("reading labelled pictures", share)),
    )
    if decoded.unreadable:
        name, reason = decoded.unreadable[0]
        count = len(decoded.unreadable)
        on_event(Message(f"{count} pictures left out; the first, {name}: {reason}"))
    # A promise counts independent pictures: one of each person, and none twice.
    first = np.unique(picture_dataset.groups_of(decoded), return_index=True)[1]
    judged = decoded.found.votes.sum(1) > 0
    rows = np.sort(first[judged[first]])
    left = len(decoded.images) - len(rows)
    if left:
        on_event(
            Message(
                f"{left:,} of {len(decoded.images):,} pictures left out: another of the same "
                "person or picture is there, or nobody gave them a class"
            )
        )
    return Pictures(decoded.images[rows], decoded.found.votes[rows])


def adapt_run(
    run: str | Path,
    labelled: Mapping[str, Path],
    out: str | Path,
    *,
    labels: Path | None = None,
    names: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    router: str | None = None,
    accept_error: float = 0.25,
    confidence: float = 0.9,
    false_rejection: float | None = None,
    seed: int = 0,
    on_event: OnEvent = silent,
) -> Adaptation:
    """Prior, temperature and certified thresholds of a run for a new population.

    Args:
      run: folder of an evaluated run.
      labelled: name of the population -> its labelled pictures, see :func:`read_pictures`; one.
      out: folder to write, for ``ferjax route``, ``ferjax export`` and :class:`Router`; nothing is
        written where no error can be certified.
      labels: as for :func:`read_pictures`.
      names: likewise.
      columns: likewise.
      router: which router is adapted; by default the one that the run would decide by.
      accept_error: ε, the error among accepted pictures that is to be certified.
      confidence: 1 - δ, the probability that the certificate holds.
      false_rejection: bound on the rejection of the population's pictures; that of the run's
        evaluation by default.
      seed: of the split into pictures that fit, choose and certify.
      on_event: told how far it is.

    Returns:
      What was found; look at its ``certificate.refused`` first.

    Raises:
      FileNotFoundError: if there is no evaluated run, or no picture.
      FileExistsError: if ``out`` holds anything but an earlier adaptation.
      ValueError: if something does not fit, or there are too few pictures.
    """
    run = Path(run)
    out = Path(out)
    if len(labelled) != 1:
        raise ValueError(f"one population at a time, got {', '.join(labelled) or 'none'}")
    for what, share in (("accept_error", accept_error), ("confidence", confidence)):
        if not 0 < share < 1:
            raise ValueError(f"{what} must lie between 0 and 1, got {share}")
    require_new_adaptation(out)
    require_folder(out)
    training = training_prior(run)
    chosen, trained = live.open_chosen(run, on_event)
    ((name, path),) = labelled.items()
    require_router(router, rejects_of(chosen.rules))
    router = preferred(chosen.rules) if router is None else router
    pictures = read_pictures(
        path, trained.spec, labels=labels, names=names, columns=columns, on_event=on_event
    )
    if len(pictures.images) < LEAST_ITEMS:
        raise ValueError(
            f"{path}: {len(pictures.images)} labelled pictures; at least {LEAST_ITEMS} are "
            "needed, 100 to 300 are better"
        )
    found = adapt(
        prediction.predict_set(
            _in_batches_of(trained, len(pictures.images)),
            name,
            pictures.images,
            pictures.votes,
            on_event=on_event,
        ),
        training,
        name=name,
        router=router,
        concentration=chosen.basis.concentration,
        false_rejection=(
            trained.config.evaluate.false_rejection if false_rejection is None else false_rejection
        ),
        accept_error=accept_error,
        confidence=confidence,
        seed=seed,
    )
    if not found.certificate.refused:
        _write(found, run, out, chosen, trained)
    return found


def _in_batches_of(trained: Trained, pictures: int) -> Trained:
    """The run with batches no larger than these pictures fill."""
    config = trained.config
    size = min(config.evaluate.batch_size, pictures)
    evaluate = dataclasses.replace(config.evaluate, batch_size=size)
    return trained._replace(config=dataclasses.replace(config, evaluate=evaluate))


def _write(found: Adaptation, run: Path, out: Path, chosen: Chosen, trained: Trained) -> None:
    """The folder that routes: thresholds, and where the run lies."""
    fields = ("name", "router", "items", "parts", "accuracy_before", "accuracy_after", "rejected")
    fitted = chosen.basis.concentration
    concentration = ConcentrationFit("none")
    if fitted is not None:
        whole = {name: plain(leaf) for name, leaf in fitted._asdict().items()}
        concentration = ConcentrationFit("valid", fitted=whole)
    values = thresholds_json(
        found.thresholds,
        chosen.caution,
        {"members": trained.digest, "densities": densities.digest(run)},
        concentration,
        found.adjustment,
        more={
            "run": os.path.relpath(run.resolve(), out.resolve()),
            "adapted": to_json({field: getattr(found, field) for field in fields}),
        },
    )
    write_json(out / "thresholds.json", values)
