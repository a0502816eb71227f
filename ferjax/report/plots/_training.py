"""The curves of a training run, finished or in progress."""

from collections.abc import Sequence
from pathlib import Path

from ferjax.report.plots._figure import legend_beside, panels, save

__all__ = ["training_curves"]


def training_curves(lines: Sequence[dict], seeds: Sequence[int], path: Path) -> Path:
    """Draws loss and accuracies of every member over epochs, and the ensemble's accuracy.

    Args:
      lines: the log of a run, as metrics.jsonl holds it.
      seeds: the members' seeds.
      path: where the PNG goes.
    """
    figure, (loss, accuracy) = panels((9, 3.6), 2, 2)
    validated = [line for line in lines if "valid_accuracy" in line]
    epochs = [line["epoch"] for line in lines]
    ends = [line["epoch"] for line in validated]
    for member, seed in enumerate(seeds):
        style = {"color": f"C{member % 10}", "lw": 1}
        losses = [_or_nan(line["loss"][member]) for line in lines]
        accuracies = [_or_nan(line["valid_accuracy"][member]) for line in validated]
        loss.plot(epochs, losses, label=f"seed {seed}", **style)
        accuracy.plot(ends, accuracies, **style)
    ensemble = [(line["epoch"], line.get("valid_ensemble_accuracy")) for line in validated]
    ensemble = [point for point in ensemble if point[1] is not None]
    if ensemble:
        accuracy.plot(*zip(*ensemble), color="black", lw=2, label="ensemble")
        legend_beside(accuracy)
    loss.set_ylabel("training loss (nats)")
    accuracy.set_ylabel("valid accuracy")
    for axes in (loss, accuracy):
        axes.set_xlabel("epoch")
    if len(seeds) <= 10:
        legend_beside(loss)
    return save(figure, path)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
