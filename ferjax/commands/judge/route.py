"""``ferjax judge route``: accept a jury's label, report its distribution, or ask people."""

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

from ferjax.commands.arguments import Classes, File, Judges, NewFile, Number, Panel
from ferjax.commands.console import out

if TYPE_CHECKING:
    from ferjax.comparing import Routed


@dataclasses.dataclass(frozen=True)
class Route:
    """Decide on every judged text, with thresholds from the few that people rated.

        ferjax judge route ratings.csv judgments.npz --max-error 0.3 \\
          --out routed.jsonl

    PANEL has the labels of at least 40 texts, as for `ferjax judge compare`; JUDGES hold those
    texts and any others:

        item,rater,label
        t1,p1,joy

    accept: one label is so likely that what
    --max-error and --max-gap promise is certified; defer: the distribution is reported; ask: the
    models disagree more than they do on texts like the rated ones. Beside OUT stands OUT.json with
    the certificate, the saving, and prediction-powered shares of the classes over all texts.
    """

    panel: Panel
    """Ratings of people, of some of the texts."""
    judges: Judges
    """Files of judgments or of predictions (.npz), of all texts."""
    out: NewFile
    """JSON lines, one a text."""
    calibrator: File = None
    """calibrator.json of `ferjax judge calibrate` on other texts. Without it, one half of the rated
    texts fits calibrators and the other half chooses thresholds."""
    max_error: Annotated[float | None, arg(metavar="E", help_behavior_hint="")] = None
    """Certified chance, at most, that a random person does not choose an accepted label; 0.4 where
    nothing else is promised."""
    max_gap: Annotated[float | None, arg(metavar="G", help_behavior_hint="")] = None
    """Certified squared distance, at most, of accepted distributions from people's, over accepted
    texts; alone, or together with the error. One person has the gap that `ferjax judge compare`
    calls the spread of one rating."""
    confidence: Annotated[float, arg(metavar="C")] = 0.9
    """Confidence of the certificate."""
    false_asks: Annotated[float, arg(metavar="A")] = 0.1
    """Share of texts like the rated ones that may be asked about."""
    kind: Annotated[
        Literal["single", "multi"] | None, arg(metavar="single|multi", help_behavior_hint="")
    ] = None
    """What ratings are, where the panel's file leaves it open."""
    classes: Classes = None
    """All classes, where the panel's file holds only those that people chose."""
    seed: Number = 0
    """Of halves and of the raters who stand for "a person"."""

    def run(self) -> int:
        from ferjax.config import require_seed
        from ferjax.files import require_writable, write_atomically

        for name, most in (("max_error", 1), ("confidence", 1), ("false_asks", 1), ("max_gap", 2)):
            value = getattr(self, name)
            if value is not None and not 0 < value < most:
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag} must lie between 0 and {most}, got {value:g}")
        require_seed(self.seed, "--seed")
        beside = self.out.with_name(f"{self.out.name}.json")
        for file in (self.out, beside):
            require_writable(file, reads=(self.panel, *self.judges, self.calibrator))
        from ferjax import comparing
        from ferjax.commands.display import Console
        from ferjax.commands.judge.ending import end
        from ferjax.report.write import to_json, write_json

        max_error = self.max_error
        if max_error is None and self.max_gap is None:
            max_error = 0.4
        with Console() as on_event:
            sides, _ = comparing.read_sides(
                self.panel,
                self.judges,
                kind=self.kind,
                classes=self.classes,
                unrated=True,
                on_event=on_event,
            )
            calibrators = None
            fitted_on: set[str] = set()
            if self.calibrator is not None:
                calibrators, fitted_on = comparing.read_calibrators(self.calibrator, sides)
            done = comparing.route_texts(
                sides,
                calibrators=calibrators,
                fitted_on=fitted_on,
                promise=comparing.Promise(max_error, self.max_gap, self.confidence),
                false_asks=self.false_asks,
                seed=self.seed,
                on_event=on_event,
            )
        lines = comparing.routed_lines(done, sides.ratings.classes)
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        write_atomically(self.out, text.encode())
        summary = {"router": done.router, "decided": done.decided, "shares": done.shares}
        write_json(beside, to_json(summary))
        self._say(done)
        end(
            (),
            (self.out, beside),
            f"ask people about the texts of {self.out} with action ask, and route again with their "
            "ratings",
        )
        return 0

    def _say(self, done: "Routed") -> None:
        from ferjax.report.words import percent

        promise = done.router.certificate
        if promise.refused:
            out.print(f"accepts nothing: {promise.refused}", highlight=False)
        else:
            said = []
            if promise.accept_error is not None:
                said.append(
                    f"a random person disagrees with at most {percent(promise.accept_error)} of "
                    f"the accepted labels (found {percent(promise.error)})"
                )
            if promise.accept_gap is not None:
                said.append(
                    f"the gap of accepted distributions is at most {promise.accept_gap:g} (found "
                    f"{promise.gap:.3f})"
                )
            out.print(
                f"{', and '.join(said)}, with confidence {percent(promise.confidence)}; "
                f"{percent(promise.accepted)} were accepted where it was tested",
                highlight=False,
                soft_wrap=True,
            )
        decided = done.decided
        actions = ", ".join(f"{name} {number:,}" for name, number in decided.actions.items())
        out.print(
            f"{decided.items:,} texts: {actions}; {percent(decided.saved)} need no further ratings",
            highlight=False,
        )
        if done.shares:
            worth = sorted(share.worth for share in done.shares.values())
            out.print(
                f"shares of classes over all texts: the jury is worth {worth[len(worth) // 2]:.1f} "
                "times the ratings (median over classes)",
                highlight=False,
            )
