"""``ferjax judge compare``: judges held against a panel of people."""

import dataclasses
import shlex
import sys
from typing import Annotated, Literal

from tyro.conf import arg

from ferjax.commands import inputs
from ferjax.commands.arguments import Classes, File, Judges, NewFolder, Number, Panel
from ferjax.commands.inputs import Reads


@dataclasses.dataclass(frozen=True)
class Compare:
    """Hold judges against a panel of people, without the noise of few raters and few samples.

        ferjax judge compare ratings.csv judgments.npz baseline.npz --out OUT

    PANEL is a CSV with a row a choice (item, rater, label, perhaps text) or a row a rating (item,
    rater and columns of values), or with a row an item and a column of counts for each class; JSON
    lines with raters' labels or intensities; GoEmotions' raw files (a folder); or EmoBank's
    individual ratings (id, V, A, D):

        item,rater,label       item,joy,anger
        t1,p1,joy              t1,4,1

        {"id": "t1", "text": "…", "ratings": [{"rater": "p1", "labels": ["joy"]}]}

    JUDGES are files of `ferjax judge parse`, or predictions of a network (.npz: log_probs [member,
    item, class], ids, classes); items are paired by id or text, classes by name. A lexicon is
    {"joy": ["glad", "happy"], ...}. OUT receives report.html, comparison.json and comparison.csv.
    Nothing is sent anywhere.
    """

    panel: Panel
    """Ratings of people."""
    judges: Judges
    """Files of judgments or of predictions (.npz)."""
    out: NewFolder
    """Folder of the report."""
    kind: Annotated[
        Literal["single", "multi", "ordinal", "real"] | None,
        arg(metavar="single|multi|ordinal|real", help_behavior_hint=""),
    ] = None
    """What ratings are, where the panel's file leaves it open."""
    classes: Classes = None
    """All classes, where the panel's file holds only those that people chose."""
    resamples: Number = 1000
    """Bootstrap resamples of the texts."""
    resample: Annotated[
        tuple[Literal["texts", "raters", "samples"], ...], arg(metavar="texts|raters|samples...")
    ] = ("texts",)
    """Sources of noise, each also shown alone."""
    margin: Annotated[float, arg(metavar="E")] = 0.1
    """How much worse than a rater a judge may be to stand in for one."""
    lexicon: File = None
    """JSON of classes and their words; adds the transparency of classes."""
    embeddings: File = None
    """File of `ferjax judge embed`, or another .npz with `texts` [text, width] by `ids` and
    `classes` [class, width] by `names`, for the transparency of classes."""
    shifted: Annotated[
        tuple[str, ...],
        arg(metavar="NAME=FILE...", help_behavior_hint=""),
        Reads(inputs.named_file),
    ] = ()
    """Judgments of the same judges about items unlike the texts: paraphrases, another language,
    shuffled words, empty texts, another domain. Do the models disagree more about them?"""
    seed: Number = 0
    """Of resamples, halves and floors."""

    def run(self) -> int:
        from ferjax.config import require_resamples, require_seed
        from ferjax.files import require_folder

        require_resamples(self.resamples, "--resamples")
        require_seed(self.seed, "--seed")
        if not 0 <= self.margin < 1:
            raise ValueError(f"--margin must be at least 0 and below 1, got {self.margin:g}")
        if self.embeddings is not None and self.lexicon is None:
            raise ValueError("--embeddings goes with --lexicon")
        require_folder(self.out, make=False)
        from ferjax import comparing
        from ferjax.commands.display import Console
        from ferjax.commands.judge.ending import end
        from ferjax.report import judgments as report

        with Console() as on_event:
            sides, panel = comparing.read_sides(
                self.panel, self.judges, kind=self.kind, classes=self.classes, on_event=on_event
            )
            words = None
            if self.lexicon is not None:
                words = comparing.read_words(self.lexicon, self.embeddings, sides)
            shifted = comparing.read_shifted(self.shifted)
            done = comparing.compare(
                sides,
                resamples=self.resamples,
                seed=self.seed,
                sources=self.resample,
                margin=self.margin,
                words=words,
                shifted=shifted,
                on_event=on_event,
            )
        command = shlex.join(["ferjax", *sys.argv[1:]])
        read = [*panel.files, *map(str, self.judges)]
        found, files = report.write(done, self.out, {"command": command, "files_read": read})
        judges = map(str, self.judges)
        following = f"open {files[0]}"  # calibrators map probabilities of classes
        if sides.shares is not None:
            calibrate = ["ferjax", "judge", "calibrate", str(self.panel), *judges, "--out"]
            following = shlex.join([*calibrate, str(self.out)])
        end(found, files, following)
        return 0
