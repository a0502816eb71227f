"""What `ferjax evaluate` does with several methods: compares them on the same items."""

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

from ferjax.config import EvaluateConfig
from ferjax.evaluation import readers
from ferjax.evaluation.comparison import Comparison, Cost, compare
from ferjax.events import Message, OnEvent, silent
from ferjax.files import require_folder
from ferjax.locking import FolderLock
from ferjax.predictions import Predictions
from ferjax.report import comparison
from ferjax.workflow import replaced

__all__ = ["compare_methods"]


def compare_methods(
    runs: Iterable[str | Path],
    predictions: Mapping[str, str | Path],
    out: str | Path,
    *,
    baseline: str | None = None,
    votes: Path | None = None,
    resamples: int | None = None,
    seed: int | None = None,
    data_path: str | None = None,
    on_event: OnEvent = silent,
) -> tuple[Comparison, list[Path]]:
    """Compares trained runs, and predictions of any framework, on the same test items.

    Args:
      runs: folders of runs; each is a method by its folder's name and keeps its predictions.
      predictions: name -> file or folder of predictions of another method.
      out: folder of the report.
      baseline: name of the method that others are held against; the first by default.
      votes: votes of the test items, where predictions bring none.
      resamples: bootstrap resamples.
      seed: of the bootstrap.
      data_path: where the data set is now, if it moved since training.
      on_event: told how far it is.

    Returns:
      What was found, and the files written, the page first.

    Raises:
      FileNotFoundError: if there is no such run, file or data set.
      ValueError: if two methods have one name, or were not read on the same items with the same
        votes; before long work starts as far as names tell.
    """
    paths = [Path(run) for run in runs]
    folders = {path.resolve().name: path for path in paths}
    if len(folders) < len(paths) or set(folders) & set(predictions):
        raise ValueError(
            "every method needs a name of its own, a run has its folder's; got "
            f"{', '.join([*(path.resolve().name for path in paths), *predictions])}"
        )
    names = [*folders, *predictions]
    if len(names) < 2:
        raise ValueError(f"a comparison needs at least two methods, got {', '.join(names)}")
    if baseline is not None and baseline not in names:
        raise ValueError(f"no method {baseline!r} to compare with; there are {', '.join(names)}")
    _require_runs(folders.values())
    methods = {
        name: readers.load([Path(path)], votes).predictions for name, path in predictions.items()
    }
    require_folder(out, make=False)
    costs = {}
    for name, folder in folders.items():
        on_event(Message(f"reading the predictions of {name}"))
        methods[name], costs[name] = _predicted(folder, data_path, on_event)
    settings = replaced(EvaluateConfig(), resamples=resamples, seed=seed)
    on_event(
        Message(f"comparing {len(names)} methods with {settings.resamples:,} bootstrap resamples")
    )
    found = compare(
        {name: methods[name] for name in names},
        baseline=baseline,
        costs=costs,
        resamples=settings.resamples,
        seed=settings.seed,
        on_event=on_event,
    )
    return found, comparison.write(found, Path(out))


def _require_runs(folders: Iterable[Path]) -> None:
    """Refuses folders that are no runs, before anything is read or written."""
    from ferjax.ensemble.folder import RunFolder

    for folder in folders:
        RunFolder(folder).config()


def _predicted(
    run: Path, data_path: str | None, on_event: OnEvent
) -> tuple[dict[str, Predictions], Cost]:
    """A run's predictions, made where its folder lacks them, and its cost."""
    from ferjax.ensemble import cost, prediction
    from ferjax.ensemble.trained import load_run
    from ferjax.faces import dataset as datasets

    trained = load_run(run, on_event)
    data = trained.config.data
    if data_path is not None:
        data = dataclasses.replace(data, path=data_path)
    trained = trained._replace(config=dataclasses.replace(trained.config, data=data))
    dataset = datasets.load(data)
    folder = run / "predictions"
    require_folder(folder)
    with FolderLock(folder, what=f"the evaluation of {run}"):
        predicted = prediction.predict_conditions(trained, dataset, folder, on_event)
    total = cost.total(trained.config, trained.spec, train_faces=len(dataset["train"].ids))
    return {p.condition: p for p in predicted}, Cost(**total._asdict())
