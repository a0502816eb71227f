"""Two panels of finite size held against each other, without the noise of few answers.

A panel is any number of answers to an item: five people, ten samples of a language model. Shares
counted from few answers are a noisy sight of the distribution behind them, and every plug-in
divergence takes the noise for a gap: against three raters the *true* distribution has a
Jensen-Shannon divergence of more than half a bit. What is here is right on average whatever the
sizes of the panels, and is a sum over items, so that a bootstrap over items is one matrix product.

Everything rests on :class:`Moments` of answers written as *columns*, numbers whose squared
differences mean something: the 0/1 indicators of classes, cumulative indicators of an ordinal or
real scale (the squared Cramér distance, whose score is the CRPS), or a vote split over the labels
it names. Axis legend: ``[..., item, column]``; leading axes are judges.

References:
  Székely & Rizzo, Energy Statistics, 2013, https://doi.org/10.1016/j.jspi.2013.03.018; Gneiting &
  Raftery, Strictly Proper Scoring Rules, 2007, https://doi.org/10.1198/016214506000001437;
  Hoeffding, A Class of Statistics with Asymptotically Normal Distribution, 1948,
  https://doi.org/10.1214/aoms/1177730196 (the unbiased products of different answers).
"""

from ferjax.panels._floors import Prior, draw_worlds, fit_prior, floor_of
from ferjax.panels._gap import (
    expected_score,
    gap,
    leave_one_out,
    people_equivalents,
    skill,
    spread,
)
from ferjax.panels._halves import halves, reliability, stepped_up
from ferjax.panels._jury import JurySplit, jury_split, pool
from ferjax.panels._moments import (
    Moments,
    of_answers,
    of_counts,
    of_level_counts,
    of_probs,
    of_shares,
    of_values,
)

__all__ = [
    "JurySplit",
    "Moments",
    "Prior",
    "draw_worlds",
    "expected_score",
    "fit_prior",
    "floor_of",
    "gap",
    "halves",
    "jury_split",
    "leave_one_out",
    "of_answers",
    "of_counts",
    "of_level_counts",
    "of_probs",
    "of_shares",
    "of_values",
    "people_equivalents",
    "pool",
    "reliability",
    "skill",
    "spread",
    "stepped_up",
]
