"""The loop of a training run: steps, lines of the log, validation, checkpoints, until it ends."""

import dataclasses
import signal
import time
from typing import NamedTuple

import jax
import numpy as np

from ferjax.config import Config
from ferjax.ensemble import members, multihost, parallel
from ferjax.ensemble.checkpoint import Checkpoints
from ferjax.ensemble.log import Log
from ferjax.ensemble.methods import Target
from ferjax.ensemble.profiling import Trace
from ferjax.ensemble.programs import Programs, lines_per_epoch
from ferjax.events import OnEvent, Progress
from ferjax.interruption import Interrupted, Stop

__all__ = ["Data", "Loop"]


class Data(NamedTuple):
    """What the step and the validation draw from, on every device."""

    stored: jax.Array
    target: Target
    valid: jax.Array
    labels: jax.Array


@dataclasses.dataclass
class Loop:
    """A run in progress: what it works with, and what every step changes."""

    config: Config
    layout: parallel.Layout
    programs: Programs
    data: Data
    steps: int
    """Of an epoch."""
    log: Log
    checkpoints: Checkpoints
    stop: Stop
    on_event: OnEvent
    state: members.EnsembleState
    done: int
    """Steps taken so far."""
    trace: Trace

    def run(self) -> None:
        """Takes every step that is left.

        Raises:
          Interrupted: if a signal came; the state is saved.
        """
        total = self.config.train.epochs * self.steps
        lines = lines_per_epoch(self.config.train.log_every, self.steps)
        first = self.done
        began = time.monotonic()
        saved = began
        order = None
        before = None
        self.stop.graceful = True
        while self.done < total:
            if order is None or self.done % self.steps == 0:
                epoch = parallel.replicate(self.layout, np.int32(self.done // self.steps))
                order = self.programs.order(self.state.key, epoch)
            self.state, report = self.programs.step(
                self.state, order, self.data.stored, self.data.target
            )
            self.done += 1
            self.trace.after(self.done - first, report.loss)
            self.log.flush()
            # Block on the previous step only: dispatch stays one step ahead, and the progress that
            # is told is of finished work.
            if before is not None:
                jax.block_until_ready(before)
            before = report.loss
            self._tell(total, (self.done - first) / (time.monotonic() - began))
            line_ends = bool(members.begins_interval(self.done, self.steps, lines))
            if line_ends:
                self._hold(report)
            stopping = self.stop.received is not None
            due = time.monotonic() - saved >= 60 * self.config.train.checkpoint_every
            due = due and not self.checkpoints.busy
            if not self.layout.local:
                # Processes must save the same step, and may only wait for each other at a line.
                stopping, due = (
                    multihost.any_process(stopping, due) if line_ends else (False, False)
                )
            if stopping or due or self.done == total:
                self.log.flush()
                self.checkpoints.save(self.done, self.state)
                saved = time.monotonic()
            if stopping and self.done < total:
                self.checkpoints.wait()
                raise Interrupted(
                    self.stop.received or signal.SIGTERM, f"saved at step {self.done} of {total}"
                )

    def _hold(self, report: members.StepReport) -> None:
        """Hands a line to the log; at the end of an epoch the members are validated for it."""
        log_probs = None
        if self.done % self.steps == 0:
            self.state, log_probs = self.programs.validate(
                self.state, self.data.valid, self.data.labels
            )
        self.log.hold(self.done, report, log_probs)

    def _tell(self, total: int, rate: float) -> None:
        c = self.config.train
        epoch = (self.done - 1) // self.steps + 1
        faces = rate * c.batch_size * len(c.seeds)
        note = f"epoch {epoch}/{c.epochs}  {faces:,.0f} member-faces/s"
        self.on_event(Progress("training", self.done / total, note))
