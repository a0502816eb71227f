"""A calibration on disk: calibration.html, the table as JSON and CSV, and the calibrators."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ferjax.evaluation.judgments.calibrate import CHOSEN, NONE, CalibratedRow, Calibration
from ferjax.files import write_atomically
from ferjax.report import html
from ferjax.report.findings import Conclusion
from ferjax.report.judgments.words import people
from ferjax.report.judgments.worth import people as people_cell
from ferjax.report.write import rows, to_json, versions, write_json

__all__ = ["conclude", "write"]


def conclude(c: Calibration) -> list[Conclusion]:
    """What calibrating brought, judge by judge, the winner first."""
    return [_conclusion(judge, c.best[judge], table) for judge, table in c.rows.items()]


def _conclusion(judge: str, best: str, table: Mapping[str, CalibratedRow]) -> Conclusion:
    before = table[NONE]
    chosen = table[CHOSEN]
    if best == NONE:
        return Conclusion(
            "note",
            f"{judge} as it is, worth {people(before.people)} with as few answers, is better than "
            "through any calibrator, on texts that the calibrator has not seen.",
        )
    if best == "marginal":
        rival = table["marginal"]
        return Conclusion(
            "bad",
            f"What people choose on the whole, worth {people(rival.people)}, is better than "
            f"{judge} through any calibrator.",
        )
    nats = f"{chosen.cross_entropy.value:.3f} nats a rating instead of"
    if chosen.better_than_none.low <= 0:
        return Conclusion(
            "note",
            f"{judge}: the best calibrator, {best}, is not shown to make it better; {nats} "
            f"{before.cross_entropy.value:.3f} on texts it has not seen.",
        )
    said = (
        f"{best.capitalize()} makes {judge} worth {people(chosen.people)} instead of "
        f"{people(before.people)}, with as few answers and on texts it has not seen: {nats} "
        f"{before.cross_entropy.value:.3f}."
    )
    if chosen.better_than_marginal.low > 0:
        return Conclusion("good", said)
    return Conclusion(
        "bad", f"{said} It is not shown to be better than what people choose on the whole."
    )


_WORDS = (
    "Cross-entropy is the nats that a rating is unlikely by; better than none and than marginal "
    "are differences of it, above 0 where the calibrator helps. None is the judge as it is; "
    "marginal is what people choose on the whole, a rival that knows nothing of the text; chosen "
    "is, in each fold of the texts, the calibrator that was best in the others. The Brier score is "
    "the squared distance from a rating. Gap, skill and worth in people are those of the "
    "distributions as they are, with the noise of few answers in them; JSD is the Jensen-Shannon "
    "divergence as counted."
)


def write(
    c: Calibration,
    fitted: Mapping[str, Any],
    items: Sequence[str],
    folder: Path,
    about: Mapping[str, Any] | None = None,
) -> tuple[list[Conclusion], list[Path]]:
    """Writes calibration.html, .json, .csv and calibrator.json.

    Args:
      c: what was found.
      fitted: calibrators by judge.
      items: the ids of the texts that they were fitted on.
      folder: made if it is not there.
      about: ``command``, ``files_read``, whatever is known.

    Returns:
      The findings in words, and the files, the page first.

    Raises:
      OSError: if they cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = conclude(c)
    about = {**(about or {}), "versions": versions(), "seed": c.seed}
    names = ("calibration.html", "calibration.json", "calibration.csv", "calibrator.json")
    files = [folder / name for name in names]
    tones = {"good": "good", "bad": "caution", "note": "note"}
    listed = "".join(
        f"<li class={f.tone}><b>{tones[f.tone]}</b>{html.escape(f.text)}</li>" for f in found
    )
    head = ["calibrator", "cross-entropy", "better than none", "better than marginal"]
    head += ["Brier score", "gap", "skill", "people", "JSD (plug-in)"]
    parts = [
        html.section(
            f"judge-{number}",
            judge,
            html.table(
                head,
                [
                    [name, r.cross_entropy, r.better_than_none, r.better_than_marginal, r.score,
                     r.gap, r.skill, people_cell(r.people), r.jsd]
                    for name, r in table.items()
                ],
                main=(CHOSEN,),
            ),
            name=judge,
        )
        for number, (judge, table) in enumerate(c.rows.items(), 1)
    ]  # fmt: skip
    page = html.page(
        "Do calibrators make judges more like people?",
        f"{len(c.rows)} judges, {c.items:,} texts, {c.folds} folds: every figure is of texts that "
        "the calibrator was not fitted on",
        f"<h2>In words</h2><ul class=findings>{listed}</ul>{html.paragraph(_WORDS)}",
        parts,
        "Made by ferjax. Intervals are 95 % percentile bootstrap over texts.",
    )
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(("figure", "value", "low", "high"))
    table.writerows(rows(c))
    write_atomically(files[0], page.encode())
    write_json(files[1], {**to_json(c), "conclusions": found, "about": about})
    write_atomically(files[2], text.getvalue().encode())
    kept: dict[str, Any] = {
        "format": "calibrators 1",
        "kind": c.kind,
        "classes": c.classes,
        "judges": fitted,
    }
    kept["items"] = list(items)
    write_atomically(files[3], (json.dumps(kept) + "\n").encode())
    return found, files
