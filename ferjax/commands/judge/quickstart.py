"""The quickstart of judges: a world of texts whose truth is known, from the first request to the
report."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ferjax.commands.console import out
from ferjax.files import write_atomically

if TYPE_CHECKING:
    import numpy as np

__all__ = ["run"]

_TEXTS = 300
_RATERS = 5
_SAMPLES = 10
_MODELS = ("right", "overconfident", "biased", "constant")


def run(folder: Path) -> int:
    """Draws texts and people, asks four models of a local server, compares, calibrates and routes.

    Args:
      folder: where everything goes; what is in it already is gone on with.

    Raises:
      FileExistsError: if the folder holds a run of faces.
    """
    from ferjax.commands.judge.calibrate import Calibrate
    from ferjax.commands.judge.collect import Collect
    from ferjax.commands.judge.compare import Compare
    from ferjax.commands.judge.parse import Parse
    from ferjax.commands.judge.route import Route
    from ferjax.texts import world as worlds
    from ferjax.texts.local_server import ALL_FAULTS, LocalServer
    from ferjax.texts.world import LABELS

    if (folder / "config.json").is_file():
        raise FileExistsError(f"{folder} holds a run of faces; choose another folder with --out")
    folder.mkdir(parents=True, exist_ok=True)
    world = worlds.make(_TEXTS, seed=0)
    panel = folder / "ratings.csv"
    chosen = worlds.ratings(world, _RATERS, seed=1)
    with open(panel, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("item", "text", "rater", "label"))
        for item, text, labels in zip(*world.texts, chosen):
            table.writerows((item, text, f"p{k}", LABELS[label]) for k, label in enumerate(labels))
    config = folder / "collect.json"
    asked = {"texts": str(panel), "labels": LABELS, "kind": "single", "temperatures": [1.0]}
    config.write_text(json.dumps({**asked, "samples": _SAMPLES}, indent=2) + "\n")
    number = {text: k for k, text in enumerate(world.texts.texts)}
    tables = {name: world.model(name, 1.0) for name in _MODELS}

    def shares(text: str, model: str, temperature: float) -> Mapping[str, float]:
        del temperature  # one is asked for
        return dict(zip(LABELS, tables[model][number[text]].tolist()))

    out.print(
        f"{_TEXTS} texts, {_RATERS} people, and a server on this machine with the models "
        f"{', '.join(_MODELS)}; some requests fail on purpose"
    )
    answers = folder / "answers"
    with LocalServer(shares, ALL_FAULTS) as server:
        Collect(str(config), server.base_url, _MODELS, answers, concurrency=16, timeout=3.0).run()
    Parse(answers).run()
    judges = (answers / "judgments.npz",)
    Compare(panel, judges, folder).run()
    _tell_truth(world.truth, tables, folder / "truth.json")
    Calibrate(panel, judges, folder / "calibrated").run()
    Route(panel, judges, folder / "routed.jsonl", max_gap=0.2).run()
    out.print(f"report: open {folder / 'report.html'}")
    out.print(
        f"next: ferjax judge --help names these commands in order, {folder} holds what each takes "
        "and wrote"
    )
    return 0


def _tell_truth(truth: "np.ndarray", tables: Mapping[str, "np.ndarray"], path: Path) -> None:
    """What the comparison should have found, in words and as a file."""
    spread = float((1 - (truth**2).sum(1)).mean())
    known = {}
    for name, p in tables.items():
        gap = float(((p - truth) ** 2).sum(1).mean())
        people = spread / gap if gap > 1e-9 else None
        known[name] = {"gap": gap, "people": people}
        worth = "any number of people" if people is None else f"{people:.1f} people"
        out.print(f"known of this world: {name} has a gap of {gap:.3f} and is worth {worth}")
    write_atomically(path, (json.dumps(known, indent=2) + "\n").encode())
