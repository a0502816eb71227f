"""The inference program of a run, on all devices that training would use.

The one place where serving meets the ensemble; files of ``ferjax export`` open without it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ferjax.ensemble import parallel, prediction
from ferjax.ensemble.folder import RunFolder
from ferjax.ensemble.prediction import Trained
from ferjax.events import OnEvent, silent
from ferjax.routing import RouterRule
from ferjax.serving.program import (
    InferenceProgram,
    RouterOutput,
    load_thresholds,
    router_output,
)

__all__ = ["from_trained", "load", "traceable"]

Rules = Mapping[str, RouterRule]


def load(folder: Path, rules: Rules | None = None, on_event: OnEvent = silent) -> InferenceProgram:
    """Opens a run folder.

    Args:
      folder: the run.
      rules: router -> rule; those that its evaluation chose by default.
      on_event: told of damaged checkpoints that were passed over, and of members left out.

    Returns:
      The program, see :func:`from_trained`.

    Raises:
      FileNotFoundError: if it is no run, or has no thresholds and none are given.
      ValueError: if its thresholds or its checkpoint cannot be read.
    """
    RunFolder(folder).config()  # what is no run should be called that, not a run without thresholds
    caution = ""
    if rules is None:
        rules, caution = load_thresholds(folder)
    return from_trained(prediction.load_run(folder, on_event), rules)._replace(caution=caution)


def from_trained(trained: Trained, rules: Rules) -> InferenceProgram:
    """The program of an opened run.

    Args:
      trained: the run.
      rules: router -> rule; their thresholds are arguments of what is compiled.

    Returns:
      The program, which uses all devices that training would use.
    """
    members = _members(trained, parallel.lay_out(len(trained.config.train.seeds)))
    compiled = jax.jit(router_output)
    return InferenceProgram(
        lambda images: compiled(*members(images), rules),
        rules,
        trained.spec.classes,
        trained.spec.side,
    )


def traceable(trained: Trained) -> Callable[[ArrayLike, Rules], RouterOutput]:
    """All of a run as one function on one device, for compiling into a file.

    Args:
      trained: the run.

    Returns:
      ``(images uint8 [item, side, side], rules) -> RouterOutput``, pure; rules as
      :func:`ferjax.serving.program.router_output` takes them.
    """
    device = tuple(parallel.one_device().device_set)
    members = _members(trained, parallel.lay_out(len(trained.config.train.seeds), device))
    return lambda images, rules: router_output(*members(images), rules)


def _members(
    trained: Trained, layout: parallel.Layout
) -> Callable[[ArrayLike], tuple[jax.Array, dict[str, jax.Array]]]:
    """All members on clean pictures: ``images -> (log_probs [member, item, class], densities)``."""
    run = prediction.predictor(trained, layout=layout)

    def forward(images: ArrayLike) -> tuple[jax.Array, dict[str, jax.Array]]:
        images = jnp.asarray(images)
        # Ids and severity belong to a corruption's noise; without a corruption they are not read.
        return run(images, jnp.zeros(images.shape[0], jnp.uint32), 1)

    return forward
