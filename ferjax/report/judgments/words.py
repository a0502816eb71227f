"""What a comparison of judges with people says, in sentences that change with the numbers."""

import math
from collections.abc import Iterator, Mapping

from ferjax.evaluation.intervals import Interval
from ferjax.evaluation.judgments.results import Comparison, JudgeRow
from ferjax.evaluation.judgments.rows import ALL, MEAN
from ferjax.report.findings import Conclusion
from ferjax.report.words import percent

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


def _share(figure: Interval, decimals: int = 2) -> str:
    value, low, high = (f"{x:.{decimals}f}" for x in (figure.value, figure.low, figure.high))
    return f"{value} ({low} – {high})".replace("-", "−")


def conclude(c: Comparison) -> list[Conclusion]:
    """All findings, the most important first; each begins with the winner and its number."""
    parts = (
        _too_good,
        _best,
        _unparsed,
        _pooling,
        _tokens,
        _temperatures,
        _floor,
        _entropy,
        _jury,
        _shift,
        _stand_in,
        _dimensions,
        _strata,
        _transparency,
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
    mean = people(c.rivals[MEAN].people)
    texts = f"On these {row.items:,} texts"
    one = len(rows) == 1
    below = [n for n, r in rows.items() if r.skill.high < 0]
    if row.skill.high < 0:
        beaten = "the judge" if one else f"any of the {len(rows)} judges; the best of them"
        yield Conclusion(
            "bad",
            f"{texts} people's mean distribution, which knows nothing of the text, is worth "
            f"{mean}, more than {beaten}, {name}, which is worth {people(row.people)}: skill "
            f"{_share(row.skill)}.",
        )
        return
    best = "the judge" if one else "the best judge"
    if row.skill.low > 0:
        yield Conclusion(
            "good",
            f"{texts} {best}, {name}, is worth {people(row.people)}: so many raters' mean is as "
            f"close to what everybody would say. It closes {_share(row.skill)} of the gap that "
            "people's mean distribution leaves.",
        )
    else:
        yield Conclusion(
            "bad",
            f"{texts} {best}, {name}, is worth {people(row.people)}, which is not shown to be more "
            f"than people's mean distribution, worth {mean}: skill {_share(row.skill)}.",
        )
    if below:
        worse = _listed([f"{n} ({_number(rows[n].people.value)})" for n in below])
        yield Conclusion(
            "bad",
            f"People's mean distribution, which knows nothing of the text, is worth {mean}, more "
            f"than {len(below)} of the {len(rows)} judges: {worse}.",
        )


def _listed(names: list[str], most: int = 4) -> str:
    shown = "; ".join(names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def _unparsed(c: Comparison) -> Iterator[Conclusion]:
    bad = {n: r.unparsed for n, r in c.judges.items() if r.unparsed > 0.02}
    if bad:
        worst = max(bad, key=bad.__getitem__)
        others = len(bad) - 1
        also = f", and more than 2 % of those of {others} other{'s' * (others > 1)}"
        yield Conclusion(
            "bad",
            f"{percent(bad[worst])} of the answers of {worst} name nothing valid"
            f"{also if others else ''}. They are left out, not counted as any class; what is left "
            "may not be like what is missing.",
        )


def _pooling(c: Comparison) -> Iterator[Conclusion]:
    for pool, row in c.pools.items():
        inside = [d for d in c.differences if d.first == pool and d.second in c.judges]
        if not inside or not row.skill.defined:
            continue
        best = max(inside, key=lambda d: c.judges[d.second].skill.value)
        number = _count(row.judges)
        model = pool.removesuffix(", pooled")
        pooled = f"{number} settings of {model} pooled"
        if pool == ALL:
            pooled = f"all {number} judges pooled"
        alone = c.judges[best.second]
        if best.skill.low > 0:
            yield Conclusion(
                "good",
                f"{pooled[0].upper()}{pooled[1:]} are worth {people(row.people)}, more than the "
                f"best of them alone, {best.second} ({people(alone.people)}).",
            )
        else:
            yield Conclusion(
                "note",
                f"{best.second} alone is worth {people(alone.people)}; {pooled} are worth no more: "
                f"{people(row.people)}.",
            )


def _count(number: int) -> str:
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    return words[number] if number < len(words) else str(number)


def _tokens(c: Comparison) -> Iterator[Conclusion]:
    """Which answers are worth their tokens; nothing where the first two are tied."""
    rows = {n: r.per_1000_tokens for n, r in c.judges.items() if r.per_1000_tokens is not None}
    rows = {n: worth for n, worth in rows.items() if worth.defined}
    if len(rows) < 2:
        return
    first, second = sorted(rows, key=lambda n: -rows[n].value)[:2]
    if rows[first].low > rows[second].high:
        yield Conclusion(
            "note",
            f"{first} is worth {people(rows[first])} for every 1,000 tokens of prompts and answers "
            f"that a text takes, more than any other; {second} is worth {people(rows[second])}.",
        )


def _temperatures(c: Comparison) -> Iterator[Conclusion]:
    """Where the plug-in divergence and the unbiased gap prefer different settings."""
    rows = {n: r for n, r in _scored(c.judges).items() if r.jsd is not None}
    if len(rows) < 2:
        return
    by_jsd = min(rows, key=lambda n: rows[n].jsd.value)  # type: ignore[union-attr]
    by_gap = min(rows, key=lambda n: rows[n].gap.value)
    between = [d for d in c.differences if {d.first, d.second} == {by_jsd, by_gap}]
    tied = any(d.gap.low <= 0 <= d.gap.high for d in between)
    if by_jsd != by_gap and not tied:
        yield Conclusion(
            "note",
            f"{by_gap} has the smallest gap, {_share(rows[by_gap].gap, 3)}; plug-in Jensen-Shannon "
            f"divergence would pick {by_jsd}, whose gap is {_share(rows[by_jsd].gap, 3)}. Against "
            "few raters it rewards a judge for being sure.",
        )


def _floor(c: Comparison) -> Iterator[Conclusion]:
    rows = {n: r for n, r in c.judges.items() if r.jsd is not None and r.jsd_floor is not None}
    if not rows:
        return
    name, row = min(rows.items(), key=lambda pair: pair[1].jsd.value)  # type: ignore[union-attr]
    assert row.jsd is not None and row.jsd_floor is not None
    yield Conclusion(
        "note",
        f"{name} has {'the' if len(rows) == 1 else 'the lowest'} Jensen-Shannon divergence, "
        f"{row.jsd.value:.2f} bits. A judge that is right would show {row.jsd_floor:.2f} bits, not "
        "0, from few raters and few answers alone.",
    )


def _entropy(c: Comparison) -> Iterator[Conclusion]:
    rows = {n: r for n, r in c.judges.items() if r.entropy_correlation is not None}
    rows = {n: r for n, r in rows.items() if r.entropy_correlation.defined}  # type: ignore[union-attr]
    if not rows:
        return
    name, row = max(rows.items(), key=lambda pair: pair[1].entropy_correlation.value)  # type: ignore[union-attr]
    found = row.entropy_correlation
    assert found is not None
    if row.entropy_if_right is not None:
        right = row.entropy_if_right
        yield Conclusion(
            "good" if found.low > 0.5 * right else "bad",
            f"The entropy of {name} follows people's {'' if len(rows) == 1 else 'best, '}with a "
            f"rank correlation of {_share(found)}; a judge that is right would reach {right:.2f} "
            "with as many answers, not 1.",
        )


def _jury(c: Comparison) -> Iterator[Conclusion]:
    if c.jury is None or not c.jury.total.value > 0:
        return
    j = c.jury
    yield Conclusion(
        "note",
        f"{percent(max(j.between.value, 0) / j.total.value)} of the jury's uncertainty lies "
        f"between its {len(j.models)} models, the rest within them. Without correction for few "
        f"answers it would be {percent(j.plug_in / j.total.value)}.",
    )
    if j.entropy_plug_in is not None and j.entropy_null is not None:
        yield Conclusion(
            "note",
            f"{j.entropy_plug_in:.2f} nats lie between models in the plug-in form; identical "
            f"models would show {j.entropy_null:.2f} with as few answers.",
        )
    if j.between_disagreement.low > 0:
        yield Conclusion(
            "note",
            "Texts that divide the models divide people too: rank correlation of the between-model "
            f"part with people's spread {_share(j.between_disagreement)}.",
        )


def _shift(c: Comparison) -> Iterator[Conclusion]:
    for name, row in c.shift.items():
        if row.between.defined:
            seen = row.between.low > 0.5
            yield Conclusion(
                "good" if seen else "bad",
                f"Models {'' if seen else 'are not shown to '}disagree more about {name} than "
                f"about the texts: AUROC {_share(row.between)}, where 0.5 is a coin.",
            )


def _stand_in(c: Comparison) -> Iterator[Conclusion]:
    rows = {n: r for n, r in c.replacement.items() if r.raters}
    if not rows:
        return
    name, row = max(rows.items(), key=lambda pair: (pair[1].winning_rate, pair[1].advantage))
    others = [n for n, r in rows.items() if r.winning_rate >= 0.5 and n != name]
    beats = (
        f"{name} beats {percent(row.winning_rate)} of {row.raters} raters in the alternative "
        f"annotator test (ε = {row.margin:g})"
    )
    if row.winning_rate < 0.5:
        most = "" if len(rows) == 1 else f", more than the other {len(rows) - 1} judges"
        yield Conclusion("bad", f"{beats}{most}; to stand in for a rater it would need half.")
    else:
        also = f", and so may {_listed(others)}" if others else ""
        yield Conclusion("good", f"{beats}; half are needed, so it may stand in for one{also}.")


def _dimensions(c: Comparison) -> Iterator[Conclusion]:
    for name, row in c.by_dimension.items():
        best = max(row.pearson, key=lambda n: _or_low(row.pearson[n].value))
        found = row.pearson[best]
        yield Conclusion(
            "note",
            f"{name}: {best} correlates {'best ' if len(row.pearson) > 1 else ''}with the panel's "
            f"mean, r {found.value:.3f}; no predictor can be above {row.ceiling.value:.3f} "
            f"(reliability {row.reliability.value:.3f}).",
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
