"""Calibrators of judges: fitted to people on some texts, scored on the others, beside rivals.

Where one class applies a calibrator maps the whole distribution; where several do, each class is
fitted for itself, as a choice of two. What goes in are shares with one pseudo-answer spread evenly,
so that a class that ten answers never named is rare and not impossible.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import panels
from ferjax.evaluation.intervals import Interval, interval
from ferjax.evaluation.judgments import divergences
from ferjax.evaluation.judgments.resampling import all_weights, means, ratios
from ferjax.evaluation.judgments.rows import worth
from ferjax.evaluation.judgments.sides import Sides, require_agreement
from ferjax.events import OnEvent, Progress, silent
from ferjax.files import shortened
from ferjax.recalibration import CALIBRATORS, Calibrator, cross_fit, make_folds

__all__ = [
    "CHOSEN",
    "NONE",
    "CalibratedRow",
    "Calibration",
    "applied",
    "calibrate",
    "cross_fitted",
    "fitted",
    "restored",
    "smoothed",
]

NONE = "none"
CHOSEN = "chosen"
PSEUDO = 1.0
"""Answers that are spread evenly over the classes."""


@dataclasses.dataclass(frozen=True)
class CalibratedRow:
    """A judge through a calibrator, scored on texts that it was not fitted on."""

    cross_entropy: Interval
    """Nats a rating."""
    score: Interval
    """Brier score of a rating."""
    gap: Interval
    skill: Interval
    people: Interval
    better_than_none: Interval
    """Cross-entropy of the uncalibrated shares minus this; above 0 is better."""
    better_than_marginal: Interval
    """Likewise of what people choose on the whole."""
    jsd: Interval


@dataclasses.dataclass(frozen=True)
class Calibration:
    """The table of calibrators."""

    kind: str
    classes: tuple[str, ...]
    items: int
    folds: int
    rows: Mapping[str, Mapping[str, CalibratedRow]]
    """Judge -> calibrator -> row; ``chosen`` is, in each fold, the one that was best in the
    others."""
    best: Mapping[str, str]
    """Judge -> the calibrator of least cross-entropy, which the file of calibrators holds."""
    resamples: int
    seed: int
    notes: tuple[str, ...]


def smoothed(shares: np.ndarray, answers: np.ndarray, *, several: bool) -> np.ndarray:
    """Log-probabilities of shares with the pseudo-answer.

    Args:
      shares: ``[..., item, class]``.
      answers: ``[..., item]``; infinite ones have their probabilities taken as they are.
      several: whether several classes may apply.

    Returns:
      float32 ``[..., item, class]``; where several apply ``[..., item, class, 2]``, chosen or not.
    """
    known = np.isinf(answers)[..., None]
    m = np.where(np.isinf(answers), 1.0, answers)[..., None]
    even = 0.5 if several else 1 / shares.shape[-1]
    p = np.where(known, shares, (shares * m + PSEUDO * even) / (m + PSEUDO))
    p = np.clip(p, 1e-6, 1 - 1e-6 if several else 1.0)
    if several:
        return np.log(np.stack([p, 1 - p], -1)).astype(np.float32)
    return np.log(p / p.sum(-1, keepdims=True)).astype(np.float32)


@functools.partial(jax.jit, static_argnums=(0, 4))
def _cross_fitted(
    name: str,
    counts: jax.Array,
    log_probs: jax.Array,
    folds: jax.Array,
    num_folds: int,
    seen: jax.Array,
) -> jax.Array:
    """``[class, item, 2]`` or ``[1, item, class]`` of one judge, fitted on items that it judged."""

    def one(h: jax.Array, p: jax.Array) -> jax.Array:
        return cross_fit(CALIBRATORS[name], h, p, folds, seen, num_folds=num_folds)

    return jax.vmap(one)(counts, log_probs)


def _problems(sides: Sides) -> tuple[np.ndarray, np.ndarray]:
    """Counts and log-probabilities as independent problems: ``[problem, item, class]`` and
    ``[judge, problem, item, class]``; one problem, or one of two classes for each class."""
    assert sides.shares is not None
    several = sides.ratings.kind == "multi"
    log_probs = smoothed(sides.shares, sides.answers, several=several)
    counts = sides.ratings.counts.astype(np.float32)
    if not several:
        return counts[None], log_probs[:, None]
    n = sides.ratings.raters_of[:, None]
    both = np.stack([counts, n - counts], -1).transpose(1, 0, 2)
    return both, log_probs.transpose(0, 2, 1, 3)


def _probs(problems: np.ndarray, several: bool) -> np.ndarray:
    """Back to ``[..., item, class]`` probabilities."""
    return np.exp(problems[..., 0].swapaxes(-1, -2) if several else problems[..., 0, :, :])


def calibrate(
    sides: Sides,
    *,
    calibrators: Sequence[str] = tuple(CALIBRATORS),
    folds: int = 5,
    resamples: int = 1000,
    seed: int = 0,
    on_event: OnEvent = silent,
) -> Calibration:
    """Scores every calibrator of every judge on texts that it has not seen.

    Args:
      sides: people and judges.
      calibrators: names of :data:`ferjax.recalibration.CALIBRATORS`.
      folds: of texts; copies of a text share theirs.
      resamples: bootstrap resamples of the texts.
      seed: of folds and resamples.
      on_event: told how far it is.

    Returns:
      :class:`Calibration`.

    Raises:
      ValueError: if ratings are values, a calibrator is unknown, or fewer than 10 texts have two
        ratings.
    """
    _check(sides, calibrators)
    require_agreement(sides)
    fold = make_folds(sides.ratings.groups, folds, seed=seed)
    weights = all_weights(seed, resamples, sides.ratings.groups)
    reference = panels.gap(sides.people, panels.leave_one_out(sides.people, sides.ratings.groups))
    spread = np.asarray(panels.spread(sides.people))
    rows: dict[str, dict[str, CalibratedRow]] = {}
    best = {}
    for judge, fitted_probs in cross_fitted(sides, calibrators, fold, on_event):
        stacked = np.stack(list(fitted_probs.values()))
        loss = _loss(sides, stacked)
        chosen = _chosen(loss, fold)
        stacked = np.concatenate([stacked, stacked[chosen, np.arange(len(fold))][None]])
        loss = np.concatenate([loss, loss[chosen, np.arange(len(fold))][None]])
        judged = panels.of_shares(stacked, np.full(stacked.shape[:2], np.inf, np.float32))
        gap = np.asarray(panels.gap(sides.people, judged))
        jsd = np.asarray(
            divergences.jensen_shannon_bits(
                jnp.asarray(sides.people_shares)[None], jnp.asarray(stacked)
            )
        )
        samples = {
            "cross_entropy": means(weights, loss),
            "score": means(weights, np.asarray(panels.expected_score(sides.people, judged))),
            "gap": means(weights, gap),
            "skill": 1 - ratios(weights, gap, np.asarray(reference)[None]),
            "people": worth(ratios(weights, gap, spread[None])),
            "jsd": means(weights, jsd),
        }
        ce = samples["cross_entropy"]
        marginal = list(fitted_probs).index("marginal")
        samples["better_than_none"] = ce[:, :1] - ce
        samples["better_than_marginal"] = ce[:, marginal : marginal + 1] - ce
        order = [*fitted_probs, CHOSEN]
        rows[judge] = {
            name: CalibratedRow(**{k: interval(v[:, at]) for k, v in samples.items()})
            for at, name in enumerate(order)
        }
        best[judge] = min(order[:-1], key=lambda name: rows[judge][name].cross_entropy.value)
    on_event(Progress("calibrate", 1.0, "done"))
    return Calibration(
        kind=sides.ratings.kind,
        classes=sides.ratings.classes,
        items=len(sides.ratings.ids),
        folds=folds,
        rows=rows,
        best=best,
        resamples=resamples,
        seed=seed,
        notes=sides.notes,
    )


def cross_fitted(
    sides: Sides,
    calibrators: Sequence[str],
    fold: np.ndarray,
    on_event: OnEvent = silent,
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Every judge through every calibrator that was fitted without the text it is applied to.

    Args:
      sides: people and judges.
      calibrators: names of :data:`ferjax.recalibration.CALIBRATORS`; the marginal joins them.
      fold: ``[item]`` of :func:`ferjax.recalibration.make_folds`.
      on_event: told how far it is.

    Yields:
      A judge's name, and probabilities ``[item, class]`` by calibrator, NaN of items that it did
      not judge; ``none`` comes first.

    Raises:
      ValueError: if ratings are values, or a calibrator is unknown.
    """
    _check(sides, calibrators)
    several = sides.ratings.kind == "multi"
    counts, log_probs = _problems(sides)
    names = [NONE, *dict.fromkeys(["marginal", *calibrators])]
    folds = int(fold.max()) + 1
    for place, judge in enumerate(sides.names):
        seen = sides.answers[place] > 0
        probs = {NONE: _probs(log_probs[place], several)}
        for number, name in enumerate(names[1:]):
            done = (place + number / len(names)) / len(sides.names)
            on_event(Progress("calibrate", done, f"{judge}: {name}"))
            weights = seen.astype(np.float32)
            found = _cross_fitted(name, counts, log_probs[place], fold, folds, weights)
            probs[name] = _probs(np.asarray(found), several)
        yield judge, {name: np.where(seen[:, None], p, np.nan) for name, p in probs.items()}


def _check(sides: Sides, calibrators: Sequence[str]) -> None:
    if sides.shares is None:
        raise ValueError("calibrators map probabilities of classes; these ratings are values")
    unknown = [name for name in calibrators if name not in CALIBRATORS]
    if unknown:
        raise ValueError(f"no calibrator {unknown[0]!r}; there are {', '.join(CALIBRATORS)}")


def _loss(sides: Sides, probs: np.ndarray) -> np.ndarray:
    """Nats a rating ``[calibrator, item]``."""
    return np.asarray(
        divergences.cross_entropy(
            jnp.asarray(sides.people_shares)[None],
            jnp.asarray(probs),
            jnp.full(probs.shape[:2], jnp.inf),
            several=sides.ratings.kind == "multi",
        )
    )


def _chosen(loss: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """For each item the calibrator of least loss in the other folds, ``[item]``."""
    best = np.array([np.nanmean(loss[:, fold != f], 1).argmin() for f in range(fold.max() + 1)])
    return best[fold]


@functools.cache
def _fit(name: str) -> Callable[..., Any]:
    """Fits a calibrator to each problem; one program for all judges."""
    return jax.jit(jax.vmap(CALIBRATORS[name].fit, (0, 0, None)))


@functools.cache
def _apply(name: str) -> Callable[..., jax.Array]:
    """Applies the calibrator of each problem to it; likewise."""
    return jax.jit(jax.vmap(CALIBRATORS[name].apply))


def fitted(sides: Sides, names: Mapping[str, str]) -> dict[str, dict]:
    """Calibrators fitted on all texts, as JSON values.

    Args:
      sides: people and judges.
      names: judge -> calibrator; ``none`` is kept as such.

    Returns:
      Judge -> ``{"calibrator": name, "parameters": {...}}``, arrays as lists; where several classes
      apply they have the class as first axis.
    """
    counts, log_probs = _problems(sides)
    found = {}
    for place, judge in enumerate(sides.names):
        name = names[judge]
        parameters = {}
        if name != NONE:
            seen = (sides.answers[place] > 0).astype(np.float32)
            calibrator = _fit(name)(counts, log_probs[place], seen)
            parameters = {k: np.asarray(v).tolist() for k, v in calibrator._asdict().items()}
        found[judge] = {"calibrator": name, "parameters": parameters}
    return found


def restored(kept: Any, classes: int, *, several: bool) -> Calibrator | None:
    """A calibrator from its JSON values in :func:`fitted`; None where it is ``none``.

    Args:
      kept: ``{"calibrator": name, "parameters": {...}}``.
      classes: how many there are.
      several: whether several may apply.

    Raises:
      ValueError: if it is none for so many classes.
    """
    try:
        if kept["calibrator"] == NONE:
            return None
        kind = CALIBRATORS[kept["calibrator"]]
        arrays = {name: np.asarray(v, np.float32) for name, v in kept["parameters"].items()}
        calibrator = kind(**arrays)  # type: ignore[call-arg]
        shape = (classes, 1, 2) if several else (1, 1, classes)
        jax.eval_shape(jax.vmap(kind.apply), calibrator, np.zeros(shape, np.float32))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        said = shortened(" ".join(str(error).split()))
        raise ValueError(f"no calibrator of {classes} classes ({said})") from error
    if not all(np.isfinite(of).all() for of in arrays.values()):
        raise ValueError("a calibrator with numbers that are not finite")
    return calibrator


def applied(
    stored: Mapping[str, Mapping],
    names: Sequence[str],
    shares: np.ndarray,
    answers: np.ndarray,
    *,
    several: bool,
) -> np.ndarray:
    """Probabilities ``[judge, item, class]`` through calibrators of :func:`fitted`.

    Args:
      stored: judge -> calibrator.
      names: the judges of ``shares``.
      shares: ``[judge, item, class]``.
      answers: ``[judge, item]``.
      several: whether several classes may apply.

    Raises:
      ValueError: if a judge has no calibrator.
    """
    log_probs = smoothed(shares, answers, several=several)
    result = []
    for name, own in zip(names, log_probs):
        if name not in stored:
            raise ValueError(f"no calibrator for judge {name!r}; there are {', '.join(stored)}")
        problems = own.transpose(1, 0, 2) if several else own[None]
        calibrator = restored(stored[name], shares.shape[-1], several=several)
        if calibrator is not None:
            problems = np.asarray(_apply(stored[name]["calibrator"])(calibrator, problems))
        result.append(_probs(problems, several))
    return np.stack(result)
