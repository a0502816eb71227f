"""``ferjax evaluate``: a run held against people and against corruptions."""

import dataclasses
from pathlib import Path

from tyro.conf import Positional

from ferjax.commands.console import out


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Hold a trained run against its data: predictions, dual validation, thresholds, routing, pictures.

    Leaves predictions/, evaluation.json, thresholds.json and pictures in the run folder.
    """

    run_folder: Positional[Path]
    """Folder that `ferjax train --out` wrote."""
    resamples: int | None = None
    """Bootstrap resamples; the run's evaluate.resamples unless given."""
    corruptions: tuple[str, ...] | None = None
    """Corruptions; the run's evaluate.corruptions unless given."""
    data_path: str | None = None
    """Where the FER+ data set is now, if it moved since training."""

    def run(self) -> int:
        from ferjax.analysis import report
        from ferjax.ensemble import prediction
        from ferjax.faces import dataset

        trained = prediction.load_run(self.run_folder)
        config = trained.config
        given = {"resamples": self.resamples, "corruptions": self.corruptions}
        settings = dataclasses.replace(config.evaluate, **{k: v for k, v in given.items() if v is not None})
        data = config.data if self.data_path is None else dataclasses.replace(config.data, path=self.data_path)
        trained = trained._replace(config=dataclasses.replace(config, evaluate=settings, data=data))
        predicted = prediction.predict_conditions(trained, dataset.load(data), self.run_folder / "predictions")
        tables = report.evaluate(
            {p.condition: p for p in predicted}, self.run_folder, resamples=settings.resamples, seed=settings.seed,
            false_rejection=settings.false_rejection, defer_share=settings.defer_share)
        report.show(tables, out)
        for picture in tables["pictures"]:
            out.print(f"picture: {picture}", highlight=False)
        return 0
