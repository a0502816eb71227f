"""``ferjax watch``: shows how a run is going, from its folder alone, wherever it is trained."""

import dataclasses
import time
from typing import TYPE_CHECKING

from ferjax.commands.arguments import OptionalNewFile, Run
from ferjax.commands.console import out
from ferjax.commands.display import run_table, sentence

if TYPE_CHECKING:
    from ferjax.ensemble.ending import Ending
    from ferjax.ensemble.folder import RunFolder


@dataclasses.dataclass(frozen=True)
class Watch:
    """Show a run: every member's last figures, the curve of its loss, and whether the run is in
    progress, finished, interrupted, failed or killed."""

    run_folder: Run
    """Folder of a run."""
    follow: bool = False
    """Stay and update until the run ends; Ctrl-C leaves, the run goes on."""
    plot: OptionalNewFile = None
    """Write the curves of loss and valid accuracy to this picture (PNG)."""

    def run(self) -> int:
        from ferjax.ensemble.ending import how_it_ended
        from ferjax.ensemble.folder import RunFolder
        from ferjax.ensemble.log_lines import read_log
        from ferjax.files import require_writable

        folder = RunFolder(self.run_folder)
        config = folder.config()
        if self.plot is not None:
            require_writable(self.plot, suffixes=("", ".png"))
        if self.follow:
            self._follow(folder, config.train.epochs)
        if not self.follow or out.is_terminal:
            out.print(run_table(read_log(folder.log), config), soft_wrap=False)
        out.print(self._ending(how_it_ended(folder)))
        if self.plot is not None:
            from ferjax.report.plots import training_curves

            lines = read_log(folder.log)
            if not lines:
                raise ValueError(f"{folder.log} holds no line yet: nothing to plot")
            out.print(f"picture: {training_curves(lines, config.train.seeds, self.plot)}")
        return 0

    def _follow(self, folder: "RunFolder", epochs: int) -> None:
        """Shows the run until it ends: a table in place, or new lines in a pipe."""
        from rich.live import Live

        from ferjax.ensemble.log_lines import read_log

        if out.is_terminal:
            with Live(console=out, auto_refresh=False, transient=True) as live:
                while folder.in_use:
                    table = run_table(read_log(folder.log), folder.config())
                    live.update(table, refresh=True)
                    time.sleep(1)
            return
        seen = 0
        going = True
        while going:
            going = folder.in_use
            lines = read_log(folder.log)
            for line in lines[seen:]:
                out.print(sentence(line, epochs))
            seen = len(lines)
            if going:
                time.sleep(1)

    def _ending(self, ending: "Ending") -> str:
        """What became of the run, and what to do next."""
        folder = self.run_folder
        again = f"ferjax train {folder / 'config.json'} --out {folder} --resume"
        match ending.how:
            case "training":
                where = f", {ending.detail}" if ending.detail else ""
                return f"in progress{where}\nnext: ferjax watch {folder} --follow"
            case "finished":
                return f"finished\nnext: ferjax evaluate {folder}"
            case "interrupted":
                return f"interrupted: {ending.detail}\nnext: {again}"
            case "failed":
                return f"failed: {ending.detail}\nnext, once that is mended: {again}"
            case "killed":
                return f"killed: its process is gone and said nothing\nnext: {again}"
        return f"not running, and not finished\nnext: {again}"
