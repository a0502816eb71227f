"""What `ferjax judge` does with a panel and judges, as functions: read both sides, compare them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ferjax.evaluation.judgments.align import align, with_unrated
from ferjax.evaluation.judgments.calibrate import calibrate, fitted, restored
from ferjax.evaluation.judgments.compare import Words, compare
from ferjax.evaluation.judgments.describe import agreement, split
from ferjax.evaluation.judgments.promises import Promise
from ferjax.evaluation.judgments.routing import (
    ACTIONS,
    Decision,
    JuryRouter,
    Share,
    Signals,
    fit_router,
    route,
    shares,
    signals,
)
from ferjax.evaluation.judgments.sides import Sides
from ferjax.events import Message, OnEvent, Progress, silent
from ferjax.files import read_arrays, read_json, shortened
from ferjax.judgments import Judgments
from ferjax.predictions import Predictions
from ferjax.recalibration import CALIBRATORS
from ferjax.routing import MEANINGS
from ferjax.texts.embeddings import read_words as read_embedded
from ferjax.texts.readers import Panel, is_answers, read_answers, read_panel

__all__ = [
    "Promise",
    "Routed",
    "agreement",
    "calibrate",
    "compare",
    "fitted",
    "read_answers_of",
    "read_calibrators",
    "read_judges",
    "read_panel",
    "read_shifted",
    "read_sides",
    "read_words",
    "route_texts",
    "routed_lines",
    "split",
]


def read_sides(
    panel: Path,
    judges: Sequence[Path],
    *,
    kind: str | None = None,
    classes: tuple[str, ...] | None = None,
    unrated: bool = False,
    on_event: OnEvent = silent,
) -> tuple[Sides, Panel]:
    """Reads ratings of people and files of judges, and brings them together.

    Args:
      panel: see :func:`ferjax.texts.readers.read_panel`.
      judges: files of judgments, or of a network's predictions.
      kind: of the ratings, where the file leaves it open.
      classes: likewise.
      unrated: keep texts that judges saw and nobody rated, too.
      on_event: told what everything was taken for.

    Returns:
      The two sides, and the report of the panel.

    Raises:
      FileNotFoundError: if a file is not there.
      ValueError: naming the file, and what is wrong with it.
    """
    files = read_judges(judges)
    read = read_panel(panel, kind=kind, classes=classes)
    on_event(Message(read.summary))
    for note in read.notes:
        on_event(Message(f"  {note}"))
    try:
        sides = align(read.ratings, files)
        if unrated:
            sides = align(with_unrated(read.ratings, files), files, rated_only=False)
    except ValueError as error:
        raise ValueError(f"{panel} and {', '.join(map(str, judges))}: {error}") from error
    for name, file in files.items():
        what = "predictions of a network"
        if isinstance(file, Judgments):
            what = f"judgments of {len(file.judges)} judges"
        on_event(Message(f"{name}: {what}, {len(file.ids):,} items"))
    for note in sides.notes:
        on_event(Message(f"  {note}"))
    return sides, read


def read_judges(paths: Sequence[Path]) -> dict[str, Judgments | Predictions]:
    """Files of judgments or predictions, told apart by what is in them; by their names.

    Raises:
      FileNotFoundError: if one is not there.
      ValueError: naming the file that is neither, or a name that two files have.
    """
    if not paths:
        raise ValueError("no judges: give files of `ferjax judge parse`, or of predictions")
    found: dict[str, Judgments | Predictions] = {}
    for path in map(Path, paths):
        if not path.is_file():
            raise FileNotFoundError(f"no judges at {path}")
        name = path.stem if path.stem not in found else str(path)
        if name in found:
            raise ValueError(f"{path} is given twice")
        arrays = read_arrays(path)
        if "log_probs" in arrays:
            found[name] = Predictions.load(path)
        else:
            found[name] = Judgments.load(path)
    return found


def read_answers_of(path: Path) -> Judgments | None:
    """Models' answers, if the file holds such: judgments (.npz), or a CSV of answers.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: naming the file and what is wrong with it.
    """
    if not path.exists():
        raise FileNotFoundError(f"no file {path}")
    if path.suffix == ".npz":
        return Judgments.load(path)
    return read_answers(path) if is_answers(path) else None


def read_shifted(named: Sequence[str]) -> dict[str, Judgments]:
    """Files of judgments given as ``NAME=FILE``.

    Raises:
      FileNotFoundError: if one is not there.
      ValueError: if one has no name, or is no file of judgments.
    """
    found = {}
    for text in named:
        name, equals, path = text.partition("=")
        if not equals or not name or not path:
            raise ValueError(f"shifted items are given as NAME=FILE.npz, got {text!r}")
        if name in found:
            raise ValueError(f"shifted items {name!r} are given twice")
        found[name] = Judgments.load(path)
    return found


def read_words(lexicon: Path, embeddings: Path | None, sides: Sides) -> Words:
    """What the transparency of classes is scored by.

    Args:
      lexicon: JSON object, class -> list of words.
      embeddings: a file of :mod:`ferjax.texts.embeddings`, or None.
      sides: whose texts and classes they must have.

    Raises:
      ValueError: naming the file, and what is missing.
    """
    words = read_json(lexicon, "lexicon")
    fine = isinstance(words, dict) and all(
        isinstance(of, list) and all(isinstance(word, str) and word.strip() for word in of)
        for of in words.values()
    )
    if not fine:
        raise ValueError(f"{lexicon}: expected an object of classes and lists of words")
    if embeddings is None:
        return Words(words)
    ratings = sides.ratings
    found = read_embedded(embeddings, ratings.texts, ratings.ids.tolist(), ratings.classes)
    return Words(words, found.texts, found.classes)


def read_calibrators(path: Path, sides: Sides) -> tuple[dict[str, Any], set[str]]:
    """Calibrators by judge, and the ids of the texts that they were fitted on.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is no file of calibrators, or one of other classes.
    """
    kept = read_json(path, "file of calibrators")
    try:
        judges = dict(kept["judges"])
        classes = tuple(kept["classes"])
        items = set(kept["items"])
        several = kept["kind"] == "multi"
        for of in judges.values():
            restored(of, len(classes), several=several)
    except (KeyError, TypeError, ValueError) as error:
        said = shortened(repr(error))
        raise ValueError(f"{path}: not written by `ferjax judge calibrate` ({said})") from error
    if classes != sides.ratings.classes or kept.get("kind") != sides.ratings.kind:
        raise ValueError(
            f"{path}: calibrators of {kept.get('kind')} classes {', '.join(classes[:5])}; here "
            f"{sides.ratings.kind} classes {', '.join(sides.ratings.classes[:5])}"
        )
    return judges, items


class Routed(NamedTuple):
    """Decisions on texts, and what they rest on."""

    ids: np.ndarray
    actions: np.ndarray
    signals: Signals
    router: JuryRouter
    decided: Decision
    """Of all texts that neither calibrators nor thresholds were fitted on."""
    shares: dict[str, Share]
    """Of classes, over the texts that calibrators were not fitted on; empty where all are rated."""


def route_texts(
    sides: Sides,
    *,
    calibrators: Mapping[str, Any] | None = None,
    fitted_on: set[str] | None = None,
    choose_from: Sequence[str] = tuple(CALIBRATORS),
    promise: Promise = Promise(max_error=0.4),  # noqa: B008 - immutable
    false_asks: float = 0.1,
    seed: int = 0,
    on_event: OnEvent = silent,
) -> Routed:
    """Accept the jury's label, defer to its distribution, or ask people, for every text.

    Without calibrators, one half of the rated texts fits them, and the other half chooses and
    certifies the thresholds: nothing is promised on texts that were looked at.

    Args:
      sides: people and judges, texts that nobody rated too.
      calibrators: of :func:`read_calibrators`; None: fitted here.
      fitted_on: ids of the texts that they were fitted on.
      choose_from: names of the calibrators that are tried where none are given.
      promise: what is to be certified of accepted texts.
      false_asks: share of texts to be asked about only because models disagree.
      seed: of the halves and of the raters who stand for "a person".
      on_event: told how far it is.

    Raises:
      ValueError: if ratings are values, or too few texts are rated.
    """
    if sides.shares is None:
        raise ValueError("routing decides on labels; these ratings are values")
    rated = np.flatnonzero(sides.ratings.raters_of > 0)
    on_event(Progress("route", 0.0, "calibrators"))
    if calibrators is None:
        half = np.random.default_rng(seed).permutation(int(sides.ratings.groups.max()) + 1) % 2
        side = half[sides.ratings.groups][rated]
        fit_on = rated[side == 0]
        free = rated[side == 1]
        if min(len(fit_on), len(free)) < 20:
            raise ValueError(f"routing needs at least 40 rated texts, got {len(rated)}")
        part = sides.take(fit_on)
        table = calibrate(part, calibrators=choose_from, resamples=2, seed=seed)
        calibrators = fitted(part, table.best)
        used = set(sides.ratings.ids[fit_on].tolist())
    else:
        used = fitted_on or set()
        free = np.array([row for row in rated if str(sides.ratings.ids[row]) not in used], int)
        if len(free) < 20:
            raise ValueError(
                f"{len(free)} rated texts are left that the calibrators were not fitted on, 20 are "
                "needed: give other rated texts, or no calibrators"
            )
    on_event(Progress("route", 0.6, "thresholds"))
    whole = signals(sides, calibrators)

    def of(rows: np.ndarray) -> Signals:
        return Signals(whole.probs[rows], whole.ambiguity[rows], whole.division[rows])

    router = fit_router(
        sides.take(free),
        of(free),
        promise,
        false_asks=false_asks,
        seed=seed,
    )
    new = np.flatnonzero(sides.ratings.raters_of == 0)
    actions, decided = route(sides, whole, router)
    if len(new):
        decided = route(sides.take(new), of(new), router)[1]
    found = {}
    if len(new) > 1:
        found = shares(
            sides.people_shares[free], whole.probs[free], whole.probs[new], sides.ratings.classes
        )
    on_event(Progress("route", 1.0, "done"))
    return Routed(sides.ratings.ids, actions, whole, router, decided, found)


def routed_lines(done: Routed, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """A JSON object for each text: what is done, and why."""
    lines = []
    for row, name in enumerate(done.ids):
        action = ACTIONS[done.actions[row]]
        probs = done.signals.probs[row]
        ambiguity = float(done.signals.ambiguity[row])
        division = float(done.signals.division[row])
        why = {
            "accept": f"the models give all other labels {ambiguity:.2f}, below "
            f"{done.router.accept_below:.2f}",
            "defer": f"the models give all other labels {ambiguity:.2f}: {MEANINGS['defer']}",
            "ask": f"the models disagree ({division:.3f}, above {done.router.ask_above:.3f})",
        }[action]
        lines.append(
            {
                "id": str(name),
                "action": action,
                "label": classes[int(probs.argmax())],
                "probs": {c: round(float(p), 4) for c, p in zip(classes, probs)},
                "ambiguity": round(ambiguity, 5),
                "division": round(division, 5) if np.isfinite(division) else None,
                "why": why,
            }
        )
    return lines
