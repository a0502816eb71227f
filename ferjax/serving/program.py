"""What a router runs, whatever it was opened from: faces in; probabilities, scores and every
router's action out.

A program comes from a run folder (which needs the ensemble, and runs on all its devices) or from
one file that ``ferjax export`` wrote (which needs nothing but JAX). This is the one place where
serving meets the ensemble.
"""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import routing, uncertainty
from ferjax.evaluation import scores as scores_of
from ferjax.faces.ferplus import SIDE
from ferjax.faces.votes import CLASSES

if TYPE_CHECKING:  # a file opens without the ensemble
    from ferjax.ensemble.prediction import Trained

__all__ = [
    "Program",
    "RouterOutput",
    "Rule",
    "from_trained",
    "judge",
    "load_thresholds",
    "require",
    "rules_of",
    "traceable",
]


class RouterOutput(NamedTuple):
    """``action`` router -> int32 ``[face]``, ``probs [face, class]`` of the ensemble, ``scores``
    name -> ``[face]``."""

    action: dict[str, jax.Array]
    probs: jax.Array
    scores: dict[str, jax.Array]


class Rule(NamedTuple):
    """One router: reject above ``reject_above`` of the score ``reject``, else defer above
    ``defer_above`` of ``defer``."""

    defer: str
    defer_above: float
    reject: str
    reject_above: float


class Program(NamedTuple):
    """``judge(images uint8 [batch, side, side]) -> RouterOutput``, and what there is to know about
    it."""

    judge: Callable[[np.ndarray], RouterOutput]
    thresholds: dict
    classes: tuple[str, ...] = CLASSES
    side: int = SIDE
    provenance: Mapping[str, Any] = {}


def load_thresholds(folder: Path) -> dict:
    """Reads a run's thresholds.

    Raises:
      FileNotFoundError: if the run was not evaluated yet.
      ValueError: if the file holds no thresholds.
    """
    path = Path(folder) / "thresholds.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} holds no thresholds.json; choose thresholds with `ferjax evaluate {folder}`"
        )
    try:
        thresholds = json.loads(path.read_text())
        rules_of(thresholds)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return thresholds


def rules_of(thresholds: Mapping) -> dict[str, Rule]:
    """The routers that thresholds describe; ``null`` is a threshold that nothing exceeds.

    Args:
      thresholds: ``aleatoric`` and ``epistemic`` of the paper's router, and optionally ``routers``:
        name -> ``{"defer": {"score", "above"}, "reject": {"score", "above"}}``.

    Raises:
      ValueError: naming what is missing or is no number.

    >>> rules_of({"aleatoric": 1.0, "epistemic": None})["uar"]
    Rule(defer='aleatoric', defer_above=1.0, reject='epistemic', reject_above=inf)
    """
    missing = {"aleatoric", "epistemic"} - set(thresholds)
    if missing:
        raise ValueError(f"missing {', '.join(sorted(missing))}")
    paper = {
        "defer": {"score": "aleatoric", "above": thresholds["aleatoric"]},
        "reject": {"score": "epistemic", "above": thresholds["epistemic"]},
    }
    rules = {}
    for name, router in {"uar": paper, **thresholds.get("routers", {})}.items():
        try:
            sides = [(router[side]["score"], router[side]["above"]) for side in ("defer", "reject")]
            (defer, defer_above), (reject, reject_above) = [
                (s, math.inf if above is None else float(above)) for s, above in sides
            ]
            if math.isnan(defer_above) or math.isnan(reject_above):
                raise ValueError("a threshold is not a number")
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"router {name!r} must have defer and reject, each with score and above, got {router!r}"
            ) from error
        rules[name] = Rule(defer, defer_above, reject, reject_above)
    return rules


def judge(
    log_probs: jax.Array,
    densities: Mapping[str, jax.Array],
    limits: Mapping[str, tuple],
    rules: Mapping[str, Rule],
) -> RouterOutput:
    """Decomposition and every router's decision, for use inside a compiled program.

    Args:
      log_probs: ``[member, face, class]``.
      densities: further scores ``[face]`` by name.
      limits: router -> (defer above, reject above): arguments, so that another threshold is not
        another program.
      rules: router -> which scores it reads (its thresholds are not used); one whose scores are not
        there does not act.
    """
    scores = {**scores_of.from_log_probs(log_probs), **densities}
    action = {
        name: routing.decide(
            scores[rule.defer], scores[rule.reject], routing.Thresholds(*limits[name])
        )
        for name, rule in rules.items()
        if {rule.defer, rule.reject} <= set(scores)
    }
    return RouterOutput(action, jnp.exp(uncertainty.mean_log_probs(log_probs)), scores)


def require(judged: RouterOutput, name: str, rule: Rule) -> None:
    """Refuses a router whose scores the ensemble does not have.

    Raises:
      ValueError: naming the scores that are missing, and those that are there.
    """
    if name not in judged.action:
        missing = {rule.defer, rule.reject} - set(judged.scores)
        raise ValueError(
            f"router {name!r} reads {', '.join(sorted(missing))}; this ensemble has {', '.join(judged.scores)} "
            "(`ferjax evaluate` fits densities and keeps them in the run's densities.safetensors)"
        )


def limits_of(rules: Mapping[str, Rule]) -> dict[str, tuple[np.float32, np.float32]]:
    """The rules' thresholds as arguments of a program."""
    return {
        name: (np.float32(rule.defer_above), np.float32(rule.reject_above))
        for name, rule in rules.items()
    }


def _forward(
    trained: "Trained", *, whole: bool
) -> Callable[[Any], tuple[jax.Array, dict[str, jax.Array]]]:
    """All members on a batch: ``images -> (log_probs, densities)``; ``whole`` keeps everything on
    one device."""
    from ferjax.ensemble import parallel, prediction

    layout = (
        parallel.lay_out(len(trained.config.train.seeds), tuple(parallel.one_device().device_set))
        if whole
        else None
    )
    run = prediction.predictor(trained, layout=layout)

    def forward(images: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
        result = run(images, jnp.zeros(images.shape[0], jnp.uint32), 1)
        return result if isinstance(result, tuple) else (result, {})

    return forward


def traceable(
    trained: "Trained", rules: Mapping[str, Rule]
) -> Callable[[Any, Mapping], RouterOutput]:
    """The whole way as one function ``(images, limits) -> RouterOutput`` on one device, for compiling
    into a file."""
    forward = _forward(trained, whole=True)
    return lambda images, limits: judge(*forward(images), limits, rules)


def from_trained(trained: "Trained", thresholds: Mapping) -> Program:
    """A run's program, on all devices that training would use."""
    rules = rules_of(thresholds)
    forward = _forward(trained, whole=False)
    limits = limits_of(rules)
    decide = jax.jit(
        lambda log_probs, densities, limits: judge(log_probs, densities, limits, rules)
    )
    return Program(lambda images: decide(*forward(images), limits), dict(thresholds))
