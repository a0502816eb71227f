"""What a run shows of itself: a bar and a table in a terminal, plain lines in a pipe."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

__all__ = ["console", "members_table", "progress", "say", "sentence"]

console = Console(stderr=True)


def say(text: str) -> None:
    """One line on standard error, as long as it is."""
    console.print(text, highlight=False, soft_wrap=True)


class _Bar(Progress):
    above: RenderableType | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        if self.above is not None:
            yield self.above
        yield from super().get_renderables()


class progress:
    """A progress bar on standard error in a terminal, and nothing in a pipe. Yields
    ``advance(share, note="")``."""

    def __init__(self, title: str):
        self._bar = _Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task(title, total=1.0, note="")

    def show(self, above: RenderableType) -> None:
        """Puts something, e.g. a table, above the bar."""
        self._bar.above = above

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
    """One line of the log as a table, a row per member; ``more`` columns by name, a cell per member
    each."""
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


def sentence(line: dict, epochs: int) -> str:
    """One line of the log as one line of text."""
    losses = [loss for loss in line["loss"] if loss is not None]
    text = f"epoch {line['epoch']:>5g}/{epochs}  step {line['step']:>6}  loss {sum(losses) / len(losses) if losses else float('nan'):.4f}"
    if "valid_accuracy" in line:
        text += "  valid accuracy: members " + " ".join(
            _number(a, 3) for a in line["valid_accuracy"]
        )
        if line.get("valid_ensemble_accuracy") is not None:
            text += f", ensemble {line['valid_ensemble_accuracy']:.3f}"
    return text + (
        f"  {line['member_faces_per_second']:,.0f} member-faces/s"
        if "member_faces_per_second" in line
        else ""
    )
