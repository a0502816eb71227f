"""The sections of the report, in the order of the argument: one file each, read top to bottom."""

from collections.abc import Mapping, Sequence
from typing import Any

from ferjax.evaluation.intervals import Interval
from ferjax.evaluation.results import Evaluation
from ferjax.report import html
from ferjax.report.answer import answer
from ferjax.report.conclusions import Conclusion
from ferjax.report.examples import ExampleGroup
from ferjax.report.html import Section
from ferjax.report.sections import about as about_section
from ferjax.report.sections import (
    disagreement,
    harm,
    members,
    quality,
    recalibration,
    routing,
    shift,
)

__all__ = ["build", "top"]


def build(
    e: Evaluation,
    figures: Mapping[str, str],
    about: Mapping[str, Any],
) -> list[Section]:
    """All sections.

    Args:
      e: what was found.
      figures: name -> ``data:`` address, of those that could be drawn.
      about: ``data``, ``files``, ``config``, ``versions``, ``seed``, ``command``, what is known.
    """
    return [
        disagreement.disagreement(e, figures),
        shift.shift(e, figures),
        shift.both_questions(e, figures),
        routing.routing(e, figures),
        *harm.harm(e),
        quality.quality(e, figures),
        quality.selective(e, figures),
        recalibration.recalibration(e),
        members.members(e, figures),
        *about_section.paper(e, about),
        about_section.data(e, about),
        about_section.how(about),
    ]


def top(
    e: Evaluation,
    conclusions: Sequence[Conclusion],
    examples: Sequence[ExampleGroup],
    figures: Mapping[str, str],
) -> str:
    """The answer in plain words, the faces, the plane of decisions, the findings, and the headline
    numbers."""
    lines = "".join(
        f"<div><dt>{html.escape(of.topic)}</dt><dd><b>{html.escape(of.text)}</b>"
        f"<span>{html.escape(of.meaning)}</span></dd></div>"
        for of in answer(e)
    )
    words = {"good": "good", "bad": "caution", "note": "note"}
    items = "".join(
        f"<li class={c.tone}><b>{words[c.tone]}</b>{html.escape(c.text)}</li>" for c in conclusions
    )
    return (
        f"<dl class=answer>{lines}</dl>{about_section.faces(examples)}"
        f"{routing.plane(e, figures)}<h2>Findings</h2><ul class=findings>{items}</ul>"
        f"<div class=cards>{_cards(e)}</div>"
    )


def _cards(e: Evaluation) -> str:
    q = e.quality
    cards = [
        _card(
            "accuracy of the ensemble",
            q.accuracy,
            f"members {min(q.member_accuracy):.3f} – {max(q.member_accuracy):.3f}",
        ),
        _card(
            "ρ of aleatoric with human disagreement",
            e.disagreement.scores["aleatoric"].spearman,
            f"ceiling {html.cell(e.disagreement.ceiling.value, 2)}",
        ),
    ]
    if e.shift.severity is not None:
        title = f"AUROC of epistemic, severity {e.shift.severity}"
        cards.append(_card(title, e.shift.at_worst("epistemic"), "0.5: sees no shift"))
    title = "rank correlation of the two uncertainties"
    cards.append(_card(title, e.disagreement.rank_correlation, "0: separate signals"))
    if "epistemic" in e.matched:
        area = e.matched["epistemic"].auc
        cards.append(_card("routing area of epistemic", area, "random router 0.500"))
    return "".join(cards)


def _card(title: str, figure: Interval, beside: str) -> str:
    interval = f"{figure.low:.3f} – {figure.high:.3f} · " if figure.defined else ""
    return (
        f"<div class=card><span>{html.escape(title)}</span><b>{html.cell(figure.value)}</b>"
        f"<i>{interval}{html.escape(beside)}</i></div>"
    )
