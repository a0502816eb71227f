"""How good the predictions are, and what selective prediction gains, in the report."""

import math
from collections.abc import Mapping

from ferjax.evaluation.results import ClassPriors, Evaluation
from ferjax.evaluation.scores import label
from ferjax.report import html
from ferjax.report.html import Section
from ferjax.report.words import percent

__all__ = ["prior_words", "quality", "selective"]

_FIGURES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy (mean recall of the classes)",
    "vote_accuracy": "share of people who agree",
    "nll": "NLL of the votes (nats)",
    "brier": "Brier score against the votes",
    "kl": "KL(votes ‖ prediction) (nats)",
    "jensen_shannon": "Jensen–Shannon divergence from the votes (nats)",
    "ece": "ECE, 15 bins of equal width",
    "ece_equal_mass": "ECE, 15 bins of equal mass",
    "l2_ece": "root mean squared calibration error, 15 bins of equal width",
    "mce": "largest gap of any of these bins (MCE)",
    "classwise_ece": "class-wise ECE, 15 bins of equal width",
    "label_nll": "NLL of the most voted label (nats)",
    "label_brier": "Brier score against the most voted label",
}


def quality(e: Evaluation, figures: Mapping[str, str]) -> Section:
    """Accuracy, likelihood and calibration, of the ensemble and of its members."""
    q = e.quality
    pairs = zip(q.member_accuracy, q.member_nll)
    members = [(f"member {k + 1}", *pair) for k, pair in enumerate(pairs)]
    return html.section(
        "quality",
        "Quality and calibration",
        html.paragraph(
            "NLL, Brier score, KL and Jensen–Shannon divergence: how far the predicted "
            "distribution is from people's votes, smaller is better. ECE: how far confidence is "
            "from being right, on average over bins of confidence. Noise adds to such errors, so "
            "that they come out too large, the more so the fewer items a bin holds; their "
            "intervals take that back, and therefore reach further down than up."
        ),
        "<div class=pair>",
        html.table(
            ("ensemble", "value"), [(title, getattr(q, n)) for n, title in _FIGURES.items()]
        ),
        html.figure(
            figures.get("reliability"),
            "Reliability diagram",
            "On the dotted line confidence is right; below it the ensemble is too sure. Dots grow "
            "with the share of items.",
        ),
        html.table(("", "accuracy", "NLL"), members),
        html.table(
            ("class", "items", "recall"),
            [(name, of.items, of.recall) for name, of in q.recall.items()],
            caption="of the items that most people gave a class, the share that is recognised",
        ),
        "</div>",
        *_priors(e),
    )


def _priors(e: Evaluation) -> list[str]:
    """Which class prior is in use, and what others would give; nothing where none is known."""
    found = e.priors
    if found is None:
        return []
    of_training = _TRAINING.get(found.known_from, "training (by file)")
    shares = [(name, found.training[name], found.used[name]) for name in found.training]
    told = [html.paragraph(prior_words(found))]
    heads = ("prior", "accuracy", "balanced accuracy", "share of people who agree", "NLL")
    rows = []
    for name, of in found.rows.items():
        shown = of_training if name == "training" else name
        shown += " (in use)" if name == found.name else ""
        rows.append((shown, of.accuracy, of.balanced_accuracy, of.vote_accuracy, of.nll))
    return [
        "<h3>Class priors</h3>",
        *told,
        "<div class=pair>",
        html.table(heads, rows, caption="the same predictions under other priors (--prior)"),
        html.table(("class", of_training, "in use"), shares),
        "</div>",
    ]


_TRAINING = {"training": "training", "valid": "votes of valid"}
"""Where the shares of training come from -> what they are called."""


def prior_words(found: ClassPriors) -> str:
    """Which prior everything was read under, in a sentence."""
    test = ""
    if not math.isnan(found.p_value):
        test = f" (label-shift test, p = {found.p_value:.2f})"
    if found.known_from == "valid":
        training = "how often the valid items' votes name each class"
        taken = (
            " How frequent each class was in training is not known; where that is needed, the "
            "votes of the valid items are taken for it. --training-prior FILE says it."
        )
    else:
        training = "the training prior"
        taken = ""
    if found.name == "training":
        if taken:
            return f"Everything here is read as the predictions are.{taken}"
        return (
            "Everything here is read under the training prior: how frequent each class is where "
            "the ensemble learnt."
        )
    if found.used == found.training:
        return (
            f"Everything here is read as the predictions are: the prior estimated on the test "
            "items, without their labels, does not demonstrably differ from "
            f"{training}{test}.{taken}"
        )
    return (
        f"Everything here, thresholds and decisions too, is read under the prior {found.name}"
        f"{test}: the members' probabilities, times its ratio to {training}.{taken}"
    )


def selective(e: Evaluation, figures: Mapping[str, str]) -> Section:
    """Accuracy of what is kept when the most uncertain items are left out."""
    scores = e.selective.scores
    coverages = list(next(iter(scores.values()))["label"].accuracy)
    head = ["leave out by", *(f"accuracy at {percent(float(c))}" for c in coverages)]
    head += ["AURC", "E-AURC", "AUGRC", "E-AUGRC", "coverage at 5 % loss"]

    def rows(kind: str) -> list[tuple]:
        found = [(name, of[kind]) for name, of in scores.items()]
        return [
            (
                label(n),
                *(r.accuracy[c] for c in coverages),
                *(r.aurc, r.excess_aurc, r.augrc, r.excess_augrc, r.coverage_at_risk),
            )
            for n, r in found
        ]

    return html.section(
        "selective",
        "Selective prediction: what leaving items out gains",
        html.paragraph(
            "Accuracy of the items kept when the most uncertain are left out. AURC: mean risk over "
            "all coverages; AUGRC: the mean share of items kept and wrong; with E: what it lies "
            "above the best possible order. Lower is better for these four. Coverage: the "
            "largest share kept with a mean loss of at most 5 %."
        ),
        html.table(head, rows("label"), caption="against the most voted label"),
        html.table(
            head,
            rows("votes"),
            caption="against people: the share of voters who chose the predicted class",
        ),
        html.table(
            ("score", "AUROC", "AUPR of errors", "AUPR of successes"),
            [
                (label(n), of.auroc, of.aupr_errors, of.aupr_successes)
                for n, of in e.selective.misclassification.items()
            ],
            caption="telling wrong predictions from right ones",
        ),
        html.figure(figures.get("selective"), "Accuracy against coverage for every score"),
    )
