"""``ferjax adapt``: prior, temperature and certified thresholds for a population of your own."""

import dataclasses
import math
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from ferjax.commands import inputs
from ferjax.commands.arguments import File, NewFolder, OptionalNumber, Router, Run
from ferjax.commands.console import out as console
from ferjax.commands.inputs import Reads

if TYPE_CHECKING:
    from ferjax.evaluation.routing_results import Adaptation

CANNOT = 1
"""Exit status where no error can be certified."""


@dataclasses.dataclass(frozen=True)
class Adapt:
    """Adapt a run to your own camera or people: from 50 to 300 labelled pictures, new thresholds,
    class prior and temperature, with a certificate for that population.

        ferjax adapt RUN --labelled office=photos/ --out office
        ferjax route office pictures/ --out lines.jsonl

    The pictures lie in folders named after classes, or beside a table (--labels); they must be a
    random sample of what will be routed. A quarter of them fits prior and temperature, three
    eighths choose thresholds, the rest certifies: the error among accepted pictures is at most
    --accept-error with probability --confidence. Where that cannot be promised, nothing is written,
    and the exit status is 1.
    """

    run_folder: Run
    """An evaluated run."""
    labelled: Annotated[str, arg(metavar="NAME=FOLDER"), Reads(inputs.named_set)]
    """The population's name, and its labelled pictures: class folders, a folder with --labels, or
    parquet files."""
    out: NewFolder
    """Folder to write, which ferjax route and ferjax export take like a run."""
    labels: File = None
    """CSV of labels or votes for the pictures, as for `ferjax data folder`."""
    names: Annotated[tuple[str, ...], arg(metavar="LABEL=CLASS...", help_behavior_hint="")] = ()
    """Labels or folders of other names than the run's classes; LABEL= leaves them out."""
    columns: Annotated[tuple[str, ...], arg(metavar="ROLE=COLUMN...", help_behavior_hint="")] = ()
    """Columns of the table that have names of their own, as for `ferjax data folder`."""
    router: Router = None
    """Which router is adapted; the one that the run decides by unless given."""
    accept_error: Annotated[float, arg(metavar="E")] = 0.25
    """Error among accepted pictures that is certified."""
    confidence: Annotated[float, arg(metavar="P")] = 0.9
    """Probability with which the certificate holds."""
    false_rejection: Annotated[float | None, arg(metavar="A", help_behavior_hint="")] = None
    """Share of the population's pictures that may be rejected; that of the run unless given."""
    seed: OptionalNumber = None
    """Seed of the split into fitting, choosing and certifying pictures; 0 unless given."""

    def run(self) -> int:
        from ferjax.commands.display import Console
        from ferjax.faces.image_folders import parse
        from ferjax.serving.router_choice import require_router, stored_routers

        name, path = parse(self.labelled)
        self._check()
        names = _pairs(self.names, "--names")
        columns = _pairs(self.columns, "--columns")
        if routers := stored_routers(self.run_folder):
            require_router(self.router, routers)
        from ferjax.serving.adapting import adapt_run

        with Console() as on_event:
            found = adapt_run(
                self.run_folder,
                {name: path},
                self.out,
                labels=self.labels,
                names=names,
                columns=columns,
                router=self.router,
                accept_error=self.accept_error,
                confidence=self.confidence,
                false_rejection=self.false_rejection,
                seed=self.seed or 0,
                on_event=on_event,
            )
        for line in _lines(found):
            console.print(line)
        if found.certificate.refused:
            console.print(
                "nothing was written; more labelled pictures, or an --accept-error named before "
                "they are looked at, could make a promise"
            )
            return CANNOT
        console.print(f"wrote {self.out}\nnext: ferjax route {self.out} photos/ --out lines.jsonl")
        return 0

    def _check(self) -> None:
        from ferjax.config import require_seed
        from ferjax.serving.request import require_new_adaptation

        if self.seed is not None:
            require_seed(self.seed, "--seed")
        require_new_adaptation(self.out)
        for name in ("accept_error", "confidence", "false_rejection"):
            share = getattr(self, name)
            if share is not None and not 0 < share < 1:
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag} must lie between 0 and 1, got {share}")


def _pairs(texts: tuple[str, ...], flag: str) -> dict[str, str]:
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ValueError(f"{flag}: expected NAME=..., got {text!r}")
        found[key] = value
    return found


def _lines(found: "Adaptation") -> list[str]:
    """What was found, a line each."""
    parts = found.parts
    certificate = found.certificate
    before = found.accuracy_before
    after = found.accuracy_after
    rule = found.thresholds.routers[found.router].rule
    adjustment = found.adjustment
    percent = 100 * found.thresholds.false_rejection
    largest = max(
        range(len(adjustment.prior)),
        key=lambda c: abs(math.log(adjustment.prior[c] / adjustment.training[c])),
    )
    lines = [
        f"{found.name}: {found.items} pictures; {parts['fit']} fit prior and temperature, "
        f"{parts['choose']} choose thresholds, {parts['certify']} certify",
        f"temperature {adjustment.temperature:.3g}; prior changed most for "
        f"{found.classes[largest]}, {adjustment.training[largest]:.3f} -> "
        f"{adjustment.prior[largest]:.3f}",
        f"accuracy on the certifying pictures {before['accuracy']:.3f} -> {after['accuracy']:.3f}, "
        f"mean over classes {before['balanced_accuracy']:.3f} -> "
        f"{after['balanced_accuracy']:.3f}",
    ]
    if math.isinf(float(rule.reject_above)):
        lines.append(
            f"nothing is rejected: {parts['choose']} pictures cannot promise a rejection of at "
            f"most {percent:.3g} %"
        )
    else:
        lines.append(
            f"router {found.router}: rejects {rule.reject} above {float(rule.reject_above):.4g}, "
            f"at most {percent:.3g} % of such pictures ({100 * found.rejected:.0f} % of the "
            "certifying ones)"
        )
    if certificate.refused:
        return [*lines, f"no certificate: {certificate.refused}"]
    return [
        *lines,
        f"certificate: with probability {100 * certificate.confidence:.0f} % at most "
        f"{100 * certificate.accept_error:.3g} % of the accepted pictures of {found.name} are "
        f"answered wrongly; {100 * certificate.accepted:.0f} % are accepted, "
        f"{100 * certificate.error:.0f} % of them wrong on the certifying pictures",
    ]
