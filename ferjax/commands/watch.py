"""``ferjax watch``: shows how a run is going, from its folder alone, wherever it is trained."""

import dataclasses
import time

from ferjax.commands.arguments import File, Run
from ferjax.commands.console import out


@dataclasses.dataclass(frozen=True)
class Watch:
    """Show a run, in progress or finished: every member's last figures and curve of its loss."""

    run_folder: Run
    """Folder of a run."""
    follow: bool = False
    """Stay and update until the run ends; Ctrl-C leaves, the run goes on."""
    plot: File = None
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
            seen = 0
            going = True
            while going:
                going = folder.in_use
                lines = read_log(folder.log)
                for line in lines[seen:]:
                    out.print(sentence(line, config.train.epochs))
                seen = len(lines)
                if going:
                    time.sleep(1)
        else:
            out.print(run_table(read_log(folder.log), config))
            out.print("in progress" if folder.in_use else "not running")
        if self.plot is not None:
            from ferjax.report.plots import training_curves

            lines = read_log(folder.log)
            if not lines:
                raise ValueError(f"{folder.log} holds no line yet: nothing to plot")
            out.print(
                f"picture: {training_curves(lines, config.train.seeds, self.plot)}", highlight=False
            )
        return 0
