"""Methods side by side on the same items: every figure with a paired difference from a baseline.

A method is an ensemble's predictions of the clean test items, of their corrupted copies and of the
valid items. All methods are read on the same resamples of the same items, so that a difference has
an interval of its own, far narrower than either figure's.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from ferjax.config import BASE_CORRUPTIONS
from ferjax.evaluation import routing_comparison
from ferjax.evaluation.calibration_errors import FigureSamples
from ferjax.evaluation.concentration import with_concentrations
from ferjax.evaluation.conditions import Condition, Conditions
from ferjax.evaluation.disagreement import ceiling_samples
from ferjax.evaluation.intervals import Interval, interval
from ferjax.evaluation.recalibrated import apply_variant
from ferjax.evaluation.resampling import shift_auroc, spearman
from ferjax.evaluation.vote_quality import FIGURES as QUALITY
from ferjax.evaluation.vote_quality import quality_samples
from ferjax.events import Message, OnEvent, silent
from ferjax.predictions import Predictions

__all__ = ["FIGURES", "Comparison", "Cost", "MethodRow", "compare"]

FIGURES = {
    **QUALITY,
    "spearman": "ρ with disagreement",
    "share_of_ceiling": "share of the ceiling",
    "shift_auroc": "shift AUROC",
    "routing_area": "routing area",
    "kept": "ambiguous kept at 80 %",
}
"""Figure -> what people read. ρ is of aleatoric; shift and routing are of epistemic."""

KEPT_AT = 0.8


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a method takes; FLOPs of matrix products."""

    parameters: int
    train_flops: float
    """All members, all epochs."""
    serve_flops: float
    """All members, one item."""


@dataclasses.dataclass(frozen=True)
class MethodRow:
    """A method's figures, how much each is above the baseline's (empty: it is the baseline), and
    its cost where it is known. A figure that the method's files do not give is undefined."""

    members: int
    figures: Mapping[str, Interval]
    minus: Mapping[str, Interval]
    cost: Cost | None
    concentration: str


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Methods by name on the same items."""

    baseline: str
    items: int
    resamples: int
    seed: int
    severity: int | None
    corruptions: tuple[str, ...]
    """Those that all methods have at that severity."""
    ceiling: Interval
    rows: Mapping[str, MethodRow]


def compare(
    methods: Mapping[str, Mapping[str, Predictions]],
    *,
    baseline: str | None = None,
    costs: Mapping[str, Cost] | None = None,
    resamples: int = 2000,
    seed: int = 0,
    on_event: OnEvent = silent,
) -> Comparison:
    """Compares methods.

    Args:
      methods: name -> condition -> predictions, each as :meth:`Conditions.of` takes them; all of
        the same test items, in any order. Two rows are added: one member of the baseline, and the
        baseline under one temperature fitted to votes (held out).
      baseline: which of them others are held against; the first by default.
      costs: by name, where they are known.
      resamples: bootstrap resamples.
      seed: of the bootstrap.
      on_event: told which method is worked on.

    Raises:
      ValueError: if there are fewer than two methods, no such baseline, or the methods' test items,
        votes or classes differ.
    """
    names = list(methods)
    if len(names) < 2:
        raise ValueError(f"a comparison needs at least two methods, got {len(names)}")
    baseline = names[0] if baseline is None else baseline
    if baseline not in methods:
        raise ValueError(f"no method {baseline!r} to compare with; there are {', '.join(names)}")
    aligned = _aligned({name: _needed(of) for name, of in methods.items()})
    shared = _shared_conditions(aligned)
    scored: dict[str, Conditions] = {}
    first = None
    for name, given in aligned.items():
        kept = {c: p for c, p in given.items() if p.corruption is None or c in shared}
        on_event(Message(f"  scoring {name}"))
        found = Conditions.of(kept, resamples=resamples if first is None else 1, seed=seed)
        if first is None:
            first = found
        scored[name] = dataclasses.replace(found, weights=first.weights)
    assert first is not None
    ceiling = ceiling_samples(first)
    samples = {}
    for name, of in scored.items():
        on_event(Message(f"  resampling {name}"))
        samples[name] = _samples(of, ceiling)
    known = {name: (costs or {}).get(name) for name in names}
    members = {name: _members(of) for name, of in scored.items()}
    sources = {name: of.concentration.source for name, of in scored.items()}
    on_event(Message(f"  one member of {baseline}, and {baseline} under one temperature"))
    for name, conditions in _derived(scored[baseline], baseline).items():
        samples[name] = _samples(conditions, ceiling)
        members[name] = _members(conditions)
        known[name] = known[baseline] if members[name] == members[baseline] else None
        sources[name] = conditions.concentration.source
    of_baseline = samples[baseline]
    rows = {
        name: MethodRow(
            members[name],
            {f: found[f].interval() for f in FIGURES},
            {} if name == baseline else {f: found[f].minus(of_baseline[f]) for f in FIGURES},
            known[name],
            sources[name],
        )
        for name, found in samples.items()
    }
    return Comparison(
        baseline=baseline,
        items=first.test.items,
        resamples=resamples,
        seed=seed,
        severity=first.severities[-1] if first.corrupted else None,
        corruptions=tuple(str(c.corruption) for c in first.worst),
        ceiling=interval(ceiling),
        rows=rows,
    )


def _members(conditions: Conditions) -> int:
    test = conditions.test.predictions
    return len(test.log_probs) // test.passes


def _needed(predictions: Mapping[str, Predictions]) -> dict[str, Predictions]:
    """The clean splits, and corrupted copies of the test items."""
    return {
        name: p
        for name, p in predictions.items()
        if p.tolerance is None
        and (p.split == "test" or (p.split == "valid" and p.corruption is None))
    }


def _clean_test(predictions: Mapping[str, Predictions], method: str) -> Predictions:
    for p in predictions.values():
        if p.split == "test" and p.corruption is None:
            if p.votes is None:
                raise ValueError(f"method {method}: its clean test items have no votes")
            return p
    raise ValueError(f"method {method} has no clean test items")


def _aligned(
    methods: Mapping[str, Mapping[str, Predictions]],
) -> dict[str, dict[str, Predictions]]:
    """All methods with the test items in the order of the first."""
    first_name = next(iter(methods))
    first = _clean_test(methods[first_name], first_name)
    assert first.votes is not None
    # Whole numbers, and texts that show them, are the same ids.
    wanted = first.ids.astype(str)
    found = {}
    for name, given in methods.items():
        given = _with_classes_of(first, given, (first_name, name))
        test = _clean_test(given, name)
        ids = test.ids.astype(str)
        absent = np.setxor1d(ids, wanted)
        if len(absent) or len(ids) != len(wanted):
            raise ValueError(
                f"methods {first_name} and {name} were not read on the same test items: "
                f"{len(wanted)} and {len(ids)}, {len(absent)} of them in one only"
            )
        rows = np.argsort(ids)[np.argsort(np.argsort(wanted))]
        assert test.votes is not None
        if not np.array_equal(test.votes[rows], first.votes):
            raise ValueError(f"methods {first_name} and {name} bring different votes of the items")
        found[name] = {c: _reordered(p, rows) if p.split == "test" else p for c, p in given.items()}
    return found


def _with_classes_of(
    first: Predictions, given: Mapping[str, Predictions], names: tuple[str, str]
) -> dict[str, Predictions]:
    """A method's predictions with the classes in the order of the first method's, where both name
    them."""
    found = {}
    for condition, p in given.items():
        if p.log_probs.shape[2] != first.log_probs.shape[2]:
            raise ValueError(
                f"methods {names[0]} and {names[1]} tell {first.log_probs.shape[2]} and "
                f"{p.log_probs.shape[2]} classes apart"
            )
        if first.classes is not None and p.classes not in (None, first.classes):
            try:
                p = p.with_classes(first.classes)
            except ValueError as error:
                raise ValueError(f"method {names[1]}, condition {condition}: {error}") from error
        found[condition] = p
    return found


def _reordered(p: Predictions, rows: np.ndarray) -> Predictions:
    if np.array_equal(rows, np.arange(len(rows))) or len(rows) != len(p.ids):
        return p

    def of(array: np.ndarray | None) -> np.ndarray | None:
        return None if array is None else array[rows]

    return dataclasses.replace(
        p,
        log_probs=p.log_probs[:, rows],
        ids=p.ids[rows],
        votes=of(p.votes),
        vote_shares=of(p.vote_shares),
        truth=of(p.truth),
        groups=of(p.groups),
        abstentions=of(p.abstentions),
        features={},
        scores={name: score[rows] for name, score in p.scores.items()},
        log_concentration=None if p.log_concentration is None else p.log_concentration[:, rows],
    )


def _shared_conditions(methods: Mapping[str, Mapping[str, Predictions]]) -> set[str]:
    """Corrupted conditions that every method has."""
    sets = [{c for c, p in given.items() if p.corruption is not None} for given in methods.values()]
    return set.intersection(*sets)


def _derived(of: Conditions, name: str) -> dict[str, Conditions]:
    """One member of an ensemble, and the ensemble under one temperature, as methods."""
    found = {}
    given = {c.name: c.predictions for c in (of.test, of.valid, *of.corrupted) if c is not None}
    bare = {
        n: p if of.concentration.source == "predictions" else _without_concentration(p)
        for n, p in given.items()
    }
    if _members(of) > 1:
        one = {n: _take_members(p, slice(0, p.passes)) for n, p in bare.items()}
        found[f"{name}, one member"] = Conditions.of(one, resamples=1, seed=of.seed)
    scaled, _ = apply_variant(of, "T (votes)")
    # Copies and scores keep the members as they are: the row shows what T does to predictions.
    predictions = dataclasses.replace(of.test.predictions, log_probs=scaled)
    conditions = with_concentrations({"test": _without_concentration(predictions)})
    scored = Conditions.of(conditions.predictions, resamples=1, seed=of.seed)
    found[f"{name}, T (votes)"] = scored
    return {n: dataclasses.replace(c, weights=of.weights) for n, c in found.items()}


def _without_concentration(p: Predictions) -> Predictions:
    return dataclasses.replace(p, log_concentration=None)


def _take_members(p: Predictions, which: slice) -> Predictions:
    own = p.log_concentration
    return dataclasses.replace(
        p, log_probs=p.log_probs[which], log_concentration=None if own is None else own[which]
    )


def _samples(conditions: Conditions, ceiling: np.ndarray) -> dict[str, FigureSamples]:
    """Every figure on all items and on every resample."""
    test = conditions.test
    weights = conditions.weights
    rho = spearman(test.scores["aleatoric"], test.voted.disagreement, weights)
    undefined = np.full(len(rho), np.nan)
    found = {"spearman": rho, "share_of_ceiling": rho / ceiling}
    found |= dict.fromkeys(("shift_auroc", "routing_area", "kept"), undefined)
    if conditions.worst:
        copies = np.stack([np.asarray(c.scores["epistemic"]) for c in conditions.worst])
        areas = shift_auroc(test.scores["epistemic"], copies, weights)
        found["shift_auroc"] = areas.mean(-1)
        found["routing_area"], found["kept"] = _routing(conditions)
    quality = quality_samples(test.mean_log_probs, test.voted, weights)
    return {**quality, **{name: FigureSamples(of) for name, of in found.items()}}


def _routing(conditions: Conditions) -> tuple[np.ndarray, np.ndarray]:
    """Routing area of epistemic, and ambiguous items kept where 80 % of the copies are rejected;
    on the base corruptions, where there are any."""
    base = [c for c in conditions.corrupted if c.corruption in BASE_CORRUPTIONS]
    pool: Sequence[Condition] = base or conditions.corrupted
    area, kept = routing_comparison.samples(conditions, pool, ["epistemic"])
    return area[0], kept[0, :, routing_comparison.MATCHED.index(KEPT_AT)]
