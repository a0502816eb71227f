"""A run as frozen dataclasses: data, training, evaluation, and all of it as one :class:`Config`."""

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal

from ferjax.config._checks import (
    build,
    require,
    require_known_choices,
    require_resamples,
    require_seed,
)
from ferjax.config._loading import load
from ferjax.config._methods import EacConfig, EvidentialConfig, Method, ScnConfig
from ferjax.config._model import ModelConfig
from ferjax.files import parse_json

__all__ = [
    "BASE_CORRUPTIONS",
    "PAPER_CORRUPTIONS",
    "TOLERANCES",
    "Config",
    "DataConfig",
    "EvaluateConfig",
    "TrainConfig",
    "load_config",
]

BASE_CORRUPTIONS = ("gnoise", "blur", "occlude", "bright", "pixelate")
PAPER_CORRUPTIONS = (
    *BASE_CORRUPTIONS,
    *("shot_noise", "impulse_noise", "motion_blur", "contrast", "jpeg", "elastic"),
)
TOLERANCES = (
    "mirrored",
    "zoom",
    "rotation",
    "shift",
    "gamma",
    "brightness",
    "contrast",
    "noise",
    "resampling",
    "jpeg",
)
METHOD_OF_LABELS = {"soft": "votes", "hard": "labels"}
"""``train.method`` by what version 0.1.0 called ``train.labels``."""


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which faces, and which of them are kept."""

    name: Literal["synthetic", "ferplus", "folder", "texts"] = "synthetic"
    """synthetic: drawn faces whose true vote distribution is known; ferplus and folder: what
    `ferjax data ferplus` and `ferjax data folder` wrote; texts: labelled texts, for the networks
    that read such."""
    path: str = ""
    """Folder that `ferjax data ferplus --out` or `ferjax data folder --out` wrote; or the file of
    the texts, several by wildcards: a panel of people, or lines of text, tab, labels (.tsv)."""
    policy: Literal["paper", "majority", "probability"] = "paper"
    """Which faces to keep and how votes become a target; published FER+ accuracies use majority."""
    deduplicate: bool = False
    """Drop training faces that have a pixel-identical twin in valid or test."""
    synthetic_faces: int = 5000
    """Training faces to draw (synthetic only); valid and test get a fifth of that each."""
    seed: int = 0
    """Seed of the synthetic faces."""
    classes: tuple[str, ...] = ()
    """Names of the classes, where the file of the texts holds their numbers."""
    held_out: str = ""
    """File of texts that are to be judged: none of them is trained on."""
    embeddings: str = ""
    """Sentence embeddings: a file of `ferjax judge embed`, or .npy [text, width] in the order of
    the texts."""

    def __post_init__(self) -> None:
        require_known_choices(self, "data")
        require(
            self.name != "texts" or bool(self.path),
            "data.path is empty: give the file of the texts, e.g. goemotions_simplified_*.tsv",
        )
        require(
            self.name not in ("ferplus", "folder") or bool(self.path),
            "data.path is empty: give the folder that "
            f"`ferjax data {self.name} --out FOLDER` wrote",
        )
        require(
            50 <= self.synthetic_faces <= 10**6,
            f"data.synthetic_faces must be at least 50 and at most 1,000,000, "
            f"got {self.synthetic_faces}",
        )
        require_seed(self.seed, "data.seed")


def _require_tolerances(names: tuple[str, ...], field: str) -> None:
    unknown = [name for name in names if name not in TOLERANCES]
    require(
        not unknown,
        f"{field}: unknown tolerance {', '.join(unknown)}; known: {', '.join(TOLERANCES)}",
    )


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How the ensemble is trained; one seed per member."""

    seeds: tuple[int, ...] = (42, 43, 44, 45, 46)
    """One member per seed: its head init, batch order and flips. Their number is the ensemble size
    K."""
    method: Method = "votes"
    """votes: cross-entropy to the vote distribution; labels: to the most voted class; multinomial:
    to the counts, so that faces with more votes weigh more. dirichlet: votes, and a concentration
    per face fitted to the counts; dirichlet-joint: mean and concentration by the counts alone.
    evidential, scn, eac: as published, see their settings. mc-dropout: votes, and several passes
    with model.dropout at prediction; disagreement: votes, and an output for the share of people who
    do not choose the most voted class. distil: what `ferjax distil` trains."""
    epochs: int = 8
    """Times that every member sees all training faces."""
    batch_size: int = 32
    """Faces per step and member."""
    views: int = 1
    """Pictures of each training face: itself, and so many more under train.tolerances, made once;
    each time it is seen, one of them is drawn. Memory, and the time before training, grow with
    it."""
    tolerances: tuple[str, ...] = ("zoom", "rotation", "shift")
    """Harmless changes of the views, each with probability 1/2; nothing happens where train.views
    is 1."""
    learning_rate: float = 3e-3
    """Peak AdamW learning rate; falls to 0 along a cosine."""
    warmup_epochs: float = 1.0
    """Epochs of linear warm-up before the cosine (0 in the paper's recipe), shortened where it
    would fill the training."""
    weight_decay: float = 0.05
    """AdamW's decay of weight matrices."""
    layer_decay: float = 1.0
    """Learning-rate factor per block counted from the top, e.g. 0.75; 1.0 (the paper's recipe)
    treats all alike."""
    accumulate: int = 1
    """Split each batch into this many parts and add their gradients: the same step in less
    memory."""
    log_every: int = 50
    """Steps between lines of metrics.jsonl, about: an epoch is divided evenly, and always ends with
    a line."""
    checkpoint_every: float = 5.0
    """Minutes between checkpoints: what a kill can cost. One is also written at the end, and on
    SIGTERM or Ctrl-C."""
    keep_checkpoints: int = 2
    """How many of the newest checkpoints stay on disk; each holds the best parameters of every
    member too."""
    max_bad_steps: int = 5
    """Steps in a row with a non-finite loss or gradient after which a member returns to its best
    parameters; a second time it is frozen and left out."""
    evidential: EvidentialConfig = dataclasses.field(default_factory=EvidentialConfig)
    """Settings of the method evidential."""
    scn: ScnConfig = dataclasses.field(default_factory=ScnConfig)
    """Settings of the method scn."""
    eac: EacConfig = dataclasses.field(default_factory=EacConfig)
    """Settings of the method eac."""
    labels: dataclasses.InitVar[str | None] = None
    """What version 0.1.0 called the method: soft for votes, hard for labels. Where it is given, it
    decides."""

    def __post_init__(self, labels: str | None) -> None:
        if labels is not None:
            require(
                labels in METHOD_OF_LABELS,
                f"train.labels, the old name of train.method, must be soft or hard; got {labels!r}",
            )
            object.__setattr__(self, "method", METHOD_OF_LABELS[labels])
        require_known_choices(self, "train")
        require(
            len(self.seeds) >= 1,
            "train.seeds is empty: an ensemble needs at least one member (K >= 1)",
        )
        twice = sorted({s for s in self.seeds if self.seeds.count(s) > 1})
        require(
            not twice,
            f"train.seeds holds {twice} more than once: members with the same seed are identical",
        )
        require(
            all(0 <= s < 2**32 for s in self.seeds),
            f"train.seeds must be in 0..2**32-1, got {self.seeds}",
        )
        for name in ("epochs", "batch_size", "log_every", "keep_checkpoints", "max_bad_steps"):
            require(
                getattr(self, name) >= 1,
                f"train.{name} must be at least 1, got {getattr(self, name)}",
            )
        require(
            1 <= self.views <= 100,
            f"train.views must be at least 1 and at most 100, got {self.views}",
        )
        _require_tolerances(self.tolerances, "train.tolerances")
        require(
            self.views == 1 or bool(self.tolerances),
            f"train.views {self.views} needs train.tolerances, which is empty",
        )
        require(
            self.checkpoint_every >= 0,
            f"train.checkpoint_every must be 0 or more minutes, got {self.checkpoint_every}",
        )
        require(
            0 < self.layer_decay <= 1,
            f"train.layer_decay must be in (0, 1], got {self.layer_decay}",
        )
        require(
            self.accumulate >= 1 and self.batch_size % self.accumulate == 0,
            f"train.accumulate must divide train.batch_size {self.batch_size}, "
            f"got {self.accumulate}",
        )
        require(
            self.learning_rate > 0,
            f"train.learning_rate must be positive, got {self.learning_rate}",
        )
        require(
            self.warmup_epochs >= 0,
            f"train.warmup_epochs must be 0 or more, got {self.warmup_epochs}",
        )

    @property
    def warmup(self) -> float:
        """Epochs of warm-up that are taken: half of a training that warmup_epochs would fill."""
        return self.warmup_epochs if self.warmup_epochs < self.epochs else self.epochs / 2


@dataclasses.dataclass(frozen=True)
class EvaluateConfig:
    """What the ensemble is held against."""

    corruptions: tuple[str, ...] = BASE_CORRUPTIONS
    """Corruptions of the test faces; the paper's base five unless told otherwise."""
    severities: tuple[int, ...] = (1, 2, 3, 4, 5)
    """How strong they are, some of 1 to 5."""
    fit_corruptions: tuple[str, ...] = ()
    """Corruptions of the valid faces that learned routers are fitted on; none by default, so none
    is learned."""
    fit_severities: tuple[int, ...] = (1, 3, 5)
    """Severities of fit_corruptions."""
    fit_faces: int = 1200
    """Valid faces that learned routers are fitted on, at most (each under every one of these
    corruptions)."""
    tolerances: tuple[str, ...] = TOLERANCES
    """Harmless changes of the pictures that a router must not mind: densities are fitted, and
    thresholds chosen, under all of them. None: on clean faces alone."""
    tolerance_faces: int = 1000
    """Valid faces that thresholds are chosen on under each tolerance, at most."""
    density_faces: int = 6000
    """Training faces that densities are fitted on, at most."""
    batch_size: int = 256
    """Faces that go through all members at a time."""
    passes: int = 20
    """Forward passes of a member, each with values dropped anew (mc-dropout only)."""
    resamples: int = 2000
    """Bootstrap resamples behind every interval."""
    seed: int = 0
    """Seed of corruption noise and bootstrap."""
    false_rejection: float = 0.05
    """The reject threshold keeps the false rejection of clean faces below this (split-conformal, on
    valid)."""
    defer_share: float = 1 / 3
    """The defer threshold is where this share of the valid faces lies above it: how many are
    deferred is a choice, no finding."""

    def __post_init__(self) -> None:
        require_known_choices(self, "evaluate")
        require_seed(self.seed, "evaluate.seed")
        for name in ("corruptions", "severities", "fit_corruptions", "fit_severities"):
            of = getattr(self, name)
            twice = sorted({str(one) for one in of if of.count(one) > 1})
            require(not twice, f"evaluate.{name} holds {', '.join(twice)} more than once")
        for name in ("severities", "fit_severities"):
            require(
                all(1 <= s <= 5 for s in getattr(self, name)),
                f"evaluate.{name} must be in 1..5, got {getattr(self, name)}",
            )
        _require_tolerances(self.tolerances, "evaluate.tolerances")
        require(
            self.tolerance_faces >= 20,
            f"evaluate.tolerance_faces must be at least 20, got {self.tolerance_faces}",
        )
        require(self.fit_faces >= 2, f"evaluate.fit_faces must be at least 2, got {self.fit_faces}")
        require(
            self.density_faces >= 20,
            f"evaluate.density_faces must be at least 20, got {self.density_faces}",
        )
        require(
            1 <= self.batch_size <= 2**16,
            f"evaluate.batch_size must be at least 1 and at most 65,536, got {self.batch_size}",
        )
        require_resamples(self.resamples, "evaluate.resamples")
        require(
            1 <= self.passes <= 10**4,
            f"evaluate.passes must be at least 1 and at most 10,000, got {self.passes}",
        )
        for name in ("false_rejection", "defer_share"):
            require(
                0 < getattr(self, name) < 1,
                f"evaluate.{name} must lie strictly between 0 and 1, got {getattr(self, name)}",
            )


@dataclasses.dataclass(frozen=True)
class Config:
    """One run; ``Config()`` is five tiny ViTs on synthetic faces, minutes on two CPU cores."""

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = dataclasses.field(default_factory=EvaluateConfig)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            part = getattr(self, field.name)
            kind: Any = field.type
            require(isinstance(part, kind), f"{field.name} must be a {kind.__name__}, got {part!r}")
        self._require_what_the_method_needs()

    def _require_what_the_method_needs(self) -> None:
        method = self.train.method
        texts = self.model.network != "vit"
        require(
            not (texts and method == "eac"),
            "train.method eac compares the places that pictures are read at; model.network "
            f"{self.model.network} reads texts",
        )
        require(
            not (texts and self.train.views > 1),
            f"train.views {self.train.views} are of pictures; model.network "
            f"{self.model.network} reads texts: set it to 1",
        )
        require(
            not (texts and method == "scn" and self.train.scn.erase > 0),
            "train.scn.erase erases rectangles of pictures; set it to 0 for model.network "
            f"{self.model.network}",
        )
        require(
            method != "eac" or self.model.head == "cls+mean",
            "train.method eac compares class-activation maps, which only a head that sees the mean "
            f"patch token has: set model.head cls+mean, got {self.model.head}",
        )
        require(
            method != "mc-dropout" or self.model.dropout > 0,
            "train.method mc-dropout drops nothing with model.dropout 0: set it, e.g. "
            "--model.dropout 0.1",
        )
        require(
            method != "scn" or self.train.accumulate == 1,
            "train.method scn ranks the faces of a whole batch, which train.accumulate "
            f"{self.train.accumulate} would split: set it to 1",
        )
        first = int(self.train.batch_size * self.train.scn.share)
        require(
            method != "scn" or 0 < first < self.train.batch_size,
            f"train.scn.share {self.train.scn.share} of train.batch_size {self.train.batch_size} "
            f"is {first} faces: both groups need at least one",
        )

    def to_json(self) -> str:
        """The configuration as indented JSON, the inverse of :meth:`from_json`."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Config":
        """Builds a configuration from JSON.

        Raises:
          ValueError: on malformed JSON or an unknown key; names the key and the nearest right one.

        >>> Config.from_json('{"train": {"epochs": 3}}').train.epochs
        3
        >>> Config.from_json('{"train": {"epohcs": 3}}')
        Traceback (most recent call last):
        ValueError: unknown key train.epohcs; did you mean train.epochs?
        """
        try:
            values = parse_json(text)
        except ValueError as error:
            raise ValueError(f"not a JSON configuration: {error}") from error
        return build(cls, values)


_PARTS = (
    *(DataConfig, ModelConfig, TrainConfig, EvaluateConfig),
    *(EvidentialConfig, ScnConfig, EacConfig),
)


def load_config(path: str | Path) -> Config:
    """Reads a configuration from a Python file that defines ``config``, or from the JSON of a run.

    Args:
      path: a ``.py`` file with a module-level ``config = Config(...)``, a ``.json`` file, or the
        name of a configuration that comes with ferjax, e.g. ``ferplus_scratch``.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if the file does not build a valid :class:`Config`; the message names the file.
    """
    return load(Config, path, (*_PARTS, Config))
