"""What the judges are worth: the first section of the report of judges."""

import math
from collections.abc import Mapping
from typing import Any

from ferjax.evaluation.intervals import Interval
from ferjax.evaluation.judgments.results import Comparison, JudgeRow
from ferjax.report import html
from ferjax.report.html import Section

__all__ = ["people", "ranked", "section"]


def section(c: Comparison, figures: Mapping[str, str]) -> Section:
    """The table of judges, their picture, whose noise it is, and paired differences."""
    score = "CRPS" if c.by_dimension else "Brier score"
    head = ["judge", "people", "skill", "gap", score, "gap as used", "answers", "unparsed", "texts"]
    if not c.by_dimension:
        head.insert(5, "cross-entropy")
    split = any(r.split_skill is not None for r in c.judges.values())
    head += ["skill, votes split"] if split else []
    priced = any(r.per_1000_tokens is not None for r in c.judges.values())
    head += ["tokens a text", "people per 1,000 tokens"] if priced else []
    rows = []
    for name, r in ranked(c).items():
        cells: list[Any] = [name, people(r.people), r.skill, r.gap, r.score]
        cells += [] if c.by_dimension else [r.cross_entropy]
        answers = "known" if r.answers == float("inf") else f"{r.answers:.1f}"
        rows.append([*cells, r.as_used, answers, f"{100 * r.unparsed:.1f} %", r.items])
        rows[-1] += [r.split_skill] if split else []
        tokens = None if r.tokens is None else round(r.tokens)
        price = None if r.per_1000_tokens is None else people(r.per_1000_tokens)
        rows[-1] += [tokens, price] if priced else []
    terms = (
        "The CRPS is the squared distance of the judge's distribution from a single rating, over "
        "the steps of the scale."
        if c.by_dimension
        else "The Brier score is the squared distance from a single rating, cross-entropy the nats "
        "that a rating is unlikely by: both are lower for better judges, and never 0 where people "
        "disagree."
    )
    explained = (
        " People per 1,000 tokens are those that the answers at hand are worth (gap as used), over "
        "the thousands of tokens, of prompts and answers, that they took."
        if priced
        else ""
    )
    parts = [
        html.paragraph(
            "A judge is worth as many people as have a mean that is as close to what everybody "
            "would say. The gap is the squared distance of the judge's distribution from people's, "
            "unbiased whatever the number of raters and of answers: 0 for a judge that is right, "
            "and in one text it may be negative. Skill 1 is the truth, 0 the mean of all other "
            f"texts. {terms} “As used” adds the noise of the few answers that were asked for; "
            "unparsed answers name nothing valid. Small print: 95 % intervals."
            f"{explained}"
        ),
        html.table(head, rows, main=tuple(c.pools)),
        html.figure(
            figures.get("people"),
            "People-equivalents of every judge with intervals",
            "Worth in people; an arrow is more than the ratings can tell, the dotted line is one "
            "person.",
        ),
    ]
    sourced = {n: r.by_source for n, r in c.judges.items() if r.by_source}
    if sourced:
        names = list(next(iter(sourced.values())))
        lines = [
            [judge, figure.replace("people", "people-equivalents"), *(of[s][figure] for s in names)]
            for judge, of in sourced.items()
            for figure in ("skill", "people")
        ]
        parts.append(
            html.details(
                "Whose noise is it? Intervals from texts, raters and samples, each alone",
                html.table(["judge", "figure", *names], lines),
            )
        )
    if c.differences:
        lines = [[d.first, d.second, d.skill, d.gap, d.jsd] for d in c.differences]
        parts.append(
            html.details(
                "Paired differences: first minus second on the same texts",
                html.table(["first", "second", "skill", "gap", "JSD (plug-in)"], lines),
            )
        )
    return html.section("judges", "What are the judges worth?", *parts)


def ranked(c: Comparison) -> dict[str, JudgeRow]:
    """The judges, the best first, then pools and rivals."""

    def skill(name: str) -> float:
        value = c.judges[name].skill.value
        return -math.inf if math.isnan(value) else value

    judges = {name: c.judges[name] for name in sorted(c.judges, key=skill, reverse=True)}
    return {**judges, **c.pools, **c.rivals}


def people(figure: Interval) -> Any:
    """People-equivalents with one decimal; infinite ones as words."""
    if figure.value == math.inf:
        return f"> {min(figure.low, 100):.0f}"
    return html.Rounded(figure, 1 if figure.value >= 1 else 2)
