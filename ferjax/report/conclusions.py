"""What the tables say, in sentences that change with the numbers: good news, bad news, and what to
keep in mind."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ferjax.evaluation.intervals import plain
from ferjax.report.plots import label

__all__ = ["Finding", "find"]

NEAR = 0.05
"""Two rank correlations or areas closer than this are called "almost the same"."""


class Finding(NamedTuple):
    """A sentence, and whether it is ``good``, ``bad`` or a ``note``."""

    tone: str
    text: str


def find(tables: Mapping) -> list[Finding]:
    """All findings of an evaluation, the most important first."""
    parts = (
        _disagreement,
        _shift,
        _apart,
        _simpler,
        _corruptions,
        _calibration,
        _members,
        _routing,
        _thresholds,
        _sets,
    )
    return [finding for part in parts for finding in part(tables)]


def _span(entry: Mapping) -> str:
    return f"{entry['value']:.2f}, 95 % interval {entry['low']:.2f} to {entry['high']:.2f}"


def _defined(entry: Any) -> bool:
    value = None if entry is None else plain(entry)
    return value is not None and value == value


def _strength(rho: float) -> str:
    size = abs(rho)
    return (
        "hardly"
        if size < 0.1
        else "weakly"
        if size < 0.3
        else "moderately"
        if size < 0.5
        else "strongly"
    )


def _disagreement(tables: Mapping) -> Iterator[Finding]:
    v1 = tables["v1"]
    rho = v1["scores"]["aleatoric"]["spearman"]
    if not _defined(rho):
        yield Finding(
            "bad",
            "Whether aleatoric uncertainty follows human disagreement cannot be said: one of the two is constant.",
        )
        return
    if rho["low"] <= 0:
        yield Finding(
            "bad",
            f"Aleatoric uncertainty does not demonstrably follow human disagreement (ρ = {_span(rho)}).",
        )
    else:
        share = v1["scores"]["aleatoric"]["share_of_ceiling"]
        of = (
            f", {share['value']:.0%} of what any predictor can reach against so few votes"
            if _defined(share)
            else ""
        )
        tone = "good" if rho["value"] >= 0.3 else "note"
        yield Finding(
            tone,
            f"Aleatoric uncertainty {_strength(rho['value'])} follows human disagreement (ρ = {_span(rho)}){of}.",
        )


def _shift(tables: Mapping) -> Iterator[Finding]:
    severity = tables["shift_severity"]
    if severity is None:
        yield Finding("note", "No corrupted copies were given, so nothing is known about shift.")
        return
    area = tables["cross"]["epistemic"]["shift"]
    where = f"at severity {severity} (mean AUROC {_span(area)})"
    if tables["members"] == 1:
        yield Finding(
            "bad", "One member has no epistemic uncertainty: train an ensemble to see shift."
        )
    elif area["high"] < 0.5:
        yield Finding(
            "bad",
            f"Epistemic uncertainty is lower on corrupted faces than on clean ones {where}: it does not see shift.",
        )
    elif area["low"] <= 0.5:
        yield Finding(
            "bad", f"Epistemic uncertainty does not tell corrupted faces from clean ones {where}."
        )
    else:
        words = (
            "clearly" if area["value"] >= 0.8 else "in part" if area["value"] >= 0.6 else "barely"
        )
        tone = "good" if area["value"] >= 0.6 else "note"
        yield Finding(
            tone, f"Epistemic uncertainty {words} tells corrupted faces from clean ones {where}."
        )


def _apart(tables: Mapping) -> Iterator[Finding]:
    """Are there two signals, or one with two names?"""
    cross = tables["cross"]
    correlation = tables["rank_correlation"]
    if not _defined(correlation):
        return
    ours = cross["aleatoric"]["disagreement"]
    theirs = cross["epistemic"]["disagreement"]
    gap = tables["v1"]["scores"]["epistemic"]["aleatoric_minus"]
    values = f"(ρ = {theirs['value']:.2f} against {ours['value']:.2f})"
    if gap["high"] < 0:
        yield Finding(
            "bad", f"Epistemic ranks human disagreement better than aleatoric does {values}."
        )
    elif gap["low"] <= 0 or gap["value"] < NEAR:
        yield Finding(
            "bad",
            f"Epistemic ranks human disagreement almost as well as aleatoric does {values}: "
            "on clean faces the two are not separate signals.",
        )
    else:
        yield Finding(
            "good",
            f"Aleatoric follows disagreement better than epistemic does, by {gap['value']:.2f} "
            f"({gap['low']:.2f} to {gap['high']:.2f}) {values}.",
        )
    severity = tables["shift_severity"]
    if severity is not None and tables["members"] > 1:
        gap = tables["v2"]["epistemic_minus"]["aleatoric"][severity]
        values = f"(AUROC {cross['epistemic']['shift']['value']:.2f} against {cross['aleatoric']['shift']['value']:.2f})"
        if gap["high"] < 0:
            yield Finding("bad", f"Aleatoric sees shift better than epistemic does {values}.")
        elif gap["low"] <= 0 or gap["value"] < NEAR:
            yield Finding("bad", f"Aleatoric sees shift almost as well as epistemic does {values}.")
        else:
            yield Finding(
                "good",
                f"Epistemic sees shift better than aleatoric does, by {gap['value']:.2f} "
                f"({gap['low']:.2f} to {gap['high']:.2f}) {values}.",
            )
    if correlation["value"] >= 0.5:
        yield Finding(
            "note",
            f"Over clean faces the two uncertainties rank much alike (rank correlation {_span(correlation)}).",
        )


def _simpler(tables: Mapping) -> Iterator[Finding]:
    """Does a score that needs no decomposition do as well?"""
    scores = tables["v1"]["scores"]
    simple = [
        name
        for name in ("max_prob", "total", "single_max_prob")
        if name in scores and _defined(scores[name]["spearman"])
    ]
    as_good = [name for name in simple if scores[name]["aleatoric_minus"]["low"] <= 0]
    if as_good:
        yield Finding(
            "note",
            "For ranking disagreement the decomposition is not needed: as well as aleatoric does "
            + ", ".join(f"{label(n)} (ρ = {scores[n]['spearman']['value']:.2f})" for n in as_good)
            + ".",
        )
    severity = tables["shift_severity"]
    if severity is None or tables["members"] == 1:
        return
    minus = {
        name: rows[severity]
        for name, rows in tables["v2"]["epistemic_minus"].items()
        if name != "aleatoric"
    }
    better = sorted(
        (n for n, gap in minus.items() if gap["low"] <= 0), key=lambda n: minus[n]["value"]
    )
    if better:
        yield Finding(
            "bad",
            "For seeing shift epistemic is not the best of these scores: as well or better does "
            + ", ".join(
                f"{label(n)} (AUROC {plain(tables['cross'][n]['shift']):.2f})" for n in better[:3]
            )
            + (f", and {len(better) - 3} more." if len(better) > 3 else "."),
        )
    elif minus:
        yield Finding(
            "good",
            f"For seeing shift no other score comes up to epistemic; the nearest is "
            f"{label(min(minus, key=lambda n: minus[n]['value']))}.",
        )


def _corruptions(tables: Mapping) -> Iterator[Finding]:
    severity = tables["shift_severity"]
    if severity is None or tables["members"] == 1:
        return
    rows = {
        name: of[severity]["epistemic"]
        for name, of in tables["v2"]["corruptions"].items()
        if severity in of
    }
    fooled = [name for name, cell in rows.items() if cell["high"] < 0.5]
    unseen = [name for name, cell in rows.items() if cell["low"] <= 0.5 <= cell["high"]]
    if fooled:
        yield Finding(
            "bad",
            f"Even at severity {severity} these make faces look more familiar, not less: {', '.join(fooled)}. "
            "A router that rejects by epistemic uncertainty lets them through.",
        )
    if unseen:
        yield Finding(
            "note",
            f"At severity {severity} epistemic uncertainty does not notice {', '.join(unseen)}.",
        )


def _calibration(tables: Mapping) -> Iterator[Finding]:
    c = tables["classification"]
    gain = plain(c["accuracy"]) - sum(c["member_accuracy"]) / len(c["member_accuracy"])
    chance = c["majority_class"]
    if plain(c["accuracy"]) <= chance + 0.02:
        yield Finding(
            "bad",
            f"The ensemble is hardly better than always saying the most frequent class ({plain(c['accuracy']):.1%} against "
            f"{chance:.1%}): no uncertainty of such a model means much.",
        )
    elif tables["members"] > 1:
        yield Finding(
            "note",
            f"The ensemble is right on {plain(c['accuracy']):.1%} of the faces, {gain:+.1%} against its mean member; "
            f"people agree with it {plain(c['vote_accuracy']):.1%} of the time.",
        )
    confidence = sum(b["share"] * b["confidence"] for b in c["reliability"])
    excess = confidence - plain(c["accuracy"])
    ece = plain(c["ece"])
    if ece >= 0.05 and excess > 0:
        yield Finding(
            "note",
            f"Confidence is off by {ece:.1%} on average (ECE): the ensemble is surer of itself than it should be.",
        )
    elif ece >= 0.05:
        yield Finding(
            "note",
            f"Confidence is off by {ece:.1%} on average (ECE): the ensemble is less sure than it is right, against the most "
            f"voted label. Against people, who agree with it {plain(c['vote_accuracy']):.1%} of the time, its mean "
            f"confidence is {confidence:.1%}.",
        )
    else:
        yield Finding("good", f"Confidence is off by only {ece:.1%} on average (ECE).")


def _members(tables: Mapping) -> Iterator[Finding]:
    sizes = tables["sensitivity"]["sizes"]
    members = tables["members"]
    if (
        members < 3
        or not sizes[members].get("shift_auroc")
        or not sizes[members - 1].get("shift_auroc")
    ):
        return
    step = sizes[members]["shift_auroc"]["mean"] - sizes[members - 1]["shift_auroc"]["mean"]
    error = tables["sensitivity"]["jackknife"]["shift_auroc"]["standard_error"]
    if step > 0.005:
        yield Finding(
            "note",
            f"More members would probably help: from {members - 1} to {members} the shift AUROC still gains {step:.3f}.",
        )
    yield Finding(
        "note",
        f"Another choice of {members} members would move the shift AUROC by about ±{error:.3f} (jackknife over members).",
    )


def _routing(tables: Mapping) -> Iterator[Finding]:
    matched = tables.get("matched") or {}
    row = matched.get("epistemic")
    if not row or "retention" not in row:
        return
    kept = plain(row["retention"]["0.8"])
    best = max(
        (n for n in matched if _defined(matched[n].get("auc"))),
        key=lambda n: plain(matched[n]["auc"]),
    )
    area = row["auc"]
    low, high = (area["low"], area["high"]) if isinstance(area, Mapping) else (area, area)
    text = (
        f"Rejecting by epistemic uncertainty, {kept:.0%} of the ambiguous clean faces survive the threshold that removes 80 % of the "
        f"corrupted ones; a random router keeps 20 % (routing area {plain(area):.2f} against 0.50)"
    )
    if high < 0.5:
        yield Finding("bad", f"{text}: worse than chance.")
    elif not low > 0.5:
        yield Finding("note", f"{text}: no better than chance.")
    elif kept > 0.2:
        yield Finding("good", f"{text}.")
    else:
        yield Finding(
            "note", f"{text}: better than chance on the whole, but not at that threshold."
        )
    if best not in ("epistemic", "random") and plain(matched[best]["auc"]) > plain(area) + 0.01:
        yield Finding(
            "note",
            f"The best reject score here is {label(best)} (routing area {plain(matched[best]['auc']):.2f}).",
        )


def _thresholds(tables: Mapping) -> Iterator[Finding]:
    if not tables.get("thresholds") or not tables.get("decisions"):
        return
    row = tables["decisions"]["test"]
    promised = tables["thresholds"]["false_rejection"]
    kept = row["reject"] <= promised + 0.02
    yield Finding(
        "good" if kept else "bad",
        f"The reject threshold promised to turn away at most {promised:.0%} of clean faces; "
        f"on test it turns away {row['reject']:.1%}.",
    )
    if row.get("ambiguous") and row["ambiguous"]["reject"] > 2 * promised:
        yield Finding(
            "note",
            f"That is not spread evenly: {row['ambiguous']['reject']:.0%} of the ambiguous clean faces are rejected "
            f"against {row['clear']['reject']:.0%} of the clear ones.",
        )


def _sets(tables: Mapping) -> Iterator[Finding]:
    for name, row in tables["v2"]["natural"].items():
        area = row["epistemic"]["auroc"]
        verdict = (
            "does not stand out"
            if area["low"] <= 0.5 <= area["high"]
            else "looks more familiar than the test faces"
            if area["high"] < 0.5
            else "stands out"
        )
        tone = "good" if area["low"] >= 0.6 else "note"
        yield Finding(
            tone,
            f"The set {name.replace('_', ' ')} ({row['faces']} pictures) {verdict} by epistemic uncertainty "
            f"(AUROC {_span(area)}).",
        )
    distance = tables["distance"]
    alike = [name for name, row in distance["sets"].items() if row["p_value"] > 0.05]
    if alike:
        yield Finding(
            "note",
            f"In the space of {distance['space'].replace('_', ' ')} these sets cannot be told from clean faces "
            f"(MMD, 5 % level): {', '.join(alike)}.",
        )
