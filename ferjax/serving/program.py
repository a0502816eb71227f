"""What a router runs: pictures in; probabilities, scores and every router's action out.

An :class:`InferenceProgram` comes from a run (:mod:`ferjax.serving.live`, which needs the ensemble)
or from one file of ``ferjax export`` (:mod:`ferjax.serving.archive`, which needs JAX alone).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import uncertainty
from ferjax.evaluation import scores as scores_of
from ferjax.evaluation.error_score import ErrorReader
from ferjax.files import digest_json, read_json
from ferjax.priors import Adjustment
from ferjax.recalibration import Concentration
from ferjax.routing import RouterRule, decide, read_rules

__all__ = [
    "AS_TRAINED",
    "Basis",
    "Chosen",
    "InferenceProgram",
    "RouterOutput",
    "as_rules",
    "basis_of",
    "load_thresholds",
    "read_concentration",
    "read_thresholds",
    "require_no_prior",
    "require_scores",
    "router_output",
    "run_of",
]


class RouterOutput(NamedTuple):
    """What comes out for a batch of pictures.

    Attributes:
      action: router -> int32 ``[item]``, indices into :data:`ferjax.routing.ACTIONS`.
      probs: ``[item, class]`` mean probabilities of the ensemble.
      scores: name -> ``[item]``; larger means more uncertain.
    """

    action: dict[str, jax.Array]
    probs: jax.Array
    scores: dict[str, jax.Array]


class InferenceProgram(NamedTuple):
    """The compiled ensemble with its routers, and what there is to know about it.

    Attributes:
      forward: ``images uint8 [item, *shape] -> RouterOutput``; one compilation per batch size.
      rules: router -> its scores and thresholds.
      classes: names of the classes, in the order of ``RouterOutput.probs``.
      side: side of the pictures, pixels.
      provenance: where it comes from; empty for a run.
      caution: what must be said before it decides; empty for a sound model.
      digest: of everything it consists of, hexadecimal; another program has another.
      colour: whether pictures have three channels.
      adjustment: the class prior that its probabilities are under; None: that of training.
      members: how many networks decide; 0 where that is not known.
    """

    forward: Callable[[np.ndarray], RouterOutput]
    rules: Mapping[str, RouterRule]
    classes: tuple[str, ...]
    side: int
    provenance: Mapping[str, Any] = {}
    caution: str = ""
    digest: str = ""
    colour: bool = False
    adjustment: Adjustment | None = None
    members: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one picture."""
        return (self.side, self.side, 3) if self.colour else (self.side, self.side)


class Basis(NamedTuple):
    """What turns the members' log-probabilities into the scores that thresholds were chosen on.

    Attributes:
      concentration: of each member; None if the networks bring their own, or have none.
      adjustment: the class prior that they are read under; None: that of training.
      errors: what was learned of the ensemble's errors, where the router ``error`` reads it.
    """

    concentration: Concentration | None = None
    adjustment: Adjustment | None = None
    errors: ErrorReader | None = None


AS_TRAINED = Basis()
"""The members' own probabilities and concentrations, under the training prior."""


class Chosen(NamedTuple):
    """The routers of a run, and what they were chosen for.

    Attributes:
      rules: router name -> rule.
      of: digests of the members and densities; None where the file does not say.
      caution: what must be said before any of them decides; usually empty.
      basis: what their scores were made with.
    """

    rules: dict[str, RouterRule]
    of: Mapping[str, Any] | None
    caution: str = ""
    basis: Basis = AS_TRAINED


def run_of(folder: str | Path) -> Path:
    """The run that a folder routes with: itself, or the one that ``ferjax adapt`` adapted.

    Raises:
      FileNotFoundError: if the run that the folder names is not there.
    """
    folder = Path(folder)
    path = folder / "thresholds.json"
    if (folder / "config.json").is_file() or not path.is_file():
        return folder
    values = read_json(path, "file of thresholds")
    named = values.get("run") if isinstance(values, dict) else None
    if not isinstance(named, str):
        return folder
    run = folder / named
    if not (run / "config.json").is_file():
        raise FileNotFoundError(
            f"{folder} adapts the run {run}, which is not there; put them back beside one another, "
            "or adapt the run anew"
        )
    return run


def read_thresholds(folder: str | Path) -> Chosen:
    """Reads the routers of a run.

    Args:
      folder: the run; its thresholds.json may be of version 0.1.0, or hold ``routers`` alone.

    Returns:
      Them, and what they were chosen for.

    Raises:
      FileNotFoundError: if the run was not evaluated yet.
      ValueError: if the file holds no thresholds, or was changed since it was written.
    """
    path = Path(folder) / "thresholds.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} holds no thresholds.json; choose thresholds with `ferjax evaluate {folder}`"
        )
    values = read_json(path, "file of thresholds")
    try:
        rules = read_rules(values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    rest = {name: value for name, value in values.items() if name != "digest"}
    if "digest" in values and values["digest"] != digest_json(rest):
        raise ValueError(
            f"{path}: changed since `ferjax evaluate` wrote it; evaluate again, or, for thresholds "
            'of your own, write a file that holds "routers" alone'
        )
    of = values.get("of")
    if not isinstance(of, dict | None):
        raise ValueError(f"{path}: of must be an object, got {of!r}")
    return Chosen(rules, of, str(values.get("caution", "")), _basis(values, str(path)))


def _basis(values: Mapping[str, Any], where: str) -> Basis:
    """What a file of thresholds says of the scores that they were chosen on."""
    prior = values.get("prior")
    try:
        adjustment = None if prior is None else Adjustment.from_json(prior)
    except ValueError as error:
        raise ValueError(f"{where}: prior: {error}") from error
    learned = values.get("errors")
    try:
        errors = None if learned is None else ErrorReader.from_json(learned)
    except ValueError as error:
        raise ValueError(f"{where}: errors: {error}") from error
    return Basis(read_concentration(values.get("concentration"), where), adjustment, errors)


def read_concentration(stored: Any, where: str) -> Concentration | None:
    """What a file of thresholds holds of :class:`Concentration`, leaves ``[member, ...]``.

    Raises:
      ValueError: if it is something else; ``where`` is what messages call the file.
    """
    if stored is None:
        return None
    try:
        arrays = {name: jnp.asarray(np.asarray(of, np.float32)) for name, of in stored.items()}
        found = Concentration(**arrays)
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{where}: not a concentration of each member: {error}") from error
    wide = found.weights.shape
    shapes = [leaf.shape for leaf in found]
    if len(wide) != 2 or shapes != [wide, wide[:1], wide, wide]:
        raise ValueError(
            f"{where}: concentration must have weights, mean and scale [member, feature] and bias "
            f"[member], got {', '.join(map(str, shapes))}"
        )
    return found


def basis_of(thresholds: Mapping[str, Any] | None, folder: str | Path | None) -> Basis:
    """What the scores were made with that thresholds were chosen on.

    Args:
      thresholds: the contents of a thresholds.json; rules, or None, stand for those of the run.
      folder: the run, if there is one.

    Raises:
      ValueError: if the file holds no thresholds, or no concentration or prior in its place.
    """
    if thresholds is not None and {"routers", "aleatoric"} & set(thresholds):
        return _basis(thresholds, "thresholds")
    if folder is None or not (Path(folder) / "thresholds.json").is_file():
        return AS_TRAINED
    return read_thresholds(folder).basis


def require_no_prior(prior: str | None) -> None:
    """Refuses a prior beside thresholds that are given: they were chosen under one.

    Raises:
      ValueError: unless it is None.
    """
    if prior is not None:
        raise ValueError(
            f"prior {prior!r}: thresholds that are given were chosen under a prior of their own "
            '(their "prior"), which stays'
        )


def load_thresholds(folder: str | Path) -> tuple[dict[str, RouterRule], str]:
    """The routers that :func:`read_thresholds` reads, and what must be said before any decides."""
    chosen = read_thresholds(folder)
    return chosen.rules, chosen.caution


def as_rules(thresholds: Mapping[str, Any]) -> dict[str, RouterRule]:
    """Routers, given as rules or as the contents of a thresholds.json.

    Args:
      thresholds: router -> :class:`RouterRule`, or what :func:`ferjax.routing.read_rules` reads.

    Returns:
      Router -> rule.

    Raises:
      ValueError: naming the router or the key that is missing or wrong.

    >>> as_rules({"uar": RouterRule(1.0, 0.1)}) == as_rules({"aleatoric": 1.0, "epistemic": 0.1})
    True
    """
    if thresholds and all(isinstance(rule, RouterRule) for rule in thresholds.values()):
        return dict(thresholds)
    return read_rules(thresholds)


def router_output(
    log_probs: jax.Array,
    densities: Mapping[str, jax.Array],
    rules: Mapping[str, RouterRule],
    log_concentration: jax.Array | None = None,
    errors: ErrorReader | None = None,
) -> RouterOutput:
    """Scores of each item and every router's decision, for use inside a compiled program.

    Args:
      log_probs: ``[member, item, class]``.
      densities: further scores ``[item]`` by name.
      rules: router -> rule, a pytree: thresholds may be traced, names are static.
      log_concentration: ``[member, item]``, or None where members have none.
      errors: what was learned of errors (static); its scores are added.

    Returns:
      :class:`RouterOutput`; a router whose scores are not there has no action.
    """
    scores = {**scores_of.from_log_probs(log_probs, log_concentration), **densities}
    if errors is not None and set(errors.carried) <= set(scores):
        scores |= errors(scores)
    action = {
        name: decide(scores[rule.defer], scores[rule.reject], rule)
        for name, rule in rules.items()
        if set(rule.scores) <= set(scores)
    }
    # The scores need the mean too; XLA computes it once.
    return RouterOutput(action, jnp.exp(uncertainty.mean_log_probs(log_probs)), scores)


def require_scores(output: RouterOutput, router: str, rule: RouterRule) -> None:
    """Refuses a router whose scores the ensemble does not have.

    Args:
      output: of the ensemble, on any pictures.
      router: its name.
      rule: its rule.

    Raises:
      ValueError: naming the scores that are missing, and those that are there.
    """
    if router not in output.action:
        missing = set(rule.scores) - set(output.scores)
        raise ValueError(
            f"router {router!r} reads {', '.join(sorted(missing))}; this ensemble has "
            f"{', '.join(output.scores)} (`ferjax evaluate` fits densities and keeps them in the "
            "run's densities.safetensors)"
        )
