"""What the commands do, as functions: evaluate a run, or predictions from anywhere.

A command of :mod:`ferjax.commands` is flags and a call of one of these.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ferjax.config import DataConfig, EvaluateConfig
from ferjax.evaluation import readers
from ferjax.evaluation.class_priors import (
    TrainingPrior,
    adjustment_for,
    known_training_prior,
    require_prior,
)
from ferjax.evaluation.conditions import Conditions, class_names
from ferjax.evaluation.evaluate import evaluate
from ferjax.evaluation.results import Evaluation
from ferjax.events import Event, Message, OnEvent, silent
from ferjax.files import read_arrays, require_folder
from ferjax.locking import FolderLock
from ferjax.predictions import Predictions
from ferjax.report.conclusions import Conclusion, conclude
from ferjax.report.write import write

if TYPE_CHECKING:
    from ferjax.faces.dataset import Dataset

__all__ = ["Evaluated", "evaluate_predictions", "evaluate_run", "replaced"]

FIRST_OOD_ID = 10**9
"""Ids of out-of-distribution sets start at multiples of this, beyond those of any data set."""


class Evaluated(NamedTuple):
    """What an evaluation found, in words too, and the files it wrote, the report first."""

    evaluation: Evaluation
    conclusions: list[Conclusion]
    files: list[Path]


def evaluate_run(
    run: str | Path,
    *,
    out: Path | None = None,
    ood: Mapping[str, Path] | None = None,
    accept: Mapping[str, Path] | None = None,
    folder_classes: Mapping[str, str] | None = None,
    resamples: int | None = None,
    seed: int | None = None,
    corruptions: tuple[str, ...] | None = None,
    fit_corruptions: tuple[str, ...] | None = None,
    data_path: str | None = None,
    resample_groups: bool = False,
    show_examples: bool = True,
    prior: str | None = None,
    on_event: OnEvent = silent,
) -> Evaluated:
    """Evaluates a trained run against its own data, and writes a report.

    Args:
      run: folder of the run; it keeps the predictions, and the report unless ``out`` is given.
      out: folder of the report.
      ood: name -> folder of pictures or ``.npz``: out-of-distribution sets, or labelled ones.
      accept: name -> folder of pictures or ``.npz`` that routers must not reject: one more
        tolerance each, with the same promise as the others.
      folder_classes: name of a folder in these sets -> the class of its pictures, or "" to leave
        them out; for folders that are not named after a class.
      resamples: bootstrap resamples; those of the run's configuration unless given.
      seed: of corruptions and bootstrap, likewise.
      corruptions: of the test faces, likewise.
      fit_corruptions: of the valid faces, likewise: what routers and errors are learned from.
      data_path: where the data set is now, if it moved since training.
      resample_groups: draw pixel-identical test pictures together in the bootstrap.
      show_examples: put example faces into the report.
      prior: class prior under which everything is read and thresholds are chosen: training (the
        default), uniform, sqrt (the square root of the training prior), estimated (on the test
        items without their labels), or a file, see :mod:`ferjax.evaluation.class_priors`.
      on_event: told how far it is.

    Raises:
      FileNotFoundError: if there is no run or no data set.
      ValueError: if a name of ``ood`` is taken, or anything does not fit; before long work starts.
    """
    # Scores from elsewhere are evaluated by this module too, where no training code can be loaded.
    from ferjax.ensemble import densities, prediction
    from ferjax.ensemble.conditions import refuse_reserved, require_known
    from ferjax.ensemble.folder import RunFolder
    from ferjax.ensemble.trained import load_run
    from ferjax.ensemble.training_prior import trained_under
    from ferjax.faces import dataset as datasets
    from ferjax.faces import image_folders

    run = Path(run)
    trained = load_run(run, on_event)
    settings = replaced(
        trained.config.evaluate,
        resamples=resamples,
        corruptions=corruptions,
        fit_corruptions=fit_corruptions,
        seed=seed,
    )
    require_known(settings)
    data = trained.config.data
    if data_path is not None:
        data = dataclasses.replace(data, path=data_path)
    config = dataclasses.replace(trained.config, evaluate=settings, data=data)
    trained = trained._replace(config=config)
    dataset = datasets.load(data)
    training = trained_under(config, dataset)
    require_prior(prior, trained.spec.classes)
    own = ("valid", "test", *dataset.ood)
    for flag, given in (("--ood", ood), ("--accept", accept)):
        for name in given or {}:
            refuse_reserved(name, (*own, *settings.tolerances), flag)
    both = set(ood or {}) & set(accept or {})
    if both:
        raise ValueError(f"{min(both)} is given to --ood and to --accept; it is one or the other")
    sets = {}
    for name, path in {**(ood or {}), **(accept or {})}.items():
        sets[name] = image_folders.read_set(path, trained.spec, folder_classes)
        for note in sets[name].notes:
            on_event(Message(f"{name}: {note}"))
        _tell_unreadable(name, sets[name], on_event)
        if name in (accept or {}):
            require_enough(name, len(sets[name].images), settings.false_rejection)
    folder = run / "predictions"
    for written in (folder, out or run):
        require_folder(written)
    with FolderLock(folder, what=f"the evaluation of {run}"):
        RunFolder(run).keep_prior(training)
        predicted = prediction.predict_conditions(trained, dataset, folder, on_event)
        predictions = {p.condition: p for p in predicted}
        if resample_groups:
            groups = datasets.duplicates(dataset["test"].images)
            predictions["test"] = dataclasses.replace(predictions["test"], groups=groups)
        images = {name: dataset[name].images for name in own if name in predictions}
        if sets:  # its densities were fitted just now
            trained = trained._replace(densities=densities.load(run, trained.digest))
        for number, (name, found) in enumerate(sets.items(), 1):
            made = prediction.predict_set(
                trained,
                name,
                found.images,
                found.votes,
                FIRST_OOD_ID * number,
                on_event,
                accepted=name in (accept or {}),
            )
            predictions[made.condition] = made
            made.save(folder / f"{made.condition}.npz")
            images[made.condition] = found.images
        about = {
            "run": run.resolve().name,
            "data": _data_facts(data, dataset),
            "config": dataclasses.asdict(config),
        }
        return _evaluate(
            predictions,
            out or run,
            settings,
            classes=trained.spec.classes,
            images=images if show_examples else None,
            about=about,
            prior=prior,
            training=TrainingPrior(training, "training"),
            of={"members": trained.digest, "densities": densities.digest(run)},
            on_event=on_event,
        )


def evaluate_predictions(
    predictions: Iterable[str | Path],
    out: str | Path,
    *,
    votes: Path | None = None,
    images: Path | None = None,
    resamples: int | None = None,
    seed: int | None = None,
    prior: str | None = None,
    training: Path | None = None,
    on_event: OnEvent = silent,
) -> Evaluated:
    """Evaluates predictions of any framework, and writes a report; no model is loaded.

    Args:
      predictions: files, or folders of them, see :mod:`ferjax.evaluation.readers`.
      out: folder of the report.
      votes: votes of the test items, where their predictions bring none.
      images: ``.npz`` with ``images`` uint8 of the test items, to show some.
      resamples: bootstrap resamples.
      seed: of the bootstrap.
      prior: as for :func:`evaluate_run`; the training prior must then be known.
      training: file of the prior that the predictions were trained under; without one the mean of
        the votes of the clean valid items, where there are any, is taken for it, and said.
      on_event: told how far it is.

    Raises:
      FileNotFoundError: if a file is not there.
      ValueError: naming the file, if anything does not fit together.
    """
    settings = replaced(EvaluateConfig(), resamples=resamples, seed=seed)
    notes: list[str] = []

    def tell(event: Event) -> None:
        if isinstance(event, Message):
            notes.append(event.text)
        on_event(event)

    paths = [Path(path) for path in predictions]
    loaded = readers.load(paths, votes, tell)
    test = loaded.predictions["test"]
    if test.votes is None and test.vote_shares is None:
        raise ValueError(
            "the predictions of the test items bring no votes: give --votes FILE, or an array "
            "votes in their .npz"
        )
    classes = class_names(test.log_probs.shape[2], loaded.classes or test.classes)
    require_prior(prior, classes)
    known = known_training_prior(loaded.predictions, training, classes)
    if known is None and prior is not None:
        raise ValueError(
            f"--prior {prior} needs the prior that these predictions were trained under: give "
            "--training-prior FILE, or clean valid items with votes"
        )
    require_folder(out)
    shown = None if images is None else {"test": _read_images(images, len(test.ids))}
    return _evaluate(
        loaded.predictions,
        Path(out),
        settings,
        classes=classes,
        images=shown,
        about={
            "run": ", ".join(path.resolve().name for path in paths[:3]),
            "files": {"What each file was taken for": [note.split(": ", 1) for note in notes]},
        },
        prior=prior,
        training=known,
        on_event=on_event,
    )


def replaced(settings: EvaluateConfig, **given: Any) -> EvaluateConfig:
    """Settings with those fields replaced that were given."""
    return dataclasses.replace(settings, **{n: v for n, v in given.items() if v is not None})


def _evaluate(
    predictions: Mapping[str, Predictions],
    out: Path,
    settings: EvaluateConfig,
    *,
    classes: tuple[str, ...] | None,
    images: Mapping[str, np.ndarray] | None,
    about: Mapping[str, Any],
    prior: str | None,
    training: TrainingPrior | None,
    of: Mapping[str, str | None] | None = None,
    on_event: OnEvent,
) -> Evaluated:
    """Scores, evaluates and writes; the last steps of either way."""
    names = class_names(predictions["test"].log_probs.shape[2], classes)
    adjustment = None
    if training is not None:
        adjustment = adjustment_for(
            predictions,
            prior or "training",
            training,
            names,
            seed=settings.seed,
            on_event=on_event,
        )
    conditions = Conditions.of(
        predictions,
        resamples=settings.resamples,
        seed=settings.seed,
        classes=classes,
        adjustment=adjustment,
        on_event=on_event,
    )
    on_event(Message(f"evaluating with {settings.resamples:,} bootstrap resamples"))
    found = evaluate(
        conditions,
        false_rejection=settings.false_rejection,
        defer_share=settings.defer_share,
        on_event=on_event,
    )
    on_event(Message("drawing and writing the report"))
    files = write(found, conditions, out, images=images, about=about, of=of)
    return Evaluated(found, conclude(found), files)


def require_enough(name: str, pictures: int, false_rejection: float) -> None:
    """Refuses a set so small that no threshold but an infinite one could keep the promise for it.

    Raises:
      ValueError: saying how many pictures it takes.
    """
    needed = math.ceil(1 / false_rejection - 1e-9) - 1
    if pictures < needed:
        raise ValueError(
            f"--accept {name}=...: {pictures} pictures cannot promise that at most "
            f"{100 * false_rejection:.3g} % of them are rejected; it takes {needed} at least"
        )


def _tell_unreadable(name: str, found: Any, on_event: OnEvent) -> None:
    """A word about pictures of a set that could not be read."""
    if not found.unreadable:
        return
    file, reason = found.unreadable[0]
    count = len(found.unreadable)
    on_event(
        Message(
            f"{name}: {count} of {count + len(found.images)} pictures left out; the first, "
            f"{file}: {reason}"
        )
    )


def _read_images(path: Path, items: int) -> np.ndarray:
    images = read_arrays(path).get("images")
    if images is None or images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise ValueError(f"{path}: expected an array images, uint8 [item, H, W] or [item, H, W, 3]")
    if len(images) != items or (images.ndim == 4 and images.shape[3] != 3):
        raise ValueError(
            f"{path}: expected an array images with {items} pictures of the test items, got "
            f"{images.shape}"
        )
    return images


def _data_facts(config: DataConfig, dataset: "Dataset") -> dict[str, Any]:
    """What the data set holds, and the duplicates in it."""
    from ferjax.faces.dataset import duplicates

    train = dataset["train"].images
    test = dataset["test"].images
    number = duplicates(np.concatenate([train, test]))
    in_train = number[: len(train)]
    in_test = number[len(train) :]
    return {
        "data set": config.name,
        "label filter": config.policy,
        "training faces": len(train),
        "valid faces": len(dataset["valid"].images),
        "training faces that are also in valid or test": (
            "dropped" if config.deduplicate else "kept"
        ),
        "test faces that are pixel-identical to a training face": int(
            np.isin(in_test, in_train).sum()
        ),
        "test faces that repeat another test face": int(len(in_test) - len(np.unique(in_test))),
    }
