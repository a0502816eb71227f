"""metrics.jsonl: a JSON line per interval of a run, written a step late.

So the device never waits for it.

A line holds ``epoch`` and ``step`` where its interval ends, per member ``loss`` (nats),
``train_accuracy`` over the interval's steps, ``skipped`` (steps so far), ``restored`` and
``frozen``; at the end of an epoch ``valid_*`` too; ``seconds`` since the line before, and
throughput. What is not finite is null. Lines of the part of a run that a resumed one repeats are
written anew.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from ferjax import metrics, uncertainty
from ferjax.ensemble import parallel, tensorboard
from ferjax.ensemble.log_lines import read_log
from ferjax.ensemble.members import StepReport
from ferjax.files import write_atomically

__all__ = ["Log", "interval_figures", "read_log", "valid_figures"]


@jax.jit
def _valid(log_probs: jax.Array, q: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
    mean = uncertainty.mean_log_probs(log_probs)
    return {
        "valid_accuracy": jax.vmap(metrics.accuracy, (0, None))(log_probs, labels),
        "valid_nll": jax.vmap(metrics.nll, (0, None))(log_probs, q),
        "valid_ensemble_accuracy": metrics.accuracy(mean, labels),
        "valid_ensemble_nll": metrics.nll(mean, q),
        "valid_epistemic": jax.numpy.mean(uncertainty.decompose(log_probs).epistemic),
    }


def valid_figures(
    log_probs: np.ndarray, q: np.ndarray, frozen: np.ndarray
) -> dict[str, np.ndarray]:
    """Figures on the valid split.

    Members that are frozen or answer with NaN have none and are left out of the ensemble.

    Args:
      log_probs: ``[member, face, class]``.
      q: vote distributions ``[face, class]``.
      frozen: ``[member]``.
    """
    sound = ~frozen & ~np.isnan(log_probs).any((1, 2))
    if not sound.any():
        return {}
    figures = {
        name: np.asarray(value) for name, value in _valid(log_probs[sound], q, q.argmax(-1)).items()
    }
    for name in ("valid_accuracy", "valid_nll"):
        per_member = np.full(len(log_probs), np.nan)
        per_member[sound] = figures[name]
        figures[name] = per_member
    return figures


def interval_figures(report: StepReport) -> dict[str, np.ndarray]:
    """Means over the counted steps of an interval, and the members' status, each ``[member]``."""
    with np.errstate(invalid="ignore"):
        loss, accuracy = (
            np.asarray(total) / np.asarray(report.means.steps)
            for total in (report.means.loss, report.means.accuracy)
        )
    return {
        "loss": loss,
        "train_accuracy": accuracy,
        "skipped": np.asarray(report.status.skipped),
        "restored": np.asarray(report.status.restored),
        "frozen": np.asarray(report.status.frozen),
    }


def _plain(value: Any) -> Any:
    """An array as JSON: floats to six digits, null for what is not finite."""
    array = np.asarray(value)
    if array.dtype.kind != "f":
        return array.tolist()
    rounded = np.atleast_1d(np.round(array.astype(np.float64), 6)).astype(object)
    rounded[~np.isfinite(np.atleast_1d(array))] = None
    return rounded.reshape(array.shape).tolist()


class _Pending(NamedTuple):
    step: int
    report: StepReport
    log_probs: jax.Array | None
    at: float


class Log:
    """The log of a run that is being trained."""

    def __init__(
        self,
        path: Path,
        layout: parallel.Layout,
        q: np.ndarray,
        *,
        steps: int,
        faces_per_step: int,
        writes: bool,
        on_line: Callable[[dict], None],
    ):
        self._path = path
        self._layout = layout
        self._q = q
        self._steps = steps
        self._faces = faces_per_step
        self._writes = writes
        self._on_line = on_line
        self._pending: _Pending | None = None
        self._last_step = 0
        self._last_time = time.perf_counter()
        self._events = None
        self.last: dict = {}

    def rewind(self, step: int) -> None:
        """Drops every line after a step; call it before the first interval."""
        lines = [line for line in read_log(self._path) if line["step"] <= step]
        if self._writes:
            write_atomically(
                self._path, "".join(json.dumps(line) + "\n" for line in lines).encode()
            )
            self._events = tensorboard.writer(self._path.parent / "tensorboard", step)
        self.last = lines[-1] if lines else {}
        self._last_step = step
        self._last_time = time.perf_counter()

    def hold(self, step: int, report: StepReport, log_probs: jax.Array | None) -> None:
        """Keeps what the line of an interval that ends with this step needs; fetches nothing."""
        self.flush()
        self._pending = _Pending(step, report, log_probs, time.perf_counter())

    def flush(self) -> None:
        """Fetches and writes what is held."""
        if self._pending is None:
            return
        step, report, log_probs, at = self._pending
        self._pending = None
        report, log_probs = jax.tree.map(
            np.asarray, parallel.gather(self._layout, (report, log_probs))
        )
        figures = interval_figures(report)
        if log_probs is not None:
            figures |= valid_figures(log_probs, self._q, figures["frozen"])
        epoch = step / self._steps
        seconds = at - self._last_time
        self.last = {
            "epoch": int(epoch) if epoch.is_integer() else round(epoch, 4),
            "step": step,
            **{name: _plain(value) for name, value in figures.items()},
            "seconds": round(seconds, 3),
            "member_faces_per_second": round(
                (step - self._last_step) * self._faces / max(seconds, 1e-9), 1
            ),
        }
        self._last_step = step
        self._last_time = at
        if self._writes:
            with open(self._path, "a") as file:
                file.write(json.dumps(self.last) + "\n")
            if self._events is not None:
                tensorboard.write(self._events, self.last)
        self._on_line(self.last)

    def close(self) -> None:
        """Writes what is held and closes the event file."""
        self.flush()
        if self._events is not None:
            self._events.close()
