"""Pictures to decisions from Python: ``Router(run_or_file)(images)``."""

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from ferjax.events import Message
from ferjax.faces.image_files import from_array
from ferjax.routing import ACTIONS, preferred
from ferjax.serving import archive
from ferjax.serving.explanation import explain
from ferjax.serving.program import (
    InferenceProgram,
    RouterOutput,
    as_rules,
    basis_of,
    require_no_prior,
    require_scores,
)
from ferjax.serving.request import require_batch
from ferjax.serving.router_choice import OLD_ROUTERS, cannot_reject, rejects_of, require_router
from ferjax.serving.shipped import MODEL, refuse_prior

if TYPE_CHECKING:
    from ferjax.ensemble.prediction import Trained
    from ferjax.events import OnEvent

__all__ = ["OLD_ROUTERS", "Decision", "Router"]


TOLD = ("expected_disagreement",)
"""Scores that decisions tell although no router reads them, where the ensemble has them."""


class Decision(NamedTuple):
    """What the router decides on one picture.

    Attributes:
      action: accept, defer or reject.
      label: the most probable class.
      probs: class -> probability.
      aleatoric: nats.
      epistemic: nats.
      why: the reason in words.
      scores: what the router read besides these two, and how many people it expects to disagree.
    """

    action: str
    label: str
    probs: Mapping[str, float]
    aleatoric: float
    epistemic: float
    why: str
    scores: Mapping[str, float] = {}

    def fields(self) -> dict[str, Any]:
        """One flat record, ``why`` last."""
        rest = self._asdict()
        why = rest.pop("why")
        scores = rest.pop("scores")
        return {**rest, **scores, "why": why}


class Router:
    """An ensemble and its thresholds as one callable, safe to share between threads.

    Args:
      source: a run folder, what ``ferjax adapt`` made of one, a file of ``ferjax export``, or an
        opened :class:`Trained` (then give ``thresholds``); by default the model for faces that
        comes with ferjax.
      router: which of its routers decides; the first of :data:`PREFERRED` that it has by default.
        ``uar`` is the paper's (aleatoric, epistemic).
      thresholds: in place of those of the run or file: rules by router, or the contents of a
        thresholds.json.
      prior: class frequencies to decide under, in place of those that the thresholds were chosen
        under: ``training``, ``uniform``, ``sqrt`` (the square root of training's), ``estimated``
        (on ``unlabelled``), or a .json or .csv file of shares by class. Of a run folder alone, with
        the predictions of its evaluation: thresholds are chosen anew on its valid items.
      unlabelled: pictures, as those to decide on, that the prior is estimated from.
      batch_size: pictures per compiled call; fewer are padded, more are cut, so nothing recompiles
        after this.
      on_event: told, before each, of opening and of compiling, which take 2 to 20 seconds on a CPU
        and are silent without it; of damaged checkpoints that were passed over and members left
        out; and where the model is no better than always saying the most frequent class.

    Attributes:
      name: the router.
      rule: its scores and thresholds.
      rules: those of all routers, by name.
      classes: names of the classes.
      adjustment: the class prior that it decides under; None: that of training.
      side: side to which pictures are brought, pixels.
      colour: whether their colour is kept.

    Raises:
      FileNotFoundError: if there is no such run or file, or no thresholds were chosen.
      ValueError: if it is neither, has no such router, not the scores that the router reads, or one
        that was asked for could reject nothing while another can.
    """

    def __init__(
        self,
        source: "str | Path | Trained" = MODEL,
        router: str | None = None,
        *,
        thresholds: Mapping[str, Any] | None = None,
        prior: str | None = None,
        unlabelled: np.ndarray | Sequence[np.ndarray] | None = None,
        batch_size: int = 64,
        on_event: "OnEvent" = lambda event: None,
    ):
        require_batch(batch_size)
        if router in OLD_ROUTERS:
            warnings.warn(
                f"router {router!r} is now called {OLD_ROUTERS[router]!r}",
                FutureWarning,
                stacklevel=2,
            )
            router = OLD_ROUTERS[router]
        if unlabelled is not None and prior != "estimated":
            raise ValueError(f"unlabelled pictures are for the prior 'estimated', got {prior!r}")
        if prior == "estimated" and unlabelled is None:
            raise ValueError("the prior 'estimated' needs unlabelled pictures to estimate from")
        if thresholds is not None:
            require_no_prior(prior)
        self._source = Path(source).name if isinstance(source, str | Path) else "an opened run"
        on_event(Message(f"opening {self._source}"))
        self.program = _open(source, thresholds, prior, unlabelled, on_event)
        self.rules = self.program.rules
        rejects = rejects_of(self.rules)
        require_router(router, rejects)
        if router is None:
            router = preferred(self.rules)
        if self.program.caution:
            on_event(Message(f"caution: {self.program.caution}"))
        if cannot_reject(rejects[router]):
            on_event(
                Message(
                    f"caution: router {router} rejects nothing: {rejects[router][0]} is the "
                    "disagreement of members, and this is a single network"
                )
            )
        self.name = router
        self.rule = self.rules[router]
        self.batch_size = batch_size
        self.classes = self.program.classes
        self.adjustment = self.program.adjustment
        self.side = self.program.side
        self.colour = self.program.colour
        on_event(Message(f"compiling for {batch_size} pictures at a time"))
        # Compiling here keeps the first caller from waiting, and threads from compiling the same
        # thing side by side.
        nothing = np.zeros((0, *self.program.shape), np.uint8)
        first = jax.block_until_ready(self._forward(nothing))
        require_scores(first, router, self.rule)
        read = [s for s in self.rule.scores if s not in ("aleatoric", "epistemic")]
        told = [s for s in TOLD if s in first.scores and s not in read]
        self._extra_scores = (*read, *told)

    def __repr__(self) -> str:
        """What decides, and what it promises, in a line."""
        count = self.program.members
        members = f"{count} member{'s' * (count > 1)}, " if count else ""
        promise = ""
        if self.rule.false_rejection:
            promise = f", at most {100 * self.rule.false_rejection:.3g} % of clean pictures"
        prior = ""
        if self.adjustment is not None and self.adjustment.changes:
            prior = f", under the prior {self.adjustment.name}"
        colour = "colour" if self.colour else "gray"
        return (
            f"<Router {self.name} (of {', '.join(self.rules)}) of {self._source}: {members}"
            f"{len(self.classes)} classes ({', '.join(self.classes)}){prior}; rejects above "
            f"{self.rule.reject} {float(self.rule.reject_above):.4g}{promise}, else defers above "
            f"{self.rule.defer} {float(self.rule.defer_above):.4g}; pictures {self.side} × "
            f"{self.side}, {colour}>"
        )

    @property
    def identity(self) -> str:
        """Name and digest: another for other members, other thresholds, or another router."""
        facts = json.dumps([self.program.digest, self.name, self.rule.to_json()])
        named = self.name
        if self.adjustment is not None and self.adjustment.changes:
            named = f"{self.name}, prior {self.adjustment.name},"
        return f"{named} {hashlib.blake2b(facts.encode(), digest_size=6).hexdigest()}"

    @property
    def extra_scores(self) -> tuple[str, ...]:
        """Scores besides aleatoric and epistemic that this router reads, or tells people."""
        return self._extra_scores

    def __call__(self, images: np.ndarray | Sequence[np.ndarray]) -> list[Decision]:
        """Decides on pictures.

        Args:
          images: uint8 ``[item, H, W]`` gray or ``[item, H, W, 3]`` colour in the order red,
            green, blue (OpenCV reads blue first: ``image[..., ::-1]``), or a sequence of such
            pictures of any sizes; each is made gray (unless the run was trained in colour), cut to
            its central square and brought to the stored side, as picture files are.

        Returns:
          One decision per picture, in order.

        Raises:
          ValueError: naming the first picture that is not uint8 ``[H, W]`` or ``[H, W, 3]``.
        """
        stored = self._stored(images)
        decisions: list[Decision] = []
        for start in range(0, len(stored), self.batch_size):
            part = stored[start : start + self.batch_size]
            decisions += self._decisions(self._forward(part), len(part))
        return decisions

    def _stored(self, images: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
        return stored(images, self.program.shape)

    def _forward(self, stored: np.ndarray) -> RouterOutput:
        padding = np.zeros((self.batch_size - len(stored), *stored.shape[1:]), np.uint8)
        return self.program.forward(np.concatenate([stored, padding]))

    def _decisions(self, output: RouterOutput, count: int) -> list[Decision]:
        names = ("aleatoric", "epistemic", *self.extra_scores)
        action, probs, scores = jax.device_get(
            (output.action[self.name], output.probs, {n: output.scores[n] for n in names})
        )
        return [
            self._decision(ACTIONS[action[i]], probs[i], {n: float(scores[n][i]) for n in names})
            for i in range(count)
        ]

    def _decision(self, action: str, probs: np.ndarray, scores: dict[str, float]) -> Decision:
        by_class = {name: round(float(p), 5) for name, p in zip(self.classes, probs)}
        why = explain(action, by_class, scores, self.rule)
        rounded = {name: float(f"{score:.6g}") for name, score in scores.items()}
        aleatoric = rounded.pop("aleatoric")
        epistemic = rounded.pop("epistemic")
        label = self.classes[int(probs.argmax())]
        return Decision(action, label, by_class, aleatoric, epistemic, why, rounded)


def stored(images: np.ndarray | Sequence[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Pictures of any sizes as they are stored: uint8 ``[item, *shape]``.

    Raises:
      ValueError: naming the first picture that is not uint8 ``[H, W]`` or ``[H, W, 3]``.
    """
    if isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.shape[1:] == shape:
        return images
    pictures = [np.asarray(image) for image in images]
    for i, picture in enumerate(pictures):
        colour = picture.ndim == 3 and picture.shape[-1] == 3
        if picture.dtype != np.uint8 or not (picture.ndim == 2 or colour):
            raise ValueError(
                f"expected pictures uint8 [H, W] or [H, W, 3]; number {i} is {picture.dtype} "
                f"{list(picture.shape)}"
            )
    if not pictures:
        return np.zeros((0, *shape), np.uint8)
    return np.stack([from_array(p, shape[0], colour=len(shape) == 3) for p in pictures])


def _open(
    source: "str | Path | Trained",
    thresholds: Mapping[str, Any] | None,
    prior: str | None,
    unlabelled: np.ndarray | Sequence[np.ndarray] | None,
    on_event: "OnEvent",
) -> InferenceProgram:
    rules = None if thresholds is None else as_rules(thresholds)
    if isinstance(source, str | Path):
        path = Path(source)
        if not path.exists():
            raise FileNotFoundError(f"{path}: neither a run folder nor an exported file is there")
        if path.is_file():
            if prior is not None:
                refuse_prior(path, prior)
            return archive.load(path, rules)
    # Here, because it brings in the training code, which an exported file does without.
    from ferjax.ensemble.folder import RunFolder
    from ferjax.serving import live

    if isinstance(source, str | Path):
        basis = None if rules is None else basis_of(thresholds, source)
        if unlabelled is not None:
            spec = RunFolder(Path(source)).spec()
            unlabelled = stored(unlabelled, spec.shape)
        return live.load(Path(source), rules, on_event, basis, prior, unlabelled)
    if rules is None:
        raise ValueError(
            "give thresholds with an opened run; a run folder or an exported file brings its own"
        )
    return live.from_trained(source, rules, basis_of(thresholds, None))
