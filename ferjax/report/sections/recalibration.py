"""Concentrations and calibrators in the report: what was fitted, and what it gains."""

from ferjax.evaluation.results import ConcentrationFit, Evaluation
from ferjax.evaluation.vote_quality import FIGURES
from ferjax.report import html
from ferjax.report.html import Section

__all__ = ["concentration_words", "recalibration"]


def concentration_words(fit: ConcentrationFit) -> str:
    """Where the members' concentrations come from, in a sentence."""
    if fit.source == "predictions":
        return (
            "The members predict Dirichlet distributions: aleatoric is the entropy these expect, "
            "epistemic what is within and between members."
        )
    if fit.source == "none":
        return (
            "Aleatoric and epistemic are the paper's: mean entropy of the members, and their "
            f"divergence from their mixture. With two votes or more on 50 valid items ({fit.items} "
            "here) each member gets a concentration, which tells what people disagree about from "
            "what the member cannot tell."
        )
    return (
        f"Each member has a concentration, fitted to the votes of {fit.items:,} {fit.source} items "
        f"(cross-fitted in {fit.folds} folds where these items are scored); predictions stay as "
        "they are. Aleatoric is the entropy that the resulting Dirichlet distributions expect, "
        "epistemic what is within and between members; the paper's two are rows of their own."
    )


def recalibration(e: Evaluation) -> Section:
    """Every calibrator's figures, and how much they are above the ensemble's."""
    of = e.recalibrated
    head = ["predictions", *FIGURES.values(), "T"]
    rows = []
    for name, row in of.rows.items():
        rows.append([name, *(row.figures[f] for f in FIGURES), row.temperature])
    differences = [
        [name, *(row.minus[f] for f in FIGURES)] for name, row in of.rows.items() if row.minus
    ]
    held_out = (
        "Fitted on the valid items and read on the test items."
        if of.source == "valid"
        else "Cross-fitted on the test items: no item is read by what was fitted on it."
    )
    parts = [
        html.paragraph(concentration_words(e.concentration)),
        html.paragraph(
            f"{held_out} T: one temperature for all members, fitted to the most voted labels or to "
            "the votes; the other maps take the pooled prediction. Worth so many people: so many "
            "votes predict the remaining votes of an item as well."
        ),
        html.table(head, rows, main=("as it is",)),
    ]
    if differences:
        inner = html.table(["minus as it is", *FIGURES.values()], differences, digits=4)
        parts.append(html.details("Differences on the same items", inner))
    return html.section("recalibration", "What recalibration would gain", *parts)
