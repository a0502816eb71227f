"""``ferjax route``: decisions on pictures."""

import contextlib
import dataclasses
import math
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from ferjax.commands.arguments import Number, OptionalNewFile, Prior
from ferjax.commands.arguments import Router as RouterName
from ferjax.commands.console import err

if TYPE_CHECKING:
    from ferjax.routing import RouterRule

SOME_FAILED = 3
"""Exit status when some pictures could not be routed and the rest were."""

_DONE = {"accept": "accepted", "defer": "deferred", "reject": "rejected"}


@dataclasses.dataclass(frozen=True)
class Route:
    """Decide on pictures: one line each, with action, label, whole distribution, both
    uncertainties, and why.

        ferjax route photos/ --wall wall.png    by the model that comes with ferjax
        ferjax route RUN photos/ --out lines.jsonl
        ferjax route FILE 'album/**/*.jpg' --faces --format csv --out a.csv
        find photos -name '*.png' | ferjax route RUN -

    A picture is taken as one face: gray, its central square, at the size the ensemble was trained
    on; with --faces every face found in it is one. A file that cannot be read gets a line with
    "error"; the others go on, and the exit status is 3. After an interruption the same command
    continues where --out ends: lines that are whole stay, the rest is routed.
    """

    words: Annotated[
        Positional[tuple[str, ...]],
        arg(metavar="[RUN|FILE] PICTURES...", help_behavior_hint="(required)"),
    ]
    """An evaluated run or a file of `ferjax export`, which bring the thresholds; where neither is
    given, the model that comes with ferjax decides. Then image files, folders of them, quoted
    patterns like 'photos/**/*.jpg', .npz files with an array `images`, or -: a stream on standard
    input, each line a path or a JSON object with "path" whose other keys are passed through."""
    out: OptionalNewFile = None
    """Write the lines here instead of standard output; an unfinished file is continued."""
    format: Literal["jsonl", "csv"] = "jsonl"
    """jsonl: a JSON object per line; csv: a table with a header, the probability of class NAME in
    column p_NAME."""
    router: RouterName = None
    """Which of the run's routers decides. density, the default where densities were fitted: rejects
    by distance to the training pictures, defers by the total entropy; uar: rejects by epistemic,
    defers by aleatoric; paper, where members have concentrations: as published, rejects by how
    members disagree alone (a single network cannot), defers by their mean entropy; error, where it
    was learned (evaluate --fit-corruptions): rejects by how much likelier an error is than the
    model admits, defers by the total entropy."""
    prior: Prior = None
    """Class frequencies to decide under, instead of those that the evaluation chose thresholds
    under: of training, uniform, sqrt (the square root of training's), estimated (on these pictures,
    which are read twice; refused where they differ in more than that), or a .json or .csv file of
    shares by class. Thresholds are chosen anew on the run's valid items."""
    faces: bool = False
    """Find the faces in each picture and route each on its own line with its "box" (needs the extra
    `faces`); where none is found, "face" is null and the whole picture is routed."""
    contact_sheet: Annotated[
        Path | None, arg(aliases=["--wall"], metavar="FILE", help_behavior_hint="")
    ] = None
    """Also draw a PNG of up to 64 of the faces routed now, a uniform sample, with the decisions."""
    overwrite: bool = False
    """Start --out anew instead of continuing it."""
    batch_size: Number = 64
    """Faces the model decides on at a time."""

    def run(self) -> int:
        from ferjax.events import Event, Message
        from ferjax.faces.detection import haar_finder
        from ferjax.serving.request import check_request, require_batch
        from ferjax.serving.router_choice import OLD_ROUTERS, require_router, stored_routers
        from ferjax.serving.shipped import CARD, MODEL, model_and_pictures, refuse_prior

        # What is wrong with the request should not wait for JAX to start and the model to load.
        model, paths = model_and_pictures(self.words)
        check_request(paths, self.out, self.contact_sheet, reads=(model,))
        require_batch(self.batch_size, "--batch-size")
        name = None if self.router is None else OLD_ROUTERS.get(self.router, self.router)
        if name != self.router:
            err.print(f"router {self.router} is now called {name}")
        if routers := stored_routers(model):
            require_router(name, routers)
        if self.prior is not None and model.is_file():
            refuse_prior(model, self.prior)
        find = haar_finder() if self.faces else None
        from ferjax.serving.route import route_pictures
        from ferjax.serving.router import Router

        def tell(event: Event) -> None:
            if isinstance(event, Message):
                err.print(event.text)

        unlabelled = self._sample(model, paths, find) if self.prior == "estimated" else None
        if model == MODEL:
            err.print(f"no RUN given: the model that comes with ferjax decides; its limits: {CARD}")
        router = Router(
            model,
            name,
            prior=self.prior,
            unlabelled=unlabelled,
            batch_size=self.batch_size,
            on_event=tell,
        )
        err.print(f"router {router.name}: {_in_words(router.rule)}")
        prior = router.adjustment
        if prior is not None and prior.changes:
            shares = zip(router.classes, prior.prior)
            told = ", ".join(f"{100 * share:.0f} % {of}" for of, share in shares)
            err.print(f"class prior {prior.name}: {told}")
        with _progress(paths) as on_picture:
            summary = route_pictures(
                router,
                paths,
                sys.stdout.buffer if self.out is None else self.out,
                form=self.format,
                find=find,
                contact_sheet=self.contact_sheet,
                overwrite=self.overwrite,
                on_picture=on_picture,
            )
        if sum(summary.kept):
            err.print(
                f"continued {self.out}: {sum(summary.kept):,} lines were there, "
                f"{sum(summary.new):,} are new",
            )
        counts = [f"{said} {summary.actions[action]:,}" for action, said in _DONE.items()]
        why = ' (see the lines with "error")' if summary.failed else ""
        err.print(
            f"{summary.routed:,} routed: {', '.join(counts)}, unreadable {summary.failed:,}{why}"
        )
        if summary.contact_sheet is not None:
            err.print(f"picture: open {summary.contact_sheet}")
        if self.out is not None:
            err.print(f"wrote {self.out}")
        err.print(f"next: {self._next(model, CARD if model == MODEL else None)}")
        return SOME_FAILED if summary.failed else 0

    def _next(self, model: Path, card: Path | None) -> str:
        """What comes after this."""
        if card is not None:
            return f"read {card}; for a run of your own: ferjax data folder --help"
        if self.contact_sheet is None:
            again = shlex.join(self.words) if len(self.words) <= 3 else f"{model} PICTURES..."
            return f"ferjax route {again} --wall wall.png shows the decisions on the pictures"
        if model.is_dir():
            return f"ferjax export {model} --out FILE, for another machine"
        return f"ferjax export --verify {model} checks the file against the run it was made of"

    def _sample(self, model: Path, paths: tuple[str, ...], find: Any) -> Any:
        """Faces of these pictures to estimate a prior from."""
        from ferjax.ensemble.folder import RunFolder
        from ferjax.serving import pipeline, sources

        if sources.STREAM in paths:
            raise ValueError(
                "--prior estimated reads the pictures twice, and a stream (-) is read once; name "
                "files or folders"
            )
        spec = RunFolder(model).spec()
        err.print("reading the pictures once, to estimate the class prior")
        tell = _told_now_and_then(what="reading")
        return pipeline.sample_faces(
            sources.items(list(paths), None),
            spec.side,
            find=find,
            colour=spec.colour,
            on_picture=tell,
        )


def _in_words(rule: "RouterRule") -> str:
    """What a router does, with its thresholds."""
    reject = float(rule.reject_above)
    defer = float(rule.defer_above)
    rejects = f"rejects above {rule.reject} {reject:.4g}"
    if reject == math.inf:
        rejects = f"rejects nothing (no threshold of {rule.reject} could keep the promise)"
    defers = f"else defers above {rule.defer} {defer:.4g}"
    return f"{rejects}, {'else defers nothing' if defer == math.inf else defers}"


@contextlib.contextmanager
def _progress(paths: tuple[str, ...]) -> Iterator[Callable[[int], None]]:
    """A bar in a terminal, now and then a line in a pipe; pictures are counted meanwhile."""
    if not err.is_terminal:
        yield _told_now_and_then()
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from ferjax.serving import sources

    with Progress(
        TextColumn("routing"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    ) as bar:
        task = bar.add_task("routing", total=None)
        if sources.STREAM not in paths:

            def count() -> None:
                bar.update(task, total=sources.count(paths))

            threading.Thread(target=count, daemon=True).start()
        yield lambda done: bar.update(task, completed=done)


def _told_now_and_then(seconds: float = 20.0, what: str = "routing") -> Callable[[int], None]:
    told = time.monotonic()

    def tell(done: int) -> None:
        nonlocal told
        if time.monotonic() - told >= seconds:
            told = time.monotonic()
            err.print(f"{what}: {done:,} pictures")

    return tell
