"""``ferjax watch``: shows how a run is going, from its folder alone, wherever it is trained."""

import dataclasses
import time
from pathlib import Path

from tyro.conf import Positional

from ferjax.commands.console import out


@dataclasses.dataclass(frozen=True)
class Watch:
    """Show a run in progress or a finished one: every member's last figures and the curve of its
    loss."""

    run_folder: Positional[Path]
    """Folder of a run."""
    follow: bool = False
    """Stay and update until the run ends; Ctrl-C leaves, the run goes on."""
    plot: Path | None = None
    """Write the curves of loss and valid accuracy to this picture (PNG)."""

    def run(self) -> int:
        from rich.live import Live

        from ferjax.commands.display import run_table, sentence
        from ferjax.ensemble.folder import RunFolder
        from ferjax.ensemble.log import read_log

        folder = RunFolder(self.run_folder)
        config = folder.config()
        if self.follow and out.is_terminal:
            with Live(console=out, auto_refresh=False) as live:
                while folder.in_use:
                    live.update(run_table(read_log(folder.log), config), refresh=True)
                    time.sleep(1)
                live.update(run_table(read_log(folder.log), config), refresh=True)
        elif self.follow:
<<<<<<< HEAD
            from ferjax.commands.display import sentence

=======
>>>>>>> ensemble
            seen = 0
            going = True
            while going:
                going = folder.in_use
                lines = read_log(folder.log)
                for line in lines[seen:]:
                    out.print(sentence(line, config.train.epochs), highlight=False, soft_wrap=True)
                seen = len(lines)
                if going:
                    time.sleep(1)
        else:
            out.print(run_table(read_log(folder.log), config))
            out.print("in progress" if folder.in_use else "not running")
        if self.plot is not None:
            from ferjax.report.curves import training_curves

            lines = read_log(folder.log)
            if not lines:
                raise ValueError(f"{folder.log} holds no line yet: nothing to plot")
            out.print(
                f"picture: {training_curves(lines, config.train.seeds, self.plot)}", highlight=False
            )
        return 0
<<<<<<< HEAD


def view(lines: list[dict], config: Config) -> RenderableType:
    """The last line of a log as a table, with the curve of each member's loss."""
    from ferjax.commands.display import members_table

    if not lines:
        return "no line of the log yet"
    last = {
        "skipped": [0] * len(config.train.seeds),
        "frozen": [False] * len(config.train.seeds),
        **lines[-1],
    }
    curves = [curve([line["loss"][k] for line in lines]) for k in range(len(config.train.seeds))]
    return members_table(last, config.train.seeds, {"loss so far": curves})


def curve(values: list[float | None], width: int = 24) -> str:
    """Numbers as a line of bars, low to high, thinned to a width; a blank where there is none.

    >>> curve([3.0, 2.0, None, 1.0])
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
=======
>>>>>>> ensemble
