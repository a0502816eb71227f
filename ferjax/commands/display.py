"""Events in a terminal: a bar and a table in place, or plain lines in a pipe.

Nothing else in this package prints: the commands, or whoever trains from Python, hand a
:class:`Console` to ``on_event``.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.progress import BarColumn, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Table

from ferjax.commands.console import SafeConsole
from ferjax.config import Config
from ferjax.events import Event, LogLine, Message, Progress

if TYPE_CHECKING:  # an evaluation of scores from elsewhere loads no training code
    from ferjax.ensemble.cost import Budget

__all__ = [
    "Console",
    "budget_lines",
    "members_table",
    "progress",
    "run_table",
    "sentence",
    "sparkline",
]

_SECONDS_BETWEEN_LINES = 20.0
"""Of a task's progress, where nobody sees a bar."""

_BARS = "▁▂▃▄▅▆▇█"

_stderr = SafeConsole(stderr=True, markup=False)


class _Bar(RichProgress):
    above: RenderableType | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        if self.above is not None:
            yield self.above
        yield from super().get_renderables()


def _bar() -> _Bar:
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    ]
    return _Bar(*columns, console=_stderr, disable=not _stderr.is_terminal, transient=True)


class Console:
    """Shows events on standard error; use it as a context, so that the bar goes with it.

    >>> with Console() as on_event:
    ...     on_event(Progress("training", 0.5))
    """

    def __init__(self) -> None:
        self._bar: _Bar | None = None
        self._task = ""
        self._told = 0.0
        self._frozen: set[int] = set()
        self._skipped: dict[int, int] = {}

    def __enter__(self) -> "Console":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def __call__(self, event: Event) -> None:
        match event:
            case Message(text):
                _say(text)
            case Progress(task, done, note):
                self._progress(task, done, note)
            case LogLine(figures, seeds, epochs):
                self._log_line(figures, seeds, epochs)

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar = None

    def _progress(self, task: str, done: float, note: str) -> None:
        if not _stderr.is_terminal:
            self._progress_in_lines(task, done, note)
            return
        if self._bar is None or task != self._task:
            self._stop()
            self._task = task
            self._bar = _bar()
            self._bar.add_task(task, total=1.0, note="")
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done, note=note)
        if done >= 1:
            self._stop()

    def _progress_in_lines(self, task: str, done: float, note: str) -> None:
        """The beginning of a task, and now and then how far it is; a log has lines of its own."""
        now = time.monotonic()
        if task == self._task and (done >= 1 or now - self._told < _SECONDS_BETWEEN_LINES):
            return
        if task != self._task:
            text = task
        else:
            text = f"{task}: {100 * done:.0f} %{'  ' * bool(note)}{note}"
        self._task = task
        self._told = now
        _say(text)

    def _log_line(self, figures: dict, seeds: Sequence[int], epochs: int) -> None:
        self._told = time.monotonic()
        if self._bar is not None:
            self._bar.above = members_table(figures, seeds)
        if not _stderr.is_terminal or "valid_accuracy" in figures:
            _say(sentence(figures, epochs))
        for member, seed in enumerate(seeds):
            new = figures["skipped"][member] - self._skipped.get(member, 0)
            self._skipped[member] = figures["skipped"][member]
            if figures["frozen"][member] and member not in self._frozen:
                self._frozen.add(member)
                _say(
                    f"member {member} (seed {seed}) is frozen: losses or gradients stayed "
                    "non-finite; ensembles leave it out"
                )
            elif new > 0:
                restored = (
                    "; set back to its best parameters" if figures["restored"][member] else ""
                )
                _say(
                    f"member {member} (seed {seed}): {new} steps skipped for a non-finite loss or "
                    f"gradient{restored}"
                )


def _say(text: str) -> None:
    """One line on standard error, as long as it is."""
    _stderr.print(text, highlight=False, soft_wrap=True)


class progress:
    """A progress bar for work that tells no events; yields ``advance(share, note="")``."""

    def __init__(self, title: str):
        if not _stderr.is_terminal:
            _say(title)
        self._bar = _bar()
        self._task = self._bar.add_task(title, total=1.0, note="")

    def __enter__(self) -> Callable[..., None]:
        self._bar.start()
        return lambda share, note="": self._bar.update(self._task, advance=share, note=note)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def members_table(
    line: dict, seeds: Sequence[int], more: Mapping[str, Sequence[str]] = {}
) -> Table:
    """One line of the log as a table, a row per member.

    Args:
      line: of the log.
      seeds: of the members.
      more: further columns by name, a cell per member each.
    """
    table = Table(title=f"step {line['step']:,}, epoch {line['epoch']:g}")
    for column in (
        "member",
        "seed",
        "loss",
        "train accuracy",
        "valid accuracy",
        "steps skipped",
        *more,
    ):
        table.add_column(column, justify="right")
    for member, seed in enumerate(seeds):
        skipped = line["skipped"][member]
        table.add_row(
            str(member),
            str(seed),
            _number(line["loss"][member], 4),
            _number(line["train_accuracy"][member], 3),
            _number(line["valid_accuracy"][member], 3) if "valid_accuracy" in line else "",
            f"{skipped}, frozen" if line["frozen"][member] else str(skipped or ""),
            *(cells[member] for cells in more.values()),
        )
    return table


def run_table(lines: Sequence[dict], config: Config) -> RenderableType:
    """The last line of a log as a table, with the curve of each member's loss."""
    if not lines:
        return "no line of the log yet"
    last = {
        "skipped": [0] * len(config.train.seeds),
        "frozen": [False] * len(config.train.seeds),
        **lines[-1],
    }
    curves = [
        sparkline([line["loss"][k] for line in lines]) for k in range(len(config.train.seeds))
    ]
    return members_table(last, config.train.seeds, {"loss so far": curves})


def sparkline(values: Sequence[float | None], width: int = 24) -> str:
    """Numbers as a line of bars, low to high, thinned to a width; a blank where there is none.

    >>> sparkline([3.0, 2.0, None, 1.0])
    '█▅ ▁'
    """
    chosen = (
        [values[round(i * (len(values) - 1) / max(width - 1, 1))] for i in range(width)]
        if len(values) > width
        else values
    )
    known = [value for value in chosen if value is not None]
    if not known:
        return " " * len(chosen)
    low = min(known)
    span = max(known) - min(known) or 1.0
    return "".join(
        " " if value is None else _BARS[round((value - low) / span * (len(_BARS) - 1))]
        for value in chosen
    )


def sentence(line: dict, epochs: int) -> str:
    """One line of the log as one line of text."""
    losses = [loss for loss in line["loss"] if loss is not None]
    mean = sum(losses) / len(losses) if losses else float("nan")
    text = f"epoch {line['epoch']:>5g}/{epochs}  step {line['step']:>6}  loss {mean:.4f}"
    if "valid_accuracy" in line:
        accuracies = " ".join(_number(a, 3) for a in line["valid_accuracy"])
        text += f"  valid accuracy: members {accuracies}"
        if line.get("valid_ensemble_accuracy") is not None:
            text += f", ensemble {line['valid_ensemble_accuracy']:.3f}"
    if "member_faces_per_second" in line:
        text += f"  {line['member_faces_per_second']:,.0f} member-faces/s"
    return text


def budget_lines(budget: "Budget") -> list[str]:
    """What a run would cost, in words."""
    mib = 1 / 2**20
    trunk = (
        f", {budget.trunk_parameters:,} in the trunk all members share"
        if budget.trunk_parameters
        else ""
    )
    return [
        f"parameters: {budget.member_parameters:,} per member{trunk}",
        f"per face and member: {budget.forward_flops / 1e9:.3f} GFLOP forward, "
        f"{budget.train_flops / 1e9:.3f} GFLOP per training step",
        f"layout: {budget.layout}",
        f"memory per device: about {budget.device_bytes * mib:,.0f} MiB (state "
        f"{budget.state_bytes * mib:,.0f}, data {budget.data_bytes * mib:,.0f}, activations "
        f"{budget.activation_bytes * mib:,.0f})",
    ]
