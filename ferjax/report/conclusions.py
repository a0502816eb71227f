"""What the results say, in sentences that change with the numbers: good news, bad news, notes."""

import dataclasses
from collections.abc import Iterator

from ferjax.evaluation.intervals import Interval
from ferjax.evaluation.results import Evaluation
from ferjax.evaluation.scores import label

__all__ = ["Conclusion", "conclude"]

NEAR = 0.05
"""Two rank correlations or areas closer than this are called "almost as good"."""


@dataclasses.dataclass(frozen=True)
class Conclusion:
    """A sentence, and whether it is ``good``, ``bad`` or a ``note``."""

    tone: str
    text: str


def conclude(e: Evaluation) -> list[Conclusion]:
    """All conclusions of an evaluation, the most important first."""
    parts = (
        _disagreement,
        _shift,
        _two_signals,
        _simpler_scores,
        _corruptions,
        _quality,
        _members,
        _routing,
        _thresholds,
        _ood_sets,
    )
    return [conclusion for part in parts for conclusion in part(e)]


def _span(figure: Interval) -> str:
    return f"{figure.value:.2f}, 95 % interval {figure.low:.2f} to {figure.high:.2f}"


def _strength(rho: float) -> str:
    limits = {0.1: "hardly", 0.3: "weakly", 0.5: "moderately"}
    return next((word for limit, word in limits.items() if abs(rho) < limit), "strongly")


def _disagreement(e: Evaluation) -> Iterator[Conclusion]:
    row = e.disagreement.scores["aleatoric"]
    rho = row.spearman
    if not rho.defined:
        yield Conclusion(
            "bad",
            "Whether aleatoric uncertainty follows human disagreement cannot be said: one of the "
            "two is constant.",
        )
    elif rho.low <= 0:
        yield Conclusion(
            "bad",
            "Aleatoric uncertainty does not demonstrably follow human disagreement "
            f"(ρ = {_span(rho)}).",
        )
    else:
        share = row.share_of_ceiling
        reach = ""
        if share.defined:
            reach = f", {share.value:.0%} of what any predictor can reach against so few votes"
        yield Conclusion(
            "good" if rho.value >= 0.3 else "note",
            f"Aleatoric uncertainty {_strength(rho.value)} follows human disagreement "
            f"(ρ = {_span(rho)}){reach}.",
        )


def _shift(e: Evaluation) -> Iterator[Conclusion]:
    if e.shift.severity is None:
        yield Conclusion("note", "No corrupted copies were given, so nothing is known about shift.")
        return
    area = e.shift.at_worst("epistemic")
    where = f"at severity {e.shift.severity} (mean AUROC {_span(area)})"
    if e.members == 1:
        yield Conclusion(
            "bad", "One member has no epistemic uncertainty: train an ensemble to see shift."
        )
    elif area.high < 0.5:
        yield Conclusion(
            "bad",
            f"Epistemic uncertainty is lower on corrupted items than on clean ones {where}: "
            "it does not see shift.",
        )
    elif area.low <= 0.5:
        yield Conclusion(
            "bad",
            f"Epistemic uncertainty does not tell corrupted items from clean ones {where}.",
        )
    else:
        words = "clearly" if area.value >= 0.8 else "in part" if area.value >= 0.6 else "barely"
        yield Conclusion(
            "good" if area.value >= 0.6 else "note",
            f"Epistemic uncertainty {words} tells corrupted items from clean ones {where}.",
        )


def _two_signals(e: Evaluation) -> Iterator[Conclusion]:
    """Are there two signals, or one with two names?"""
    correlation = e.disagreement.rank_correlation
    if not correlation.defined:
        return
    scores = e.disagreement.scores
    gap = scores["epistemic"].aleatoric_minus
    ours = scores["aleatoric"].spearman
    theirs = scores["epistemic"].spearman
    values = f"(ρ = {theirs.value:.2f} against {ours.value:.2f})"
    if gap.high < 0:
        yield Conclusion(
            "bad", f"Epistemic ranks human disagreement better than aleatoric does {values}."
        )
    elif gap.low <= 0 or gap.value < NEAR:
        yield Conclusion(
            "bad",
            f"Epistemic ranks human disagreement almost as well as aleatoric does {values}: "
            "on clean items the two are not separate signals.",
        )
    else:
        yield Conclusion(
            "good",
            f"Aleatoric follows disagreement better than epistemic does, by {gap.value:.2f} "
            f"({gap.low:.2f} to {gap.high:.2f}) {values}.",
        )
    if e.shift.severity is not None and e.members > 1:
        gap = e.shift.epistemic_minus["aleatoric"][e.shift.severity]
        areas = [e.shift.at_worst(name).value for name in ("epistemic", "aleatoric")]
        values = f"(AUROC {areas[0]:.2f} against {areas[1]:.2f})"
        if gap.high < 0:
            yield Conclusion("bad", f"Aleatoric sees shift better than epistemic does {values}.")
        elif gap.low <= 0 or gap.value < NEAR:
            yield Conclusion(
                "bad", f"Aleatoric sees shift almost as well as epistemic does {values}."
            )
        else:
            yield Conclusion(
                "good",
                f"Epistemic sees shift better than aleatoric does, by {gap.value:.2f} "
                f"({gap.low:.2f} to {gap.high:.2f}) {values}.",
            )
    if correlation.value >= 0.5:
        yield Conclusion(
            "note",
            "Over clean items the two uncertainties rank much alike "
            f"(rank correlation {_span(correlation)}).",
        )


def _simpler_scores(e: Evaluation) -> Iterator[Conclusion]:
    """Does a score that needs no decomposition do as well?"""
    scores = e.disagreement.scores
    simple = [name for name in ("max_prob", "total", "single_max_prob") if name in scores]
    as_good = [
        f"{label(name)} (ρ = {scores[name].spearman.value:.2f})"
        for name in simple
        if scores[name].spearman.defined and scores[name].aleatoric_minus.low <= 0
    ]
    if as_good:
        yield Conclusion(
            "note",
            "For ranking disagreement the decomposition is not needed: as well as aleatoric does "
            f"{', '.join(as_good)}.",
        )
    if e.shift.severity is None or e.members == 1:
        return
    minus = {n: of[e.shift.severity] for n, of in e.shift.epistemic_minus.items()}
    minus.pop("aleatoric", None)
    better = sorted((n for n in minus if minus[n].low <= 0), key=lambda n: minus[n].value)
    if better:
        named = [f"{label(n)} (AUROC {e.shift.at_worst(n).value:.2f})" for n in better[:3]]
        more = f", and {len(better) - 3} more" if len(better) > 3 else ""
        yield Conclusion(
            "bad",
            "For seeing shift epistemic is not the best of these scores: as well or better does "
            f"{', '.join(named)}{more}.",
        )
    elif minus:
        nearest = min(minus, key=lambda n: minus[n].value)
        yield Conclusion(
            "good",
            "For seeing shift no other score comes up to epistemic; the nearest is "
            f"{label(nearest)}.",
        )


def _corruptions(e: Evaluation) -> Iterator[Conclusion]:
    severity = e.shift.severity
    if severity is None or e.members == 1:
        return
    areas = {
        name: of[severity]["epistemic"].auroc
        for name, of in e.shift.corruptions.items()
        if severity in of
    }
    fooled = [name for name, area in areas.items() if area.high < 0.5]
    unseen = [name for name, area in areas.items() if area.low <= 0.5 <= area.high]
    if fooled:
        yield Conclusion(
            "bad",
            f"Even at severity {severity} epistemic uncertainty is lower under these corruptions "
            f"than on clean items: {', '.join(fooled)}. A router that rejects by epistemic "
            "uncertainty lets them through.",
        )
    if unseen:
        yield Conclusion(
            "note",
            f"At severity {severity} epistemic uncertainty does not notice {', '.join(unseen)}.",
        )


def _quality(e: Evaluation) -> Iterator[Conclusion]:
    q = e.quality
    accuracy = q.accuracy.value
    agree = f"{q.vote_accuracy.value:.1%}"
    gain = accuracy - sum(q.member_accuracy) / len(q.member_accuracy)
    if accuracy <= q.majority_class + 0.02:
        yield Conclusion(
            "bad",
            "The ensemble is hardly better than always saying the most frequent class "
            f"({accuracy:.1%} against {q.majority_class:.1%}): no uncertainty of such a model "
            "means much.",
        )
    elif e.members > 1:
        yield Conclusion(
            "note",
            f"The ensemble is right on {accuracy:.1%} of the items, {gain:+.1%} against its mean "
            f"member; people agree with it {agree} of the time.",
        )
    confidence = sum(b.share * b.confidence for b in q.reliability)
    ece = q.ece.value
    off = f"Confidence is off by {ece:.1%} on average (ECE)"
    if ece < 0.05:
        yield Conclusion("good", f"Confidence is off by only {ece:.1%} on average (ECE).")
    elif confidence > accuracy:
        yield Conclusion("note", f"{off}: the ensemble is surer of itself than it should be.")
    else:
        yield Conclusion(
            "note",
            f"{off}: the ensemble is less sure than it is right, against the most voted label. "
            f"Against people, who agree with it {agree} of the time, its mean confidence is "
            f"{confidence:.1%}.",
        )


def _members(e: Evaluation) -> Iterator[Conclusion]:
    sizes = e.ensemble_size.sizes
    if e.members < 3 or any(
        "shift_auroc" not in sizes[k].figures for k in (e.members, e.members - 1)
    ):
        return
    means = [sizes[k].figures["shift_auroc"].mean for k in (e.members - 1, e.members)]
    step = means[1] - means[0]
    if step > 0.005:
        yield Conclusion(
            "note",
            f"More members would probably help: from {e.members - 1} to {e.members} the shift "
            f"AUROC still gains {step:.3f}.",
        )
    error = e.ensemble_size.jackknife["shift_auroc"].standard_error
    yield Conclusion(
        "note",
        f"Another choice of {e.members} members would move the shift AUROC by about ±{error:.3f} "
        "(jackknife over members).",
    )


def _routing(e: Evaluation) -> Iterator[Conclusion]:
    matched = e.matched
    if "epistemic" not in matched:
        return
    row = matched["epistemic"]
    kept = row.retention["0.8"].value
    text = (
        f"Rejecting by epistemic uncertainty, {kept:.0%} of the ambiguous clean items survive the "
        "threshold that removes 80 % of the corrupted ones; a random router keeps 20 % "
        f"(routing area {row.auc.value:.2f} against 0.50)"
    )
    if row.auc.high < 0.5:
        yield Conclusion("bad", f"{text}: worse than chance.")
    elif not row.auc.low > 0.5:
        yield Conclusion("note", f"{text}: no better than chance.")
    elif kept > 0.2:
        yield Conclusion("good", f"{text}.")
    else:
        yield Conclusion(
            "note", f"{text}: better than chance on the whole, but not at that threshold."
        )
    defined = [name for name in matched if matched[name].auc.defined]
    best = max(defined, key=lambda name: matched[name].auc.value)
    if best not in ("epistemic", "random") and matched[best].auc.value > row.auc.value + 0.01:
        yield Conclusion(
            "note",
            f"The best reject score here is {label(best)} "
            f"(routing area {matched[best].auc.value:.2f}).",
        )


def _thresholds(e: Evaluation) -> Iterator[Conclusion]:
    if e.thresholds is None:
        return
    row = e.decisions["test"]
    promised = e.thresholds.false_rejection
    rejected = row.shares["reject"]
    yield Conclusion(
        "good" if rejected <= promised + 0.02 else "bad",
        f"The reject threshold promised to turn away at most {promised:.0%} of clean items; on "
        f"test it turns away {rejected:.1%}.",
    )
    if row.ambiguous["reject"] > 2 * promised:
        yield Conclusion(
            "note",
            f"That is not spread evenly: {row.ambiguous['reject']:.0%} of the ambiguous clean "
            f"items are rejected against {row.clear['reject']:.0%} of the clear ones.",
        )


def _ood_sets(e: Evaluation) -> Iterator[Conclusion]:
    for name, found in e.shift.ood.items():
        area = found.scores["epistemic"].auroc
        verdict = "stands out"
        if area.high < 0.5:
            verdict = "looks more ordinary than the test items"
        elif area.low <= 0.5:
            verdict = "does not stand out"
        yield Conclusion(
            "good" if area.low >= 0.6 else "note",
            f"The set {name.replace('_', ' ')} ({found.items} items) {verdict} by epistemic "
            f"uncertainty (AUROC {_span(area)}).",
        )
    distance = e.shift.distance
    alike = [name for name, row in distance.sets.items() if row.p_value > 0.05]
    if alike:
        yield Conclusion(
            "note",
            f"In the space of {distance.space.replace('_', ' ')} these sets cannot be told from "
            f"clean items (MMD, 5 % level): {', '.join(alike)}.",
        )
