"""What the results say, in sentences that change with the numbers: good news, bad news, notes."""

from collections.abc import Iterator

from ferjax.evaluation.results import Evaluation
from ferjax.evaluation.scores import label
from ferjax.report.comparisons import TIE, other_scores, two_signals
from ferjax.report.findings import Conclusion
from ferjax.report.words import percent, span

__all__ = ["Conclusion", "caution", "conclude"]


def conclude(e: Evaluation) -> list[Conclusion]:
    """All conclusions of an evaluation, the most important first."""
    parts = (
        _worth,
        _disagreement,
        _shift,
        two_signals,
        other_scores,
        _corruptions,
        _quality,
        _members,
        _routing,
        _thresholds,
        _ood_sets,
    )
    return [conclusion for part in parts for conclusion in part(e)]


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
            f"(ρ = {span(rho)}).",
        )
    else:
        share = row.share_of_ceiling
        reach = ""
        if share.defined:
            reach = f", {percent(share.value)} of what any predictor can reach against so few votes"
        yield Conclusion(
            "good" if rho.value >= 0.3 else "note",
            f"Aleatoric uncertainty {_strength(rho.value)} follows human disagreement "
            f"(ρ = {span(rho)}){reach}.",
        )


def _shift(e: Evaluation) -> Iterator[Conclusion]:
    if e.shift.severity is None:
        yield Conclusion("note", "No corrupted copies were given, so nothing is known about shift.")
        return
    area = e.shift.at_worst("epistemic")
    where = f"at severity {e.shift.severity} (mean AUROC {span(area)})"
    if not e.knows_epistemic:
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


def _corruptions(e: Evaluation) -> Iterator[Conclusion]:
    severity = e.shift.severity
    if severity is None or not e.knows_epistemic:
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


def caution(e: Evaluation) -> str:
    """What a router of this model must say first; empty where the model beats the most frequent
    class, as any uncertainty of it needs."""
    q = e.quality
    if q.beats_majority:
        return ""
    relation = "worse than" if q.accuracy.value < q.majority_class else "no better than"
    return (
        f"Always saying the most frequent class is right on {percent(q.majority_class, 1)} of the "
        f"test items, and this model, with {percent(q.accuracy.value, 1)}, is {relation} that: its "
        "uncertainties mean little, and what its router accepts is not to be trusted."
    )


def _worth(e: Evaluation) -> Iterator[Conclusion]:
    text = caution(e)
    if text:
        yield Conclusion("bad", text)


def _quality(e: Evaluation) -> Iterator[Conclusion]:
    q = e.quality
    accuracy = q.accuracy.value
    agree = percent(q.vote_accuracy.value, 1)
    gain = accuracy - sum(q.member_accuracy) / len(q.member_accuracy)
    if e.members > 1 and q.beats_majority:
        yield Conclusion(
            "note",
            f"The ensemble is right on {percent(accuracy, 1)} of the items, {100 * gain:+.1f} "
            f"points against its mean member; people agree with it {agree} of the time.",
        )
    confidence = sum(b.share * b.confidence for b in q.reliability)
    ece = q.ece.value
    off = f"Confidence is off by {percent(ece, 1)} on average (ECE)"
    if ece < 0.05:
        yield Conclusion("good", f"Confidence is off by only {percent(ece, 1)} on average (ECE).")
    elif confidence > accuracy:
        yield Conclusion("note", f"{off}: the ensemble is surer of itself than it should be.")
    else:
        yield Conclusion(
            "note",
            f"{off}: the ensemble is less sure than it is right, against the most voted label. "
            f"Against people, who agree with it {agree} of the time, its mean confidence is "
            f"{percent(confidence, 1)}.",
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
    kept = {n: percent(of.retention["0.8"].value) for n, of in matched.items()}
    defined = [name for name in matched if matched[name].auc.defined]
    best = max(defined, key=lambda name: matched[name].auc.value)
    if best not in ("epistemic", "random") and matched[best].auc.value >= row.auc.value + TIE:
        yield Conclusion(
            "note",
            f"The best reject score here is {label(best)}: the threshold that removes 80 % of the "
            f"corrupted items keeps {kept[best]} of the ambiguous clean ones, against "
            f"{kept['epistemic']} by epistemic and 20 % by chance (routing areas "
            f"{matched[best].auc.value:.2f}, {row.auc.value:.2f}, 0.50).",
        )
    text = (
        f"Rejecting by epistemic uncertainty keeps {kept['epistemic']} of the ambiguous clean "
        "items at the threshold that removes 80 % of the corrupted ones; a random router keeps "
        f"20 % (routing area {row.auc.value:.2f} against 0.50)"
    )
    if row.auc.high < 0.5:
        yield Conclusion("bad", f"{text}: worse than chance.")
    elif not row.auc.low > 0.5:
        yield Conclusion("note", f"{text}: no better than chance.")
    elif row.retention["0.8"].value > 0.2:
        yield Conclusion("good", f"{text}.")
    else:
        yield Conclusion(
            "note", f"{text}: better than chance on the whole, but not at that threshold."
        )


def _thresholds(e: Evaluation) -> Iterator[Conclusion]:
    if e.thresholds is None:
        return
    row = e.decisions["test"]
    promised = e.thresholds.false_rejection
    rejected = row.shares["reject"]
    yield Conclusion(
        "good" if rejected <= promised + 0.02 else "bad",
        f"The reject threshold promised to turn away at most {percent(promised)} of clean items; "
        f"on test it turns away {percent(rejected, 1)}.",
    )
    if row.ambiguous["reject"] > 2 * promised:
        yield Conclusion(
            "note",
            f"That is not spread evenly: {percent(row.ambiguous['reject'])} of the ambiguous clean "
            f"items are rejected against {percent(row.clear['reject'])} of the clear ones.",
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
            f"uncertainty (AUROC {span(area)}).",
        )
    distance = e.shift.distance
    alike = [name for name, row in distance.sets.items() if row.p_value > 0.05]
    if alike:
        yield Conclusion(
            "note",
            f"In the space of {distance.space.replace('_', ' ')} these sets cannot be told from "
            f"clean items (MMD, 5 % level): {', '.join(alike)}.",
        )
