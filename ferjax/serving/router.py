"""Pictures to decisions, as a program uses it: ``Router(run_or_file)(images)``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from ferjax import routing
from ferjax.serving import export, program
from ferjax.serving.program import Rule

if TYPE_CHECKING:
    from ferjax.ensemble.prediction import Trained

__all__ = ["Decision", "Router"]


class Decision(NamedTuple):
    """What the router says of one face; ``scores`` holds what it read besides the two uncertainties
    (nats)."""

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


def _apart(score: float, threshold: float) -> tuple[str, str]:
    """Both numbers with as few decimals, two at least, as still show which is larger and that
    neither is 0."""
    for decimals in range(2, 8):
        pair = f"{score:.{decimals}f}", f"{threshold:.{decimals}f}"
        if float(pair[0]) != float(pair[1]) and float(pair[0]) * float(pair[1]) != 0:
            break
    return pair


def explain(
    action: str,
    shares: Mapping[str, float],
    scores: Mapping[str, float],
    rule: Rule,
    false_rejection: float | None,
) -> str:
    """Why a face was routed as it was, in words.

    Args:
      action: accept, defer or reject.
      shares: class -> probability.
      scores: score -> value, with the two that the rule reads.
      rule: the router's scores and thresholds.
      false_rejection: the share of clean faces the reject threshold may reject; None: nothing is
        promised.

    >>> rule = Rule("aleatoric", 1.0, "epistemic", 0.12)
    >>> explain("reject", {}, {"aleatoric": 0.2, "epistemic": 0.31}, rule, 0.05)
    'rejected: epistemic 0.31 is above 0.12, the level 95 % of clean faces stay below'
    >>> explain("defer", {"sadness": 0.48, "neutral": 0.37}, {"aleatoric": 1.3, "epistemic": 0.1}, rule, 0.05)
    'deferred: 48 % sadness, 37 % neutral (aleatoric 1.30 is above 1.00)'
    """
    named = {name: name.replace("_", " ") for name in (rule.defer, rule.reject)}
    if action == "reject":
        undefined = [named[name] for name in named if np.isnan(scores[name])]
        if undefined:
            return (
                f"rejected: {undefined[0]} is not a number; what cannot be scored is not accepted"
            )
        score, above = _apart(scores[rule.reject], rule.reject_above)
        level = (
            f", the level {100 * (1 - false_rejection):.3g} % of clean faces stay below"
            if false_rejection
            else ""
        )
        return f"rejected: {named[rule.reject]} {score} is above {above}{level}"
    order = sorted(shares, key=shares.__getitem__, reverse=True)
    most = ", ".join(
        f"{100 * shares[name]:.0f} % {name}"
        for name in order[:3]
        if shares[name] >= 0.1 or name == order[0]
    )
    if action == "defer":
        score, above = _apart(scores[rule.defer], rule.defer_above)
        return f"deferred: {most} ({named[rule.defer]} {score} is above {above})"
    limits = {rule.defer: rule.defer_above, rule.reject: rule.reject_above}
    within = [
        " is within ".join((f"{named[name]} {pair[0]}", pair[1]))
        for name, pair in (
            (name, _apart(scores[name], above))
            for name, above in limits.items()
            if np.isfinite(above)
        )
    ]
    return f"accepted: {most}" + (f" ({', '.join(within)})" if within else "")


class Router:
    """An ensemble and its thresholds as one callable, safe to share between threads.

    Args:
      source: a run folder, a file of ``ferjax export``, or an opened :class:`Trained` (then give
        ``thresholds``).
      router: which of its routers decides; ``uar`` is the paper's (aleatoric, epistemic).
      thresholds: overrides the thresholds of a run, in the form of its thresholds.json.
      batch_size: faces per compiled call; fewer are padded, more are cut, so nothing recompiles
        after this.

    Raises:
      FileNotFoundError: if there is no such run or file, or no thresholds were chosen.
      ValueError: if it is neither, has no such router, or not the scores that the router reads.
    """

    def __init__(
        self,
        source: "str | Path | Trained",
        router: str = "uar",
        *,
        thresholds: Mapping | None = None,
        batch_size: int = 64,
    ):
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.program = _open(source, thresholds)
        self.thresholds = self.program.thresholds
        rules = program.rules_of(self.thresholds)
        if router not in rules:
            raise ValueError(f"no router {router!r}; there are {', '.join(rules)}")
        self.name = router
        self.rule = rules[router]
        self.batch_size = batch_size
        self.classes = self.program.classes
        promise = (
            self.thresholds.get("routers", {})
            .get(router, {})
            .get("false_rejection", self.thresholds.get("false_rejection"))
        )
        self._false_rejection = None if promise is None else float(promise)
        # Compiling here keeps the first caller from waiting, and threads from compiling the same
        # thing side by side.
        first = jax.block_until_ready(
            self._judge(np.zeros((0, self.program.side, self.program.side), np.uint8))
        )
        program.require(first, router, self.rule)

    @property
    def extra_scores(self) -> tuple[str, ...]:
        """Scores this router reads besides aleatoric and epistemic."""
        return tuple(
            s
            for s in dict.fromkeys((self.rule.defer, self.rule.reject))
            if s not in ("aleatoric", "epistemic")
        )

    def __call__(self, images: np.ndarray | Sequence[np.ndarray]) -> list[Decision]:
        """Decides on faces.

        Args:
          images: uint8 ``[face, H, W]`` gray or ``[face, H, W, 3]`` colour, or a sequence of such
            pictures of any sizes; each is taken as one face: gray, its central square, brought to
            the stored side as picture files are.

        Raises:
          ValueError: naming the first picture that is not uint8 ``[H, W]`` or ``[H, W, 3]``.
        """
        faces = self._stored(images)
        size = self.batch_size
        decided = []
        for start in range(0, len(faces), size):
            part = faces[start : start + size]
            decided += self._decisions(self._judge(part), len(part))
        return decided

    def _stored(self, images: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
        side = self.program.side
        if (
            isinstance(images, np.ndarray)
            and images.dtype == np.uint8
            and images.shape[1:] == (side, side)
        ):
            return images
        pictures = [np.asarray(image) for image in images]
        for i, picture in enumerate(pictures):
            colour = picture.ndim == 3 and picture.shape[-1] == 3
            if picture.dtype != np.uint8 or not (picture.ndim == 2 or colour):
                raise ValueError(
                    f"expected faces uint8 [H, W] or [H, W, 3]; number {i} is {picture.dtype} {list(picture.shape)}"
                )
        from ferjax.faces.image_files import from_array

        return (
            np.stack([from_array(p, side) for p in pictures])
            if pictures
            else np.zeros((0, side, side), np.uint8)
        )

    def _judge(self, faces: np.ndarray) -> program.RouterOutput:
        empty = np.zeros((self.batch_size - len(faces), *faces.shape[1:]), np.uint8)
        return self.program.judge(np.concatenate([faces, empty]))

    def _decisions(self, judged: program.RouterOutput, count: int) -> list[Decision]:
        names = ("aleatoric", "epistemic", *self.extra_scores)
        action, probs, scores = jax.device_get(
            (judged.action[self.name], judged.probs, {n: judged.scores[n] for n in names})
        )
        return [
            self._decision(
                routing.ACTIONS[action[i]], probs[i], {n: float(scores[n][i]) for n in names}
            )
            for i in range(count)
        ]

    def _decision(self, action: str, probs: np.ndarray, scores: dict[str, float]) -> Decision:
        shares = {name: round(float(p), 5) for name, p in zip(self.classes, probs)}
        why = explain(action, shares, scores, self.rule, self._false_rejection)
        rounded = {name: float(f"{score:.6g}") for name, score in scores.items()}
        aleatoric = rounded.pop("aleatoric")
        epistemic = rounded.pop("epistemic")
        return Decision(
            action, self.classes[int(probs.argmax())], shares, aleatoric, epistemic, why, rounded
        )


def _open(source: "str | Path | Trained", thresholds: Mapping | None) -> program.Program:
    if not isinstance(source, str | Path):
        if thresholds is None:
            raise ValueError(
                "give thresholds with an opened run; a run folder or an exported file brings its own"
            )
        return program.from_trained(source, thresholds)
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f"{path}: neither a run folder nor an exported file is there")
    if path.is_file():
        return export.load(path, thresholds)
    from ferjax.ensemble.prediction import load_run

    trained = load_run(path)
    return program.from_trained(
        trained, program.load_thresholds(path) if thresholds is None else thresholds
    )
