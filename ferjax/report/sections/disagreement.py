"""Does it follow human disagreement? A section of the report."""

from collections.abc import Mapping

from ferjax.evaluation.intervals import Interval
from ferjax.evaluation.results import Evaluation, Posterior
from ferjax.evaluation.scores import label
from ferjax.report import html
from ferjax.report.glossary import scores_in_words
from ferjax.report.html import Section

__all__ = ["disagreement"]


def disagreement(e: Evaluation, figures: Mapping[str, str]) -> Section:
    """Every score against δ, deciles of aleatoric, and how well any score could do."""
    d = e.disagreement
    head = ["score", "ρ with δ", "aleatoric is better by", "share of ceiling", "Kendall τ"]
    head += ["ρ with true entropy"] if d.truth_known else []
    head += ["AUROC ambiguous / clear"]
    rows = []
    for name, row in d.scores.items():
        cells = [label(name), row.spearman, row.aleatoric_minus, row.share_of_ceiling, row.kendall]
        cells += [row.spearman_true_entropy] if d.truth_known else []
        rows.append([*cells, row.auroc_ambiguous])
    return html.section(
        "disagreement",
        "Does it follow human disagreement?",
        html.paragraph(
            "Each score against human disagreement δ = 1 − the largest share of votes, on clean "
            "test items. Ranks are averaged over ties; small print is the 95 % interval. The "
            "differences are paired: both scores on the same resampled items. Share of ceiling: ρ "
            "over the highest that any score can be expected to reach. Kendall τ: another rank "
            "correlation, how many more pairs of items are in the same order than in the opposite. "
            "AUROC ambiguous / clear: the chance that an item of the most ambiguous third scores "
            "higher than one of the clearest third."
        ),
        "<div class=pair>",
        html.figure(
            figures.get("deciles"),
            "Mean human disagreement for each tenth of aleatoric uncertainty",
            "Mean δ of each tenth of the items, with 95 % bars. A flat line would mean no "
            "relation.",
        ),
        "<div><h3>How well could any score do?</h3>",
        *_limits(d.ceiling, d.posterior),
        "</div></div>",
        scores_in_words(d.scores),
        html.table(head, rows, main=(label("aleatoric"),)),
    )


def _limits(ceiling: Interval, p: Posterior | None) -> list[str]:
    """What the number of votes leaves open."""
    said = []
    if ceiling.defined:
        said.append(
            "Splitting each item's own votes in half and stepping up to all of them, no score can "
            f"be expected to correlate with δ above {ceiling.value:.2f} ({ceiling.low:.2f} – "
            f"{ceiling.high:.2f})."
        )
    if p is not None:
        said.append(
            f"A Dirichlet posterior of the votes puts the ceiling at {p.ceiling:.2f}. So few votes "
            f"leave δ of an item open by ±{p.mean_deviation:.2f} on average; its 95 % interval is "
            f"{p.mean_width:.2f} wide."
        )
    if not said:
        said.append(
            "That cannot be said: votes came as shares, and how many people voted is not known."
        )
    return [html.paragraph(" ".join(said)), *([] if p is None else [_examples(p)])]


def _examples(p: Posterior) -> str:
    rows = [
        (x.votes, x.items, x.counted, x.mean, f"{x.low:.2f} – {x.high:.2f}") for x in p.examples
    ]
    head = ("votes", "items", "δ counted", "posterior mean", "95 % interval")
    return html.table(head, rows, digits=2, caption="the most frequent vote counts")
