"""``ferjax evaluate``: uncertainties held against people and against shift, from a run or from
anybody's predictions."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from ferjax.commands.console import err, out
from ferjax.commands.memory import keep_freed_memory


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Hold uncertainties against people and against shift; choose thresholds; write one
    report.html, and JSON and CSV.

    ferjax evaluate RUN : a trained run against its own data

    ferjax evaluate RUN --ood cats=photos/cats raf=rafdb/ : and against other pictures; RUN is not
    retrained

    ferjax evaluate --predictions DIR --votes votes.csv --out OUT : predictions of any framework; no
    model is needed

    A folder given to --ood whose folders are named by expressions (happy, sad, ...) is a labelled
    cross-dataset test. Files given to --predictions are .npz or .npy of log-probabilities,
    probabilities or logits [member, face, class], one file per condition: test.npz, valid.npz,
    blur_3.npz (corruption and severity), any other name is a set of strangers. `python -c "import
    ferjax.evaluation.readers as e; help(e)"` documents them and shows how to dump them from
    PyTorch.
    """

    run_folder: Positional[Path | None] = None
    """Folder that `ferjax train --out` wrote; it also receives the report."""
    predictions: tuple[Path, ...] = ()
    """Files of predictions, or folders of them, instead of a run."""
    votes: Path | None = None
    """Votes of the test faces: CSV with a header, .npz or .npy (with --predictions)."""
    images: Path | None = None
    """.npz with `images` of the test faces, uint8, to show some in the report (with
    --predictions)."""
    out: Path | None = None
    """Folder of the report; needed with --predictions, otherwise the run folder unless given."""
    ood: tuple[str, ...] = ()
    """Other sets of pictures, NAME=FOLDER or NAME=FILE.npz (with a run)."""
    resamples: int | None = None
    """Bootstrap resamples; the run's evaluate.resamples, or 2000, unless given."""
    seed: int | None = None
    """Seed of corruptions and bootstrap; the run's evaluate.seed, or 0, unless given."""
    corruptions: tuple[str, ...] | None = None
    """Corruptions; the run's evaluate.corruptions unless given."""
    data_path: str | None = None
    """Where the FER+ data set is now, if it moved since training."""
    resample_groups: bool = False
    """Draw pixel-identical test pictures together in the bootstrap (predictions files bring their
    own groups)."""
    show_faces: bool = True
    """Put example faces into the report."""

    def run(self) -> int:
        keep_freed_memory()
        if (self.run_folder is None) == (not self.predictions):
            raise ValueError("give either a run folder or --predictions FILE...")
        if self.predictions:
            return self._from_files()
        for name in ("votes", "images"):
            if getattr(self, name) is not None:
                raise ValueError(f"--{name} goes with --predictions; a run brings its own")
        return self._from_run()

    def _finish(self, tables: Mapping) -> int:
        from ferjax.report import console

        console.show(tables, out)
        for file in tables["files"]:
            out.print(f"wrote {file}", highlight=False, soft_wrap=True)
        return 0

    def _from_files(self) -> int:
        """Score-only: this must work, and be quick, where neither model nor training code can be
        imported."""
        import numpy as np

        from ferjax.config import EvaluateConfig
        from ferjax.evaluation import readers
        from ferjax.report import write

        if self.out is None:
            raise ValueError("--predictions needs --out FOLDER for the report")
        for name in ("ood", "corruptions", "data_path"):
            if getattr(self, name):
                raise ValueError(
                    f"--{name.replace('_', '-')} needs a run; here every condition is a file of predictions"
                )
        defaults = EvaluateConfig()
        settings = dataclasses.replace(
            defaults, resamples=defaults.resamples if self.resamples is None else self.resamples
        )
        predictions, kinds, classes = readers.load(self.predictions, self.votes)
        if predictions["test"].votes is None:
            raise ValueError(
                "the predictions of the test faces bring no votes: give --votes FILE, or an array votes in their .npz"
            )
        images = None
        if self.images is not None and self.show_faces:
            with np.load(self.images, allow_pickle=False) as file:
                if "images" not in file.files or len(file["images"]) != len(
                    predictions["test"].ids
                ):
                    raise ValueError(
                        f"{self.images}: expected an array images with {len(predictions['test'].ids)} pictures of the test faces"
                    )
                images = {"test": file["images"]}
        about = {"data": _files(predictions, kinds)}
        tables = write.evaluate(
            predictions,
            self.out,
            resamples=settings.resamples,
            seed=self.seed or 0,
            classes=classes,
            false_rejection=settings.false_rejection,
            defer_share=settings.defer_share,
            images=images,
            about=about,
        )
        return self._finish(tables)

    def _from_run(self) -> int:
        from ferjax.ensemble import prediction
        from ferjax.faces import dataset, image_folders
        from ferjax.report import write

        assert self.run_folder is not None
        others = dict(image_folders.parse(text) for text in self.ood)
        trained = prediction.load_run(self.run_folder)
        config = trained.config
        given = {"resamples": self.resamples, "corruptions": self.corruptions, "seed": self.seed}
        settings = dataclasses.replace(
            config.evaluate, **{k: v for k, v in given.items() if v is not None}
        )
        data = (
            config.data
            if self.data_path is None
            else dataclasses.replace(config.data, path=self.data_path)
        )
        config = dataclasses.replace(config, evaluate=settings, data=data)
        trained = trained._replace(config=config)
        known = ("valid", "test", "not_a_face", "unknown")
        taken = [name for name in others if name in known]
        if taken:
            raise ValueError(
                f"--ood {taken[0]}=...: that name is taken; this run's own sets are {', '.join(known)}"
            )
        read = {name: _read(name, path) for name, path in others.items()}
        faces = dataset.load(data)
        predictions = {
            p.condition: p
            for p in prediction.predict_conditions(trained, faces, self.run_folder / "predictions")
        }
        if self.resample_groups:
            predictions["test"] = dataclasses.replace(
                predictions["test"], groups=dataset.duplicates(faces["test"].images)
            )
        images = {name: faces[name].images for name in known if name in predictions}
        if read:  # its densities were fitted just now
            trained = trained._replace(familiarity=prediction.load_run(self.run_folder).familiarity)
        for number, (name, faces_of) in enumerate(read.items()):
            predictions[name] = _predict(trained, name, faces_of, 10**9 * (number + 1))
            predictions[name].save(self.run_folder / "predictions" / f"{name}.npz")
            images[name] = faces_of.images
        tables = write.evaluate(
            predictions,
            self.out or self.run_folder,
            resamples=settings.resamples,
            seed=settings.seed,
            false_rejection=settings.false_rejection,
            defer_share=settings.defer_share,
            images=images if self.show_faces else None,
            about={"data": _counts(data, faces), "config": dataclasses.asdict(config)},
        )
        return self._finish(tables)


def _files(predictions: Mapping, kinds: Mapping[str, str]) -> dict[str, str]:
    """What was in the files; severities of one corruption on one line."""
    together: dict[tuple[str, str, int], list[str]] = {}
    for (name, kind), p in zip(kinds.items(), predictions.values()):
        stem, severity = (
            (name.removesuffix(f"_{p.severity}"), str(p.severity)) if p.corruption else (name, "")
        )
        together.setdefault((stem, kind, p.log_probs.shape[1]), []).append(severity)
    return {
        f"{stem.replace('_', ' ')} {', '.join(sorted(severities))}".strip(): f"{kind.replace('_', ' ')}, {faces:,} faces"
        for (stem, kind, faces), severities in together.items()
    }


def _read(name: str, path: Path) -> Any:
    """A set of pictures, and a word about those that could not be read."""
    from ferjax.faces import image_folders

    found = image_folders.read_set(path)
    if found.unreadable:
        file, reason = found.unreadable[0]
        err.print(
            f"{name}: {len(found.unreadable)} of {len(found.unreadable) + len(found.images)} pictures left out; the first, "
            f"{file}: {reason}",
            highlight=False,
        )
    return found


def _predict(trained: Any, name: str, found: Any, first_id: int) -> Any:
    """Predictions of a set of pictures, whose ids are like no other's."""
    import numpy as np

    from ferjax.ensemble import prediction
    from ferjax.predictions import Predictions

    ids = first_id + np.arange(len(found.images))
    log_probs, scores = prediction.predict(
        prediction.predictor(trained), found.images, ids, trained.config.evaluate.batch_size
    )
    return Predictions(log_probs, ids, found.votes, condition=name, scores=scores)


def _counts(data: Any, faces: Mapping) -> dict[str, Any]:
    """What the data set holds, and the twins in it."""
    import numpy as np

    from ferjax.faces import dataset

    train = faces["train"].images
    test = faces["test"].images
    number = dataset.duplicates(np.concatenate([train, test]))
    in_train = number[: len(train)]
    in_test = number[len(train) :]
    return {
        "data set": data.name,
        "policy": data.policy,
        "training faces": len(train),
        "valid faces": len(faces["valid"].images),
        "training faces with a twin in valid or test": "dropped" if data.deduplicate else "kept",
        "test faces with a pixel-identical twin in training": int(np.isin(in_test, in_train).sum()),
        "test faces with a pixel-identical twin in test": int(
            len(in_test) - len(np.unique(in_test))
        ),
    }
