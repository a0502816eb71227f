"""Judges against a panel of people: everything that is found, in one go."""

import dataclasses
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from ferjax.evaluation.intervals import interval
from ferjax.evaluation.judgments import classes as classes_table
from ferjax.evaluation.judgments import floors, noise
from ferjax.evaluation.judgments.dimensions import by_dimension
from ferjax.evaluation.judgments.jury import jury
from ferjax.evaluation.judgments.resampling import Weights, all_weights, means
from ferjax.evaluation.judgments.results import Comparison, Panel
from ferjax.evaluation.judgments.rows import (
    MEAN,
    PERSON,
    Figures,
    differences,
    figures,
    line_up,
    person,
    resample,
    row,
)
from ferjax.evaluation.judgments.shift import shift
from ferjax.evaluation.judgments.sides import Sides, require_agreement
from ferjax.evaluation.judgments.stand_in import MARGIN, stand_in
from ferjax.evaluation.judgments.strata import strata
from ferjax.evaluation.judgments.transparency import transparency
from ferjax.events import OnEvent, Progress, silent
from ferjax.judgments import Judgments

__all__ = ["Words", "compare"]


@dataclasses.dataclass(frozen=True)
class Words:
    """What transparency is scored by; see :mod:`ferjax.evaluation.judgments.transparency`."""

    lexicon: Mapping[str, Sequence[str]]
    embeddings: np.ndarray | None = None
    class_embeddings: np.ndarray | None = None


def compare(
    sides: Sides,
    *,
    resamples: int = 1000,
    seed: int = 0,
    sources: Sequence[str] = ("texts",),
    margin: float = MARGIN,
    words: Words | None = None,
    shifted: Mapping[str, Judgments] | None = None,
    on_event: OnEvent = silent,
) -> Comparison:
    """Compares judges with people.

    Args:
      sides: people and judges, from :func:`ferjax.evaluation.judgments.sides.align`.
      resamples: bootstrap resamples of the texts; one set of weights for all figures.
      seed: of resamples, halves and floors.
      sources: sources of noise that are resampled for the primary figures, see
        :mod:`ferjax.evaluation.judgments.noise`; ``texts`` alone costs nothing more.
      margin: ε of the alternative annotator test.
      words: for the transparency of classes; None: none.
      shifted: name -> judgments of the same judges, of items unlike the texts.
      on_event: told how far it is.

    Returns:
      :class:`Comparison`.

    Raises:
      ValueError: if a source is unknown, fewer than 10 texts have two ratings, or words do not fit.
    """
    require_agreement(sides)
    if resamples < 2:
        raise ValueError(f"resamples must be at least 2, got {resamples}")

    def tell(done: float, note: str) -> None:
        on_event(Progress("compare", done, note))

    keys = jax.random.split(jax.random.key(seed), 6)
    tell(0.0, "figures of every text")
    weights = all_weights(seed, resamples, sides.ratings.groups)
    lineup = line_up(sides)
    found = figures(sides, lineup)
    tell(0.1, "resampling texts")
    samples = resample(found, weights)
    floor: list[floors.Floor | None] = [None] * len(lineup.names)
    if sides.shares is not None:
        tell(0.25, "floors: what a judge that is right would score")
        floor = [*floors.floors(keys[0], sides, lineup.answers[:-1]), None]
    sourced: dict = {}
    if tuple(sources) != ("texts",):
        tell(0.4, f"resampling {', '.join(sources)}")
        sourced = noise.by_source(keys[1], sides, lineup, weights, sources)
    rows = {
        name: row(place, sides, lineup, found, samples, floor[place], sourced.get(name, {}))
        for place, name in enumerate(lineup.names)
    }
    judges = len(sides.judges)
    class_samples = None
    if sides.shares is not None:
        tell(0.5, "class by class")
        class_samples = classes_table.class_samples(keys[2], sides, weights)
    else:
        tell(0.5, "dimension by dimension")
    dimensions = {} if class_samples else by_dimension(keys[2], sides, weights)
    tell(0.75, "strata, jury, raters")
    said = None
    if words is not None:
        if class_samples is None:
            raise ValueError("transparency is one of classes; these ratings are values")
        tell(0.9, "transparency of classes")
        said = transparency(
            keys[5],
            sides,
            class_samples,
            weights,
            words.lexicon,
            embeddings=words.embeddings,
            class_embeddings=words.class_embeddings,
        )
    result = Comparison(
        kind=sides.ratings.kind,
        classes=sides.ratings.classes,
        panel=_panel(keys[0], sides, found, weights),
        judges={name: rows[name] for name in lineup.names[:judges]},
        pools={name: rows[name] for name in lineup.names[judges:-1]},
        rivals={MEAN: rows[MEAN], PERSON: person(found, weights)},
        differences=differences(sides, lineup, samples),
        by_class={} if class_samples is None else classes_table.by_class(sides, class_samples),
        by_dimension=dimensions,
        strata=strata(keys[3], sides, lineup, weights),
        jury=jury(keys[4], sides, weights),
        replacement=stand_in(sides, margin=margin),
        transparency=said,
        shift=shift(sides, shifted or {}, weights, seed),
        resamples=resamples,
        seed=seed,
        notes=sides.notes,
    )
    tell(1.0, "compared")
    return result


def _panel(key: jax.Array, sides: Sides, found: Figures, weights: Weights) -> Panel:
    r = sides.ratings
    ceiling = None
    if sides.shares is not None:
        ceiling = interval(floors.entropy_ceiling(key, sides, weights))
    return Panel(
        items=len(r.ids),
        ratings=len(r.item),
        raters=len(np.unique(r.rater)) if r.rater is not None else None,
        fewest=int(r.raters_of.min()),
        most=int(r.raters_of.max()),
        unclear=0 if r.unclear is None else int(r.unclear.sum()),
        scored=int((r.raters_of > 1).sum()),
        spread=interval(means(weights, found.spread)),
        entropy_ceiling=ceiling,
    )
