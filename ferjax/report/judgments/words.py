"""What a comparison of judges with people says, in sentences that change with the numbers."""

import math
from collections.abc import Iterator, Mapping

from ferjax.evaluation.intervals import Interval
from ferjax.evaluation.judgments.results import Comparison, JudgeRow
from ferjax.evaluation.judgments.rows import MEAN
from ferjax.report.conclusions import Conclusion

__all__ = ["conclude", "people"]

MANY = 100.0
"""Beyond so many people the panel cannot tell how many."""


def people(worth: Interval) -> str:
    """People-equivalents in words.

    >>> people(Interval(1.42, 1.2, 1.7)), people(Interval(math.inf, 40.0, math.inf))
    ('1.4 people (1.2 – 1.7)', 'more people than these ratings can tell (at least 40)')
    >>> people(Interval(1.0, 0.9, 1.1))
    '1.0 person (0.9 – 1.1)'
    """
    if not worth.value < MANY:
        return f"more people than these ratings can tell (at least {_number(worth.low)})"
    one = "person" if f"{worth.value:.1f}" == "1.0" else "people"
    high = "any number" if not worth.high < MANY else _number(worth.high)
    return f"{_number(worth.value)} {one} ({_number(worth.low)} – {high})"


def _number(value: float) -> str:
    if not value < MANY:
        return "100"
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def _share(figure: Interval) -> str:
    return f"{figure.value:.2f} ({figure.low:.2f} – {figure.high:.2f})"


def conclude(c: Comparison) -> list[Conclusion]:
    """All findings, the most important first."""
    parts = (
        *(
            _too_good,
            _best,
            _unparsed,
            _pooling,
            _temperatures,
            _noise,
            _entropy,
            _jury,
            _shift,
            _stand_in,
        ),
        *(_dimensions, _strata, _transparency),
    )
    return [conclusion for part in parts for conclusion in part(c)]


def _too_good(c: Comparison) -> Iterator[Conclusion]:
    seen = [name for name, row in c.judges.items() if row.gap.high < 0]
    if seen:
        yield Conclusion(
            "bad",
            f"{_listed(seen)}: closer to these ratings than the truth itself can be. The judge has "
            "seen them, or the ratings were made from it; nothing below can be trusted.",
        )


def _scored(rows: Mapping[str, JudgeRow]) -> dict[str, JudgeRow]:
    return {name: row for name, row in rows.items() if row.skill.defined}


def _best(c: Comparison) -> Iterator[Conclusion]:
    rows = _scored(c.judges)
    if not rows:
        yield Conclusion("bad", "No judge has two answers to a text that two people rated.")
        return
    name, row = max(rows.items(), key=lambda pair: pair[1].skill.value)
    mean = c.rivals[MEAN]
    texts = f"On these {row.items:,} texts"
    only = "the judge" if len(rows) == 1 else "the best judge"
    if row.skill.low > 0:
        yield Conclusion(
            "good",
            f"{texts} {only}, {name}, is worth {people(row.people)}: so many raters' mean is as "
            f"close to what everybody would say. It closes {_share(row.skill)} of the gap that "
            "people's mean distribution leaves.",
        )
    else:
        worse = "is worse than" if row.skill.high < 0 else "is not shown to be better than"
        yield Conclusion(
            "bad",
            f"{texts} {only}, {name}, {worse} giving every text the mean of all others: skill "
            f"{_share(row.skill)}. It is worth {people(row.people)}; the mean is worth "
            f"{people(mean.people)}.",
        )
    below = [n for n, r in rows.items() if r.skill.high < 0 and n != name]
    if below:
        yield Conclusion(
            "bad",
            f"{len(below)} of {len(rows)} judges are worse than people's mean distribution, which "
            f"knows nothing of the text: {_listed(below)}.",
        )


def _listed(names: list[str], most: int = 4) -> str:
    shown = "; ".join(names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def _unparsed(c: Comparison) -> Iterator[Conclusion]:
    bad = {n: r.unparsed for n, r in c.judges.items() if r.unparsed > 0.02}
    if bad:
        worst = max(bad, key=bad.__getitem__)
        yield Conclusion(
            "bad",
            f"{len(bad)} judges gave answers that name nothing valid, {worst} "
            f"{100 * bad[worst]:.0f} % of them. They are left out, not counted as any class; what "
            "is left may not be like what is missing.",
        )


def _pooling(c: Comparison) -> Iterator[Conclusion]:
    for pool, row in c.pools.items():
        inside = [d for d in c.differences if d.first == pool and d.second in c.judges]
        if not inside or not row.skill.defined:
            continue
        best = max(inside, key=lambda d: c.judges[d.second].skill.value)
        number = _count(row.judges)
        what = "settings" if pool.endswith(", pooled") else "judges"
        alone = c.judges[best.second]
        if best.skill.low > 0:
            yield Conclusion(
                "good",
                f"{number} {what} pooled ({pool}) are worth {people(row.people)}, more than the "
                f"best of them alone, {best.second} ({people(alone.people)}).",
            )
        else:
            yield Conclusion(
                "note",
                f"{number} {what} pooled ({pool}) are worth no more than one: {people(row.people)} "
                f"against {people(alone.people)} of {best.second} alone.",
            )


def _count(number: int) -> str:
    words = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")
    return words[number] if number < len(words) else str(number)


def _temperatures(c: Comparison) -> Iterator[Conclusion]:
    """Where the plug-in divergence and the unbiased gap prefer different settings."""
    rows = {n: r for n, r in _scored(c.judges).items() if r.jsd is not None}
    if len(rows) < 2:
        return
    by_jsd = min(rows, key=lambda n: rows[n].jsd.value)  # type: ignore[union-attr]
    by_gap = min(rows, key=lambda n: rows[n].gap.value)
    if by_jsd != by_gap:
        yield Conclusion(
            "note",
            f"Plug-in Jensen-Shannon divergence would pick {by_jsd}; the unbiased gap picks "
            f"{by_gap}. Against few raters the first rewards a judge for being sure.",
        )


def _noise(c: Comparison) -> Iterator[Conclusion]:
    rows = {n: r for n, r in c.judges.items() if r.jsd is not None and r.jsd_floor is not None}
    if not rows:
        return
    name, row = min(rows.items(), key=lambda pair: pair[1].jsd.value)  # type: ignore[union-attr]
    assert row.jsd is not None and row.jsd_floor is not None
    share = row.jsd_floor / row.jsd.value if row.jsd.value else math.nan
    yield Conclusion(
        "note",
        f"A judge that is right would have a Jensen-Shannon divergence of {row.jsd_floor:.2f} bits "
        f"here, from few raters and few samples alone; the lowest is {row.jsd.value:.2f} ({name}), "
        f"of which {100 * min(share, 1):.0f} % is that floor.",
    )


def _entropy(c: Comparison) -> Iterator[Conclusion]:
    rows = {n: r for n, r in c.judges.items() if r.entropy_correlation is not None}
    if not rows:
        return
    name, row = max(rows.items(), key=lambda pair: pair[1].entropy_correlation.value)  # type: ignore[union-attr]
    found = row.entropy_correlation
    assert found is not None
    if row.entropy_if_right is not None:
        right = row.entropy_if_right
        yield Conclusion(
            "good" if found.low > 0.5 * right else "bad",
            f"Its entropy follows people's with ρ {_share(found)} at best ({name}); a judge "
            f"that is right would reach {right:.2f} with as many answers, not 1.",
        )


def _jury(c: Comparison) -> Iterator[Conclusion]:
    if c.jury is None:
        return
    j = c.jury
    part = 100 * j.between.value / j.total.value if j.total.value else math.nan
    yield Conclusion(
        "note",
        f"Of the jury's uncertainty {part:.0f} % lies between its {len(j.models)} models, the rest "
        f"within them. Without correction for few samples it would be "
        f"{100 * j.plug_in / j.total.value:.0f} %.",
    )
    if j.entropy_plug_in is not None and j.entropy_null is not None:
        yield Conclusion(
            "note",
            f"In nats the plug-in form shows {j.entropy_plug_in:.2f} between models; identical "
            f"models would show {j.entropy_null:.2f} with as few samples.",
        )
    if j.between_disagreement.low > 0:
        yield Conclusion(
            "note",
            "Texts that divide the models divide people too: ρ of the between-model part and "
            f"people's spread {_share(j.between_disagreement)}.",
        )


def _shift(c: Comparison) -> Iterator[Conclusion]:
    for name, row in c.shift.items():
        if row.between.defined:
            seen = row.between.low > 0.5
            yield Conclusion(
                "good" if seen else "bad",
                f"Models {'' if seen else 'are not shown to '}disagree more about {name} than "
                f"about the texts: AUROC {_share(row.between)}.",
            )


def _stand_in(c: Comparison) -> Iterator[Conclusion]:
    rows = {n: r for n, r in c.replacement.items() if r.raters}
    if not rows:
        return
    passed = [n for n, r in rows.items() if r.winning_rate >= 0.5]
    some = next(iter(rows.values()))
    if passed:
        yield Conclusion(
            "good",
            f"The alternative annotator test (ε = {some.margin:g}) lets {len(passed)} of "
            f"{len(rows)} judges stand in for a rater: {_listed(passed)}.",
        )
    else:
        name, row = max(rows.items(), key=lambda pair: pair[1].winning_rate)
        yield Conclusion(
            "bad",
            f"The alternative annotator test (ε = {some.margin:g}) lets no judge stand in for a "
            f"rater; {name} beats {100 * row.winning_rate:.0f} % of {row.raters} raters, half are "
            "needed.",
        )


def _dimensions(c: Comparison) -> Iterator[Conclusion]:
    for name, row in c.by_dimension.items():
        best = max(row.pearson, key=lambda n: _or_low(row.pearson[n].value))
        found = row.pearson[best]
        yield Conclusion(
            "note",
            f"{name}: no predictor can correlate with the panel's mean above "
            f"{row.ceiling.value:.3f} (reliability {row.reliability.value:.3f}); the best judge, "
            f"{best}, reaches {found.value:.3f}.",
        )


def _or_low(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def _strata(c: Comparison) -> Iterator[Conclusion]:
    rows = _scored(c.judges)
    if len(c.strata) < 2 or not rows:
        return
    name = max(rows, key=lambda n: rows[n].skill.value)
    said = ", ".join(
        f"{s.gap[name].value:.3f} where {title}" for title, s in c.strata.items() if name in s.gap
    )
    yield Conclusion(
        "note", f"The gap of {name} is {said}; other raters sorted than those who score."
    )


def _transparency(c: Comparison) -> Iterator[Conclusion]:
    if c.transparency is None:
        return
    t = c.transparency
    if not t.partial.defined:
        yield Conclusion(
            "note",
            f"Transparency cannot be told from frequency and agreement over {len(t.classes)} "
            "classes: more are needed.",
        )
    elif t.partial.low > 0 and t.partial_permutation < 0.05:
        yield Conclusion(
            "good",
            f"Judges follow people better on classes that texts say in words: "
            f"ρ {_share(t.partial)} given how frequent a class is and how well people agree on it "
            f"(permutation p {t.partial_permutation:.3f}).",
        )
    else:
        yield Conclusion(
            "note",
            "Transparency of classes explains nothing that is left once their frequency and "
            f"people's own agreement are known: ρ {_share(t.partial)}, permutation p "
            f"{t.partial_permutation:.2f} (before that {_share(t.spearman)}).",
        )
