"""``ferjax judge route``: accept a jury's label, report its distribution, or ask people."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from ferjax.commands.arguments import File, NewFile, Number
from ferjax.commands.console import err, out


@dataclasses.dataclass(frozen=True)
class Route:
    """Decide on every judged text, with thresholds from the few that people rated.

        ferjax judge route ratings.csv judgments.npz --out routed.jsonl --max-error 0.3

    JUDGES hold the texts that PANEL rates and any others. accept: one label is so likely that the
    error against a random person is certified; defer: the distribution is reported; ask: the models
    disagree more than they do on texts like the rated ones. Beside OUT stands OUT.json with the
    certificate, the saving, and prediction-powered shares of the classes over all texts.
    """

    panel: Annotated[Positional[Path], arg(metavar="PANEL")]
    """Ratings of people, of some of the texts."""
    judges: Annotated[Positional[tuple[Path, ...]], arg(metavar="JUDGES...")]
    """Files of judgments or of predictions (.npz), of all texts."""
    out: NewFile
    """JSON lines, one a text."""
    calibrator: File = None
    """calibrator.json of `ferjax judge calibrate` on other texts. Without it, one half of the rated
    texts fits calibrators and the other half chooses thresholds."""
    max_error: Annotated[float, arg(metavar="E")] = 0.4
    """Certified chance that a random person does not choose an accepted label."""
    confidence: Annotated[float, arg(metavar="C")] = 0.9
    """Confidence of the certificate."""
    false_asks: Annotated[float, arg(metavar="A")] = 0.1
    """Share of texts like the rated ones that may be asked about."""
    kind: Annotated[
        Literal["single", "multi"] | None, arg(metavar="single|multi", help_behavior_hint="")
    ] = None
    """What ratings are, where the panel's file leaves it open."""
    classes: Annotated[tuple[str, ...] | None, arg(metavar="NAME...", help_behavior_hint="")] = None
    """All classes, where the panel's file holds only those that people chose."""
    seed: Number = 0
    """Of halves and of the raters who stand for "a person"."""

    def run(self) -> int:
        from ferjax import comparing
        from ferjax.commands.display import Console
        from ferjax.files import write_atomically
        from ferjax.report.write import to_json, write_json

        for name in ("max_error", "confidence", "false_asks"):
            if not 0 < getattr(self, name) < 1:
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag} must lie between 0 and 1, got {getattr(self, name):g}")
        if not self.out.parent.is_dir():
            raise FileNotFoundError(f"no folder {self.out.parent} for --out")
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
                max_error=self.max_error,
                confidence=self.confidence,
                false_asks=self.false_asks,
                seed=self.seed,
                on_event=on_event,
            )
        lines = comparing.routed_lines(done, sides.ratings.classes)
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        write_atomically(self.out, text.encode())
        beside = self.out.with_name(f"{self.out.name}.json")
        summary = {"router": done.router, "decided": done.decided, "shares": done.shares}
        write_json(beside, to_json(summary))
        self._say(done)
        out.print(f"wrote {self.out}", highlight=False, soft_wrap=True)
        out.print(f"wrote {beside}", highlight=False, soft_wrap=True)
        err.print(
            f"next: ask people about the texts of {self.out} with action ask, and route again with "
            "their ratings",
            highlight=False,
            soft_wrap=True,
        )
        return 0

    def _say(self, done) -> None:
        promise = done.router.certificate
        if promise.refused:
            out.print(f"accepts nothing: {promise.refused}", highlight=False)
        else:
            out.print(
                f"a random person disagrees with at most {promise.accept_error:.0%} of the "
                f"accepted labels, with confidence {promise.confidence:.0%} "
                f"({promise.error:.0%} of {promise.accepted:.0%} accepted where it was tested)",
                highlight=False,
            )
        decided = done.decided
        actions = ", ".join(f"{name} {number:,}" for name, number in decided.actions.items())
        out.print(
            f"{decided.items:,} texts: {actions}; {decided.saved:.0%} need no further ratings",
            highlight=False,
        )
        if done.shares:
            worth = sorted(share.worth for share in done.shares.values())
            out.print(
                f"shares of classes over all texts: the jury is worth {worth[len(worth) // 2]:.1f} "
                "times the ratings (median over classes)",
                highlight=False,
            )
