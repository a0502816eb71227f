"""The inference program of a run, on all devices that training would use.

The one place where serving meets the ensemble; files of ``ferjax export`` open without it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ferjax.ensemble import densities, integrity, parallel, prediction
from ferjax.ensemble.folder import RunFolder
from ferjax.ensemble.prediction import Trained
from ferjax.events import Message, OnEvent, silent
from ferjax.files import digest_arrays, digest_json
from ferjax.recalibration import Concentration, apply_members
from ferjax.routing import RouterRule
from ferjax.serving.program import (
    Chosen,
    InferenceProgram,
    RouterOutput,
    concentration_of,
    read_thresholds,
    router_output,
)

__all__ = ["from_trained", "load", "require_chosen_for", "traceable"]

Rules = Mapping[str, RouterRule]


def load(
    folder: Path,
    rules: Rules | None = None,
    on_event: OnEvent = silent,
    concentration: Concentration | None = None,
) -> InferenceProgram:
    """Opens a run folder.

    Args:
      folder: the run.
      rules: router -> rule; those that its evaluation chose by default.
      on_event: told of damaged checkpoints that were passed over, and of members left out.
      concentration: of the members, for ``rules``; what the evaluation fitted by default.

    Returns:
      The program, see :func:`from_trained`.

    Raises:
      FileNotFoundError: if it is no run, or has no thresholds and none are given.
      ValueError: if its thresholds or its checkpoint cannot be read.
    """
    RunFolder(folder).config()  # what is no run should be called that, not a run without thresholds
    if rules is not None:
        if concentration is None:
            concentration = concentration_of(None, folder)
        return from_trained(prediction.load_run(folder, on_event), rules, concentration)
    chosen = read_thresholds(folder)
    trained = prediction.load_run(folder, on_event)
    require_chosen_for(folder, chosen, trained, on_event)
    program = from_trained(trained, chosen.rules, chosen.concentration)
    return program._replace(caution=chosen.caution)


def require_chosen_for(
    folder: Path, chosen: Chosen, trained: Trained, on_event: OnEvent = silent
) -> None:
    """Refuses thresholds that were chosen for other members or densities than the run has.

    Args:
      folder: the run.
      chosen: its thresholds.
      trained: the run, opened.
      on_event: told where the thresholds do not say what they were chosen for.

    Raises:
      ValueError: saying which, and what to do.
    """
    path = folder / "thresholds.json"
    if chosen.of is None:
        on_event(Message(f"{path} does not say which members it was chosen for"))
    integrity.require_thresholds(str(path), chosen.of, trained.digest, densities.digest(folder))


def from_trained(
    trained: Trained, rules: Rules, concentration: Concentration | None = None
) -> InferenceProgram:
    """The program of an opened run.

    Args:
      trained: the run.
      rules: router -> rule; their thresholds are arguments of what is compiled.
      concentration: of the members, where it was fitted afterwards; leaves ``[member, ...]``.

    Returns:
      The program, which uses all devices that training would use; called, it refuses a
      concentration of another number of members or classes.
    """
    layout = parallel.lay_out(len(trained.config.train.seeds))
    members = _members(trained, layout, concentration)
    compiled = jax.jit(router_output)
    return InferenceProgram(
        lambda images: compiled(**members(images), rules=rules),
        rules,
        trained.spec.classes,
        trained.spec.side,
        colour=trained.spec.colour,
        digest=digest_json([trained.digest, _digest(trained.densities), _digest(concentration)]),
    )


def _digest(fitted: Any) -> str:
    leaves = jax.tree_util.tree_leaves_with_path(fitted)
    return digest_arrays({jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves})


def traceable(
    trained: Trained, concentration: Concentration | None = None
) -> Callable[[ArrayLike, Rules], RouterOutput]:
    """All of a run as one function on one device, for compiling into a file.

    Args:
      trained: the run.
      concentration: of the members, see :func:`from_trained`.

    Returns:
      ``(images uint8 [item, side, side], rules) -> RouterOutput``, pure; rules as
      :func:`ferjax.serving.program.router_output` takes them.
    """
    device = tuple(parallel.one_device().device_set)
    layout = parallel.lay_out(len(trained.config.train.seeds), device)
    members = _members(trained, layout, concentration)
    return lambda images, rules: router_output(**members(images), rules=rules)


def _members(
    trained: Trained, layout: parallel.Layout, concentration: Concentration | None
) -> Callable[[ArrayLike], dict[str, Any]]:
    """All members on clean pictures: ``images ->`` what :func:`router_output` takes but rules."""
    run = prediction.predictor(trained, layout=layout)

    def forward(images: ArrayLike) -> dict[str, Any]:
        images = jnp.asarray(images)
        # Ids and severity belong to a corruption's noise; without a corruption they are not read.
        said = run(images, jnp.zeros(images.shape[0], jnp.uint32), 1)
        known = said.log_concentration
        if known is None and concentration is not None:
            members, _, classes = said.log_probs.shape
            if concentration.weights.shape != (members, 2 * classes + 1):
                raise ValueError(
                    f"the concentration of these thresholds is {concentration.weights.shape}, this "
                    f"run needs {(members, 2 * classes + 1)}; choose them anew with `ferjax "
                    "evaluate`"
                )
            known = apply_members(concentration, said.log_probs)
        return {"log_probs": said.log_probs, "densities": said.scores, "log_concentration": known}

    return forward
