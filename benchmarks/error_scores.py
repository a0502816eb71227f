"""Which reject score follows the loss of accuracy, on an evaluated run that learned its errors.

    ferjax evaluate RUN --fit-corruptions shot_noise motion_blur imagenet_c.fog jpeg elastic
    python -m benchmarks.error_scores RUN

Prints the area under (harmful shift rejected, harmless shift and clean ambiguous items kept) of
every score; what each router rejects of clean items, harmless and harmful conditions; and how well
scores tell wrong answers on clean items, the ensemble's agreement across harmless views among them.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from ferjax import metrics, uncertainty
from ferjax.evaluation.conditions import scored
from ferjax.evaluation.scores import label
from ferjax.predictions import Predictions


def areas(evaluation: dict) -> list[str]:
    """The table of areas, best first."""
    rows = sorted(evaluation["harm"]["area"].items(), key=lambda row: -row[1]["value"])
    return [
        "| reject score | area |",
        "|---|---|",
        *(
            f"| {label(name)} | {of['value']:.3f} ({of['low']:.3f} – {of['high']:.3f}) |"
            for name, of in rows
        ),
    ]


def routers(evaluation: dict) -> list[str]:
    """Means over conditions of each kind, of what each router does."""
    rows = evaluation["harm"]["conditions"]
    kinds = {
        "clean": [of for of in rows.values() if of["kind"] == "clean"],
        "tolerances": [of for of in rows.values() if of["kind"] == "tolerance"],
        "harmless corruptions": [
            of for of in rows.values() if of["kind"] == "corruption" and not of["harmful"]
        ],
        "harmful corruptions": [
            of for of in rows.values() if of["kind"] == "corruption" and of["harmful"]
        ],
    }
    lines = [
        "| router | conditions | rejected | excess rejection | accuracy kept | accuracy rejected |",
        "|---|---|---|---|---|---|",
    ]
    for router in evaluation["thresholds"]["routers"]:
        for kind, of in kinds.items():
            if not of:
                continue
            names = ("rejected", "excess", "accuracy_kept", "accuracy_rejected")
            values = [
                np.nanmean([row[name][router] or np.nan for row in of] or [np.nan])
                for name in names
            ]
            cells = " | ".join(f"{value:.3f}" for value in values)
            lines.append(f"| {router} | {kind} ({len(of)}) | {cells} |")
    return lines


def on_clean_items(folder: Path) -> list[str]:
    """AUROC of wrong answers on clean test items; with the spread over harmless views."""
    test = scored(Predictions.load(folder / "test.npz"))
    mean = np.exp(test.mean_log_probs.astype(np.float64))
    spread = []
    for path in sorted(folder.glob("tolerance_*.npz")):
        log_probs = np.asarray(Predictions.load(path).log_probs, np.float32)
        view = np.exp(np.asarray(uncertainty.mean_log_probs(log_probs), np.float64))
        middle = (mean + view) / 2
        divergence = [(p * np.log(p / middle)).sum(1) for p in (mean, view)]
        spread.append(np.mean(divergence, axis=0))
    found = {name: np.asarray(test.scores[name], np.float32) for name in test.scores}
    found = {n: of for n, of in found.items() if n in ("max_prob", "epistemic", "ood_density")}
    if spread:
        found["change across harmless views"] = np.mean(spread, axis=0).astype(np.float32)
    wrong = ~test.correct
    lines = ["| score | AUROC of wrong answers, clean items |", "|---|---|"]
    for name, of in found.items():
        lines.append(f"| {label(name)} | {float(metrics.auroc(of, wrong)):.3f} |")
    return lines


def main() -> None:
    """Prints all tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="folder of the run")
    run = parser.parse_args().run
    evaluation = json.loads((run / "evaluation.json").read_text())
    for table in (areas(evaluation), routers(evaluation), on_clean_items(run / "predictions")):
        print("\n".join(table), end="\n\n")


if __name__ == "__main__":
    main()
