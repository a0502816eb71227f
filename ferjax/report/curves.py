"""The curves of a run, finished or in progress, as a picture."""

from collections.abc import Sequence
from pathlib import Path

from ferjax.report import plots

__all__ = ["training_curves"]


def training_curves(lines: Sequence[dict], seeds: Sequence[int], path: Path) -> Path:
    """Draws loss and accuracies of every member over epochs, and the ensemble's.

    Args:
      lines: the log of a run, as metrics.jsonl holds it.
      seeds: the members' seeds.
      path: where the PNG goes.
    """
    figure = plots.Figure(figsize=(9, 3.6))
    loss, accuracy = figure.subplots(1, 2)
    validated = [line for line in lines if "valid_accuracy" in line]
    epochs, ends = ([line["epoch"] for line in some] for some in (lines, validated))
    for member, seed in enumerate(seeds):
        style = {"color": f"C{member % 10}", "lw": 1}
        loss.plot(
            epochs, [_or_gap(line["loss"][member]) for line in lines], label=f"seed {seed}", **style
        )
        accuracy.plot(
            ends, [_or_gap(line["valid_accuracy"][member]) for line in validated], **style
        )
    together = [
        (line["epoch"], line["valid_ensemble_accuracy"])
        for line in validated
        if line.get("valid_ensemble_accuracy") is not None
    ]
    if together:
        accuracy.plot(*zip(*together), color="black", lw=2, label="ensemble")
        accuracy.legend(frameon=False, fontsize=8)
    loss.set_ylabel("training loss (nats)")
    accuracy.set_ylabel("valid accuracy")
    for axes in (loss, accuracy):
        axes.set_xlabel("epoch")
        axes.spines[["top", "right"]].set_visible(False)
    if len(seeds) <= 10:
        loss.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=130, bbox_inches="tight")
    return path


def _or_gap(value: float | None) -> float:
    return float("nan") if value is None else value
