"""``ferjax judge describe``: what a panel, or models' answers, say alone."""

import dataclasses
import math
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from ferjax.commands import inputs
from ferjax.commands.console import err, out
from ferjax.commands.inputs import Reads


@dataclasses.dataclass(frozen=True)
class Describe:
    """Say what is in a panel of people, or in models' answers, and how far each side agrees.

        ferjax judge describe ratings.csv
        ferjax judge describe judgments.npz

    A panel is any that `ferjax judge compare` takes; what it was taken for is said. Answers are a
    file of `ferjax judge parse`, or a CSV of item, model, temperature and columns of values:

        item,rater,label                 item,model,temperature,valence
        t1,p1,joy                        t1,NAME,0.7,4

    Of people: how much was read and as what, and for every class or dimension how well two people
    agree, how reliable the panel's mean is, and the ceiling of any correlation with it. Of models:
    how much of the variance lies between models and how much within one that is asked again.
    """

    path: Annotated[Positional[Path], arg(metavar="FILE"), Reads(inputs.there)]
    """A panel, a file of judgments (.npz), or a CSV of answers."""
    kind: Annotated[
        Literal["single", "multi", "ordinal", "real"] | None,
        arg(metavar="single|multi|ordinal|real", help_behavior_hint=""),
    ] = None
    """What ratings are, where the panel's file leaves it open."""

    def run(self) -> int:
        from ferjax import comparing

        judgments = comparing.read_answers_of(self.path)
        if judgments is None:
            self._people()
            return 0
        asked = int(judgments.asked.sum())
        lost = int(judgments.unparsed.sum())
        models = len({judge.model for judge in judgments.judges})
        out.print(
            f"{asked:,} answers of {models} models at {len(judgments.judges)} settings to "
            f"{len(judgments.ids):,} items; {lost:,} unparsed",
            highlight=False,
        )
        rows = [
            [name, s.items, s.total, s.within, s.between, s.between / s.total, s.plug_in / s.total]
            for name, s in comparing.split(judgments).items()
        ]
        head = ["", "items", "variance", "within", "between", "share", "share, plug-in"]
        _table(head, rows)
        by_heat = {name: s.within_by_temperature for name, s in comparing.split(judgments).items()}
        heats = list(next(iter(by_heat.values()))) if by_heat else []
        out.print("\nvariance within a model, by temperature", highlight=False)
        _table(["", *heats], [[name, *of.values()] for name, of in by_heat.items()])
        judged = self.path.suffix == ".npz"
        following = f"RATINGS {self.path} --out OUT holds them against people"
        if not judged:
            following = "RATINGS JUDGES... --out OUT, with files of `ferjax judge parse`"
        err.print(f"next: ferjax judge compare {following}")
        return 0

    def _people(self) -> None:
        from ferjax import comparing

        panel = comparing.read_panel(self.path, kind=self.kind)
        out.print(panel.summary, highlight=False, soft_wrap=True)
        for note in panel.notes:
            out.print(f"  {note}", highlight=False, soft_wrap=True)
        agreement = comparing.agreement(panel.ratings)
        if all(math.isnan(a.pair) for a in agreement.values()):
            out.print(
                "  how far people agree is not known: it takes two items with two ratings each"
            )
        rows = [[n, a.mean, a.pair, a.reliability, a.ceiling] for n, a in agreement.items()]
        _table(["", "mean", "agreement of two", "reliability", "ceiling of r"], rows)
        err.print(
            f"next: ferjax judge compare {self.path} JUDGES... --out OUT",
            highlight=False,
            soft_wrap=True,
        )


def _table(head: list[str], rows: list[list[Any]]) -> None:
    def cell(value: Any) -> str:
        if not isinstance(value, float):
            return str(value)
        return "–" if math.isnan(value) else f"{value:.3f}"

    lines = [head, *([cell(value) for value in row] for row in rows)]
    width = [max(len(line[k]) for line in lines) for k in range(len(head))]
    for line in lines:
        first = line[0].ljust(width[0])
        rest = "  ".join(value.rjust(w) for value, w in zip(line[1:], width[1:]))
        out.print(f"{first}  {rest}", highlight=False, soft_wrap=True)
