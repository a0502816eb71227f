"""What an evaluation comes to, in a few plain lines: the top of a report, the end of a command."""

from collections.abc import Iterator
from typing import NamedTuple

from ferjax.evaluation.results import Evaluation
from ferjax.evaluation.scores import label
from ferjax.report.comparisons import winner
from ferjax.report.words import percent, portion
from ferjax.routing import ACTIONS, MEANINGS

__all__ = ["Answer", "answer"]


_REJECTS_BY = {
    "uar": "epistemic uncertainty",
    "paper": "what the members disagree about alone, as in the paper (arXiv 2606.22725)",
    "density": "how far an item lies from the training items",
    "error": "how much likelier it is to be wrong than it admits",
}
"""Router -> what its reject score is."""


class Answer(NamedTuple):
    """A topic, the answer in a line, and what the words of that line mean."""

    topic: str
    text: str
    meaning: str


def answer(e: Evaluation) -> list[Answer]:
    """How good, does it follow people, does it see shift, what does the router do."""
    return [*_accuracy(e), *_disagreement(e), *_shift(e), *_router(e)]


def _accuracy(e: Evaluation) -> Iterator[Answer]:
    q = e.quality
    yield Answer(
        "accuracy",
        f"right on {percent(q.accuracy.value, 1)} of {q.items:,} test items; the most frequent "
        f"class alone: {percent(q.majority_class, 1)}{_balance(e)}",
        "Right: the most probable class is the one that most people chose.",
    )


def _balance(e: Evaluation) -> str:
    """Balanced accuracy, and the class prior where it is not that of training."""
    balanced = e.quality.balanced_accuracy.value
    prior = e.priors
    same = prior is None or prior.used == prior.training
    under = "" if prior is None or same else f", under the prior {prior.name}"
    return f"; mean over classes: {percent(balanced, 1)}{under}"


def _disagreement(e: Evaluation) -> Iterator[Answer]:
    rho = e.disagreement.scores["aleatoric"].spearman
    ceiling = e.disagreement.ceiling
    if not rho.defined:
        text = "cannot be said: people, or the model, are equally sure of every item"
    elif rho.low <= 0:
        text = f"aleatoric uncertainty does not demonstrably follow people's (ρ {rho.value:.2f})"
    else:
        most = f" of at most {ceiling.value:.2f}" if ceiling.defined else ""
        text = f"aleatoric uncertainty follows people's, ρ {rho.value:.2f}{most}"
    yield Answer(
        "disagreement",
        text,
        "Aleatoric uncertainty is what the members agree to be ambiguous, where people would "
        "disagree too. ρ is a rank correlation: 1 is the same order, 0 none. Against so few votes "
        "per item no score can reach 1; the most that any can is the ceiling.",
    )


def _shift(e: Evaluation) -> Iterator[Answer]:
    severity = e.shift.severity
    if severity is None:
        return
    area = e.shift.at_worst("epistemic")
    if not e.knows_epistemic:
        text = "one member has no epistemic uncertainty"
    else:
        does = "sees" if area.low > 0.5 else "misses"
        text = (
            f"epistemic uncertainty {does} corruption at severity {severity}, AUROC "
            f"{area.value:.2f}"
        )
    minus = {n: of[severity] for n, of in e.shift.epistemic_minus.items()}
    better = [n for n in minus if winner(minus[n]) < 0]
    if better:
        best = max(better, key=lambda n: e.shift.at_worst(n).value)
        text += f"; {label(best).split(' (')[0]}: {e.shift.at_worst(best).value:.2f}"
    yield Answer(
        "shift",
        text,
        "Epistemic uncertainty is what the ensemble does not know: its members contradict each "
        "other, or each knows little of how people divide, as on what they have not seen. Shift: "
        "copies of the test items corrupted by noise, blur and the like, at a severity from 1 to "
        "5. AUROC is the chance that a corrupted item scores higher than a clean one; 0.5 is a "
        "coin.",
    )


def _router(e: Evaluation) -> Iterator[Answer]:
    if e.thresholds is None:
        return
    clean = e.decisions["test"]
    parts = []
    for action in ACTIONS:
        accuracy = clean.accuracy.get(action)
        beside = ""
        if action == "accept" and accuracy is not None and accuracy == accuracy:
            beside = f" (right on {percent(accuracy)})"
        if action == "defer":
            beside = f" ({portion(e.thresholds.defer_share)} of valid by design)"
        parts.append(f"{action}s {percent(clean.shares[action])}{beside}")
    promise = percent(e.thresholds.false_rejection)
    meanings = ". ".join(f"{action.capitalize()}: {MEANINGS[action]}" for action in ACTIONS)
    yield Answer(
        "router",
        f"{', '.join(parts)} (by {e.thresholds.default}); promised to reject at most {promise} of "
        "clean items",
        f"{meanings}. How many are deferred is a choice, no finding: the threshold is where "
        f"{portion(e.thresholds.defer_share)} of the valid items lie above it "
        "(evaluate.defer_share). All thresholds were chosen on "
        f"{e.thresholds.valid_items:,} valid items alone.",
    )
    rejected = {
        router: _mean_rejected(e, of.rule.reject) for router, of in e.thresholds.routers.items()
    }
    named = [f"{n} rejects {percent(share)}" for n, share in rejected.items() if share is not None]
    if named:
        yield Answer(
            "corrupted",
            f"of the corrupted copies the router {', '.join(named)}",
            "Over all corruptions and severities alike. What they reject by: "
            f"{'; '.join(f'{n}, {_REJECTS_BY[n]}' for n in rejected if n in _REJECTS_BY)}. Each "
            "keeps the same promise for clean items.",
        )


def _mean_rejected(e: Evaluation, score: str) -> float | None:
    """Mean share of corrupted items beyond a score's own threshold; None where there are none."""
    by_set = e.rejections.get(score, {})
    shares = [by_set[name].rejected for name in e.shift.corruptions if name in by_set]
    return sum(shares) / len(shares) if shares else None
