"""A calibration on disk: calibration.html, the table as JSON and CSV, and the calibrators."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ferjax.evaluation.judgments.calibrate import CHOSEN, NONE, Calibration
from ferjax.files import write_atomically
from ferjax.report import html
from ferjax.report.conclusions import Conclusion
from ferjax.report.judgments.words import people
from ferjax.report.write import rows, to_json, versions, write_json

__all__ = ["conclude", "write"]


def conclude(c: Calibration) -> list[Conclusion]:
    """What calibrating brought, judge by judge."""
    found = []
    for judge, table in c.rows.items():
        chosen = table[CHOSEN]
        best = c.best[judge]
        before = table[NONE]
        gain = chosen.better_than_none
        rival = chosen.better_than_marginal
        said = (
            f"{judge}: {best} is best; cross-fitted it takes {before.cross_entropy.value:.3f} to "
            f"{chosen.cross_entropy.value:.3f} nats a rating and makes the judge as used worth "
            f"{people(chosen.people)} instead of {people(before.people)}."
        )
        if best in (NONE, "marginal"):
            said = f"{judge}: no calibrator is better than {_rival(best)} on texts it has not seen."
            found.append(Conclusion("bad" if best == "marginal" else "note", said))
            continue
        if rival.low <= 0:
            said += " It is not shown to be better than what people choose on the whole."
        found.append(Conclusion("good" if gain.low > 0 and rival.low > 0 else "bad", said))
    return found


def _rival(name: str) -> str:
    return "none" if name == NONE else "what people choose on the whole"


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
                     r.gap, r.skill, r.people if r.people.value < 1e9 else None, r.jsd]
                    for name, r in table.items()
                ],
                main=(CHOSEN,),
            ),
        )
        for number, (judge, table) in enumerate(c.rows.items(), 1)
    ]  # fmt: skip
    page = html.page(
        "Do calibrators make judges more like people?",
        f"{len(c.rows)} judges, {c.items:,} texts, {c.folds} folds: every figure is of texts that "
        "the calibrator was not fitted on",
        f"<h2>In words</h2><ul class=findings>{listed}</ul>",
        parts,
        "Made by ferjax. “Chosen” is, in each fold, the calibrator that was best in the others. "
        "The marginal is the rival that knows nothing of the text.",
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
