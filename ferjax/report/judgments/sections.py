"""The sections of the report of judges, in the order of the argument."""

from collections.abc import Mapping
from typing import Any

from ferjax.evaluation.judgments.results import Comparison, Item
from ferjax.report import html
from ferjax.report.html import Section
from ferjax.report.judgments import worth
from ferjax.report.judgments.worth import people, ranked

__all__ = ["build"]


def build(c: Comparison, figures: Mapping[str, str], about: Mapping[str, Any]) -> list[Section]:
    """All sections that the comparison has something for."""
    found = [worth.section(c, figures), _paper(c, figures), _panel(c)]
    if c.by_class:
        found.append(_classes(c, figures))
    if c.by_dimension:
        found.append(_dimensions(c))
    if c.strata:
        found.append(_strata(c))
    if c.jury is not None:
        found.append(_jury(c))
    if c.shift:
        found.append(_shift(c))
    if c.replacement:
        found.append(_stand_in(c))
    if c.transparency is not None:
        found.append(_transparency(c, figures))
    return [*found, _how(c, about)]


def _paper(c: Comparison, figures: Mapping[str, str]) -> Section:
    rows = ranked(c)
    if all(r.jsd is None for r in rows.values()):
        return html.section(
            "plug-in", "Plug-in figures", html.paragraph("Ratings are values: see dimensions.")
        )
    head = ["judge", "JSD, bits", "if right", "KL, bits", "ρ of entropies", "if right"]
    lines = [
        [name, r.jsd, r.jsd_floor, r.kl, r.entropy_correlation, r.entropy_if_right]
        for name, r in rows.items()
        if r.jsd is not None
    ]
    return html.section(
        "plug-in",
        "Plug-in figures, beside what the truth would score",
        html.paragraph(
            "What papers report: the Jensen-Shannon divergence (JSD) and the Kullback-Leibler "
            "divergence (KL) of shares as they were counted, and Spearman's rank correlation ρ, "
            "over texts, of the judge's and people's entropies. They take the noise of few raters "
            "for a gap. “If right” is their expectation for a judge that answers "
            "from the very distribution that people answer from, with the same numbers of "
            "ratings and answers: distributions drawn from what the panel leaves open."
        ),
        html.table(head, lines),
        html.figure(
            figures.get("floors"),
            "Jensen-Shannon divergence of every judge and its floor",
            "The red mark is what a judge that is right would show; none can be expected left of "
            "it.",
        ),
    )


def _panel(c: Comparison) -> Section:
    p = c.panel
    rows: list[list[Any]] = [
        ["texts", p.items],
        ["texts with two ratings or more", p.scored],
        ["ratings", p.ratings],
        ["raters", "not known" if p.raters is None else p.raters],
        ["ratings a text", f"{p.fewest} – {p.most}" if p.fewest < p.most else p.most],
        ["ratings apart (very unclear)", p.unclear],
        ["spread of one rating", p.spread],
    ]
    if p.entropy_ceiling is not None:
        said = "split-half ceiling of correlations with people's entropy; rough for few ratings"
        rows.append([said, p.entropy_ceiling])
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in c.notes)
    return html.section(
        "people",
        "The people",
        html.table(["", ""], rows),
        f"<ul>{notes}</ul>" if notes else "",
    )


def _classes(c: Comparison, figures: Mapping[str, str]) -> Section:
    head = ["class", "rate", "agreement φ", "ceiling", "mean ρ", "share of ceiling", "best skill"]
    rows = []
    for name, r in sorted(c.by_class.items(), key=lambda pair: -pair[1].rate.value):
        best = max(r.skill.values(), key=lambda x: -9.0 if x.value != x.value else x.value)
        share = r.mean_spearman.value / r.ceiling.value if r.ceiling.value else float("nan")
        rows.append([name, r.rate, r.agreement, r.ceiling, r.mean_spearman, share, best])
    rates = [
        [name, r.rate.value, *(r.difference[judge] for judge in c.judges)]
        for name, r in c.by_class.items()
    ]
    return html.section(
        "classes",
        "Class by class",
        html.paragraph(
            "How often people choose a class (rate), how well two of them agree on it (φ, the "
            "correlation of two people's choices), and how well judges' rates follow theirs over "
            "texts (mean over judges of the rank correlation ρ), beside the highest correlation "
            "that is possible with this panel (ceiling). Best skill: that of the best judge of the "
            "class."
        ),
        html.figure(
            figures.get("classes"),
            "Correlation of rates per class and its ceiling",
            "Mean over judges; the red mark is the ceiling.",
        ),
        html.table(head, rows),
        html.details(
            "How much more often each judge names a class than people do",
            html.table(["class", "people", *c.judges], rates),
        ),
    )


def _dimensions(c: Comparison) -> Section:
    parts = []
    for name, r in c.by_dimension.items():
        head = ["judge", "r", "share of ceiling", "ρ", "MAE", "RMSE", "skill", "people", "spread"]
        rows = [
            [
                judge,
                r.pearson[judge],
                r.pearson[judge].value / r.ceiling.value,
                r.spearman[judge],
                r.mae[judge],
                r.rmse[judge],
                r.skill[judge],
                people(r.people[judge]),
                r.judge_spread[judge],
            ]
            for judge in c.judges
        ]
        parts += [
            f"<h3>{html.escape(name)}</h3>",
            html.paragraph(
                f"Reliability of the panel's mean {r.reliability.value:.3f}: no predictor can "
                f"correlate with it above {r.ceiling.value:.3f}. People's mean spread within a "
                f"text is {r.spread.value:.2f}; its reliability from text to text is "
                f"{r.spread_reliability:.2f}, so spreads can hardly be compared text by text."
            ),
            html.table(head, rows),
        ]
    return html.section("dimensions", "Dimension by dimension", *parts)


def _strata(c: Comparison) -> Section:
    head = ["judge", *(f"{title} ({s.items:,} texts)" for title, s in c.strata.items())]
    rows = [
        [name, *(s.gap.get(name) for s in c.strata.values())]
        for name in ranked(c)
        if any(name in s.gap for s in c.strata.values())
    ]
    return html.section(
        "strata",
        "Where people agree, and where they do not",
        html.paragraph(
            "Two of each text's raters, drawn at random, sort it; the others score, so that the "
            "strata are not made of the votes that they are scored by. Unbiased gap in each."
        ),
        html.table(head, rows),
    )


def _jury(c: Comparison) -> Section:
    j = c.jury
    assert j is not None
    rows: list[list[Any]] = [
        ["total", j.total],
        ["within models: what each finds ambiguous (aleatoric)", j.within],
        ["between settings of a model", j.settings],
        ["between models: what they disagree about (epistemic)", j.between],
        ["the same, plug-in (not corrected for few samples)", j.plug_in],
        ["what plug-in shows where all models are one (null)", j.null],
        ["between models in nats, plug-in", j.entropy_plug_in],
        ["in nats where all models are one (null)", j.entropy_null],
        ["ρ of the jury's spread with people's", j.disagreement],
        ["ρ of the between-model part with people's spread", j.between_disagreement],
    ]
    return html.section(
        "jury",
        "The judges as a jury",
        html.paragraph(
            f"Models as members of an ensemble: {', '.join(j.models)}. The variance of an answer, "
            "summed over classes or steps of the scale, and its parts, which add up and are free "
            "of the noise of few answers. Plug-in figures are not: their null is what they show "
            "where all models are one."
        ),
        html.table(["", ""], [row for row in rows if row[1] is not None]),
        html.details("Texts that divide the models", _texts(j.divides_models)),
        html.details("Texts that divide people", _texts(j.divides_people)),
    )


def _texts(items: tuple[Item, ...]) -> str:
    rows = [[i.text or i.id, i.value, i.people, i.judges] for i in items]
    return html.table(["text", "variance", "people", "models"], rows)


def _shift(c: Comparison) -> Section:
    rows = [
        [name, r.items, f"{100 * r.unparsed:.1f} %", r.between, r.within]
        for name, r in c.shift.items()
    ]
    head = ["items", "how many", "unparsed", "AUROC, between models", "AUROC, within a model"]
    return html.section(
        "shift",
        "Items unlike the texts",
        html.paragraph(
            "The chance that a shifted item has more of it than a text: 0.5 sees no difference. "
            "What models disagree about should rise where none of them knows the answer."
        ),
        html.table(head, rows),
    )


def _stand_in(c: Comparison) -> Section:
    head = [
        "judge",
        "raters tested",
        "winning rate",
        "advantage",
        "winning rate, whole",
        "advantage",
    ]
    rows = [
        [n, r.raters, r.winning_rate, r.advantage, r.distribution_winning_rate,
         r.distribution_advantage]
        for n, r in c.replacement.items()
    ]  # fmt: skip
    margin = next(iter(c.replacement.values())).margin
    return html.section(
        "stand-in",
        "May a judge stand in for one of the people?",
        html.paragraph(
            "The alternative annotator test: each rater is left out in turn; is the judge at "
            f"least as close to the other raters as that rater is, up to ε = {margin:g}? The "
            "winning rate is the share of raters beaten with the false discovery rate kept "
            "(Benjamini-Yekutieli); half or more passes. First by the judge's most frequent "
            "answer, then by its whole distribution, which has an advantage: a mean is closer to "
            "others than one answer."
        ),
        html.table(head, rows),
    )


def _transparency(c: Comparison, figures: Mapping[str, str]) -> Section:
    t = c.transparency
    assert t is not None
    head = ["class", "transparency", "words", "similarity", "ρ", "share of ceiling", "rate", "φ"]
    rows = [
        [name, r.score, r.lexical, r.similarity, r.correlation, r.share_of_ceiling, r.frequency,
         r.agreement]
        for name, r in sorted(t.classes.items(), key=lambda pair: -pair[1].score)
    ]  # fmt: skip
    summary = [
        ["with judges' correlation", t.spearman, None],
        ["with its share of the ceiling", t.corrected, t.permutation],
        ["the same, given frequency and agreement", t.partial, t.partial_permutation],
    ]
    return html.section(
        "transparency",
        "Do judges follow people better where texts say it in words?",
        html.paragraph(
            f"A class is scored on one half of the texts, with {t.words} words of the lexicon as "
            "whole words, and held against people on the other half, both ways. Rank correlation "
            "over classes; intervals from resampling texts, p-values from permuting classes."
        ),
        html.table(["transparency", "ρ", "permutation p"], summary),
        html.figure(figures.get("transparency"), "Transparency of classes against correlation"),
        html.table(head, rows),
    )


def _how(c: Comparison, about: Mapping[str, Any]) -> Section:
    versions = ", ".join(f"{name} {number}" for name, number in about.get("versions", {}).items())
    files = about.get("files_read", ())
    lines = [
        f"{c.resamples:,} bootstrap resamples of the texts, copies of a text together; seed "
        f"{c.seed}; one set of weights for all figures, so that differences are paired.",
        f"Made with {versions}." if versions else "",
        f"Read: {', '.join(files)}." if files else "",
        f"Command: {about['command']}" if about.get("command") else "",
    ]
    return html.section("how", "How it was made", *(html.paragraph(x) for x in lines if x))
