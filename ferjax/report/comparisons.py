"""Which score follows disagreement better, and which sees shift better, in sentences.

The winner and its number come first, and a difference that does not matter is not worth a sentence:
one below :data:`TIE`, or whose interval holds 0.
"""

from collections.abc import Iterator

from ferjax.evaluation.intervals import Interval
from ferjax.evaluation.results import Evaluation
from ferjax.evaluation.scores import label
from ferjax.report.findings import Conclusion
from ferjax.report.words import against, span

__all__ = ["TIE", "other_scores", "two_signals", "winner"]

TIE = 0.02
"""Rank correlations or areas closer than this are taken for equal."""
SIMPLE = ("max_prob", "total", "single_max_prob")
"""Scores that need no decomposition."""


def winner(gap: Interval) -> int:
    """1 where the first of two is better, -1 where the second is, 0 for a tie.

    >>> winner(Interval(0.3, 0.2, 0.4)), winner(Interval(-0.1, -0.2, -0.05))
    (1, -1)
    >>> winner(Interval(0.003, 0.001, 0.005)), winner(Interval(0.1, -0.1, 0.3))
    (0, 0)
    """
    if gap.low > 0 and gap.value >= TIE:
        return 1
    return -1 if gap.high < 0 and gap.value <= -TIE else 0


def _by(gap: Interval) -> str:
    low, high = sorted((abs(gap.low), abs(gap.high)))
    return f"by {abs(gap.value):.2f}, {low:.2f} to {high:.2f}"


def two_signals(e: Evaluation) -> Iterator[Conclusion]:
    """Does each uncertainty follow its own target better than the other does?"""
    scores = e.disagreement.scores
    correlation = e.disagreement.rank_correlation
    if not correlation.defined:
        return
    gap = scores["epistemic"].aleatoric_minus
    ours, theirs = (scores[n].spearman.value for n in ("aleatoric", "epistemic"))
    match winner(gap):
        case 1:
            yield Conclusion(
                "good",
                "Aleatoric follows disagreement better than epistemic: ρ = "
                f"{against(ours, theirs)} ({_by(gap)}).",
            )
        case -1:
            yield Conclusion(
                "bad",
                "Epistemic follows disagreement better than aleatoric, which is to follow it: ρ = "
                f"{against(theirs, ours)} ({_by(gap)}).",
            )
    if e.shift.severity is not None and e.knows_epistemic:
        gap = e.shift.epistemic_minus["aleatoric"][e.shift.severity]
        ours, theirs = (e.shift.at_worst(n).value for n in ("epistemic", "aleatoric"))
        match winner(gap):
            case 1:
                yield Conclusion(
                    "good",
                    "Epistemic sees shift better than aleatoric: AUROC "
                    f"{against(ours, theirs)} ({_by(gap)}).",
                )
            case -1:
                yield Conclusion(
                    "bad",
                    "Aleatoric sees shift better than epistemic, which is to see it: AUROC "
                    f"{against(theirs, ours)} ({_by(gap)}).",
                )
    if correlation.value >= 0.5:
        yield Conclusion(
            "note",
            "On clean items the two uncertainties are hardly separate signals: they rank them "
            f"much alike (rank correlation {span(correlation)}).",
        )


def other_scores(e: Evaluation) -> Iterator[Conclusion]:
    """Is some other score better than the decomposition?"""
    scores = e.disagreement.scores
    ours = scores["aleatoric"].spearman.value
    better = [n for n in SIMPLE if n in scores and winner(scores[n].aleatoric_minus) < 0]
    if better:
        best = max(better, key=lambda n: scores[n].spearman.value)
        yield Conclusion(
            "note",
            f"{_name(best)} follows disagreement better than aleatoric, and needs no "
            f"decomposition: ρ = {against(scores[best].spearman.value, ours)}.",
        )
    if e.shift.severity is None or not e.knows_epistemic:
        return
    minus = {n: of[e.shift.severity] for n, of in e.shift.epistemic_minus.items()}
    minus.pop("aleatoric", None)
    areas = {n: e.shift.at_worst(n).value for n in ("epistemic", *minus)}
    better = sorted((n for n in minus if winner(minus[n]) < 0), key=lambda n: -areas[n])
    if better:
        best, *others = better
        text = (
            f"{_name(best)} sees shift better than epistemic: AUROC "
            f"{against(areas[best], areas['epistemic'])}"
        )
        if others:
            named = [f"{label(n)} ({areas[n]:.2f})" for n in others[:2]]
            more = f" and {len(others) - 2} more" if len(others) > 2 else ""
            text += f"; so do {', '.join(named)}{more}"
        yield Conclusion("bad", f"{text}.")
    elif minus and all(winner(gap) > 0 for gap in minus.values()):
        nearest = max(minus, key=lambda n: areas[n])
        yield Conclusion(
            "good",
            "Epistemic sees shift better than every other score; the nearest is "
            f"{label(nearest)}: AUROC {against(areas['epistemic'], areas[nearest])}.",
        )


def _name(score: str) -> str:
    """A score at the beginning of a sentence."""
    text = label(score)
    return text[0].upper() + text[1:]
