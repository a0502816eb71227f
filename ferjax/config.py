"""Every setting of a run, as frozen dataclasses; a file in configs/ builds one :class:`Config`.

This file imports nothing but the standard library, so that reading or checking a configuration
never starts JAX.
"""

import dataclasses
import difflib
import json
import runpy
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

__all__ = [
    "Config",
    "DataConfig",
    "EvaluateConfig",
    "ModelConfig",
    "TrainConfig",
    "dinov2",
    "load_config",
]

BASE_CORRUPTIONS = ("gnoise", "blur", "occlude", "bright", "pixelate")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _require_known_choices(part: Any, prefix: str) -> None:
    """Holds every ``Literal`` field to its choices; Python itself does not."""
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        choices = get_args(field.type)
        _require(
            get_origin(field.type) is not Literal or value in choices,
            f"{prefix}.{field.name} must be one of {', '.join(map(str, choices))}; got {value!r}",
        )


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which faces, and which of them are kept."""

    name: Literal["synthetic", "ferplus"] = "synthetic"
    """synthetic: drawn faces whose true vote distribution is known; ferplus: the data set `ferjax
    data` built."""
    path: str = ""
    """Folder that `ferjax data ferplus --out` wrote (ferplus only)."""
    policy: Literal["paper", "majority", "probability"] = "paper"
    """Which faces to keep and how votes become a target; published FER+ accuracies use majority."""
    deduplicate: bool = False
    """Drop training faces that have a pixel-identical twin in valid or test."""
    synthetic_faces: int = 5000
    """Training faces to draw (synthetic only); valid and test get a fifth of that each."""
    seed: int = 0
    """Seed of the synthetic faces."""

    def __post_init__(self) -> None:
        _require_known_choices(self, "data")
        _require(
            self.name != "ferplus" or bool(self.path),
            "data.path is empty: give the folder that `ferjax data ferplus --out FOLDER` wrote",
        )
        _require(
            self.synthetic_faces >= 50,
            f"data.synthetic_faces must be at least 50, got {self.synthetic_faces}",
        )


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """A DINOv2-style Vision Transformer; the defaults are a tiny one for 48-pixel faces."""

    image_size: int = 48
    """Side of the square network input, pixels; a multiple of patch_size."""
    patch_size: int = 16
    dim: int = 64
    """Width of a token."""
    depth: int = 2
    """Number of transformer blocks."""
    heads: int = 4
    """Attention heads; divides dim."""
    mlp_ratio: float = 4.0
    mlp: Literal["gelu", "swiglu"] = "gelu"
    """gelu: two dense layers (S, B, L); swiglu: the gated form of DINOv2 g."""
    registers: int = 0
    """Register tokens (4 in the DINOv2 "reg" models)."""
    layer_scale: float = 1.0
    """Initial LayerScale; 1.0 as in the original hub, 1e-5 makes blocks near-identity."""
    head: Literal["cls", "cls+mean"] = "cls+mean"
    """The linear head sees the final-normed CLS token, or CLS and the mean patch token side by
    side."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Compute type of the blocks; parameters, softmax, head and entropies stay float32."""
    remat: bool = False
    """Recompute each block in the backward pass: less memory, about a third more time."""
    drop_path: float = 0.0
    """Stochastic depth of the last block, growing linearly from 0 at the first (0 in the paper's
    recipe)."""
    pretrained: str = ""
    """Weights to start every member from: a safetensors file or folder, a .pth file. Empty:
    random."""
    trainable_blocks: int | None = None
    """Train only this many top blocks and the head; the frozen trunk is held once for all members.
    Unset: train all."""

    def __post_init__(self) -> None:
        _require_known_choices(self, "model")
        for name in ("image_size", "patch_size", "dim", "depth", "heads"):
            _require(
                getattr(self, name) >= 1,
                f"model.{name} must be at least 1, got {getattr(self, name)}",
            )
        _require(self.registers >= 0, f"model.registers must be 0 or more, got {self.registers}")
        _require(
            self.dim % self.heads == 0,
            f"model.heads must divide model.dim: {self.dim} / {self.heads} leaves a rest",
        )
        _require(
            0 <= self.drop_path < 1, f"model.drop_path must be in [0, 1), got {self.drop_path}"
        )
        _require(
            self.trainable_blocks is None or 0 <= self.trainable_blocks < self.depth,
            f"model.trainable_blocks must be in 0..{self.depth - 1} (unset trains all), got {self.trainable_blocks}",
        )
        below = self.image_size // self.patch_size * self.patch_size
        near = " or ".join(str(s) for s in (below, below + self.patch_size) if s > 0)
        _require(
            self.image_size % self.patch_size == 0,
            f"model.image_size {self.image_size} is not a multiple of model.patch_size {self.patch_size}; "
            f"the nearest that are: {near}",
        )


DINOV2_SIZES: dict[str, dict[str, Any]] = {
    "s14": {"dim": 384, "depth": 12, "heads": 6},
    "b14": {"dim": 768, "depth": 12, "heads": 12},
    "l14": {"dim": 1024, "depth": 24, "heads": 16},
    "g14": {"dim": 1536, "depth": 40, "heads": 24, "mlp": "swiglu"},
}


def dinov2(size: str, image_size: int = 224, *, registers: int = 0, **options: Any) -> ModelConfig:
    """A DINOv2 architecture by name.

    Args:
      size: s14, b14, l14 or g14.
      image_size: side of the input, a multiple of 14.
      registers: 0, or 4 for the models with registers.
      **options: any other field of :class:`ModelConfig`.

    Raises:
      ValueError: on an unknown size or an image size that patches of 14 do not tile.

    >>> dinov2("b14").dim
    768
    """
    _require(
        size in DINOV2_SIZES, f"unknown DINOv2 size {size!r}; known: {', '.join(DINOV2_SIZES)}"
    )
    return ModelConfig(
        image_size=image_size,
        patch_size=14,
        registers=registers,
        **{**DINOV2_SIZES[size], **options},
    )


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How the ensemble is trained; one seed per member."""

    seeds: tuple[int, ...] = (42, 43, 44, 45, 46)
    """One member per seed: its head init, batch order and flips. Their number is the ensemble size
    K."""
    labels: Literal["soft", "hard"] = "soft"
    """soft: cross-entropy to the vote distribution; hard: to the most voted class."""
    epochs: int = 8
    batch_size: int = 32
    """Faces per step and member."""
    learning_rate: float = 3e-3
    """Peak AdamW learning rate; falls to 0 along a cosine."""
    warmup_epochs: float = 1.0
    """Epochs of linear warm-up before the cosine (0 in the paper's recipe)."""
    weight_decay: float = 0.05
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

    def __post_init__(self) -> None:
        _require_known_choices(self, "train")
        _require(
            len(self.seeds) >= 1,
            "train.seeds is empty: an ensemble needs at least one member (K >= 1)",
        )
        twice = sorted({s for s in self.seeds if self.seeds.count(s) > 1})
        _require(
            not twice,
            f"train.seeds holds {twice} more than once: members with one seed are one member",
        )
        _require(
            all(0 <= s < 2**32 for s in self.seeds),
            f"train.seeds must be in 0..2**32-1, got {self.seeds}",
        )
        for name in ("epochs", "batch_size", "log_every", "keep_checkpoints", "max_bad_steps"):
            _require(
                getattr(self, name) >= 1,
                f"train.{name} must be at least 1, got {getattr(self, name)}",
            )
        _require(
            self.checkpoint_every >= 0,
            f"train.checkpoint_every must be 0 or more minutes, got {self.checkpoint_every}",
        )
        _require(
            0 < self.layer_decay <= 1,
            f"train.layer_decay must be in (0, 1], got {self.layer_decay}",
        )
        _require(
            self.accumulate >= 1 and self.batch_size % self.accumulate == 0,
            f"train.accumulate must divide train.batch_size {self.batch_size}, got {self.accumulate}",
        )
        _require(
            self.learning_rate > 0,
            f"train.learning_rate must be positive, got {self.learning_rate}",
        )
        _require(
            0 <= self.warmup_epochs < self.epochs,
            f"train.warmup_epochs must be 0 or more and below train.epochs ({self.epochs}), got {self.warmup_epochs}",
        )


@dataclasses.dataclass(frozen=True)
class EvaluateConfig:
    """What the ensemble is held against."""

    corruptions: tuple[str, ...] = BASE_CORRUPTIONS
    """Corruptions of the test faces; the paper's base five unless told otherwise."""
    severities: tuple[int, ...] = (1, 2, 3, 4, 5)
    fit_corruptions: tuple[str, ...] = ()
    """Corruptions of the valid faces that learned routers are fitted on; none by default, so none
    is learned."""
    fit_severities: tuple[int, ...] = (1, 3, 5)
    fit_faces: int = 1200
    """Valid faces that learned routers are fitted on, at most (each under every one of these
    corruptions)."""
    density_faces: int = 6000
    """Training faces that densities are fitted on, at most."""
    batch_size: int = 256
    resamples: int = 2000
    """Bootstrap resamples behind every interval."""
    seed: int = 0
    """Seed of corruption noise and bootstrap."""
    false_rejection: float = 0.05
    """The reject threshold keeps the false rejection of clean faces below this (split-conformal, on
    valid)."""
    defer_share: float = 1 / 3
    """The defer threshold defers this share of the valid faces."""

    def __post_init__(self) -> None:
        for name in ("severities", "fit_severities"):
            _require(
                all(1 <= s <= 5 for s in getattr(self, name)),
                f"evaluate.{name} must be in 1..5, got {getattr(self, name)}",
            )
        _require(
            self.fit_faces >= 2, f"evaluate.fit_faces must be at least 2, got {self.fit_faces}"
        )
        _require(
            self.density_faces >= 20,
            f"evaluate.density_faces must be at least 20, got {self.density_faces}",
        )
        _require(
            self.batch_size >= 1, f"evaluate.batch_size must be at least 1, got {self.batch_size}"
        )
        _require(
            self.resamples >= 2, f"evaluate.resamples must be at least 2, got {self.resamples}"
        )
        for name in ("false_rejection", "defer_share"):
            _require(
                0 < getattr(self, name) < 1,
                f"evaluate.{name} must lie strictly between 0 and 1, got {getattr(self, name)}",
            )


@dataclasses.dataclass(frozen=True)
class Config:
    """One run. ``Config()`` is the embedded default: synthetic faces, five tiny ViTs, minutes on
    two CPU cores."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            part = getattr(self, field.name)
            _require(
                isinstance(part, field.type),
                f"{field.name} must be a {field.type.__name__}, got {part!r}",
            )  # type: ignore[arg-type, union-attr]

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
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"not a JSON configuration: {error}") from error
        return _build(cls, values, "")


def _build(cls: type, values: Any, prefix: str) -> Any:
    _require(
        isinstance(values, dict),
        f"{prefix.rstrip('.') or 'a configuration'} must be an object, got {values!r}",
    )
    fields = {f.name: f for f in dataclasses.fields(cls)}
    built = {}
    for key, value in values.items():
        if key not in fields:
            raise ValueError(f"unknown key {prefix}{key}; {_nearest(key, list(fields), prefix)}")
        kind = fields[key].type
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            value = _build(kind, value, f"{prefix}{key}.")
        built[key] = tuple(value) if isinstance(value, list) else value
    return cls(**built)


def _nearest(key: str, known: list[str], prefix: str = "") -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {prefix}{near[0]}?" if near else f"known keys: {', '.join(known)}"


def load_config(path: str | Path) -> Config:
    """Reads a configuration from a Python file that defines ``config``, or from the JSON of a run.

    Args:
      path: a ``.py`` file with a module-level ``config = Config(...)``, or a ``.json`` file.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if the file does not build a valid :class:`Config`; the message names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no configuration file at {path}")
    try:
        if path.suffix == ".json":
            return Config.from_json(path.read_text())
        config = runpy.run_path(str(path)).get("config")
    except (ImportError, NameError, AttributeError, SyntaxError) as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise ValueError(
            f"{path}{where}: {type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}"
        ) from error
    except TypeError as error:
        # A wrong keyword in a Python config arrives as the dataclass's TypeError.
        known = [
            f.name
            for c in (DataConfig, ModelConfig, TrainConfig, EvaluateConfig, Config)
            for f in dataclasses.fields(c)
        ]
        key = str(error).split("'")[1] if "unexpected keyword argument" in str(error) else ""
        raise ValueError(
            f"{path}: {error}" + (f"; {_nearest(key, known)}" if key else "")
        ) from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not isinstance(config, Config):
        raise ValueError(
            f"{path}: must define `config = Config(...)`, found {type(config).__name__}"
        )
    return config
