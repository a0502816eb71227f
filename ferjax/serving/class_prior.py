"""Thresholds of a run under another class prior than its evaluation chose them under.

What a router rejects and defers depends on probabilities, and so on the prior. Another prior takes
thresholds chosen anew, on the valid items that the evaluation left with the run.
"""

import json
from pathlib import Path

import numpy as np

from ferjax.ensemble import prediction
from ferjax.ensemble.folder import RunFolder
from ferjax.ensemble.prediction import Trained
from ferjax.evaluation import class_priors, prior_estimate
from ferjax.evaluation.valid_thresholds import thresholds_on
from ferjax.events import Message, OnEvent, Progress, silent
from ferjax.files import read_json
from ferjax.predictions import Predictions
from ferjax.serving.program import Basis, Chosen, read_concentration

__all__ = ["chosen_under", "training_prior", "valid_predictions"]


def training_prior(run: Path) -> tuple[float, ...]:
    """The prior that a run keeps of its training.

    Raises:
      ValueError: if it was made by a version that kept none.
    """
    found = RunFolder(run).prior()
    if found is None:
        raise ValueError(
            f"{run} does not say which class prior it was trained under; `ferjax evaluate {run}` "
            "writes it down"
        )
    return found


def valid_predictions(
    run: Path, trained: Trained, *, fitting: bool = False
) -> dict[str, Predictions]:
    """The valid items, clean and under every tolerance, and the sets that routers must accept, as
    the run's evaluation predicted them for its thresholds; with the copies that learned routers
    are fitted on (``fitting``).

    Raises:
      ValueError: if they are not there, or of other members.
    """
    folder = run / "predictions"
    paths = [folder / "valid.npz", *sorted(folder.glob("valid_tolerance_*.npz"))]
    named = _groups(run)
    if named is not None:
        paths = [folder / "valid.npz", *(_file(folder, name) for name in named if name != "valid")]
    lost = next((path for path in paths if not path.is_file()), None)
    if lost is not None:
        raise ValueError(
            f"{run} no longer holds predictions/{lost.name}, on which thresholds are chosen; "
            f"evaluate again with `ferjax evaluate {run}`"
        )
    note = folder / "made_by.json"
    if note.is_file() and json.loads(note.read_text()).get("members") != trained.digest:
        raise ValueError(
            f"{folder} holds predictions of other members; evaluate again with `ferjax evaluate "
            f"{run}`"
        )
    if fitting:
        paths += sorted(set(folder.glob("valid_*_[1-5].npz")) - set(paths))
    found = [Predictions.load(path) for path in paths]
    return {p.condition: p for p in found}


def _groups(run: Path) -> list[str] | None:
    """Names of the groups that the run's thresholds keep their promise for, where they say."""
    routers = read_json(run / "thresholds.json", "file of thresholds").get("routers", {})
    named = (of.get("by_tolerance") for of in routers.values())
    return next((list(names) for names in named if names), None)


def _file(folder: Path, group: str) -> Path:
    accepted = folder / f"valid_accepted_{group}.npz"
    return accepted if accepted.is_file() else folder / f"valid_tolerance_{group}.npz"


def chosen_under(
    run: Path,
    chosen: Chosen,
    trained: Trained,
    prior: str,
    unlabelled: np.ndarray | None = None,
    on_event: OnEvent = silent,
) -> Chosen:
    """The run's routers under another class prior.

    Args:
      run: its folder.
      chosen: its thresholds.
      trained: the run, opened.
      prior: a name of :data:`ferjax.evaluation.class_priors.CHOICES`, or a file.
      unlabelled: stored pictures to estimate from.
      on_event: told how far it is.

    Returns:
      The thresholds as they are, where they are of this prior; else chosen anew.

    Raises:
      FileNotFoundError: if the prior is neither a name nor a file.
      ValueError: if the run lacks what is needed, or no prior can be estimated.
    """
    classes = trained.spec.classes
    shares = training_prior(run)
    valid = valid_predictions(run, trained, fitting=chosen.basis.errors is not None)
    said = None if unlabelled is None else _log_probs(trained, unlabelled, on_event)
    adjustment = class_priors.choose(
        prior, shares, classes, unlabelled=said, valid=valid["valid"], seed=0
    )
    now = chosen.basis.adjustment
    if now == adjustment or not (adjustment.changes or (now is not None and now.changes)):
        return chosen
    on_event(Message(f"choosing thresholds under the class prior: {adjustment.name}"))
    config = trained.config.evaluate
    found = thresholds_on(
        valid,
        adjustment,
        false_rejection=config.false_rejection,
        defer_share=config.defer_share,
    )
    routers = found.thresholds.routers
    rules = {name: of.rule for name, of in routers.items() if name in chosen.rules}
    concentration = read_concentration(found.concentration.fitted, str(run))
    return chosen._replace(rules=rules, basis=Basis(concentration, adjustment, found.errors))


def _log_probs(trained: Trained, images: np.ndarray, on_event: OnEvent) -> np.ndarray:
    """What the members say of pictures under the training prior, ``[member, item, class]``."""
    if len(images) < prior_estimate.LEAST_ITEMS:
        raise ValueError(
            f"an estimated prior needs at least {prior_estimate.LEAST_ITEMS} pictures, got "
            f"{len(images)}"
        )
    size = min(trained.config.evaluate.batch_size, len(images))
    task = f"estimating the prior of {len(images):,} pictures"
    return prediction.predict(
        prediction.predictor(trained),
        images,
        np.arange(len(images)),
        size,
        on_batch=lambda share: on_event(Progress(task, share)),
    ).log_probs
