"""Seconds per stage: the quickstart from nothing, and a full evaluation from saved predictions.

    python -m benchmarks.end_to_end [--quick] [--out FOLDER]

The quickstart's stages are what ``ferjax quickstart`` does, called one after another. The
evaluation is what ``ferjax evaluate`` does once predictions lie on disk: five members, 3,569 test
faces, 26 conditions (clean, five corruptions at five severities) and 2,000 resamples, from drawn
log-probabilities; its stages are the public functions of ``ferjax.evaluation``, each counted
without those it calls.
"""

import inspect
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import results
from ferjax.config import (
    BASE_CORRUPTIONS,
    Config,
    DataConfig,
    EvaluateConfig,
    ModelConfig,
    TrainConfig,
)
from ferjax.predictions import Predictions

TINY = Config(
    data=DataConfig(synthetic_faces=100),
    model=ModelConfig(patch_size=24, dim=16, depth=1, heads=2),
    train=TrainConfig(seeds=(1, 2), epochs=2),
    evaluate=EvaluateConfig(
        corruptions=("gnoise",), severities=(1, 5), resamples=50, batch_size=64
    ),
)


class Stages:
    """Seconds by stage, in the order they began; a stage inside another one is taken out of it."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter):
        self.seconds: Counter[str] = Counter()
        self._clock = clock
        self._inside = [0.0]

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times the block."""
        self.seconds[name] += 0.0
        self._inside.append(0.0)
        began = self._clock()
        try:
            yield
        finally:
            whole = self._clock() - began
            self.seconds[name] += whole - self._inside.pop()
            self._inside[-1] += whole

    @contextmanager
    def functions_in(self, module: Any) -> Iterator[None]:
        """Makes a stage of every function of ferjax that a module calls by name."""
        changed = {
            name: function
            for name, function in vars(module).items()
            if inspect.isfunction(function) and function.__module__.startswith("ferjax.")
        }
        for name, function in changed.items():
            setattr(module, name, self._counted(name, function))
        try:
            yield
        finally:
            for name, function in changed.items():
                setattr(module, name, function)

    def _counted(self, stage: str, function: Callable) -> Callable:
        @wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            with self.stage(stage):
                return function(*args, **kwargs)

        return counted


def quickstart(config: Config, folder: Path) -> Counter[str]:
    """Everything that the command does on drawn faces, stage by stage."""
    from ferjax.ensemble import training
    from ferjax.faces import dataset
    from ferjax.serving.router import Router
    from ferjax.workflow import evaluate_run

    stages = Stages()
    with stages.stage("draw faces"):
        data = dataset.load(config.data)
    with stages.stage("train"):
        training.train(config, data, folder)
    with stages.stage("predict and evaluate"):
        evaluate_run(folder)
    with stages.stage("route 24 faces"):
        Router(folder)(data["test"].images[:24])
    return stages.seconds


def draw_predictions(
    members: int, faces: int, corruptions: tuple[str, ...], severities: tuple[int, ...]
) -> list[Predictions]:
    """Predictions of an ensemble that knows the votes and is put off by corruption, and those
    votes."""
    rng = np.random.default_rng(0)
    truth = rng.dirichlet(np.full(8, 0.3), faces)
    votes = rng.multinomial(10, truth)
    ids = np.arange(faces)

    def predictions(condition: str, corruption: str | None, severity: int | None) -> Predictions:
        logits = np.log(truth + 0.02) + 0.3 * (1 + (severity or 0)) * rng.normal(
            size=(members, faces, 8)
        )
        log_probs = logits - np.logaddexp.reduce(logits, -1, keepdims=True)
        split = "valid" if condition == "valid" else "test"
        about = {"corruption": corruption, "severity": severity, "split": split}
        return Predictions(log_probs.astype(np.float32), ids, votes, condition=condition, **about)

    clean = [predictions(name, None, None) for name in ("valid", "test")]
    return clean + [predictions(f"{c}_{s}", c, s) for c in corruptions for s in severities]


def evaluation_stages(drawn: list[Predictions], folder: Path, resamples: int) -> Counter[str]:
    """Reads saved predictions and evaluates them, stage by stage."""
    from ferjax.evaluation import evaluate
    from ferjax.evaluation.conditions import Conditions
    from ferjax.report import write

    (folder / "predictions").mkdir(parents=True)
    for p in drawn:
        p.save(folder / "predictions" / f"{p.condition}.npz")
    stages = Stages()
    e = EvaluateConfig()
    with stages.stage("read predictions"):
        read = [Predictions.load(path) for path in sorted((folder / "predictions").glob("*.npz"))]
    with stages.functions_in(evaluate):
        conditions = Conditions.of({p.condition: p for p in read}, resamples=resamples, seed=e.seed)
        found = evaluate.evaluate(
            conditions, false_rejection=e.false_rejection, defer_share=e.defer_share
        )
    with stages.stage("report"):
        write.write(found, conditions, folder)
    return stages.seconds


def run(found: results.Results) -> None:
    """Quickstart, then evaluation."""
    config = TINY if found.quick else Config()
    drawn = (
        draw_predictions(2, 200, ("gnoise",), (1, 5))
        if found.quick
        else draw_predictions(5, 3_569, BASE_CORRUPTIONS, (1, 2, 3, 4, 5))
    )
    with tempfile.TemporaryDirectory() as scratch:
        for title, seconds in (
            ("quickstart", lambda: quickstart(config, Path(scratch, "quickstart"))),
            (
                f"evaluation of {len(drawn) - 1} conditions of {len(drawn[0].ids):,} items from "
                "saved predictions",
                lambda: evaluation_stages(
                    drawn, Path(scratch, "evaluation"), 50 if found.quick else 2_000
                ),
            ),
        ):
            stages = seconds()
            found.table(
                f"{title}, in all {sum(stages.values()):.1f} s", "stage", "seconds", "share"
            )
            for stage, spent in stages.items():
                if spent > 0.005 * sum(stages.values()):
                    found.row(stage, spent, f"{spent / sum(stages.values()):.0%}")


if __name__ == "__main__":
    results.main(run, __doc__)
