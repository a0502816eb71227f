"""The inference program of a run, on all devices that training would use.

The one place where serving meets the ensemble; files of ``ferjax export`` open without it.
"""

import functools
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
from ferjax.recalibration import apply_members
from ferjax.routing import RouterRule
from ferjax.serving.class_prior import chosen_under
from ferjax.serving.program import (
    AS_TRAINED,
    Basis,
    Chosen,
    InferenceProgram,
    RouterOutput,
    basis_of,
    read_thresholds,
    router_output,
    run_of,
)

__all__ = ["from_trained", "load", "open_chosen", "require_chosen_for", "traceable"]

Rules = Mapping[str, RouterRule]


def load(
    folder: Path,
    rules: Rules | None = None,
    on_event: OnEvent = silent,
    basis: Basis | None = None,
    prior: str | None = None,
    unlabelled: np.ndarray | None = None,
) -> InferenceProgram:
    """Opens a run folder.

    Args:
      folder: the run, or what ``ferjax adapt`` made of one.
      rules: router -> rule; those that its evaluation chose by default.
      on_event: told of damaged checkpoints that were passed over, and of members left out.
      basis: what the scores that ``rules`` read are made with; that of the evaluation by default.
      prior: the class prior, in place of that of the evaluation; thresholds are then chosen anew,
        see :func:`ferjax.serving.class_prior.chosen_under`.
      unlabelled: stored pictures that the prior ``estimated`` is estimated from.

    Returns:
      The program, see :func:`from_trained`.

    Raises:
      FileNotFoundError: if it is no run, or has no thresholds and none are given.
      ValueError: if its thresholds or its checkpoint cannot be read.
    """
    # What is no run should be called that, not a run without thresholds.
    RunFolder(run_of(folder)).config()
    if rules is not None:
        basis = basis_of(None, folder) if basis is None else basis
        return from_trained(prediction.load_run(run_of(folder), on_event), rules, basis)
    chosen, trained = open_chosen(folder, on_event, prior, unlabelled)
    program = from_trained(trained, chosen.rules, chosen.basis)
    return program._replace(caution=chosen.caution)


def open_chosen(
    folder: Path,
    on_event: OnEvent = silent,
    prior: str | None = None,
    unlabelled: np.ndarray | None = None,
) -> tuple[Chosen, Trained]:
    """A run and its thresholds, once they fit together; arguments and errors as for
    :func:`load`."""
    run = run_of(folder)
    if prior is not None and run != folder:
        raise ValueError(
            f"{folder} was adapted to a population, with its prior; prior {prior} goes with the "
            f"run itself, {run}"
        )
    chosen = read_thresholds(folder)
    trained = prediction.load_run(run, on_event)
    require_chosen_for(folder, chosen, trained, on_event)
    if prior is not None:
        chosen = chosen_under(run, chosen, trained, prior, unlabelled, on_event)
    return chosen, trained


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
    fitted = densities.digest(run_of(folder))
    integrity.require_thresholds(str(path), chosen.of, trained.digest, fitted)


def from_trained(trained: Trained, rules: Rules, basis: Basis = AS_TRAINED) -> InferenceProgram:
    """The program of an opened run.

    Args:
      trained: the run.
      rules: router -> rule; their thresholds are arguments of what is compiled.
      basis: what the scores are made with that the rules read.

    Returns:
      The program, which uses all devices that training would use; called, it refuses a
      concentration of another number of members or classes.
    """
    layout = parallel.lay_out(len(trained.config.train.seeds))
    members = _members(trained, layout, basis)
    compiled = jax.jit(functools.partial(router_output, errors=basis.errors))
    return InferenceProgram(
        lambda images: compiled(**members(images), rules=rules),
        rules,
        trained.spec.classes,
        trained.spec.side,
        colour=trained.spec.colour,
        digest=_program_digest(trained, basis),
        adjustment=basis.adjustment,
        members=len(trained.config.train.seeds),
    )


def _program_digest(trained: Trained, basis: Basis) -> str:
    facts = [trained.digest, _digest(trained.densities), _digest(basis.concentration)]
    adjustment = basis.adjustment
    if adjustment is not None and adjustment.changes:
        facts.append(digest_json(adjustment.to_json()))
    if basis.errors is not None:
        facts.append(digest_json(basis.errors.to_json()))
    return digest_json(facts)


def _digest(fitted: Any) -> str:
    leaves = jax.tree_util.tree_leaves_with_path(fitted)
    return digest_arrays({jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves})


def traceable(
    trained: Trained, basis: Basis = AS_TRAINED
) -> Callable[[ArrayLike, Rules], RouterOutput]:
    """All of a run as one function on one device, for compiling into a file.

    Args:
      trained: the run.
      basis: what the scores are made with, see :func:`from_trained`.

    Returns:
      ``(images uint8 [item, side, side], rules) -> RouterOutput``, pure; rules as
      :func:`ferjax.serving.program.router_output` takes them.
    """
    device = tuple(parallel.one_device().device_set)
    layout = parallel.lay_out(len(trained.config.train.seeds), device)
    members = _members(trained, layout, basis)
    return lambda images, rules: router_output(**members(images), rules=rules, errors=basis.errors)


def _members(
    trained: Trained, layout: parallel.Layout, basis: Basis
) -> Callable[[ArrayLike], dict[str, Any]]:
    """All members on clean pictures: ``images ->`` what :func:`router_output` takes but rules."""
    run = prediction.predictor(trained, layout=layout)
    concentration = basis.concentration
    adjustment = basis.adjustment
    classes = len(trained.spec.classes)
    if adjustment is not None and len(adjustment.prior) != classes:
        raise ValueError(
            f"these thresholds are for a prior of {len(adjustment.prior)} classes, this run has "
            f"{classes}; choose them anew with `ferjax evaluate`"
        )
    under_prior = jax.jit((lambda p: p) if adjustment is None else adjustment.apply)

    def forward(images: ArrayLike) -> dict[str, Any]:
        images = jnp.asarray(images)
        # Ids and severity belong to a corruption's noise; without a corruption they are not read.
        said = run(images, jnp.zeros(images.shape[0], jnp.uint32), 1)
        log_probs = under_prior(said.log_probs)
        known = said.log_concentration
        if known is None and concentration is not None:
            members = len(log_probs)
            if concentration.weights.shape != (members, 2 * classes + 1):
                raise ValueError(
                    f"the concentration of these thresholds is {concentration.weights.shape}, this "
                    f"run needs {(members, 2 * classes + 1)}; choose them anew with `ferjax "
                    "evaluate`"
                )
            known = apply_members(concentration, log_probs)
        return {"log_probs": log_probs, "densities": said.scores, "log_concentration": known}

    return forward
