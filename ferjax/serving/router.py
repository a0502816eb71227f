"""Pictures to decisions, as a program uses it: ``Router(run)(images)``."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from ferjax import routing, uncertainty
from ferjax.ensemble.prediction import Trained, load_run, predict, predictor
from ferjax.faces.votes import CLASSES

__all__ = ["Decision", "Router", "load_thresholds"]


class Decision(NamedTuple):
    """What the router says of one face."""

    action: str
    label: str
    probs: Mapping[str, float]
    aleatoric: float
    epistemic: float
    why: str


def load_thresholds(folder: Path) -> dict:
    """Reads a run's thresholds.

    Raises:
      FileNotFoundError: if the run was not evaluated yet.
      ValueError: if the file holds no thresholds.
    """
    path = Path(folder) / "thresholds.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no thresholds.json; choose thresholds with `ferjax evaluate {folder}`")
    thresholds = json.loads(path.read_text())
    missing = {"aleatoric", "epistemic"} - set(thresholds)
    if missing:
        raise ValueError(f"{path}: missing {', '.join(sorted(missing))}")
    return {**thresholds, **{k: np.inf if thresholds[k] is None else thresholds[k] for k in ("aleatoric", "epistemic")}}


def explain(action: str, probs: Sequence[float], aleatoric: float, epistemic: float, thresholds: Mapping) -> str:
    """Why a face was routed as it was, in words."""
    order = np.argsort(probs)[::-1]
    shares = ", ".join(f"{probs[c]:.0%} {CLASSES[c]}" for c in order[:3] if probs[c] >= 0.1)
    if action == "reject":
        level = 1 - thresholds.get("false_rejection", 0.05)
        return (f"rejected: epistemic {epistemic:.3f} is above {thresholds['epistemic']:.3f}, "
                f"the level {level:.0%} of clean faces stay below")
    if action == "defer":
        return f"deferred: aleatoric {aleatoric:.2f} is above {thresholds['aleatoric']:.2f}; people would disagree: {shares}"
    return f"accepted: {shares}; aleatoric {aleatoric:.2f} and epistemic {epistemic:.3f} are below their thresholds"


@jax.jit
def _judge(log_probs: jax.Array, aleatoric: jax.Array, epistemic: jax.Array):
    parts = uncertainty.decompose(log_probs)
    action = routing.decide(parts.aleatoric, parts.epistemic, routing.Thresholds(aleatoric, epistemic))
    return action, uncertainty.mean_log_probs(log_probs), parts


class Router:
    """A run's ensemble and thresholds as one callable.

    Args:
      run: a run folder, or an opened :class:`Trained` (then give ``thresholds``).
      thresholds: overrides the run's.
      batch_size: faces per compiled call; fewer are padded, more are cut, so nothing recompiles.
    """

    def __init__(self, run: str | Path | Trained, thresholds: Mapping | None = None, *, batch_size: int = 64):
        self.trained = run if isinstance(run, Trained) else load_run(Path(run))
        if thresholds is None:
            if isinstance(run, Trained):
                raise ValueError("give thresholds with an opened run; a run folder brings its own")
            thresholds = load_thresholds(Path(run))
        self.thresholds = dict(thresholds)
        self.batch_size = batch_size
        self._predict = predictor(self.trained)

    def __call__(self, images: np.ndarray) -> list[Decision]:
        """Decides on faces.

        Args:
          images: uint8 ``[face, H, W]`` gray; any one size, resized inside as in training.

        Raises:
          ValueError: if the images are not uint8 ``[face, H, W]``.
        """
        images = np.asarray(images)
        if images.ndim != 3 or images.dtype != np.uint8:
            raise ValueError(f"expected gray faces uint8 [face, H, W], got {images.dtype} {images.shape}")
        if not len(images):
            return []
        log_probs = predict(self._predict, images, np.zeros(len(images), np.uint32), self.batch_size)
        action, mean, parts = _judge(log_probs, self.thresholds["aleatoric"], self.thresholds["epistemic"])
        rows = zip(np.asarray(action), np.exp(np.asarray(mean)), np.asarray(parts.aleatoric), np.asarray(parts.epistemic))
        return [self._decision(routing.ACTIONS[a], probs, float(al), float(ep)) for a, probs, al, ep in rows]

    def _decision(self, action: str, probs: np.ndarray, aleatoric: float, epistemic: float) -> Decision:
        named = {name: round(float(p), 5) for name, p in zip(CLASSES, probs)}
        why = explain(action, probs, aleatoric, epistemic, self.thresholds)
        return Decision(action, CLASSES[int(probs.argmax())], named, round(aleatoric, 5), round(epistemic, 5), why)
